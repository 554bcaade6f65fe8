//! What the server does for single built-in kinds: defaults, checks, and what an update may not touch.

mod default;
mod names;
mod validate;

pub(crate) use default::default;
pub(crate) use names::{metadata_errors, name_error};
pub(crate) use validate::{special_addresses, validate, validate_update};

use crate::clock::time_text;
use crate::json::{at, put, put_default, text};
use crate::kinds::Kind;
use serde_json::{Value, json};

/// What a new object starts with, whatever its maker says.
pub(crate) fn prepare_create(kind: &Kind, object: &mut Value) {
    if kind.is("pods") {
        let qos = crate::json::take(object, &["status", "qosClass"]).unwrap_or_else(|| json!("BestEffort"));
        put(object, &["status"], json!({"phase": "Pending", "qosClass": qos}));
    } else if kind.is("namespaces") {
        put(object, &["spec", "finalizers"], json!(["kubernetes"]));
        put(object, &["status"], json!({"phase": "Active"}));
        let name = at(object, &["metadata", "name"]).clone();
        put(object, &["metadata", "labels", "kubernetes.io/metadata.name"], name);
    } else if kind.is("services") {
        put_default(object, &["status"], json!({"loadBalancer": {}}));
    } else if kind.is("deployments") || kind.is("statefulsets") || kind.is("replicasets") {
        put(object, &["status"], json!({"replicas": 0}));
        if kind.is("deployments") {
            put(object, &["status"], json!({}));
        }
    } else if kind.is_custom() && kind.subresource("status").is_some() {
        crate::json::take(object, &["status"]);
    }
}

/// What counts for `metadata.generation`: all but metadata and status, or for some kinds the spec alone.
pub(crate) fn counted(kind: &Kind, object: &Value) -> Value {
    if kind.is_custom() || kind.is("endpointslices") {
        let mut counted = object.clone();
        crate::json::take(&mut counted, &["metadata"]);
        if kind.subresource("status").is_some() {
            crate::json::take(&mut counted, &["status"]);
        }
        if kind.is("endpointslices") {
            put(&mut counted, &["labels"], at(object, &["metadata", "labels"]).clone());
        }
        return counted;
    }
    at(object, &["spec"]).clone()
}

/// A binding: the pod gets its node.
pub(crate) fn bind(pod: &mut Value, node: &str, now_ms: i64) {
    put(pod, &["spec", "nodeName"], node);
    let condition = json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": time_text(now_ms),
    });
    let mut conditions: Vec<Value> = crate::json::items(pod, &["status", "conditions"])
        .iter()
        .filter(|one| text(one, &["type"]) != Some("PodScheduled"))
        .cloned()
        .collect();
    conditions.push(condition);
    put(pod, &["status", "conditions"], conditions);
}
