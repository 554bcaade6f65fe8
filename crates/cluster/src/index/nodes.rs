//! Nodes: their state, when they turned, and which groups have members on them.

use super::lists::Stored;
use crate::pod::{Interner, Labels};
use crate::wire::{Condition, WireNode, unix_ms};
use hotstandby_core::ids::GroupKey;
use hotstandby_core::nodes::{TURN_WINDOW, control_plane_ill};
use hotstandby_core::view::NodeState;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// The taint with which somebody vouches that a node is off.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// A node with nothing but what is used of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NodeLite {
    labels: Arc<Labels>,
    ready: Ready,
    since_ms: Option<i64>,
    out_of_service: bool,
    /// When this replica saw Ready turn.
    turned: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ready {
    True,
    False,
    Unknown,
}

impl NodeLite {
    fn new(node: &WireNode, interner: &mut Interner) -> Self {
        let ready = node.status.conditions.iter().find(|condition| condition.kind == "Ready");
        Self {
            labels: interner.labels(node.metadata.labels.as_ref()),
            ready: ready_of(ready),
            since_ms: unix_ms(ready.and_then(|ready| ready.last_transition_time.as_ref())),
            out_of_service: node.spec.taints.iter().any(|taint| taint.key == OUT_OF_SERVICE),
            turned: None,
        }
    }

    fn state(&self) -> NodeState {
        match (self.out_of_service, self.ready) {
            (true, _) => NodeState::OutOfService,
            (false, Ready::True) => NodeState::Ready { since_ms: self.since_ms },
            (false, Ready::False) => NodeState::NotReady,
            (false, Ready::Unknown) => NodeState::Unknown,
        }
    }
}

fn ready_of(condition: Option<&Condition>) -> Ready {
    match condition.map(|condition| condition.status.as_str()) {
        Some("True") => Ready::True,
        Some("False") => Ready::False,
        _ => Ready::Unknown,
    }
}

/// All nodes.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    known: HashMap<Arc<str>, Stored<NodeLite>>,
    groups: HashMap<Arc<str>, HashSet<GroupKey>>,
    ill: bool,
    /// Something turned, came or went since the last judgement.
    stirred: bool,
}

impl Nodes {
    /// Notes a node; tells whether anything of it changed.
    ///
    /// A node's first sight is no turn: a replica that starts must not take a quiet cluster for a stirred one. A
    /// list that shows another state than before is one, although its time is only that of the list.
    pub(super) fn upsert(
        &mut self,
        node: &WireNode,
        epoch: u32,
        now: Duration,
        interner: &mut Interner,
    ) -> bool {
        let Some(name) = node.metadata.name.as_deref() else { return false };
        let mut fresh = NodeLite::new(node, interner);
        if let Some(had) = self.known.get_mut(name) {
            let turned = had.value.ready != fresh.ready;
            fresh.turned = if turned { Some(now) } else { had.value.turned };
            had.epoch = epoch;
            let changed = had.value != fresh;
            had.value = fresh;
            self.stirred |= turned;
            return changed;
        }
        self.stirred = true;
        self.known.insert(name.into(), Stored { epoch, value: fresh });
        true
    }

    pub(super) fn remove(&mut self, name: &str) -> bool {
        self.stirred = true;
        self.known.remove(name).is_some()
    }

    /// Forgets the nodes that the list of `epoch` did not name, and returns them.
    pub(super) fn sweep(&mut self, epoch: u32) -> Vec<Arc<str>> {
        self.stirred = true;
        let gone = self.known.extract_if(|_, node| node.epoch != epoch);
        gone.map(|(name, _)| name).collect()
    }

    /// The groups with members on a node.
    pub(super) fn groups_on(&self, node: &str) -> Vec<GroupKey> {
        self.groups.get(node).into_iter().flatten().cloned().collect()
    }

    /// Notes that a group's members moved from the nodes `before` to the nodes `after`.
    pub(super) fn moved(&mut self, key: &GroupKey, before: &BTreeSet<Arc<str>>, after: &BTreeSet<Arc<str>>) {
        for node in before.difference(after) {
            if let Some(groups) = self.groups.get_mut(node) {
                groups.remove(key);
                if groups.is_empty() {
                    self.groups.remove(node);
                }
            }
        }
        for node in after.difference(before) {
            self.groups.entry(node.clone()).or_default().insert(key.clone());
        }
    }

    /// Judges anew whether the control plane is ill; tells whether that changed.
    pub(super) fn judge(&mut self, now: Duration) -> bool {
        if !std::mem::take(&mut self.stirred) && !self.ill {
            return false;
        }
        let ill = control_plane_ill(now, self.known.values().map(|node| node.value.turned));
        std::mem::replace(&mut self.ill, ill) != ill
    }

    pub(super) const fn is_ill(&self) -> bool {
        self.ill
    }

    /// When an illness may be over without another event.
    pub(super) fn next_judgement(&self, now: Duration) -> Option<Duration> {
        let turns = self.known.values().filter_map(|node| node.value.turned);
        let ends = turns.map(|turned| turned + TURN_WINDOW).filter(|end| *end > now);
        self.ill.then(|| ends.min().unwrap_or(now))
    }

    pub(super) fn state(&self, name: &str) -> NodeState {
        self.known.get(name).map_or(NodeState::Gone, |node| node.value.state())
    }

    /// Whether a node has all these labels.
    pub(super) fn has_labels<'a>(
        &self,
        name: &str,
        mut wanted: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> bool {
        let Some(node) = self.known.get(name) else { return false };
        wanted.all(|(key, value)| node.value.labels.get(key) == Some(value))
    }
}
