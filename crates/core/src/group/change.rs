//! How the seat gets from one member to another.
//!
//! One change at a time: the cause is proven, seat and both pods are re-read live, peers are asked where the
//! cause is a time-out, a replica that is not the lead gives the lead its head start, and then one
//! write goes out with the seat's UID and resourceVersion as precondition.

use super::decide::{Decision, Intent, member_ref};
use super::{Group, disposal, labels, notices, tell};
use crate::action::{Action, MemberRef, Precondition, SeatWrite, Ticket};
use crate::ids::{Now, Term, Uid};
use crate::observation::WriteError;
use crate::seat::{SeatRecord, SeatState, first_term};
use crate::spec::{DeletionPolicy, GroupSpec, Handover};
use std::sync::Arc;
use std::time::Duration;

/// How long a replica that is not the lead waits for the lead to act.
pub(super) const HEAD_START: Duration = Duration::from_millis(200);
/// How long a live read stays good once it is answered, and since it was sent: the answer may have waited for a replica that
/// stood still.
const READ_LASTS: Duration = Duration::from_secs(1);
const READ_SENT: Duration = Duration::from_secs(3);
/// Vetoes of peers that are heeded in a row.
const MOST_VETOES: u32 = 3;
/// Former actives that are remembered at once.
const PREVIOUS_KEPT: usize = 8;
/// Facts remembered as used.
const FACTS_KEPT: usize = 64;

/// Where the change under way stands: either being prepared (or nothing at all), or being written.
#[derive(Debug, Default)]
pub(super) struct Pipeline {
    preparing: Preparing,
    writing: Option<Writing>,
}

#[derive(Debug, Default)]
struct Preparing {
    goal: Option<Goal>,
    peers: Peers,
    read: Option<Read>,
    failures: u32,
    retry_at: Duration,
    /// A write that may have been stored although its answer was lost.
    unsure: Option<Writing>,
}

#[derive(Clone, Debug)]
struct Goal {
    intent: Intent,
    proven: Duration,
}

#[derive(Debug, Default)]
enum Peers {
    #[default]
    NotAsked,
    Asked(Ticket),
    Clear,
}

#[derive(Debug)]
struct Read {
    ticket: Ticket,
    sent: Duration,
    pods: Vec<Uid>,
    named: Option<Arc<str>>,
    done: Option<Duration>,
}

#[derive(Debug)]
struct Writing {
    ticket: Ticket,
    goal: Goal,
    term: Term,
    since_ms: i64,
    sent: Duration,
}

pub(super) fn drive(
    group: &mut Group,
    spec: &GroupSpec,
    now: Now,
    decision: &Decision,
    actions: &mut Vec<Action>,
) {
    if group.change.writing.is_some() {
        return;
    }
    match decision {
        Decision::ReadSeat => {
            // With the pods of a change under way: if the seat allows it still, nothing more need be read.
            let goal = group.change.preparing.goal.as_ref();
            let pods = goal.map_or_else(Vec::new, |goal| pods_of(group, spec, &goal.intent));
            read(group, now.mono, &pods, None, Duration::ZERO, actions);
        }
        Decision::ReadNamed { since, known, name } => {
            read(group, now.mono, known.as_slice(), name.as_ref(), *since, actions);
        }
        Decision::ReadHolder(successor) => {
            group.change.preparing.goal = None;
            let pods = holder_and(group, successor.as_ref());
            read(group, now.mono, &pods, None, Duration::ZERO, actions);
        }
        Decision::Suspect { successor, since } => {
            group.change.preparing.goal = None;
            let pods = holder_and(group, Some(successor));
            read(group, now.mono, &pods, None, *since, actions);
        }
        Decision::Move(intent) => pursue(group, spec, now, intent, actions),
        Decision::Braked(_) => {
            group.change = Pipeline::default();
            relist_when_due(group, now.mono, actions);
        }
        Decision::Stay
        | Decision::Hold(_)
        | Decision::Vacant
        | Decision::Foreign
        | Decision::Paused
        | Decision::Followed => {
            group.change = Pipeline::default();
        }
    }
}

/// Whether a change is under way, so that nothing it is about to fill is cleared.
pub(super) fn is_under_way(group: &Group) -> bool {
    group.change.writing.is_some() || group.change.preparing.goal.is_some()
}

/// Whether this is the read that is waited for.
pub(super) fn is_reading(group: &Group, ticket: Ticket) -> bool {
    group.change.preparing.read.as_ref().is_some_and(|read| read.ticket == ticket)
}

/// When the read that is waited for was sent, if this is it.
pub(super) fn read_sent(group: &Group, ticket: Ticket) -> Option<Duration> {
    group.change.preparing.read.as_ref().filter(|read| read.ticket == ticket).map(|read| read.sent)
}

/// Whether a write of the seat has not been answered yet.
pub(super) fn is_being_written(group: &Group) -> bool {
    group.change.writing.is_some()
}

pub(super) fn is_writing(group: &Group, ticket: Ticket) -> bool {
    group.change.writing.as_ref().is_some_and(|writing| writing.ticket == ticket)
}

/// The pods that must be read live before the seat is written. Where there is no seat to go by and labels are led by, these are all:
/// another replica may have labelled any of them since this one's watch told of it.
fn pods_of(group: &Group, spec: &GroupSpec, intent: &Intent) -> Vec<MemberRef> {
    let from = intent.from.iter().filter(|from| from.uid != intent.to.uid);
    let mut pods: Vec<MemberRef> = from.chain([&intent.to]).cloned().collect();
    if spec.role_label.is_some() && group.valid_seat().is_none() {
        let named: Vec<Uid> = pods.iter().map(|pod| pod.uid.clone()).collect();
        pods.extend(group.all_members().filter(|member| !named.contains(&member.uid)).map(member_ref));
    }
    pods
}

fn holder_and(group: &Group, successor: Option<&MemberRef>) -> Vec<MemberRef> {
    let holder = group
        .valid_seat()
        .map(|(_, marks)| MemberRef { name: marks.holder_name.clone(), uid: marks.holder_uid.clone() });
    holder.into_iter().chain(successor.cloned()).collect()
}

/// Sees to it that a live read of the seat and these pods (and the one of this name, whoever it is), sent no earlier than `since`, is there or on its way.
fn read(
    group: &mut Group,
    now: Duration,
    pods: &[MemberRef],
    named: Option<&Arc<str>>,
    since: Duration,
    actions: &mut Vec<Action>,
) {
    let doubt = group.seat.doubt;
    let covers = |read: &Read| {
        read.sent >= since
            && doubt.is_none_or(|doubted| read.ticket > doubted)
            && pods.iter().all(|pod| read.pods.contains(&pod.uid))
            && (named.is_none() || read.named.as_ref() == named)
            && !read_is_stale(read, now)
    };
    let preparing = &mut group.change.preparing;
    if preparing.read.as_ref().is_some_and(covers) {
        return;
    }
    if now < preparing.retry_at {
        let at = preparing.retry_at;
        group.wake_at(at);
        return;
    }
    let ticket = group.ticket();
    let uids = pods.iter().map(|pod| pod.uid.clone()).collect();
    let named = named.cloned();
    group.change.preparing.read =
        Some(Read { ticket, sent: now, pods: uids, named: named.clone(), done: None });
    actions.push(Action::Verify { ticket, pods: pods.to_vec(), named });
}

fn read_is_stale(read: &Read, now: Duration) -> bool {
    read.sent + READ_SENT < now || read.done.is_some_and(|done| done + READ_LASTS < now)
}

fn pursue(group: &mut Group, spec: &GroupSpec, now: Now, intent: &Intent, actions: &mut Vec<Action>) {
    let goal = adopt(group, now.mono, intent);
    let pods = pods_of(group, spec, intent);
    read(group, now.mono, &pods, None, goal.intent.first_sign, actions);
    ask_peers(group, &goal, actions);
    let head_start_over = group.lead || now.mono >= goal.proven + HEAD_START;
    if !head_start_over {
        group.wake_at(goal.proven + HEAD_START);
    }
    let preparing = &mut group.change.preparing;
    let peers_clear = matches!(preparing.peers, Peers::Clear) || !intent.reason.needs_peers();
    let read_done = preparing.read.as_ref().is_some_and(|read| {
        read.done.is_some()
            && pods.iter().all(|pod| read.pods.contains(&pod.uid))
            && !read_is_stale(read, now.mono)
    });
    if head_start_over && peers_clear && read_done && now.mono >= preparing.retry_at {
        write(group, spec, now, goal, actions);
    }
}

/// Makes the intent the goal; the same cause keeps its times and the peers' answer.
fn adopt(group: &mut Group, now: Duration, intent: &Intent) -> Goal {
    let preparing = &mut group.change.preparing;
    let same_cause = preparing
        .goal
        .as_ref()
        .filter(|goal| goal.intent.reason == intent.reason && goal.intent.from == intent.from)
        .map(|goal| (goal.intent.first_sign, goal.proven));
    if same_cause.is_none() {
        preparing.peers = Peers::NotAsked;
    }
    let (first_sign, proven) = same_cause.unwrap_or((intent.first_sign, now));
    let goal = Goal { intent: Intent { first_sign, ..intent.clone() }, proven };
    preparing.goal = Some(goal.clone());
    goal
}

fn ask_peers(group: &mut Group, goal: &Goal, actions: &mut Vec<Action>) {
    let Some(holder) = goal.intent.from.as_ref().filter(|_| goal.intent.reason.needs_peers()) else { return };
    if !matches!(group.change.preparing.peers, Peers::NotAsked) {
        return;
    }
    let ticket = group.ticket();
    let node = group.member(&holder.uid).and_then(|member| member.node.clone());
    group.change.preparing.peers = Peers::Asked(ticket);
    let failing_since = goal.intent.first_sign;
    actions.push(Action::AskPeers { ticket, uid: holder.uid.clone(), node, failing_since });
}

pub(super) fn note_peers(group: &mut Group, ticket: Ticket, vetoed: bool) {
    let preparing = &mut group.change.preparing;
    if !matches!(preparing.peers, Peers::Asked(asked) if asked == ticket) {
        return;
    }
    let heeded = vetoed && group.detection.vetoes_in_row < MOST_VETOES;
    if !heeded {
        preparing.peers = Peers::Clear;
        return;
    }
    // Somebody reaches it: our failures start from nothing.
    group.detection.vetoes_in_row += 1;
    let holder = preparing.goal.as_ref().and_then(|goal| goal.intent.from.clone());
    if let Some(health) = holder.and_then(|holder| group.detection.health.get_mut(&holder.uid)) {
        health.forget_failures();
    }
    group.change = Pipeline::default();
}

pub(super) fn note_verified(
    group: &mut Group,
    now: Duration,
    ticket: Ticket,
    answer: &Result<Vec<Uid>, WriteError>,
) {
    let preparing = &mut group.change.preparing;
    let Some(read) = preparing.read.as_mut().filter(|read| read.ticket == ticket) else { return };
    if answer.is_ok() {
        read.done = Some(now);
        preparing.failures = 0;
    } else {
        preparing.read = None;
        back_off(preparing, now);
    }
}

/// After a failure the next try waits, from 50 ms doubling to a second.
fn back_off(preparing: &mut Preparing, now: Duration) {
    preparing.failures = preparing.failures.saturating_add(1);
    let steps = preparing.failures.min(6).saturating_sub(1);
    preparing.retry_at = now + (Duration::from_millis(50) * 2_u32.pow(steps)).min(Duration::from_secs(1));
}

fn write(group: &mut Group, spec: &GroupSpec, now: Now, goal: Goal, actions: &mut Vec<Action>) {
    let Some(group_uid) = group.view.as_ref().map(|view| view.uid.clone()) else { return };
    let (precondition, term) = match &group.seat.state {
        SeatState::Unread | SeatState::Refused(_) => return,
        SeatState::Absent => (Precondition::Absent, first_term(group.seat.highest, now.unix_ms)),
        SeatState::Present(record) => (
            Precondition::Unchanged { uid: record.uid.clone(), rv: record.rv.clone() },
            next_term(record.term, highest_known(&group.seat, record)),
        ),
    };
    let ticket = group.ticket();
    let seat = SeatWrite {
        holder: goal.intent.to.clone(),
        term,
        reason: goal.intent.reason,
        since_ms: now.unix_ms,
        group_uid,
        orphan: spec.deletion_policy == DeletionPolicy::Orphan,
        previous: previous(group, spec, &goal.intent),
    };
    let writing = Writing { ticket, goal, term, since_ms: now.unix_ms, sent: now.mono };
    group.change = Pipeline { writing: Some(writing), ..Pipeline::default() };
    actions.push(Action::WriteSeat { ticket, precondition, seat });
}

/// Former actives that the next one is promoted after: the holder it follows, and those that one still came after.
fn previous(group: &Group, spec: &GroupSpec, intent: &Intent) -> Vec<MemberRef> {
    let strict = spec.handover == Handover::Strict;
    if !strict && spec.role_label.is_none() {
        return Vec::new();
    }
    let before = group.seat.last_good.as_ref().map(|(_, marks)| marks.previous.clone()).unwrap_or_default();
    let (words, labels) = (notices::awaited(group, spec), labels::unfenced(group));
    let open =
        |one: &MemberRef| strict && words.contains(one) || spec.role_label.is_some() && labels.contains(one);
    let kept = before.into_iter().filter(|one| group.valid_seat().is_none() || open(one));
    let mut all: Vec<MemberRef> =
        kept.chain(intent.from.clone()).filter(|one| one.uid != intent.to.uid).collect();
    all.dedup();
    let excess = all.len().saturating_sub(PREVIOUS_KEPT);
    all.split_off(excess)
}

/// A record that somebody edited may say less than projections of this seat already carry, and what it was before the edit
/// stands in its marks still.
fn highest_known(seat: &super::SeatKnowledge, record: &SeatRecord) -> Option<Term> {
    if record.sealed().is_some() {
        return seat.highest_here;
    }
    let marked = record.marks.as_ref().map(|marks| marks.term).filter(|term| term.is_plausible());
    seat.highest.max(marked)
}

/// Above every term of this seat. A stranger's edit towards the end of the number range is not followed.
fn next_term(stored: Option<Term>, highest: Option<Term>) -> Term {
    let stored = stored.filter(|term| term.is_plausible());
    stored.max(highest).unwrap_or_default().next()
}

/// The write was stored (and the record has been taken in).
pub(super) fn note_written(group: &mut Group, now: Duration) {
    if let Some(writing) = std::mem::take(&mut group.change).writing {
        note_stored(group, now, writing);
    }
}

/// A newer record was read: it may be what a write of ours with a lost answer left.
pub(super) fn note_record(group: &mut Group, now: Duration) {
    let Some((_, marks)) = group.valid_seat() else { return };
    let marks = marks.clone();
    let is_ours = |writing: &mut Writing| {
        writing.term == marks.term
            && writing.goal.intent.to.uid == marks.holder_uid
            && writing.since_ms == marks.since_ms
    };
    if let Some(writing) = group.change.preparing.unsure.take_if(is_ours) {
        note_stored(group, now, writing);
    }
}

fn note_stored(group: &mut Group, now: Duration, writing: Writing) {
    let Writing { goal, term, since_ms, sent, .. } = writing;
    group.slices.note_own_seat(term);
    group.told.seat_refused = None;
    if let Some(from) = goal.intent.from.as_ref().filter(|from| from.uid != goal.intent.to.uid) {
        disposal::note_left(group, now, from.uid.clone(), goal.intent.reason);
    }
    if let Some(fact) = goal.intent.fact {
        group.used_facts.push_back(fact);
        if group.used_facts.len() > FACTS_KEPT {
            group.used_facts.pop_front();
        }
    }
    super::decide::note_moved(&mut group.answer, &goal.intent.to.name, goal.intent.reason);
    group.told.pending = Some(tell::Pending {
        change: crate::action::Change {
            term,
            from: goal.intent.from.map(|from| from.name),
            to: goal.intent.to.name,
            reason: goal.intent.reason,
            since_ms,
            stages: None,
        },
        times: Some(tell::Times {
            first_sign: goal.intent.first_sign,
            proven: goal.proven,
            sent,
            stored: now,
        }),
    });
}

pub(super) fn note_write_failed(group: &mut Group, now: Duration, error: WriteError) {
    let mut preparing = Preparing::default();
    if let Some(writing) = std::mem::take(&mut group.change).writing {
        // The cause keeps its times and its peers' consent; only the read must be done anew.
        preparing.goal = Some(writing.goal.clone());
        preparing.peers = Peers::Clear;
        preparing.unsure = matches!(error, WriteError::Unknown(_)).then_some(writing);
    }
    match error {
        WriteError::Conflict => {}
        WriteError::Unknown(_) => back_off(&mut preparing, now),
        WriteError::Refused(why) => {
            preparing.retry_at = now + Duration::from_secs(1);
            group.told.seat_refused = Some(why);
        }
    }
    group.change.preparing = preparing;
}

/// The brake is on: once its window has room, everything is read anew, and only then it may come off.
fn relist_when_due(group: &mut Group, now: Duration, actions: &mut Vec<Action>) {
    match group.brake.room_at() {
        Some(at) if now < at => group.wake_at(at),
        _ => {
            let asked_lately = group.told.relist_asked.is_some_and(|at| now < at + Duration::from_secs(1));
            if !asked_lately {
                group.told.relist_asked = Some(now);
                actions.push(Action::Relist);
            }
            group.wake_at(now + Duration::from_secs(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_edited_to_the_end_of_the_range_does_not_stop_the_group() {
        let end = Some(Term(2_147_483_647));
        assert_eq!(next_term(end, Some(Term(7))), Term(8));
        assert_eq!(next_term(Some(Term(50)), Some(Term(7))), Term(51));
        assert_eq!(next_term(Some(Term(3)), Some(Term(7))), Term(8));
        assert_eq!(next_term(end, None), Term(1));
        assert_eq!(next_term(None, None), Term(1));
    }
}
