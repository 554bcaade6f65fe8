//! One member's health, from this replica's own probes.

use crate::ids::Uid;
use crate::suspicion::{Sign, Suspicion};
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
    /// When the newest report that counted was sent.
    newest_sent: Option<Duration>,
    suspicion: Option<Suspicion>,
}

/// Failures since the last success.
#[derive(Clone, Copy, Debug)]
struct FailureRow {
    first_sent: Duration,
    failures: u32,
    /// When the newest failure that counted towards the threshold was sent.
    counted: Duration,
    first_refusal: Option<Duration>,
    refused_twice: bool,
    last: Outcome,
}

impl Health {
    /// Takes a report in. Time-outs without a vantage point and reports that span a gap change nothing. Reports count by when they
    /// were sent: what was sent before the newest one that counted says nothing against it.
    ///
    /// `spacing`: while a suspicion stands, failures that are sent closer together than this count once towards the threshold. Probes
    /// out of turn follow each other within milliseconds then, and the threshold is about periods.
    pub fn record(&mut self, report: &ProbeReport, spacing: Duration) {
        if report.spans_gap {
            return;
        }
        if let Some(suspicion) = &mut self.suspicion {
            suspicion.note_probe(report.sent);
        }
        if report.outcome == Outcome::TimedOut && !report.vantage {
            self.last_error.clone_from(&report.detail);
            return;
        }
        let is_late = self.newest_sent.is_some_and(|newest| report.sent < newest);
        self.newest_sent = self.newest_sent.max(Some(report.sent));
        match report.outcome {
            Outcome::Success => self.record_success(report, is_late),
            _ if is_late => self.last_error.clone_from(&report.detail),
            failure => self.record_failure(report, failure, spacing),
        }
    }

    fn record_success(&mut self, report: &ProbeReport, is_late: bool) {
        self.answered = true;
        self.last_success = self.last_success.max(Some(report.sent));
        if is_late {
            return;
        }
        self.row = None;
        self.last_error = None;
        self.unconfirmed = false;
        self.suspicion.take_if(|suspicion| suspicion.is_refuted_by(report.sent));
    }

    fn record_failure(&mut self, report: &ProbeReport, failure: Outcome, spacing: Duration) {
        self.last_error.clone_from(&report.detail);
        let stands = self.suspicion.is_some_and(|suspicion| suspicion.stands(report.sent));
        let spacing = if stands { spacing } else { Duration::ZERO };
        self.row = Some(extend(self.row, failure, report, spacing));
        if failure == Outcome::Refused && !stands {
            self.suspicion = Some(Suspicion::by_refusal(report.sent));
        }
    }

    /// The tripwire to this member closed at this time.
    pub fn note_tripwire_closed(&mut self, at: Duration) {
        self.suspicion = Some(Suspicion::by_tripwire(at));
    }

    /// The suspicion against it, if one stands and is neither proven nor refuted.
    pub fn suspicion(&self, now: Duration) -> Option<Suspicion> {
        let is_proven = self.row.is_some_and(|row| row.refused_twice && row.last == Outcome::Refused);
        self.suspicion.filter(|suspicion| suspicion.stands(now) && !is_proven)
    }

    /// When it should be probed next out of turn, because a suspicion stands.
    pub fn next_probe(&self, now: Duration) -> Option<Duration> {
        let suspicion = self.suspicion(now)?;
        let row = self.row.filter(|row| row.last == Outcome::Refused);
        let confirm_at = row.and_then(|row| row.first_refusal).map(|first| first + REFUSAL_SPACING);
        suspicion.next_probe(confirm_at)
    }

    /// When its tripwire closed, if that is still a sign against it.
    pub fn tripwire_closed_at(&self, now: Duration) -> Option<Duration> {
        let suspicion = self.suspicion.filter(|suspicion| suspicion.stands(now))?;
        (suspicion.sign() == Sign::TripwireClosed).then(|| suspicion.since())
    }

    /// Notes that a probe out of turn was asked for at this time.
    pub fn note_probe_asked(&mut self, at: Duration) {
        if let Some(suspicion) = &mut self.suspicion {
            suspicion.note_probe(at);
        }
    }

    /// The replica stood still: what was counted before proves nothing any more, and a suspicion begins again.
    pub fn note_gap(&mut self, now: Duration) {
        self.forget_failures();
        self.suspicion = self.suspicion.map(|suspicion| suspicion.restart(now));
    }

    /// What was counted proves nothing any more, as somebody else reaches the member or it is not probed now.
    pub fn forget_failures(&mut self) {
        self.unconfirmed |= self.row.is_some();
        self.row = None;
    }

    /// It is not probed now: failures and a suspicion would stand for ever.
    pub fn note_unprobed(&mut self) {
        self.forget_failures();
        self.suspicion = None;
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

    /// When the newest success was sent.
    pub fn last_success(&self) -> Option<Duration> {
        self.last_success
    }

    /// The newest error's text.
    pub fn last_error(&self) -> Option<&Arc<str>> {
        self.last_error.as_ref()
    }
}

fn extend(row: Option<FailureRow>, outcome: Outcome, report: &ProbeReport, spacing: Duration) -> FailureRow {
    let is_first = row.is_none();
    let mut row = row.unwrap_or(FailureRow {
        first_sent: report.sent,
        failures: 0,
        counted: report.sent,
        first_refusal: None,
        refused_twice: false,
        last: outcome,
    });
    if is_first || report.sent >= row.counted + spacing {
        row.failures = row.failures.saturating_add(1);
        row.counted = report.sent;
    }
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

    const SPACING: Duration = Duration::from_millis(10);

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
            health.record(one, SPACING);
        }
        health
    }

    const AT: Duration = Duration::from_millis(110);

    #[test]
    fn two_refusals_five_ms_apart_mean_a_dead_process() {
        let first = after(&[report(Outcome::Success, 0), report(Outcome::Refused, 100)]);
        assert_eq!(first.verdict(true, 3), Verdict::Healthy);
        let next = |health: &Health| health.next_probe(AT);
        assert_eq!(next(&first), Some(Duration::from_millis(105)));
        let close = after(&[report(Outcome::Refused, 100), report(Outcome::Refused, 104)]);
        assert_eq!(close.verdict(true, 3), Verdict::Unknown);
        let apart = after(&[report(Outcome::Refused, 100), report(Outcome::Refused, 105)]);
        assert_eq!(apart.verdict(true, 3), Verdict::Unhealthy(Failing::Refused));
        assert_eq!(next(&apart), None);
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
        health.record(&report(Outcome::TimedOut, 30), SPACING);
        assert_eq!(health.verdict(true, 3), Verdict::Unhealthy(Failing::TimedOut));
        assert_eq!(health.failing_since(), Some(Duration::from_millis(10)));
    }

    #[test]
    fn an_old_report_undoes_no_proof() {
        let refused =
            [report(Outcome::Success, 0), report(Outcome::Refused, 500), report(Outcome::Refused, 505)];
        let mut health = after(&refused);
        health.record(&report(Outcome::Wrong, 200), SPACING);
        assert_eq!(health.verdict(true, 3), Verdict::Unhealthy(Failing::Refused));
        health.record(&report(Outcome::Success, 300), SPACING);
        assert_eq!(health.verdict(true, 3), Verdict::Unhealthy(Failing::Refused));
        assert_eq!(health.last_success(), Some(Duration::from_millis(300)));
    }

    #[test]
    fn a_failure_sent_before_the_newest_success_begins_no_row() {
        let mut health = after(&[report(Outcome::Success, 100)]);
        health.record(&report(Outcome::TimedOut, 50), SPACING);
        assert!(!health.is_doubtful());
        assert!(health.last_error().is_some(), "it is still shown");
    }

    #[test]
    fn failures_of_probes_out_of_turn_do_not_add_up_to_the_threshold() {
        let burst = [100, 103, 106, 109].map(|at| report(Outcome::Wrong, at));
        let mut health = after(&[report(Outcome::Success, 0)]);
        health.note_tripwire_closed(Duration::from_millis(99));
        for one in &burst {
            health.record(one, SPACING);
        }
        assert_eq!(health.verdict(true, 2), Verdict::Healthy);
        health.record(&report(Outcome::Wrong, 110), SPACING);
        assert_eq!(health.verdict(true, 2), Verdict::Unhealthy(Failing::Wrong));
    }

    #[test]
    fn an_answer_from_a_listener_that_is_about_to_close_keeps_the_suspicion() {
        let mut health = after(&[report(Outcome::Success, 0)]);
        health.note_tripwire_closed(Duration::from_millis(100));
        for (outcome, at) in [(Outcome::Success, 101), (Outcome::Wrong, 106)] {
            health.record(&report(outcome, at), SPACING);
            assert!(health.next_probe(AT).is_some(), "{outcome:?}");
        }
        health.record(&report(Outcome::Success, 120), SPACING);
        assert_eq!(health.suspicion(Duration::from_millis(121)), None);
    }

    #[test]
    fn a_gap_keeps_a_closed_tripwire() {
        let mut health = after(&[report(Outcome::Success, 0)]);
        health.note_tripwire_closed(Duration::from_millis(100));
        health.note_probe_asked(Duration::from_millis(100));
        let later = Duration::from_secs(9);
        health.note_gap(later);
        assert_eq!(health.next_probe(later), Some(later));
    }
}
