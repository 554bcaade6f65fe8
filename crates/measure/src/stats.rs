//! Quantiles, and the summary of a row.

use std::collections::BTreeMap;

use super::record::{Outcome, STAGES, Sample, Seen};
use super::row::Row;

/// The nearest-rank quantile: the smallest value that at least this share of all values does not exceed. Of
/// fewer than 100 values the 0.99 quantile is so the largest.
pub(super) fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rank = (share * sorted.len() as f64 - 1e-9).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied()
}

/// Median, 99th percentile, maximum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    /// Median.
    pub(super) p50: f64,
    /// 99th percentile.
    pub(super) p99: f64,
    /// Maximum.
    pub(super) max: f64,
}

impl Spread {
    /// Of some values, if there are any.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        Some(Self { p50: quantile(values, 0.5)?, p99: quantile(values, 0.99)?, max: quantile(values, 1.0)? })
    }
}

/// All valid trials of one row.
#[derive(Debug, Clone)]
pub(super) struct Summary<'s> {
    /// Which row.
    pub(super) row: Row,
    /// The gaps; infinite where no other pod answered within the limit.
    pub(super) gaps: Vec<f64>,
    /// Trials in which another pod answered.
    pub(super) seen: Vec<&'s Seen>,
    /// Failed requests of each trial.
    pub(super) failed: Vec<u64>,
    /// Requests answered by the old pod after the new one, in all trials.
    pub(super) doubled: u64,
    /// Reasons of invalid trials, with how often.
    pub(super) invalid: BTreeMap<&'s str, usize>,
}

impl<'s> Summary<'s> {
    /// Of a row's samples among all.
    pub(super) fn of(row: Row, samples: &'s [Sample]) -> Self {
        let mut summary = Self {
            row,
            gaps: Vec::new(),
            seen: Vec::new(),
            failed: Vec::new(),
            doubled: 0,
            invalid: BTreeMap::new(),
        };
        for sample in samples.iter().filter(|sample| sample.row == row) {
            match &sample.outcome {
                Outcome::Seen(seen) => {
                    summary.gaps.push(seen.gap_ms);
                    summary.failed.push(seen.failed);
                    summary.doubled += seen.doubled;
                    summary.seen.push(seen);
                }
                Outcome::NoAnswer { failed, .. } => {
                    summary.gaps.push(f64::INFINITY);
                    summary.failed.push(*failed);
                }
                Outcome::Invalid { reason } => {
                    *summary.invalid.entry(reason.as_str()).or_default() += 1;
                }
            }
        }
        summary
    }

    /// The gap's spread.
    pub(super) fn gap(&self) -> Option<Spread> {
        Spread::of(&self.gaps)
    }

    /// Failed requests in all trials.
    pub(super) fn all_failed(&self) -> u64 {
        self.failed.iter().sum()
    }

    /// The most that failed in one trial.
    pub(super) fn most_failed(&self) -> u64 {
        self.failed.iter().copied().max().unwrap_or_default()
    }

    /// The spread of a stage, by its place in [`STAGES`].
    pub(super) fn stage(&self, place: usize) -> Option<Spread> {
        if place >= STAGES.len() {
            return None;
        }
        let values: Vec<f64> = self
            .seen
            .iter()
            .filter_map(|seen| seen.stages.as_ref())
            .filter_map(|stages| stages.all().get(place).copied())
            .collect();
        Spread::of(&values)
    }

    /// Median gap as a multiple of the floor's.
    pub(super) fn ratio(&self, floor: &Summary<'_>) -> Option<f64> {
        let floor = floor.gap()?.p50;
        (floor > 0.0).then_some(self.gap()?.p50 / floor)
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{invalid, never, seen};
    use super::*;

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
        let samples = [seen(Row::Killed, 50.0), never(Row::Killed), seen(Row::Killed, 70.0)];
        let summary = Summary::of(Row::Killed, &samples);
        let gap = summary.gap().unwrap();
        assert_eq!(gap.p50.to_bits(), 70.0_f64.to_bits());
        assert!(gap.max.is_infinite());
        assert_eq!(summary.seen.len(), 2);
    }

    #[test]
    fn invalid_trials_are_counted_by_reason() {
        let samples = [
            invalid(Row::Hang, "a"),
            invalid(Row::Hang, "a"),
            invalid(Row::Hang, "b"),
            seen(Row::Floor, 1.0),
        ];
        let summary = Summary::of(Row::Hang, &samples);
        assert!(summary.gap().is_none());
        assert_eq!(summary.invalid, BTreeMap::from([("a", 2), ("b", 1)]));
    }

    #[test]
    fn the_ratio_is_that_of_the_medians() {
        let samples =
            [seen(Row::Floor, 40.0), seen(Row::Floor, 30.0), seen(Row::Floor, 90.0), seen(Row::Killed, 60.0)];
        let floor = Summary::of(Row::Floor, &samples);
        let ratio = Summary::of(Row::Killed, &samples).ratio(&floor).unwrap();
        assert!((ratio - 1.5).abs() < 1e-9);
        assert_eq!(Summary::of(Row::Killed, &samples).ratio(&Summary::of(Row::Hang, &samples)), None);
    }
}
