//! Taking observations in: older ones never overwrite newer ones.

use super::{Group, SeatKnowledge, change, disposal, follow, labels, notices, pointer, slices, tell};
use crate::action::{Change, Ticket};
use crate::health::Outcome;
use crate::ids::{Now, Rv, Term, Uid};
use crate::observation::{GroupView, Live, Observation, WriteError};
use crate::reason::Reason;
use crate::seat::{SeatRecord, SeatState};
use crate::spec::Election;
use crate::view::{MemberView, ServiceFound, ServiceView};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How long a holder read live is believed before the watch must list it; then it is read again.
pub(super) const UNLISTED_LASTS: Duration = Duration::from_secs(2);
/// Departed pods remembered: only the holder's matters.
const DEPARTED_KEPT: usize = 64;

pub(super) fn note(group: &mut Group, now: Now, observation: Observation) {
    match observation {
        Observation::Group(view) => note_group(group, now.mono, *view),
        Observation::Members(members) => note_members(group, now.mono, members),
        Observation::Nodes(nodes) => group.nodes = Some(nodes),
        Observation::Services(services) => note_services(group, services),
        Observation::Seat(state) if follow::fits(group, &state) => note_watched_seat(group, now.mono, state),
        // Of the election before the spec changed.
        Observation::Seat(_) => {}
        Observation::SeatLapsed(lapsed) => follow::note_lapsed(group, lapsed),
        Observation::Probe(report) => note_probe(group, &report),
        Observation::TripwireClosed { uid, at } => {
            if group.holder_uid() == Some(&uid) {
                group.detection.health.entry(uid).or_default().note_tripwire_closed(at);
            }
        }
        Observation::TripwireState { uid, off } => match off {
            Some(why) => {
                group.detection.tripwire_off.insert(uid, why);
            }
            None => {
                group.detection.tripwire_off.remove(&uid);
            }
        },
        Observation::ClockGap => note_gap(group, now.mono),
        Observation::Lead(lead) => group.lead = lead,
        Observation::Peers { ticket, veto } => change::note_peers(group, ticket, veto.is_some()),
        Observation::Verified { ticket, live } => {
            if let (Ok(live), Some(sent)) = (&live, change::read_sent(group, ticket)) {
                follow::note_read(group, sent, live);
            }
            let answer = live.map(|live| note_live(group, now.mono, ticket, live));
            change::note_verified(group, now.mono, ticket, &answer);
        }
        Observation::SeatWritten { ticket, outcome } => note_seat_written(group, now, ticket, outcome),
        Observation::SliceWritten { ticket, service, family, outcome } => {
            slices::note_written(group, now.mono, ticket, &service, family, outcome);
        }
        Observation::SliceRead { service, family, slice } => {
            slices::note_read(group, &service, family, slice);
        }
        Observation::PodLabelled { ticket, uid, outcome } => {
            labels::note_written(group, now.mono, ticket, &uid, outcome.map(|pod| *pod));
        }
        Observation::PodRead { uid, pod } => note_live_pod(group, now.mono, uid, pod.map(|pod| *pod)),
        Observation::ServicePointed { ticket, service, outcome } => {
            pointer::note_written(group, now.mono, ticket, &service, outcome.map(|found| *found));
        }
        Observation::ServiceRead { service, found } => {
            if let Some(found) = found {
                pointer::note_read(group, &service, *found);
            }
        }
        Observation::PodDeleted { ticket, uid, outcome } => {
            disposal::note_deleted(group, now.mono, ticket, &uid, outcome.as_ref().err());
        }
        Observation::Notified { ticket, outcome } => notices::note_sent(group, now.mono, ticket, outcome),
        Observation::Relisted => group.brake.relisted(now.mono),
    }
}

fn note_group(group: &mut Group, now: Duration, view: GroupView) {
    group.seat.highest = group.seat.highest.max(view.status_term.filter(|term| term.is_plausible()));
    let election = view.spec.as_ref().ok().map(|spec| spec.election.clone());
    if let Some(election) = election.filter(|election| *election != group.elected_by) {
        note_election(group, election);
    }
    let probe = view.spec.as_ref().ok().map(|spec| spec.probe.clone());
    if probe.is_some() && probe != group.detection.probed_as {
        // Another question: what was answered to the old one proves nothing.
        group.detection.health.clear();
        group.detection.probing_since = None;
        group.detection.probed_as = probe;
    }
    if group.view.as_ref().is_some_and(|had| had.uid != view.uid) {
        // Another group under the same name: what the old one was asked is not its business.
        group.answer = None;
    }
    if view.answered.is_some() && group.answer.is_none() {
        group.answer.clone_from(&view.answered);
    }
    group.view = Some(view);
    // A seat that was seen before the group's object could not be told for the group's own.
    note_good_seat(group, now);
}

/// Somebody else elects from now on: what was known of the seat was known of another.
fn note_election(group: &mut Group, election: Election) {
    group.elected_by = election;
    group.seat = SeatKnowledge { highest: group.seat.highest, ..SeatKnowledge::default() };
    follow::reset(group);
}

fn note_members(group: &mut Group, now: Duration, members: Vec<MemberView>) {
    let known = group.members.take().unwrap_or_default();
    let detection = &mut group.detection;
    let listed = |uid: &Uid| members.iter().any(|member| member.uid == *uid);
    detection.departed.retain(|uid| !listed(uid) || detection.gone.contains(uid));
    detection.unlisted.take_if(|(uid, _)| listed(uid));
    let unlisted = detection.unlisted.as_ref().filter(|(_, until)| now < *until).map(|(uid, _)| uid.clone());
    let (kept, dropped): (Vec<_>, Vec<_>) =
        known.values().filter(|had| !listed(&had.uid)).partition(|had| Some(&had.uid) == unlisted.as_ref());
    let kept: Vec<MemberView> = kept.into_iter().cloned().collect();
    for had in dropped {
        note_departed(group, had.uid.clone());
    }
    let mut next = BTreeMap::new();
    for member in members.into_iter().chain(kept) {
        if group.detection.gone.contains(&member.uid) {
            continue; // read live as gone; the watch will follow
        }
        let newest = match known.get(&member.uid) {
            Some(had) if member.rv.is_older_than(&had.rv) => had.clone(),
            _ => member,
        };
        next.insert(newest.uid.clone(), newest);
    }
    let marked = next.values().filter_map(|member| member.mark.as_ref()?.stamp.as_ref());
    group.seat.highest = group.seat.highest.max(highest_term(marked));
    group.detection.health.retain(|uid, _| next.contains_key(uid));
    group.detection.tripwire_off.retain(|uid, _| next.contains_key(uid));
    group.detection.known_critical.retain(|uid, _| next.contains_key(uid));
    group.penalties.retain(|uid, _| next.contains_key(uid));
    group.members = Some(next);
}

fn note_services(group: &mut Group, mut services: Vec<ServiceView>) {
    let known = group.services.take().unwrap_or_default();
    for service in &mut services {
        let had = known.iter().find(|other| other.name == service.name).map(|other| &other.found);
        keep_newer(&mut service.found, had);
    }
    group.services = Some(services);
    // A seat made anew starts above every term a projection ever carried.
    let selecting = group.services.iter().flatten().filter_map(|service| service.found.selecting());
    let marked = selecting.filter_map(|service| service.mark.as_ref()?.stamp.as_ref());
    let stamps = group.own_slices().filter_map(|slice| slice.stamp.as_ref()).chain(marked);
    let highest = highest_term(stamps);
    group.seat.highest = group.seat.highest.max(highest);
}

/// What was written or read live since is newer than what a watch that lags tells.
fn keep_newer(told: &mut ServiceFound, had: Option<&ServiceFound>) {
    match (told, had) {
        (ServiceFound::Usable(told), Some(ServiceFound::Usable(had))) => {
            for (family, slice) in &mut told.own {
                if let Some(newer) = had.own.get(family).filter(|old| slice.rv.is_older_than(&old.rv)) {
                    *slice = newer.clone();
                }
            }
        }
        (ServiceFound::Selecting(told), Some(ServiceFound::Selecting(had)))
            if told.uid == had.uid && told.rv.is_older_than(&had.rv) =>
        {
            told.clone_from(had);
        }
        _ => {}
    }
}

fn highest_term<'a>(stamps: impl Iterator<Item = &'a (Uid, Term)>) -> Option<Term> {
    stamps.map(|(_, term)| *term).filter(|term| term.is_plausible()).max()
}

fn note_probe(group: &mut Group, report: &crate::health::ProbeReport) {
    if group.members.as_ref().is_some_and(|members| members.contains_key(&report.uid)) {
        let period =
            group.view.as_ref().and_then(|view| view.spec.as_ref().ok()).map(|spec| spec.timing.period);
        let health = group.detection.health.entry(report.uid.clone()).or_default();
        // Nearly a period, as periodic probes are sent a little early or late.
        health.record(report, period.unwrap_or_default() * 9 / 10);
        let answered = report.outcome == Outcome::Success && !report.spans_gap;
        if answered && group.holder_uid() == Some(&report.uid) {
            group.detection.vetoes_in_row = 0;
        }
    }
}

fn note_gap(group: &mut Group, now: Duration) {
    for health in group.detection.health.values_mut() {
        health.note_gap(now);
    }
}

fn note_watched_seat(group: &mut Group, now: Duration, state: SeatState) {
    match (&group.seat.state, state) {
        (SeatState::Present(_), SeatState::Unread) => {}
        (_, SeatState::Refused(why)) => {
            group.seat.doubt = None;
            set_seat(group, now, SeatState::Refused(why));
        }
        // Deleted, or a watch that lags behind our own creation: only a live read tells.
        (SeatState::Present(_), SeatState::Absent) => group.doubt_seat(),
        (SeatState::Present(had), SeatState::Present(seen)) if had.uid != seen.uid => {
            note_rumour(group, &seen);
            group.doubt_seat();
        }
        (SeatState::Present(had), SeatState::Present(seen)) => {
            if !seen.rv.is_older_than(&had.rv) {
                set_seat(group, now, SeatState::Present(seen));
            }
        }
        // Known to be gone, and the watch still tells of it or of one before it.
        (SeatState::Absent, SeatState::Present(seen)) if is_no_newer(group, &seen) => group.doubt_seat(),
        (SeatState::Unread | SeatState::Absent | SeatState::Refused(_), state) => set_seat(group, now, state),
    }
}

/// Whether this record was known before, or is older than one that was.
fn is_no_newer(group: &Group, record: &SeatRecord) -> bool {
    group.seat.newest.as_ref().is_some_and(|newest| record.rv == *newest || record.rv.is_older_than(newest))
}

/// Takes a newer record in, noting a change of hands.
pub(super) fn set_seat(group: &mut Group, now: Duration, state: SeatState) {
    if group.follows().is_some() {
        group.seat.newest =
            state.record().map(|record| record.rv.clone()).or_else(|| group.seat.newest.take());
        group.seat.state = state;
        return;
    }
    if let SeatState::Present(record) = &state {
        group.seat.newest = Some(record.rv.clone());
        let same_seat = group.seat.state.record().is_some_and(|had| had.uid == record.uid);
        let sealed_term = record.sealed().map(|marks| marks.term);
        if !same_seat {
            group.seat.highest_here = None;
        }
        group.seat.highest = group.seat.highest.max(sealed_term);
        note_rumour(group, record);
        note_handover(group, now, record);
        group.seat.highest_here = group.seat.highest_here.max(sealed_term);
    }
    group.seat.state = state;
    note_good_seat(group, now);
}

/// Keeps the record, if it is one to come back to should somebody edit or delete the seat.
fn note_good_seat(group: &mut Group, now: Duration) {
    let good = group.valid_seat().map(|(record, marks)| (record.uid.clone(), marks.clone()));
    if good.is_some() {
        if group.seat.last_good != good {
            group.told.seat_refused = None; // somebody could write it
        }
        group.seat.last_good = good;
        change::note_record(group, now);
    }
}

/// Keeps who holds the seat by a record that is not taken for the seat: its holder was edited, or it is of another seat that may be
/// gone by now. Another replica may have moved the seat since this one heard of it.
fn note_rumour(group: &mut Group, record: &SeatRecord) {
    let Some(marks) = record.marks.as_ref().filter(|marks| record.term == Some(marks.term)) else { return };
    let ours = record.controller.as_deref() == Some(&*group.controller);
    if ours && group.seat.rumour.as_ref().is_none_or(|known| marks.term > known.term) {
        group.seat.rumour = Some(marks.clone());
    }
}

/// If the record hands the seat to another: the brake counts it, and a judged loser is penalised on every replica.
fn note_handover(group: &mut Group, now: Duration, record: &SeatRecord) {
    let Some(marks) = record.sealed() else { return };
    let Some((_, before)) = &group.seat.last_good else { return };
    let goes_back = group.seat.highest_here.is_some_and(|highest| marks.term < highest);
    if goes_back {
        return;
    }
    if before.holder_uid == marks.holder_uid {
        // A repair hands nothing over, but somebody who keeps editing the seat must not make us write without end.
        if marks.term != before.term && matches!(marks.reason, Reason::SeatRepaired | Reason::SeatRecreated) {
            group.brake.note_change(now);
        }
        return;
    }
    let (loser, loser_name) = (before.holder_uid.clone(), before.holder_name.clone());
    group.brake.note_change(now);
    super::disposal::note_left(group, now, loser.clone(), marks.reason);
    if marks.reason.is_judgement() {
        group.penalties.entry(loser).or_default().lost_seat();
    }
    group.detection.vetoes_in_row = 0;
    group.told.pending = Some(tell::Pending {
        change: Change {
            term: marks.term,
            from: Some(loser_name),
            to: marks.holder_name.clone(),
            reason: marks.reason,
            since_ms: marks.since_ms,
            stages: None,
        },
        times: None,
    });
    super::decide::note_moved(&mut group.answer, &marks.holder_name, marks.reason);
    if let Some(instance) =
        group.member(&marks.holder_uid).and_then(|member| member.critical_terminated.clone())
    {
        // What ended before it took the seat is no reason to leave it.
        group.detection.known_critical.insert(marks.holder_uid.clone(), instance);
    }
}

/// What was read live wins, unless the question is older than what is known by now. Returns which pods were covered.
fn note_live(group: &mut Group, now: Duration, ticket: Ticket, live: Live) -> Vec<Uid> {
    if !follow::fits(group, &live.seat) {
        // Of the election before the spec changed: it says nothing.
    } else if change::is_reading(group, ticket) && group.seat.doubt.is_none_or(|doubted| ticket > doubted) {
        group.seat.read = Some(ticket);
        note_live_seat(group, now, live.seat);
    } else if group.seat.read.is_none_or(|read| ticket > read) {
        // A late answer is worth what a watch that may lag is worth. Any younger question settles what it casts in doubt: were
        // that to ask for one more, slow answers would keep each other in doubt for ever.
        let before = group.seat.doubt;
        note_watched_seat(group, now, live.seat);
        if group.seat.doubt != before {
            group.seat.doubt = before.max(Some(ticket));
        }
    }
    let covered = live.pods.iter().map(|(uid, _)| uid.clone()).collect();
    for (uid, pod) in live.pods {
        note_live_pod(group, now, uid, pod);
    }
    if let Some(pod) = live.named {
        follow::note_named(group, now, pod);
    }
    covered
}

fn note_live_seat(group: &mut Group, now: Duration, seat: SeatState) {
    group.seat.doubt = None;
    let older = match (&group.seat.state, &seat) {
        (SeatState::Present(had), SeatState::Present(read)) => {
            had.uid == read.uid && read.rv.is_older_than(&had.rv)
        }
        _ => false,
    };
    if !older {
        set_seat(group, now, seat);
    }
}

fn note_live_pod(group: &mut Group, now: Duration, uid: Uid, pod: Option<MemberView>) {
    let holds_seat = group.holder_uid() == Some(&uid);
    let Some(members) = &mut group.members else { return };
    match (pod, members.get(&uid)) {
        (Some(pod), Some(had)) => {
            if !pod.rv.is_older_than(&had.rv) {
                members.insert(uid, pod);
            }
        }
        (Some(pod), None) if holds_seat => {
            // Another replica seated a pod that this one's watch has not told of yet.
            members.insert(uid.clone(), pod);
            group.detection.departed.retain(|other| *other != uid);
            group.detection.unlisted = Some((uid, now + UNLISTED_LASTS));
        }
        (Some(_), None) => {}
        (None, _) => {
            members.remove(&uid);
            keep(&mut group.detection.gone, uid.clone());
            note_departed(group, uid);
        }
    }
}

fn note_departed(group: &mut Group, uid: Uid) {
    keep(&mut group.detection.departed, uid);
}

fn keep(kept: &mut VecDeque<Uid>, uid: Uid) {
    if !kept.contains(&uid) {
        kept.push_back(uid);
        if kept.len() > DEPARTED_KEPT {
            kept.pop_front();
        }
    }
}

fn note_seat_written(group: &mut Group, now: Now, ticket: Ticket, outcome: Result<SeatRecord, WriteError>) {
    if !change::is_writing(group, ticket) {
        group.doubt_seat();
        return;
    }
    match outcome {
        Ok(record) => {
            set_seat(group, now.mono, SeatState::Present(record));
            change::note_written(group, now.mono);
        }
        Err(error) => {
            // A conflict means somebody was faster; an unknown outcome may have been applied. Read before anything else.
            if !matches!(error, WriteError::Refused(_)) {
                group.doubt_seat();
            }
            change::note_write_failed(group, now.mono, error);
        }
    }
}

/// Whether a projection's claim of a newer term was already looked into.
pub(super) fn claim_settled(group: &Group, projection: &Rv) -> bool {
    group.seat.settled.contains(projection)
}
