//! Why the seat moved, stayed or stands empty: one enum for Event, condition, metric label, log and status.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The recorded cause of a seat change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// The group had no seat yet.
    Initial,
    /// The active pod's object is gone.
    PodDeleted,
    /// The active pod is being deleted.
    PodTerminating,
    /// The active pod's phase is Failed or Succeeded.
    PodFinished,
    /// The active pod lost its address.
    AddressLost,
    /// The active pod no longer matches the group's selector.
    LeftGroup,
    /// A critical container of the active pod terminated.
    CriticalContainerTerminated,
    /// The node object of the active pod is gone.
    NodeGone,
    /// The node of the active pod carries the out-of-service taint.
    NodeOutOfService,
    /// The active pod's Ready condition turned false on a Ready node.
    NotReady,
    /// The active pod's node is not Ready and no probe can tell more.
    NodeNotReady,
    /// The active pod refused two connections.
    ProbeRefused,
    /// Probes of the active pod timed out, `failureThreshold` in a row.
    ProbeTimedOut,
    /// Probes of the active pod were answered wrongly, `failureThreshold` in a row.
    ProbeFailed,
    /// Somebody asked for it.
    Switchover,
    /// A better member has been healthy for the failback delay.
    Failback,
    /// The seat was changed by somebody else and has been put right.
    SeatRepaired,
    /// The seat was deleted by somebody else and has been made anew.
    SeatRecreated,
    /// Somebody else elects, and the Lease names another member.
    LeaseChanged,
}

impl Reason {
    /// The fixed text: Event reason, metric label, annotation value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initial => "Initial",
            Self::PodDeleted => "PodDeleted",
            Self::PodTerminating => "PodTerminating",
            Self::PodFinished => "PodFinished",
            Self::AddressLost => "AddressLost",
            Self::LeftGroup => "LeftGroup",
            Self::CriticalContainerTerminated => "CriticalContainerTerminated",
            Self::NodeGone => "NodeGone",
            Self::NodeOutOfService => "NodeOutOfService",
            Self::NotReady => "NotReady",
            Self::NodeNotReady => "NodeNotReady",
            Self::ProbeRefused => "ProbeRefused",
            Self::ProbeTimedOut => "ProbeTimedOut",
            Self::ProbeFailed => "ProbeFailed",
            Self::Switchover => "Switchover",
            Self::Failback => "Failback",
            Self::SeatRepaired => "SeatRepaired",
            Self::SeatRecreated => "SeatRecreated",
            Self::LeaseChanged => "LeaseChanged",
        }
    }

    /// Every reason, for docs and for parsing what an annotation says.
    pub const ALL: [Self; 19] = [
        Self::Initial,
        Self::PodDeleted,
        Self::PodTerminating,
        Self::PodFinished,
        Self::AddressLost,
        Self::LeftGroup,
        Self::CriticalContainerTerminated,
        Self::NodeGone,
        Self::NodeOutOfService,
        Self::NotReady,
        Self::NodeNotReady,
        Self::ProbeRefused,
        Self::ProbeTimedOut,
        Self::ProbeFailed,
        Self::Switchover,
        Self::Failback,
        Self::SeatRepaired,
        Self::SeatRecreated,
        Self::LeaseChanged,
    ];

    /// The reason with this fixed text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }

    /// Whether a probe's judgement, rather than a fact or a person, was the cause: earns a penalty.
    pub const fn is_judgement(self) -> bool {
        matches!(self, Self::ProbeRefused | Self::ProbeTimedOut | Self::ProbeFailed)
    }

    /// Whether the change was planned by a person or by policy, or is none of our business: then it is no warning.
    pub const fn is_planned(self) -> bool {
        matches!(self, Self::Initial | Self::Switchover | Self::Failback | Self::LeaseChanged)
    }

    /// Whether peers are asked before this cause is acted on: a time-out may be our own blindness.
    pub const fn needs_peers(self) -> bool {
        matches!(self, Self::ProbeTimedOut | Self::ProbeFailed)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
