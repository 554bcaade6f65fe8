//! What is typed.

use std::path::PathBuf;

use clap::{Parser, ValueEnum as _};

use super::keeper::KeeperCounts;
use super::keeper_row::KeeperRow;
use super::row::Row;
use super::schedule::Counts;

/// Measures failovers as users see them, beside what the platform itself needs, on a real Kubernetes made of
/// network namespaces on this machine. Needs root.
#[derive(Debug, Parser)]
#[command(name = "cargo measure", bin_name = "cargo measure", max_term_width = 100)]
pub(super) struct Args {
    /// How many trials of which rows, such as killed=100,hang=20; other rows keep their usual number.
    #[arg(long, value_name = "ROW=N", value_delimiter = ',', value_parser = trials)]
    trials: Vec<(Pick, usize)>,
    /// Only these rows, and the platform's floor where it says something about them.
    #[arg(long, value_name = "ROW", value_delimiter = ',', value_parser = pick)]
    only: Vec<Pick>,
    /// A few trials of each row, for a look whether it works.
    #[arg(long)]
    quick: bool,
    /// Leave the cluster up.
    #[arg(long)]
    pub(super) keep: bool,
    /// Use a cluster that is up, and leave it up.
    #[arg(long, value_name = "NAME")]
    pub(super) cluster: Option<String>,
    /// The name of the cluster that is made.
    #[arg(long, value_name = "NAME", default_value = "measure", conflicts_with = "cluster")]
    pub(super) name: String,
    /// Write the document about this run there.
    #[arg(long, value_name = "FILE")]
    pub(super) write: Option<PathBuf>,
    /// Measure nothing: show, and --write, the samples of an earlier run, or of several put together.
    #[arg(long, value_name = "JSON", num_args = 1..)]
    pub(super) from: Vec<PathBuf>,
}

/// A row of either kind: seen by clients, or noted by a command behind the gatekeeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pick {
    Seen(Row),
    Keeper(KeeperRow),
}

impl Args {
    /// How many trials of each row.
    pub(super) fn counts(&self) -> Counts {
        let seen = |pick: &Pick| matches!(pick, Pick::Seen(_));
        if !self.only.is_empty() && !self.only.iter().any(seen) {
            return Counts::new();
        }
        let chosen =
            |row: Row| self.only.is_empty() || row == Row::Floor || self.only.contains(&Pick::Seen(row));
        let usual = |row: Row| if self.quick { row.quick_trials() } else { row.usual_trials() };
        let mut counts: Counts =
            Row::ALL.into_iter().filter(|row| chosen(*row)).map(|row| (row, usual(row))).collect();
        let given = self.trials.iter().filter_map(|(pick, count)| match pick {
            Pick::Seen(row) => Some((*row, *count)),
            Pick::Keeper(_) => None,
        });
        counts.extend(given.filter(|(row, _)| chosen(*row)));
        // A few trials need no more of the floor.
        let others: usize =
            counts.iter().filter(|(row, _)| **row != Row::Floor).map(|(_, count)| count).sum();
        if others > 0
            && self.trials.iter().all(|(pick, _)| *pick != Pick::Seen(Row::Floor))
            && let Some(floor) = counts.get_mut(&Row::Floor)
        {
            *floor = others.min(*floor);
        }
        counts
    }

    /// How many trials of each row of the gatekeeper.
    pub(super) fn keeper_counts(&self) -> KeeperCounts {
        let chosen = |row: KeeperRow| self.only.is_empty() || self.only.contains(&Pick::Keeper(row));
        let usual = |row: KeeperRow| if self.quick { row.quick_trials() } else { row.usual_trials() };
        let given = |row: KeeperRow| {
            let last = self.trials.iter().rev().find(|(pick, _)| *pick == Pick::Keeper(row));
            last.map_or_else(|| usual(row), |(_, count)| *count)
        };
        KeeperRow::ALL.into_iter().filter(|row| chosen(*row)).map(|row| (row, given(row))).collect()
    }
}

fn pick(text: &str) -> Result<Pick, String> {
    let seen = Row::from_str(text, false).map(Pick::Seen);
    seen.or_else(|_| KeeperRow::from_str(text, false).map(Pick::Keeper)).map_err(|_| {
        let rows = Row::ALL.map(Row::key).into_iter().chain(KeeperRow::ALL.map(KeeperRow::key));
        format!("there is no row '{text}': there are {}", rows.collect::<Vec<_>>().join(", "))
    })
}

fn trials(text: &str) -> Result<(Pick, usize), String> {
    let (row, count) = text.split_once('=').ok_or("write ROW=N, such as killed=100")?;
    let row = pick(row)?;
    let count = count.parse().map_err(|_| format!("'{count}' is no number of trials"))?;
    Ok((row, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(words: &[&str]) -> Counts {
        Args::try_parse_from(std::iter::once("measure").chain(words.iter().copied())).unwrap().counts()
    }

    #[test]
    fn everything_is_measured_if_nothing_is_said() {
        assert!(Row::ALL.iter().all(|row| counts(&[])[row] == row.usual_trials()));
        assert_eq!(counts(&["--trials", "killed=7,hang=0"])[&Row::Killed], 7);
        assert_eq!(counts(&["--quick"])[&Row::NodeOff], 1);
    }

    #[test]
    fn one_row_comes_with_its_floor() {
        let counts = counts(&["--only", "node-off", "--trials", "killed=7,node-off=3"]);
        assert_eq!(counts, Counts::from([(Row::Floor, 3), (Row::NodeOff, 3)]));
    }

    #[test]
    fn rows_of_the_gatekeeper_need_no_floor() {
        let args = ["measure", "--only", "await-crash", "--trials", "await-crash=2,killed=3"];
        let args = Args::try_parse_from(args).unwrap();
        assert_eq!(args.keeper_counts(), KeeperCounts::from([(KeeperRow::AwaitCrash, 2)]));
        assert!(args.counts().is_empty());
        assert!(Args::try_parse_from(["measure", "--only", "killed"]).unwrap().keeper_counts().is_empty());
    }

    #[test]
    fn a_wrong_row_is_answered_with_the_right_ones() {
        let error = trials("kiled=3").unwrap_err();
        assert!(error.contains("killed") && error.contains("lead-off-fast"), "{error}");
        assert!(trials("killed").is_err() && trials("killed=x").is_err());
    }
}
