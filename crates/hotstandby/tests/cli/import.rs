//! `import` in a cluster and from YAML.

use crate::support::{Cluster, Ran};
use serde_json::{Value, json};

/// A cluster with an annotated Service and role labels, both with one active.
async fn cluster() -> Cluster {
    let cluster = Cluster::start().await;
    let service = |name: &str, annotations: &Value, selector: &Value| {
        json!({
            "metadata": {"name": name, "namespace": "shop", "annotations": annotations},
            "spec": {"selector": selector, "ports": [{"port": 80}]},
        })
    };
    let annotation = json!({"qoqo.dev/service-mode": "active-standby"});
    let narrowed = json!({"app": "echo", "qoqo.dev/pod-designation": "active"});
    cluster.put("", "v1", "services", &service("echo", &annotation, &narrowed));
    cluster.put(
        "",
        "v1",
        "services",
        &service("store", &json!({}), &json!({"app": "store", "role": "active"})),
    );
    let set = json!({
        "metadata": {"name": "store", "namespace": "shop"},
        "spec": {
            "serviceName": "store", "replicas": 2, "selector": {"matchLabels": {"app": "store"}},
            "template": {"metadata": {"labels": {"app": "store"}}, "spec": {"containers": [{
                "name": "a", "image": "x:1", "readinessProbe": {"httpGet": {"path": "/up", "port": 8080}},
            }]}},
        },
    });
    cluster.put("apps", "v1", "statefulsets", &set);
    cluster.pod("echo-0", &json!({"app": "echo", "qoqo.dev/pod-designation": "active"}));
    cluster.pod("echo-1", &json!({"app": "echo"}));
    cluster.pod("store-0", &json!({"app": "store", "role": "passive"}));
    cluster.pod("store-1", &json!({"app": "store", "role": "active"}));
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_looked_at_and_nothing_is_written() {
    let cluster = cluster().await;
    for place in [&["-A"][..], &["-n", "shop"]] {
        let Ran { code, out, err } = cluster.run(&[&["import"], place].concat()).await;
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        assert!(out.contains("hotstandby manifests --with role-labels,selector-pointer"), "{out}");
        assert!(out.contains("kind: ActiveStandby") && out.contains("path: /up"), "{out}");
        assert!(out.contains("Service shop/echo"), "{out}");
    }
    let elsewhere = cluster.run(&["import", "-n", "hotstandby-system"]).await;
    assert_eq!((elsewhere.code, elsewhere.out.as_str()), (0, ""));
    assert!(elsewhere.err.contains("was recognised in hotstandby-system"), "{}", elsewhere.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_says_that_no_traffic_moves_or_ends_with_1() {
    let cluster = cluster().await;
    let Ran { code, out, err } = cluster.run(&["import", "-A", "--check"]).await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("store-1 is active today") && out.contains("echo-0 is active today"), "{out}");
    assert_eq!(out.matches("no traffic moves").count(), 2, "{out}");
    cluster.pod("store-2", &json!({"app": "store", "role": "active"}));
    let Ran { code, out, err } = cluster.run(&["import", "-A", "--check", "-o", "json"]).await;
    assert_eq!(code, 1, "{out}");
    assert!(err.contains("traffic would or might move for 1 of 2"), "{err}");
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(shown["check"][1]["activeToday"], json!({"several": ["store-1", "store-2"]}));
    assert_eq!(shown["with"], json!(["role-labels", "selector-pointer"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_need_no_cluster() {
    let cluster = Cluster::start().await;
    let text = std::fs::read_to_string(Cluster::fixture("b.yaml")).unwrap();
    let piped = cluster.run_with_input(&["import", "-f", "-", "--kubeconfig", "/nowhere"], &text).await;
    assert_eq!((piped.code, piped.err.as_str()), (0, ""));
    assert!(piped.out.contains("deletePod: true"), "{}", piped.out);
    let directory = Cluster::fixture("");
    let all = cluster.run(&["import", "-f", directory.to_str().unwrap(), "-o", "json"]).await;
    let all: Value = serde_json::from_str(&all.out).unwrap();
    assert!(all["findings"].as_array().unwrap().len() >= 7, "{all}");
    let broken = cluster.run_with_input(&["import", "-f", "-"], "a: [").await;
    assert_eq!((broken.code, broken.err.contains("standard input is no YAML")), (4, true), "{}", broken.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_read_is_said() {
    let cluster = cluster().await;
    let rule =
        |kind: &'static str| move |question: &hotstandby_sim::AccessQuestion| question.resource != kind;
    cluster.handle.with(|server| server.set_access(rule("statefulsets"), true));
    let some = cluster.run(&["import", "-A"]).await;
    assert_eq!(some.code, 0, "{}", some.err);
    assert!(some.out.contains("Not looked at: statefulsets"), "{}", some.out);
    cluster.handle.with(|server| server.set_access(rule("pods"), true));
    let none = cluster.run(&["import", "-A"]).await;
    assert_eq!((none.code, none.err.contains("ClusterRole view")), (4, true), "{}", none.err);
}
