//! `doctor` in a cluster.

use crate::support::{Cluster, group};
use serde_json::{Value, json};

/// A cluster with an install, a group and what belongs to it.
async fn cluster() -> Cluster {
    let cluster = Cluster::start().await;
    let labels = json!({"app.kubernetes.io/name": "hotstandby"});
    let install = json!({
        "metadata": {"name": "hotstandby", "namespace": "hotstandby-system", "labels": labels},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels}, "spec": {"containers": [{"name": "controller", "image": "hotstandby:0.1.0"}]},
        }},
        "status": {"replicas": 2, "readyReplicas": 2},
    });
    cluster.put("apps", "v1", "deployments", &install);
    let condition = json!({
        "type": "Ready", "status": "True", "reason": "Served", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    cluster.put("hotstandby.dev", "v1alpha1", "activestandbies", &group(&json!({"conditions": [condition]})));
    let service =
        json!({"metadata": {"name": "web-active", "namespace": "shop"}, "spec": {"ports": [{"port": 80}]}});
    cluster.put("", "v1", "services", &service);
    cluster.pod("web-0", &json!({"app": "web"}));
    let proxy = "kind: KubeProxyConfiguration\nmode: nftables\n";
    let map = json!({"metadata": {"name": "kube-proxy", "namespace": "kube-system"}, "data": {"config.conf": proxy}});
    cluster.put("", "v1", "namespaces", &json!({"metadata": {"name": "kube-system"}}));
    cluster.put("", "v1", "configmaps", &map);
    cluster
}

fn ids(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|finding| finding["id"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_cluster_ends_with_0_and_says_what_it_could_not_see() {
    let cluster = cluster().await;
    let ran = cluster.run(&["doctor", "-n", "shop", "-o", "json"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(ids(&report), ["KubeProxySyncPeriod"]);
    let skipped: Vec<_> = report["skipped"].as_array().unwrap().iter().map(|one| &one["check"]).collect();
    assert_eq!(
        skipped,
        ["rights", "network-policies", "disruption-budgets"],
        "kinds that the model does not have"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_ends_with_1_and_says_what_to_do() {
    let cluster = cluster().await;
    let slice = json!({
        "metadata": {"name": "web-active-old", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web-active"}},
        "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.9"]}],
    });
    cluster.put("discovery.k8s.io", "v1", "endpointslices", &slice);
    let ran = cluster.run(&["doctor", "-A"]).await;
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.out.contains("ERROR ForeignEndpoints: Service shop/web-active"), "{}", ran.out);
    // Long lines are wrapped.
    let words: Vec<&str> = ran.out.split_whitespace().collect();
    assert!(words.join(" ").contains("delete endpointslices web-active-old"), "{}", ran.out);
    assert!(ran.err.contains("1 of the findings are errors"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_skips_a_check_and_not_the_others() {
    let cluster = cluster().await;
    let rule = |question: &hotstandby_sim::AccessQuestion| {
        !["endpointslices", "configmaps", "customresourcedefinitions"].contains(&question.resource.as_str())
    };
    cluster.handle.with(|server| server.set_access(rule, true));
    let ran = cluster.run(&["doctor", "-A", "-o", "json"]).await;
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(ids(&report), [""; 0]);
    for check in ["crd", "foreign-endpoints", "kube-proxy"] {
        let skipped = report["skipped"].as_array().unwrap().iter().find(|one| one["check"] == check).unwrap();
        assert!(skipped["why"].as_str().unwrap().contains("you may not read them"), "{skipped}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_hotstandby_is_told_so() {
    let cluster = Cluster::start().await;
    cluster.handle.with(|server| {
        let name = "activestandbies.hotstandby.dev";
        server.handle(&hotstandby_sim::Request::new(
            http::Method::DELETE,
            &format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"),
        ))
    });
    let ran = cluster.run(&["doctor", "-A"]).await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.out.contains("CrdMissing") && ran.out.contains("ControllerMissing"),
        "{}{}",
        ran.out,
        ran.err
    );
}
