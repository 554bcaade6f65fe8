//! The one Lease call under way, when the next may follow, and which records this process has sent.

use super::action::Action;
use super::record::LeaseRecord;
use crate::action::{Precondition, Ticket};
use crate::observation::WriteError;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Writes whose outcome may still show; older ones are forgotten, and count as somebody else's.
const MOST_SENT: usize = 32;
/// After a second failure in a row, the first pause is this part of the retry period; it doubles up to all of it.
const FIRST_PAUSE_PARTS: u32 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
}

/// A call under way.
#[derive(Clone, Debug)]
struct Pending {
    ticket: Ticket,
    kind: Kind,
    asked_at: Duration,
    due: Duration,
}

/// A record that was sent to be stored, and when.
#[derive(Clone, Debug)]
struct Sent {
    record: LeaseRecord,
    at: Duration,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Calls {
    tickets: u64,
    pending: Option<Pending>,
    /// A write may have been applied, or the watch told something that cannot be ordered: a live read comes first.
    pub(super) doubt: bool,
    /// A write was sent, and it is not known yet what became of it.
    write_is_open: bool,
    failures: u32,
    retry_at: Duration,
    sent: VecDeque<Sent>,
    last_stamp: i64,
    pub(super) trouble: Option<Arc<str>>,
}

impl Calls {
    pub(super) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// A time for a record: the wall clock, but never one that this process has used, so that it knows its writes apart.
    pub(super) fn stamp(&mut self, unix_us: i64) -> i64 {
        self.last_stamp = unix_us.max(self.last_stamp.saturating_add(1));
        self.last_stamp
    }

    pub(super) fn read(&mut self, now: Duration, timeout: Duration) -> Action {
        let ticket = self.begin(Kind::Read, now, timeout);
        Action::ReadLease { ticket, timeout }
    }

    pub(super) fn write(
        &mut self,
        now: Duration,
        timeout: Duration,
        precondition: Precondition,
        record: LeaseRecord,
    ) -> Action {
        let ticket = self.begin(Kind::Write, now, timeout);
        if self.sent.len() == MOST_SENT {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent { record: record.clone(), at: now });
        self.write_is_open = true;
        Action::WriteLease { ticket, precondition, record, timeout }
    }

    fn begin(&mut self, kind: Kind, now: Duration, timeout: Duration) -> Ticket {
        let ticket = self.ticket();
        self.pending = Some(Pending { ticket, kind, asked_at: now, due: now.saturating_add(timeout) });
        ticket
    }

    /// Whether a call may begin.
    pub(super) fn may_call(&self, now: Duration) -> bool {
        self.pending.is_none() && now >= self.retry_at
    }

    /// Whether no call is under way.
    pub(super) const fn is_idle(&self) -> bool {
        self.pending.is_none()
    }

    /// Whether a write is under way, or one may have been applied.
    pub(super) const fn write_is_open(&self) -> bool {
        self.write_is_open
    }

    /// A live answer has told how the Lease stands.
    pub(super) const fn settle(&mut self) {
        self.doubt = false;
        self.write_is_open = false;
    }

    /// When to look again: the limit of the call under way, or when the next may begin.
    pub(super) fn deadline(&self, wanted: Option<Duration>) -> Option<Duration> {
        match &self.pending {
            Some(pending) => Some(pending.due),
            None => wanted.map(|at| at.max(self.retry_at)),
        }
    }

    /// Ends the call that this is the answer to, and says when it was asked for. An answer nobody waits for any more tells
    /// nothing: it is read anew.
    pub(super) fn answered(&mut self, ticket: Ticket, kind: Kind) -> Option<Duration> {
        let answered = self.pending.take_if(|pending| pending.ticket == ticket && pending.kind == kind);
        answered.map(|pending| pending.asked_at)
    }

    /// Gives up on a call that got no answer in its time.
    pub(super) fn give_up(&mut self, now: Duration, retry_period: Duration) {
        if self.pending.take_if(|pending| now >= pending.due).is_some() {
            self.failed(now, retry_period, "no answer from the API server in time".into());
        }
    }

    /// A call brought nothing. What it was to do may have been done.
    pub(super) fn failed(&mut self, now: Duration, retry_period: Duration, why: Arc<str>) {
        self.doubt = true;
        self.trouble = Some(why);
        self.failures = self.failures.saturating_add(1);
        // The first failure is looked into at once: a conflict or a lost answer is cleared up by one read.
        let pause = match self.failures.checked_sub(2) {
            None => Duration::ZERO,
            Some(more) => (retry_period / FIRST_PAUSE_PARTS).saturating_mul(1_u32 << more.min(3)),
        };
        self.retry_at = now.saturating_add(pause);
    }

    /// A call did what it was to do, or found that nothing is to be done.
    pub(super) fn did_well(&mut self) {
        self.failures = 0;
        self.retry_at = Duration::ZERO;
        self.trouble = None;
    }

    /// This record is stored. If it is the newest that was sent, no write is open any more: those before it had their
    /// chance, since each names the version before.
    pub(super) fn is_stored(&mut self, record: &LeaseRecord) {
        if self.sent.back().is_some_and(|sent| sent.record == *record) {
            self.settle();
            self.pending.take_if(|pending| pending.kind == Kind::Write);
        }
    }

    /// When this process sent exactly this record, if it did.
    pub(super) fn sent_at(&self, record: &LeaseRecord) -> Option<Duration> {
        self.sent.iter().find(|sent| sent.record == *record).map(|sent| sent.at)
    }
}

pub(super) fn text(error: &WriteError) -> Arc<str> {
    match error {
        WriteError::Conflict => "somebody else was faster".into(),
        WriteError::Refused(text) | WriteError::Unknown(text) => text.clone(),
    }
}
