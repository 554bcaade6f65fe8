//! The tables, and the document around them. Every number in them was measured by the run they tell of, or is a
//! setting or a goal.

use std::fmt::Write as _;

use super::goals::{judge, ms};
use super::record::{Conditions, Run, STAGES};
use super::row::Row;
use super::stats::Summary;
use super::{keeper_report, lasting, moves};

/// Lines of a table, padded so that they read well as plain text too.
pub(super) struct Table {
    lines: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(head: &[&str]) -> Self {
        Self { lines: vec![head.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    pub(super) fn line(&mut self, cells: impl IntoIterator<Item = String>) {
        self.lines.push(cells.into_iter().collect());
    }

    pub(super) fn render(&self) -> String {
        let columns = self.lines.first().map_or(0, Vec::len);
        let width = |column: usize| {
            let cells = self.lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default().max(3)
        };
        let mut text = String::new();
        for (place, line) in self.lines.iter().enumerate() {
            for (column, cell) in line.iter().enumerate() {
                let _written = write!(text, "| {cell:<width$} ", width = width(column));
            }
            text.push_str("|\n");
            if place == 0 {
                for column in 0..columns {
                    let _written = write!(text, "| {:-<width$} ", "", width = width(column));
                }
                text.push_str("|\n");
            }
        }
        text
    }
}

struct Rows<'r> {
    all: Vec<Summary<'r>>,
    floor: Summary<'r>,
}

impl<'r> Rows<'r> {
    fn of(run: &'r Run) -> Self {
        let all = Row::ALL
            .into_iter()
            .map(|row| Summary::of(row, &run.samples))
            .filter(|summary| !summary.gaps.is_empty() || !summary.invalid.is_empty())
            .collect();
        Self { all, floor: Summary::of(Row::Floor, &run.samples) }
    }
}

/// What is printed at the end of a run.
pub(super) fn plain(run: &Run) -> String {
    let rows = Rows::of(run);
    let mut text = format!("{}\n{}\n{}", gaps(&rows), goals(&rows), stages(&rows));
    let invalid = invalid(&rows);
    if !invalid.is_empty() {
        let _written = write!(text, "\nInvalid trials:\n{invalid}");
    }
    if !run.gatekeeper.is_empty() {
        text.push('\n');
        text.push_str(&keeper_report::tables(&run.gatekeeper));
    }
    for table in [lasting::table(&run.lasting), moves::table(&run.moves)] {
        if !table.is_empty() {
            let _written = write!(text, "\n{table}");
        }
    }
    text
}

fn gaps(rows: &Rows<'_>) -> String {
    let mut table = Table::new(&[
        "What",
        "Trials",
        "Gap p50",
        "p99",
        "max",
        "× floor",
        "Failed requests (most in a trial)",
        "Longest without an answer, p50 / max",
        "Doubled",
    ]);
    for summary in &rows.all {
        let Some(gap) = summary.gap() else { continue };
        let outages: Vec<f64> = summary.seen.iter().map(|seen| seen.outage_ms).collect();
        let outage = super::stats::Spread::of(&outages)
            .map_or_else(|| "-".to_owned(), |outage| format!("{} / {}", ms(outage.p50), ms(outage.max)));
        let ratio = match summary.row {
            Row::Floor => "1".to_owned(),
            _ => summary.ratio(&rows.floor).map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
        };
        table.line([
            summary.row.title().to_owned(),
            summary.gaps.len().to_string(),
            ms(gap.p50),
            ms(gap.p99),
            ms(gap.max),
            ratio,
            format!("{} ({})", summary.all_failed(), summary.most_failed()),
            outage,
            summary.doubled.to_string(),
        ]);
    }
    table.render()
}

fn goals(rows: &Rows<'_>) -> String {
    let mut table = Table::new(&["What", "Goal", "Reached", "", "What costs it"]);
    for summary in &rows.all {
        for verdict in judge(summary, &rows.floor) {
            let word = match verdict.met {
                Some(true) => "met",
                Some(false) => "**missed**",
                None => "-",
            };
            table.line([
                summary.row.title().to_owned(),
                verdict.goal.words(),
                verdict.reached,
                word.to_owned(),
                verdict.cost.unwrap_or_default(),
            ]);
        }
    }
    table.render()
}

fn stages(rows: &Rows<'_>) -> String {
    let head: Vec<&str> = ["What", "Told"].into_iter().chain(STAGES).collect();
    let mut table = Table::new(&head);
    for summary in &rows.all {
        let told = summary.seen.iter().filter(|seen| seen.stages.is_some()).count();
        if told == 0 {
            continue;
        }
        let cells = (0..STAGES.len()).map(|place| match summary.stage(place) {
            // The floor has but two parts.
            Some(_) if summary.row == Row::Floor && place < 4 => "-".to_owned(),
            Some(stage) => format!("{:.1} / {:.1}", stage.p50, stage.p99),
            None => "-".to_owned(),
        });
        table.line([summary.row.title().to_owned(), told.to_string()].into_iter().chain(cells));
    }
    table.render()
}

fn invalid(rows: &Rows<'_>) -> String {
    let mut text = String::new();
    for summary in &rows.all {
        for (reason, count) in &summary.invalid {
            let _written = writeln!(text, "- {}: {count} × {reason}", summary.row.title());
        }
    }
    text
}

/// The document.
pub(super) fn document(run: &Run) -> String {
    let rows = Rows::of(run);
    let mut text = String::from(INTRODUCTION);
    text.push_str(&conditions(&run.conditions));
    for further in &run.further {
        text.push_str("\nSome rows are of another run; its command names them:\n\n");
        text.push_str(&conditions(further));
    }
    text.push_str("\n## Gaps\n\n");
    text.push_str(&gaps(&rows));
    text.push_str(READING);
    text.push_str("\n## Goals\n\n");
    text.push_str(&goals(&rows));
    text.push_str("\n## Where the time goes\n\nMilliseconds, p50 / p99 of each stage by itself.\n\n");
    text.push_str(&stages(&rows));
    text.push_str(STAGE_WORDS);
    text.push_str(&lasting::section(&run.lasting));
    text.push_str(&moves::section(&run.moves));
    text.push_str(&keeper_report::section(&run.gatekeeper));
    text.push_str("\n## Invalid trials\n\n");
    let invalid = invalid(&rows);
    text.push_str(if invalid.is_empty() { "None.\n" } else { &invalid });
    text.push_str("\n## How each was measured\n\n");
    text.push_str(METHOD);
    for summary in &rows.all {
        let _written = writeln!(text, "- **{}**: {}.", summary.row.title(), summary.row.how());
    }
    text.push_str(REPEAT);
    text
}

fn conditions(conditions: &Conditions) -> String {
    let Conditions {
        started,
        took_s,
        commit,
        cpu,
        cores,
        memory_gib,
        kernel,
        kubernetes,
        proxy_mode,
        proxy_min_sync,
        nodes,
        load_before,
        load_after,
        command,
    } = conditions;
    let mut table = Table::new(&["Condition", "Value"]);
    for (name, value) in [
        ("Start", format!("{started}, took {:.0} min", took_s / 60.0)),
        ("Commit", commit.clone()),
        (
            "Machine",
            format!("{cpu}, {cores} cores, {memory_gib:.0} GiB; all nodes and the control plane share it"),
        ),
        ("Kernel", kernel.clone()),
        ("Kubernetes", format!("{kubernetes}, {nodes} nodes")),
        ("kube-proxy", format!("{proxy_mode}, minimum sync period {proxy_min_sync}")),
        ("Load average before (1, 5, 15 min)", load_before.clone()),
        ("Load average after", load_after.clone()),
        ("Command", format!("`cargo measure {command}`").replace(" `", "`")),
    ] {
        table.line([name.to_owned(), value]);
    }
    table.render()
}

const INTRODUCTION: &str = "\
# Measured

Written by `cargo measure`; change nothing here by hand. Real Kubernetes in network namespaces
([testbed](testbed.md)), hotstandby installed by `deploy/install.yaml` with two replicas, real pods, real kube-proxy.

## Conditions

";

const READING: &str = "
- **Gap**: from just before the fault to the end of the first whole answer by another pod, for a client that opens a new
  connection every 5 ms through the ClusterIP on a node that is not the victim's. It includes up to one such period.
- **p99** is the nearest rank: of fewer than 100 trials it is the largest. \"none\": no other pod answered within the limit.
- **Floor**: what the platform needs for one write of a slice, in the same run. **× floor** compares medians.
- **Failed requests**: all that ended after the fault without a whole answer, over all trials. A request may wait for 300 ms for
  its connection and for 400 ms in all.
- **Longest without an answer**: from the start of the first request that failed to the end of the next answered one.
- **Doubled**: requests begun after the new pod's first answer had ended that the old pod answered; watched for 1.1 s.
";

const STAGE_WORDS: &str = "
- **notice**: from the fault to hotstandby's first sign of it (a connection that broke, the first probe that failed, an event).
- **detect**: from the first sign to the proof. **decide**: from the proof to the sending of the seat's write.
- **seat**: the write of the Lease. **traffic**: the write of the slice. Both with the API server's answer.
- **platform**: from the slice's stored write to the end of the first answer: watch, kube-proxy, nftables, the client's period.
  It is below zero where the client was answered before hotstandby had taken in the answer to its write.
- detect to traffic are hotstandby's own words (`status.history`). What lies before and after is told apart by the time of the
  seat's write, which is kept in whole milliseconds. The floor has no stages but its write and the rest.
";

const METHOD: &str = "\
Before each trial: every pod of every group ready, the group whole, and for two seconds no change of any EndpointSlice in the
cluster, since kube-proxy programs a change at once and then waits a second. A trial in which another change took that slot
all the same is invalid; invalid trials are listed above and never dropped in silence. Trials of all rows that leave the nodes
alone are mixed evenly with each other and with those of the floor; the power cuts come after them, with floor trials in between.

";

const REPEAT: &str = "
## Repeat it

On a machine that does nothing else, as root:

```sh
cargo measure --write docs/measured.md              # everything
cargo measure --only killed --trials killed=30      # one row and the floor
cargo measure --only await-release,await-crash      # only the gatekeeper, some rows
cargo measure --quick                               # a look whether it works
cargo measure --from .cache/measured/TIME.json      # an earlier run again, or several put together
```

Every sample, with its stages, is kept in `.cache/measured/`.
";

#[cfg(test)]
mod tests {
    use super::super::record::Stages;
    use super::super::record::tests::{invalid, never, seen, staged};
    use super::*;

    fn run() -> Run {
        let stages =
            Stages { notice: 2.0, detect: 6.0, decide: 4.0, seat: 5.0, traffic: 5.0, platform: 35.25 };
        Run {
            conditions: Conditions {
                cpu: "Some CPU".to_owned(),
                cores: 2,
                command: "--quick".to_owned(),
                ..Conditions::default()
            },
            samples: vec![
                seen(Row::Floor, 40.0),
                staged(Row::Killed, stages),
                seen(Row::Hang, 612.0),
                never(Row::NodeOff),
                invalid(Row::NodeOffFast, "the node did not come back"),
            ],
            ..Run::default()
        }
    }

    #[test]
    fn the_document_tells_all_that_was_measured() {
        let text = document(&run());
        for part in [
            "Some CPU, 2 cores",
            "| process killed ",
            "57.2 ms",
            "1.43",
            "1.43 × floor",
            "none",
            "**missed**",
            "- node powered off, fast timing: 1 × the node did not come back",
            "2.0 / 2.0",
            "`cargo measure --quick`",
            "SIGKILL",
        ] {
            assert!(text.contains(part), "'{part}' is missing in:\n{text}");
        }
        assert!(!text.contains("switchover, by"), "nothing is said of what was not measured:\n{text}");
    }

    #[test]
    fn samples_of_two_runs_stand_under_the_conditions_of_both() {
        let other = Run {
            conditions: Conditions { cpu: "Other CPU".to_owned(), ..Conditions::default() },
            samples: vec![seen(Row::Switchover, 51.0)],
            ..Run::default()
        };
        let text = document(&run().with(other));
        for part in ["Some CPU", "Other CPU", "process killed", "switchover, by annotation"] {
            assert!(text.contains(part), "'{part}' is missing in:\n{text}");
        }
    }

    #[test]
    fn tables_are_even() {
        let text = plain(&run());
        let blocks = text.split("\n\n");
        for block in blocks.filter(|block| block.starts_with('|')) {
            let widths: Vec<usize> = block.lines().map(|line| line.chars().count()).collect();
            assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{block}");
        }
        assert!(text.contains("Invalid trials:"));
    }

    #[test]
    fn an_empty_run_is_no_mistake() {
        assert!(document(&Run::default()).contains("None."));
    }
}
