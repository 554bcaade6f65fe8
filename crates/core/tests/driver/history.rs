//! What was truly stored, and the checkers over it: I1 and I3, the brake, one fact at most one change.

use super::world::sealed_term;
use hotstandby_core::ids::{Rv, Term, Uid};
use hotstandby_core::reason::Reason;
use hotstandby_core::seat::SeatRecord;
use hotstandby_core::view::SliceContent;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// More changes of hands by one replica within this time are a fault of the brake.
const BRAKE: (usize, Duration) = (3, Duration::from_secs(10));

/// A fact that was acted on: the holder's UID, the reason, and what tells this fact from the next.
pub(super) type FactKey = (Uid, Reason, String);

/// All that genuine writes ever stored.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Who held each seat at each term.
    held: BTreeMap<(Uid, Term), Uid>,
    /// Who truly held the Lease of others; those of one term may be several, and some count no terms.
    elected: BTreeSet<(Uid, Option<Term>, Uid)>,
    highest: BTreeMap<Uid, Term>,
    /// Seats in the order they were made.
    seats: Vec<Uid>,
    /// The newest genuine stamp of each slice that stands.
    stamps: BTreeMap<Arc<str>, (Uid, Term)>,
    records: BTreeMap<Rv, SeatRecord>,
    /// Seats whose term a stranger changed while its mark was gone, too: what it was then, nobody can know.
    blurred: BTreeSet<Uid>,
    holder: Option<Uid>,
    changes: Vec<(Duration, usize)>,
    used: BTreeSet<(usize, FactKey)>,
    pub(super) wrong: Vec<String>,
}

impl History {
    /// A record that stands, whoever wrote it.
    pub(super) fn note_seat_record(&mut self, record: &SeatRecord) {
        self.records.insert(record.rv.clone(), record.clone());
    }

    pub(super) fn record(&self, rv: &Rv) -> Option<&SeatRecord> {
        self.records.get(rv)
    }

    /// Whether this pod held this seat at this term.
    pub(super) fn did_hold(&self, seat: &Uid, term: Term, pod: &Uid) -> bool {
        let elected = |term| self.elected.contains(&(seat.clone(), term, pod.clone()));
        self.held.get(&(seat.clone(), term)) == Some(pod) || elected(Some(term)) || elected(None)
    }

    /// Others wrote their Lease, and this pod holds it.
    pub(super) fn elected(&mut self, seat: &Uid, term: Option<Term>, pod: &Uid) {
        if !self.seats.contains(seat) {
            self.seats.push(seat.clone());
        }
        self.elected.insert((seat.clone(), term, pod.clone()));
    }

    /// The newest term of a seat, as far as it can still be known.
    pub(super) fn highest(&self, seat: &Uid) -> Option<Term> {
        self.highest.get(seat).copied().filter(|_| !self.blurred.contains(seat))
    }

    pub(super) fn is_blurred(&self, seat: &Uid) -> bool {
        self.blurred.contains(seat)
    }

    /// A stranger changed the seat.
    pub(super) fn seat_touched(&mut self, record: &SeatRecord) {
        if record.marks.is_none() && record.term != self.highest.get(&record.uid).copied() {
            self.blurred.insert(record.uid.clone());
        }
    }

    /// One of us wrote the seat, and it was stored.
    pub(super) fn seat_applied(&mut self, now: Duration, who: usize, record: &SeatRecord) {
        let (Some(marks), Some(term)) = (record.sealed(), sealed_term(record)) else {
            self.wrong.push("I3: a seat of ours is not sealed".into());
            return;
        };
        let seat = &record.uid;
        if let Some(highest) = self.highest(seat).filter(|highest| term <= *highest) {
            self.wrong.push(format!("I3: seat {seat} goes from term {highest} to {term}"));
        }
        let held = self.held.get(&(seat.clone(), term)).filter(|_| !self.blurred.contains(seat));
        if let Some(other) = held.filter(|other| **other != marks.holder_uid) {
            self.wrong.push(format!("I3: term {term} of seat {seat} names {other} and {}", marks.holder_uid));
        }
        if !self.seats.contains(seat) {
            self.seats.push(seat.clone());
        }
        self.highest.insert(seat.clone(), term);
        self.held.insert((seat.clone(), term), marks.holder_uid.clone());
        let before = self.holder.replace(marks.holder_uid.clone());
        if before.is_some_and(|before| before != marks.holder_uid) {
            let lately = |(at, other): &&(Duration, usize)| *other == who && *at + BRAKE.1 > now;
            if self.changes.iter().filter(lately).count() >= BRAKE.0 {
                self.wrong.push(format!("BRAKE: replica {who} changes the holder a fourth time in 10 s"));
            }
            self.changes.push((now, who));
        }
    }

    /// A change that used up a fact was stored.
    pub(super) fn fact_used(&mut self, who: usize, fact: &FactKey) {
        if !self.used.insert((who, fact.clone())) {
            self.wrong.push(format!("FACT: replica {who} acts on {fact:?} a second time"));
        }
    }

    /// A node came back: its next loss is another fact.
    pub(super) fn node_is_back(&mut self, pods: &[Uid]) {
        self.used.retain(|(_, (uid, reason, _))| !(is_of_node(*reason) && pods.contains(uid)));
    }

    /// One of us wrote a slice, and it was stored.
    pub(super) fn slice_applied(&mut self, service: &Arc<str>, content: &SliceContent) {
        let new = (content.seat_uid.clone(), content.term);
        if let Some((seat, term)) = self.stamps.get(service) {
            let age = |uid: &Uid| self.seats.iter().position(|other| other == uid);
            if *seat == new.0 && *term > new.1 && !self.blurred.contains(seat) {
                self.wrong.push(format!("I3: slice of {service} goes from term {term} back to {}", new.1));
            } else if age(seat) > age(&new.0) {
                self.wrong.push(format!("I3: slice of {service} goes from seat {seat} back to {}", new.0));
            }
        }
        if let Some(endpoint) = &content.endpoint
            && !self.did_hold(&new.0, new.1, &endpoint.uid)
        {
            let pod = &endpoint.pod;
            self.wrong.push(format!("I1: slice of {service} names {pod}, which did not hold {new:?}"));
        }
        self.stamps.insert(service.clone(), new);
    }

    /// A stranger changed or deleted the slice: what it carried is not known to anybody any more.
    pub(super) fn slice_touched(&mut self, service: &str) {
        self.stamps.remove(service);
    }
}

pub(super) const fn is_of_node(reason: Reason) -> bool {
    matches!(reason, Reason::NodeGone | Reason::NodeOutOfService | Reason::NodeNotReady)
}
