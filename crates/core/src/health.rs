//! One member's health, from this replica's own probes.

use crate::ids::Uid;
use std::sync::Arc;
use std::time::Duration;

/// Two refusals must be at least this far apart to mean a dead process: one alone may meet a server
/// between two listens, or a full backlog.
pub const REFUSAL_SPACING: Duration = Duration::from_millis(5);

/// How one probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The right answer.
    Success,
    /// The connection was refused: the machine lives, nobody listens.
    Refused,
    /// No answer in time, or no way there.
    TimedOut,
    /// An answer, but the wrong one (status, reset, garbage).
    Wrong,
}

/// One probe's report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeReport {
    /// The member's UID.
    pub uid: Uid,
    /// How it ended.
    pub outcome: Outcome,
    /// When it was sent.
    pub sent: Duration,
    /// When it ended.
    pub done: Duration,
    /// Whether a time-out proves anything: the prober has lately reached something that a network
    /// failure of its own would have cut off too.
    pub vantage: bool,
    /// The replica's own clock tick stood still meanwhile: the verdict is worthless.
    pub spans_gap: bool,
    /// What went wrong, for people.
    pub detail: Option<Arc<str>>,
}

/// Why a member is judged unhealthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    /// Two refusals.
    Refused,
    /// Time-outs in a row.
    TimedOut,
    /// Wrong answers in a row.
    Wrong,
}

/// The verdict on a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It answers.
    Healthy,
    /// It fails.
    Unhealthy(Failing),
    /// Nothing can be said.
    Unknown,
}

/// One member's probe history, as far as a verdict needs it.
#[derive(Clone, Debug, Default)]
pub struct Health {
    answered: bool,
    last_success: Option<Duration>,
    row: Option<FailureRow>,
    last_error: Option<Arc<str>>,
    /// Failures were forgotten and nothing was heard since: no proof against it, but none that it answers either.
    unconfirmed: bool,
}

/// Failures since the last success.
#[derive(Clone, Copy, Debug)]
struct FailureRow {
    first_sent: Duration,
    failures: u32,
    first_refusal: Option<Duration>,
    refused_twice: bool,
    last: Outcome,
}

impl Health {
    /// Takes a report in. Time-outs without a vantage point and reports that span a gap change nothing.
    pub fn record(&mut self, report: &ProbeReport) {
        if report.spans_gap {
            return;
        }
        match report.outcome {
            Outcome::Success => {
                self.answered = true;
                self.last_success = Some(report.sent);
                self.row = None;
                self.last_error = None;
                self.unconfirmed = false;
            }
            Outcome::TimedOut if !report.vantage => self.last_error.clone_from(&report.detail),
            failure => {
                self.last_error.clone_from(&report.detail);
                self.row = Some(extend(self.row, failure, report));
            }
        }
    }

    /// The replica stood still: what was counted before proves nothing any more.
    pub fn forget_failures(&mut self) {
        self.unconfirmed |= self.row.is_some();
        self.row = None;
    }

    /// Whether its newest counted report, forgotten or not, was a success.
    pub fn answers(&self) -> bool {
        self.answered && self.row.is_none() && !self.unconfirmed
    }

    /// The verdict. `armed`: whether failures count, see [`Health::has_answered`]; `threshold`: failures in a row.
    pub fn verdict(&self, armed: bool, threshold: u32) -> Verdict {
        let Some(row) = self.row else {
            return if self.answered { Verdict::Healthy } else { Verdict::Unknown };
        };
        if !armed {
            return Verdict::Unknown;
        }
        if row.refused_twice && row.last == Outcome::Refused {
            return Verdict::Unhealthy(Failing::Refused);
        }
        if row.failures >= threshold {
            let why = if row.last == Outcome::TimedOut { Failing::TimedOut } else { Failing::Wrong };
            return Verdict::Unhealthy(why);
        }
        if self.answered { Verdict::Healthy } else { Verdict::Unknown }
    }

    /// Whether this member ever answered this probe from this replica.
    pub fn has_answered(&self) -> bool {
        self.answered
    }

    /// Whether any report about it counted.
    pub fn was_heard_of(&self) -> bool {
        self.answered || self.row.is_some()
    }

    /// Whether the newest report was a failure, though perhaps not a judgement yet.
    pub fn is_doubtful(&self) -> bool {
        self.row.is_some()
    }

    /// When the first failure since the last success was sent.
    pub fn failing_since(&self) -> Option<Duration> {
        self.row.map(|row| row.first_sent)
    }

    /// A first refusal that waits for the second: when the second may be sent.
    pub fn confirm_refusal_at(&self) -> Option<Duration> {
        let row = self.row.filter(|row| row.last == Outcome::Refused && !row.refused_twice)?;
        row.first_refusal.map(|first| first + REFUSAL_SPACING)
    }

    /// When the newest success was sent.
    pub fn last_success(&self) -> Option<Duration> {
        self.last_success
    }

    /// The newest error's text.
    pub fn last_error(&self) -> Option<&Arc<str>> {
        self.last_error.as_ref()
    }
}

fn extend(row: Option<FailureRow>, outcome: Outcome, report: &ProbeReport) -> FailureRow {
    let mut row = row.unwrap_or(FailureRow {
        first_sent: report.sent,
        failures: 0,
        first_refusal: None,
        refused_twice: false,
        last: outcome,
    });
    row.failures = row.failures.saturating_add(1);
    row.last = outcome;
    match (outcome, row.first_refusal) {
        (Outcome::Refused, None) => row.first_refusal = Some(report.sent),
        (Outcome::Refused, Some(first)) if report.sent >= first + REFUSAL_SPACING => row.refused_twice = true,
        (Outcome::Refused, Some(_)) => {}
        // Only refusals in a row mean a dead process.
        _ => {
            row.first_refusal = None;
            row.refused_twice = false;
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcome: Outcome, at_ms: u64) -> ProbeReport {
        ProbeReport {
            uid: "p".into(),
            outcome,
            sent: Duration::from_millis(at_ms),
            done: Duration::from_millis(at_ms + 1),
            vantage: true,
            spans_gap: false,
            detail: Some("why".into()),
        }
    }

    fn after(reports: &[ProbeReport]) -> Health {
        let mut health = Health::default();
        for one in reports {
            health.record(one);
        }
        health
    }

    #[test]
    fn two_refusals_five_ms_apart_mean_a_dead_process() {
        let first = after(&[report(Outcome::Success, 0), report(Outcome::Refused, 100)]);
        assert_eq!(first.verdict(true, 3), Verdict::Healthy);
        assert_eq!(first.confirm_refusal_at(), Some(Duration::from_millis(105)));
        let close = after(&[report(Outcome::Refused, 100), report(Outcome::Refused, 104)]);
        assert_eq!(close.verdict(true, 3), Verdict::Unknown);
        let apart = after(&[report(Outcome::Refused, 100), report(Outcome::Refused, 105)]);
        assert_eq!(apart.verdict(true, 3), Verdict::Unhealthy(Failing::Refused));
        assert_eq!(apart.confirm_refusal_at(), None);
    }

    #[test]
    fn an_answer_between_two_refusals_starts_over() {
        let health =
            after(&[report(Outcome::Refused, 0), report(Outcome::Success, 10), report(Outcome::Refused, 20)]);
        assert_eq!(health.verdict(true, 3), Verdict::Healthy);
    }

    #[test]
    fn a_time_out_without_vantage_counts_nothing() {
        let blind = ProbeReport { vantage: false, ..report(Outcome::TimedOut, 10) };
        let health = after(&[report(Outcome::Success, 0), blind.clone(), blind.clone(), blind]);
        assert_eq!(health.verdict(true, 1), Verdict::Healthy);
        assert!(!health.is_doubtful());
        assert!(health.last_error().is_some(), "it is still told");
    }

    #[test]
    fn a_verdict_that_spans_a_frozen_replica_is_thrown_away() {
        let gap = ProbeReport { spans_gap: true, ..report(Outcome::TimedOut, 10) };
        assert_eq!(after(&[report(Outcome::Success, 0), gap]).verdict(true, 1), Verdict::Healthy);
    }

    #[test]
    fn failures_of_an_unarmed_probe_judge_nobody() {
        let health = after(&[report(Outcome::Refused, 0), report(Outcome::Refused, 10)]);
        assert_eq!(health.verdict(false, 1), Verdict::Unknown);
        assert_eq!(health.verdict(true, 1), Verdict::Unhealthy(Failing::Refused));
    }

    #[test]
    fn the_threshold_counts_failures_in_a_row() {
        let two = [report(Outcome::Success, 0), report(Outcome::TimedOut, 10), report(Outcome::Wrong, 20)];
        let mut health = after(&two);
        assert_eq!(health.verdict(true, 3), Verdict::Healthy);
        health.record(&report(Outcome::TimedOut, 30));
        assert_eq!(health.verdict(true, 3), Verdict::Unhealthy(Failing::TimedOut));
        assert_eq!(health.failing_since(), Some(Duration::from_millis(10)));
    }
}
