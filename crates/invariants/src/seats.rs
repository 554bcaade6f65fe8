//! Who held each seat at each term, and what must hold of the terms themselves.

use crate::fact::{Author, Stamp, StoredSeat, Term, TermUse};
use crate::invariant::{Invariant, Violation};
use std::collections::{BTreeMap, BTreeSet};

/// One seat: one incarnation of a group's record.
#[derive(Clone, Debug, Default)]
struct Seat {
    record: String,
    /// Seats are numbered in the order in which they were first seen.
    number: usize,
    highest: Option<Term>,
    /// What the record said when its owner wrote it last.
    owners_term: Option<Term>,
    blurred: bool,
    /// The holder of each term.
    held: BTreeMap<Term, String>,
    /// All holders of terms that may have several, and of records that count no terms.
    shared: BTreeSet<(Option<Term>, String)>,
}

impl Seat {
    /// The newest term, as far as it can still be known.
    fn known_highest(&self) -> Option<Term> {
        if self.blurred { None } else { self.highest }
    }

    fn was_held_by(&self, term: Term, pod: &str) -> bool {
        if self.held.get(&term).is_some_and(|holder| holder == pod) {
            return true;
        }
        [Some(term), None].into_iter().any(|term| self.shared.contains(&(term, pod.to_owned())))
    }

    fn note(&mut self, stored: &StoredSeat<'_>) {
        if stored.author == Author::Owner {
            self.owners_term = stored.term;
        }
        let Some(holder) = stored.holder else { return };
        let Some(term) = stored.term.filter(|_| stored.term_use != TermUse::Shared) else {
            self.shared.insert((stored.term, holder.to_owned()));
            return;
        };
        self.highest = if self.blurred { Some(term) } else { self.highest.max(Some(term)) };
        self.held.insert(term, holder.to_owned());
    }
}

/// All seats, by UID.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seats {
    by_uid: BTreeMap<String, Seat>,
}

impl Seats {
    /// What is wrong with this write.
    pub(crate) fn judge(&self, stored: &StoredSeat<'_>) -> Vec<Violation> {
        let Some(term) = stored.term.filter(|_| stored.author == Author::Hotstandby) else {
            return Vec::new();
        };
        if stored.term_use == TermUse::AboveAll {
            let before = self.newest_term_of_all().filter(|before| term <= *before);
            return before.into_iter().map(|before| begins_too_low(stored, term, before)).collect();
        }
        let Some(seat) = self.by_uid.get(stored.seat) else { return Vec::new() };
        let Some(highest) = seat.known_highest() else { return Vec::new() };
        if term < highest || (term == highest && stored.term_use == TermUse::New) {
            let mut found = vec![goes_back(stored, highest, term)];
            found.extend(seat.judge_holder(stored, term).filter(|_| term == highest));
            return found;
        }
        seat.judge_holder(stored, term).into_iter().collect()
    }

    /// Keeps what a write says, unless a stranger made it.
    pub(crate) fn note(&mut self, stored: &StoredSeat<'_>) {
        if stored.author == Author::Stranger {
            return;
        }
        let number = self.by_uid.len();
        let new = || Seat { record: stored.record.to_owned(), number, ..Seat::default() };
        self.by_uid.entry(stored.seat.to_owned()).or_insert_with(new).note(stored);
    }

    pub(crate) fn note_blurred(&mut self, seat: &str) {
        let number = self.by_uid.len();
        let new = || Seat { number, ..Seat::default() };
        self.by_uid.entry(seat.to_owned()).or_insert_with(new).blurred = true;
    }

    pub(crate) fn is_blurred(&self, seat: &str) -> bool {
        self.by_uid.get(seat).is_some_and(|seat| seat.blurred)
    }

    pub(crate) fn newest_term(&self, seat: &str) -> Option<Term> {
        self.by_uid.get(seat)?.known_highest()
    }

    pub(crate) fn newest_term_of_all(&self) -> Option<Term> {
        self.by_uid.values().filter_map(|seat| seat.highest).max()
    }

    pub(crate) fn is_known(&self, seat: &str) -> bool {
        self.by_uid.contains_key(seat)
    }

    pub(crate) fn was_held(&self, stamp: Stamp<'_>, pod: &str) -> bool {
        self.by_uid.get(stamp.seat).is_some_and(|seat| seat.was_held_by(stamp.term, pod))
    }

    /// Whether the owner of this seat set its own counter to this term.
    pub(crate) fn is_owners_term(&self, stamp: Stamp<'_>) -> bool {
        self.by_uid.get(stamp.seat).is_some_and(|seat| seat.owners_term == Some(stamp.term))
    }

    /// Whether a seat is older than another one of the same record, or never was.
    pub(crate) fn is_older(&self, seat: &str, other: &str) -> bool {
        let Some(other) = self.by_uid.get(other) else { return false };
        let Some(seat) = self.by_uid.get(seat) else { return true };
        seat.record == other.record && seat.number < other.number
    }
}

impl Seat {
    fn judge_holder(&self, stored: &StoredSeat<'_>, term: Term) -> Option<Violation> {
        let (held, holder) = (self.held.get(&term)?, stored.holder?);
        (held != holder).then(|| {
            let text = format!("term {term} of the seat has two holders: {held} and {holder}");
            Invariant::TermsGrow.violation(text).shown_by(stored.seat)
        })
    }
}

fn goes_back(stored: &StoredSeat<'_>, from: Term, to: Term) -> Violation {
    let text = format!("the seat's term went back from {from} to {to}");
    Invariant::TermsGrow.violation(text).shown_by(stored.seat)
}

fn begins_too_low(stored: &StoredSeat<'_>, term: Term, before: Term) -> Violation {
    let text = format!("a new seat begins at term {term}, after term {before}");
    Invariant::TermsGrow.violation(text).shown_by(stored.seat)
}
