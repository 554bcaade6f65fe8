//! What a group asks for. Each action is data that carries its own precondition; whoever executes it checks
//! that at the moment of writing and reports the outcome back as an [`crate::observation::Observation`].

use crate::ids::{Rv, Term, Uid};
use crate::notice::Notification;
use crate::reason::Reason;
use crate::report::{Report, Stages};
use crate::view::{Family, SliceContent};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Names one request among those under way, so that late answers are told from fresh ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A member by name and UID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRef {
    /// Pod name.
    pub name: Arc<str>,
    /// Pod UID.
    pub uid: Uid,
}

/// Something the shell shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read the seat and these pods live, in parallel.
    Verify {
        /// To be named in the answer.
        ticket: Ticket,
        /// Holder and successor, as far as there are any.
        pods: Vec<MemberRef>,
        /// A pod that a followed Lease names and that no watch told of: to be read by its name, whatever its UID.
        named: Option<Arc<str>>,
    },
    /// Write the seat, if it is still as the precondition says.
    WriteSeat {
        /// To be named in the answer.
        ticket: Ticket,
        /// What must still hold.
        precondition: Precondition,
        /// What to write.
        seat: SeatWrite,
    },
    /// Write one slice, if it is still as the precondition says.
    WriteSlice {
        /// To be named in the answer.
        ticket: Ticket,
        /// The Service.
        service: Arc<str>,
        /// Its UID: the slice's owner.
        service_uid: Uid,
        /// The family.
        family: Family,
        /// What must still hold.
        precondition: Precondition,
        /// What to write.
        content: SliceContent,
    },
    /// Change labels of a pod, if it is still this one at this version.
    LabelPod {
        /// To be named in the answer.
        ticket: Ticket,
        /// The pod.
        pod: MemberRef,
        /// Its resourceVersion: whoever relabelled it since knew more.
        rv: Rv,
        /// What to write.
        write: MarkedWrite,
    },
    /// Change keys of a Service's selector, if it is still this one at this version.
    PointService {
        /// To be named in the answer.
        ticket: Ticket,
        /// The Service.
        service: Arc<str>,
        /// Its UID.
        uid: Uid,
        /// Its resourceVersion.
        rv: Rv,
        /// What to write.
        write: MarkedWrite,
    },
    /// Delete a pod, if it is still this one at this version, and the seat is still this one at this term.
    DeletePod {
        /// To be named in the answer.
        ticket: Ticket,
        /// The pod.
        pod: MemberRef,
        /// Its resourceVersion.
        rv: Rv,
        /// The seat's UID and term that it is deleted by: to be read live, as the pod may hold it again.
        seat: Option<(Uid, Term)>,
        /// How long it may take to end, in seconds; `None`: what the pod itself allows.
        grace_seconds: Option<u32>,
    },
    /// Tell a member its role, once, if the seat is still at the notice's term.
    Notify {
        /// To be named in the answer.
        ticket: Ticket,
        /// What to send, and where.
        notice: Notification,
    },
    /// Probe this member at this time, or at once if that is past.
    ProbeAt {
        /// The member.
        uid: Uid,
        /// When.
        at: Duration,
    },
    /// Ask the other replicas whether they reach this member.
    AskPeers {
        /// To be named in the answer.
        ticket: Ticket,
        /// The member.
        uid: Uid,
        /// The member's node: what a peer on the same node sees is no evidence.
        node: Option<Arc<str>>,
        /// Since when this replica sees it fail: an older success of a peer's proves nothing.
        failing_since: Duration,
    },
    /// Read everything of the group anew, and say so when done.
    Relist,
    /// Tell the group's users, once.
    Tell(Notice),
    /// The status as it should be; written where it differs.
    Publish(Box<Report>),
    /// A change of the seat is complete: its stage times, for metrics and history.
    Completed(Change),
}

/// What must hold at the moment of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// No such object exists.
    Absent,
    /// The object has this UID and resourceVersion.
    Unchanged {
        /// UID.
        uid: Uid,
        /// resourceVersion.
        rv: Rv,
    },
}

/// A seat as it shall be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatWrite {
    /// The new holder.
    pub holder: MemberRef,
    /// The new term.
    pub term: Term,
    /// Why.
    pub reason: Reason,
    /// When, Unix milliseconds.
    pub since_ms: i64,
    /// The group's UID.
    pub group_uid: Uid,
    /// Noted on the object for the sweep.
    pub orphan: bool,
    /// Former actives that were not seen put back yet, see [`crate::seat::SeatMarks::previous`].
    pub previous: Vec<MemberRef>,
}

/// A change of labels or of a selector, with the marks that say whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkedWrite {
    /// Keys and their new values; `None`: the key goes.
    pub changes: BTreeMap<Arc<str>, Option<Arc<str>>>,
    /// Our marks after it.
    pub marks: MarksWrite,
}

/// What becomes of our marks on an object of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarksWrite {
    /// They stay as they are.
    Keep,
    /// They say this.
    Set(Box<ProjectionMarks>),
    /// They go: nothing of ours is left on it.
    Clear,
}

/// What marks say of the seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkedSeat {
    /// The seat's UID.
    pub uid: Uid,
    /// Its term.
    pub term: Term,
    /// Why the holder is active.
    pub reason: Reason,
    /// Since when, Unix milliseconds.
    pub since_ms: i64,
}

/// The marks on a projection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectionMarks {
    /// The seat it follows; `None`: there is none yet, and what the marks say of one stays as it is.
    pub seat: Option<MarkedSeat>,
    /// UID of the group.
    pub group_uid: Uid,
    /// Removal of the group leaves it as it is.
    pub orphan: bool,
    /// What undoes our changes, see [`crate::view::Mark::undo`].
    pub undo: BTreeMap<Arc<str>, Option<Arc<str>>>,
}

/// An Event to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whether it is a warning.
    pub warning: bool,
    /// Event reason.
    pub reason: &'static str,
    /// Event message.
    pub message: String,
}

/// A finished change of the seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The term it began.
    pub term: Term,
    /// Who held the seat before.
    pub from: Option<Arc<str>>,
    /// Who holds it now.
    pub to: Arc<str>,
    /// Why.
    pub reason: Reason,
    /// When, Unix milliseconds.
    pub since_ms: i64,
    /// How long each stage took, if this replica made the change.
    pub stages: Option<Stages>,
}

/// What to probe, how, and whether to hold the tripwire: level, not edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeTarget {
    /// The member.
    pub uid: Uid,
    /// Its address.
    pub ip: IpAddr,
    /// The port.
    pub port: u16,
    /// Its node, to know what a success proves.
    pub node: Option<Arc<str>>,
    /// What to send.
    pub wire: WireProbe,
    /// Between the starts of two probes.
    pub period: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Whether this replica holds the tripwire to it.
    pub tripwire: bool,
}

/// What a probe sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireProbe {
    /// Connects, nothing more.
    Tcp,
    /// One GET.
    Http {
        /// The path.
        path: Arc<str>,
        /// HTTPS, unverified.
        tls: bool,
        /// Host header other than the address.
        host: Option<Arc<str>>,
        /// The only status that is a success; else 200 to 399 are.
        status: Option<u16>,
    },
}
