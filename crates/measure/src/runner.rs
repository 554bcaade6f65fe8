//! Runs the experiments of a plan, and records every trial.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::bench::Bench;
use crate::experiment::{Experiment, Procedure};
use crate::failovers::Failovers;
use crate::floor::Floor;
use crate::inside::Hands;
use crate::power_cuts::{self, PowerCuts};
use crate::record::{Conditions, Outcome, Run, Sample};
use crate::schedule::{self, Cut, Plan};
use crate::{conditions, connections, gatekeeper, migration, registry};
use hotstandby_e2e::harness::Env;
use hotstandby_testbed::paths::workspace_root;

/// Runs all experiments of a plan.
pub(crate) async fn run(env: Arc<Env>, hands: Hands, plan: &Plan, load_before: String) -> Result<Run> {
    let mut recorder = Recorder::start(env.clone(), load_before).await?;
    let bench = Bench::start(env, hands).await?;
    let floor = Floor::create(&bench).await?;
    let (mixed, floors_among_cuts) = schedule::share_floor(plan);
    run_mixed(&bench, &floor, &mixed, &mut recorder).await?;
    run_power_cuts(&bench, &floor, &schedule::plan_cuts(plan), floors_among_cuts, &mut recorder).await?;
    floor.remove().await?;
    for (experiment, trials) in plan {
        let series = Series { experiment, trials: *trials, recorder: &mut recorder };
        match experiment.procedure {
            Procedure::Connection(ending) => connections::run_series(&bench, ending, series).await?,
            Procedure::Migration(migration) => migration::run_series(migration, series).await?,
            Procedure::Gatekeeper(election) => gatekeeper::run_series(election, series).await?,
            Procedure::Floor { .. } | Procedure::Failover { .. } | Procedure::PowerCut { .. } => {}
        }
    }
    recorder.finish()
}

async fn run_mixed(bench: &Arc<Bench>, floor: &Floor, mixed: &Plan, recorder: &mut Recorder) -> Result<()> {
    let order = schedule::interleave(mixed);
    if order.is_empty() {
        return Ok(());
    }
    recorder.env.progress.say(format!("{} trials with all nodes up", order.len()));
    let failovers = Failovers::create(bench, mixed).await?;
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    for (turn, experiment) in order.iter().enumerate() {
        let number = numbers.entry(experiment.key).or_default();
        let outcome = failovers.run_trial(experiment, floor, turn, *number).await;
        *number += 1;
        recorder.record(experiment, outcome, &format!("{}/{}", turn + 1, order.len()))?;
    }
    recorder.env.progress.say("removing the groups");
    failovers.remove().await
}

async fn run_power_cuts(
    bench: &Arc<Bench>,
    floor: &Floor,
    cuts: &[Cut],
    floors: usize,
    recorder: &mut Recorder,
) -> Result<()> {
    if cuts.is_empty() {
        return Ok(());
    }
    recorder.env.progress.say(format!("{} power cuts", cuts.len()));
    let power_cuts = PowerCuts::create(bench).await?;
    for (turn, cut) in cuts.iter().enumerate() {
        let progress = format!("cut {}/{}", turn + 1, cuts.len());
        if turn < floors {
            bench.wait_until_calm(power_cuts::STEADY).await?;
            recorder.record(registry::floor(), floor.run_trial(false, turn).await, &progress)?;
        }
        for (experiment, outcome) in power_cuts.run_cut(cut, turn).await? {
            recorder.record(experiment, outcome, &progress)?;
        }
    }
    power_cuts.remove().await
}

/// The trials of one experiment that run one after the other and share nothing with other experiments.
pub(crate) struct Series<'r> {
    /// The experiment.
    pub(crate) experiment: &'static Experiment,
    /// How many trials.
    pub(crate) trials: usize,
    recorder: &'r mut Recorder,
}

impl Series<'_> {
    /// Cluster and hotstandby.
    pub(crate) fn env(&self) -> &Arc<Env> {
        &self.recorder.env
    }

    /// Records a trial; the first has number 0.
    pub(crate) fn record(&mut self, number: usize, outcome: Outcome) -> Result<()> {
        self.recorder.record(self.experiment, outcome, &format!("{}/{}", number + 1, self.trials))
    }
}

/// The run so far. It is saved after every trial, so that a run that is interrupted is not lost.
struct Recorder {
    env: Arc<Env>,
    path: PathBuf,
    start: Instant,
    run: Run,
}

impl Recorder {
    async fn start(env: Arc<Env>, load_before: String) -> Result<Self> {
        let start = Instant::now();
        let conditions = Conditions::read(&env, load_before).await?;
        let folder = workspace_root().join(".cache/measured");
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let path = folder.join(format!("{}.json", conditions.started.replace(':', "")));
        Ok(Self { env, path, start, run: Run { conditions: vec![conditions], samples: Vec::new() } })
    }

    fn record(&mut self, experiment: &'static Experiment, outcome: Outcome, progress: &str) -> Result<()> {
        self.env.progress.say(format!("{progress} {}: {}", experiment.key, outcome.describe()));
        let at_s = self.start.elapsed().as_secs_f64();
        self.run.samples.push(Sample { experiment, at_s, outcome });
        self.save()
    }

    fn save(&mut self) -> Result<()> {
        for conditions in &mut self.run.conditions {
            conditions.took_s = self.start.elapsed().as_secs_f64();
            conditions.load_after = conditions::read_load();
        }
        let text = serde_json::to_vec_pretty(&self.run).context("writing samples as JSON")?;
        fs::write(&self.path, text).with_context(|| format!("writing {}", self.path.display()))
    }

    fn finish(mut self) -> Result<Run> {
        self.save()?;
        self.env.progress.say(format!("every sample is in {}", self.path.display()));
        Ok(self.run)
    }
}
