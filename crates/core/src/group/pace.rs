//! When one projection may be written: one write at a time, growing pauses after failures, one a second where somebody
//! keeps undoing it, and the lead first.

use super::change;
use crate::action::Ticket;
use crate::observation::WriteError;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Writes of one object within [`CONTEST_WINDOW`] that mean somebody keeps undoing them.
const MOST_WRITES: usize = 8;
/// The window they are counted in; then one write a second.
const CONTEST_WINDOW: Duration = Duration::from_secs(10);

/// The writes of one object under way and lately done.
#[derive(Debug, Default)]
pub(super) struct Slot {
    under_way: Option<Ticket>,
    failures: u32,
    retry_at: Duration,
    lately: VecDeque<Duration>,
    /// Since when it has not been as it should be.
    wrong_since: Option<Duration>,
    refused: Option<Arc<str>>,
}

/// Whether a write may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Now.
    Now,
    /// Not before this.
    At(Duration),
    /// Not before the one under way was answered.
    Busy,
}

impl Slot {
    /// The object is as it should be: nothing is wrong with it any more. When it ceases to count as contested, if it does.
    pub(super) fn settle(&mut self, now: Duration) -> Option<Duration> {
        self.refused = None; // somebody could write it
        self.wrong_since = None;
        self.lately.retain(|at| *at + CONTEST_WINDOW > now);
        let excess = self.lately.len().checked_sub(MOST_WRITES)?;
        self.lately.get(excess).map(|at| *at + CONTEST_WINDOW)
    }

    /// The object is not as it should be: whether it may be written. The others leave it to the lead, or to the replica
    /// that moved the seat, for as long as the seat.
    pub(super) fn turn(&mut self, now: Duration, at_once: bool) -> Turn {
        let wrong_since = *self.wrong_since.get_or_insert(now);
        if self.under_way.is_some() {
            return Turn::Busy;
        }
        self.lately.retain(|at| *at + CONTEST_WINDOW > now);
        let since_last = self.lately.back().map_or(now, |at| *at + Duration::from_secs(1));
        let head_start = if at_once { now } else { wrong_since + change::HEAD_START };
        let not_before = if self.is_contested() { self.retry_at.max(since_last) } else { self.retry_at };
        let not_before = not_before.max(head_start);
        if now < not_before { Turn::At(not_before) } else { Turn::Now }
    }

    pub(super) fn begin(&mut self, now: Duration, ticket: Ticket) {
        self.under_way = Some(ticket);
        self.lately.push_back(now);
    }

    /// The write was answered; whether it is the one that is under way.
    pub(super) fn finish(&mut self, now: Duration, ticket: Ticket, error: Option<&WriteError>) -> bool {
        if self.under_way != Some(ticket) {
            return false;
        }
        self.under_way = None;
        let Some(error) = error else {
            self.failures = 0;
            self.refused = None;
            self.retry_at = Duration::ZERO;
            return true;
        };
        self.failures = self.failures.saturating_add(1);
        let steps = self.failures.min(6).saturating_sub(1);
        let wait = (Duration::from_millis(20) * 2_u32.pow(steps)).min(Duration::from_secs(1));
        self.retry_at = match error {
            // A first conflict is ordinary: what is stored has been read, so write at once.
            WriteError::Conflict if self.failures == 1 => now,
            WriteError::Refused(_) => now + Duration::from_secs(1),
            WriteError::Conflict | WriteError::Unknown(_) => now + wait,
        };
        self.refused = match error {
            WriteError::Refused(why) => Some(why.clone()),
            WriteError::Conflict | WriteError::Unknown(_) => None,
        };
        true
    }

    /// Why the server refuses the writes, if it does.
    pub(super) fn refused(&self) -> Option<&Arc<str>> {
        self.refused.as_ref()
    }

    /// Whether somebody keeps undoing the writes.
    pub(super) fn is_contested(&self) -> bool {
        self.lately.len() >= MOST_WRITES
    }

    /// Since when the object has not been as it should be.
    pub(super) fn wrong_since(&self) -> Option<Duration> {
        self.wrong_since
    }
}
