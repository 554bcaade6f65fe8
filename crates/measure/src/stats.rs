//! Quantiles, and the summary of an experiment's trials.

use std::collections::BTreeMap;

use crate::experiment::Experiment;
use crate::record::{Failover, Memory, Outcome, Requests, Sample};

/// The nearest-rank quantile: the smallest value that at least this share of all values does not exceed. Of
/// fewer than 100 values the 0.99 quantile is so the largest.
pub(crate) fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rank = (share * sorted.len() as f64 - 1e-9).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied()
}

/// Median, 99th percentile, maximum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    /// Median.
    pub(crate) p50: f64,
    /// 99th percentile.
    pub(crate) p99: f64,
    /// Maximum.
    pub(crate) max: f64,
}

impl Spread {
    /// The spread of some values, if there are any.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        Some(Self { p50: quantile(values, 0.5)?, p99: quantile(values, 0.99)?, max: quantile(values, 1.0)? })
    }
}

/// All trials of one experiment.
#[derive(Debug)]
pub(crate) struct Summary<'s> {
    /// The experiment.
    pub(crate) experiment: &'static Experiment,
    /// The times that were measured; infinite where the limit was reached.
    pub(crate) times: Vec<f64>,
    /// Trials in which a client saw another pod answer.
    pub(crate) failovers: Vec<&'s Failover>,
    /// In how many trials of an outage another pod answered.
    pub(crate) moved: usize,
    /// Failed requests of each trial.
    pub(crate) failed: Vec<u64>,
    /// Requests that the old pod answered after the new one, in all trials.
    pub(crate) doubled: u64,
    /// Counts of requests.
    pub(crate) requests: Vec<&'s Requests>,
    /// Memory that was read.
    pub(crate) memory: Vec<Memory>,
    /// Reasons of invalid trials, with how often.
    pub(crate) invalid: BTreeMap<&'s str, usize>,
}

impl<'s> Summary<'s> {
    /// Summarizes an experiment's samples among all.
    pub(crate) fn new(experiment: &'static Experiment, samples: &'s [Sample]) -> Self {
        let mut summary = Self {
            experiment,
            times: Vec::new(),
            failovers: Vec::new(),
            moved: 0,
            failed: Vec::new(),
            doubled: 0,
            requests: Vec::new(),
            memory: Vec::new(),
            invalid: BTreeMap::new(),
        };
        for sample in samples.iter().filter(|sample| sample.experiment == experiment) {
            summary.add(&sample.outcome);
        }
        summary
    }

    fn add(&mut self, outcome: &'s Outcome) {
        match outcome {
            Outcome::Failover(failover) => {
                self.add_time(failover.gap_ms, failover.failed);
                self.doubled += failover.doubled;
                self.failovers.push(failover);
            }
            Outcome::Outage { ms, failed, moved } => {
                self.add_time(*ms, *failed);
                self.moved += usize::from(*moved);
            }
            Outcome::Elapsed { ms } => self.add_time(*ms, 0),
            Outcome::TimedOut { failed, .. } => self.add_time(f64::INFINITY, *failed),
            Outcome::Requests(requests) => self.requests.push(requests),
            Outcome::Memory(memory) => self.memory.push(*memory),
            Outcome::Invalid { reason } => *self.invalid.entry(reason.as_str()).or_default() += 1,
        }
    }

    fn add_time(&mut self, ms: f64, failed: u64) {
        self.times.push(ms);
        self.failed.push(failed);
    }

    /// Whether nothing was recorded.
    pub(crate) fn is_empty(&self) -> bool {
        let values = self.times.len() + self.requests.len() + self.memory.len();
        values == 0 && self.invalid.is_empty()
    }

    /// The spread of the times.
    pub(crate) fn spread(&self) -> Option<Spread> {
        Spread::of(&self.times)
    }

    /// The times below the limit.
    pub(crate) fn finite_times(&self) -> Vec<f64> {
        self.times.iter().copied().filter(|time| time.is_finite()).collect()
    }

    /// In how many trials the limit was reached.
    pub(crate) fn timed_out(&self) -> usize {
        self.times.iter().filter(|time| time.is_infinite()).count()
    }

    /// Failed requests in all trials.
    pub(crate) fn all_failed(&self) -> u64 {
        self.failed.iter().sum()
    }

    /// The most that failed in one trial.
    pub(crate) fn most_failed(&self) -> u64 {
        self.failed.iter().copied().max().unwrap_or_default()
    }

    /// The spread of a stage, by its place in [`crate::record::STAGES`].
    pub(crate) fn stage(&self, place: usize) -> Option<Spread> {
        let staged = self.failovers.iter().filter_map(|failover| failover.stages);
        let values: Vec<f64> = staged.filter_map(|stages| stages.to_array().get(place).copied()).collect();
        Spread::of(&values)
    }

    /// The median as a multiple of the floor's.
    pub(crate) fn ratio(&self, floor: &Summary<'_>) -> Option<f64> {
        let floor = floor.spread()?.p50;
        (floor > 0.0).then_some(self.spread()?.p50 / floor)
    }

    /// The most memory of all trials, in each respect.
    pub(crate) fn most_memory(&self) -> Option<Memory> {
        self.memory.iter().copied().reduce(|a, b| Memory {
            resident: a.resident.max(b.resident),
            working_set: a.working_set.max(b.working_set),
            program: a.program.max(b.program),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{failover, invalid, sample, timed_out};
    use crate::registry::find;

    fn summarize<'s>(key: &str, samples: &'s [Sample]) -> Summary<'s> {
        Summary::new(find(key).unwrap(), samples)
    }

    #[test]
    fn quantiles_are_values_that_occurred() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(quantile(&hundred, 0.5), Some(50.0));
        assert_eq!(quantile(&hundred, 0.99), Some(99.0));
        assert_eq!(quantile(&hundred, 1.0), Some(100.0));
        assert_eq!(quantile(&hundred[..99], 0.99), Some(100.0), "of fewer than 100 it is the largest");
        assert_eq!(quantile(&[3.0, 1.0, 2.0], 0.5), Some(2.0));
        assert_eq!(quantile(&[3.0, 1.0], 0.5), Some(1.0));
        assert_eq!(quantile(&[7.0], 0.99), Some(7.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn a_trial_without_an_answer_is_the_worst_and_not_left_out() {
        let samples = [failover("killed", 50.0), timed_out("killed"), failover("killed", 70.0)];
        let summary = summarize("killed", &samples);
        let gap = summary.spread().unwrap();
        assert_eq!(gap.p50.to_bits(), 70.0_f64.to_bits());
        assert!(gap.max.is_infinite());
        assert_eq!(summary.failovers.len(), 2);
    }

    #[test]
    fn invalid_trials_are_counted_by_reason() {
        let samples =
            [invalid("hang", "a"), invalid("hang", "a"), invalid("hang", "b"), failover("floor", 1.0)];
        let summary = summarize("hang", &samples);
        assert!(summary.spread().is_none());
        assert_eq!(summary.invalid, BTreeMap::from([("a", 2), ("b", 1)]));
    }

    #[test]
    fn the_ratio_is_that_of_the_medians() {
        let samples = [
            failover("floor", 40.0),
            failover("floor", 30.0),
            failover("floor", 90.0),
            failover("killed", 60.0),
        ];
        let floor = summarize("floor", &samples);
        let ratio = summarize("killed", &samples).ratio(&floor).unwrap();
        assert!((ratio - 1.5).abs() < 1e-9);
        assert_eq!(summarize("killed", &samples).ratio(&summarize("hang", &samples)), None);
    }

    #[test]
    fn every_kind_of_value_is_kept() {
        let memory = |resident, program| Outcome::Memory(Memory { resident, working_set: 1, program });
        let samples = [
            sample("await-memory", memory(3, 5)),
            sample("await-memory", memory(4, 2)),
            sample("move-a-killed-now", Outcome::Outage { ms: 9.0, failed: 2, moved: true }),
            sample("move-a-killed-now", Outcome::Outage { ms: 7.0, failed: 1, moved: false }),
            timed_out("move-a-killed-now"),
        ];
        let most = summarize("await-memory", &samples).most_memory();
        assert_eq!(most, Some(Memory { resident: 4, working_set: 1, program: 5 }));
        let outages = summarize("move-a-killed-now", &samples);
        assert_eq!((outages.moved, outages.timed_out(), outages.all_failed()), (1, 1, 6));
        assert_eq!(outages.finite_times(), [9.0, 7.0]);
        assert!(!outages.is_empty() && summarize("killed", &samples).is_empty());
    }
}
