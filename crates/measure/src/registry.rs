//! All experiments, in the order in which tables show them.

use hotstandby_e2e::gatekeeper::scene::{Gatekeeper, Timing};

use crate::experiment::{
    Controller, Election, ElectionAction, Ending, Experiment, Fault, Groups, Migration, MigrationFault,
    OlderSystem, ProbeTiming, Procedure, Trials, Victim,
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
                 nothing to do with it. From just before a PUT that names the other pod. Floor trials are spread evenly \
                 among all others, so that they see the same machine",
        goals: &[],
        trials: Trials { usual: 80, quick: 4 },
        procedure: Procedure::Floor { after_kill: false },
    },
    Experiment {
        key: "floor-kill",
        title: "the same, 15 ms after a kill",
        method: "The same raw PUT, 15 ms after SIGKILL to the container of the pod that it leads away from: here the container \
                 runtime, the kubelets and the control plane share the processors, so that a killed container slows the \
                 platform itself down. From just before the PUT. It is told for comparison; no goal is judged by it",
        goals: &[],
        trials: Trials { usual: 30, quick: 2 },
        procedure: Procedure::Floor { after_kill: true },
    },
    Experiment {
        key: "killed",
        title: "process killed",
        method: "SIGKILL to the main process of the active's container, from just before the signal. Default timing, TCP \
                 probe, three pods of a Deployment to which nothing was added. A pod that was killed twice is replaced \
                 afterwards, since its container would go into back-off",
        goals: &[Goal::P50Ms(60.0), Goal::P99Ms(150.0), Goal::TimesFloor(1.5)],
        trials: Trials { usual: 100, quick: 4 },
        procedure: Procedure::Failover { fault: Fault::Kill, groups: Groups::Plain },
    },
    Experiment {
        key: "switchover",
        title: "switchover, by annotation",
        method: "The annotation `hotstandby.dev/switchover` is patched, from just before the patch is sent",
        goals: &[Goal::P99Ms(100.0), Goal::NoFailedRequest, Goal::TimesFloor(1.5)],
        trials: Trials { usual: 100, quick: 2 },
        procedure: Procedure::Failover { fault: Fault::Switchover, groups: Groups::Plain },
    },
    Experiment {
        key: "switchover-cli",
        title: "switchover, by the program",
        method: "`hotstandby switchover NAME --to POD` is run, from just before the program is started; so its start, its \
                 connection to the API server and its reading of the group are part of the time",
        goals: &[Goal::P99Ms(100.0), Goal::NoFailedRequest],
        trials: Trials { usual: 20, quick: 2 },
        procedure: Procedure::Failover { fault: Fault::SwitchoverCommand, groups: Groups::Plain },
    },
    Experiment {
        key: "delete",
        title: "active deleted, app ends at once",
        method: "The active pod is deleted, from just before the request; the app ends at once on SIGTERM, and what hits \
                 it between its end and the switch fails",
        goals: &[Goal::P99Ms(100.0)],
        trials: Trials { usual: 30, quick: 2 },
        procedure: Procedure::Failover { fault: Fault::Delete, groups: Groups::Plain },
    },
    Experiment {
        key: "delete-linger",
        title: "active deleted, app accepts for 1.1 s more",
        method: "The same with an app that goes on accepting for 1.1 s after SIGTERM; what counts is that no request fails",
        goals: &[Goal::NoFailedRequest],
        trials: Trials { usual: 30, quick: 2 },
        procedure: Procedure::Failover { fault: Fault::Delete, groups: Groups::Lingering },
    },
    Experiment {
        key: "hang",
        title: "health page hangs, 3 × 100 ms",
        method: "The active's `/health` stops answering while `/` goes on, from just before the app is told. HTTP probe, \
                 period 100 ms, timeout 100 ms, threshold 3; faults are spread evenly over the period",
        goals: &[Goal::P99Ms(500.0)],
        trials: Trials { usual: 30, quick: 2 },
        procedure: Procedure::Failover { fault: Fault::Hang, groups: Groups::HealthProbe },
    },
    Experiment {
        key: "pointer-killed",
        title: "process killed, selector pointer",
        method: "Like process killed, but the Service has a selector, which is made to name the active \
                 (`mode: SelectorPointer`): one patch of the Service, then Kubernetes' own endpoint controller writes the slice. Both \
                 are in the stages traffic and platform",
        goals: &[Goal::TimesFloor(1.5)],
        trials: Trials { usual: 30, quick: 2 },
        procedure: Procedure::Failover { fault: Fault::Kill, groups: Groups::SelectorPointer },
    },
    Experiment {
        key: "pointer-switchover",
        title: "switchover, by annotation, selector pointer",
        method: "Like the switchover by annotation, led by the selector pointer",
        goals: &[Goal::TimesFloor(1.5)],
        trials: Trials { usual: 30, quick: 2 },
        procedure: Procedure::Failover { fault: Fault::Switchover, groups: Groups::SelectorPointer },
    },
    Experiment {
        key: "label-killed",
        title: "process killed, role labels",
        method: "Like process killed, but the Service's selector asks for `role: active` (`roleLabel`): the label is taken from the \
                 old one and given to the new one, so that Kubernetes' endpoint controller writes the slice twice and kube-proxy's \
                 second lies in between",
        goals: &[],
        trials: Trials { usual: 20, quick: 2 },
        procedure: Procedure::Failover { fault: Fault::Kill, groups: Groups::RoleLabels },
    },
    Experiment {
        key: "label-switchover",
        title: "switchover, by annotation, role labels",
        method: "Like the switchover by annotation, led by role labels",
        goals: &[],
        trials: Trials { usual: 20, quick: 2 },
        procedure: Procedure::Failover { fault: Fault::Switchover, groups: Groups::RoleLabels },
    },
    Experiment {
        key: "node-off",
        title: "node powered off, default timing",
        method: "Link and all processes of the active's node die, where no replica of hotstandby runs, from just before. \
                 Period 1 s, timeout 500 ms, threshold 3 (the defaults), TCP probe; faults are spread evenly over the \
                 period. One power cut serves this row and the next: two groups have their active on that node",
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
        method: "Like node powered off, but it is the node of hotstandby's lead. The other replica has to take over first",
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
        title: "`oldActive: Delete`, app ends at once",
        method: "The same with `oldActive: Delete`: hotstandby deletes the old active's pod, and the app ends at once on SIGTERM",
        goals: &[],
        trials: Trials { usual: 20, quick: 1 },
        procedure: Procedure::Connection(Ending::PodDeleted),
    },
    Experiment {
        key: "lasting-notified",
        title: "notice by HTTP, app closes them; `order: Strict`",
        method: "The same with `order: Strict` and a notification by HTTP: the app closes its connections when it learns that it \
                 is a standby",
        goals: &[],
        trials: Trials { usual: 20, quick: 1 },
        procedure: Procedure::Connection(Ending::Notification),
    },
    migration("move-a-killed-before", OlderSystem::A, MigrationFault::Killed, Controller::Older),
    migration("move-a-killed-now", OlderSystem::A, MigrationFault::Killed, Controller::Hotstandby),
    migration("move-a-node-off-before", OlderSystem::A, MigrationFault::NodeOff, Controller::Older),
    migration("move-a-node-off-now", OlderSystem::A, MigrationFault::NodeOff, Controller::Hotstandby),
    migration("move-b-killed-before", OlderSystem::B, MigrationFault::Killed, Controller::Older),
    migration("move-b-killed-now", OlderSystem::B, MigrationFault::Killed, Controller::Hotstandby),
    migration("move-b-node-off-before", OlderSystem::B, MigrationFault::NodeOff, Controller::Older),
    migration("move-b-node-off-now", OlderSystem::B, MigrationFault::NodeOff, Controller::Hotstandby),
    migration("move-d-killed-before", OlderSystem::D, MigrationFault::Killed, Controller::Older),
    migration("move-d-killed-now", OlderSystem::D, MigrationFault::Killed, Controller::Hotstandby),
    migration("move-d-node-off-before", OlderSystem::D, MigrationFault::NodeOff, Controller::Older),
    migration("move-d-node-off-now", OlderSystem::D, MigrationFault::NodeOff, Controller::Hotstandby),
    Experiment {
        // The start of the command, some milliseconds for the sample app, is part of what is measured.
        goals: &[Goal::EachMs(100.0)],
        ..release("await-release", "holder's pod deleted", Gatekeeper::OwnWords, Timing::USUAL)
    },
    Experiment {
        goals: &[Goal::EachMs(100.0)],
        ..release("await-release-fast", "holder's pod deleted", Gatekeeper::OwnWords, Timing::FASTEST)
    },
    release(
        "await-release-old-rights",
        "the same without the right to watch",
        Gatekeeper::OldWords,
        Timing::USUAL,
    ),
    release(
        "await-release-client-go",
        "the same, client-go's election with release",
        Gatekeeper::ReleasingElector,
        Timing::USUAL,
    ),
    crash("await-crash", "holder vanishes without a word", Gatekeeper::OwnWords, Timing::USUAL),
    Experiment {
        trials: Trials { usual: 10, quick: 1 },
        ..crash("await-crash-fast", "holder vanishes without a word", Gatekeeper::OwnWords, Timing::FASTEST)
    },
    crash(
        "await-crash-client-go",
        "the same, client-go's election",
        Gatekeeper::ReleasingElector,
        Timing::USUAL,
    ),
    requests("await-requests", "hotstandby-await", Gatekeeper::OwnWords),
    requests(
        "await-requests-old-rights",
        "hotstandby-await without the right to watch",
        Gatekeeper::OldWords,
    ),
    requests("await-requests-client-go", "client-go's election", Gatekeeper::ReleasingElector),
    Experiment {
        goals: &[Goal::EachBytes(8 << 20)],
        ..memory("await-memory", "hotstandby-await", Gatekeeper::OwnWords)
    },
    memory("await-memory-client-go", "client-go's election", Gatekeeper::ReleasingElector),
];

const fn migration(
    key: &'static str,
    system: OlderSystem,
    fault: MigrationFault,
    controller: Controller,
) -> Experiment {
    let title = match system {
        OlderSystem::A => "A, annotated Service",
        OlderSystem::B => "B, role labels and critical containers",
        OlderSystem::D => "D, health toggle (a pause of 10 s)",
    };
    let (method, usual) = match (fault, controller) {
        (MigrationFault::Killed, Controller::Older) => {
            ("SIGKILL to the main process of the active's container, without hotstandby", 3)
        }
        (MigrationFault::Killed, Controller::Hotstandby) => {
            ("SIGKILL to the main process of the active's container, with hotstandby", 3)
        }
        (MigrationFault::NodeOff, Controller::Older) => {
            ("Link and all processes of the active's node die, without hotstandby", 1)
        }
        (MigrationFault::NodeOff, Controller::Hotstandby) => {
            ("Link and all processes of the active's node die, with hotstandby", 2)
        }
    };
    Experiment {
        key,
        title,
        method,
        goals: &[],
        trials: Trials { usual, quick: 1 },
        procedure: Procedure::Migration(Migration { system, fault, controller }),
    }
}

const fn release(
    key: &'static str,
    title: &'static str,
    gatekeeper: Gatekeeper,
    timing: Timing,
) -> Experiment {
    Experiment {
        key,
        title,
        method: "The holder's pod is deleted: SIGTERM, the command ends at once, and the Lease is released",
        goals: &[],
        trials: Trials { usual: 10, quick: 2 },
        procedure: Procedure::Gatekeeper(Election { action: ElectionAction::Release, gatekeeper, timing }),
    }
}

const fn crash(key: &'static str, title: &'static str, gatekeeper: Gatekeeper, timing: Timing) -> Experiment {
    Experiment {
        key,
        title,
        method: "All processes of the holder's container are stopped for good, so that nothing is released and nothing restarts",
        goals: &[],
        trials: Trials { usual: 5, quick: 1 },
        procedure: Procedure::Gatekeeper(Election { action: ElectionAction::Crash, gatekeeper, timing }),
    }
}

const fn requests(key: &'static str, title: &'static str, gatekeeper: Gatekeeper) -> Experiment {
    let (action, timing) = (ElectionAction::CountRequests, Timing::USUAL);
    Experiment {
        key,
        title,
        method: "Requests for the Lease are counted for a minute with one member, and for a minute with three more",
        goals: &[],
        trials: Trials { usual: 1, quick: 1 },
        procedure: Procedure::Gatekeeper(Election { action, gatekeeper, timing }),
    }
}

const fn memory(key: &'static str, title: &'static str, gatekeeper: Gatekeeper) -> Experiment {
    let (action, timing) = (ElectionAction::ReadMemory, Timing::USUAL);
    Experiment {
        key,
        title,
        method: "The memory of a waiting member's container is read after at least 15 s",
        goals: &[],
        trials: Trials { usual: 4, quick: 1 },
        procedure: Procedure::Gatekeeper(Election { action, gatekeeper, timing }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_experiment_has_a_key_of_its_own_a_title_a_method_and_goals_in_words() {
        let keys: BTreeSet<&str> = EXPERIMENTS.iter().map(|experiment| experiment.key).collect();
        assert_eq!(keys.len(), EXPERIMENTS.len());
        for experiment in &EXPERIMENTS {
            let Experiment { key, title, method, trials, .. } = experiment;
            assert!(key.chars().all(|char| char.is_ascii_lowercase() || char == '-'), "{key}");
            assert!(!title.is_empty() && !method.is_empty() && !method.ends_with('.'), "{key}");
            assert!((1..=trials.usual).contains(&trials.quick), "{key}: {trials:?}");
            let words: BTreeSet<String> = experiment.goals.iter().map(|goal| goal.words()).collect();
            assert!(words.len() == experiment.goals.len() && !words.contains(""), "{key}: {words:?}");
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
            let controller = match migration.controller {
                Controller::Older => Controller::Hotstandby,
                Controller::Hotstandby => Controller::Older,
            };
            let counterpart = Procedure::Migration(Migration { controller, ..migration });
            assert!(
                EXPERIMENTS.iter().any(|other| other.procedure == counterpart),
                "{} stands alone",
                experiment.key
            );
        }
    }
}
