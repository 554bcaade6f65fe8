//! What is measured, and what is aimed at.

use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Row {
    /// A raw write of a slice: what the platform itself needs.
    Floor,
    /// The same, just after a container was killed: what is left of the platform then.
    FloorKill,
    /// The active's process is killed.
    Killed,
    /// A planned move, by the annotation.
    Switchover,
    /// A planned move, by hotstandby's program.
    SwitchoverCli,
    /// The active is deleted and ends at once.
    Delete,
    /// The active is deleted and serves on for a while.
    DeleteLinger,
    /// The active's health page hangs.
    Hang,
    /// The active's process is killed, led by the selector pointer.
    PointerKilled,
    /// A planned move by annotation, led by the selector pointer.
    PointerSwitchover,
    /// The active's process is killed, led by role labels.
    LabelKilled,
    /// A planned move by annotation, led by role labels.
    LabelSwitchover,
    /// The active's node loses power, default timing.
    NodeOff,
    /// The same with fast timing.
    NodeOffFast,
    /// The node of both the active and the lead loses power, default timing.
    LeadOff,
    /// The same with fast timing.
    LeadOffFast,
}

/// What is aimed at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Goal {
    /// Median gap in milliseconds.
    P50(f64),
    /// Its 99th percentile; the maximum where there are fewer than 100 trials.
    P99(f64),
    /// No request may fail, in any trial.
    NoneFailed,
    /// Median gap as a multiple of the floor's.
    Floor(f64),
}

impl Goal {
    /// The goal in words.
    pub(super) fn words(self) -> String {
        match self {
            Self::P50(ms) => format!("p50 ≤ {ms} ms"),
            Self::P99(ms) => format!("p99 ≤ {ms} ms"),
            Self::NoneFailed => "0 failed requests".to_owned(),
            Self::Floor(times) => format!("p50 ≤ {times} × floor"),
        }
    }
}

impl Row {
    /// All of them, in the table's order.
    pub(super) const ALL: [Self; 16] = [
        Self::Floor,
        Self::FloorKill,
        Self::Killed,
        Self::Switchover,
        Self::SwitchoverCli,
        Self::Delete,
        Self::DeleteLinger,
        Self::Hang,
        Self::PointerKilled,
        Self::PointerSwitchover,
        Self::LabelKilled,
        Self::LabelSwitchover,
        Self::NodeOff,
        Self::NodeOffFast,
        Self::LeadOff,
        Self::LeadOffFast,
    ];

    /// Its name on the command line.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::FloorKill => "floor-kill",
            Self::Killed => "killed",
            Self::Switchover => "switchover",
            Self::SwitchoverCli => "switchover-cli",
            Self::Delete => "delete",
            Self::DeleteLinger => "delete-linger",
            Self::Hang => "hang",
            Self::PointerKilled => "pointer-killed",
            Self::PointerSwitchover => "pointer-switchover",
            Self::LabelKilled => "label-killed",
            Self::LabelSwitchover => "label-switchover",
            Self::NodeOff => "node-off",
            Self::NodeOffFast => "node-off-fast",
            Self::LeadOff => "lead-off",
            Self::LeadOffFast => "lead-off-fast",
        }
    }

    /// Its name in the table.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Floor => "platform's floor: one raw slice PUT",
            Self::FloorKill => "the same, 15 ms after a kill",
            Self::Killed => "process killed",
            Self::Switchover => "switchover, by annotation",
            Self::SwitchoverCli => "switchover, by the program",
            Self::Delete => "active deleted, app ends at once",
            Self::DeleteLinger => "active deleted, app accepts for 1.1 s more",
            Self::Hang => "health page hangs, 3 × 100 ms",
            Self::PointerKilled => "process killed, selector pointer",
            Self::PointerSwitchover => "switchover, by annotation, selector pointer",
            Self::LabelKilled => "process killed, role labels",
            Self::LabelSwitchover => "switchover, by annotation, role labels",
            Self::NodeOff => "node powered off, default timing",
            Self::NodeOffFast => "node powered off, fast timing",
            Self::LeadOff => "node of active and lead off, default timing",
            Self::LeadOffFast => "node of active and lead off, fast timing",
        }
    }

    /// How it is measured: from where to where, and what was arranged.
    pub(super) fn how(self) -> &'static str {
        match self {
            Self::Floor => {
                "A Service without selector has one EndpointSlice with one address, written by hand; hotstandby has \
                 nothing to do with it. From just before a PUT that names the other pod. Floor trials are spread evenly \
                 among all others, so that they see the same machine"
            }
            Self::FloorKill => {
                "The same raw PUT, 15 ms after SIGKILL to the container of the pod that it leads away from: here the container \
                 runtime, the kubelets and the control plane share the processors, so that a killed container slows the \
                 platform itself down. From just before the PUT. It is told for comparison; no goal is judged by it"
            }
            Self::Killed => {
                "SIGKILL to the main process of the active's container, from just before the signal. Default timing, TCP \
                 probe, three pods of a Deployment to which nothing was added. A pod that was killed twice is replaced \
                 afterwards, since its container would go into back-off"
            }
            Self::Switchover => {
                "The annotation `hotstandby.dev/switchover` is patched, from just before the patch is sent"
            }
            Self::SwitchoverCli => {
                "`hotstandby switchover NAME --to POD` is run, from just before the program is started; so its start, its \
                 connection to the API server and its reading of the group are part of the time"
            }
            Self::Delete => {
                "The active pod is deleted, from just before the request; the app ends at once on SIGTERM, and what hits \
                 it between its end and the switch fails"
            }
            Self::DeleteLinger => {
                "The same with an app that goes on accepting for 1.1 s after SIGTERM; what counts is that no request fails"
            }
            Self::Hang => {
                "The active's `/health` stops answering while `/` goes on, from just before the app is told. HTTP probe, \
                 period 100 ms, timeout 100 ms, threshold 3; faults are spread evenly over the period"
            }
            Self::PointerKilled => {
                "Like process killed, but the Service has a selector, which is made to name the active \
                 (`mode: SelectorPointer`): one patch of the Service, then Kubernetes' own endpoint controller writes the slice. Both \
                 are in the stages traffic and platform"
            }
            Self::PointerSwitchover => "Like the switchover by annotation, led by the selector pointer",
            Self::LabelKilled => {
                "Like process killed, but the Service's selector asks for `role: active` (`roleLabel`): the label is taken from the \
                 old one and given to the new one, so that Kubernetes' endpoint controller writes the slice twice and kube-proxy's \
                 second lies in between"
            }
            Self::LabelSwitchover => "Like the switchover by annotation, led by role labels",
            Self::NodeOff => {
                "Link and all processes of the active's node die, where no replica of hotstandby runs, from just before. \
                 Period 1 s, timeout 500 ms, threshold 3 (the defaults), TCP probe; faults are spread evenly over the \
                 period. One power cut serves this row and the next: two groups have their active on that node"
            }
            Self::NodeOffFast => "The same with period 200 ms, timeout 150 ms, threshold 3",
            Self::LeadOff => {
                "Like node powered off, but it is the node of hotstandby's lead. The other replica has to take over first"
            }
            Self::LeadOffFast => "The same with fast timing",
        }
    }

    /// What is aimed at.
    pub(super) fn goals(self) -> &'static [Goal] {
        match self {
            Self::Floor | Self::FloorKill | Self::LabelKilled | Self::LabelSwitchover => &[],
            Self::Killed => &[Goal::P50(60.0), Goal::P99(150.0), Goal::Floor(1.5)],
            Self::Switchover => &[Goal::P99(100.0), Goal::NoneFailed, Goal::Floor(1.5)],
            Self::SwitchoverCli => &[Goal::P99(100.0), Goal::NoneFailed],
            Self::Delete => &[Goal::P99(100.0)],
            Self::DeleteLinger => &[Goal::NoneFailed],
            Self::Hang => &[Goal::P99(500.0)],
            Self::PointerKilled | Self::PointerSwitchover => &[Goal::Floor(1.5)],
            Self::NodeOff => &[Goal::P99(4000.0)],
            Self::NodeOffFast => &[Goal::P99(1000.0)],
            Self::LeadOff => &[Goal::P99(4200.0)],
            Self::LeadOffFast => &[Goal::P99(1200.0)],
        }
    }

    /// How often, if nothing else is said.
    pub(super) fn usual_trials(self) -> usize {
        match self {
            Self::Killed | Self::Switchover => 100,
            Self::Floor => 80,
            Self::FloorKill
            | Self::Delete
            | Self::DeleteLinger
            | Self::Hang
            | Self::PointerKilled
            | Self::PointerSwitchover => 30,
            Self::LabelKilled
            | Self::LabelSwitchover
            | Self::SwitchoverCli
            | Self::NodeOff
            | Self::NodeOffFast => 20,
            Self::LeadOff | Self::LeadOffFast => 10,
        }
    }

    /// How often for a quick look.
    pub(super) fn quick_trials(self) -> usize {
        match self {
            Self::Floor | Self::Killed => 4,
            Self::FloorKill
            | Self::Switchover
            | Self::SwitchoverCli
            | Self::Delete
            | Self::DeleteLinger
            | Self::Hang
            | Self::PointerKilled
            | Self::PointerSwitchover
            | Self::LabelKilled
            | Self::LabelSwitchover => 2,
            Self::NodeOff | Self::NodeOffFast | Self::LeadOff | Self::LeadOffFast => 1,
        }
    }

    /// After how long a trial without an answer by another pod is over.
    pub(super) fn limit(self) -> Duration {
        Duration::from_secs(if self.cuts_power() { 20 } else { 10 })
    }

    /// Whether a node loses power for it.
    pub(super) fn cuts_power(self) -> bool {
        matches!(self, Self::NodeOff | Self::NodeOffFast | Self::LeadOff | Self::LeadOffFast)
    }

    /// The probe's period, where the fault's moment in it matters.
    pub(super) fn period(self) -> Duration {
        Duration::from_millis(match self {
            Self::Hang => 100,
            Self::NodeOff | Self::NodeOffFast | Self::LeadOff | Self::LeadOffFast => 1000,
            // At least the client's.
            _ => 5,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_rows_are_the_same_everywhere() {
        for row in Row::ALL {
            assert_eq!(row.to_possible_value().unwrap().get_name(), row.key());
            assert_eq!(serde_json::to_value(row).unwrap(), row.key());
        }
        assert_eq!(Row::ALL.as_slice(), Row::value_variants());
    }
}
