//! What is known of the Lease, and since when it has looked like that: the only ground to call it expired.

use super::record::{Identity, LeaseState, LeaseView};
use crate::ids::Term;
use crate::seat::first_term;
use std::time::Duration;

/// The highest term that a new Lease starts at: the last plausible one but a few.
const MOST_FIRST_TERM: u64 = (1 << 30) - 1;

/// The newest state of the Lease that this process saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Sighting {
    state: Option<LeaseState>,
    /// When what it says was first seen.
    since: Duration,
    /// When the newest live read that confirmed it was asked for.
    read_at: Option<Duration>,
    /// A held Lease vanished: its holder may not know, so that nobody takes what comes after it before this.
    pub(super) not_before: Duration,
    /// Terms never go back, whatever somebody does to the Lease.
    highest_term: Option<Term>,
}

/// What an observation of the Lease is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is the newest state now, or was it already.
    Current,
    /// It is older than what is known.
    Old,
    /// It cannot be ordered: only a live read can tell.
    Unclear,
}

/// When the Lease may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Free {
    /// Nothing is known of it.
    Unread,
    /// From this time on. The write's own precondition proves that nobody was faster.
    At(Duration),
    /// From this time on, if a live read after it finds it the same.
    IfUnchangedAt(Duration),
}

impl Sighting {
    /// The Lease, where there is one.
    pub(super) fn present(&self) -> Option<&LeaseView> {
        match &self.state {
            Some(LeaseState::Present(view)) => Some(view),
            Some(LeaseState::Absent) | None => None,
        }
    }

    /// Notes what a watch told: it may be late.
    pub(super) fn watched(&mut self, new: LeaseState, now: Duration, own: Duration) -> Seen {
        let seen = match (&self.state, &new) {
            (Some(LeaseState::Present(old)), LeaseState::Present(new)) if old.uid == new.uid => {
                if new.rv == old.rv || old.rv.is_older_than(&new.rv) {
                    Seen::Current
                } else if new.rv.is_older_than(&old.rv) {
                    Seen::Old
                } else {
                    Seen::Unclear
                }
            }
            (None, LeaseState::Present(_)) | (Some(LeaseState::Absent), LeaseState::Absent) => Seen::Current,
            _ => Seen::Unclear,
        };
        if seen == Seen::Current {
            self.replace(new, now, own);
        }
        seen
    }

    /// Notes what a live read or the answer to a write told; `asked_at`: when it was asked for.
    pub(super) fn read(&mut self, new: LeaseState, now: Duration, asked_at: Duration, own: Duration) -> Seen {
        if let (Some(old), LeaseState::Present(new)) = (self.present(), &new)
            && old.uid == new.uid
            && new.rv.is_older_than(&old.rv)
        {
            return Seen::Old;
        }
        self.replace(new, now, own);
        self.read_at = Some(asked_at);
        Seen::Current
    }

    fn replace(&mut self, new: LeaseState, now: Duration, own: Duration) {
        let vanished = match (&self.state, &new) {
            (None | Some(LeaseState::Absent), _) => false,
            (Some(LeaseState::Present(_)), LeaseState::Absent) => true,
            (Some(LeaseState::Present(old)), LeaseState::Present(new)) => old.uid != new.uid,
        };
        if vanished {
            // Counted from here: the last renewal came before the deletion, even if this process did not see it.
            let duration = self.present().map_or(own, |old| valid_for(old, own));
            self.not_before = self.not_before.max(now.saturating_add(duration));
        }
        // By what it says, not by resourceVersion: a holder's renewal always says something new, while somebody who
        // keeps annotating the Lease of a dead holder must not keep it alive.
        let same = match (&self.state, &new) {
            (Some(LeaseState::Absent), LeaseState::Absent) => true,
            (Some(LeaseState::Present(old)), LeaseState::Present(new)) => {
                old.uid == new.uid && old.record == new.record
            }
            _ => false,
        };
        if !same {
            self.since = now;
            self.read_at = None;
        }
        if let LeaseState::Present(view) = &new {
            self.note_term(view.record.term);
        }
        self.state = Some(new);
    }

    /// Whether no later term was seen.
    pub(super) fn is_highest_term(&self, term: Term) -> bool {
        self.highest_term <= Some(term)
    }

    /// The term of the next holder; `None` if a Lease cannot say it.
    pub(super) fn next_term(&self, unix_ms: i64) -> Option<Term> {
        let term = match self.present() {
            Some(view) => self.highest_term.max(Some(view.record.term)).unwrap_or_default().next(),
            // The count goes on, and above what was handed out before this process lived. A clock that is
            // decades ahead must not use up the numbers.
            None => first_term(self.highest_term, unix_ms).min(Term(MOST_FIRST_TERM)),
        };
        (term.0 <= u64::from(i32::MAX.cast_unsigned())).then_some(term)
    }

    /// Notes a term; one that no election can have come to is somebody's edit, and is not remembered.
    fn note_term(&mut self, term: Term) {
        if term.is_plausible() {
            self.highest_term = self.highest_term.max(Some(term));
        }
    }

    /// When the Lease may be taken; `own`: this member's own lease duration.
    pub(super) fn free(&self, me: &Identity, own: Duration) -> Free {
        match &self.state {
            None => Free::Unread,
            // A Lease that was never there is made at once; one that vanished is waited out. Only a live read says "absent".
            Some(LeaseState::Absent) => Free::At(self.not_before),
            Some(LeaseState::Present(view)) => {
                if view.record.holder.is_none() || view.record.is_of_earlier_process(me) {
                    return Free::At(self.not_before);
                }
                let expiry = self.since.saturating_add(valid_for(view, own));
                Free::IfUnchangedAt(expiry.max(self.not_before))
            }
        }
    }

    /// Whether a live read that was asked for at `time` or later found it as it is.
    pub(super) fn was_read_since(&self, time: Duration) -> bool {
        self.read_at.is_some_and(|at| at >= time)
    }
}

/// For how long a record counts: members with different durations are told apart by the larger one.
fn valid_for(view: &LeaseView, own: Duration) -> Duration {
    Duration::from_secs(view.record.duration_seconds.into()).max(own)
}
