//! The model's time: handed in, never read from the machine by itself.

use jiff::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Tells Unix milliseconds.
pub trait Clock: Send + Sync {
    /// Now.
    fn unix_ms(&self) -> i64;
}

/// The machine's clock: for demos, never for simulations.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn unix_ms(&self) -> i64 {
        Timestamp::now().as_millisecond()
    }
}

/// A clock that stands until somebody moves it. Clones show the same time.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows this time.
    pub fn new(unix_ms: i64) -> Self {
        Self(Arc::new(AtomicI64::new(unix_ms)))
    }

    /// Moves it on.
    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }

    /// Puts it to a time.
    pub fn set(&self, unix_ms: i64) {
        self.0.store(unix_ms, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn unix_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl<F: Fn() -> i64 + Send + Sync> Clock for F {
    fn unix_ms(&self) -> i64 {
        self()
    }
}

/// A time as the API writes it: whole seconds, UTC.
pub(crate) fn time_text(unix_ms: i64) -> String {
    let at = Timestamp::from_second(unix_ms.div_euclid(1000)).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The Unix milliseconds of a time as the API writes it.
pub(crate) fn time_ms(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}
