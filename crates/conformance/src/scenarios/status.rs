//! The status subresource: the status and the rest of an object are written separately.

use super::{PODS, SERVICES, at, pod, service};
use crate::script::{Scenario, answer};
use serde_json::json;

pub(super) fn all() -> Vec<Scenario> {
    vec![of_pods(), of_services()]
}

fn of_pods() -> Scenario {
    let (one, status) = (at(PODS, "a"), at(PODS, "a/status"));
    let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-02T03:04:05Z"}]);
    Scenario::new("status_of_pods", "which fields a write to /status changes")
        .post("make", PODS, pod("a"))
        .get("get", &status)
        .put("status_of_main", &one, answer("make").with("/status/phase", "Running").with("/metadata/labels/x", "y"))
        .put("put", &status, answer("status_of_main").with("/status/phase", "Running").with("/status/podIP", "10.88.9.9").with("/status/podIPs", json!([{"ip": "10.88.9.9"}])).with("/spec/nodeName", "other"))
        .put("put_stale", &status, answer("make").with("/status/phase", "Failed"))
        .merge("label", &status, json!({"metadata": {"labels": {"role": "active"}, "annotations": {"hotstandby.dev/term": "7"}}}))
        .strategic("label_strategic", &status, json!({"metadata": {"labels": {"role": "standby"}}}))
        .json_patch("label_json", &status, json!([{"op": "replace", "path": "/metadata/labels/role", "value": "active"}]))
        .merge("image", &status, json!({"spec": {"containers": [{"name": "a", "image": "other:2"}]}}))
        .merge("owner", &status, json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u"}]}}))
        .merge("finalizer", &status, json!({"metadata": {"finalizers": ["example.com/x"]}}))
        .merge("no_finalizer", &status, json!({"metadata": {"finalizers": null}}))
        .merge("ready", &status, json!({"status": {"conditions": ready}}))
        .merge("odd_phase", &status, json!({"status": {"phase": "Dancing"}}))
        .merge("odd_ip", &status, json!({"status": {"podIP": "x", "podIPs": [{"ip": "x"}]}}))
        .merge("container", &status, json!({"status": {"containerStatuses": [{"name": "a", "image": "x:1", "imageID": "", "ready": true, "restartCount": 1, "state": {"running": {"startedAt": "2020-01-02T03:04:05Z"}}}]}}))
        .merge("terminated", &status, json!({"status": {"phase": "Failed", "containerStatuses": [{"name": "a", "image": "x:1", "imageID": "", "ready": false, "restartCount": 1, "state": {"terminated": {"exitCode": 137, "reason": "Error"}}}]}}))
        .merge("main_leaves_status", &one, json!({"status": {"phase": "Running"}, "metadata": {"labels": {"z": "1"}}}))
        .delete("delete_status", &status)
        .merge("missing", &at(PODS, "b/status"), json!({"metadata": {"labels": {"a": "b"}}}))
}

fn of_services() -> Scenario {
    let status = at(SERVICES, "web/status");
    Scenario::new("status_of_services", "the status of a Service")
        .post("make", SERVICES, service("web"))
        .merge("status", &status, json!({"status": {"conditions": [{"type": "example.com/x", "status": "True", "reason": "Because", "message": "", "lastTransitionTime": "2020-01-02T03:04:05Z"}]}, "spec": {"sessionAffinity": "ClientIP"}}))
        .merge("main", &at(SERVICES, "web"), json!({"status": {"conditions": []}, "metadata": {"annotations": {"a": "b"}}}))
        .merge("odd_condition", &status, json!({"status": {"conditions": [{"type": "x", "status": "Perhaps"}]}}))
}
