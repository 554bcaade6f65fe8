//! What a run leaves behind: its conditions and every sample, as JSON.

use std::fmt::Write as _;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::experiment::Experiment;
use crate::registry;

/// The parts of a failover's gap, in their order. [`Stages`] describes them.
pub(crate) const STAGES: [&str; 6] = ["notice", "detect", "decide", "seat", "traffic", "platform"];

/// A whole run, or several put together.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Where and when: one entry for each run that is part of this one.
    pub(crate) conditions: Vec<Conditions>,
    /// Every trial, in order.
    pub(crate) samples: Vec<Sample>,
}

impl Run {
    /// Adds another run's samples.
    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.conditions.extend(other.conditions);
        self.samples.extend(other.samples);
        self
    }
}

/// Where and when a run took place.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Conditions {
    /// Start, RFC 3339.
    pub(crate) started: String,
    /// How long it took, in seconds.
    pub(crate) took_s: f64,
    /// The commit, with a remark if the tree had changes.
    pub(crate) commit: String,
    /// CPU, cores and memory.
    pub(crate) machine: String,
    /// The kernel's version.
    pub(crate) kernel: String,
    /// The API server's version and the number of nodes.
    pub(crate) kubernetes: String,
    /// kube-proxy's mode and minimum sync period, as kube-proxy reports them.
    pub(crate) kube_proxy: String,
    /// 1, 5 and 15 minutes before.
    pub(crate) load_before: String,
    /// 1, 5 and 15 minutes after.
    pub(crate) load_after: String,
    /// The arguments on the command line.
    pub(crate) command: String,
}

/// One trial.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Of which experiment.
    #[serde(serialize_with = "write_key", deserialize_with = "read_key")]
    pub(crate) experiment: &'static Experiment,
    /// Seconds since the run's start.
    pub(crate) at_s: f64,
    /// How it went.
    pub(crate) outcome: Outcome,
}

// The signature that serde asks for.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn write_key<S: Serializer>(experiment: &&'static Experiment, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(experiment.key)
}

fn read_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static Experiment, D::Error> {
    registry::find(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// How a trial went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub(crate) enum Outcome {
    /// A client saw another pod answer.
    Failover(Box<Failover>),
    /// A client was not answered for some time.
    Outage {
        /// The longest time without an answer.
        ms: f64,
        /// Requests that failed.
        failed: u64,
        /// Whether another pod answered then.
        moved: bool,
    },
    /// What was waited for happened after some time.
    Elapsed {
        /// How long it took.
        ms: f64,
    },
    /// What was waited for did not happen within the limit.
    TimedOut {
        /// The limit.
        limit_ms: f64,
        /// Requests that failed meanwhile.
        failed: u64,
    },
    /// Requests were counted.
    Requests(Requests),
    /// Memory was read.
    Memory(Memory),
    /// The trial says nothing about what was to be measured.
    Invalid {
        /// Why.
        reason: String,
    },
}

/// What the client saw of a failover, and what hotstandby reports about it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Failover {
    /// From the fault to the end of the first whole answer by another pod.
    pub(crate) gap_ms: f64,
    /// From the fault to the start of that request.
    pub(crate) open_ms: f64,
    /// From the start of the first request that failed to the end of the first that was answered after it.
    pub(crate) outage_ms: f64,
    /// Requests that ended after the fault without an answer.
    pub(crate) failed: u64,
    /// Requests that were started after the new pod's first answer and were answered by the old one.
    pub(crate) doubled: u64,
    /// The pod that was active.
    pub(crate) from: String,
    /// The pod that answered.
    pub(crate) to: String,
    /// The client's node.
    pub(crate) client_node: String,
    /// The term of the change; 0 where hotstandby had no part.
    pub(crate) term: i64,
    /// The reason that hotstandby gave.
    pub(crate) reason: String,
    /// Where the time went.
    pub(crate) stages: Option<Stages>,
}

/// Where the time of a gap went, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stages {
    /// From the fault to the first sign of it at hotstandby.
    pub(crate) notice: f64,
    /// From the first sign to the proof.
    pub(crate) detect: f64,
    /// From the proof to the sending of the seat's write.
    pub(crate) decide: f64,
    /// The seat's write.
    pub(crate) seat: f64,
    /// The slice's write.
    pub(crate) traffic: f64,
    /// From the slice's write to the end of the first answer: watch, kube-proxy, nftables, and the client's period.
    pub(crate) platform: f64,
}

impl Stages {
    /// The stages in the order of [`STAGES`].
    pub(crate) fn to_array(self) -> [f64; 6] {
        let Self { notice, detect, decide, seat, traffic, platform } = self;
        [notice, detect, decide, seat, traffic, platform]
    }
}

/// Requests for a Lease in one minute.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Requests {
    /// Reads of the member that holds it.
    pub(crate) holding_reads: f64,
    /// Its writes.
    pub(crate) holding_writes: f64,
    /// Reads of a member that waits.
    pub(crate) waiting_reads: f64,
    /// Its writes.
    pub(crate) waiting_writes: f64,
}

/// The memory of the container of a member that waits, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// Its processes; pages that they share are counted once.
    pub(crate) resident: u64,
    /// What is charged to its cgroup.
    pub(crate) working_set: u64,
    /// The gatekeeper's file.
    pub(crate) program: u64,
}

impl Memory {
    /// The largest of the three.
    pub(crate) fn largest(self) -> u64 {
        self.resident.max(self.working_set).max(self.program)
    }
}

impl Outcome {
    /// A trial that failed is recorded as invalid, because it must not be dropped.
    pub(crate) fn from_result(result: anyhow::Result<Self>) -> Self {
        result.unwrap_or_else(|error| Self::Invalid { reason: format!("{error:#}") })
    }

    /// For the progress of a run.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Failover(seen) => {
                let stages = seen.stages.map_or_else(String::new, describe_stages);
                format!("{:.1} ms, {} failed, {}{stages}", seen.gap_ms, seen.failed, seen.reason)
            }
            other => format!("{other:?}"),
        }
    }
}

fn describe_stages(stages: Stages) -> String {
    let mut text = String::new();
    for (name, value) in STAGES.iter().zip(stages.to_array()) {
        let _written = write!(text, ", {name} {value:.1}");
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample(key: &str, outcome: Outcome) -> Sample {
        Sample { experiment: registry::find(key).unwrap(), at_s: 0.0, outcome }
    }

    pub(crate) fn staged(key: &str, stages: Stages) -> Sample {
        let gap_ms = stages.to_array().iter().sum();
        let failover = Failover { gap_ms, stages: Some(stages), ..Failover::default() };
        sample(key, Outcome::Failover(Box::new(failover)))
    }

    pub(crate) fn failover(key: &str, gap_ms: f64) -> Sample {
        sample(key, Outcome::Failover(Box::new(Failover { gap_ms, ..Failover::default() })))
    }

    pub(crate) fn timed_out(key: &str) -> Sample {
        sample(key, Outcome::TimedOut { limit_ms: 1000.0, failed: 3 })
    }

    pub(crate) fn invalid(key: &str, reason: &str) -> Sample {
        sample(key, Outcome::Invalid { reason: reason.to_owned() })
    }

    #[test]
    fn a_run_is_read_back_as_it_was_written() {
        let requests =
            Requests { holding_reads: 0.5, holding_writes: 30.0, waiting_reads: 1.0, waiting_writes: 0.0 };
        let run = Run {
            conditions: vec![Conditions { kernel: "6.18".to_owned(), ..Conditions::default() }],
            samples: vec![
                staged("killed", Stages { seat: 50.5, ..Stages::default() }),
                timed_out("hang"),
                invalid("node-off", "why"),
                sample("move-a-killed-now", Outcome::Outage { ms: 1.5, failed: 2, moved: true }),
                sample("lasting-deleted", Outcome::Elapsed { ms: 2.5 }),
                sample("await-requests", Outcome::Requests(requests)),
                sample("await-memory", Outcome::Memory(Memory { resident: 1, working_set: 3, program: 2 })),
            ],
        };
        let text = serde_json::to_string(&run).unwrap();
        assert!(text.contains(r#""experiment":"killed""#), "{text}");
        let back: Run = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
        let unknown = text.replace(r#""experiment":"killed""#, r#""experiment":"gone""#);
        let error = serde_json::from_str::<Run>(&unknown).unwrap_err().to_string();
        assert!(error.contains("there is no experiment 'gone'"), "{error}");
    }
}
