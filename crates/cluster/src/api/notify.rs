//! `spec.notify`: who is told of a role, and how.

#![allow(clippy::doc_markdown)] // kubectl explain shows these texts as they are
#![allow(unreachable_pub)] // KubeSchema makes a public copy of each struct inside a function

use super::detect::Scheme;
use super::duration::Duration;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One way to tell members their role. It is tried again until it is acknowledged or its deadline is over, and never sent to a pod whose role has changed meanwhile; what became of it stands in status.members[].told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.udp) != has(self.http)",
    "a notice must have exactly one of udp and http"
))]
pub struct Notify {
    /// A UDP datagram to the pod's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp: Option<UdpNotice>,
    /// An HTTP POST to the pod's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpNotice>,
    /// Which roles are told: Active, the pod that becomes active; Standby, all others, the old active among them.
    #[serde(default = "active_only")]
    #[schemars(length(min = 1, max = 2))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub roles: Vec<Role>,
    /// UDP: any datagram back from that port is an acknowledgement and ends the tries; false: all tries until the deadline are made. HTTP needs no such thing: a status from 200 to 299 always acknowledges.
    #[serde(default)]
    pub acknowledge: bool,
    /// Between the starts of two tries, 50ms to 1m.
    #[x_kube(validation = (
        "duration(self) >= duration('50ms') && duration(self) <= duration('1m')",
        "interval must be within 50ms <= interval <= 1m"
    ))]
    #[serde(default = "default_interval")]
    pub interval: Duration,
    /// How long one try waits for its answer, 50ms to 1m.
    #[x_kube(validation = (
        "duration(self) >= duration('50ms') && duration(self) <= duration('1m')",
        "timeout must be within 50ms <= timeout <= 1m"
    ))]
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// After the first try, when no further one is begun, 50ms to 1h. With order Strict the old active is asked on until it acknowledges or ends.
    #[x_kube(validation = (
        "duration(self) >= duration('50ms') && duration(self) <= duration('1h')",
        "deadline must be within 50ms <= deadline <= 1h"
    ))]
    #[serde(default = "default_deadline")]
    pub deadline: Duration,
}

fn active_only() -> Vec<Role> {
    vec![Role::Active]
}

fn default_interval() -> Duration {
    "200ms".into()
}

fn default_timeout() -> Duration {
    "500ms".into()
}

fn default_deadline() -> Duration {
    "2s".into()
}

/// A member's role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Role {
    /// It holds the seat.
    Active,
    /// It does not.
    Standby,
}

/// A UDP datagram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UdpNotice {
    /// The port on the pod's address.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Its content, 1 to 512 bytes; {role}, {term} and {pod} are filled in, all else goes out to the letter.
    #[schemars(length(min = 1, max = 512))]
    pub message: String,
}

/// An HTTP POST with the JSON body {"group", "pod", "role", "term"} and the headers Hotstandby-Role and Hotstandby-Term. Redirects are not followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpNotice {
    /// The port on the pod's address.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// The path, beginning with `/`.
    #[serde(default = "root_path")]
    #[schemars(length(min = 1, max = 1024), extend("pattern" = "^/[!-~]*$"))]
    pub path: String,
    /// HTTPS does not verify the certificate, as with the kubelet's probes.
    #[serde(default)]
    pub scheme: Scheme,
}

fn root_path() -> String {
    "/".to_owned()
}
