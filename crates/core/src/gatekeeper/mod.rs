//! The gatekeeper's protocol: a command runs only while its member holds the Lease, and never twice at one time.
//!
//! A [`Gatekeeper`] takes observations ([`Gatekeeper::observe`]), and [`Gatekeeper::step`] answers with actions and the next
//! deadline. Step after each observation and at the deadline. It knows no clock: after a gap (suspend, freeze) the next
//! observation or step first looks at the deadlines that have passed meanwhile.
//!
//! # The rules
//! - *Whose*. A record is this process's own if it is, word for word, one that this process sent. One of an earlier process of the
//!   same container of the same pod may be taken at once. Any other holder is foreign, whatever its name.
//! - *Taking*. An empty record at once; a foreign one after it has not changed for the larger of its and one's own duration, by
//!   local time since it was first seen so, and a live read after that. Each taking is a term of its own. A Lease that vanished is
//!   waited out like a foreign record, since its holder may not know; then the terms go on in the new one.
//! - *Holding*. A renewal counts from the moment it was sent, once it is known to be stored. TERM after the renew deadline, KILL early enough
//!   that all is dead before another may take. After an unanswered or refused write comes a live read, before anything else.
//! - *Losing*. A Lease that is deleted, replaced or says what this process did not write is lost, and the command is killed at
//!   once. It is not made anew meanwhile: others may do so at the same moment, and a new record means a new term, which a
//!   running command cannot be told.
//! - *Leaving*. The lease is renewed until the command and all that descends from it are dead, then released.
//!
//! Not promised here: that the killer kills. [`Action::Arm`] hands it the deadlines before the command starts.
//! A Lease deleted while its holder cannot be reached is fenced only by members that have seen it before.

mod action;
mod calls;
mod config;
mod endpoint;
mod holding;
mod leaving;
mod record;
mod sighting;
mod status;
mod waiting;

pub use action::{Action, Exit, Loss, Now, Observation, Step};
pub use config::{Config, DEFAULT_GRACE, DEFAULT_KILL_MARGIN, Timing, TimingError, Traffic};
pub use record::{Identity, LeaseRecord, LeaseState, LeaseView, Marks};
pub use status::{Role, Status};

use crate::action::Ticket;
use crate::observation::WriteError;
use calls::{Calls, Kind};
use endpoint::Outcome;
use holding::Tenure;
use leaving::Leaving;
use sighting::{Seen, Sighting};
use std::time::Duration;
use waiting::Waiting;

/// The machine of one process.
#[derive(Debug)]
pub struct Gatekeeper {
    config: Config,
    me: Identity,
    lease: Sighting,
    calls: Calls,
    phase: Phase,
    /// Asked for since the last step.
    outbox: Vec<Action>,
}

#[derive(Debug)]
enum Phase {
    Waiting(Waiting),
    Holding(Box<Tenure>),
    Leaving(Box<Leaving>),
    Ended,
}

impl Gatekeeper {
    /// A process that has just started and knows nothing.
    pub fn new(config: Config, me: Identity) -> Self {
        Self {
            config,
            me,
            lease: Sighting::default(),
            calls: Calls::default(),
            phase: Phase::Waiting(Waiting::default()),
            outbox: Vec::new(),
        }
    }

    /// Notes one thing that the shell saw.
    pub fn observe(&mut self, now: Now, observation: Observation) {
        let at = now.boot;
        self.meet_deadlines(at);
        match observation {
            Observation::LeaseSeen(state) => self.note_seen(at, state),
            Observation::LeaseRead { ticket, outcome } => self.note_read(at, ticket, outcome),
            Observation::LeaseWritten { ticket, outcome } => self.note_written(at, ticket, outcome),
            Observation::EndpointPublished { ticket, outcome } => self.note_published(at, ticket, outcome),
            Observation::EndpointRemoved { ticket, .. } => self.note_removed(ticket),
            Observation::StartMissed => self.note_start_missed(),
            Observation::CommandReady => self.note_ready(),
            Observation::CommandExited { code } => self.note_exited(at, code),
            Observation::AllDead => self.note_all_dead(at),
            Observation::KillerFired => self.note_killer_fired(at),
            Observation::StopRequested => self.note_stop_requested(at),
        }
    }

    /// What to do now, and when to step again at the latest.
    pub fn step(&mut self, now: Now) -> Step {
        self.meet_deadlines(now.boot);
        self.act_waiting(now);
        self.act_holding(now);
        self.act_leaving(now);
        Step { actions: std::mem::take(&mut self.outbox), deadline: self.deadline(now.boot) }
    }

    fn deadline(&self, now: Duration) -> Option<Duration> {
        match &self.phase {
            Phase::Waiting(waiting) => self.waiting_deadline(waiting),
            Phase::Holding(tenure) => self.holding_deadline(tenure, now),
            Phase::Leaving(leaving) => self.leaving_deadline(leaving),
            Phase::Ended => None,
        }
    }

    /// Time is the only truth: whatever was observed late, a deadline that has passed has passed.
    fn meet_deadlines(&mut self, now: Duration) {
        self.calls.give_up(now, self.config.timing().retry_period);
        self.meet_command_deadlines(now);
    }

    fn own_duration(&self) -> Duration {
        self.config.timing().lease_duration
    }

    fn call_failed(&mut self, now: Duration, error: &WriteError) {
        self.calls.failed(now, self.config.timing().retry_period, calls::text(error));
    }

    fn end(&mut self, exit: Exit) {
        self.phase = Phase::Ended;
        self.outbox.push(Action::Exit(exit));
    }

    fn note_seen(&mut self, now: Duration, state: LeaseState) {
        match self.lease.watched(state, now, self.own_duration()) {
            Seen::Current => self.judge(now),
            Seen::Unclear => self.calls.doubt = true,
            Seen::Old => {}
        }
    }

    fn note_read(&mut self, now: Duration, ticket: Ticket, outcome: Result<LeaseState, WriteError>) {
        let Some(asked_at) = self.calls.answered(ticket, Kind::Read) else { return };
        match outcome {
            Ok(state) => self.note_live(now, state, asked_at),
            Err(error) => self.call_failed(now, &error),
        }
    }

    fn note_written(&mut self, now: Duration, ticket: Ticket, outcome: Result<LeaseView, WriteError>) {
        let Some(asked_at) = self.calls.answered(ticket, Kind::Write) else { return };
        match outcome {
            Ok(view) => {
                // A 200 is no proof: a webhook may have changed it on its way. Then the record is not ours.
                let as_sent = self.calls.sent_at(&view.record).is_some();
                self.note_live(now, LeaseState::Present(view), asked_at);
                if as_sent {
                    self.calls.did_well();
                } else {
                    let text = "stored otherwise than sent; look for a mutating webhook on Leases";
                    self.call_failed(now, &WriteError::Refused(text.into()));
                }
            }
            Err(error) => self.call_failed(now, &error),
        }
    }

    fn note_live(&mut self, now: Duration, state: LeaseState, asked_at: Duration) {
        if self.lease.read(state, now, asked_at, self.own_duration()) == Seen::Current {
            self.calls.settle();
            self.judge(now);
        } else {
            let text = "a live read was older than what is known";
            self.call_failed(now, &WriteError::Unknown(text.into()));
        }
    }

    /// What the newest state of the Lease means.
    fn judge(&mut self, now: Duration) {
        if let Some(view) = self.lease.present() {
            self.calls.is_stored(&view.record);
        }
        match &self.phase {
            Phase::Waiting(_) => self.judge_waiting(now),
            Phase::Holding(_) => self.judge_holding(now),
            Phase::Leaving(_) => self.judge_leaving(now),
            Phase::Ended => {}
        }
    }

    fn note_published(&mut self, now: Duration, ticket: Ticket, outcome: Result<(), WriteError>) {
        let retry_at = now.saturating_add(self.config.timing().retry_period);
        let Phase::Holding(tenure) = &mut self.phase else { return };
        let outcome = match outcome {
            Ok(()) => Outcome::Stored,
            Err(WriteError::Refused(text)) => {
                self.calls.trouble = Some(text);
                Outcome::Refused
            }
            Err(WriteError::Conflict | WriteError::Unknown(_)) => Outcome::Open,
        };
        tenure.endpoint.answered(ticket, outcome, retry_at);
    }
}
