//! Deleting pods, where the group asks for it: the one that lost the seat, and one whose critical container ended.

use super::decide::{Decision, member_ref};
use super::pace::Slot;
use super::slices::Trouble;
use super::{Group, projected};
use crate::action::{Action, Ticket};
use crate::ids::Uid;
use crate::observation::WriteError;
use crate::reason::Reason;
use crate::spec::{GroupSpec, OldActive};
use crate::view::MemberView;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long after a change the pod that lost the seat is deleted for it: later it is a standby like others.
const DUE_LASTS: Duration = Duration::from_mins(1);

/// How long traffic must have followed the seat before a pod that still serves is deleted: kube-proxy writes its rules at most once
/// a second (`minSyncPeriod`, 1 s by default), and an app that ends at once on SIGTERM would refuse what still comes to it.
const TRAFFIC_LEAVES: Duration = Duration::from_secs(2);

/// Pods to be deleted.
#[derive(Debug, Default)]
pub(super) struct Disposal {
    slots: BTreeMap<Uid, Slot>,
    /// Who lost the seat.
    left: BTreeMap<Uid, Loser>,
    /// Since when traffic follows the seat, while there is who lost it.
    followed: Option<Duration>,
}

#[derive(Debug)]
struct Loser {
    reason: Reason,
    seen: Duration,
}

/// A member lost the seat.
pub(super) fn note_left(group: &mut Group, now: Duration, loser: Uid, reason: Reason) {
    // What is asked for later says nothing of who had left by then.
    if group.ready_spec().is_none_or(|spec| spec.old_active != OldActive::Delete) {
        return;
    }
    group.disposal.left.insert(loser, Loser { reason, seen: now });
    group.disposal.followed = None;
}

pub(super) fn project(
    group: &mut Group,
    spec: &GroupSpec,
    now: Duration,
    decision: &Decision,
    actions: &mut Vec<Action>,
) {
    group.disposal.left.retain(|_, loser| now < loser.seen + DUE_LASTS);
    let followed = !group.disposal.left.is_empty() && follows(group, spec);
    group.disposal.followed = followed.then(|| group.disposal.followed.unwrap_or(now));
    let doomed: Vec<(MemberView, Grace)> = group
        .all_members()
        .filter(|member| !member.terminating && !member.phase.is_finished())
        .filter_map(|member| Some((member.clone(), grace(group, spec, decision, member)?)))
        .collect();
    let is_doomed = |uid: &Uid| doomed.iter().any(|(member, _)| member.uid == *uid);
    group.disposal.slots.retain(|uid, _| is_doomed(uid));
    let unused_from = group.disposal.followed.map(|since| since + TRAFFIC_LEAVES);
    let at_once = group.writes_at_once();
    let seat = group.valid_seat().map(|(record, marks)| (record.uid.clone(), marks.term));
    for (member, grace) in doomed {
        if let Some(at) = unused_from.filter(|at| grace == Grace::Own && now < *at) {
            group.wake_at(at);
            continue;
        }
        let turn = group.disposal.slots.entry(member.uid.clone()).or_default().turn(now, at_once);
        if !group.takes(turn) {
            continue;
        }
        let ticket = group.ticket();
        group.disposal.slots.entry(member.uid.clone()).or_default().begin(now, ticket);
        let (pod, rv) = (member_ref(&member), member.rv.clone());
        let grace_seconds = match grace {
            Grace::Own => None,
            Grace::Seconds(seconds) => Some(seconds),
        };
        actions.push(Action::DeletePod { ticket, pod, rv, seat: seat.clone(), grace_seconds });
    }
}

/// How long a pod that is deleted may take to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grace {
    /// As long as it says itself: it may still serve.
    Own,
    /// This long.
    Seconds(u32),
}

/// Whether a member is to be deleted, and how.
fn grace(group: &Group, spec: &GroupSpec, decision: &Decision, member: &MemberView) -> Option<Grace> {
    let is_holder = group.holder_uid() == Some(&member.uid);
    if spec.delete_critical && super::assess::critical_is_new(group, member) {
        // The seat goes first; where nobody could take it, a new pod is the only way on.
        let kept = is_holder && *decision != Decision::Hold(Reason::CriticalContainerTerminated);
        return (!kept).then_some(at_once(member));
    }
    let Loser { reason, .. } = group.disposal.left.get(&member.uid)?;
    // Time-outs alone may be our own blindness: they must not cost a pod.
    let asked = spec.old_active == OldActive::Delete && *reason != Reason::ProbeTimedOut;
    if !asked || is_holder || group.disposal.followed.is_none() {
        return None;
    }
    let dead = matches!(reason, Reason::ProbeRefused | Reason::CriticalContainerTerminated);
    Some(if dead { at_once(member) } else { Grace::Own })
}

/// Whether traffic has followed the seat: only then the old active may go.
fn follows(group: &Group, spec: &GroupSpec) -> bool {
    group.valid_seat().is_some_and(|(record, marks)| projected::all_in_place(group, spec, &record.uid, marks))
}

/// Without grace; but the name of a `StatefulSet`'s pod comes back, and must not while its process lives.
const fn at_once(member: &MemberView) -> Grace {
    Grace::Seconds(if member.stateful { 1 } else { 0 })
}

pub(super) fn note_deleted(
    group: &mut Group,
    now: Duration,
    ticket: Ticket,
    uid: &Uid,
    error: Option<&WriteError>,
) {
    if let Some(slot) = group.disposal.slots.get_mut(uid) {
        slot.finish(now, ticket, error);
    }
}

pub(super) fn trouble(group: &Group) -> Option<Trouble> {
    group.disposal.slots.iter().find_map(|(uid, slot)| {
        let why = slot.refused()?;
        let name = group.member(uid).map_or_else(|| uid.to_string(), |member| member.name.to_string());
        Some(Trouble::NotGranted(format!("pod {name} cannot be deleted: {why}")))
    })
}
