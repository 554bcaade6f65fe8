//! The document, and what is printed at the end of a run. Every number in them was measured by the run that they
//! describe, or is a setting or a goal.

#[cfg(test)]
mod golden;
mod sections;
mod table;
mod tables;

use std::fmt::Write as _;

use crate::experiment::Experiment;
use crate::record::{Conditions, Run};
use sections::SECTIONS;
use table::{Column, render_table};
use tables::Results;

/// The tables, as they are printed at the end of a run.
pub(crate) fn render_tables(run: &Run) -> String {
    let results = Results::new(run);
    let mut parts: Vec<String> =
        SECTIONS.iter().flat_map(|section| section.render_tables(&results)).collect();
    let invalid = list_invalid_trials(&results);
    if !invalid.is_empty() {
        parts.push(format!("Invalid trials:\n{invalid}"));
    }
    parts.join("\n")
}

/// The document.
pub(crate) fn render_document(run: &Run) -> String {
    let results = Results::new(run);
    let mut text = String::from(INTRODUCTION);
    text.push_str(&render_conditions(&run.conditions));
    for section in &SECTIONS {
        let tables = section.render_tables(&results);
        if tables.is_empty() {
            continue;
        }
        let _written = write!(text, "\n## {}\n\n{}{}", section.heading, section.lead, tables.join("\n"));
        if !section.notes.is_empty() {
            let _written = write!(text, "\n{}", section.notes);
        }
    }
    text.push_str("\n## Invalid trials\n\n");
    let invalid = list_invalid_trials(&results);
    text.push_str(if invalid.is_empty() { "None.\n" } else { &invalid });
    text.push_str("\n## How each was measured\n\n");
    text.push_str(METHOD);
    for summary in results.pick(Experiment::is_failover) {
        let Experiment { title, method, .. } = summary.experiment;
        let _written = writeln!(text, "- **{title}**: {method}.");
    }
    text.push_str(REPEAT);
    text
}

fn list_invalid_trials(results: &Results<'_>) -> String {
    let mut text = String::new();
    for summary in &results.summaries {
        let Experiment { key, title, .. } = summary.experiment;
        for (reason, count) in &summary.invalid {
            let _written = writeln!(text, "- {title} (`{key}`): {count} × {reason}");
        }
    }
    text
}

fn render_conditions(conditions: &[Conditions]) -> String {
    let tables: Vec<String> = conditions.iter().map(render_conditions_of_one_run).collect();
    tables.join("\nSome rows come from another run. Its command names them:\n\n")
}

fn render_conditions_of_one_run(conditions: &Conditions) -> String {
    let Conditions {
        started,
        took_s,
        commit,
        machine,
        kernel,
        kubernetes,
        kube_proxy,
        load_before,
        load_after,
        command,
    } = conditions;
    let command = format!("cargo measure {command}");
    let lines = [
        ("Start", format!("{started}, took {:.0} min", took_s / 60.0)),
        ("Commit", commit.clone()),
        ("Machine", format!("{machine}; all nodes and the control plane share it")),
        ("Kernel", kernel.clone()),
        ("Kubernetes", kubernetes.clone()),
        ("kube-proxy", kube_proxy.clone()),
        ("Load average before (1, 5, 15 min)", load_before.clone()),
        ("Load average after", load_after.clone()),
        ("Command", format!("`{}`", command.trim_end())),
    ];
    let columns: [Column<(&str, String)>; 2] =
        [("Condition", |(name, _)| (*name).to_owned()), ("Value", |(_, value)| value.clone())];
    render_table(&columns, &lines)
}

const INTRODUCTION: &str = "\
# Measured

`cargo measure` writes this page; do not edit it. The cluster is a real Kubernetes in network namespaces
([testbed](testbed.md)) with real pods and the real kube-proxy; hotstandby is installed by `deploy/install.yaml` with two replicas.

## Conditions

";

const METHOD: &str = "\
A trial begins when every pod of every group is ready, the group has all its standbys, and no EndpointSlice in the cluster has
changed for two seconds: kube-proxy programs a change immediately and then waits a second before the next one. A trial is invalid
if another change used that second. All invalid trials are listed above. The trials of all rows for which every node stays up are
mixed evenly with each other and with those of the floor. The power cuts come after them, with floor trials in between.

";

const REPEAT: &str = "
## Repeat it

On a machine that does nothing else, as root:

```sh
cargo measure --write docs/measured.md              # all experiments
cargo measure --list                                # names, trials, methods and goals of the experiments
cargo measure --only killed --trials killed=30      # one experiment and the floor
cargo measure --only await-release,await-crash      # two experiments that need no floor
cargo measure --quick                               # a few trials of each, to see whether it works
cargo measure --from .cache/measured/TIME.json      # the tables of an earlier run, or of several runs together
```

Every sample, with its stages, is kept in `.cache/measured/`. Files of an older version may not be readable.
";
