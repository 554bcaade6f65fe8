//! The replica's clock, and the knowledge of when the replica itself stood still.
//!
//! A frozen or starved replica sees every answer late and calls it a time-out. So a task ticks every 50 ms, and
//! whatever spans a tick that came more than 300 ms late proves nothing.
//!
//! Not seen: a machine that sleeps as a whole, because the monotonic clock sleeps with it.

use hotstandby_core::ids::Now;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// Between two ticks.
pub const TICK: Duration = Duration::from_millis(50);
/// A tick later than this means that the replica stood still.
pub const LATE: Duration = Duration::from_millis(300);
/// Gaps remembered one by one; of older ones only the end of the newest is kept.
const REMEMBERED: usize = 64;

/// Monotonic time since start, wall time for people, and the gaps. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    start: Instant,
    ticks: Mutex<Ticks>,
    gaps: watch::Sender<u64>,
}

impl Clock {
    /// Starts at zero now. Until [`Clock::run_ticker`] runs, everything longer than a late tick spans a gap:
    /// without a ticker nothing is judged.
    pub fn start() -> Self {
        let (gaps, _) = watch::channel(0);
        Self { inner: Arc::new(Inner { start: Instant::now(), ticks: Mutex::new(Ticks::default()), gaps }) }
    }

    /// Time since the start.
    pub fn mono(&self) -> Duration {
        self.inner.start.elapsed()
    }

    /// The moment for a step of the core.
    pub fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono: self.mono(), unix_ms: i64::try_from(unix.as_millis()).unwrap_or(i64::MAX) }
    }

    /// The runtime's name for a moment of this clock, to sleep until.
    pub fn instant(&self, at: Duration) -> tokio::time::Instant {
        (self.inner.start + at).into()
    }

    /// Ticks for ever.
    pub async fn run_ticker(&self) {
        let mut interval = tokio::time::interval(TICK);
        // Ticks made up for would hide how late the first of them was.
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            if let Some(stood_still) = self.ticks(Ticks::tick) {
                tracing::warn!(
                    ?stood_still,
                    "this replica stood still; what it saw meanwhile is thrown away"
                );
                self.inner.gaps.send_modify(|count| *count += 1);
            }
        }
    }

    /// Whether the replica stood still at any time between `sent` and `done`. Also right when the ticker has
    /// not yet run after the thaw.
    pub fn spans_gap(&self, sent: Duration, done: Duration) -> bool {
        self.ticks(|ticks, now| ticks.spans(sent, done, now))
    }

    /// Counts the gaps; changes when one has ended.
    pub fn gaps(&self) -> watch::Receiver<u64> {
        self.inner.gaps.subscribe()
    }

    /// How long ago the ticker ran.
    pub fn tick_age(&self) -> Duration {
        self.ticks(|ticks, now| now.saturating_sub(ticks.last))
    }

    fn ticks<T>(&self, work: impl FnOnce(&mut Ticks, Duration) -> T) -> T {
        let mut ticks = self.inner.ticks.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that no tick can come between the reading and its use.
        let now = self.mono();
        work(&mut ticks, now)
    }
}

/// The ticks seen, without a clock of its own.
#[derive(Debug, Default)]
struct Ticks {
    last: Duration,
    gaps: VecDeque<Gap>,
    /// Before this, gaps have been forgotten.
    forgotten: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Gap {
    from: Duration,
    until: Duration,
}

impl Gap {
    fn between(last: Duration, now: Duration) -> Option<Self> {
        (now.saturating_sub(last) > TICK + LATE).then_some(Self { from: last, until: now })
    }

    fn touches(self, sent: Duration, done: Duration) -> bool {
        sent < self.until && self.from < done
    }
}

impl Ticks {
    /// Takes a tick in; answers how long the replica stood still, if it did.
    fn tick(&mut self, now: Duration) -> Option<Duration> {
        let gap = Gap::between(self.last, now);
        self.last = self.last.max(now);
        let gap = gap?;
        if self.gaps.len() == REMEMBERED
            && let Some(oldest) = self.gaps.pop_front()
        {
            self.forgotten = oldest.until;
        }
        self.gaps.push_back(gap);
        Some(gap.until.saturating_sub(gap.from))
    }

    fn spans(&self, sent: Duration, done: Duration, now: Duration) -> bool {
        let running = Gap::between(self.last, now);
        sent < self.forgotten || self.gaps.iter().copied().chain(running).any(|gap| gap.touches(sent, done))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    fn ticked(until: u64) -> Ticks {
        let mut ticks = Ticks::default();
        for at in (50..=until).step_by(50) {
            assert_eq!(ticks.tick(ms(at)), None);
        }
        ticks
    }

    #[test]
    fn steady_and_slightly_late_ticks_are_no_gap() {
        let mut ticks = ticked(1_000);
        assert_eq!(ticks.tick(ms(1_350)), None, "exactly 300 ms late");
        assert!(!ticks.spans(ms(0), ms(1_350), ms(1_400)));
    }

    #[test]
    fn frozen_replica_is_found_by_the_late_tick() {
        let mut ticks = ticked(1_000);
        assert_eq!(ticks.tick(ms(1_351)), Some(ms(351)));
        assert!(ticks.spans(ms(990), ms(1_351), ms(1_360)), "sent before, ended after");
        assert!(ticks.spans(ms(1_100), ms(1_200), ms(1_360)), "wholly inside");
        assert!(!ticks.spans(ms(900), ms(1_000), ms(1_360)), "ended before");
        assert!(!ticks.spans(ms(1_351), ms(1_360), ms(1_360)), "sent after the thaw");
    }

    #[test]
    fn frozen_replica_is_found_although_the_ticker_has_not_run_after_the_thaw() {
        let ticks = ticked(1_000);
        assert!(ticks.spans(ms(990), ms(5_000), ms(5_000)));
        assert!(!ticks.spans(ms(900), ms(950), ms(5_000)), "what ended before the last tick stands");
    }

    #[test]
    fn forgotten_gaps_are_taken_as_gaps() {
        let mut ticks = Ticks::default();
        let mut now = Duration::ZERO;
        for _ in 0..=REMEMBERED {
            now += ms(1_000);
            assert!(ticks.tick(now).is_some());
        }
        assert_eq!(ticks.gaps.len(), REMEMBERED);
        assert!(ticks.spans(ms(0), ms(1), now));
    }

    #[test]
    fn without_a_ticker_nothing_counts() {
        let ticks = Ticks::default();
        assert!(ticks.spans(ms(100), ms(600), ms(600)));
        assert!(!ticks.spans(ms(100), ms(200), ms(200)), "the ticker may still be about to start");
    }
}
