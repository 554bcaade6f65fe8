//! Telling members their role, and waiting for the old active where the order is strict.

use super::Group;
use super::slices::Served;
use crate::action::{Action, MemberRef, Ticket};
use crate::ids::{Term, Uid};
use crate::notice::{Delivered, Delivery, NoticeSpec, Notification, Role};
use crate::spec::{GroupSpec, Handover};
use crate::view::{Family, MemberView, NodeState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Added to the interval once the deadline is over, towards those the new active waits for.
const AWAITED_INTERVAL: Duration = Duration::from_secs(1);

/// Who is told what: member, role, and which of the spec's notices.
type Key = (Uid, Role, usize);

/// What was sent at the present term.
#[derive(Debug, Default)]
pub(super) struct Notices {
    at: Option<(Uid, Term)>,
    spec: Vec<NoticeSpec>,
    sent: BTreeMap<Key, Progress>,
    /// Whose acknowledgement the new active waits for.
    awaited: BTreeSet<Uid>,
}

/// How far one notice to one member has come.
#[derive(Clone, Debug, Default)]
struct Progress {
    begun: Option<Duration>,
    next_at: Duration,
    tries: u32,
    under_way: Option<Ticket>,
    acknowledged: bool,
    /// No more tries: it was acknowledged, the deadline is over, or another replica did it.
    closed: bool,
    error: Option<Arc<str>>,
}

/// Forgets what was sent at another term, or by another spec.
pub(super) fn refresh(group: &mut Group, spec: &GroupSpec) {
    let at = group.valid_seat().map(|(record, marks)| (record.uid.clone(), marks.term));
    if at.is_some() && (group.notices.at != at || group.notices.spec != spec.notify) {
        group.notices = Notices { at, spec: spec.notify.clone(), ..Notices::default() };
    }
}

pub(super) fn project(
    group: &mut Group,
    spec: &GroupSpec,
    now: Duration,
    served: &Served,
    actions: &mut Vec<Action>,
) {
    if spec.notify.is_empty() || !group.writes_at_once() || group.seat_in_doubt() {
        return;
    }
    let Some((seat, term)) = group.valid_seat().map(|(record, marks)| (record.uid.clone(), marks.term))
    else {
        return;
    };
    group.notices.awaited = awaited(group, spec).into_iter().map(|one| one.uid).collect();
    let members: Vec<MemberView> = group.all_members().cloned().collect();
    for member in members {
        let Some(role) = role_of(group, served, &member) else { continue };
        let Some(ip) = Family::PROJECTED.iter().find_map(|family| member.ip(*family)) else { continue };
        for (index, notice) in
            spec.notify.iter().enumerate().filter(|(_, notice)| notice.roles.contains(&role))
        {
            let to = super::decide::member_ref(&member);
            if !is_due(group, now, (member.uid.clone(), role, index), notice, term) {
                continue;
            }
            let ticket = group.ticket();
            if let Some(progress) = group.notices.sent.get_mut(&(member.uid.clone(), role, index)) {
                progress.begun.get_or_insert(now);
                progress.tries += 1;
                progress.next_at = now + notice.interval;
                progress.under_way = Some(ticket);
            }
            let (by, acknowledge, timeout) = (notice.by.clone(), notice.is_acknowledged(), notice.timeout);
            let notice = Notification { to, ip, role, seat: seat.clone(), term, by, acknowledge, timeout };
            actions.push(Action::Notify { ticket, notice });
        }
    }
}

/// The role a member is told now: the active's only while it is to be reached, a standby's to all others that run.
fn role_of(group: &Group, served: &Served, member: &MemberView) -> Option<Role> {
    if member.phase != crate::view::Phase::Running {
        return None;
    }
    let is_holder = group.holder_uid() == Some(&member.uid);
    match served {
        Served::Holder(holder) if holder.uid == member.uid => Some(Role::Active),
        _ => (!is_holder).then_some(Role::Standby),
    }
}

/// Whether a try is due; asks to be stepped when the next one is.
fn is_due(group: &mut Group, now: Duration, key: Key, notice: &NoticeSpec, term: Term) -> bool {
    let done = was_delivered(group, &key.0, key.1, term);
    let awaited = key.1 == Role::Standby && group.notices.awaited.contains(&key.0);
    let progress =
        group.notices.sent.entry(key).or_insert_with(|| Progress { closed: done, ..Progress::default() });
    if progress.closed || progress.under_way.is_some() {
        return false;
    }
    let over = progress.begun.is_some_and(|begun| now >= begun + notice.deadline);
    if over && !awaited {
        progress.closed = true;
        return false;
    }
    // Whom the new active waits for is asked on, though not as often.
    let at = if over { progress.next_at + AWAITED_INTERVAL } else { progress.next_at };
    if now < at {
        group.wake_at(at);
        return false;
    }
    true
}

/// Whether status says that this was delivered before this replica lived.
fn was_delivered(group: &Group, uid: &Uid, role: Role, term: Term) -> bool {
    let view = group.view.as_ref();
    view.is_some_and(|view| {
        view.delivered.iter().any(|had| {
            had.uid == *uid && had.role == role && had.term == term && had.acknowledged != Some(false)
        })
    })
}

pub(super) fn note_sent(
    group: &mut Group,
    now: Duration,
    ticket: Ticket,
    outcome: Result<Delivery, Arc<str>>,
) {
    let progress = group.notices.sent.values_mut().find(|progress| progress.under_way == Some(ticket));
    let Some(progress) = progress else { return };
    progress.under_way = None;
    progress.acknowledged |= outcome == Ok(Delivery::Acknowledged);
    progress.closed |= progress.acknowledged;
    progress.error = outcome.err();
    let at = progress.next_at.max(now);
    group.wake_at(at);
}

/// What was delivered to a member in its present role, once nothing more is tried.
pub(super) fn delivered(group: &Group, spec: &GroupSpec, member: &MemberView) -> Option<Delivered> {
    let term = group.notices.at.as_ref().map(|(_, term)| *term)?;
    let role = if group.holder_uid() == Some(&member.uid) { Role::Active } else { Role::Standby };
    let wanted = || spec.notify.iter().enumerate().filter(|(_, notice)| notice.roles.contains(&role));
    let progress = |index: usize| group.notices.sent.get(&(member.uid.clone(), role, index));
    if wanted().next().is_none() || !wanted().all(|(index, _)| progress(index).is_some_and(|one| one.closed))
    {
        return None;
    }
    if wanted().all(|(index, _)| progress(index).is_some_and(|one| one.tries == 0)) {
        // By another replica: its word stands in status.
        let had = group.view.as_ref()?.delivered.iter();
        return had
            .into_iter()
            .find(|had| had.uid == member.uid && had.role == role && had.term == term)
            .cloned();
    }
    let mut answers = wanted().filter(|(_, notice)| notice.is_acknowledged()).peekable();
    let acknowledged = answers
        .peek()
        .is_some()
        .then(|| answers.all(|(index, _)| progress(index).is_some_and(|one| one.acknowledged)));
    Some(Delivered {
        uid: member.uid.clone(),
        role,
        term,
        tries: wanted().filter_map(|(index, _)| progress(index)).map(|one| one.tries).sum(),
        acknowledged,
        error: wanted().find_map(|(index, _)| progress(index)?.error.clone()),
    })
}

/// Those whose word, or death, the new active must wait for.
pub(super) fn awaited(group: &Group, spec: &GroupSpec) -> Vec<MemberRef> {
    if spec.handover != Handover::Strict {
        return Vec::new();
    }
    let Some((_, marks)) = group.valid_seat() else { return Vec::new() };
    let others = marks.previous.iter().filter(|one| one.uid != marks.holder_uid);
    others
        .filter(|one| !is_dead(group, &one.uid) && !has_acknowledged(group, spec, &one.uid))
        .cloned()
        .collect()
}

/// Gone, ended, or on a machine that somebody vouches to be off. A process that refuses connections may still do other work.
fn is_dead(group: &Group, uid: &Uid) -> bool {
    let Some(member) = group.member(uid) else { return true };
    let nodes = group.nodes.as_ref().zip(member.node.as_ref());
    let node = nodes.and_then(|(nodes, name)| nodes.nodes.get(name));
    member.phase.is_finished() || matches!(node, Some(NodeState::OutOfService | NodeState::Gone))
}

fn has_acknowledged(group: &Group, spec: &GroupSpec, uid: &Uid) -> bool {
    let told =
        |had: &Delivered| had.uid == *uid && had.role == Role::Standby && had.acknowledged == Some(true);
    let term = group.valid_seat().map(|(_, marks)| marks.term);
    if group
        .view
        .as_ref()
        .is_some_and(|view| view.delivered.iter().any(|had| told(had) && Some(had.term) == term))
    {
        return true; // to another replica
    }
    let mut answers = spec
        .notify
        .iter()
        .enumerate()
        .filter(|(_, notice)| notice.is_acknowledged() && notice.roles.contains(&Role::Standby));
    answers.all(|(index, _)| {
        let progress = group.notices.sent.get(&(uid.clone(), Role::Standby, index));
        progress.is_some_and(|progress| progress.acknowledged)
    })
}
