//! What an experiment is. All of them are listed in [`crate::registry`].

use hotstandby_e2e::gatekeeper::scene::{Gatekeeper, Timing};

use crate::goals::Goal;

/// One thing that `cargo measure` measures. The command line, the schedule, the recorded run and the document all
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

/// How the trials of an experiment run. This is data rather than a function, because several experiments share
/// pods, a power cut, or the same steps on different pods, and because the schedule must know that beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Procedure {
    /// An EndpointSlice is written by hand: what the platform itself needs. See [`crate::floor`].
    Floor {
        /// Whether a container is killed immediately before.
        after_kill: bool,
    },
    /// A group fails over while all nodes stay up. See [`crate::failovers`].
    Failover {
        /// What is done to the active.
        fault: Fault,
        /// On which groups.
        groups: Groups,
    },
    /// A node loses power. See [`crate::power_cuts`].
    PowerCut {
        /// Which node.
        victim: Victim,
        /// The group's probe timing.
        timing: ProbeTiming,
    },
    /// A switchover while the old active holds a connection. See [`crate::connections`].
    Connection(Ending),
    /// The manifests of users of an older system, without and with hotstandby. See [`crate::migration`].
    Migration(Migration),
    /// Pods behind a gatekeeper. See [`crate::gatekeeper`].
    Gatekeeper(Election),
}

/// What is done to the active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// The groups that experiments share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Groups {
    /// Default settings.
    Plain,
    /// The app continues to serve for a while after SIGTERM.
    Lingering,
    /// A fast HTTP probe.
    HealthProbe,
    /// The Service has a selector that names the active.
    SelectorPointer,
    /// The Service selects the active by a role label.
    RoleLabels,
}

/// Which node loses power. The active runs on it in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    /// A node without a replica of hotstandby.
    WithoutReplica,
    /// The node of the replica that leads.
    Lead,
}

/// The timing of a group's probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProbeTiming {
    /// The default: period 1 s.
    Default,
    /// Period 200 ms.
    Fast,
}

/// What ends the connections of the old active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nothing does.
    Nothing,
    /// hotstandby deletes its pod.
    PodDeleted,
    /// The app closes them, when it is notified that it is a standby.
    Notification,
}

/// One experiment with the manifests of an older system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Migration {
    /// Which older system.
    pub(crate) system: OlderSystem,
    /// What happens to the active.
    pub(crate) fault: MigrationFault,
    /// Which controller is in charge.
    pub(crate) controller: Controller,
}

/// The older systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OlderSystem {
    /// An annotated Service.
    A,
    /// Role labels and critical containers.
    B,
    /// A loop that checks health and toggles a label.
    D,
}

/// What happens to the active of an older system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MigrationFault {
    /// SIGKILL to the main process of its container.
    Killed,
    /// Its node loses power.
    NodeOff,
}

/// Which controller is in charge of users' manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Controller {
    /// A stand-in for the older system's controller; hotstandby is not running.
    Older,
    /// hotstandby.
    Hotstandby,
}

/// One experiment with pods behind a gatekeeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Election {
    /// What is done.
    pub(crate) action: ElectionAction,
    /// Which gatekeeper.
    pub(crate) gatekeeper: Gatekeeper,
    /// The Lease's timing.
    pub(crate) timing: Timing,
}

/// What is done to pods behind a gatekeeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
