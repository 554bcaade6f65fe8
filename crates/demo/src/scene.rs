//! What stands on the control plane: three pods of a `StatefulSet`, a Service without a selector, and a group.

use crate::addresses::{Addresses, PORT};
use anyhow::{Result, anyhow};
use hotstandby_sim::ApiServer;
use serde_json::{Value, json};

/// The namespace of everything a user would make.
pub(crate) const NAMESPACE: &str = "default";
/// hotstandby's own namespace.
pub(crate) const SYSTEM: &str = "hotstandby-system";
/// The group and the workload.
pub(crate) const GROUP: &str = "web";
/// The Service.
pub(crate) const SERVICE: &str = "web-active";
/// So many pods.
pub(crate) const PODS: usize = 3;
/// The pods' one container.
pub(crate) const CONTAINER: &str = "server";

/// Puts it there.
pub(crate) fn build(server: &mut ApiServer, addresses: Addresses) -> Result<()> {
    let crd = serde_json::to_value(hotstandby_cluster::api::crd())?;
    put(server, "apiextensions.k8s.io", "v1", "customresourcedefinitions", &crd)?;
    put(server, "", "v1", "namespaces", &json!({"metadata": {"name": SYSTEM}}))?;
    put(server, "", "v1", "services", &service(addresses))?;
    put(server, "apps", "v1", "statefulsets", &workload())?;
    put(server, "hotstandby.dev", "v1alpha1", "activestandbies", &group())
}

fn put(server: &mut ApiServer, group: &str, version: &str, plural: &str, object: &Value) -> Result<()> {
    let stored = server.apply_object(group, version, plural, object);
    stored.map(|_| ()).map_err(|failure| anyhow!("making {plural}: {}", failure.message))
}

fn service(addresses: Addresses) -> Value {
    let address = addresses.service();
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVICE, "namespace": NAMESPACE},
        "spec": {
            "clusterIP": address.ip().to_string(),
            "ports": [{"name": "http", "port": address.port(), "targetPort": "http"}],
        },
    })
}

fn workload() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": GROUP, "namespace": NAMESPACE},
        "spec": {
            "replicas": PODS, "serviceName": "", "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": GROUP}},
            "template": {
                "metadata": {"labels": {"app": GROUP}},
                "spec": {
                    "terminationGracePeriodSeconds": 5,
                    "containers": [{
                        "name": CONTAINER, "image": "demo/server:1",
                        "ports": [{"name": "http", "containerPort": PORT}],
                    }],
                },
            },
        },
    })
}

fn group() -> Value {
    json!({
        "apiVersion": "hotstandby.dev/v1alpha1", "kind": "ActiveStandby",
        "metadata": {"name": GROUP, "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": {"app": GROUP}},
            "traffic": {"services": [{"name": SERVICE}]},
            "detect": {
                "probe": {"httpGet": {"path": "/health", "port": "http"}},
                "period": "200ms", "timeout": "150ms", "failureThreshold": 3,
            },
        },
    })
}
