//! Pods: their defaults, which fields may change, bindings and evictions.

use super::{PODS, at, pod, waiting_pod, with};
use crate::script::{Scenario, answer};
use serde_json::{Value, json};

pub(super) fn all() -> Vec<Scenario> {
    vec![defaults(), updates(), refused(), bindings(), evictions()]
}

fn defaults() -> Scenario {
    let probe = json!({"httpGet": {"port": 80}});
    let rich = json!({
        "name": "a", "image": "example.com/app@sha256:0000000000000000000000000000000000000000000000000000000000000000", "ports": [{"containerPort": 80, "name": "web"}, {"containerPort": 53, "protocol": "UDP"}],
        "readinessProbe": probe, "livenessProbe": {"tcpSocket": {"port": "web"}}, "startupProbe": {"grpc": {"port": 9}},
        "env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}},
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "1"]}}},
    });
    let mut pod_with_all = waiting_pod("c");
    crate::json::put(&mut pod_with_all, &["spec", "containers"], json!([rich]));
    crate::json::put(
        &mut pod_with_all,
        &["spec", "initContainers"],
        json!([{"name": "i", "image": "y", "restartPolicy": "Always"}]),
    );
    crate::json::put(
        &mut pod_with_all,
        &["spec", "volumes"],
        json!([{"name": "v", "emptyDir": {}}, {"name": "m", "configMap": {"name": "m"}}]),
    );
    Scenario::new("pod_defaults", "the defaults of a pod")
        .post("bound", PODS, pod("a"))
        .post("waiting", PODS, waiting_pod("b"))
        .post("latest", &at(PODS, "?dryRun=All"), with(&pod("d"), "/spec/containers", json!([{"name": "a", "image": "x:latest"}, {"name": "b", "image": "x"}])))
        .post("rich", &at(PODS, "?dryRun=All"), pod_with_all)
        .post("guaranteed", &at(PODS, "?dryRun=All"), with(&pod("d"), "/spec/containers", json!([{"name": "a", "image": "x:1", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}])))
        .post("host_network", &at(PODS, "?dryRun=All"), with(&with(&pod("d"), "/spec/hostNetwork", true), "/spec/containers", json!([{"name": "a", "image": "x:1", "ports": [{"containerPort": 80}]}])))
        .post("with_status", &at(PODS, "?dryRun=All"), with(&pod("d"), "/status", json!({"phase": "Running"})))
        .post("tolerating", &at(PODS, "?dryRun=All"), with(&pod("d"), "/spec/tolerations", json!([{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}])))
}

fn updates() -> Scenario {
    let one = at(PODS, "a");
    Scenario::new("pod_updates", "only a few fields of a pod's spec may change")
        .post("make", PODS, pod("a"))
        .strategic("image", &one, json!({"spec": {"containers": [{"name": "a", "image": "x:2"}]}}))
        .merge("node", &one, json!({"spec": {"nodeName": "other"}}))
        .merge("grace", &one, json!({"spec": {"terminationGracePeriodSeconds": 5}}))
        .merge("deadline", &one, json!({"spec": {"activeDeadlineSeconds": 600}}))
        .strategic("env", &one, json!({"spec": {"containers": [{"name": "a", "env": [{"name": "A", "value": "1"}]}]}}))
        .put("unconditional", &one, pod("a"))
        .put("blind", &one, answer("image").without("/metadata/resourceVersion").with("/metadata/labels/x", "y"))
        .put("missing", &at(PODS, "b"), pod("b"))
        .merge("annotate", &one, json!({"metadata": {"annotations": {"hotstandby.dev/priority": "10"}}}))
        .merge("owner", &one, json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "{make:/metadata/uid}"}]}}))
}

fn refused() -> Scenario {
    let post = at(PODS, "?dryRun=All");
    let containers = |list: Value| with(&pod("a"), "/spec/containers", list);
    Scenario::new("pod_refused", "pods that the server refuses")
        .post("no_containers", &post, containers(json!([])))
        .post("no_spec", &post, json!({"metadata": {"name": "a"}}))
        .post("no_name_no_image", &post, containers(json!([{}])))
        .post(
            "twice_the_name",
            &post,
            containers(json!([{"name": "a", "image": "x"}, {"name": "a", "image": "y"}])),
        )
        .post("odd_name", &post, containers(json!([{"name": "A", "image": "x"}])))
        .post(
            "odd_port",
            &post,
            containers(json!([{"name": "a", "image": "x", "ports": [{"containerPort": 70000}]}])),
        )
        .post("odd_policy", &post, with(&pod("a"), "/spec/restartPolicy", "Sometimes"))
        .post("odd_grace", &post, with(&pod("a"), "/spec/terminationGracePeriodSeconds", -5))
        .post("no_account", &post, with(&pod("a"), "/spec/serviceAccountName", "nobody"))
        .post(
            "probe_without_way",
            &post,
            containers(json!([{"name": "a", "image": "x", "readinessProbe": {}}])),
        )
        .post(
            "odd_quantity",
            &post,
            containers(json!([{"name": "a", "image": "x", "resources": {"requests": {"cpu": "much"}}}])),
        )
}

fn bindings() -> Scenario {
    let bind = |node: &str| json!({"metadata": {"name": "a"}, "target": {"kind": "Node", "name": node}});
    Scenario::new("pod_binding", "a pod is bound to a node")
        .post("make", PODS, waiting_pod("a"))
        .post("no_node", &at(PODS, "a/binding"), bind(""))
        .post("bind", &at(PODS, "a/binding"), bind("nowhere"))
        .get("bound", &at(PODS, "a"))
        .post("again", &at(PODS, "a/binding"), bind("elsewhere"))
        .post(
            "missing",
            &at(PODS, "b/binding"),
            json!({"metadata": {"name": "b"}, "target": {"kind": "Node", "name": "x"}}),
        )
}

fn evictions() -> Scenario {
    let evict = |name: &str, more: Value| {
        let mut body = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
        if !more.is_null() {
            crate::json::put(&mut body, &["deleteOptions"], more);
        }
        body
    };
    Scenario::new("pod_eviction", "evictions, as a drain requests them")
        .post("make", PODS, pod("a"))
        .post("make_waiting", PODS, waiting_pod("b"))
        .post("dry_run", &at(PODS, "a/eviction"), evict("a", json!({"dryRun": ["All"]})))
        .get("not_yet", &at(PODS, "a"))
        .post("other_uid", &at(PODS, "a/eviction"), evict("a", json!({"preconditions": {"uid": "other"}})))
        .post("evict", &at(PODS, "a/eviction"), evict("a", Value::Null))
        .get("going", &at(PODS, "a"))
        .post("again", &at(PODS, "a/eviction"), evict("a", Value::Null))
        .post("waiting", &at(PODS, "b/eviction"), evict("b", Value::Null))
        .get("gone", &at(PODS, "b"))
        .post("missing", &at(PODS, "c/eviction"), evict("c", Value::Null))
        .post("other_name", &at(PODS, "a/eviction"), evict("b", Value::Null))
        .get("no_get", &at(PODS, "a/eviction"))
}
