//! What is typed.

use std::path::PathBuf;

use clap::Parser;

use super::keeper_row::KeeperRow;
use super::lasting::LastingRow;
use super::moves::MoveRow;
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

/// A row of any kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pick {
    Seen(Row),
    Lasting(LastingRow),
    Move(MoveRow),
    Keeper(KeeperRow),
}

/// How many trials of which rows, in the order of the rows where they run one after the other.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Failovers and planned moves.
    pub(super) seen: Counts,
    /// Connections that last.
    pub(super) lasting: Vec<(LastingRow, usize)>,
    /// Users' manifests.
    pub(super) moves: Vec<(MoveRow, usize)>,
    /// The gatekeeper.
    pub(super) keepers: Vec<(KeeperRow, usize)>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.seen.values().all(|count| *count == 0)
            && self.lasting.is_empty()
            && self.moves.is_empty()
            && self.keepers.is_empty()
    }
}

impl Args {
    /// How many trials of each row.
    fn counts(&self) -> Counts {
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
            _ => None,
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

    /// How many trials of all rows, of each kind.
    pub(super) fn plan(&self) -> Plan {
        let counted = |pick: Pick, usual: usize, quick: usize| {
            let chosen = self.only.is_empty() || self.only.contains(&pick);
            let given = self.trials.iter().rev().find(|(of, _)| *of == pick).map(|(_, count)| *count);
            chosen.then(|| given.unwrap_or(if self.quick { quick } else { usual })).filter(|count| *count > 0)
        };
        let keepers = KeeperRow::ALL.into_iter().filter_map(|row| {
            Some((row, counted(Pick::Keeper(row), row.usual_trials(), row.quick_trials())?))
        });
        let lasting = LastingRow::ALL
            .into_iter()
            .filter_map(|row| Some((row, counted(Pick::Lasting(row), row.usual_trials(), 1)?)));
        let moves = MoveRow::all()
            .into_iter()
            .filter_map(|row| Some((row, counted(Pick::Move(row), row.usual_trials(), 1)?)));
        Plan {
            seen: self.counts(),
            lasting: lasting.collect(),
            moves: moves.collect(),
            keepers: keepers.collect(),
        }
    }
}

/// All rows by their names.
fn picks() -> impl Iterator<Item = (String, Pick)> {
    let seen = Row::ALL.into_iter().map(|row| (row.key().to_owned(), Pick::Seen(row)));
    let lasting = LastingRow::ALL.into_iter().map(|row| (row.key().to_owned(), Pick::Lasting(row)));
    let moves = MoveRow::all().into_iter().map(|row| (row.key(), Pick::Move(row)));
    let keepers = KeeperRow::ALL.into_iter().map(|row| (row.key().to_owned(), Pick::Keeper(row)));
    seen.chain(lasting).chain(moves).chain(keepers)
}

fn pick(text: &str) -> Result<Pick, String> {
    let found = picks().find(|(name, _)| name == text).map(|(_, pick)| pick);
    found.ok_or_else(|| {
        let names: Vec<String> = picks().map(|(name, _)| name).collect();
        format!("there is no row '{text}': there are {}", names.join(", "))
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
        assert_eq!(args.plan().keepers, [(KeeperRow::AwaitCrash, 2)]);
        assert!(args.plan().seen.is_empty() && args.plan().moves.is_empty());
        let args = Args::try_parse_from(["measure", "--only", "killed"]).unwrap();
        assert!(args.plan().keepers.is_empty() && args.plan().lasting.is_empty());
        let nothing = ["measure", "--only", "await-crash", "--trials", "await-crash=0"];
        assert!(Args::try_parse_from(nothing).unwrap().plan().is_empty());
    }

    #[test]
    fn a_wrong_row_is_answered_with_the_right_ones() {
        let error = trials("kiled=3").unwrap_err();
        assert!(
            ["killed", "lasting-kept", "move-a-killed-now"].iter().all(|row| error.contains(row)),
            "{error}"
        );
        assert!(trials("killed").is_err() && trials("killed=x").is_err());
    }
}
