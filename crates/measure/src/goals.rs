//! What should be reached, whether it is, and what costs the time where it is not.

use crate::record::{Failover, STAGES, Stages};
use crate::stats::Summary;

/// What should be reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    /// The median in milliseconds.
    P50Ms(f64),
    /// The 99th percentile in milliseconds; of fewer than 100 trials the maximum.
    P99Ms(f64),
    /// The time of every trial, in milliseconds.
    EachMs(f64),
    /// The median as a multiple of the floor's.
    TimesFloor(f64),
    /// No request may fail in any trial.
    NoFailedRequest,
    /// Every size in every trial, in bytes.
    EachBytes(u64),
}

/// Whether a goal is met.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    /// The goal.
    pub(crate) goal: Goal,
    /// Whether it is met; `None` where nothing was measured.
    pub(crate) met: Option<bool>,
    /// What was reached, as text.
    pub(crate) reached: String,
    /// Where the goal is missed: which part of a failover costs the time.
    pub(crate) cost: Option<String>,
}

impl Goal {
    /// The goal as text.
    pub(crate) fn describe(self) -> String {
        match self {
            Self::P50Ms(ms) => format!("p50 ≤ {ms} ms"),
            Self::P99Ms(ms) => format!("p99 ≤ {ms} ms"),
            Self::EachMs(ms) => format!("each ≤ {ms} ms"),
            Self::TimesFloor(times) => format!("p50 ≤ {times} × floor"),
            Self::NoFailedRequest => "0 failed requests".to_owned(),
            Self::EachBytes(bytes) => format!("each ≤ {}", format_mebibytes(bytes)),
        }
    }

    /// Whether it is met and what was reached; `None` where nothing was measured.
    fn compare(self, summary: &Summary<'_>, floor: &Summary<'_>) -> Option<(bool, String)> {
        let compare_ms = |value: f64, limit: f64| (value <= limit, format_ms(value));
        Some(match self {
            Self::P50Ms(limit) => compare_ms(summary.spread()?.p50, limit),
            Self::P99Ms(limit) => compare_ms(summary.spread()?.p99, limit),
            Self::EachMs(limit) => compare_ms(summary.spread()?.max, limit),
            Self::TimesFloor(limit) => {
                let ratio = summary.ratio(floor)?;
                (ratio <= limit, format!("{ratio:.2} × floor"))
            }
            Self::NoFailedRequest => {
                summary.spread()?;
                let failed = summary.all_failed();
                (failed == 0, format!("{failed} failed"))
            }
            Self::EachBytes(limit) => {
                let largest = summary.most_memory()?.largest();
                (largest <= limit, format_mebibytes(largest))
            }
        })
    }

    /// Which part of a failover costs the time; `None` for other experiments.
    fn explain(self, summary: &Summary<'_>, floor: &Summary<'_>) -> Option<String> {
        match self {
            Self::P50Ms(_) => Some(cost_of_median(summary)),
            Self::P99Ms(limit) => {
                let is_slow = |failover: &Failover| failover.gap_ms > limit;
                Some(cost_of_tail(summary, &format!("above {limit} ms"), is_slow))
            }
            Self::TimesFloor(_) => Some(cost_above_floor(summary, floor)),
            Self::NoFailedRequest => {
                let trials = summary.failed.iter().filter(|failed| **failed > 0).count();
                let most = summary.most_failed();
                let cost = cost_of_tail(summary, "with failed requests", |failover| failover.failed > 0);
                Some(format!("in {trials} trials, at most {most} in one; {cost}"))
            }
            Self::EachMs(_) | Self::EachBytes(_) => None,
        }
    }
}

impl Verdict {
    /// One word for a table.
    pub(crate) fn mark(&self) -> &'static str {
        match self.met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "-",
        }
    }
}

/// Judges all goals of an experiment.
pub(crate) fn judge(summary: &Summary<'_>, floor: &Summary<'_>) -> Vec<Verdict> {
    summary.experiment.goals.iter().map(|goal| judge_goal(*goal, summary, floor)).collect()
}

fn judge_goal(goal: Goal, summary: &Summary<'_>, floor: &Summary<'_>) -> Verdict {
    let Some((met, reached)) = goal.compare(summary, floor) else {
        return Verdict { goal, met: None, reached: "not measured".to_owned(), cost: None };
    };
    let cost = if met { None } else { goal.explain(summary, floor) };
    Verdict { goal, met: Some(met), reached, cost }
}

/// The stage with the largest median.
fn cost_of_median(summary: &Summary<'_>) -> String {
    largest(|place| summary.stage(place).map(|stage| stage.p50)).map_or_else(unknown, |(name, value)| {
        format!("{name} takes the most: its median is {}", format_ms(value))
    })
}

/// The stage with the largest median beyond what the floor has for it too.
fn cost_above_floor(summary: &Summary<'_>, floor: &Summary<'_>) -> String {
    let excess = |place| {
        let own = summary.stage(place)?.p50;
        Some(own - floor.stage(place).map_or(0.0, |stage| stage.p50))
    };
    largest(excess).map_or_else(unknown, |(name, value)| {
        format!("{name} adds the most to the floor: {} in the median", format_ms(value))
    })
}

/// In the trials picked: the stage that is furthest above its own median over all trials, on average.
fn cost_of_tail(summary: &Summary<'_>, which: &str, picked: impl Fn(&Failover) -> bool) -> String {
    let picked = summary.failovers.iter().filter(|failover| picked(failover));
    let slow: Vec<[f64; 6]> = picked.filter_map(|failover| failover.stages).map(Stages::to_array).collect();
    let lost = match summary.timed_out() {
        0 if slow.is_empty() => return unknown(),
        0 => String::new(),
        trials if slow.is_empty() => return format!("no other pod answered in {trials} trials"),
        trials => format!("no other pod answered in {trials} trials; "),
    };
    // If most trials are slow, the median is the cause and not what exceeds it.
    if 2 * slow.len() > summary.failovers.len() {
        return format!("{lost}{}", cost_of_median(summary));
    }
    let excess = |place: usize| {
        let values = slow.iter().filter_map(|stages| stages.get(place));
        #[allow(clippy::cast_precision_loss)] // some hundred trials
        Some(values.sum::<f64>() / slow.len() as f64 - summary.stage(place)?.p50)
    };
    largest(excess).map_or_else(unknown, |(name, value)| {
        format!(
            "{lost}in the {} trials {which}, {name} takes {} more than usual, on average",
            slow.len(),
            format_ms(value)
        )
    })
}

fn largest(value: impl Fn(usize) -> Option<f64>) -> Option<(&'static str, f64)> {
    STAGES
        .iter()
        .enumerate()
        .filter_map(|(place, name)| Some((*name, value(place)?)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
}

fn unknown() -> String {
    "hotstandby reported no stage times for these trials".to_owned()
}

/// Milliseconds as text; "none" where the limit was reached.
pub(crate) fn format_ms(value: f64) -> String {
    if value.is_infinite() {
        "none".to_owned()
    } else if value.abs() >= 1000.0 {
        format!("{value:.0} ms")
    } else {
        format!("{value:.1} ms")
    }
}

/// Bytes as mebibytes, rounded up to a tenth, so that a missed goal is visible.
pub(crate) fn format_mebibytes(bytes: u64) -> String {
    let tenths = (bytes * 10).div_ceil(1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{failover, sample, staged, timed_out};
    use crate::record::{Memory, Outcome, Sample};
    use crate::registry::find;

    fn stages(detect: f64, platform: f64) -> Stages {
        Stages { notice: 1.0, detect, decide: 1.0, seat: 5.0, traffic: 5.0, platform }
    }

    fn floor() -> Sample {
        staged("floor", Stages { traffic: 5.0, platform: 35.0, ..Stages::default() })
    }

    /// What was reached, the mark, and the cost of each goal.
    fn judge_all(key: &str, samples: &[Sample]) -> Vec<(String, &'static str, String)> {
        let summarize = |key| Summary::new(find(key).unwrap(), samples);
        let verdicts = judge(&summarize(key), &summarize("floor")).into_iter();
        verdicts
            .map(|verdict| (verdict.reached.clone(), verdict.mark(), verdict.cost.unwrap_or_default()))
            .collect()
    }

    fn missed(reached: &str, cost: &str) -> (String, &'static str, String) {
        (reached.to_owned(), "**missed**", cost.to_owned())
    }

    fn met(reached: &str) -> (String, &'static str, String) {
        (reached.to_owned(), "met", String::new())
    }

    #[test]
    fn a_fast_failover_meets_all_its_goals() {
        let verdicts = judge_all("killed", &[floor(), staged("killed", stages(8.0, 35.0))]);
        assert_eq!(verdicts, [met("55.0 ms"), met("55.0 ms"), met("1.38 × floor")]);
    }

    #[test]
    fn a_missed_ratio_names_the_stage_that_adds_most_to_the_floor() {
        let verdicts = judge_all("killed", &[floor(), staged("killed", stages(40.0, 36.0))]);
        assert_eq!(
            verdicts[2],
            missed("2.20 × floor", "detect adds the most to the floor: 40.0 ms in the median")
        );
        let verdicts = judge_all("killed", &[floor(), staged("killed", stages(10.0, 120.0))]);
        assert_eq!(verdicts[0], missed("142.0 ms", "platform takes the most: its median is 120.0 ms"));
        assert_eq!(verdicts[2].2, "platform adds the most to the floor: 85.0 ms in the median");
    }

    #[test]
    fn an_outlier_names_the_stage_that_made_it_one() {
        let mut samples = vec![floor()];
        samples.extend((0..9).map(|_| staged("killed", stages(8.0, 35.0))));
        samples.push(staged("killed", Stages { seat: 205.0, ..stages(8.0, 35.0) }));
        let cost = "in the 1 trials above 150 ms, seat takes 200.0 ms more than usual, on average";
        assert_eq!(judge_all("killed", &samples)[..2], [met("55.0 ms"), missed("255.0 ms", cost)]);
    }

    #[test]
    fn no_answer_at_all_misses_and_says_so() {
        let verdicts = judge_all("hang", &[failover("hang", 300.0), timed_out("hang")]);
        assert_eq!(verdicts, [missed("none", "no other pod answered in 1 trials")]);
    }

    #[test]
    fn failed_requests_miss_a_goal_of_none() {
        let mut bad = staged("delete-linger", stages(500.0, 30.0));
        if let Outcome::Failover(failover) = &mut bad.outcome {
            failover.failed = 4;
        }
        let good = staged("delete-linger", stages(1.0, 30.0));
        let cost = "in 1 trials, at most 4 in one; in the 1 trials with failed requests, detect takes 499.0 ms more \
                    than usual, on average";
        assert_eq!(judge_all("delete-linger", &[good.clone(), good, bad]), [missed("4 failed", cost)]);
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed() {
        let not_measured = ("not measured".to_owned(), "-", String::new());
        assert_eq!(judge_all("killed", &[failover("killed", 50.0)])[2], not_measured);
        assert_eq!(judge_all("node-off", &[floor()]), [not_measured]);
    }

    #[test]
    fn goals_for_each_trial_are_judged_by_the_worst_one() {
        let elapsed = |ms| sample("await-release", Outcome::Elapsed { ms });
        assert_eq!(judge_all("await-release", &[elapsed(30.0), elapsed(100.0)]), [met("100.0 ms")]);
        assert_eq!(judge_all("await-release", &[elapsed(101.0), elapsed(30.0)]), [missed("101.0 ms", "")]);
        let memory = |working_set| {
            let memory = Memory { resident: 3 << 20, working_set, program: 6 << 20 };
            sample("await-memory", Outcome::Memory(memory))
        };
        assert_eq!(judge_all("await-memory", &[memory(8 << 20)]), [met("8.0 MiB")]);
        let heavy = [memory((8 << 20) + 1), memory(1 << 20)];
        assert_eq!(judge_all("await-memory", &heavy), [missed("8.1 MiB", "")]);
    }
}
