//! A made-up run with samples of every row, and the document about it as a golden file.

use super::keeper::{KeeperOutcome, KeeperSample};
use super::keeper_row::KeeperRow;
use super::lasting::{Lasted, LastingRow, LastingSample};
use super::moves::{MoveRow, MoveSample, Moved};
use super::record::{Conditions, Outcome, Run, Sample, Seen, Stages};
use super::report::{document, plain};
use super::row::Row;

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
    let invalid = |reason: &str| Outcome::Invalid { reason: reason.to_owned() };
    match (key, trial) {
        ("hang", 3) => return Outcome::NoAnswer { limit_ms: 10_000.0, failed: 31 },
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
    let gap_ms = stages.all().iter().sum();
    let failing = matches!(key, "killed" | "delete" | "floor-kill") || (key, trial) == ("switchover", 4);
    let failed = if failing { trial as u64 % 9 + 3 } else { 0 };
    Outcome::Seen(Box::new(Seen {
        gap_ms,
        outage_ms: if failing { gap_ms * 0.9 } else { 0.0 },
        failed,
        doubled: u64::from((key, trial) == ("killed", 11)),
        stages: (key != "label-switchover").then_some(stages),
        ..Seen::default()
    }))
}

fn lasting() -> Vec<LastingSample> {
    let mut samples = Vec::new();
    for (row, trials) in [(LastingRow::Kept, 3), (LastingRow::Deleted, 5), (LastingRow::Notified, 4)] {
        for trial in 0..trials {
            let ms = 50.0 + 2000.0 * noise(row.key(), trial, "gone");
            let outcome = match (row.key(), trial) {
                ("lasting-kept", _) => Lasted::Open,
                ("lasting-deleted", 2) => Lasted::Invalid { reason: "neither ended nor answered".to_owned() },
                _ => Lasted::Gone { ms },
            };
            samples.push(LastingSample { row, outcome });
        }
    }
    samples
}

fn moves() -> Vec<MoveSample> {
    let mut samples = Vec::new();
    for row in MoveRow::all() {
        let key = row.key();
        let trials = if key.contains("killed") { 3 } else { 1 };
        for trial in 0..trials {
            let ms = 100.0 + 5000.0 * noise(&key, trial, "out");
            let failed = trial as u64;
            let outcome = match (key.as_str(), trial) {
                ("move-a-node-off-before", _) => Moved::Never { limit_ms: 90_000.0 },
                ("move-b-killed-now", 1) => Moved::Invalid { reason: "the fault was not felt".to_owned() },
                ("move-d-killed-before", 0 | 1) => Moved::Out { ms, failed, moved: false },
                _ => Moved::Out { ms, failed, moved: true },
            };
            samples.push(MoveSample { row, outcome });
        }
    }
    samples
}

fn gatekeeper() -> Vec<KeeperSample> {
    let mut samples = Vec::new();
    for row in KeeperRow::ALL {
        let key = row.key();
        let trials = if key.starts_with("await-requests") { 1 } else { 4 };
        for trial in 0..trials {
            let part = |salt: &str| noise(key, trial, salt);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let bytes = |salt: &str| (part(salt) * 9e6) as u64 + 1;
            let outcome = match (key, trial) {
                ("await-crash", 1 | 3) => {
                    KeeperOutcome::Invalid { reason: "the term did not rise".to_owned() }
                }
                ("await-release-fast", _) => KeeperOutcome::Gap { ms: 20.0 + 60.0 * part("gap") },
                _ if key.starts_with("await-requests") => KeeperOutcome::Requests {
                    holding_reads: 20.0 * part("hr"),
                    holding_writes: 30.0 + part("hw"),
                    waiting_reads: 20.0 * part("wr"),
                    waiting_writes: part("ww"),
                },
                _ if key.starts_with("await-memory") => KeeperOutcome::Weight {
                    resident: bytes("resident"),
                    working_set: bytes("working set"),
                    program: bytes("program"),
                },
                _ => KeeperOutcome::Gap { ms: 50.0 + 900.0 * part("gap") },
            };
            samples.push(KeeperSample { row, outcome });
        }
    }
    samples
}

fn run() -> Run {
    let conditions = Conditions {
        started: "2026-11-27T19:23:38Z".to_owned(),
        took_s: 671.0,
        commit: "88863c4c7956".to_owned(),
        cpu: "Some CPU".to_owned(),
        cores: 2,
        memory_gib: 23.6,
        kernel: "6.18.44".to_owned(),
        kubernetes: "v1.35.4".to_owned(),
        proxy_mode: "nftables".to_owned(),
        proxy_min_sync: "1s".to_owned(),
        nodes: 3,
        load_before: "3.94 2.47 1.95".to_owned(),
        load_after: "1.36 1.81 1.90".to_owned(),
        command: String::new(),
    };
    let other =
        Conditions { command: "--only killed".to_owned(), cpu: "Other CPU".to_owned(), ..conditions.clone() };
    let mut samples = Vec::new();
    for (key, trials, middles) in FAILOVERS {
        let row = Row::ALL.into_iter().find(|row| row.key() == key).unwrap();
        let outcomes = (0..trials).map(|trial| failover(key, trial, middles));
        samples.extend(outcomes.map(|outcome| Sample { row, at_s: 0.0, outcome }));
    }
    let rest = Run { conditions: other, moves: moves(), gatekeeper: gatekeeper(), ..Run::default() };
    Run { conditions, samples, lasting: lasting(), ..Run::default() }.with(rest)
}

#[test]
fn the_document_is_the_golden_one() {
    let text = document(&run());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/golden.md"), &text).unwrap();
        std::fs::write("/tmp/plain.txt", plain(&run())).unwrap();
    }
    assert_eq!(text, include_str!("golden.md"));
}
