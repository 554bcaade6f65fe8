//! A member that lost the seat by a judgement ranks last for a while.

use std::time::Duration;

/// The first penalty.
pub const FIRST: Duration = Duration::from_secs(10);
/// The longest.
pub const LONGEST: Duration = Duration::from_mins(10);

/// One member's penalty: cleared once the member was healthy for as long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Penalty {
    length: Option<Duration>,
    healthy_since: Option<Duration>,
}

impl Penalty {
    /// The member lost the seat by a judgement: a first penalty, or twice the one it still has.
    pub fn lost_seat(&mut self) {
        self.length = Some(self.length.map_or(FIRST, |length| (length * 2).min(LONGEST)));
        self.healthy_since = None;
    }

    /// Notes the member's health; a penalty ends after as long a health.
    pub fn note_health(&mut self, now: Duration, healthy: bool) {
        if !healthy {
            self.healthy_since = None;
            return;
        }
        let since = *self.healthy_since.get_or_insert(now);
        if self.length.is_some_and(|length| now >= since + length) {
            *self = Self::default();
        }
    }

    /// Whether the member still ranks last.
    pub fn is_active(&self) -> bool {
        self.length.is_some()
    }

    /// When the penalty ends if the member stays healthy.
    pub fn ends_at(&self) -> Option<Duration> {
        Some(self.healthy_since? + self.length?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_penalty_doubles_to_ten_minutes_and_ends_after_as_long_a_health() {
        let mut penalty = Penalty::default();
        penalty.lost_seat();
        penalty.note_health(s(1), true);
        assert_eq!(penalty.ends_at(), Some(s(11)));
        penalty.note_health(s(5), false);
        penalty.note_health(s(6), true);
        penalty.note_health(s(15), true);
        assert!(penalty.is_active(), "the health was interrupted");
        penalty.lost_seat();
        penalty.note_health(s(20), true);
        assert_eq!(penalty.ends_at(), Some(s(40)));
        for _ in 0..20 {
            penalty.lost_seat();
        }
        penalty.note_health(s(100), true);
        assert_eq!(penalty.ends_at(), Some(s(700)));
        penalty.note_health(s(700), true);
        assert!(!penalty.is_active());
    }
}
