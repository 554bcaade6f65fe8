//! The endpoint: asked for until it is stored, with an end to patience.

use crate::action::Ticket;
use std::time::Duration;

/// How long one write of the endpoint may take.
pub(super) const ENDPOINT_TIMEOUT: Duration = Duration::from_secs(2);

/// Where the endpoint stands.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    stage: Stage,
    /// When it was first asked for.
    begun: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Due { at: Duration },
    Asked { ticket: Ticket, due: Duration },
    Stored,
    Refused,
}

impl Endpoint {
    pub(super) const fn new() -> Self {
        Self { stage: Stage::Due { at: Duration::ZERO }, begun: None }
    }

    /// Whether something of it may stand in the cluster.
    pub(super) const fn may_stand(&self) -> bool {
        self.begun.is_some()
    }

    pub(super) const fn is_stored(&self) -> bool {
        matches!(self.stage, Stage::Stored)
    }

    /// Whether it will not come: refused, or nothing certain for this long.
    pub(super) fn is_hopeless(&self, now: Duration, patience: Duration) -> bool {
        matches!(self.stage, Stage::Refused)
            || !self.is_stored() && self.begun.is_some_and(|begun| now >= begun.saturating_add(patience))
    }

    /// Whether to ask now; `ticket` is used then.
    pub(super) fn ask(&mut self, now: Duration, ticket: impl FnOnce() -> Ticket) -> Option<Ticket> {
        match self.stage {
            Stage::Due { at } if now >= at => {
                let ticket = ticket();
                self.begun = self.begun.or(Some(now));
                self.stage = Stage::Asked { ticket, due: now.saturating_add(ENDPOINT_TIMEOUT) };
                Some(ticket)
            }
            _ => None,
        }
    }

    pub(super) fn answered(&mut self, ticket: Ticket, outcome: Outcome, retry_at: Duration) {
        if matches!(self.stage, Stage::Asked { ticket: asked, .. } if asked == ticket) {
            self.stage = match outcome {
                Outcome::Stored => Stage::Stored,
                Outcome::Refused => Stage::Refused,
                Outcome::Open => Stage::Due { at: retry_at },
            };
        }
    }

    /// Asks again where no answer came.
    pub(super) fn give_up(&mut self, now: Duration) {
        if matches!(self.stage, Stage::Asked { due, .. } if now >= due) {
            self.stage = Stage::Due { at: now };
        }
    }

    /// When to look again.
    pub(super) fn deadline(&self, patience: Duration) -> Option<Duration> {
        let next = match self.stage {
            Stage::Due { at } => at,
            Stage::Asked { due, .. } => due,
            Stage::Stored | Stage::Refused => return None,
        };
        let end = self.begun.map(|begun| begun.saturating_add(patience));
        Some(end.map_or(next, |end| end.min(next)))
    }
}

/// How a write of the endpoint ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Stored,
    Refused,
    Open,
}
