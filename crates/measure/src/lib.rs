//! `cargo measure`: failovers as users see them, beside the platform's floor of the same run.
//!
//! It is not a test: nothing fails because it is slow. The [`registry`] lists what is measured, [`schedule`] puts the
//! trials into an order, [`runner`] runs them, and [`report`] writes the document.

mod args;
mod bench;
mod conditions;
mod connections;
mod experiment;
mod failovers;
mod floor;
mod gatekeeper;
mod goals;
mod group;
mod inside;
mod migration;
mod power_cuts;
mod record;
mod registry;
mod report;
mod runner;
mod schedule;
mod slots;
mod stats;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;

use args::Args;
use experiment::{Experiment, Procedure};
use hotstandby_e2e::harness::{self, Env, Which};
use hotstandby_testbed::paths::CONTROL_PLANE;
use hotstandby_testbed::progress::{Progress, exit_code, require_root};
use hotstandby_testbed::{Cluster, ClusterConfig, image};
use inside::Inside;
use record::Run;
use schedule::Plan;

/// The whole program. [`hotstandby_testbed::reexec_entry`] must have been called before.
pub fn main() -> ExitCode {
    let args = Args::parse();
    if args.list {
        print!("{}", list_experiments(&args.plan()));
        return ExitCode::SUCCESS;
    }
    match measure_or_read(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}

fn measure_or_read(args: &Args) -> Result<()> {
    let run = if args.from.is_empty() { measure(args)? } else { read_runs(&args.from)? };
    println!("{}", report::render_tables(&run));
    if let Some(path) = &args.write {
        fs::write(path, report::render_document(&run))
            .with_context(|| format!("writing {}", path.display()))?;
        println!("written: {}", path.display());
    }
    Ok(())
}

fn read_runs(paths: &[PathBuf]) -> Result<Run> {
    let mut runs = Run::default();
    for path in paths {
        runs = runs.merge(read_run(path)?);
    }
    Ok(runs)
}

fn read_run(path: &Path) -> Result<Run> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| {
        format!("{} is not a run that this version of 'cargo measure' has recorded", path.display())
    })
}

fn measure(args: &Args) -> Result<Run> {
    require_root()?;
    let plan = args.plan();
    ensure!(!plan.is_empty(), "there is nothing to measure: all experiments have 0 trials");
    let load_before = conditions::read_load();
    // The cluster is kept in this variable so that it ends after everything that uses it.
    let (_owned, which) = find_cluster(args)?;
    let prepared = harness::prepare(&which)?;
    if plan.iter().any(|(experiment, _)| uses_gatekeeper(experiment)) {
        hotstandby_e2e::gatekeeper::build()?;
    }
    let cluster = prepared.cluster();
    let inside = Inside::start(&cluster.netns(CONTROL_PLANE), cluster.inside_kubeconfig())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("a runtime")?;
    let hands = inside.hands();
    let run = runtime.block_on(async move {
        let env = Env::install(prepared).await?;
        runner::run(env, hands, &plan, load_before).await
    });
    drop(runtime);
    drop(inside);
    run
}

/// A cluster of our own is created here and not by the harness: the harness's clusters log what hotstandby asks for, and
/// that would be measured too.
fn find_cluster(args: &Args) -> Result<(Option<Cluster>, Which)> {
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

fn uses_gatekeeper(experiment: &Experiment) -> bool {
    matches!(experiment.procedure, Procedure::Gatekeeper(_))
}

/// What `--list` prints.
fn list_experiments(plan: &Plan) -> String {
    let mut text = String::new();
    for (experiment, trials) in plan {
        let Experiment { key, title, method, goals, .. } = experiment;
        let goals: Vec<String> = goals.iter().map(|goal| goal.describe()).collect();
        let goals = if goals.is_empty() { "none".to_owned() } else { goals.join(", ") };
        let _written = writeln!(text, "{key}={trials}\n  {title}\n  {method}.\n  Goals: {goals}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_name_trials_title_method_and_goals() {
        let text = list_experiments(&vec![(registry::find("switchover").unwrap(), 7)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["switchover=7", "  switchover, by annotation"]);
        assert!(lines[2].contains("is patched") && lines[2].ends_with('.'), "{text}");
        assert_eq!(lines[3], "  Goals: p99 ≤ 100 ms, 0 failed requests, p50 ≤ 1.5 × floor");
    }
}
