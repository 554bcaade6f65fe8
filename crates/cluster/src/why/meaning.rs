//! What each reason rests on, in words.

use hotstandby_core::reason::Reason;

/// What has been seen where this is the reason of a change.
pub const fn meaning(reason: Reason) -> &'static str {
    match reason {
        Reason::Initial => "the group had no seat yet",
        Reason::PodDeleted => "the pod that was active does not exist any more",
        Reason::PodTerminating => {
            "the pod that was active is being deleted: a rollout, a drain, or somebody deleted it"
        }
        Reason::PodFinished => "the phase of the pod that was active is Failed or Succeeded",
        Reason::AddressLost => "the pod that was active has no address any more",
        Reason::LeftGroup => {
            "the labels of the pod that was active do not match the group's selector any more"
        }
        Reason::CriticalContainerTerminated => "a critical container of the pod that was active ended",
        Reason::NodeGone => "the node of the pod that was active does not exist any more",
        Reason::NodeOutOfService => "the node of the pod that was active carries the taint out-of-service",
        Reason::NotReady => "the pod that was active turned not Ready, on a node that is Ready",
        Reason::NodeNotReady => {
            "the node of the pod that was active is not Ready, and no probe could tell more"
        }
        Reason::ProbeRefused => {
            "the pod that was active refused two connections in a row: its process was dead"
        }
        Reason::ProbeTimedOut => {
            "probes of the pod that was active timed out, failureThreshold in a row, while the prober reached others, and no \
             replica saw it well"
        }
        Reason::ProbeFailed => {
            "probes of the pod that was active were answered wrongly, failureThreshold in a row"
        }
        Reason::Switchover => "somebody asked for it",
        Reason::Failback => "a better member had been healthy for as long as failback.delay says",
        Reason::SeatRepaired => "somebody else had changed the seat, and it was put right",
        Reason::SeatRecreated => "somebody else had deleted the seat, and it was made anew",
        Reason::LeaseChanged => "the pods or somebody else elect, and their Lease names another member",
    }
}
