//! The brake: a group that changes hands too often is stopped, whatever the cause.

use std::collections::VecDeque;
use std::time::Duration;

/// Changes allowed within [`WINDOW`].
pub const MOST_CHANGES: usize = 3;
/// The window the changes are counted in.
pub const WINDOW: Duration = Duration::from_secs(10);

/// Counts seat changes and stops the group when there are too many.
#[derive(Clone, Debug, Default)]
pub struct Brake {
    changes: VecDeque<Duration>,
    awaiting_relist: bool,
}

impl Brake {
    /// Notes a change of the seat, by whomever.
    pub fn note_change(&mut self, now: Duration) {
        self.drain(now);
        self.changes.push_back(now);
    }

    /// Whether one more change is allowed now. A refusal holds until [`Brake::relisted`] and until the
    /// window has room again.
    pub fn allows(&mut self, now: Duration) -> bool {
        self.drain(now);
        if self.changes.len() >= MOST_CHANGES {
            self.awaiting_relist = true;
        }
        !self.awaiting_relist
    }

    /// Whether the brake is on.
    pub fn is_on(&self) -> bool {
        self.awaiting_relist
    }

    /// When the window has room again: the moment to ask for the re-list.
    pub fn room_at(&self) -> Option<Duration> {
        let excess = self.changes.len().checked_sub(MOST_CHANGES)?;
        self.changes.get(excess).map(|at| *at + WINDOW)
    }

    /// Everything was read anew.
    pub fn relisted(&mut self, now: Duration) {
        self.drain(now);
        if self.changes.len() < MOST_CHANGES {
            self.awaiting_relist = false;
        }
    }

    fn drain(&mut self, now: Duration) {
        while self.changes.front().is_some_and(|at| *at + WINDOW <= now) {
            self.changes.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_fourth_change_in_ten_seconds_waits_for_a_relist() {
        let mut brake = Brake::default();
        for second in 0..3 {
            assert!(brake.allows(s(second)));
            brake.note_change(s(second));
        }
        assert!(!brake.allows(s(3)));
        assert_eq!(brake.room_at(), Some(s(10)));
        brake.relisted(s(4));
        assert!(brake.is_on(), "a re-list does not help while the window is full");
        assert!(!brake.allows(s(11)), "nor does time without a re-list");
        brake.relisted(s(11));
        assert!(brake.allows(s(11)));
    }
}
