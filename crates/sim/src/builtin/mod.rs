//! What the server does for single built-in kinds: defaults, checks, and what an update may not touch.

mod default;
mod names;
mod network;
mod validate;
mod written;

pub(crate) use default::default;
pub(crate) use names::{metadata_errors, name_errors};
pub(crate) use network::special_addresses;
pub(crate) use validate::{new_event, validate, validate_update};
pub(crate) use written::{nothing_of, write_out};

use crate::clock::time_text;
use crate::json::{at, items, put, put_default, text};
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
        } else if kind.is("statefulsets") {
            put(object, &["status", "availableReplicas"], 0);
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

/// What a client is warned of that sends this.
pub(crate) fn warnings(kind: &Kind, object: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut uids: Vec<&str> = Vec::new();
    let mut twice: Vec<&str> = Vec::new();
    for uid in items(object, &["metadata", "ownerReferences"]).iter().filter_map(|one| text(one, &["uid"])) {
        if uids.contains(&uid) { twice.push(uid) } else { uids.push(uid) }
    }
    if !twice.is_empty() {
        warnings.push(format!(
            ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may \
             reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
            twice.join(", ")
        ));
    }
    if !kind.is("endpointslices") {
        return warnings;
    }
    if at(object, &["addressType"]) == "FQDN" {
        warnings.push("spec.addressType: FQDN endpoints are deprecated".to_owned());
        return warnings;
    }
    for (index, endpoint) in items(object, &["endpoints"]).iter().enumerate() {
        for (inner, address) in items(endpoint, &["addresses"]).iter().enumerate() {
            let said = address.as_str().unwrap_or_default();
            if let Some(ip) = network::ip_of(said).filter(|_| said.parse::<std::net::IpAddr>().is_err()) {
                warnings.push(format!(
                    "endpoints[{index}].addresses[{inner}]: non-standard IP address {said:?} will be considered invalid in a \
                     future Kubernetes release: use \"{ip}\""
                ));
            }
        }
    }
    warnings
}

/// An owner named twice is named once.
pub(crate) fn own_once(object: &mut Value) {
    let mut kept: Vec<Value> = Vec::new();
    for owner in items(object, &["metadata", "ownerReferences"]) {
        if !kept.iter().any(|one| at(one, &["uid"]) == at(owner, &["uid"])) {
            kept.push(owner.clone());
        }
    }
    if !kept.is_empty() {
        put(object, &["metadata", "ownerReferences"], kept);
    }
}

/// What everybody is warned of who asks for this kind.
pub(crate) fn deprecation(kind: &Kind) -> Option<&'static str> {
    kind.is("endpoints")
        .then_some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")
}
