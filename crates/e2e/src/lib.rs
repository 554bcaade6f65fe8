//! The end-to-end tests: a real cluster, hotstandby on it as users install it, one fear at a time.
//!
//! While a test runs, a watchdog follows every version of its objects and holds them against the invariants
//! of `docs/invariants.md`, and a client opens a new connection every 5 ms. Time limits are generous, because the
//! machine is shared with the whole cluster; how fast it is gets measured by `cargo measure`.

mod args;
pub mod audit;
pub mod conformance;
mod demo;
mod fears;
pub mod feeder;
pub mod gatekeeper;
pub mod harness;
pub mod held;
pub mod judge;
pub mod led;
pub mod migration;
pub mod objects;
pub mod old;
mod runner;
pub mod scene;
mod timeline;
pub mod trial;
pub mod view;
pub mod watchdog;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Parser as _;

use args::{Args, Command, OldSystem};
use harness::{Env, Which};
use hotstandby_testbed::progress::exit_code;
use old::System;
use runner::{Fear, How, Plan};

/// The whole program. [`hotstandby_testbed::reexec_entry`] must have been called before.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let result = match args.command {
        Some(Command::Demo(demo)) => demo::run(&demo).map(|()| ExitCode::SUCCESS),
        Some(Command::Conformance(which)) => {
            crate::conformance::run(which.cluster, &which.name, which.update)
        }
        Some(Command::Old(old)) => {
            let system = match old.system {
                OldSystem::A => System::A,
                OldSystem::B => System::B,
                OldSystem::D => System::D { app: old.app, pause: Duration::from_secs(old.pause) },
            };
            old::run_until_enter(&old.cluster, &old.namespace, system).map(|()| ExitCode::SUCCESS)
        }
        None => test(&args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(exit_code(&error))
    })
}

fn test(args: &Args) -> Result<ExitCode> {
    let chosen = choose(&args.filter)?;
    if args.list {
        for fear in &chosen {
            println!("{:<56} {}", fear.name, fear.needs.name());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let which = args.cluster.clone().map_or_else(|| Which::Own(args.name.clone()), Which::Existing);
    let start = Instant::now();
    // Ahead of the tests, whose time is limited.
    if chosen.iter().any(|fear| fear.name.starts_with("await_")) {
        crate::gatekeeper::build()?;
        crate::gatekeeper::build_clocked()?;
    }
    let prepared = harness::prepare(&which)?;
    let runtime = runtime()?;
    let plan = Plan::of(&chosen, args.order.serial);
    let how = How { jobs: usize::from(args.order.jobs), verbose: args.verbose };
    let (tally, env) = runtime.block_on(async {
        let env = Env::install(prepared).await?;
        env.set_runs_all(plan.len() == fears::ALL.len());
        anyhow::Ok((runner::run(&env, &plan, how).await, env))
    })?;
    if args.keep {
        println!("the cluster stays up until Enter, or the end of this program:");
        println!("export KUBECONFIG={}", env.cluster.host_kubeconfig().display());
        let _any_input = std::io::stdin().read_line(&mut String::new());
    }
    drop(env);
    drop(runtime);
    print!("{}", tally.times());
    println!(
        "end-to-end tests: {:.0} s with building and starting the cluster",
        start.elapsed().as_secs_f64()
    );
    let failed = tally.failed();
    // Again at the end: a reader who sees only the last lines learns what to look for.
    for (name, why) in &failed {
        println!("FAIL {name}: {why}");
    }
    println!("{} passed, {} failed", tally.passed(), failed.len());
    Ok(ExitCode::from(u8::from(!failed.is_empty())))
}

/// The tests whose names contain one of the words, or all.
fn choose(words: &[String]) -> Result<Vec<Fear>> {
    let contains =
        |fear: &&Fear| words.is_empty() || words.iter().any(|word| fear.name.contains(word.as_str()));
    let chosen: Vec<Fear> = fears::ALL.iter().filter(contains).copied().collect();
    if chosen.is_empty() {
        bail!("no test is called like {}: --list shows them all", words.join(" or "));
    }
    Ok(chosen)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("making a runtime")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_distinct_and_make_namespaces() {
        let names: BTreeSet<&str> = fears::ALL.iter().map(|fear| fear.name).collect();
        assert_eq!(names.len(), fears::ALL.len());
        // A namespace is the name with a dash and six digits, of at most 63 characters.
        assert!(names.iter().all(|name| name.len() <= 56), "{names:?}");
    }

    #[test]
    fn a_word_that_chooses_nothing_is_said() {
        let choose = |word: &str| choose(&[word.to_owned()]);
        assert!(choose("process_killed").is_ok_and(|chosen| !chosen.is_empty()));
        assert!(choose("no-such").is_err());
    }
}
