//! What the gatekeeper asks for, and what it is told. All times are `CLOCK_BOOTTIME`.

use super::record::{LeaseRecord, LeaseState, LeaseView};
use crate::action::{Precondition, Ticket};
use crate::ids::{Term, Uid};
use crate::observation::WriteError;
use std::time::Duration;

/// The moment of an observation or a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// `CLOCK_BOOTTIME`, which goes on while the machine sleeps: everything is timed by this.
    pub boot: Duration,
    /// Wall clock in Unix microseconds: written into the record for people, and the start of a new Lease's terms.
    pub unix_us: i64,
}

/// Something the shell shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read the Lease live (GET without a resourceVersion), no answer later than `timeout`.
    ReadLease {
        /// To be named in the answer.
        ticket: Ticket,
        /// After this the answer is [`WriteError::Unknown`].
        timeout: Duration,
    },
    /// Write the Lease, if it is still as the precondition says (POST, or PUT with UID and resourceVersion).
    ///
    /// Send it at once or not at all: its place in time is the step that asked for it.
    WriteLease {
        /// To be named in the answer.
        ticket: Ticket,
        /// What must still hold.
        precondition: Precondition,
        /// What to write. Fields and annotations that are not in here stay as they are; `marks: None` removes ours.
        record: LeaseRecord,
        /// After this the answer is [`WriteError::Unknown`].
        timeout: Duration,
    },
    /// Make this pod the Service's one endpoint, and note Lease UID and term there; never over a higher term of that UID.
    PublishEndpoint {
        /// To be named in the answer.
        ticket: Ticket,
        /// UID of the Lease.
        lease_uid: Uid,
        /// The term.
        term: Term,
        /// After this the answer is [`WriteError::Unknown`].
        timeout: Duration,
    },
    /// Remove the endpoint, if it is still the one published at this term.
    RemoveEndpoint {
        /// To be named in the answer.
        ticket: Ticket,
        /// UID of the Lease.
        lease_uid: Uid,
        /// The term.
        term: Term,
        /// After this the answer is [`WriteError::Unknown`].
        timeout: Duration,
    },
    /// Hand the killer its deadlines; they replace the ones before. Comes before the command starts and at each renewal.
    Arm {
        /// TERM to the command, if the killer has not heard anything by then.
        term_at: Duration,
        /// KILL to the command and all that descends from it.
        kill_at: Duration,
    },
    /// Start the command. Whoever does the `exec` looks at the clock last: not after this. A [`Action::TermCommand`] for an
    /// earlier start, which was missed, is void.
    StartCommand {
        /// For the command's environment.
        term: Term,
        /// Later than this it must not be started: say [`Observation::StartMissed`].
        not_after: Duration,
    },
    /// Tell the command to end: TERM, unless it got one already; the killer sends KILL at `kill_at`, which an
    /// earlier deadline of [`Action::Arm`] goes before and a later one does not change.
    TermCommand {
        /// When its patience ends.
        kill_at: Duration,
    },
    /// KILL the command and all that descends from it, now, until all is dead: directly, since the killer may stand still, and
    /// through the killer, since it may still have the start before it.
    KillCommand,
    /// End this process. The killer may be told that all is done: nothing is left to kill.
    Exit(Exit),
}

/// What a step asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Step {
    /// In this order.
    pub actions: Vec<Action>,
    /// When to step again at the latest; `None`: nothing happens until something is observed.
    pub deadline: Option<Duration>,
}

/// How this process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// As the command did: its code, or 128 + signal.
    Command(u8),
    /// It was told to stop while no command ran.
    Stopped,
    /// The lease was lost; the command is dead.
    Lost(Loss),
    /// The endpoint cannot be written; the command was not started or is dead.
    NoEndpoint,
}

impl Exit {
    /// The exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Command(code) => code,
            // 128 + SIGTERM: as any other program that has nothing to add.
            Self::Stopped => 143,
            Self::Lost(_) | Self::NoEndpoint => 1,
        }
    }
}

/// Why the lease was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// No renewal was stored within the renew deadline.
    NotRenewed,
    /// The record says something that this process did not write.
    Taken,
    /// The Lease was deleted, or replaced by another.
    Deleted,
}

impl Loss {
    /// The fixed text: log, status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotRenewed => "NotRenewed",
            Self::Taken => "Taken",
            Self::Deleted => "Deleted",
        }
    }
}

/// One thing the shell saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// The Lease, from the watch (or from reads in its place): may be older than what is known.
    LeaseSeen(LeaseState),
    /// Answer to [`Action::ReadLease`].
    LeaseRead {
        /// The question.
        ticket: Ticket,
        /// The Lease, or why there is no answer.
        outcome: Result<LeaseState, WriteError>,
    },
    /// Outcome of [`Action::WriteLease`].
    LeaseWritten {
        /// The write.
        ticket: Ticket,
        /// The Lease as stored, or why it was not.
        outcome: Result<LeaseView, WriteError>,
    },
    /// Outcome of [`Action::PublishEndpoint`].
    EndpointPublished {
        /// The write.
        ticket: Ticket,
        /// Whether it is stored.
        outcome: Result<(), WriteError>,
    },
    /// Outcome of [`Action::RemoveEndpoint`]: also fine if it was not there, or is another's by now.
    EndpointRemoved {
        /// The write.
        ticket: Ticket,
        /// Whether it is certain.
        outcome: Result<(), WriteError>,
    },
    /// The command was not started, because it was too late: nothing of it runs.
    StartMissed,
    /// The command's readiness check passed.
    CommandReady,
    /// The command itself ended; what it started may still run.
    CommandExited {
        /// Its code, or 128 + signal.
        code: u8,
    },
    /// Command and all that descends from it are dead and reaped. Said only after [`Observation::CommandExited`].
    AllDead,
    /// The killer sent TERM or KILL because of its deadline.
    KillerFired,
    /// SIGTERM, or another wish to end.
    StopRequested,
}
