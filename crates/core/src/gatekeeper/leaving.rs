//! After the command: the lease is released, and the endpoint removed if nobody takes over.

use super::action::{Action, Exit, Now};
use super::endpoint::ENDPOINT_TIMEOUT;
use super::holding::Hold;
use super::record::LeaseRecord;
use super::{Gatekeeper, Phase};
use crate::action::Ticket;
use std::time::Duration;

/// How long a successor may take before the endpoint is removed: one that comes overwrites it in place, without a gap.
const TAKEOVER: Duration = Duration::from_secs(2);
/// `leaseDurationSeconds` of a released record, as client-go writes it.
const RELEASED_SECONDS: u32 = 1;

/// From the command's death to this process's end.
#[derive(Debug)]
pub(super) struct Leaving {
    exit: Exit,
    hold: Hold,
    /// An endpoint of ours may stand.
    endpoint: bool,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Releasing { until: Duration },
    Watching { until: Duration, looked: bool },
    Removing { ticket: Ticket, until: Duration },
}

impl Leaving {
    /// When the last good renewal was sent, as long as the record names us.
    pub(super) fn still_held(&self) -> Option<Duration> {
        matches!(self.stage, Stage::Releasing { .. }).then_some(self.hold.good_at)
    }
}

impl Gatekeeper {
    pub(super) fn release(&mut self, now: Duration, exit: Exit, hold: Hold, endpoint: bool) {
        // Once the lease has run out there is nothing left to win by releasing it.
        let run_out = hold.good_at.saturating_add(self.own_duration());
        let until = run_out.max(now.saturating_add(self.config.call_timeout().saturating_mul(3)));
        let stage = Stage::Releasing { until };
        self.phase = Phase::Leaving(Box::new(Leaving { exit, hold, endpoint, stage }));
    }

    pub(super) fn act_leaving(&mut self, now: Now) {
        let Phase::Leaving(leaving) = &self.phase else { return };
        match leaving.stage {
            Stage::Releasing { until } => self.act_releasing(now, until),
            Stage::Watching { until, looked } => self.act_watching(now.boot, until, looked),
            Stage::Removing { until, .. } => {
                if now.boot >= until {
                    self.end_leaving();
                }
            }
        }
    }

    fn act_releasing(&mut self, now: Now, until: Duration) {
        if now.boot >= until {
            self.end_leaving();
            return;
        }
        if !self.calls.may_call(now.boot) {
            return;
        }
        if self.calls.doubt {
            self.read_lease(now.boot);
        } else if let Phase::Leaving(leaving) = &self.phase {
            let (precondition, term) = (leaving.hold.unchanged(), leaving.hold.term);
            let stamp = self.calls.stamp(now.unix_us);
            let record = LeaseRecord {
                holder: None,
                term,
                duration_seconds: RELEASED_SECONDS,
                acquired_us: stamp,
                renewed_us: stamp,
                marks: None,
            };
            self.write_lease(now.boot, precondition, record);
        }
    }

    /// A watch may be late: before the endpoint goes, a live read must find that nobody took over.
    fn act_watching(&mut self, now: Duration, until: Duration, looked: bool) {
        if now < until {
            return;
        }
        if self.lease.was_read_since(until) {
            let ticket = self.calls.ticket();
            let Phase::Leaving(leaving) = &mut self.phase else { return };
            leaving.stage = Stage::Removing { ticket, until: now.saturating_add(ENDPOINT_TIMEOUT) };
            let (lease_uid, term) = (leaving.hold.uid.clone(), leaving.hold.term);
            self.outbox.push(Action::RemoveEndpoint { ticket, lease_uid, term, timeout: ENDPOINT_TIMEOUT });
        } else if !looked {
            if let Phase::Leaving(leaving) = &mut self.phase {
                leaving.stage = Stage::Watching { until, looked: true };
            }
            self.read_lease(now);
        } else if self.calls.is_idle() {
            // Not known whether somebody took over: the endpoint may be what leads to them.
            self.end_leaving();
        }
    }

    pub(super) fn leaving_deadline(&self, leaving: &Leaving) -> Option<Duration> {
        match leaving.stage {
            Stage::Releasing { until } => {
                self.calls.deadline(Some(Duration::ZERO)).map(|next| next.min(until))
            }
            Stage::Watching { until, looked } => self.calls.deadline((!looked).then_some(until)),
            Stage::Removing { until, .. } => Some(until),
        }
    }

    pub(super) fn judge_leaving(&mut self, now: Duration) {
        let Phase::Leaving(leaving) = &mut self.phase else { return };
        let view = self.lease.present();
        let is_held = view.is_some_and(|view| view.record.holder.is_some());
        let same_lease = view.filter(|view| view.uid == leaving.hold.uid);
        match (leaving.stage, same_lease) {
            // Still ours: the release comes on top of this version.
            (Stage::Releasing { .. }, Some(view))
                if is_held && self.calls.sent_at(&view.record).is_some() =>
            {
                leaving.hold.rv = view.rv.clone();
            }
            // Released, by this process (or by somebody's edit, which is as good).
            (Stage::Releasing { .. }, Some(_)) if !is_held && leaving.endpoint => {
                let until = now.saturating_add(TAKEOVER);
                leaving.stage = Stage::Watching { until, looked: false };
            }
            // Released and nothing more to do, or another's, or gone.
            (Stage::Releasing { .. }, _) => self.end_leaving(),
            (Stage::Watching { .. }, _) if is_held => self.end_leaving(),
            (Stage::Watching { .. } | Stage::Removing { .. }, _) => {}
        }
    }

    pub(super) fn note_removed(&mut self, removed: Ticket) {
        let done = matches!(
            &self.phase,
            Phase::Leaving(leaving) if matches!(leaving.stage, Stage::Removing { ticket, .. } if ticket == removed)
        );
        if done {
            self.end_leaving();
        }
    }

    fn end_leaving(&mut self) {
        if let Phase::Leaving(leaving) = &self.phase {
            self.end(leaving.exit);
        }
    }
}
