//! Objects of users as the commands for people look at them: whole, typed, from a cluster or from YAML.
//!
//! For commands that run once. The controller has slimmer types of its own, because it keeps them all.

mod read;
mod yaml;

pub use read::{Source, Unread};
pub(crate) use read::{get, list};
pub use yaml::BadYaml;

use crate::api::ActiveStandby;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Endpoints, Pod, PodSpec, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;
use std::fmt;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// Services.
    pub services: Vec<Service>,
    /// What pods are made from; a pod that nobody made counts, too.
    pub workloads: Vec<Workload>,
    /// Pods.
    pub pods: Vec<Pod>,
    /// EndpointSlices.
    pub slices: Vec<EndpointSlice>,
    /// v1 Endpoints.
    pub endpoints: Vec<Endpoints>,
    /// `ConfigMaps`, from YAML only: reading all of a cluster's would be reading what is none of our business.
    pub config_maps: Vec<ConfigMap>,
    /// Leases.
    pub leases: Vec<Lease>,
    /// Roles.
    pub roles: Vec<Role>,
    /// Their bindings.
    pub role_bindings: Vec<RoleBinding>,
    /// Groups of hotstandby.
    pub groups: Vec<ActiveStandby>,
    /// Kinds that could not be read, and why not.
    pub unread: Vec<Unread>,
    /// Whether the pods are known: those of a cluster are, those of a file only where it has some.
    pub live: bool,
}

/// What pods are made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Kind, namespace and name.
    pub at: At,
    /// Labels of its pods.
    pub labels: BTreeMap<String, String>,
    /// The pods' spec.
    pub spec: PodSpec,
    /// Replicas asked for.
    pub replicas: Option<i32>,
    /// The kind and name of its own owner: an operator's object, say.
    pub owner: Option<String>,
}

/// An object, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct At {
    /// Kind.
    pub kind: String,
    /// Namespace; empty where the kind has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl At {
    /// An object of this kind.
    pub fn new(kind: &str, namespace: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The object with this metadata.
    pub fn of(kind: &str, meta: &ObjectMeta) -> Self {
        Self::new(kind, namespace_of(meta), name_of(meta))
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, namespace, name } = self;
        if namespace.is_empty() { write!(f, "{kind} {name}") } else { write!(f, "{kind} {namespace}/{name}") }
    }
}

impl Workload {
    /// Its containers, those among the init containers that stay included.
    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        let stays = |init: &&Container| init.restart_policy.as_deref() == Some("Always");
        self.spec.containers.iter().chain(self.spec.init_containers.iter().flatten().filter(stays))
    }
}

/// The namespace, empty where there is none.
pub fn namespace_of(meta: &ObjectMeta) -> &str {
    meta.namespace.as_deref().unwrap_or_default()
}

/// The name, empty where there is none.
pub fn name_of(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

/// A label's value.
pub fn label<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.labels.as_ref()?.get(key).map(String::as_str)
}

/// An annotation's value.
pub fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

/// Whether `labels` have all that `selector` asks for. An empty selector picks nothing here.
pub fn picks(selector: &BTreeMap<String, String>, labels: Option<&BTreeMap<String, String>>) -> bool {
    !selector.is_empty()
        && selector.iter().all(|(key, value)| labels.is_some_and(|labels| labels.get(key) == Some(value)))
}

/// The selector of a Service; empty where it has none.
pub fn selector_of(service: &Service) -> BTreeMap<String, String> {
    service.spec.as_ref().and_then(|spec| spec.selector.clone()).unwrap_or_default()
}

/// `a=b, c=d`.
pub fn pairs_text(pairs: &BTreeMap<String, String>) -> String {
    pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}

/// Whether a pod could be served now: Running, Ready, and not on its way out.
pub fn is_fit(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let running = status.and_then(|status| status.phase.as_deref()) == Some("Running");
    let ready = status
        .and_then(|status| status.conditions.as_ref())
        .is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"));
    running && ready && pod.metadata.deletion_timestamp.is_none()
}

/// Whether a pod still counts: it is not on its way out, and has not ended.
pub fn is_alive(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Succeeded" | "Failed"))
}

/// Kind and name of what controls an object.
fn controller_of(meta: &ObjectMeta) -> Option<String> {
    let owner = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))?;
    Some(format!("{} {}", owner.kind, owner.name))
}
