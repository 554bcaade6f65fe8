//! `cargo measure`: failovers as users see them, beside the platform's floor of the same run.
//!
//! Not a test: nothing fails because it is slow. What is measured and how is told by [`row::Row`]; the order
//! by [`schedule`]; the document by [`report`].

mod args;
mod bench;
mod conditions;
mod floor;
mod goals;
mod group;
mod inside;
mod keeper;
mod keeper_report;
mod keeper_row;
mod lasting;
mod moves;
mod power;
mod record;
mod report;
mod row;
mod schedule;
mod slots;
mod stats;
mod trials;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;

use args::{Args, Plan};
use bench::Bench;
use floor::Floor;
use hotstandby_e2e::harness::{self, Env, Which};
use hotstandby_testbed::paths::{CONTROL_PLANE, workspace_root};
use hotstandby_testbed::progress::{Progress, exit_code, require_root};
use hotstandby_testbed::{Cluster, ClusterConfig, image};
use inside::{Hands, Inside};
use power::Power;
use record::{Conditions, Outcome, Run, Sample};
use row::Row;
use schedule::Counts;
use trials::Trials;

/// The whole program. [`hotstandby_testbed::reexec_entry`] must have been called before.
pub fn main() -> ExitCode {
    let args = Args::parse();
    match measure_or_read(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}

fn measure_or_read(args: &Args) -> Result<()> {
    let run = match args.from.split_first() {
        Some((first, others)) => {
            others.iter().try_fold(read(first)?, |run, other| anyhow::Ok(run.with(read(other)?)))?
        }
        None => measure(args)?,
    };
    println!("{}", report::plain(&run));
    if let Some(path) = &args.write {
        fs::write(path, report::document(&run)).with_context(|| format!("writing {}", path.display()))?;
        println!("written: {}", path.display());
    }
    Ok(())
}

fn read(path: &Path) -> Result<Run> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} holds no run of 'cargo measure'", path.display()))
}

fn measure(args: &Args) -> Result<Run> {
    require_root()?;
    let plan = args.plan();
    ensure!(!plan.is_empty(), "there is nothing to measure: all rows have 0 trials");
    let load_before = conditions::load();
    // Kept here, so that it ends after everything that uses it.
    let (_owned, which) = cluster(args)?;
    let prepared = harness::prepare(&which)?;
    if !plan.keepers.is_empty() {
        hotstandby_e2e::gatekeeper::build()?;
    }
    let cluster = prepared.cluster();
    let inside = Inside::start(&cluster.netns(CONTROL_PLANE), cluster.inside_kubeconfig())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("a runtime")?;
    let hands = inside.hands();
    let run = runtime.block_on(async move {
        let env = Env::install(prepared).await?;
        all(env, hands, &plan, load_before).await
    });
    drop(runtime);
    drop(inside);
    run
}

/// A cluster of our own is made here and not by the harness, whose clusters log what hotstandby asks for: that
/// would be measured too.
fn cluster(args: &Args) -> Result<(Option<Cluster>, Which)> {
    if let Some(name) = &args.cluster {
        return Ok((None, Which::Existing(name.clone())));
    }
    let progress = Progress::stderr();
    hotstandby_testbed::tools::ensure(&progress)?;
    let images = vec![image::hotstandby_archive(&progress)?];
    let config = ClusterConfig { images, ..ClusterConfig::new(&args.name) };
    let own = if args.keep { Cluster::start_detached(config)? } else { Cluster::start(config)? };
    Ok((Some(own), Which::Existing(args.name.clone())))
}

async fn all(env: Arc<Env>, hands: Hands, plan: &Plan, load_before: String) -> Result<Run> {
    let start = Instant::now();
    let conditions = Conditions::before(&env, load_before).await?;
    let mut log = Log { path: file(&conditions)?, run: Run { conditions, ..Run::default() }, start, env };
    let bench = Bench::start(log.env.clone(), hands).await?;
    let floor = Floor::create(&bench).await?;
    let (whole, floors_in_cuts) = schedule::share_floor(&plan.seen);
    whole_nodes(&bench, &floor, &whole, &mut log).await?;
    power_cuts(&bench, &floor, &schedule::cuts(&plan.seen), floors_in_cuts, &mut log).await?;
    floor.remove().await?;
    for (row, trials) in &plan.lasting {
        log.run.lasting.extend(lasting::row(&bench, *row, *trials).await?);
        log.save()?;
    }
    for (row, trials) in &plan.moves {
        log.run.moves.extend(moves::row(&log.env, *row, *trials).await?);
        log.save()?;
    }
    for (row, trials) in &plan.keepers {
        let samples = keeper::row(&log.env, *row, *trials).await?;
        log.run.gatekeeper.extend(samples);
        log.save()?;
    }
    log.save()?;
    log.env.progress.say(format!("every sample is in {}", log.path.display()));
    Ok(log.run)
}

async fn whole_nodes(bench: &Arc<Bench>, floor: &Floor, counts: &Counts, log: &mut Log) -> Result<()> {
    let order = schedule::interleave(counts);
    if order.is_empty() {
        return Ok(());
    }
    log.env.progress.say(format!("{} trials with all nodes up", order.len()));
    let trials = Trials::create(bench, counts).await?;
    let mut numbers: BTreeMap<Row, usize> = BTreeMap::new();
    for (turn, row) in order.iter().enumerate() {
        let number = numbers.entry(*row).or_default();
        let outcome = trials.trial(*row, floor, turn, *number).await;
        *number += 1;
        log.note(bench.sample(*row, outcome), &format!("{}/{}", turn + 1, order.len()))?;
    }
    log.env.progress.say("removing the groups");
    trials.remove().await
}

async fn power_cuts(
    bench: &Arc<Bench>,
    floor: &Floor,
    cuts: &[(bool, Vec<Row>)],
    mut floors: usize,
    log: &mut Log,
) -> Result<()> {
    if cuts.is_empty() {
        return Ok(());
    }
    log.env.progress.say(format!("{} power cuts", cuts.len()));
    let power = Power::create(bench).await?;
    for (turn, (lead, rows)) in cuts.iter().enumerate() {
        let progress = format!("cut {}/{}", turn + 1, cuts.len());
        if floors > 0 {
            floors -= 1;
            bench.calm(power::STEADY).await?;
            log.note(bench.sample(Row::Floor, floor.trial(Row::Floor, turn).await), &progress)?;
        }
        for (row, outcome) in power.cut(*lead, rows, turn).await? {
            log.note(bench.sample(row, outcome), &progress)?;
        }
    }
    power.remove().await
}

/// The run so far; saved after every trial, so that a run that was broken off is not lost.
struct Log {
    path: PathBuf,
    run: Run,
    start: Instant,
    env: Arc<Env>,
}

impl Log {
    fn note(&mut self, sample: Sample, progress: &str) -> Result<()> {
        let row = sample.row.key();
        let what = match &sample.outcome {
            Outcome::Seen(seen) => {
                let stages = seen.stages.map_or_else(String::new, |stages| {
                    let parts = record::STAGES.iter().zip(stages.all());
                    parts.map(|(name, value)| format!("{name} {value:.1}")).collect::<Vec<_>>().join(" ")
                });
                format!("{:.1} ms, {} failed, {}, {}", seen.gap_ms, seen.failed, seen.reason, stages)
            }
            Outcome::NoAnswer { limit_ms, failed } => {
                format!("NO ANSWER within {limit_ms:.0} ms, {failed} failed")
            }
            Outcome::Invalid { reason } => format!("invalid: {reason}"),
        };
        self.env.progress.say(format!("{progress} {row}: {what}"));
        self.run.samples.push(sample);
        self.save()
    }

    fn save(&mut self) -> Result<()> {
        self.run.conditions.took_s = self.start.elapsed().as_secs_f64();
        self.run.conditions.load_after = conditions::load();
        let text = serde_json::to_vec_pretty(&self.run).context("writing samples as JSON")?;
        fs::write(&self.path, text).with_context(|| format!("writing {}", self.path.display()))
    }
}

fn file(conditions: &Conditions) -> Result<PathBuf> {
    let folder = workspace_root().join(".cache/measured");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder.join(format!("{}.json", conditions.started.replace(':', ""))))
}
