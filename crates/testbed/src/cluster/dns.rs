//! The cluster's DNS: `CoreDNS` as a program of the control plane, behind a Service like any cluster's.
//!
//! Not as pods: those would want an image, a Deployment and a node with power, and all that users of the DNS see, an
//! address and what is answered there, is the same.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::PostParams;
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::paths::{CLUSTER_DOMAIN, CONTROL_PLANE_IP, DNS_IP, Paths};

/// As whom it reads the API.
pub(super) const USER: &str = "system:coredns";
const NAMESPACE: &str = "kube-system";
/// What clients look for.
const SERVICE: &str = "kube-dns";

/// Its configuration: what kubeadm writes, without what needs a network beyond the cluster. Names of the cluster are not
/// cached there either; a record lives for 30 s.
pub(super) fn corefile(paths: &Paths) -> String {
    let kubeconfig = paths.kubeconfig("coredns");
    format!(
        r"{CLUSTER_DOMAIN} in-addr.arpa {{
    bind {CONTROL_PLANE_IP}
    errors
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa {{
        kubeconfig {}
        pods insecure
        ttl 30
    }}
}}
",
        kubeconfig.display()
    )
}

/// Gives it its rights, and makes the Service that leads to it.
pub(super) async fn introduce(client: &Client) -> Result<()> {
    let read = |group: &str, resources: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": ["list", "watch"]});
    let rules = [
        read("", &["endpoints", "services", "pods", "namespaces"]),
        read("discovery.k8s.io", &["endpointslices"]),
    ];
    let api = "rbac.authorization.k8s.io";
    make::<ClusterRole>(&Api::all(client.clone()), &json!({"metadata": {"name": USER}, "rules": rules}))
        .await?;
    let binding = json!({
        "metadata": {"name": USER},
        "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": USER},
        "subjects": [{"apiGroup": api, "kind": "User", "name": USER}],
    });
    make::<ClusterRoleBinding>(&Api::all(client.clone()), &binding).await?;

    let port = |name: &str, protocol: &str| json!({"name": name, "port": 53, "protocol": protocol});
    let ports = [port("dns", "UDP"), port("dns-tcp", "TCP")];
    let service = json!({
        "metadata": {"name": SERVICE, "labels": {"k8s-app": SERVICE}},
        "spec": {"clusterIP": DNS_IP, "ports": ports},
    });
    make::<Service>(&Api::namespaced(client.clone(), NAMESPACE), &service).await?;
    let slice = json!({
        "metadata": {
            "name": format!("{SERVICE}-testbed"),
            "labels": {
                "kubernetes.io/service-name": SERVICE,
                "endpointslice.kubernetes.io/managed-by": "testbed",
            },
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [CONTROL_PLANE_IP], "conditions": {"ready": true}}],
        "ports": ports,
    });
    make::<EndpointSlice>(&Api::namespaced(client.clone(), NAMESPACE), &slice).await
}

/// Makes an object; there already is as good.
async fn make<K>(api: &Api<K>, object: &Value) -> Result<()>
where
    K: Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let object: K = serde_json::from_value(object.clone()).context("describing an object of the DNS")?;
    match api.create(&PostParams::default(), &object).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(error).context("making an object of the DNS"),
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_for_the_clusters_names_only() {
        let text = corefile(&Paths::new("t").unwrap());
        assert!(text.starts_with("cluster.local in-addr.arpa {"), "{text}");
        assert!(text.contains("t/coredns.kubeconfig"), "{text}");
        assert!(!text.contains("forward"), "{text}");
    }
}
