//! Drawings of a failover: what happened when, and how each request fared.

use std::time::{Duration, Instant};

use crate::trace::Trace;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// Milliseconds since the fault.
    pub ms: f64,
    /// What.
    pub what: String,
}

impl Moment {
    /// A moment.
    pub fn new(ms: f64, what: impl Into<String>) -> Self {
        Self { ms, what: what.into() }
    }
}

/// One line for each moment, in the order of time.
pub fn timeline(mut moments: Vec<Moment>) -> Vec<String> {
    moments.sort_by(|a, b| a.ms.total_cmp(&b.ms));
    let last = moments.len().saturating_sub(1);
    let line = |(index, Moment { ms, what }): (usize, &Moment)| {
        let mark = match index {
            _ if index == last => '└',
            0 => '┌',
            _ => '├',
        };
        format!("{ms:>8.1} ms {mark}─ {what}")
    };
    moments.iter().enumerate().map(line).collect()
}

/// Requests as letters, in the order of their starts: `A` answered by the old pod, `B` by another one, `x` failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strip {
    /// The letters.
    pub letters: String,
    /// The place of the first request that could feel the fault.
    pub fault: usize,
    /// How many requests each letter stands for; the worst of them is shown.
    pub each: usize,
}

impl Strip {
    /// The requests around a fault, in at most so many letters.
    pub fn new(
        trace: &Trace,
        fault: Instant,
        old: &str,
        before: Duration,
        after: Duration,
        most: usize,
    ) -> Self {
        let near = |start: Instant| start + before >= fault && start <= fault + after;
        let shown: Vec<_> = trace.samples().iter().filter(|sample| near(sample.start)).collect();
        let each = shown.len().div_ceil(most.max(1)).max(1);
        let place = shown.iter().position(|sample| sample.end >= fault).unwrap_or(shown.len());
        let letter = |some: &[&crate::trace::Sample]| {
            let answers = || some.iter().map(|sample| sample.who());
            if answers().any(|who| who.is_none()) {
                'x'
            } else if answers().all(|who| who == Some(old)) {
                'A'
            } else {
                'B'
            }
        };
        Self { letters: shown.chunks(each).map(letter).collect(), fault: place / each, each }
    }

    /// The line below the letters that marks the fault.
    pub fn mark(&self) -> String {
        format!("{}^", " ".repeat(self.fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Failure, Outcome, Sample};

    #[test]
    fn a_timeline_is_in_order_and_closed_at_both_ends() {
        let moments = vec![Moment::new(0.0, "fault"), Moment::new(31.25, "answer"), Moment::new(7.0, "seat")];
        let lines = ["     0.0 ms ┌─ fault", "     7.0 ms ├─ seat", "    31.2 ms └─ answer"];
        assert_eq!(timeline(moments), lines);
    }

    #[test]
    fn the_strip_shows_each_request_and_the_fault() {
        let zero = Instant::now() + Duration::from_secs(1);
        let sample = |at: i64, outcome: Outcome| {
            let start = if at < 0 {
                zero.checked_sub(Duration::from_millis(at.unsigned_abs())).unwrap()
            } else {
                zero + Duration::from_millis(at.unsigned_abs())
            };
            Sample { start, end: start + Duration::from_millis(1), outcome }
        };
        let answer = |who: &str| Outcome::Answer { who: who.into(), start_id: 1 };
        let trace = Trace::new(vec![
            sample(-100, answer("a")),
            sample(-10, answer("a")),
            sample(-5, answer("a")),
            sample(5, Outcome::Failed(Failure::Refused)),
            sample(60, answer("b")),
            sample(900, answer("b")),
        ]);
        let draw =
            |most| Strip::new(&trace, zero, "a", Duration::from_millis(50), Duration::from_millis(250), most);
        let strip = draw(100);
        assert_eq!((strip.letters.as_str(), strip.mark().as_str(), strip.each), ("AAxB", "  ^", 1));
        let short = draw(2);
        assert_eq!((short.letters.as_str(), short.mark().as_str(), short.each), ("Ax", " ^", 2));
    }
}
