//! What an experiment is. All of them are listed in [`crate::registry`].

use crate::goals::Goal;
use hotstandby_e2e::gatekeeper::scene::{Gatekeeper, Timing};
use hotstandby_e2e::scene::Scene;

/// One measurement of `cargo measure`. The command line, the schedule, the recorded run and the document all
/// follow from these fields, so that a new experiment is one entry in the registry.
#[derive(Debug)]
pub(crate) struct Experiment {
    /// Its name on the command line and in recorded runs.
    pub(crate) key: &'static str,
    /// Its name in the tables.
    pub(crate) title: &'static str,
    /// What is done and from when the time counts, as sentences without the last full stop.
    pub(crate) method: &'static str,
    /// What should be reached.
    pub(crate) goals: &'static [Goal],
    /// How many trials it has.
    pub(crate) trials: Trials,
    /// How a trial runs.
    pub(crate) procedure: Procedure,
}

/// How many trials an experiment has, unless the command line gives a number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trials {
    /// In a whole run.
    pub(crate) usual: usize,
    /// With `--quick`.
    pub(crate) quick: usize,
}

/// How the trials of an experiment run. This is data rather than a function, because several experiments share pods, a
/// power cut, or the same steps on different pods, and because the schedule must know that beforehand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Procedure {
    /// An EndpointSlice is written by hand, in one case after a container was killed. See [`crate::floor`].
    Floor { after_kill: bool },
    /// The active of a group is hurt while all nodes stay up. See [`crate::failovers`].
    Failover { fault: Fault, groups: SharedGroups },
    /// The active's node loses power. See [`crate::power_cuts`].
    PowerCut { victim: Victim, timing: ProbeTiming },
    /// A switchover while the old active holds a connection. See [`crate::connections`].
    Connection(Ending),
    /// The manifests of users of an older system. See [`crate::migration`].
    Migration(Migration),
    /// Pods behind a gatekeeper. See [`crate::gatekeeper`].
    Gatekeeper(Election),
}

/// What is done to the active.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// SIGKILL to the main process of its container.
    Kill,
    /// A switchover is requested by annotation.
    Switchover,
    /// A switchover is requested by `hotstandby switchover`.
    SwitchoverCommand,
    /// Its pod is deleted.
    Delete,
    /// Its health page stops answering.
    Hang,
}

/// Groups that several experiments may share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SharedGroups {
    /// The beginning of their names.
    pub(crate) name: &'static str,
    /// How many take turns, so that none changes too often.
    pub(crate) count: usize,
    /// The rights that hotstandby needs beyond its own.
    pub(crate) rights: &'static [&'static str],
    /// What is deployed.
    pub(crate) scene: fn() -> Scene,
}

/// Which node loses power. The active runs on it in either case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Victim {
    /// A node without a replica of hotstandby.
    WithoutReplica,
    /// The node of the replica that leads.
    Lead,
}

/// The timing of a group's probe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ProbeTiming {
    /// The default: period 1 s.
    Default,
    /// Period 200 ms.
    Fast,
}

/// What ends the connections of the old active.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ending {
    /// Nothing does.
    Nothing,
    /// hotstandby deletes its pod.
    PodDeleted,
    /// The app closes them, when it is notified that it is a standby.
    Notification,
}

/// An experiment with the manifests of an older system.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Migration {
    /// Which older system.
    pub(crate) system: OlderSystem,
    /// Whether the active's node loses power; otherwise its process is killed.
    pub(crate) node_off: bool,
    /// Whether hotstandby is in charge; otherwise a stand-in for the older system's controller is.
    pub(crate) with_hotstandby: bool,
}

/// The older systems: A annotates a Service, B labels roles and has critical containers, D toggles a label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum OlderSystem {
    A,
    B,
    D,
}

/// An experiment with pods behind a gatekeeper.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Election {
    /// What is done.
    pub(crate) action: ElectionAction,
    /// Which gatekeeper.
    pub(crate) gatekeeper: Gatekeeper,
    /// The Lease's timing.
    pub(crate) timing: Timing,
}

/// What is done to pods behind a gatekeeper.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ElectionAction {
    /// The holder's pod is deleted.
    Release,
    /// All processes of the holder's container are stopped for good.
    Crash,
    /// Requests for the Lease are counted.
    CountRequests,
    /// The memory of a waiting member is read.
    ReadMemory,
}

impl Experiment {
    /// Whether it is what failovers are compared with.
    pub(crate) fn is_floor(&self) -> bool {
        self.procedure == Procedure::Floor { after_kill: false }
    }

    /// Whether its trials are mixed with those of others, while all nodes stay up.
    pub(crate) fn is_mixed(&self) -> bool {
        matches!(self.procedure, Procedure::Floor { .. } | Procedure::Failover { .. })
    }

    /// Whether a client sees another pod answer, so that it is compared with the floor.
    pub(crate) fn is_failover(&self) -> bool {
        self.is_mixed() || matches!(self.procedure, Procedure::PowerCut { .. })
    }
}

impl PartialEq for Experiment {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl PartialEq for SharedGroups {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
