//! What a run leaves behind: conditions and every sample, as JSON.

use serde::{Deserialize, Serialize};

use super::keeper::KeeperSample;
use super::lasting::LastingSample;
use super::moves::MoveSample;
use super::row::Row;

/// The parts of a gap, in their order. What a stage holds is told in [`Stages`].
pub(super) const STAGES: [&str; 6] = ["notice", "detect", "decide", "seat", "traffic", "platform"];

/// A whole run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Run {
    /// Where and when.
    pub(super) conditions: Conditions,
    /// Every trial, in order.
    pub(super) samples: Vec<Sample>,
    /// Every trial of the gatekeeper; runs before there was one have none.
    #[serde(default)]
    pub(super) gatekeeper: Vec<KeeperSample>,
    /// Every trial of connections that last.
    #[serde(default)]
    pub(super) lasting: Vec<LastingSample>,
    /// Every trial of users' manifests.
    #[serde(default)]
    pub(super) moves: Vec<MoveSample>,
    /// Conditions of further runs whose samples were put to these.
    #[serde(default)]
    pub(super) further: Vec<Conditions>,
}

impl Run {
    /// This run with another's samples.
    pub(super) fn with(mut self, other: Self) -> Self {
        self.samples.extend(other.samples);
        self.gatekeeper.extend(other.gatekeeper);
        self.lasting.extend(other.lasting);
        self.moves.extend(other.moves);
        self.further.push(other.conditions);
        self.further.extend(other.further);
        self
    }
}

/// Where and when a run took place.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Conditions {
    /// Start, RFC 3339.
    pub(super) started: String,
    /// How long it took, in seconds.
    pub(super) took_s: f64,
    /// The commit, with a mark if the tree had changes.
    pub(super) commit: String,
    /// The CPU's name.
    pub(super) cpu: String,
    /// How many CPUs this machine has.
    pub(super) cores: usize,
    /// Memory in GiB.
    pub(super) memory_gib: f64,
    /// The kernel's version.
    pub(super) kernel: String,
    /// The API server's version.
    pub(super) kubernetes: String,
    /// kube-proxy's mode, as it says itself.
    pub(super) proxy_mode: String,
    /// kube-proxy's minimum sync period, as it says itself.
    pub(super) proxy_min_sync: String,
    /// How many nodes.
    pub(super) nodes: usize,
    /// 1, 5 and 15 minutes before.
    pub(super) load_before: String,
    /// 1, 5 and 15 minutes after.
    pub(super) load_after: String,
    /// What was typed.
    pub(super) command: String,
}

/// One trial.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Sample {
    /// Which row.
    pub(super) row: Row,
    /// Seconds since the run's start.
    pub(super) at_s: f64,
    /// How it went.
    pub(super) outcome: Outcome,
}

/// How a trial went.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub(super) enum Outcome {
    /// Another pod answered.
    Seen(Box<Seen>),
    /// No other pod answered within the limit.
    NoAnswer {
        /// The limit.
        limit_ms: f64,
        /// Requests that failed meanwhile.
        failed: u64,
    },
    /// It says nothing about what was to be measured.
    Invalid {
        /// Why.
        reason: String,
    },
}

/// What the client saw, and what hotstandby said of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// From the fault to the end of the first whole answer by another pod.
    pub(super) gap_ms: f64,
    /// From the fault to the start of that request.
    pub(super) open_ms: f64,
    /// From the start of the first request that failed to the end of the first that was answered after it.
    pub(super) outage_ms: f64,
    /// Requests that ended after the fault without an answer.
    pub(super) failed: u64,
    /// Requests that were started after the new pod's first answer and were answered by the old one.
    pub(super) doubled: u64,
    /// Who was active.
    pub(super) from: String,
    /// Who answered.
    pub(super) to: String,
    /// The client's node.
    pub(super) client_node: String,
    /// The term of the change; 0 where hotstandby had no part.
    pub(super) term: i64,
    /// The reason hotstandby gave.
    pub(super) reason: String,
    /// Where the time went.
    pub(super) stages: Option<Stages>,
}

/// Where the time of a gap went, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Stages {
    /// From the fault to the first sign of it at hotstandby.
    pub(super) notice: f64,
    /// From the first sign to the proof.
    pub(super) detect: f64,
    /// From the proof to the sending of the seat's write.
    pub(super) decide: f64,
    /// The seat's write.
    pub(super) seat: f64,
    /// The slice's write.
    pub(super) traffic: f64,
    /// From the slice's write to the end of the first answer: watch, kube-proxy, nftables, and the client's period.
    pub(super) platform: f64,
}

impl Stages {
    /// In the order of [`STAGES`].
    pub(super) fn all(&self) -> [f64; 6] {
        let Self { notice, detect, decide, seat, traffic, platform } = *self;
        [notice, detect, decide, seat, traffic, platform]
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::keeper::KeeperOutcome;
    use super::super::keeper_row::KeeperRow;
    use super::*;

    pub(in super::super) fn staged(row: Row, stages: Stages) -> Sample {
        let gap_ms = stages.all().iter().sum();
        let seen = Seen { gap_ms, stages: Some(stages), ..Seen::default() };
        Sample { row, at_s: 0.0, outcome: Outcome::Seen(Box::new(seen)) }
    }

    pub(in super::super) fn seen(row: Row, gap_ms: f64) -> Sample {
        let seen = Seen { gap_ms, ..Seen::default() };
        Sample { row, at_s: 0.0, outcome: Outcome::Seen(Box::new(seen)) }
    }

    pub(in super::super) fn never(row: Row) -> Sample {
        Sample { row, at_s: 0.0, outcome: Outcome::NoAnswer { limit_ms: 1000.0, failed: 3 } }
    }

    pub(in super::super) fn invalid(row: Row, reason: &str) -> Sample {
        Sample { row, at_s: 0.0, outcome: Outcome::Invalid { reason: reason.to_owned() } }
    }

    #[test]
    fn a_run_is_read_back_as_it_was_written() {
        let run = Run {
            conditions: Conditions { cores: 2, ..Conditions::default() },
            samples: vec![seen(Row::Killed, 50.5), never(Row::Hang), invalid(Row::NodeOff, "why")],
            gatekeeper: vec![KeeperSample {
                row: KeeperRow::AwaitCrash,
                outcome: KeeperOutcome::Gap { ms: 2.5 },
            }],
            lasting: Vec::new(),
            moves: Vec::new(),
            further: vec![Conditions { cores: 4, ..Conditions::default() }],
        };
        let text = serde_json::to_string(&run).unwrap();
        let back: Run = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
    }
}
