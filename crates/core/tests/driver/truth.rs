//! What was really so, and when last: reasons are judged by this and not by what the API server says.

use super::world::{App, World};
use hotstandby_core::ids::Uid;
use hotstandby_core::reason::Reason;
use hotstandby_core::view::NodeState;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long ago a reason may have been true: a live read lasts a second and takes two at the most, and half a second
/// for the rest.
pub(super) const LATELY: Duration = Duration::from_millis(3_500);

/// Something that speaks against a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Truth {
    Terminating,
    Finished,
    NoAddress,
    Deselected,
    /// The kubelet says so: not what the node controller wrote in its place.
    NotReady,
    NodeGone,
    NodeOutOfService,
    /// The node object says that it is not Ready, or Unknown.
    NodeSilent,
    CriticalEnded,
    Refuses,
    Wrong,
    /// It answers nobody: hung, or its node is off.
    Silent,
    /// This replica cannot reach it, though it reaches others.
    CutFrom(usize),
}

/// When each was last true of each pod.
#[derive(Debug, Default)]
pub(super) struct Truths {
    last: BTreeMap<(Uid, Truth), Duration>,
}

impl Truths {
    pub(super) fn note(&mut self, uid: &Uid, truth: Truth, now: Duration) {
        self.last.insert((uid.clone(), truth), now);
    }

    pub(super) fn lately(&self, uid: &Uid, truth: Truth, now: Duration) -> bool {
        self.last.get(&(uid.clone(), truth)).is_some_and(|at| *at + LATELY >= now)
    }

    /// Whether anything at all spoke against it lately.
    pub(super) fn anything(&self, uid: &Uid, now: Duration, within: Duration) -> bool {
        self.last.iter().any(|((other, _), at)| other == uid && *at + within >= now)
    }

    /// Whether this reason for leaving the holder was true lately; `gone`: its object does not exist.
    pub(super) fn supports(
        &self,
        reason: Reason,
        holder: &Uid,
        (now, replica, gone): (Duration, usize, bool),
    ) -> bool {
        let any = |truths: &[Truth]| truths.iter().any(|truth| self.lately(holder, *truth, now));
        if gone {
            return true; // then any reason will do
        }
        match reason {
            // The second is nobody's reason to write a seat.
            Reason::PodDeleted | Reason::LeaseChanged => false,
            Reason::PodTerminating => any(&[Truth::Terminating]),
            Reason::PodFinished => any(&[Truth::Finished]),
            Reason::AddressLost => any(&[Truth::NoAddress]),
            Reason::LeftGroup => any(&[Truth::Deselected]),
            Reason::CriticalContainerTerminated => any(&[Truth::CriticalEnded]),
            Reason::NodeGone => any(&[Truth::NodeGone]),
            Reason::NodeOutOfService => any(&[Truth::NodeOutOfService]),
            Reason::NotReady => any(&[Truth::NotReady]),
            Reason::NodeNotReady => any(&[Truth::NodeSilent]),
            // Time-outs that prove nothing leave an older judgement of a pod that is no better as it was.
            Reason::ProbeRefused => any(&[Truth::Refuses, Truth::Silent]),
            Reason::ProbeFailed => any(&[Truth::Wrong, Truth::Refuses, Truth::Silent]),
            Reason::ProbeTimedOut => {
                any(&[Truth::Silent, Truth::Refuses, Truth::Wrong, Truth::CutFrom(replica)])
            }
            Reason::Initial
            | Reason::Switchover
            | Reason::Failback
            | Reason::SeatRepaired
            | Reason::SeatRecreated => true,
        }
    }
}

/// Notes what is true now. Called before and after every change, so that nothing is missed.
pub(super) fn note(world: &mut World, cuts: &[(usize, std::sync::Arc<str>)]) {
    let now = world.now;
    for pod in world.pods.values() {
        let view = &pod.view;
        let node = view.node.as_ref().and_then(|name| world.nodes.get(name));
        let state = node.map(|node| node.state);
        let alive = node.is_none_or(|node| node.alive);
        let truths = [
            (Truth::Terminating, view.terminating),
            (Truth::Finished, view.phase.is_finished()),
            (Truth::NoAddress, view.ips.is_empty()),
            (Truth::Deselected, !view.selected),
            (Truth::NotReady, !pod.app_ready || !alive),
            (Truth::NodeGone, state == Some(NodeState::Gone)),
            (Truth::NodeOutOfService, state == Some(NodeState::OutOfService)),
            (Truth::NodeSilent, matches!(state, Some(NodeState::Unknown | NodeState::NotReady))),
            (Truth::CriticalEnded, view.critical_terminated.is_some()),
            (Truth::Refuses, alive && pod.app == App::Refuses),
            (Truth::Wrong, alive && pod.app == App::Wrong),
            (Truth::Silent, !alive || pod.app == App::Hangs || view.phase.is_finished()),
        ];
        let cut = cuts.iter().filter(|(_, node)| view.node.as_ref() == Some(node));
        let cut = cut.map(|(replica, _)| (Truth::CutFrom(*replica), true));
        for (truth, _) in truths.into_iter().chain(cut).filter(|(_, holds)| *holds) {
            world.truths.note(&view.uid, truth, now);
        }
    }
}
