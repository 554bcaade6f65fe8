//! The scenarios, one file for each part of the API that the product and its users rely on.
//!
//! Controllers, schedulers and kubelets run in a real cluster. No scenario creates an object that they would change: pods
//! are on a node that does not exist or wait for a scheduler that does not exist, workloads are dry runs, and Services
//! have no selector.

mod apply;
mod create;
mod custom;
mod delete;
mod discovery;
mod endpoints;
mod events;
mod leases;
mod lists;
mod patches;
mod pods;
mod product;
mod rights;
mod services;
mod status;
mod tables;
mod watches;
mod workloads;

pub use rights::USER_WITHOUT_RIGHTS;

use super::script::Scenario;
use serde_json::{Value, json};

/// Returns all scenarios in the order in which they are played.
pub fn suite() -> Vec<Scenario> {
    [
        leases::all(),
        create::all(),
        lists::all(),
        watches::all(),
        patches::all(),
        apply::all(),
        status::all(),
        pods::all(),
        delete::all(),
        custom::all(),
        product::all(),
        endpoints::all(),
        services::all(),
        events::all(),
        workloads::all(),
        tables::all(),
        discovery::all(),
        rights::all(),
    ]
    .concat()
}

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/{ns}/leases";
const CONFIG_MAPS: &str = "/api/v1/namespaces/{ns}/configmaps";
const PODS: &str = "/api/v1/namespaces/{ns}/pods";
const SERVICES: &str = "/api/v1/namespaces/{ns}/services";
const ENDPOINTS: &str = "/api/v1/namespaces/{ns}/endpoints";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/{ns}/endpointslices";
const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// Returns a path that continues another one with a name or a query.
fn at(path: &str, rest: &str) -> String {
    if rest.starts_with('?') { format!("{path}{rest}") } else { format!("{path}/{rest}") }
}

fn lease(name: &str, holder: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15}})
}

/// Returns a `ConfigMap`. Its label distinguishes it from those that a cluster creates in every namespace.
fn config_map(name: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"of": "suite"}}, "data": {"a": "1"}})
}

/// Returns a pod on a node that does not exist, so that no kubelet changes it.
fn pod(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {
            "automountServiceAccountToken": false, "nodeName": "nowhere",
            "containers": [{"name": "a", "image": "x:1"}],
        },
    })
}

/// Returns a pod that waits for a scheduler that does not exist.
fn waiting_pod(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {
            "automountServiceAccountToken": false, "schedulerName": "nobody",
            "containers": [{"name": "a", "image": "x:1"}],
        },
    })
}

/// Returns a Service without a selector.
fn service(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}})
}

fn slice(name: &str, address: &str) -> Value {
    json!({
        "metadata": {"name": name}, "addressType": "IPv4",
        "endpoints": [{"addresses": [address]}], "ports": [{"port": 8080}],
    })
}

/// Returns a copy with another value at a pointer. The parent of the value must exist.
fn with(object: &Value, pointer: &str, value: impl Into<Value>) -> Value {
    let mut object = object.clone();
    if let Some((parent, key)) = pointer.rsplit_once('/')
        && let Some(parent) = object.pointer_mut(parent)
    {
        crate::json::put(parent, &[key.replace("~1", "/").as_str()], value);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_and_labels_are_distinct_and_fit() {
        let suite = suite();
        let names: BTreeSet<&str> = suite.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), suite.len());
        for scenario in &suite {
            // `conf-NAME-RUN` must be a valid name of a namespace.
            assert!(scenario.name.len() <= 40, "{}", scenario.name);
            let labels: BTreeSet<&str> = scenario.steps.iter().map(|step| step.label.as_str()).collect();
            assert_eq!(labels.len(), scenario.steps.len(), "{}", scenario.name);
        }
    }
}
