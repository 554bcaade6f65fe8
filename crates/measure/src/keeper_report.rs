//! The gatekeeper's part of the document.

use std::fmt::Write as _;

use super::goals::ms;
use super::keeper::{KeeperOutcome, KeeperSample};
use super::keeper_row::KeeperRow;
use super::report::Table;
use super::stats::Spread;

/// The tables of what was measured.
pub(super) fn tables(samples: &[KeeperSample]) -> String {
    let mut gaps = Table::new(&["What", "Lease", "Trials", "p50", "max", "Goal", ""]);
    let mut requests = Table::new(&[
        "Requests for the Lease in a minute",
        "Holding: reads",
        "writes",
        "Waiting: reads",
        "writes",
    ]);
    let mut weights = Table::new(&[
        "Memory of a waiting member, at most",
        "Trials",
        "Resident",
        "Working set",
        "Program's file",
        "Goal",
        "",
    ]);
    let (mut some_gaps, mut some_requests, mut some_weights) = (false, false, false);
    let mut invalid = String::new();
    for row in KeeperRow::ALL {
        let all: Vec<&KeeperOutcome> =
            samples.iter().filter(|sample| sample.row == row).map(|sample| &sample.outcome).collect();
        let values: Vec<f64> = all
            .iter()
            .filter_map(|outcome| if let KeeperOutcome::Gap { ms } = outcome { Some(*ms) } else { None })
            .collect();
        if let Some(spread) = Spread::of(&values) {
            some_gaps = true;
            let goal = row.goal_ms().map_or_else(|| "-".to_owned(), |goal| format!("each ≤ {goal} ms"));
            let met = judged(row.goal_ms().map(|goal| spread.max <= goal));
            let (title, lease) = (row.title().to_owned(), row.lease().to_owned());
            let count = values.len().to_string();
            gaps.line([title, lease, count, ms(spread.p50), ms(spread.max), goal, met.to_owned()]);
        }
        if let Some(cells) = weighed(row, &all) {
            some_weights = true;
            weights.line(cells);
        }
        for outcome in all {
            match outcome {
                KeeperOutcome::Requests { holding_reads, holding_writes, waiting_reads, waiting_writes } => {
                    some_requests = true;
                    let numbers = [holding_reads, holding_writes, waiting_reads, waiting_writes];
                    let cells = numbers.map(|number| format!("{number:.1}"));
                    requests.line([row.title().to_owned()].into_iter().chain(cells));
                }
                KeeperOutcome::Invalid { reason } => {
                    let _written = writeln!(invalid, "- {}: {reason}", row.key());
                }
                KeeperOutcome::Gap { .. } | KeeperOutcome::Weight { .. } => {}
            }
        }
    }
    let mut parts = Vec::new();
    for (some, table) in [(some_gaps, &gaps), (some_requests, &requests), (some_weights, &weights)] {
        if some {
            parts.push(table.render());
        }
    }
    if !invalid.is_empty() {
        parts.push(format!("Invalid trials:\n\n{invalid}"));
    }
    parts.join("\n")
}

fn judged(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "met",
        Some(false) => "**missed**",
        None => "-",
    }
}

/// The heaviest of a row's trials in each respect, and whether that meets the goal.
fn weighed(row: KeeperRow, all: &[&KeeperOutcome]) -> Option<[String; 7]> {
    let trials: Vec<[u64; 3]> = all
        .iter()
        .filter_map(|outcome| match outcome {
            KeeperOutcome::Weight { resident, working_set, program } => {
                Some([*resident, *working_set, *program])
            }
            _ => None,
        })
        .collect();
    let [resident, working_set, program] =
        trials.iter().copied().reduce(|[a, b, c], [d, e, f]| [a.max(d), b.max(e), c.max(f)])?;
    let goal = row.goal_bytes();
    let met = goal.map(|goal| resident.max(working_set).max(program) <= goal);
    Some([
        row.title().to_owned(),
        trials.len().to_string(),
        mebibytes(resident),
        mebibytes(working_set),
        mebibytes(program),
        goal.map_or_else(|| "-".to_owned(), |goal| format!("each ≤ {}", mebibytes(goal))),
        judged(met).to_owned(),
    ])
}

fn mebibytes(bytes: u64) -> String {
    let tenths = (bytes * 10).div_ceil(1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

/// The section; empty where nothing was measured.
pub(super) fn section(samples: &[KeeperSample]) -> String {
    if samples.is_empty() {
        return String::new();
    }
    format!("\n## The gatekeeper\n\n{}{METHOD}", tables(samples))
}

const METHOD: &str = "
- Three pods behind a gatekeeper; the command notes every 2 ms that it lives, on the machine's boot clock. What is told is
  the time from the **last sign of life of one command to the first of the next**, start of the command included. A trial in which two
  lived at once, or a term did not rise, is invalid.
- **Lease** is duration, renew deadline and retry period. The shorter one is the shortest that hotstandby-await takes.
- **Holder's pod deleted**: SIGTERM, the command ends at once, the lease is released. **Vanishes**: all processes of the container are
  stopped and never go on, so that nothing is released and nothing restarts. It takes the lease's duration from the last renewal on.
- **client-go's election**: a program of client-go's leader election alone, with ReleaseOnCancel. Without that option, which
  gatekeepers made of it often lack, a deletion costs what vanishing costs.
- **Requests**: get, list and watch are reads; stored and refused writes are writes. A watch counts when it ends.
  Waiting: three more members, divided by three. hotstandby's controller is away meanwhile, as it reads Leases, too.
- **Memory**: of a pod's container that waits, after at least 15 s of it. **Resident**: all its processes, pages that they share
  counted once (PSS). **Working set**: what is charged to its cgroup, the kernel's part included, without file pages nobody has used of
  late, as `kubectl top` tells it; the program's own pages are charged to whoever touched them first, often the container runtime.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_judged_by_their_worst_trial_and_nothing_is_dropped() {
        let sample = |row, outcome| KeeperSample { row, outcome };
        let samples = [
            sample(KeeperRow::AwaitRelease, KeeperOutcome::Gap { ms: 30.0 }),
            sample(KeeperRow::AwaitRelease, KeeperOutcome::Gap { ms: 101.0 }),
            sample(KeeperRow::AwaitReleaseFast, KeeperOutcome::Gap { ms: 99.0 }),
            sample(KeeperRow::AwaitCrash, KeeperOutcome::Invalid { reason: "too late".to_owned() }),
            sample(
                KeeperRow::AwaitRequests,
                KeeperOutcome::Requests {
                    holding_reads: 1.0,
                    holding_writes: 30.0,
                    waiting_reads: 0.5,
                    waiting_writes: 0.0,
                },
            ),
            sample(
                KeeperRow::AwaitMemory,
                KeeperOutcome::Weight { resident: 3 << 20, working_set: 1 << 20, program: 6 << 20 },
            ),
            sample(
                KeeperRow::AwaitMemory,
                KeeperOutcome::Weight { resident: 1 << 20, working_set: (8 << 20) + 1, program: 6 << 20 },
            ),
        ];
        let text = section(&samples);
        let heaviest = "| 3.0 MiB  | 8.1 MiB     | 6.0 MiB        | each ≤ 8.0 MiB | **missed** |";
        for part in ["101.0 ms", "**missed**", "| met", "await-crash: too late", "30.0", "0.5", heaviest] {
            assert!(text.contains(part), "'{part}' is missing in:\n{text}");
        }
        assert_eq!(section(&[]), "");
    }
}
