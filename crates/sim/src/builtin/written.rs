//! What the Go types write out even where nobody has set it.

use crate::json::{at, each, put, put_default};
use crate::kinds::Kind;
use serde_json::{Map, Value, json};

/// An object of a kind with nothing in it.
pub(crate) fn nothing_of(kind: &Kind) -> Value {
    match (kind.is_custom(), kind.plural.as_ref()) {
        (false, "leases" | "deployments" | "replicasets" | "statefulsets") => json!({"spec": {}}),
        (false, "pods") => json!({"spec": {"containers": null}, "status": {}}),
        (false, "services") => json!({"spec": {}, "status": {"loadBalancer": {}}}),
        (false, "endpointslices") => json!({"addressType": "", "endpoints": null, "ports": null}),
        (false, "namespaces") => json!({"spec": {}, "status": {}}),
        (false, "nodes") => {
            let info: Map<String, Value> =
                NODE_INFO.iter().map(|field| ((*field).to_owned(), json!(""))).collect();
            let status = json!({"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}, "nodeInfo": info});
            json!({"spec": {}, "status": status})
        }
        _ => json!({}),
    }
}

const NODE_INFO: [&str; 10] = [
    "architecture",
    "bootID",
    "containerRuntimeVersion",
    "kernelVersion",
    "kubeProxyVersion",
    "kubeletVersion",
    "machineID",
    "operatingSystem",
    "osImage",
    "systemUUID",
];

/// A stored pod as it is shown: times nobody set are null, states nobody told are empty.
pub(crate) fn write_out(pod: &mut Value) {
    let null = |value: &mut Value, field: &str| {
        if at(value, &[field]).is_null() {
            put(value, &[field], Value::Null);
        }
    };
    each(pod, &["status", "conditions"], |condition| {
        null(condition, "lastProbeTime");
        null(condition, "lastTransitionTime");
    });
    for list in ["containerStatuses", "initContainerStatuses"] {
        each(pod, &["status", list], |status| {
            put_default(status, &["lastState"], json!({}));
            put_default(status, &["state"], json!({}));
            for state in ["state", "lastState"] {
                if let Some(ended) = status.get_mut(state).and_then(|state| state.get_mut("terminated"))
                    && ended.is_object()
                {
                    null(ended, "startedAt");
                    null(ended, "finishedAt");
                }
            }
        });
    }
}
