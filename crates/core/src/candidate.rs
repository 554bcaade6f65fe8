//! Who could be active, and in which order: one total order, the tie-break stated.

use crate::spec::OrderBy;
use crate::view::{MemberView, NodeState, Phase};
use std::cmp::{Ordering, Reverse};

/// Why a member cannot be active now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is being deleted.
    Terminating,
    /// Its phase is not Running.
    NotRunning,
    /// Its Ready condition is not True.
    NotReady,
    /// It has no address of a family that is served.
    NoAddress,
    /// The selector does not pick it.
    NotSelected,
    /// Its node is not Ready, gone or out of service.
    NodeNotReady,
    /// Its member label is missing, or so new that a Service which names it might lead nowhere for a second.
    NotLabelled,
    /// Its probes fail.
    Unhealthy,
}

impl Unfit {
    /// The fixed text in `status.members[].unfit`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Terminating => "Terminating",
            Self::NotRunning => "NotRunning",
            Self::NotReady => "NotReady",
            Self::NoAddress => "NoAddress",
            Self::NotSelected => "NotSelected",
            Self::NodeNotReady => "NodeNotReady",
            Self::NotLabelled => "NotLabelled",
            Self::Unhealthy => "Unhealthy",
        }
    }
}

/// How sure the probes are of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// Its newest probe succeeded.
    Answers,
    /// No probe says anything about it.
    Untried,
    /// It answered, but its newest probe failed.
    Doubtful,
}

/// A member as a candidate.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// The member.
    pub member: &'a MemberView,
    /// How sure the probes are of it.
    pub confidence: Confidence,
    /// It lost the seat lately by a judgement.
    pub penalised: bool,
    /// Its node is preferred.
    pub preferred_node: bool,
    /// It holds the seat, or is what users see: moving nothing wins a tie where there is no seat to keep.
    pub incumbent: bool,
}

/// Whether the facts let a member be active.
pub fn unfit(member: &MemberView, node: Option<NodeState>, control_plane_ill: bool) -> Option<Unfit> {
    if !member.selected {
        return Some(Unfit::NotSelected);
    }
    if member.terminating {
        return Some(Unfit::Terminating);
    }
    if member.phase != Phase::Running {
        return Some(Unfit::NotRunning);
    }
    if !member.ready {
        return Some(Unfit::NotReady);
    }
    if !crate::view::Family::PROJECTED.iter().any(|family| member.ip(*family).is_some()) {
        return Some(Unfit::NoAddress);
    }
    match node {
        Some(NodeState::Gone | NodeState::OutOfService) => Some(Unfit::NodeNotReady),
        Some(NodeState::NotReady | NodeState::Unknown) if !control_plane_ill => Some(Unfit::NodeNotReady),
        _ => None,
    }
}

/// The total order: best first.
///
/// Penalised members come last, then those the probes doubt; then preferred nodes, then the user's criteria, then the
/// incumbent, and the tie ends by name and UID.
pub fn compare(a: &Candidate<'_>, b: &Candidate<'_>, order: &[OrderBy]) -> Ordering {
    a.penalised
        .cmp(&b.penalised)
        .then_with(|| a.confidence.cmp(&b.confidence))
        .then_with(|| b.preferred_node.cmp(&a.preferred_node))
        .then_with(|| by_criteria(a.member, b.member, order))
        .then_with(|| b.incumbent.cmp(&a.incumbent))
        .then_with(|| a.member.name.cmp(&b.member.name))
        .then_with(|| a.member.uid.cmp(&b.member.uid))
}

/// Whether `a` outranks `b` by what does not change while both run: only that justifies failback.
pub fn outranks(a: &Candidate<'_>, b: &Candidate<'_>, order: &[OrderBy]) -> bool {
    let lasting: Vec<OrderBy> = order.iter().copied().filter(|by| *by == OrderBy::Priority).collect();
    let by_node = b.preferred_node.cmp(&a.preferred_node);
    by_node.then_with(|| by_criteria(a.member, b.member, &lasting)).is_lt()
}

fn by_criteria(a: &MemberView, b: &MemberView, order: &[OrderBy]) -> Ordering {
    order.iter().map(|by| criterion(*by, a, b)).find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
}

fn criterion(by: OrderBy, a: &MemberView, b: &MemberView) -> Ordering {
    let earlier = |time: Option<i64>| (time.is_none(), time);
    match by {
        OrderBy::Priority => Reverse(a.priority).cmp(&Reverse(b.priority)),
        OrderBy::NewestRevision => Reverse(a.revision).cmp(&Reverse(b.revision)),
        OrderBy::LongestReady => earlier(a.ready_turned_ms).cmp(&earlier(b.ready_turned_ms)),
        OrderBy::OldestStart => earlier(a.started_ms).cmp(&earlier(b.started_ms)),
        OrderBy::Name => a.name.cmp(&b.name),
    }
}
