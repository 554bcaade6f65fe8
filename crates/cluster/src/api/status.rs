//! `status`: what users and the CLI read. Types only; every field may be missing, so that a status written
//! by another version can always be read.

#![allow(clippy::doc_markdown)] // kubectl explain shows these texts as they are
#![allow(unreachable_pub)] // KubeSchema makes a public copy of each struct inside a function

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Changes kept in `history`.
pub const LONGEST_HISTORY: usize = 10;

/// What became of the spec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActiveStandbyStatus {
    /// The generation of the spec this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The active pod; missing while nobody is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<ActivePod>,
    /// The seat's term: it grows with every change of the active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<i64>,
    /// True where the followed Lease counts no transitions, so that term is hotstandby's own count, or was seen to change hands without counting it: then term is no fencing token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term_is_no_token: Option<bool>,
    /// Since when the active is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<MicroTime>,
    /// Why the active is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Standbys that could take over now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standbys: Option<i32>,
    /// All members, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub members: Vec<MemberStatus>,
    /// The answer to the newest switchover request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switchover: Option<SwitchoverStatus>,
    /// The newest changes of the active, newest first, at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub history: Vec<HistoryEntry>,
    /// Accepted, Ready, Redundant, DetectionReady, and Stalled where only a human helps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// The active pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ActivePod {
    /// Its name.
    pub pod: String,
    /// Its UID.
    pub uid: String,
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Its node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// One member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MemberStatus {
    /// The pod's name.
    pub name: String,
    /// active or standby.
    pub role: String,
    /// healthy, unhealthy or unknown.
    pub verdict: String,
    /// Armed, NotArmed or Failing; missing where nothing is probed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// The newest error of its probes, as long as it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Why it could not be active now; missing where it could.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfit: Option<String>,
    /// Why no tripwire is held to it; missing where one is, or where none is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tripwire: Option<String>,
    /// What it was told of its role by spec.notify, once nothing more is tried; missing where it is not told, or not yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told: Option<ToldStatus>,
}

/// What a member was told of its role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ToldStatus {
    /// The pod's UID: another pod under its name was told nothing.
    pub uid: String,
    /// The role it was told: active or standby.
    pub role: String,
    /// The term it was told.
    pub term: i64,
    /// Tries of all notices together.
    pub tries: i32,
    /// Whether all notices that can be acknowledged were; missing where none can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<bool>,
    /// Why the newest try failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The answer to a switchover request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SwitchoverStatus {
    /// The request as the annotation had it.
    pub request: String,
    /// Pending, Done, Void or Refused.
    pub phase: String,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When it was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<MicroTime>,
}

/// One change of the active.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HistoryEntry {
    /// The term that began.
    pub term: i64,
    /// The pod that was active before; missing where none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The pod that became active; missing where none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Why.
    pub reason: String,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<MicroTime>,
    /// How long each stage took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stages: Option<StageTimes>,
}

/// How long each stage of a change took, in microseconds. Whole numbers, because a millisecond is too coarse
/// for a write and fractions do not compare well in YAML.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StageTimes {
    /// From the first sign to the proof.
    pub detect_micros: i64,
    /// From the proof to the sending of the seat's write.
    pub decide_micros: i64,
    /// The seat's write.
    pub seat_micros: i64,
    /// The slices' writes.
    pub traffic_micros: i64,
}
