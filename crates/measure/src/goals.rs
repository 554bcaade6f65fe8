//! Whether a goal is met, and what costs it where not.

use super::record::{STAGES, Seen};
use super::row::Goal;
use super::stats::Summary;

/// What became of one goal.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    /// The goal.
    pub(super) goal: Goal,
    /// Whether it is met; `None` where nothing was measured.
    pub(super) met: Option<bool>,
    /// What was reached, in words.
    pub(super) reached: String,
    /// Where the goal is missed: what costs it.
    pub(super) cost: Option<String>,
}

/// Judges all goals of a row.
pub(super) fn judge(summary: &Summary<'_>, floor: &Summary<'_>) -> Vec<Verdict> {
    summary.row.goals().iter().map(|goal| verdict(*goal, summary, floor)).collect()
}

fn verdict(goal: Goal, summary: &Summary<'_>, floor: &Summary<'_>) -> Verdict {
    let not_measured = Verdict { goal, met: None, reached: "not measured".to_owned(), cost: None };
    let Some(gap) = summary.gap() else { return not_measured };
    let (met, reached) = match goal {
        Goal::P50(limit) => (gap.p50 <= limit, ms(gap.p50)),
        Goal::P99(limit) => (gap.p99 <= limit, ms(gap.p99)),
        Goal::NoneFailed => {
            let failed = summary.all_failed();
            (failed == 0, format!("{failed} failed"))
        }
        Goal::Floor(times) => match summary.ratio(floor) {
            Some(ratio) => (ratio <= times, format!("{ratio:.2} × floor")),
            None => return not_measured,
        },
    };
    let cost = (!met).then(|| match goal {
        Goal::P50(_) => cost_of_median(summary),
        Goal::Floor(_) => cost_above_floor(summary, floor),
        Goal::P99(limit) => cost_of_tail(summary, &format!("above {limit} ms"), |seen| seen.gap_ms > limit),
        Goal::NoneFailed => {
            let trials = summary.failed.iter().filter(|failed| **failed > 0).count();
            let many = summary.most_failed();
            format!(
                "in {trials} trials, at most {many} in one; {}",
                cost_of_tail(summary, "with failed requests", |seen| seen.failed > 0)
            )
        }
    });
    Verdict { goal, met: Some(met), reached, cost }
}

/// The stage with the largest median.
fn cost_of_median(summary: &Summary<'_>) -> String {
    largest(|place| summary.stage(place).map(|stage| stage.p50))
        .map_or_else(unknown, |(name, value)| format!("{name} takes the most: its median is {}", ms(value)))
}

/// The stage with the largest median beyond what the floor has for it too.
fn cost_above_floor(summary: &Summary<'_>, floor: &Summary<'_>) -> String {
    let excess = |place| {
        let own = summary.stage(place)?.p50;
        Some(own - floor.stage(place).map_or(0.0, |stage| stage.p50))
    };
    largest(excess).map_or_else(unknown, |(name, value)| {
        format!("{name} adds the most to the floor: {} in the median", ms(value))
    })
}

/// In the trials picked: the stage that is furthest above its own median over all trials, on average.
fn cost_of_tail(summary: &Summary<'_>, which: &str, picked: impl Fn(&Seen) -> bool) -> String {
    let slow: Vec<[f64; 6]> = summary
        .seen
        .iter()
        .filter(|seen| picked(seen))
        .filter_map(|seen| seen.stages.as_ref())
        .map(super::record::Stages::all)
        .collect();
    let never = summary.gaps.iter().filter(|gap| gap.is_infinite()).count();
    let lost = if never > 0 { format!("no other pod answered in {never} trials; ") } else { String::new() };
    if slow.is_empty() {
        return if never > 0 { format!("no other pod answered in {never} trials") } else { unknown() };
    }
    // Where most trials are so, the median itself is the matter and not what exceeds it.
    if 2 * slow.len() > summary.seen.len() {
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
            ms(value)
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
    "hotstandby told no stage times for these trials".to_owned()
}

/// Milliseconds for people.
pub(super) fn ms(value: f64) -> String {
    if value.is_infinite() {
        "none".to_owned()
    } else if value.abs() >= 1000.0 {
        format!("{value:.0} ms")
    } else {
        format!("{value:.1} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{never, seen, staged};
    use super::super::record::{Outcome, Sample, Stages};
    use super::super::row::Row;
    use super::*;

    fn stages(detect: f64, platform: f64) -> Stages {
        Stages { notice: 1.0, detect, decide: 1.0, seat: 5.0, traffic: 5.0, platform }
    }

    fn floor(gap: f64) -> Sample {
        staged(Row::Floor, Stages { traffic: 5.0, platform: gap - 5.0, ..Stages::default() })
    }

    fn of(row: Row, samples: &[Sample]) -> Vec<Verdict> {
        judge(&Summary::of(row, samples), &Summary::of(Row::Floor, samples))
    }

    #[test]
    fn a_fast_row_meets_all_its_goals() {
        let verdicts = of(Row::Killed, &[floor(40.0), staged(Row::Killed, stages(8.0, 35.0))]);
        assert!(verdicts.iter().all(|verdict| verdict.met == Some(true)), "{verdicts:?}");
        assert_eq!(verdicts[0].reached, "55.0 ms");
        assert_eq!(verdicts[2].reached, "1.38 × floor");
        assert!(verdicts.iter().all(|verdict| verdict.cost.is_none()));
    }

    #[test]
    fn a_missed_ratio_names_the_stage_that_the_floor_has_not() {
        let verdicts = of(Row::Killed, &[floor(40.0), staged(Row::Killed, stages(40.0, 36.0))]);
        let ratio = &verdicts[2];
        assert_eq!(ratio.met, Some(false));
        assert_eq!(ratio.cost.as_deref(), Some("detect adds the most to the floor: 40.0 ms in the median"));
    }

    #[test]
    fn a_platform_slower_than_the_floor_is_named_too() {
        let verdicts = of(Row::Killed, &[floor(40.0), staged(Row::Killed, stages(10.0, 120.0))]);
        assert_eq!(verdicts[0].cost.as_deref(), Some("platform takes the most: its median is 120.0 ms"));
        assert_eq!(
            verdicts[2].cost.as_deref(),
            Some("platform adds the most to the floor: 85.0 ms in the median")
        );
    }

    #[test]
    fn an_outlier_names_the_stage_that_made_it_one() {
        let mut samples = vec![floor(40.0)];
        samples.extend((0..9).map(|_| staged(Row::Killed, stages(8.0, 35.0))));
        let slow = Stages { seat: 205.0, ..stages(8.0, 35.0) };
        samples.push(staged(Row::Killed, slow));
        let verdicts = of(Row::Killed, &samples);
        assert_eq!(verdicts[0].met, Some(true));
        assert_eq!(verdicts[1].met, Some(false));
        let cost = verdicts[1].cost.as_deref().unwrap();
        assert_eq!(cost, "in the 1 trials above 150 ms, seat takes 200.0 ms more than usual, on average");
    }

    #[test]
    fn no_answer_at_all_misses_and_says_so() {
        let verdicts = of(Row::Hang, &[seen(Row::Hang, 300.0), never(Row::Hang)]);
        assert_eq!(verdicts[0].met, Some(false));
        assert_eq!(verdicts[0].cost.as_deref(), Some("no other pod answered in 1 trials"));
    }

    #[test]
    fn failed_requests_miss_a_goal_of_none() {
        let mut bad = staged(Row::DeleteLinger, stages(500.0, 30.0));
        if let Outcome::Seen(seen) = &mut bad.outcome {
            seen.failed = 4;
        }
        let samples =
            [staged(Row::DeleteLinger, stages(1.0, 30.0)), staged(Row::DeleteLinger, stages(1.0, 30.0)), bad];
        let verdict = &of(Row::DeleteLinger, &samples)[0];
        assert_eq!((verdict.met, verdict.reached.as_str()), (Some(false), "4 failed"));
        assert_eq!(
            verdict.cost.as_deref(),
            Some(
                "in 1 trials, at most 4 in one; in the 1 trials with failed requests, detect takes 499.0 ms more than usual, on average"
            )
        );
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed() {
        let verdicts = of(Row::NodeOff, &[floor(40.0)]);
        assert_eq!(verdicts[0].met, None);
        let without_floor = of(Row::Killed, &[seen(Row::Killed, 50.0)]);
        assert_eq!(without_floor[2].met, None);
    }
}
