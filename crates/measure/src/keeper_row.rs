//! What is measured of the gatekeeper. Unlike the other rows, nothing here is seen through a Service: the command itself
//! notes when it lives.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use hotstandby_e2e::gatekeeper::scene::{Gatekeeper, Timing};

/// One row of the gatekeeper's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
// On the command line and in files these names stand beside those of the other rows.
#[allow(clippy::enum_variant_names)]
pub(super) enum KeeperRow {
    /// The holder's pod is deleted.
    AwaitRelease,
    /// The same with the shortest lease.
    AwaitReleaseFast,
    /// The same with no right to watch, as users of the old gatekeeper have it.
    AwaitReleaseOldRights,
    /// The same with client-go's election, which releases.
    AwaitReleaseClientGo,
    /// The holder vanishes without a word.
    AwaitCrash,
    /// The same with the shortest lease.
    AwaitCrashFast,
    /// The same with client-go's election.
    AwaitCrashClientGo,
    /// Requests of members in a minute.
    AwaitRequests,
    /// The same with no right to watch.
    AwaitRequestsOldRights,
    /// The same with client-go's election.
    AwaitRequestsClientGo,
    /// What a waiting member weighs.
    AwaitMemory,
    /// The same with client-go's election.
    AwaitMemoryClientGo,
}

/// What a row does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// Deletes the pod.
    Release,
    /// Stops all of the pod's processes for good.
    Crash,
    /// Counts.
    Count,
    /// Weighs.
    Weigh,
}

impl KeeperRow {
    /// All of them, in the tables' order.
    pub(super) const ALL: [Self; 12] = [
        Self::AwaitRelease,
        Self::AwaitReleaseFast,
        Self::AwaitReleaseOldRights,
        Self::AwaitReleaseClientGo,
        Self::AwaitCrash,
        Self::AwaitCrashFast,
        Self::AwaitCrashClientGo,
        Self::AwaitRequests,
        Self::AwaitRequestsOldRights,
        Self::AwaitRequestsClientGo,
        Self::AwaitMemory,
        Self::AwaitMemoryClientGo,
    ];

    /// Its name on the command line.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::AwaitRelease => "await-release",
            Self::AwaitReleaseFast => "await-release-fast",
            Self::AwaitReleaseOldRights => "await-release-old-rights",
            Self::AwaitReleaseClientGo => "await-release-client-go",
            Self::AwaitCrash => "await-crash",
            Self::AwaitCrashFast => "await-crash-fast",
            Self::AwaitCrashClientGo => "await-crash-client-go",
            Self::AwaitRequests => "await-requests",
            Self::AwaitRequestsOldRights => "await-requests-old-rights",
            Self::AwaitRequestsClientGo => "await-requests-client-go",
            Self::AwaitMemory => "await-memory",
            Self::AwaitMemoryClientGo => "await-memory-client-go",
        }
    }

    /// Its name in the table.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::AwaitRelease | Self::AwaitReleaseFast => "holder's pod deleted",
            Self::AwaitReleaseOldRights => "the same without the right to watch",
            Self::AwaitReleaseClientGo => "the same, client-go's election with release",
            Self::AwaitCrash | Self::AwaitCrashFast => "holder vanishes without a word",
            Self::AwaitCrashClientGo => "the same, client-go's election",
            Self::AwaitRequests | Self::AwaitMemory => "hotstandby-await",
            Self::AwaitRequestsOldRights => "hotstandby-await without the right to watch",
            Self::AwaitRequestsClientGo | Self::AwaitMemoryClientGo => "client-go's election",
        }
    }

    /// What it does.
    pub(super) fn deed(self) -> Deed {
        match self {
            Self::AwaitRelease
            | Self::AwaitReleaseFast
            | Self::AwaitReleaseOldRights
            | Self::AwaitReleaseClientGo => Deed::Release,
            Self::AwaitCrash | Self::AwaitCrashFast | Self::AwaitCrashClientGo => Deed::Crash,
            Self::AwaitRequests | Self::AwaitRequestsOldRights | Self::AwaitRequestsClientGo => Deed::Count,
            Self::AwaitMemory | Self::AwaitMemoryClientGo => Deed::Weigh,
        }
    }

    /// Which gatekeeper.
    pub(super) fn gatekeeper(self) -> Gatekeeper {
        match self {
            Self::AwaitReleaseOldRights | Self::AwaitRequestsOldRights => Gatekeeper::OldWords,
            Self::AwaitReleaseClientGo
            | Self::AwaitCrashClientGo
            | Self::AwaitRequestsClientGo
            | Self::AwaitMemoryClientGo => Gatekeeper::ReleasingElector,
            _ => Gatekeeper::OwnWords,
        }
    }

    /// The lease's timing.
    pub(super) fn timing(self) -> Timing {
        match self {
            Self::AwaitReleaseFast | Self::AwaitCrashFast => Timing::FASTEST,
            _ => Timing::USUAL,
        }
    }

    /// The timing as one writes it.
    pub(super) fn lease(self) -> &'static str {
        if self.timing() == Timing::FASTEST { "1 s / 600 ms / 200 ms" } else { "15 / 10 / 2 s" }
    }

    /// The goal for every trial, in milliseconds.
    pub(super) fn goal_ms(self) -> Option<f64> {
        // The start of the command, some milliseconds for the sample app, is part of what is measured.
        matches!(self, Self::AwaitRelease | Self::AwaitReleaseFast).then_some(100.0)
    }

    /// The most that may be resident, and the most the program's file may have, in bytes.
    pub(super) fn goal_bytes(self) -> Option<u64> {
        (self == Self::AwaitMemory).then_some(8 << 20)
    }

    /// How often, if nothing else is said.
    pub(super) fn usual_trials(self) -> usize {
        match self.deed() {
            Deed::Release => 10,
            Deed::Crash if self.timing() == Timing::FASTEST => 10,
            Deed::Crash => 5,
            Deed::Weigh => 4,
            Deed::Count => 1,
        }
    }

    /// How often for a quick look.
    pub(super) fn quick_trials(self) -> usize {
        match self.deed() {
            Deed::Release => 2,
            Deed::Crash | Deed::Count | Deed::Weigh => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_rows_are_the_same_everywhere() {
        for row in KeeperRow::ALL {
            assert_eq!(row.to_possible_value().unwrap().get_name(), row.key());
            assert_eq!(serde_json::to_value(row).unwrap(), row.key());
        }
        assert_eq!(KeeperRow::ALL.as_slice(), KeeperRow::value_variants());
    }
}
