//! What a group is told: views, probe reports, and the outcomes of its own actions.

use crate::action::Ticket;
use crate::health::ProbeReport;
use crate::ids::{Rv, Term, Uid};
use crate::notice::{Delivered, Delivery};
use crate::seat::{SeatRecord, SeatState};
use crate::spec::{GroupSpec, SpecError};
use crate::switchover::Answer;
use crate::view::{Family, MemberView, NodesView, SelectingService, ServiceView, SliceView};
use std::sync::Arc;
use std::time::Duration;

/// One thing the shell saw.
#[allow(clippy::large_enum_variant)] // moved once, from a mailbox to its group
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// The group's object.
    Group(Box<GroupView>),
    /// All members.
    Members(Vec<MemberView>),
    /// The members' nodes.
    Nodes(NodesView),
    /// The Services and their slices.
    Services(Vec<ServiceView>),
    /// The seat, from the watch: may be older than what is known.
    Seat(SeatState),
    /// Whether the followed Lease was not seen written for as long as it lasts, and at which version that was.
    SeatLapsed(Option<Rv>),
    /// A probe ended.
    Probe(ProbeReport),
    /// The tripwire to this member closed: not a fact yet, but a probe is due at once.
    TripwireClosed {
        /// The member.
        uid: Uid,
        /// When.
        at: Duration,
    },
    /// What became of the tripwire, for status: `None` while it is as it should be.
    TripwireState {
        /// The member.
        uid: Uid,
        /// Why it is off.
        off: Option<&'static str>,
    },
    /// This replica stood still.
    ClockGap,
    /// Whether this replica is the lead.
    Lead(bool),
    /// Peers answered, or the time for it is over.
    Peers {
        /// The question.
        ticket: Ticket,
        /// Name of a replica that sees the member healthy.
        veto: Option<Arc<str>>,
    },
    /// Answer to [`crate::action::Action::Verify`].
    Verified {
        /// The question.
        ticket: Ticket,
        /// The answer, or why there is none.
        live: Result<Live, WriteError>,
    },
    /// Outcome of [`crate::action::Action::WriteSeat`].
    SeatWritten {
        /// The write.
        ticket: Ticket,
        /// The seat as stored, or why it was not.
        outcome: Result<SeatRecord, WriteError>,
    },
    /// Outcome of [`crate::action::Action::WriteSlice`].
    SliceWritten {
        /// The write.
        ticket: Ticket,
        /// The Service.
        service: Arc<str>,
        /// The family.
        family: Family,
        /// The slice as stored, or why it was not.
        outcome: Result<SliceView, WriteError>,
    },
    /// A slice of ours, read live after a conflict or an open outcome; `None`: there is none.
    SliceRead {
        /// The Service.
        service: Arc<str>,
        /// The family.
        family: Family,
        /// What is stored.
        slice: Option<SliceView>,
    },
    /// Outcome of [`crate::action::Action::LabelPod`].
    PodLabelled {
        /// The write.
        ticket: Ticket,
        /// The pod.
        uid: Uid,
        /// The pod as stored, or why it was not.
        outcome: Result<Box<MemberView>, WriteError>,
    },
    /// A pod, read live after a conflict or an open outcome; `None`: there is none, or another under its name.
    PodRead {
        /// The pod.
        uid: Uid,
        /// What is stored.
        pod: Option<Box<MemberView>>,
    },
    /// Outcome of [`crate::action::Action::PointService`].
    ServicePointed {
        /// The write.
        ticket: Ticket,
        /// The Service.
        service: Arc<str>,
        /// The Service as stored, or why it was not.
        outcome: Result<Box<SelectingService>, WriteError>,
    },
    /// A Service with a selector, read live after a conflict or an open outcome; `None`: there is no such Service.
    ServiceRead {
        /// The Service.
        service: Arc<str>,
        /// What is stored.
        found: Option<Box<SelectingService>>,
    },
    /// Outcome of [`crate::action::Action::DeletePod`]; a pod that is gone already was deleted as well.
    PodDeleted {
        /// The request.
        ticket: Ticket,
        /// The pod.
        uid: Uid,
        /// Whether the server took it.
        outcome: Result<(), WriteError>,
    },
    /// Outcome of [`crate::action::Action::Notify`].
    Notified {
        /// The try.
        ticket: Ticket,
        /// What became of it, or what went wrong.
        outcome: Result<Delivery, Arc<str>>,
    },
    /// Everything was read anew.
    Relisted,
}

/// Seat and pods, read live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// The seat.
    pub seat: SeatState,
    /// Each pod asked for; `None`: there is no such pod, or another under its name.
    pub pods: Vec<(Uid, Option<MemberView>)>,
    /// The pod that was asked for by name, if there is one.
    pub named: Option<MemberView>,
}

/// Why a call to the API server brought nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// The precondition did not hold: somebody was faster.
    Conflict,
    /// The server refused it: repeating it unchanged is useless.
    Refused(Arc<str>),
    /// No answer, or one after which the write may have been applied: read before doing anything.
    Unknown(Arc<str>),
}

/// The group's object as the core needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// Its UID.
    pub uid: Uid,
    /// Its resourceVersion.
    pub rv: Rv,
    /// `metadata.generation`.
    pub generation: i64,
    /// The checked spec, or what is wrong with it.
    pub spec: Result<Arc<GroupSpec>, SpecError>,
    /// `spec.paused` or the annotation.
    pub paused: bool,
    /// The switchover annotation.
    pub switchover: Option<Arc<str>>,
    /// The answer in status, so that a restart does not answer twice.
    pub answered: Option<Answer>,
    /// The highest term in status: seen before this replica lived.
    pub status_term: Option<Term>,
    /// What status says was delivered to members, so that a restart does not deliver it again.
    pub delivered: Vec<Delivered>,
}
