//! One container, as its kubelet knows it.

use super::{Pace, ms};
use crate::clock::time_text;
use crate::json::put;
use serde_json::{Value, json};

/// Longest wait before a restart.
const LONGEST_BACK_OFF_MS: i64 = 300_000;
/// A container that ran for so long starts with the shortest wait again.
const FORGIVEN_MS: i64 = 600_000;

/// How one run of a container ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) code: i32,
    started: i64,
    at: i64,
    id: String,
}

/// What a container does now.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// Is about to start; the text says why it does not run.
    Waiting { until: i64, why: &'static str },
    /// Runs.
    Running { since: i64, id: String },
    /// Has ended; the kubelet has not necessarily seen it.
    Ended(Ended),
}

/// One container.
#[derive(Clone, Debug)]
pub(super) struct Container {
    pub(super) state: State,
    last: Option<Ended>,
    pub(super) restarts: i64,
    /// Ends in a row, for the back-off.
    crashes: u32,
    pub(super) probe: Probe,
}

/// What the readiness probe has found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Probe {
    pub(super) next: i64,
    pub(super) failures: i64,
    pub(super) ready: bool,
}

impl Container {
    /// One that starts then.
    pub(super) fn starting(at: i64) -> Self {
        let state = State::Waiting { until: at, why: "ContainerCreating" };
        Self { state, last: None, restarts: 0, crashes: 0, probe: Probe::default() }
    }

    pub(super) fn runs(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    pub(super) fn begin(&mut self, now: i64, id: String) {
        self.state = State::Running { since: now, id };
        self.probe = Probe { next: now, ..Probe::default() };
    }

    /// Notes the end of a running container.
    pub(super) fn end(&mut self, code: i32, now: i64) {
        let State::Running { since, id } = &self.state else { return };
        if now - since >= FORGIVEN_MS {
            self.crashes = 0;
        }
        self.probe.ready = false;
        self.state = State::Ended(Ended { code, started: *since, at: now, id: id.clone() });
    }

    /// When the kubelet sees that it has ended.
    pub(super) fn noticed_at(&self, pace: &Pace) -> Option<i64> {
        match &self.state {
            State::Ended(ended) => Some(ended.at + ms(pace.notice)),
            _ => None,
        }
    }

    /// An end that was seen: on to the next start, after a wait where it was not the first end.
    pub(super) fn back_off(&mut self, pace: &Pace, now: i64) {
        let State::Ended(ended) = &self.state else { return };
        let wait = match self.crashes.checked_sub(1) {
            None => 0,
            Some(doubled) => ms(pace.restart).saturating_mul(1 << doubled.min(20)).min(LONGEST_BACK_OFF_MS),
        };
        self.last = Some(ended.clone());
        self.crashes += 1;
        self.restarts += 1;
        self.state = State::Waiting { until: now + wait, why: "CrashLoopBackOff" };
    }

    /// Its entry in the pod's status. An end that is not noticed yet is not shown.
    pub(super) fn status(&self, spec: &Value, ready: bool, noticed: bool) -> Value {
        let (state, id) = match &self.state {
            State::Waiting { why, .. } => (json!({"waiting": {"reason": why}}), None),
            State::Running { since, id } => (json!({"running": {"startedAt": time_text(*since)}}), Some(id)),
            State::Ended(ended) if !noticed => {
                (json!({"running": {"startedAt": time_text(ended.started)}}), Some(&ended.id))
            }
            State::Ended(ended) => (json!({"terminated": ended.json()}), Some(&ended.id)),
        };
        let of = |field: &str| spec.get(field).cloned().unwrap_or_else(|| json!(""));
        let mut status = json!({
            "name": of("name"), "image": of("image"), "imageID": of("image"), "ready": ready,
            "restartCount": self.restarts, "started": self.runs(), "state": state,
            "lastState": self.last.as_ref().map_or_else(|| json!({}), |last| json!({"terminated": last.json()})),
        });
        let last_id = self.last.as_ref().map(|last| &last.id);
        if let Some(id) = id.or(last_id) {
            put(&mut status, &["containerID"], id.as_str());
        }
        status
    }
}

impl Ended {
    fn json(&self) -> Value {
        json!({
            "exitCode": self.code, "reason": if self.code == 0 { "Completed" } else { "Error" },
            "startedAt": time_text(self.started), "finishedAt": time_text(self.at), "containerID": self.id,
        })
    }
}
