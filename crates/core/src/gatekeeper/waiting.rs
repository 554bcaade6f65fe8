//! A candidate: it watches, and takes the Lease once it may.

use super::action::{Exit, Now};
use super::holding::{Hold, Tenure};
use super::record::{LeaseRecord, Marks};
use super::sighting::Free;
use super::{Gatekeeper, Phase};
use crate::action::Precondition;
use crate::ids::Term;
use std::time::Duration;

/// The candidate's own state; what it knows of the Lease stands in the sighting.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// It was told to stop, and waits until then to learn whether a write of its was stored.
    stop_by: Option<Duration>,
}

impl Gatekeeper {
    pub(super) fn act_waiting(&mut self, now: Now) {
        let Phase::Waiting(waiting) = &self.phase else { return };
        if let Some(stop_by) = waiting.stop_by
            && (now.boot >= stop_by || !self.calls.write_is_open())
        {
            self.end(Exit::Stopped);
            return;
        }
        let stopping = waiting.stop_by.is_some();
        if !self.calls.may_call(now.boot) {
            return;
        }
        if self.calls.doubt {
            self.read_lease(now.boot);
            return;
        }
        match self.lease.free(&self.me, self.own_duration()) {
            _ if stopping => {}
            Free::Unread => self.read_lease(now.boot),
            Free::At(at) if now.boot >= at => self.take(now),
            Free::IfUnchangedAt(at) if now.boot >= at => {
                if self.lease.was_read_since(at) {
                    self.take(now);
                } else {
                    self.read_lease(now.boot);
                }
            }
            Free::At(_) | Free::IfUnchangedAt(_) => {}
        }
    }

    pub(super) fn waiting_deadline(&self, waiting: &Waiting) -> Option<Duration> {
        let wanted = match self.lease.free(&self.me, self.own_duration()) {
            _ if self.calls.doubt => Some(Duration::ZERO),
            _ if waiting.stop_by.is_some() => None,
            Free::Unread => Some(Duration::ZERO),
            Free::At(_) | Free::IfUnchangedAt(_) if self.lease.next_term(0).is_none() => None,
            Free::At(at) | Free::IfUnchangedAt(at) => Some(at),
        };
        [self.calls.deadline(wanted), waiting.stop_by].into_iter().flatten().min()
    }

    pub(super) fn judge_waiting(&mut self, now: Duration) {
        let won = self.lease.present().and_then(|view| {
            let at = self.calls.sent_at(&view.record)?;
            // An old record of ours that somebody put back is not a term to start from.
            let hold = self.lease.is_highest_term(view.record.term);
            hold.then(|| Hold {
                uid: view.uid.clone(),
                rv: view.rv.clone(),
                term: view.record.term,
                acquired_us: view.record.acquired_us,
                good_at: at,
            })
        });
        if let Some(hold) = won {
            let stop = matches!(&self.phase, Phase::Waiting(waiting) if waiting.stop_by.is_some());
            self.calls.did_well();
            self.phase = Phase::Holding(Box::new(Tenure::new(hold)));
            self.arm();
            if stop {
                self.note_stop_requested(now);
            }
        } else if !self.may_take(now) {
            // Somebody holds it: whatever failed before, there is nothing to hurry for.
            self.calls.did_well();
        }
    }

    pub(super) fn stop_waiting(&mut self, now: Duration) {
        let patience = self.config.call_timeout().saturating_mul(3);
        if let Phase::Waiting(waiting) = &mut self.phase {
            waiting.stop_by = waiting.stop_by.or(Some(now.saturating_add(patience)));
        }
    }

    pub(super) fn read_lease(&mut self, now: Duration) {
        let read = self.calls.read(now, self.config.call_timeout());
        self.outbox.push(read);
    }

    fn may_take(&self, now: Duration) -> bool {
        match self.lease.free(&self.me, self.own_duration()) {
            Free::Unread => false,
            Free::At(at) | Free::IfUnchangedAt(at) => now >= at,
        }
    }

    fn take(&mut self, now: Now) {
        let Some(term) = self.lease.next_term(now.unix_us.div_euclid(1000)) else {
            let text = "leaseTransitions is at its end; delete the Lease, and a new one is made";
            self.calls.trouble = Some(text.into());
            return;
        };
        let precondition = self.lease.present().map_or(Precondition::Absent, |view| {
            Precondition::Unchanged { uid: view.uid.clone(), rv: view.rv.clone() }
        });
        let stamp = self.calls.stamp(now.unix_us);
        let record = self.held_record(term, stamp, stamp);
        self.write_lease(now.boot, precondition, record);
    }

    pub(super) fn held_record(&self, term: Term, acquired_us: i64, renewed_us: i64) -> LeaseRecord {
        LeaseRecord {
            holder: Some(self.me.name.clone()),
            term,
            duration_seconds: self.config.lease_seconds(),
            acquired_us,
            renewed_us,
            marks: Some(Marks {
                holder_name: self.me.name.clone(),
                pod_uid: self.me.pod_uid.clone(),
                container: self.me.container.clone(),
                instance: self.me.instance.clone(),
                term,
                renewed_us,
            }),
        }
    }

    pub(super) fn write_lease(&mut self, now: Duration, precondition: Precondition, record: LeaseRecord) {
        let write = self.calls.write(now, self.config.call_timeout(), precondition, record);
        self.outbox.push(write);
    }
}
