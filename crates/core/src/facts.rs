//! Facts about the active pod: what Kubernetes itself says, as against our probes' judgement.

use crate::ids::{Rv, Uid};
use crate::reason::Reason;
use crate::view::{MemberView, NodeState};

const NODE_GONE: &str = "node-gone";
const NODE_OUT_OF_SERVICE: &str = "node-out-of-service";
const NODE_NOT_READY: &str = "node-not-ready";

/// A fact that justifies leaving the active pod. One fact justifies at most one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it is.
    pub reason: Reason,
    /// Which one: the pod's UID, and what tells this fact from the next (resourceVersion, container instance).
    pub key: (Uid, Rv),
}

impl Fact {
    /// Whether a fact with this key is the node's: once the node is Ready again, its next loss is another fact.
    pub fn is_of_node(key: &(Uid, Rv)) -> bool {
        matches!(key.1.as_str(), NODE_GONE | NODE_OUT_OF_SERVICE | NODE_NOT_READY)
    }
}

/// What the facts say of a member that holds the seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing against it.
    Fine,
    /// It must be left.
    Leave(Fact),
    /// Something is wrong that only a probe can confirm: one failing probe is enough now, and where no probe is
    /// possible the fact stands alone.
    Doubtful(Fact),
}

/// What surrounds the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// Its node, if read.
    pub node: Option<NodeState>,
    /// More than half of all nodes turned within a minute.
    pub control_plane_ill: bool,
    /// Its node came back so lately that the pod's Ready=False may still be the node controller's.
    pub node_just_back: bool,
    /// A critical container instance terminated that had not before.
    pub critical_is_new: bool,
}

/// Sorts the facts about the holder, hard ones first.
pub fn standing(member: &MemberView, around: Surroundings) -> Standing {
    hard(member, around).map_or_else(|| soft(member, around), Standing::Leave)
}

fn fact(member: &MemberView, reason: Reason, mark: impl Into<Rv>) -> Fact {
    Fact { reason, key: (member.uid.clone(), mark.into()) }
}

fn hard(member: &MemberView, around: Surroundings) -> Option<Fact> {
    let by_rv = |reason| Some(fact(member, reason, member.rv.clone()));
    if member.phase.is_finished() {
        return by_rv(Reason::PodFinished);
    }
    if member.terminating {
        return by_rv(Reason::PodTerminating);
    }
    match around.node {
        Some(NodeState::Gone) => return Some(fact(member, Reason::NodeGone, NODE_GONE)),
        Some(NodeState::OutOfService) => {
            return Some(fact(member, Reason::NodeOutOfService, NODE_OUT_OF_SERVICE));
        }
        _ => {}
    }
    if let Some(instance) = member.critical_terminated.as_deref().filter(|_| around.critical_is_new) {
        return Some(fact(member, Reason::CriticalContainerTerminated, instance));
    }
    if member.ips.is_empty() {
        return by_rv(Reason::AddressLost);
    }
    if !member.selected {
        return by_rv(Reason::LeftGroup);
    }
    None
}

fn soft(member: &MemberView, around: Surroundings) -> Standing {
    if around.control_plane_ill {
        return Standing::Fine;
    }
    let node_silent = matches!(around.node, Some(NodeState::Unknown | NodeState::NotReady));
    if member.ready {
        return if node_silent {
            Standing::Doubtful(fact(member, Reason::NodeNotReady, NODE_NOT_READY))
        } else {
            Standing::Fine
        };
    }
    match around.node {
        Some(NodeState::Unknown | NodeState::NotReady) => {
            Standing::Doubtful(fact(member, Reason::NodeNotReady, NODE_NOT_READY))
        }
        // Not the kubelet's words: the node controller's, though the watch of nodes may not have told of it yet.
        _ if !member.ready_said => Standing::Doubtful(fact(member, Reason::NotReady, member.rv.clone())),
        Some(NodeState::Ready { since_ms }) if around.node_just_back && turned_before(member, since_ms) => {
            Standing::Doubtful(fact(member, Reason::NotReady, member.rv.clone()))
        }
        _ => Standing::Leave(fact(member, Reason::NotReady, member.rv.clone())),
    }
}

/// The pod's Ready=False is not younger than the node's Ready=True: the node controller set it while it
/// had not heard of the node, and the kubelet has not yet put it right. Both times are the cluster's, in whole seconds.
fn turned_before(member: &MemberView, node_since_ms: Option<i64>) -> bool {
    match (member.ready_turned_ms, node_since_ms) {
        (Some(pod), Some(node)) => pod <= node,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Phase;

    fn member() -> MemberView {
        MemberView {
            name: "web-0".into(),
            uid: "p0".into(),
            rv: "5".into(),
            ips: vec!["10.0.0.1".parse().unwrap()],
            node: Some("n1".into()),
            phase: Phase::Running,
            ready: true,
            ready_said: true,
            ready_turned_ms: Some(1000),
            terminating: false,
            selected: true,
            created_ms: None,
            started_ms: Some(0),
            priority: 0,
            revision: 0,
            critical_terminated: None,
            mesh: None,
            named_ports: std::collections::BTreeMap::new(),
            labels: std::collections::BTreeMap::new(),
            mark: None,
            stateful: false,
        }
    }

    fn around(node: NodeState) -> Surroundings {
        Surroundings {
            node: Some(node),
            control_plane_ill: false,
            node_just_back: false,
            critical_is_new: false,
        }
    }

    const READY: NodeState = NodeState::Ready { since_ms: Some(0) };

    fn reason(standing: Standing) -> Option<(bool, Reason)> {
        match standing {
            Standing::Fine => None,
            Standing::Leave(fact) => Some((true, fact.reason)),
            Standing::Doubtful(fact) => Some((false, fact.reason)),
        }
    }

    #[test]
    fn hard_facts_come_first_whatever_the_control_plane_is() {
        let ill = Surroundings { control_plane_ill: true, ..around(READY) };
        let gone = MemberView { terminating: true, ready: false, ..member() };
        assert_eq!(reason(standing(&gone, ill)), Some((true, Reason::PodTerminating)));
        let done = MemberView { phase: Phase::Failed, ..member() };
        assert_eq!(reason(standing(&done, ill)), Some((true, Reason::PodFinished)));
        assert_eq!(reason(standing(&member(), around(NodeState::Gone))), Some((true, Reason::NodeGone)));
        assert_eq!(
            reason(standing(&member(), around(NodeState::OutOfService))),
            Some((true, Reason::NodeOutOfService))
        );
        let other = MemberView { selected: false, ..member() };
        assert_eq!(reason(standing(&other, around(READY))), Some((true, Reason::LeftGroup)));
    }

    #[test]
    fn a_critical_container_counts_once_per_instance() {
        let ended = MemberView { critical_terminated: Some("main/c1".into()), ..member() };
        assert_eq!(standing(&ended, around(READY)), Standing::Fine, "an instance known before");
        let new = Surroundings { critical_is_new: true, ..around(READY) };
        assert_eq!(reason(standing(&ended, new)), Some((true, Reason::CriticalContainerTerminated)));
    }

    #[test]
    fn ready_false_counts_on_a_ready_node_and_only_hurries_probes_on_a_silent_one() {
        let unready = MemberView { ready: false, ready_turned_ms: Some(2000), ..member() };
        assert_eq!(reason(standing(&unready, around(READY))), Some((true, Reason::NotReady)));
        assert_eq!(
            reason(standing(&unready, around(NodeState::Unknown))),
            Some((false, Reason::NodeNotReady))
        );
        assert_eq!(
            reason(standing(&member(), around(NodeState::NotReady))),
            Some((false, Reason::NodeNotReady))
        );
    }

    #[test]
    fn a_node_that_comes_back_does_not_cause_a_failover() {
        let unready = MemberView { ready: false, ready_turned_ms: Some(2000), ..member() };
        let back = Surroundings { node_just_back: true, ..around(NodeState::Ready { since_ms: Some(2000) }) };
        assert_eq!(reason(standing(&unready, back)), Some((false, Reason::NotReady)));
        let unsaid = MemberView { ready_said: false, ready_turned_ms: Some(3000), ..unready.clone() };
        assert!(matches!(standing(&unsaid, back), Standing::Doubtful(_)), "no kubelet said so");
        let later = MemberView { ready_turned_ms: Some(3000), ..unready };
        assert_eq!(reason(standing(&later, back)), Some((true, Reason::NotReady)));
    }

    #[test]
    fn an_ill_control_plane_causes_no_failover() {
        let ill = Surroundings { control_plane_ill: true, ..around(NodeState::Unknown) };
        assert_eq!(standing(&MemberView { ready: false, ..member() }, ill), Standing::Fine);
    }
}
