//! How a group looks at pods, and what it sees: members.

use super::{Ended, OwnerKind, PodLite, Times};
use crate::api::{CriticalContainers, Selector};
use crate::marked::Undo;
use hotstandby_core::ids::GroupKey;
use hotstandby_core::view::{Mark, MemberView};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The label on a `StatefulSet`'s pod that names its revision.
const CONTROLLER_REVISION_HASH: &str = "controller-revision-hash";

/// How a group looks at pods: everything a member's view needs beside the pod itself.
#[derive(Clone, Debug)]
pub struct Lens {
    /// The group's selector; `None` where the spec never was valid.
    pub selector: Option<Arc<Selector>>,
    /// Its critical containers.
    pub critical: Arc<CriticalContainers>,
    /// Keys of the labels it leads: the others are nothing to a member's view.
    pub led: Arc<[Arc<str>]>,
    /// What is known of its members' owners.
    pub owners: Owners,
    /// Groups that lead the labels of pods which are its members, too.
    pub rivals: Vec<Rival>,
}

/// Another group of this install that leads labels.
#[derive(Clone, Debug)]
pub struct Rival {
    /// Which.
    pub key: GroupKey,
    /// Its selector.
    pub selector: Arc<Selector>,
}

/// Revisions of owners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    /// Revision number by `ReplicaSet`.
    pub replica_sets: HashMap<Arc<str>, u64>,
    /// Update revision by `StatefulSet`.
    pub stateful_sets: HashMap<Arc<str>, Arc<str>>,
}

impl Owners {
    /// The rank of a pod's revision among its owner's: higher is newer, 0 where nothing is known.
    fn rank(&self, pod: &PodLite) -> u64 {
        match &pod.template.owner {
            Some((OwnerKind::ReplicaSet, name)) => self.replica_sets.get(name).copied().unwrap_or(0),
            Some((OwnerKind::StatefulSet, name)) => {
                let newest = self.stateful_sets.get(name).map(|revision| &**revision);
                u64::from(newest.is_some() && newest == pod.label(CONTROLLER_REVISION_HASH))
            }
            None => 0,
        }
    }
}

impl Lens {
    /// Whether the group's selector picks this pod.
    pub fn picks(&self, pod: &PodLite) -> bool {
        self.selector.as_ref().is_some_and(|selector| selector.matches_by(|key| pod.label(key)))
    }
}

/// A pod as a member of the group with this lens.
pub fn to_member_view(pod: &PodLite, lens: &Lens) -> MemberView {
    MemberView {
        name: pod.name.clone(),
        uid: pod.uid(),
        rv: pod.rv(),
        ips: pod.ips(),
        node: pod.node.clone(),
        phase: pod.phase,
        ready: pod.ready || only_helpers_ended(pod, &lens.critical),
        ready_said: pod.ready_said,
        ready_turned_ms: Times::get(pod.times.ready_turned),
        terminating: pod.terminating,
        selected: lens.picks(pod),
        created_ms: pod.created_ms(),
        started_ms: Times::get(pod.times.started),
        priority: pod.priority,
        revision: lens.owners.rank(pod),
        critical_terminated: critical_terminated(pod, &lens.critical),
        mesh: pod.template.mesh,
        named_ports: pod.template.ports.clone(),
        labels: led_labels(pod, &lens.led),
        mark: mark(pod, &lens.rivals),
        stateful: matches!(pod.template.owner, Some((OwnerKind::StatefulSet, _))),
    }
}

/// The marks on a pod, as a group must take them. A pod has room for one group's: where another leads its labels they are not this
/// group's to write, whoever wrote them last, and say nothing about its seat.
fn mark(pod: &PodLite, rivals: &[Rival]) -> Option<Mark> {
    let rival = rivals.iter().find(|rival| rival.selector.matches_by(|key| pod.label(key)));
    rival.map_or_else(
        || pod.marked().map(|marked| marked.mark.clone()),
        |rival| {
            let controller = format!("another group, {}", rival.key).into();
            Some(Mark { controller, stamp: None, undo: Undo::new() })
        },
    )
}

fn led_labels(pod: &PodLite, led: &[Arc<str>]) -> BTreeMap<Arc<str>, Arc<str>> {
    led.iter().filter_map(|key| Some((key.clone(), pod.template.labels.shared(key)?.clone()))).collect()
}

/// Whether it is not ready only because containers ended that are not critical, where some are: then they may.
fn only_helpers_ended(pod: &PodLite, critical: &CriticalContainers) -> bool {
    let unready = pod.unready_by_end();
    !critical.is_empty()
        && !unready.is_empty()
        && !ends_of(pod, critical).any(|end| unready.contains(&end.container))
}

/// The ends of its critical containers.
fn ends_of<'a>(pod: &'a PodLite, critical: &'a CriticalContainers) -> impl Iterator<Item = &'a Ended> {
    pod.ended().iter().filter(|end| {
        critical.contains(&end.container, end.env.iter().map(|(key, value)| (&**key, &**value)))
    })
}

/// The newest end of a critical container, by the kubelet's clock; ties go to the later in the pod.
fn critical_terminated(pod: &PodLite, critical: &CriticalContainers) -> Option<Arc<str>> {
    if critical.is_empty() {
        return None;
    }
    ends_of(pod, critical).max_by_key(|end| end.finished_ms).map(|end| end.instance.clone())
}
