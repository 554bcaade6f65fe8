//! `spec.detect`: how a failed active is noticed.

#![allow(clippy::doc_markdown)] // kubectl explain shows these texts as they are
#![allow(unreachable_pub)] // KubeSchema makes a public copy of each struct inside a function

use super::duration::Duration;
use super::port::Port;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a failed active is noticed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "duration(self.timeout) <= duration(self.period)",
    "timeout must not be longer than period (they are 500ms and 1s unless set): lower timeout or raise period"
))]
pub struct Detect {
    /// What is asked of each pod; left out: a TCP connect to the target port of the first Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// Between the starts of two probes of a pod, 50ms to 60s.
    #[x_kube(validation = (
        "duration(self) >= duration('50ms') && duration(self) <= duration('60s')",
        "period must be within 50ms <= period <= 60s"
    ))]
    #[serde(default = "default_period")]
    pub period: Duration,
    /// How long one answer may take, 50ms to 60s and never longer than the period.
    #[x_kube(validation = (
        "duration(self) >= duration('50ms') && duration(self) <= duration('60s')",
        "timeout must be within 50ms <= timeout <= 60s"
    ))]
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// Time-outs or wrong answers in a row that make a pod unhealthy. Refused connections need only two.
    #[schemars(range(min = 1, max = 100))]
    #[serde(default = "default_failure_threshold")]
    pub failure_threshold: i32,
    /// The idle connection to the active that tells of a dead process within milliseconds.
    #[serde(default)]
    pub tripwire: Tripwire,
    /// Containers whose end is the end of their pod's fitness, at once.
    #[serde(default, skip_serializing_if = "CriticalContainersSpec::is_empty")]
    pub critical_containers: CriticalContainersSpec,
}

impl Default for Detect {
    fn default() -> Self {
        Self {
            probe: None,
            period: default_period(),
            timeout: default_timeout(),
            failure_threshold: default_failure_threshold(),
            tripwire: Tripwire::default(),
            critical_containers: CriticalContainersSpec::default(),
        }
    }
}

fn default_period() -> Duration {
    "1s".into()
}

fn default_timeout() -> Duration {
    "500ms".into()
}

fn default_failure_threshold() -> i32 {
    3
}

/// What is asked of each pod: exactly one of the members.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.httpGet), has(self.tcpSocket), has(self.grpc)].filter(given, given).size() == 1",
    "probe must have exactly one of httpGet, tcpSocket and grpc; without any, remove probe"
))]
pub struct Probe {
    /// A GET request; redirects are not followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HttpGet>,
    /// A TCP connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp_socket: Option<TcpSocket>,
    /// The gRPC health check. Refused by this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<Grpc>,
}

/// An HTTP probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpGet {
    /// The path, beginning with `/`.
    #[serde(default = "root_path")]
    #[schemars(length(min = 1, max = 1024), extend("pattern" = "^/[!-~]*$"))]
    pub path: String,
    /// A port number, or the name of a container port.
    pub port: Port,
    /// HTTPS does not verify the certificate, as with the kubelet's probes.
    #[serde(default)]
    pub scheme: Scheme,
    /// The Host header; left out: the pod's address. The connection always goes to the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), extend("pattern" = r"^[A-Za-z0-9.:_\[\]-]+$"))]
    pub host: Option<String>,
    /// The only status that is healthy; left out: 200 to 399, as with the kubelet's probes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 200, max = 599))]
    pub expected_status: Option<i32>,
}

fn root_path() -> String {
    "/".to_owned()
}

/// HTTP or HTTPS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Scheme {
    /// Plain.
    #[default]
    #[serde(rename = "HTTP")]
    Http,
    /// TLS, the certificate is not verified.
    #[serde(rename = "HTTPS")]
    Https,
}

/// A TCP probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TcpSocket {
    /// A port number, or the name of a container port.
    pub port: Port,
}

/// A gRPC probe. Refused by this version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Grpc {
    /// A port number.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// The service asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub service: Option<String>,
}

/// The idle connection to the active.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Tripwire {
    /// Auto: where the server can answer a second connection while the first idles. "Off": never; it needs the
    /// quotes in YAML, where a bare Off is the boolean false.
    pub mode: TripwireMode,
}

/// Whether the tripwire is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TripwireMode {
    /// Where the server allows it.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// Containers whose end is the end of their pod's fitness.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!self.deletePod || (has(self.names) && size(self.names) > 0) || has(self.env)",
    "deletePod needs names or env: without them no container is critical"
))]
pub struct CriticalContainersSpec {
    /// Their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub names: Vec<String>,
    /// An environment variable that marks them in the pod's template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<EnvMark>,
    /// A pod of which a critical container terminated is deleted, with grace period 0 (1 second in a StatefulSet), so that a new one takes its place. Needs the rights of `hotstandby manifests --with delete-pods`.
    #[serde(default)]
    pub delete_pod: bool,
}

impl CriticalContainersSpec {
    fn is_empty(&self) -> bool {
        self.names.is_empty() && self.env.is_none() && !self.delete_pod
    }
}

/// An environment variable with a literal value in the pod's template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvMark {
    /// The variable's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The value that marks a container; values taken from elsewhere (`valueFrom`) are not seen.
    #[schemars(length(max = 253))]
    pub value: String,
}
