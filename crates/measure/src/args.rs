//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::experiment::Experiment;
use crate::registry::{self, EXPERIMENTS};
use crate::schedule::Plan;

/// Measure failovers as users see them, beside what the platform itself needs, on a real Kubernetes made of network
/// namespaces on this machine. Requires root.
#[derive(Debug, Parser)]
#[command(name = "cargo measure", bin_name = "cargo measure", max_term_width = 100)]
pub(crate) struct Args {
    /// The number of trials of some experiments, such as killed=100,hang=20; others keep their usual number.
    #[arg(long, value_name = "NAME=N", value_delimiter = ',', value_parser = parse_trials)]
    trials: Vec<(&'static Experiment, usize)>,
    /// Run only these experiments, and the platform's floor if any of them is compared with it.
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = registry::find)]
    only: Vec<&'static Experiment>,
    /// Run a few trials of each experiment, to see whether it works.
    #[arg(long)]
    quick: bool,
    /// List the experiments that would run, and run none.
    #[arg(long)]
    pub(crate) list: bool,
    /// Leave the cluster up.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Use a cluster that is up, and leave it up.
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// The name of the cluster that is created.
    #[arg(long, value_name = "NAME", default_value = "measure", conflicts_with = "cluster")]
    pub(crate) name: String,
    /// Write the document about this run to a file.
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
    /// Measure nothing: print, and --write, the samples of an earlier run, or of several runs together. Only files that
    /// this version has written can be read for certain.
    #[arg(long, value_name = "JSON", num_args = 1..)]
    pub(crate) from: Vec<PathBuf>,
}

impl Args {
    /// How many trials of which experiments.
    pub(crate) fn plan(&self) -> Plan {
        let chosen = EXPERIMENTS.iter().filter(|experiment| self.is_chosen(experiment));
        let mut plan: Plan = chosen.map(|experiment| (experiment, self.count_trials(experiment))).collect();
        self.limit_floor(&mut plan);
        plan.retain(|(_, count)| *count > 0);
        plan
    }

    fn is_chosen(&self, experiment: &'static Experiment) -> bool {
        let needs_floor = self.only.iter().any(|only| only.is_failover());
        self.only.is_empty() || self.only.contains(&experiment) || (experiment.is_floor() && needs_floor)
    }

    fn find_given(&self, experiment: &Experiment) -> Option<usize> {
        let given = self.trials.iter().rev().find(|(given, _)| *given == experiment);
        given.map(|(_, count)| *count)
    }

    fn count_trials(&self, experiment: &Experiment) -> usize {
        let trials = experiment.trials;
        self.find_given(experiment).unwrap_or(if self.quick { trials.quick } else { trials.usual })
    }

    /// A few trials of other experiments need no more trials of the floor.
    fn limit_floor(&self, plan: &mut Plan) {
        let compared = plan.iter().filter(|(one, _)| one.is_failover() && !one.is_floor());
        let others: usize = compared.map(|(_, count)| count).sum();
        let Some((floor, count)) = plan.iter_mut().find(|(experiment, _)| experiment.is_floor()) else {
            return;
        };
        if others > 0 && self.find_given(floor).is_none() {
            *count = others.min(*count);
        }
    }
}

fn parse_trials(text: &str) -> Result<(&'static Experiment, usize), String> {
    let (key, count) = text.split_once('=').ok_or("write NAME=N, such as killed=100")?;
    let experiment = registry::find(key)?;
    let count = count.parse().map_err(|_| format!("'{count}' is not a number of trials"))?;
    Ok((experiment, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(words: &[&str]) -> Vec<(&'static str, usize)> {
        let args = Args::try_parse_from(std::iter::once("measure").chain(words.iter().copied())).unwrap();
        args.plan().into_iter().map(|(experiment, count)| (experiment.key, count)).collect()
    }

    #[test]
    fn all_experiments_run_if_none_is_chosen() {
        let usual: Vec<_> = EXPERIMENTS.iter().map(|one| (one.key, one.trials.usual)).collect();
        assert_eq!(plan(&[]), usual);
        let some = plan(&["--trials", "killed=3,hang=0,killed=7"]);
        assert!(some.contains(&("killed", 7)) && some.iter().all(|(key, _)| *key != "hang"), "{some:?}");
        assert!(plan(&["--quick"]).contains(&("node-off", 1)));
    }

    #[test]
    fn a_failover_comes_with_its_floor() {
        let some = plan(&["--only", "node-off", "--trials", "killed=7,node-off=3"]);
        assert_eq!(some, [("floor", 3), ("node-off", 3)]);
        assert_eq!(plan(&["--only", "hang", "--trials", "floor=50"]), [("floor", 50), ("hang", 30)]);
        assert_eq!(plan(&["--only", "floor"]), [("floor", 80)]);
    }

    #[test]
    fn other_experiments_need_no_floor() {
        let some = plan(&["--only", "await-crash,lasting-kept", "--trials", "await-crash=2,killed=3"]);
        assert_eq!(some, [("lasting-kept", 3), ("await-crash", 2)]);
        assert_eq!(plan(&["--only", "await-crash", "--trials", "await-crash=0"]), []);
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_that_exist() {
        let error = parse_trials("kiled=3").unwrap_err();
        let names = ["killed", "lasting-kept", "move-a-killed-now"];
        assert!(names.iter().all(|name| error.contains(name)), "{error}");
        assert!(parse_trials("killed").is_err() && parse_trials("killed=x").is_err());
    }
}
