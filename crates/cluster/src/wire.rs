//! Kinds as they are watched: only the fields that are used are read from the stream.
//!
//! A pod is tens of kilobytes of JSON and a few hundred bytes of interest. What is not named here is never held in
//! memory, `managedFields` above all.

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::Resource;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Metadata without `managedFields`.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct SlimMeta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
    finalizers: Option<Vec<String>>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
}

/// Reads metadata and leaves `managedFields` out.
pub(crate) fn slim_meta<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let meta = SlimMeta::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: meta.name,
        namespace: meta.namespace,
        uid: meta.uid,
        resource_version: meta.resource_version,
        generation: meta.generation,
        labels: meta.labels,
        annotations: meta.annotations,
        owner_references: meta.owner_references,
        finalizers: meta.finalizers,
        creation_timestamp: meta.creation_timestamp,
        deletion_timestamp: meta.deletion_timestamp,
        ..ObjectMeta::default()
    })
}

/// `null` where the API gives it reads as the default, as everywhere in Kubernetes.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

macro_rules! wire {
    ($(#[$doc:meta])* $name:ident, $scope:ty, $group:literal, $kind:literal, $plural:literal, $spec:ty, $status:ty) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Deserialize)]
        pub struct $name {
            /// Metadata without `managedFields`.
            #[serde(deserialize_with = "slim_meta")]
            pub metadata: ObjectMeta,
            /// What is used of `spec`.
            #[serde(default, deserialize_with = "or_default")]
            pub spec: $spec,
            /// What is used of `status`.
            #[serde(default, deserialize_with = "or_default")]
            pub status: $status,
        }

        impl Resource for $name {
            type DynamicType = ();
            type Scope = $scope;
            fn kind(_: &()) -> Cow<'_, str> {
                $kind.into()
            }
            fn group(_: &()) -> Cow<'_, str> {
                $group.into()
            }
            fn version(_: &()) -> Cow<'_, str> {
                "v1".into()
            }
            fn plural(_: &()) -> Cow<'_, str> {
                $plural.into()
            }
            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

wire!(
    /// A pod.
    WirePod, NamespaceResourceScope, "", "Pod", "pods", PodSpec, PodStatus
);
wire!(
    /// A node.
    WireNode, k8s_openapi::ClusterResourceScope, "", "Node", "nodes", NodeSpec, NodeStatus
);
wire!(
    /// A Service.
    WireService, NamespaceResourceScope, "", "Service", "services", ServiceSpec, Nothing
);
wire!(
    /// A `ReplicaSet`.
    WireReplicaSet, NamespaceResourceScope, "apps", "ReplicaSet", "replicasets", ReplicaSetSpec, ReplicaSetStatus
);
wire!(
    /// A `StatefulSet`.
    WireStatefulSet, NamespaceResourceScope, "apps", "StatefulSet", "statefulsets", Nothing, StatefulSetStatus
);

/// No field of it is used.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Nothing {}

/// Of a pod's spec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// The node.
    pub node_name: Option<String>,
    /// The containers.
    #[serde(deserialize_with = "or_default")]
    pub containers: Vec<Container>,
    /// Among them, native sidecars.
    #[serde(deserialize_with = "or_default")]
    pub init_containers: Vec<Container>,
}

/// Of a container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its ports.
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<ContainerPort>,
    /// Its environment.
    #[serde(deserialize_with = "or_default")]
    pub env: Vec<EnvVar>,
    /// `Always` on a native sidecar.
    pub restart_policy: Option<String>,
}

/// Of a container's port.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPort {
    /// Its name.
    pub name: Option<String>,
    /// Its number.
    pub container_port: i32,
}

/// An environment variable; one from elsewhere has no value here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Its literal value.
    pub value: Option<String>,
}

/// Of a pod's status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// Phase.
    pub phase: Option<String>,
    /// All addresses.
    #[serde(rename = "podIPs", deserialize_with = "or_default")]
    pub pod_ips: Vec<PodIp>,
    /// The first address, where `podIPs` is missing.
    #[serde(rename = "podIP")]
    pub pod_ip: Option<String>,
    /// Conditions.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
    /// When the kubelet took it.
    pub start_time: Option<Time>,
    /// What became of its containers.
    #[serde(deserialize_with = "or_default")]
    pub container_statuses: Vec<ContainerStatus>,
    /// What became of its init containers, native sidecars among them.
    #[serde(deserialize_with = "or_default")]
    pub init_container_statuses: Vec<ContainerStatus>,
}

/// One address of a pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodIp {
    /// The address.
    pub ip: String,
}

/// A condition of a pod or node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// True, False or Unknown.
    pub status: String,
    /// Why, in one word.
    pub reason: String,
    /// When it last turned.
    pub last_transition_time: Option<Time>,
}

/// What became of a container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    /// Its name.
    pub name: String,
    /// Whether it passes its readiness probe. True for ever on a dead node: never looked at but to tell whose fault it is that the
    /// pod is not ready.
    pub ready: bool,
    /// Its state now.
    #[serde(deserialize_with = "or_default")]
    pub state: ContainerState,
    /// How its instance before ended.
    #[serde(deserialize_with = "or_default")]
    pub last_state: ContainerState,
}

/// A container's state, as far as it matters: whether it ended.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerState {
    /// Present where it ended.
    pub terminated: Option<Terminated>,
}

/// A container's end.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Terminated {
    /// The ended instance.
    #[serde(rename = "containerID")]
    pub container_id: Option<String>,
    /// When.
    pub finished_at: Option<Time>,
}

/// Of a node's spec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    /// Its taints.
    #[serde(deserialize_with = "or_default")]
    pub taints: Vec<Taint>,
}

/// A taint.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Taint {
    /// Its key.
    pub key: String,
}

/// Of a node's status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// Conditions.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
}

/// Of a Service's spec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// The selector.
    #[serde(deserialize_with = "or_default")]
    pub selector: BTreeMap<String, String>,
    /// The type.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Its ports.
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<ServicePort>,
    /// Its families.
    #[serde(deserialize_with = "or_default")]
    pub ip_families: Vec<String>,
}

/// A Service's port.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    /// Its name.
    pub name: Option<String>,
    /// TCP, UDP or SCTP.
    pub protocol: Option<String>,
    /// Its number.
    pub port: i32,
    /// Where it leads.
    pub target_port: Option<IntOrString>,
    /// What is spoken on it.
    pub app_protocol: Option<String>,
}

/// Of a `ReplicaSet`'s spec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ReplicaSetSpec {
    /// How many pods are wanted.
    pub replicas: Option<i32>,
}

/// Of a `ReplicaSet`'s status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ReplicaSetStatus {
    /// How many pods there are.
    pub replicas: Option<i32>,
}

/// Of a `StatefulSet`'s status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StatefulSetStatus {
    /// The revision its pods are being brought to.
    pub update_revision: Option<String>,
}

/// Unix milliseconds of a time.
pub(crate) fn unix_ms(time: Option<&Time>) -> Option<i64> {
    time.map(|Time(at)| Timestamp::as_millisecond(*at))
}
