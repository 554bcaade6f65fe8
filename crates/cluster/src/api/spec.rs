//! The kind and its `spec`. The doc comments here are what `kubectl explain` shows.

#![allow(clippy::doc_markdown)] // kubectl explain shows these texts as they are
#![allow(unreachable_pub)] // KubeSchema makes a public copy of each struct inside a function

use super::detect::Detect;
use super::duration::Duration;
use super::notify::Notify;
use super::selector::LabelSelector;
use super::status::ActiveStandbyStatus;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one group of pods wants: one active, the others hot, and Services that lead to the active one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "hotstandby.dev",
    version = "v1alpha1",
    kind = "ActiveStandby",
    plural = "activestandbies",
    singular = "activestandby",
    shortname = "astb",
    namespaced,
    status = "ActiveStandbyStatus",
    derive = "PartialEq",
    doc = "A group of ready pods of which exactly one is active, and the Services that lead to it.",
    printcolumn = r#"{"name": "READY", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status", "description": "Whether exactly one active is served."}"#,
    printcolumn = r#"{"name": "ACTIVE", "type": "string", "jsonPath": ".status.active.pod", "description": "The active pod."}"#,
    printcolumn = r#"{"name": "TERM", "type": "integer", "jsonPath": ".status.term", "description": "The seat's term: it grows with every change of the active."}"#,
    printcolumn = r#"{"name": "STANDBYS", "type": "integer", "jsonPath": ".status.standbys", "description": "Standbys that could take over now."}"#,
    printcolumn = r#"{"name": "SINCE", "type": "date", "jsonPath": ".status.since", "description": "How long the active has been active."}"#,
    printcolumn = r#"{"name": "AGE", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": "The group's age."}"#,
    printcolumn = r#"{"name": "REASON", "type": "string", "jsonPath": ".status.reason", "description": "Why the active is active.", "priority": 1}"#
)]
#[x_kube(
    validation = (
        "!has(self.roleLabel) || !has(self.selector.matchLabels) || !(self.roleLabel.key in self.selector.matchLabels)",
        "selector must not ask for roleLabel.key: a pod's role changes, and it would leave the group with it"
    ),
    validation = (
        "self.order != 'Strict' || self.election.mode == 'Controller'",
        "order Strict needs election mode Controller: whom others elected is active already"
    ),
    validation = (
        "self.order != 'Strict' || (has(self.notify) && self.notify.exists(one, 'Standby' in one.roles && (has(one.http) || one.acknowledge)))",
        "order Strict needs a notice that the old active can acknowledge: one with roles [Active, Standby] and http, or acknowledge: true"
    )
)]
pub struct ActiveStandbySpec {
    /// The group's pods, all of the group's own namespace.
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub selector: LabelSelector,
    /// Who elects the active.
    #[serde(default)]
    pub election: Election,
    /// The Services that lead to the active pod.
    pub traffic: Traffic,
    /// A label of the members' pods that tells the roles; put right whoever changes it, and taken off when the group goes. Needs the rights of `hotstandby manifests --with role-labels`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_label: Option<RoleLabel>,
    /// How a failed active is noticed.
    #[serde(default)]
    pub detect: Detect,
    /// Which standby is next.
    #[serde(default)]
    pub candidates: Candidates,
    /// Whether the seat returns to a better member.
    #[serde(default)]
    pub failback: Failback,
    /// What becomes of the pod that lost the seat: Keep, it stays as a standby; Delete, it is deleted once traffic has left it, which ends its old connections too. It is never deleted where only time-outs speak against it. Delete needs the rights of `hotstandby manifests --with delete-pods`.
    #[serde(default)]
    pub old_active: OldActive,
    /// How members are told their role, at most 4 ways.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub notify: Vec<Notify>,
    /// Whether a new active waits for the old one. Overlap: it is promoted at once. Strict: only once the old one has acknowledged that it is active no more, or is gone; until then traffic stays where it is, which after the loss of a node means until somebody vouches that the node is off.
    #[serde(default)]
    pub order: Order,
    /// Pauses the group: nobody fails over and nobody is moved. The annotation `hotstandby.dev/paused: "true"` does the same.
    #[serde(default)]
    pub paused: bool,
    /// What removal of the group does to traffic: Delete removes it, Orphan leaves it as it is.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Lets hotstandby delete, once, what an earlier selector left behind for the Services. Refused by this version.
    #[serde(default)]
    pub adopt_service: bool,
}

/// Who elects the active.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("self.mode == 'Controller' || has(self.lease)", "lease must be given where mode is Pods or External"),
    validation = ("self.mode != 'Controller' || !has(self.lease)", "lease must be left out where mode is Controller: that seat is hotstandby's own")
)]
pub struct Election {
    /// Controller: hotstandby elects for the pods. Pods: the pods elect among themselves, through hotstandby-await. External: anybody else's leader election.
    #[serde(default)]
    pub mode: ElectionMode,
    /// The Lease that says who is active, for Pods and External.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseRef>,
}

/// Who elects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ElectionMode {
    /// The controller, on the pods' behalf.
    #[default]
    Controller,
    /// The pods, through a Lease.
    Pods,
    /// Somebody else, through a Lease.
    External,
}

/// A Lease of the group's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeaseRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// How the holder's text names a pod, where it is neither the pod's name nor that and a tail after an underscore: {pod}, {uid}, {ip} or {node} in fixed text, with * for anything at an end, such as op-{pod}_*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), extend("pattern" = HOLDER_PATTERN))]
    pub holder: Option<String>,
}

/// What stands between `*` and the rest must be in no name: else one pod's text would begin like another's.
const HOLDER_PATTERN: &str =
    r"^(\*[^{}*]*[^{}*A-Za-z0-9.:-]|[^{}*]*)\{(pod|uid|ip|node)\}([^{}*A-Za-z0-9.:-][^{}*]*\*|[^{}*]*)$";

/// The Services that lead to the active pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// 1 to 8 Services, each named once. The first one's target port is what is probed by default.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub services: Vec<ServiceRef>,
    /// Keep: while nobody may be active, traffic stays with the last active as long as its pod exists. Clear: it goes nowhere.
    #[serde(default)]
    pub when_no_candidate: WhenNoCandidate,
}

/// A Service of the group's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRef {
    /// Its name.
    #[schemars(length(min = 1, max = 63), extend("pattern" = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub name: String,
    /// Auto: without a selector, an EndpointSlice of hotstandby's own leads to the active; with a selector, this must ask for roleLabel.key with the active's value. SelectorPointer: the selector is changed so that it names the active, in one write; needs the rights of `hotstandby manifests --with selector-pointer`.
    #[serde(default)]
    pub mode: ServiceMode,
}

/// How a Service is led to the active.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceMode {
    /// By a slice of our own, or by the role label that its selector asks for.
    #[default]
    Auto,
    /// By its selector, which is made to name the active.
    SelectorPointer,
}

/// What Services lead to while nobody may be active.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhenNoCandidate {
    /// The last active, as long as its pod exists.
    #[default]
    Keep,
    /// Nothing.
    Clear,
}

/// A label that tells the roles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("self.active != self.standby", "active and standby must differ"))]
pub struct RoleLabel {
    /// The label's key.
    #[schemars(length(min = 1, max = 317), extend("pattern" = LABEL_KEY_PATTERN))]
    #[x_kube(validation = (
        "self != 'hotstandby.dev/member'",
        "key must not be hotstandby.dev/member, which the selector pointer uses"
    ))]
    pub key: String,
    /// The active's value.
    #[serde(default = "active_value")]
    #[schemars(length(min = 1, max = 63), extend("pattern" = "^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$"))]
    pub active: String,
    /// The standbys' value; empty: standbys carry no such label.
    #[serde(default = "standby_value")]
    #[schemars(length(max = 63), extend("pattern" = "^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$"))]
    pub standby: String,
}

const LABEL_KEY_PATTERN: &str =
    r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$";

fn active_value() -> String {
    "active".to_owned()
}

fn standby_value() -> String {
    "standby".to_owned()
}

/// Which standby is next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Candidates {
    /// Nodes that are preferred over all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefer_nodes: Option<PreferNodes>,
    /// What makes a candidate better, the most important first; ties end by name.
    #[serde(default = "default_order")]
    #[schemars(length(max = 5))]
    #[x_kube(
        merge_strategy = ListMerge::Atomic,
        validation = ("self.all(one, self.exists_one(other, one == other))", "order must name each criterion once")
    )]
    pub order: Vec<OrderBy>,
}

impl Default for Candidates {
    fn default() -> Self {
        Self { prefer_nodes: None, order: default_order() }
    }
}

fn default_order() -> Vec<OrderBy> {
    vec![OrderBy::Priority, OrderBy::NewestRevision, OrderBy::LongestReady]
}

/// Preferred nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PreferNodes {
    /// Labels of preferred nodes; all must hold.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub match_labels: BTreeMap<String, String>,
}

/// One criterion of the candidates' order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OrderBy {
    /// Higher `hotstandby.dev/priority` first.
    Priority,
    /// Newer revision of the Deployment or StatefulSet first.
    NewestRevision,
    /// Longer Ready first.
    LongestReady,
    /// Earlier start first.
    OldestStart,
    /// By name.
    Name,
}

/// Whether the seat returns to a better member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("self.policy != 'AfterDelay' || has(self.delay)", "delay must be given where policy is AfterDelay, for example 60s"),
    validation = ("self.policy == 'AfterDelay' || !has(self.delay)", "delay must be left out unless policy is AfterDelay")
)]
pub struct Failback {
    /// Never: the seat stays. AfterDelay: it returns once a better member has been healthy for the delay.
    #[serde(default)]
    pub policy: FailbackPolicy,
    /// How long the better member must have been healthy, 1s to 24h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = (
        "duration(self) >= duration('1s') && duration(self) <= duration('24h')",
        "delay must be within 1s <= delay <= 24h"
    ))]
    pub delay: Option<Duration>,
}

/// Whether the seat returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FailbackPolicy {
    /// It stays where it is.
    #[default]
    Never,
    /// Once a better member has been healthy for the delay.
    AfterDelay,
}

/// What becomes of the pod that lost the seat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OldActive {
    /// It stays.
    #[default]
    Keep,
    /// It is deleted, unless only time-outs speak against it.
    Delete,
}

/// Whether a new active waits for the old one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Order {
    /// It is promoted at once.
    #[default]
    Overlap,
    /// It is promoted once the old one has acknowledged, or is gone.
    Strict,
}

/// What removal of the group does to traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Slices and seat go.
    #[default]
    Delete,
    /// Slices stay as they are.
    Orphan,
}
