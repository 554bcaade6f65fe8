//! A made-up run with samples of every experiment, and the document about it as a golden file.

use std::collections::BTreeSet;

use super::*;
use crate::record::tests::sample;
use crate::record::{Failover, Memory, Outcome, Requests, Sample, Stages};
use crate::registry::EXPERIMENTS;

/// A number in [0, 1) that depends on nothing but its arguments.
fn noise(key: &str, trial: usize, salt: &str) -> f64 {
    let text = format!("{key}/{trial}/{salt}");
    let mut hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    f64::from(u32::try_from(hash >> 32).unwrap()) / 4_294_967_296.0
}

/// Failovers: name, trials, and the middle of each stage in milliseconds.
const FAILOVERS: [(&str, usize, [f64; 6]); 16] = [
    ("floor", 15, [0.0, 0.0, 0.0, 0.0, 9.0, 50.0]),
    ("floor-kill", 9, [0.0, 0.0, 0.0, 0.0, 18.0, 55.0]),
    ("killed", 120, [1.0, 8.0, 12.0, 18.0, 21.0, 55.0]),
    ("switchover", 12, [17.0, 0.0, 10.0, 8.0, 9.0, 60.0]),
    ("switchover-cli", 5, [8.0, 0.0, 5.0, 4.0, 5.0, 30.0]),
    ("delete", 12, [8.0, 0.0, 45.0, 36.0, 22.0, 69.0]),
    ("delete-linger", 7, [10.0, 0.0, 30.0, 21.0, 21.0, 62.0]),
    ("hang", 12, [54.0, 303.0, 6.0, 7.0, 11.0, 54.0]),
    ("pointer-killed", 6, [1.0, 8.0, 14.0, 17.0, 16.0, 85.0]),
    ("pointer-switchover", 6, [8.0, 0.0, 5.0, 5.0, 9.0, 50.0]),
    ("label-killed", 5, [1.0, 8.0, 11.0, 22.0, 50.0, 1100.0]),
    ("label-switchover", 5, [19.0, 0.0, 13.0, 10.0, 70.0, 1070.0]),
    ("node-off", 6, [512.0, 2500.0, 10.0, 7.0, 8.0, 46.0]),
    ("node-off-fast", 6, [57.0, 550.0, 9.0, 7.0, 7.0, 41.0]),
    ("lead-off", 1, [331.0, 2501.0, 8.0, 8.0, 8.0, 42.0]),
    ("lead-off-fast", 2, [109.0, 550.0, 200.0, 7.0, 7.0, 41.0]),
];

fn failover(key: &str, trial: usize, middles: [f64; 6]) -> Outcome {
    match (key, trial) {
        ("hang", 3) => return Outcome::TimedOut { limit_ms: 10_000.0, failed: 31 },
        ("node-off", 5) => return invalid("the node did not come back"),
        ("node-off-fast", 1 | 2) | ("lead-off-fast", _) => return invalid("could not be prepared: no pod"),
        _ => {}
    }
    let slow = if key == "killed" && trial % 50 == 7 { 20.0 } else { 1.0 };
    let mut parts = ["notice", "detect", "decide", "seat", "traffic", "platform"]
        .map(|stage| 0.6 + 0.8 * noise(key, trial, stage));
    parts.iter_mut().zip(middles).for_each(|(part, middle)| *part *= middle);
    let [notice, detect, decide, seat, traffic, platform] = parts;
    let stages = Stages { notice, detect: detect * slow, decide, seat, traffic, platform };
    let gap_ms = stages.to_array().iter().sum();
    let failing = matches!(key, "killed" | "delete" | "floor-kill") || (key, trial) == ("switchover", 4);
    let failed = if failing { trial as u64 % 9 + 3 } else { 0 };
    Outcome::Failover(Box::new(Failover {
        gap_ms,
        outage_ms: if failing { gap_ms * 0.9 } else { 0.0 },
        failed,
        doubled: u64::from((key, trial) == ("killed", 11)),
        stages: (key != "label-switchover").then_some(stages),
        ..Failover::default()
    }))
}

fn connection(key: &str, trial: usize) -> Outcome {
    match (key, trial) {
        ("lasting-kept", _) => Outcome::TimedOut { limit_ms: 10_000.0, failed: 0 },
        ("lasting-deleted", 2) => invalid("neither ended nor answered"),
        _ => Outcome::Elapsed { ms: 50.0 + 2000.0 * noise(key, trial, "gone") },
    }
}

fn migration(key: &str, trial: usize) -> Outcome {
    let ms = 100.0 + 5000.0 * noise(key, trial, "out");
    let failed = trial as u64;
    match (key, trial) {
        ("move-a-node-off-before", _) => Outcome::TimedOut { limit_ms: 90_000.0, failed },
        ("move-b-killed-now", 1) => invalid("the fault was not felt"),
        ("move-d-killed-before", 0 | 1) => Outcome::Outage { ms, failed, moved: false },
        _ => Outcome::Outage { ms, failed, moved: true },
    }
}

fn gatekeeper(key: &str, trial: usize) -> Outcome {
    let part = |salt: &str| noise(key, trial, salt);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let bytes = |salt: &str| (part(salt) * 9e6) as u64 + 1;
    match (key, trial) {
        ("await-crash", 1 | 3) => invalid("the term did not rise"),
        ("await-release-fast", _) => Outcome::Elapsed { ms: 20.0 + 60.0 * part("gap") },
        _ if key.starts_with("await-requests") => Outcome::Requests(Requests {
            holding_reads: 20.0 * part("hr"),
            holding_writes: 30.0 + part("hw"),
            waiting_reads: 20.0 * part("wr"),
            waiting_writes: part("ww"),
        }),
        _ if key.starts_with("await-memory") => Outcome::Memory(Memory {
            resident: bytes("resident"),
            working_set: bytes("working set"),
            program: bytes("program"),
        }),
        _ => Outcome::Elapsed { ms: 50.0 + 900.0 * part("gap") },
    }
}

fn invalid(reason: &str) -> Outcome {
    Outcome::Invalid { reason: reason.to_owned() }
}

/// The trials of an experiment that is no failover.
fn other_trials(key: &str) -> Vec<Outcome> {
    let (trials, outcome): (usize, fn(&str, usize) -> Outcome) = match key {
        "lasting-kept" => (3, connection),
        "lasting-deleted" => (5, connection),
        "lasting-notified" => (4, connection),
        _ if key.starts_with("await-requests") => (1, gatekeeper),
        _ if key.starts_with("await-") => (4, gatekeeper),
        _ if key.contains("killed") => (3, migration),
        _ => (1, migration),
    };
    (0..trials).map(|trial| outcome(key, trial)).collect()
}

fn run() -> Run {
    let conditions = Conditions {
        started: "2026-11-27T19:23:38Z".to_owned(),
        took_s: 671.0,
        commit: "88863c4c7956".to_owned(),
        machine: "Some CPU, 2 cores, 24 GiB".to_owned(),
        kernel: "6.18.44".to_owned(),
        kubernetes: "v1.35.4, 3 nodes".to_owned(),
        kube_proxy: "nftables, minimum sync period 1s".to_owned(),
        load_before: "3.94 2.47 1.95".to_owned(),
        load_after: "1.36 1.81 1.90".to_owned(),
        command: String::new(),
    };
    let other = Conditions {
        command: "--only killed".to_owned(),
        machine: "Other CPU, 2 cores, 24 GiB".to_owned(),
        ..conditions.clone()
    };
    let mut samples = Vec::new();
    for (key, trials, middles) in FAILOVERS {
        samples.extend((0..trials).map(|trial| sample(key, failover(key, trial, middles))));
    }
    let mut others: Vec<Sample> = Vec::new();
    for experiment in EXPERIMENTS.iter().filter(|experiment| !experiment.is_failover()) {
        others
            .extend(other_trials(experiment.key).into_iter().map(|outcome| sample(experiment.key, outcome)));
    }
    let run = Run { conditions: vec![conditions], samples };
    let run = run.merge(Run { conditions: vec![other], samples: others });
    // As `--from` reads it.
    serde_json::from_str(&serde_json::to_string(&run).unwrap()).unwrap()
}

#[test]
fn the_document_is_the_golden_one() {
    let text = render_document(&run());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/report/golden.md");
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(text, include_str!("golden.md"));
}

#[test]
fn the_golden_run_has_a_sample_of_every_experiment() {
    let run = run();
    for experiment in &EXPERIMENTS {
        assert!(run.samples.iter().any(|sample| sample.experiment == experiment), "{}", experiment.key);
    }
}

#[test]
fn all_tables_and_invalid_trials_are_printed_at_the_end_of_a_run() {
    let text = render_tables(&run());
    let document = include_str!("golden.md");
    // The two tables of conditions are in the document only.
    let tables = document.split("\n\n").filter(|block| block.starts_with("| ")).skip(2);
    let missing: Vec<&str> = tables.filter(|table| !text.contains(table)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(text.contains("- node powered off, default timing (`node-off`): 1 × the node did not come back"));
}

#[test]
fn what_was_not_measured_is_not_mentioned() {
    let samples = vec![sample("killed", failover("killed", 0, [1.0; 6]))];
    let text = render_document(&Run { conditions: Vec::new(), samples });
    assert!(text.contains("| process killed | 1 ") && text.contains("**process killed**: SIGKILL"), "{text}");
    for other in ["switchover, by", "Migration", "The gatekeeper", "connections"] {
        assert!(!text.contains(other), "'{other}' in:\n{text}");
    }
    assert!(render_document(&Run::default()).contains("None."));
}

/// The headings of all tables, without their padding.
fn find_headings(document: &str) -> BTreeSet<String> {
    let lines: Vec<&str> = document.lines().collect();
    let headings = lines.windows(2).filter(|pair| pair[1].starts_with("| ---")).map(|pair| pair[0]);
    headings.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// The numbers of the committed document come from real runs whose samples are not kept with it. Only its words can be
/// compared with those that this version would write.
#[test]
fn the_committed_document_has_the_words_of_this_version() {
    let document = include_str!("../../../../docs/measured.md");
    assert_eq!(find_headings(document), find_headings(include_str!("golden.md")));
    let mut words = vec![INTRODUCTION.to_owned(), METHOD.to_owned(), REPEAT.to_owned()];
    for section in &SECTIONS {
        words.push(format!("\n## {}\n\n{}|", section.heading, section.lead));
        words.push(section.notes.to_owned());
    }
    for experiment in EXPERIMENTS.iter().filter(|experiment| experiment.is_failover()) {
        words.push(format!("\n| {} ", experiment.title));
        words.push(format!("- **{}**: {}.\n", experiment.title, experiment.method));
    }
    for words in words {
        assert!(document.contains(&words), "docs/measured.md lacks:\n{words}");
    }
}
