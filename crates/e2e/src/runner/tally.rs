//! How the tests ended, and where the time went.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::{Fear, Needs};

/// How many of the slowest tests are printed.
const SLOWEST: usize = 10;

/// A test that has ended.
#[derive(Clone)]
pub(crate) struct Ended {
    /// The test.
    pub(crate) fear: Fear,
    /// When it began.
    pub(crate) start: Instant,
    /// When its last check was done; what it made may still be being removed.
    pub(crate) end: Instant,
    /// Why it failed, if it did.
    pub(crate) failure: Option<String>,
}

impl Ended {
    fn took(&self) -> Duration {
        self.end.saturating_duration_since(self.start)
    }
}

/// All tests of a run that have ended.
#[derive(Clone)]
pub(crate) struct Tally {
    begin: Instant,
    end: Instant,
    ended: Vec<Ended>,
}

impl Tally {
    /// Begins a run now.
    pub(crate) fn begin() -> Self {
        let now = Instant::now();
        Self { begin: now, end: now, ended: Vec::new() }
    }

    /// Ends the run now.
    pub(crate) fn end(mut self) -> Self {
        self.end = Instant::now();
        self
    }

    /// Adds a test.
    pub(crate) fn add(&mut self, ended: Ended) {
        self.ended.push(ended);
    }

    /// How many passed.
    pub(crate) fn passed(&self) -> usize {
        self.ended.iter().filter(|one| one.failure.is_none()).count()
    }

    /// The names of those that failed, each with its reason, in the order in which they ended.
    pub(crate) fn failed(&self) -> Vec<(&'static str, &str)> {
        self.ended.iter().filter_map(|one| Some((one.fear.name, one.failure.as_deref()?))).collect()
    }

    /// Where the time went: the time of each kind of test, the slowest tests, and how long no test ran.
    pub(crate) fn times(&self) -> String {
        let mut text = String::new();
        let mut kinds: BTreeMap<Needs, Vec<&Ended>> = BTreeMap::new();
        for one in &self.ended {
            kinds.entry(one.fear.needs).or_default().push(one);
        }
        for (needs, all) in &kinds {
            let sum: Duration = all.iter().map(|one| one.took()).sum();
            let wall = covered(all);
            let _ = writeln!(
                text,
                "{:<15} {:3} tests in {:5.0} s, {:5.0} s one after the other",
                needs.name(),
                all.len(),
                wall.as_secs_f64(),
                sum.as_secs_f64()
            );
        }
        let mut by_time: Vec<&Ended> = self.ended.iter().collect();
        by_time.sort_by_key(|one| std::cmp::Reverse(one.took()));
        let _ = writeln!(text, "the slowest tests:");
        for one in by_time.iter().take(SLOWEST) {
            let _ = writeln!(text, "  {:6.1} s  {}", one.took().as_secs_f64(), one.fear.name);
        }
        let all: Vec<&Ended> = self.ended.iter().collect();
        let whole = self.end.saturating_duration_since(self.begin);
        let idle = whole.saturating_sub(covered(&all));
        let _ = writeln!(
            text,
            "no test ran for {:.0} s of {:.0} s: objects were removed and the cluster was repaired",
            idle.as_secs_f64(),
            whole.as_secs_f64()
        );
        text
    }
}

/// How long at least one of these tests ran.
fn covered(tests: &[&Ended]) -> Duration {
    let mut spans: Vec<(Instant, Instant)> = tests.iter().map(|one| (one.start, one.end)).collect();
    spans.sort_unstable();
    let mut sum = Duration::ZERO;
    let mut until: Option<Instant> = None;
    for (start, end) in spans {
        let from = until.map_or(start, |until| until.max(start));
        sum += end.saturating_duration_since(from);
        until = Some(until.map_or(end, |until| until.max(end)));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(zero: Instant, from: u64, to: u64, failure: Option<&str>) -> Ended {
        let at = |seconds| zero + Duration::from_secs(seconds);
        let fear = Fear { name: "t", needs: Needs::Namespace, run: |_| Box::pin(async { Ok(()) }) };
        Ended { fear, start: at(from), end: at(to), failure: failure.map(str::to_owned) }
    }

    #[test]
    fn time_that_tests_share_counts_once() {
        let zero = Instant::now();
        let tests = [
            ended(zero, 0, 10, None),
            ended(zero, 2, 5, None),
            ended(zero, 8, 12, None),
            ended(zero, 20, 21, None),
        ];
        let all: Vec<&Ended> = tests.iter().collect();
        assert_eq!(covered(&all), Duration::from_secs(13));
        assert_eq!(covered(&[]), Duration::ZERO);
    }

    #[test]
    fn what_failed_and_how_long_nothing_ran_is_printed() {
        let mut tally = Tally::begin();
        let zero = tally.begin;
        tally.add(ended(zero, 0, 10, None));
        tally.add(ended(zero, 15, 20, Some("broken")));
        tally.end = zero + Duration::from_secs(25);
        assert_eq!((tally.passed(), tally.failed()), (1, vec![("t", "broken")]));
        assert!(tally.times().contains("no test ran for 10 s of 25 s"), "{}", tally.times());
    }
}
