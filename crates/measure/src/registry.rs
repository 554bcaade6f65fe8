//! All experiments, in the order in which tables show them.

use hotstandby_e2e::gatekeeper::scene::Gatekeeper::{OldWords, OwnWords, ReleasingElector};
use hotstandby_e2e::gatekeeper::scene::Timing;
use hotstandby_e2e::scene::Scene;

use crate::experiment::ElectionAction::{CountRequests, Crash, ReadMemory, Release};
use crate::experiment::OlderSystem::{A, B, D};
use crate::experiment::{
    Election, Ending, Experiment, Fault, Migration, OlderSystem, ProbeTiming, Procedure, SharedGroups,
    Trials, Victim,
};
use crate::goals::Goal;

/// The experiment of this name.
pub(crate) fn find(key: &str) -> Result<&'static Experiment, String> {
    let found = EXPERIMENTS.iter().find(|experiment| experiment.key == key);
    found.ok_or_else(|| {
        let keys: Vec<&str> = EXPERIMENTS.iter().map(|experiment| experiment.key).collect();
        format!("there is no experiment '{key}'; there are {}", keys.join(", "))
    })
}

/// The experiment that failovers are compared with.
pub(crate) fn floor() -> &'static Experiment {
    let [floor, ..] = &EXPERIMENTS;
    floor
}

/// All experiments. The floor is the first.
pub(crate) static EXPERIMENTS: [Experiment; 43] = [
    Experiment {
        key: "floor",
        title: "platform's floor: one raw slice PUT",
        method: "A Service without selector has one EndpointSlice with one address, written by hand; hotstandby has \
                 no part in it. The time counts from just before a PUT that names the other pod. Floor trials are spread evenly \
                 among all others, so that all run under the same conditions",
        goals: &[],
        trials: Trials { usual: 80, quick: 4 },
        procedure: Procedure::Floor { after_kill: false },
    },
    Experiment {
        key: "floor-kill",
        title: "the same, 15 ms after a kill",
        method: "The same raw PUT, 15 ms after SIGKILL to the container of the pod that was active: here the container \
                 runtime, the kubelets and the control plane share the processors, so that a killed container slows the \
                 platform itself down. The time counts from just before the PUT. It is a comparison only; no goal depends on it",
        goals: &[],
        trials: Trials { usual: 30, quick: 2 },
        procedure: Procedure::Floor { after_kill: true },
    },
    Experiment {
        key: "killed",
        title: "process killed",
        method: "SIGKILL to the main process of the active's container, from just before the signal. Default timing, TCP \
                 probe, three pods of an ordinary Deployment. A pod that was killed twice is replaced \
                 afterwards, because its container would go into back-off",
        goals: &[Goal::P50Ms(60.0), Goal::P99Ms(150.0), Goal::TimesFloor(1.5)],
        trials: Trials { usual: 100, quick: 4 },
        procedure: Procedure::Failover { fault: Fault::Kill, groups: PLAIN },
    },
    Experiment {
        key: "switchover",
        title: "switchover, by annotation",
        method: "The annotation `hotstandby.dev/switchover` is patched, from just before the patch is sent",
        goals: &[Goal::P99Ms(100.0), Goal::NoFailedRequest, Goal::TimesFloor(1.5)],
        trials: Trials { usual: 100, quick: 2 },
        procedure: Procedure::Failover { fault: Fault::Switchover, groups: PLAIN },
    },
    Experiment {
        key: "switchover-cli",
        title: "switchover, by command",
        method: "`hotstandby switchover NAME --to POD` is run, from just before the program starts. The time includes its start, \
                 its connection to the API server and its reading of the group",
        goals: &[Goal::P99Ms(100.0), Goal::NoFailedRequest],
        trials: Trials { usual: 20, quick: 2 },
        procedure: Procedure::Failover { fault: Fault::SwitchoverCommand, groups: PLAIN },
    },
    Experiment {
        key: "delete",
        title: "active deleted, app ends immediately",
        method: "The active pod is deleted, from just before the request; the app ends immediately on SIGTERM, and requests \
                 that reach it between its end and the switch fail",
        goals: &[Goal::P99Ms(100.0)],
        trials: Trials { usual: 30, quick: 2 },
        procedure: Procedure::Failover { fault: Fault::Delete, groups: PLAIN },
    },
    Experiment {
        key: "delete-linger",
        title: "active deleted, app accepts for 1.1 s more",
        method: "The same with an app that continues to accept for 1.1 s after SIGTERM, so that no request should fail",
        goals: &[Goal::NoFailedRequest],
        trials: Trials { usual: 30, quick: 2 },
        procedure: Procedure::Failover { fault: Fault::Delete, groups: LINGERING },
    },
    Experiment {
        key: "hang",
        title: "health page hangs, 3 × 100 ms",
        method: "The active's `/health` stops answering while `/` still answers, from just before the request that makes it hang. HTTP probe, \
                 period 100 ms, timeout 100 ms, threshold 3; faults are spread evenly over the period",
        goals: &[Goal::P99Ms(500.0)],
        trials: Trials { usual: 30, quick: 2 },
        procedure: Procedure::Failover { fault: Fault::Hang, groups: HEALTH_PROBE },
    },
    Experiment {
        key: "pointer-killed",
        title: "process killed, selector pointer",
        method: "Like process killed, but the Service has a selector, which hotstandby sets to name the active \
                 (`mode: SelectorPointer`): one patch of the Service, then Kubernetes' own endpoint controller writes the slice. Both \
                 writes are part of the stages traffic and platform",
        goals: &[Goal::TimesFloor(1.5)],
        trials: Trials { usual: 30, quick: 2 },
        procedure: Procedure::Failover { fault: Fault::Kill, groups: SELECTOR_POINTER },
    },
    Experiment {
        key: "pointer-switchover",
        title: "switchover, by annotation, selector pointer",
        method: "Like the switchover by annotation, with the selector pointer",
        goals: &[Goal::TimesFloor(1.5)],
        trials: Trials { usual: 30, quick: 2 },
        procedure: Procedure::Failover { fault: Fault::Switchover, groups: SELECTOR_POINTER },
    },
    Experiment {
        key: "label-killed",
        title: "process killed, role labels",
        method: "Like process killed, but the Service's selector asks for `role: active` (`roleLabel`): the label is removed from the \
                 old active and added to the new one. Kubernetes' endpoint controller writes the slice twice, and kube-proxy waits its \
                 second in between",
        goals: &[],
        trials: Trials { usual: 20, quick: 2 },
        procedure: Procedure::Failover { fault: Fault::Kill, groups: ROLE_LABELS },
    },
    Experiment {
        key: "label-switchover",
        title: "switchover, by annotation, role labels",
        method: "Like the switchover by annotation, with role labels",
        goals: &[],
        trials: Trials { usual: 20, quick: 2 },
        procedure: Procedure::Failover { fault: Fault::Switchover, groups: ROLE_LABELS },
    },
    Experiment {
        key: "node-off",
        title: "node powered off, default timing",
        method: "The active's node, on which no replica of hotstandby runs, loses its link and all processes, from just before. \
                 Period 1 s, timeout 500 ms, threshold 3 (the defaults), TCP probe; faults are spread evenly over the \
                 period. One power cut serves this row and the next, because two groups have their active on that node",
        goals: &[Goal::P99Ms(4000.0)],
        trials: Trials { usual: 20, quick: 1 },
        procedure: Procedure::PowerCut { victim: Victim::WithoutReplica, timing: ProbeTiming::Default },
    },
    Experiment {
        key: "node-off-fast",
        title: "node powered off, fast timing",
        method: "The same with period 200 ms, timeout 150 ms, threshold 3",
        goals: &[Goal::P99Ms(1000.0)],
        trials: Trials { usual: 20, quick: 1 },
        procedure: Procedure::PowerCut { victim: Victim::WithoutReplica, timing: ProbeTiming::Fast },
    },
    Experiment {
        key: "lead-off",
        title: "node of active and lead off, default timing",
        method: "Like node powered off, but the node also runs the replica of hotstandby that leads. The other replica has to take over first",
        goals: &[Goal::P99Ms(4200.0)],
        trials: Trials { usual: 10, quick: 1 },
        procedure: Procedure::PowerCut { victim: Victim::Lead, timing: ProbeTiming::Default },
    },
    Experiment {
        key: "lead-off-fast",
        title: "node of active and lead off, fast timing",
        method: "The same with fast timing",
        goals: &[Goal::P99Ms(1200.0)],
        trials: Trials { usual: 10, quick: 1 },
        procedure: Procedure::PowerCut { victim: Victim::Lead, timing: ProbeTiming::Fast },
    },
    Experiment {
        key: "lasting-kept",
        title: "nothing (`oldActive: Keep`)",
        method: "A switchover is requested by annotation; neither hotstandby nor the app ends the old active's connection",
        goals: &[],
        trials: Trials { usual: 3, quick: 1 },
        procedure: Procedure::Connection(Ending::Nothing),
    },
    Experiment {
        key: "lasting-deleted",
        title: "`oldActive: Delete`, app ends immediately",
        method: "The same with `oldActive: Delete`: hotstandby deletes the old active's pod, and the app ends immediately on SIGTERM",
        goals: &[],
        trials: Trials { usual: 20, quick: 1 },
        procedure: Procedure::Connection(Ending::PodDeleted),
    },
    Experiment {
        key: "lasting-notified",
        title: "notification by HTTP, app closes them; `order: Strict`",
        method: "The same with `order: Strict` and a notification by HTTP: the app closes its connections when it learns that it \
                 is a standby",
        goals: &[],
        trials: Trials { usual: 20, quick: 1 },
        procedure: Procedure::Connection(Ending::Notification),
    },
    migration("move-a-killed-before", Migration { system: A, node_off: false, with_hotstandby: false }),
    migration("move-a-killed-now", Migration { system: A, node_off: false, with_hotstandby: true }),
    migration("move-a-node-off-before", Migration { system: A, node_off: true, with_hotstandby: false }),
    migration("move-a-node-off-now", Migration { system: A, node_off: true, with_hotstandby: true }),
    migration("move-b-killed-before", Migration { system: B, node_off: false, with_hotstandby: false }),
    migration("move-b-killed-now", Migration { system: B, node_off: false, with_hotstandby: true }),
    migration("move-b-node-off-before", Migration { system: B, node_off: true, with_hotstandby: false }),
    migration("move-b-node-off-now", Migration { system: B, node_off: true, with_hotstandby: true }),
    migration("move-d-killed-before", Migration { system: D, node_off: false, with_hotstandby: false }),
    migration("move-d-killed-now", Migration { system: D, node_off: false, with_hotstandby: true }),
    migration("move-d-node-off-before", Migration { system: D, node_off: true, with_hotstandby: false }),
    migration("move-d-node-off-now", Migration { system: D, node_off: true, with_hotstandby: true }),
    // The start of the command, some milliseconds for the sample app, is part of what is measured.
    Experiment {
        goals: &[Goal::EachMs(100.0)],
        ..election(
            "await-release",
            "holder's pod deleted",
            Election { action: Release, gatekeeper: OwnWords, timing: Timing::USUAL },
        )
    },
    Experiment {
        goals: &[Goal::EachMs(100.0)],
        ..election(
            "await-release-fast",
            "holder's pod deleted",
            Election { action: Release, gatekeeper: OwnWords, timing: Timing::FASTEST },
        )
    },
    election(
        "await-release-old-rights",
        "the same without the right to watch",
        Election { action: Release, gatekeeper: OldWords, timing: Timing::USUAL },
    ),
    election(
        "await-release-client-go",
        "the same, client-go's election with release",
        Election { action: Release, gatekeeper: ReleasingElector, timing: Timing::USUAL },
    ),
    election(
        "await-crash",
        "holder stops without a release",
        Election { action: Crash, gatekeeper: OwnWords, timing: Timing::USUAL },
    ),
    Experiment {
        trials: Trials { usual: 10, quick: 1 },
        ..election(
            "await-crash-fast",
            "holder stops without a release",
            Election { action: Crash, gatekeeper: OwnWords, timing: Timing::FASTEST },
        )
    },
    election(
        "await-crash-client-go",
        "the same, client-go's election",
        Election { action: Crash, gatekeeper: ReleasingElector, timing: Timing::USUAL },
    ),
    election(
        "await-requests",
        "hotstandby-await",
        Election { action: CountRequests, gatekeeper: OwnWords, timing: Timing::USUAL },
    ),
    election(
        "await-requests-old-rights",
        "hotstandby-await without the right to watch",
        Election { action: CountRequests, gatekeeper: OldWords, timing: Timing::USUAL },
    ),
    election(
        "await-requests-client-go",
        "client-go's election",
        Election { action: CountRequests, gatekeeper: ReleasingElector, timing: Timing::USUAL },
    ),
    Experiment {
        goals: &[Goal::EachBytes(8 << 20)],
        ..election(
            "await-memory",
            "hotstandby-await",
            Election { action: ReadMemory, gatekeeper: OwnWords, timing: Timing::USUAL },
        )
    },
    election(
        "await-memory-client-go",
        "client-go's election",
        Election { action: ReadMemory, gatekeeper: ReleasingElector, timing: Timing::USUAL },
    ),
];

const fn migration(key: &'static str, migration: Migration) -> Experiment {
    let title = match migration.system {
        OlderSystem::A => "A, annotated Service",
        OlderSystem::B => "B, role labels and critical containers",
        OlderSystem::D => "D, health toggle (a pause of 10 s)",
    };
    let (method, usual) = match (migration.node_off, migration.with_hotstandby) {
        (false, false) => ("SIGKILL to the main process of the active's container, without hotstandby", 3),
        (false, true) => ("SIGKILL to the main process of the active's container, with hotstandby", 3),
        (true, false) => ("The active's node loses its link and all processes, without hotstandby", 1),
        (true, true) => ("The active's node loses its link and all processes, with hotstandby", 2),
    };
    let trials = Trials { usual, quick: 1 };
    Experiment { key, title, method, goals: &[], trials, procedure: Procedure::Migration(migration) }
}

const fn election(key: &'static str, title: &'static str, election: Election) -> Experiment {
    let (method, usual, quick) = match election.action {
        Release => (
            "The holder's pod is deleted: SIGTERM, the command ends immediately, and the Lease is released",
            10,
            2,
        ),
        Crash => (
            "All processes of the holder's container are stopped for good, so that nothing is released and nothing restarts",
            5,
            1,
        ),
        CountRequests => (
            "Requests for the Lease are counted for a minute with one member, and for a minute with three more",
            1,
            1,
        ),
        ReadMemory => ("The memory of a waiting member's container is read after at least 15 s", 4, 1),
    };
    let trials = Trials { usual, quick };
    Experiment { key, title, method, goals: &[], trials, procedure: Procedure::Gatekeeper(election) }
}

/// Default settings.
const PLAIN: SharedGroups = SharedGroups { name: "web", count: 3, rights: &[], scene: Scene::default };
/// The app continues to serve for a while after SIGTERM.
const LINGERING: SharedGroups =
    SharedGroups { name: "linger", count: 1, rights: &[], scene: || Scene::default().linger("1100ms") };
/// A fast HTTP probe.
const HEALTH_PROBE: SharedGroups =
    SharedGroups { name: "hang", count: 1, rights: &[], scene: || Scene::default().health("100ms", "100ms") };
/// The Service has a selector that names the active.
const SELECTOR_POINTER: SharedGroups = SharedGroups {
    name: "pointer",
    count: 2,
    rights: &["selector-pointer"],
    scene: || Scene::default().by_pointer(),
};
/// The Service selects the active by a role label.
const ROLE_LABELS: SharedGroups =
    SharedGroups { name: "label", count: 2, rights: &["role-labels"], scene: || Scene::default().by_label() };

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_experiment_has_a_key_of_its_own_a_title_a_method_and_goals_as_text() {
        let keys: BTreeSet<&str> = EXPERIMENTS.iter().map(|experiment| experiment.key).collect();
        assert_eq!(keys.len(), EXPERIMENTS.len());
        for experiment in &EXPERIMENTS {
            let Experiment { key, title, method, trials, .. } = experiment;
            assert!(key.chars().all(|char| char.is_ascii_lowercase() || char == '-'), "{key}");
            assert!(!title.is_empty() && !method.is_empty() && !method.ends_with('.'), "{key}");
            assert!((1..=trials.usual).contains(&trials.quick), "{key}: {trials:?}");
            let goals: BTreeSet<String> = experiment.goals.iter().map(|goal| goal.describe()).collect();
            assert!(goals.len() == experiment.goals.len() && !goals.contains(""), "{key}: {goals:?}");
        }
    }

    #[test]
    fn no_two_experiments_do_the_same() {
        for (place, one) in EXPERIMENTS.iter().enumerate() {
            let same = EXPERIMENTS[..place].iter().find(|other| other.procedure == one.procedure);
            assert!(same.is_none(), "{} does what {same:?} does", one.key);
        }
        assert!(floor().is_floor());
    }

    #[test]
    fn each_experiment_without_hotstandby_has_one_with_it() {
        for experiment in &EXPERIMENTS {
            let Procedure::Migration(migration) = experiment.procedure else { continue };
            let with_hotstandby = !migration.with_hotstandby;
            let counterpart = Procedure::Migration(Migration { with_hotstandby, ..migration });
            assert!(
                EXPERIMENTS.iter().any(|other| other.procedure == counterpart),
                "{} stands alone",
                experiment.key
            );
        }
    }
}
