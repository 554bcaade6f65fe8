//! Workloads. All writes are dry runs, because the controllers of a cluster would change stored workloads.

use super::at;
use crate::script::Scenario;
use serde_json::{Value, json};

pub(super) fn all() -> Vec<Scenario> {
    let of = |plural: &str| format!("/apis/apps/v1/namespaces/{{ns}}/{plural}?dryRun=All");
    let (deployments, sets, stateful) = (of("deployments"), of("replicasets"), of("statefulsets"));
    vec![
        Scenario::new("workloads", "the defaults of workloads, and workloads that the server refuses")
            .post("deployment", &deployments, workload(&json!({"replicas": 3})))
            .post("deployment_recreated", &deployments, workload(&json!({"strategy": {"type": "Recreate"}})))
            .post("deployment_without_selector", &deployments, workload(&json!({"selector": null})))
            .post(
                "deployment_of_others",
                &deployments,
                workload(&json!({"selector": {"matchLabels": {"app": "db"}}})),
            )
            .post("deployment_negative", &deployments, workload(&json!({"replicas": -1})))
            .post("replica_set", &sets, workload(&json!({})))
            .post("stateful_set", &stateful, workload(&json!({"serviceName": "web"})))
            .get("missing", &at("/apis/apps/v1/namespaces/{ns}/deployments", "web"))
            .get("missing_scale", &at("/apis/apps/v1/namespaces/{ns}/deployments", "web/scale"))
            .table("no_deployments", "/apis/apps/v1/namespaces/{ns}/deployments"),
    ]
}

fn workload(more: &Value) -> Value {
    let mut object = json!({
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "a", "image": "x:1", "ports": [{"containerPort": 80}], "readinessProbe": {"httpGet": {"path": "/ready", "port": 80}}}]},
            },
        },
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        crate::json::put(&mut object, &["spec", key.as_str()], value.clone());
    }
    object
}
