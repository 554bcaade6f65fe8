//! A seeded driver: random trouble against one to three groups that share one modelled world.
//!
//! `HOTSTANDBY_SEED=7 cargo test -p hotstandby-core --test driver -- --nocapture` replays one run with a trace,
//! `HOTSTANDBY_SEEDS=0..5000` runs more. What is modelled and what is asserted: `driver/README.md`.

// The lints for shipped code; a harness may fail loudly, also outside of #[test] functions.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::unchecked_time_subtraction)]

#[path = "driver/calls.rs"]
mod calls;
#[path = "driver/check.rs"]
mod check;
#[path = "driver/checkers.rs"]
mod checkers;
#[path = "driver/election.rs"]
mod election;
#[path = "driver/faults.rs"]
mod faults;
#[path = "driver/history.rs"]
mod history;
#[path = "driver/knowledge.rs"]
mod knowledge;
#[path = "driver/marked.rs"]
mod marked;
#[path = "driver/op.rs"]
mod op;
#[path = "driver/probing.rs"]
mod probing;
#[path = "driver/replica.rs"]
mod replica;
#[path = "driver/rng.rs"]
mod rng;
#[path = "driver/run.rs"]
mod run;
#[path = "driver/shrink.rs"]
mod shrink;
#[path = "driver/sim.rs"]
mod sim;
#[path = "driver/truth.rs"]
mod truth;
#[path = "driver/world.rs"]
mod world;

use sim::Tally;
use std::ops::Range;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The seeds that every `cargo test` runs.
const FIXED: Range<u64> = 0..60;
/// Seeds that are new each time, until this is spent.
const MORE_FOR: Duration = Duration::from_secs(2);

/// Runs a seed; a fault is made small before it is told. `trace`: prints what happened in the smallest run.
fn drive(seed: u64, trace: bool) -> Tally {
    let ops = run::schedule_of(seed);
    let failure = match run::run(seed, &ops, false) {
        Ok(tally) => {
            if trace {
                let _ = run::run(seed, &ops, true);
            }
            return tally;
        }
        Err(failure) => failure,
    };
    let (first, at) = (failure.message.clone(), failure.step);
    let (small, last) = shrink::shrink(seed, &ops, failure);
    if trace {
        let _ = run::run(seed, &small, true);
    }
    let lines: Vec<String> = small.iter().map(|op| format!("  +{:?} {:?}", op.after, op.what)).collect();
    panic!(
        "seed {seed}, step {at}: {first}\nreplay: HOTSTANDBY_SEED={seed} cargo test -p hotstandby-core --test driver \
         -- --nocapture\nsmallest schedule found ({}):\n{}",
        last.message,
        lines.join("\n")
    );
}

fn asked_for() -> Option<Range<u64>> {
    let text = std::env::var("HOTSTANDBY_SEEDS").ok()?;
    let (from, to) = text.split_once("..").expect("HOTSTANDBY_SEEDS=FROM..TO");
    Some(from.parse().expect("a number")..to.parse().expect("a number"))
}

#[test]
fn seeds() {
    if let Ok(seed) = std::env::var("HOTSTANDBY_SEED") {
        let seed = seed.parse().expect("HOTSTANDBY_SEED is a number");
        let tally = drive(seed, true);
        eprintln!("{} steps, {:?}", tally.steps, tally.counts);
        return;
    }
    let range = asked_for().unwrap_or(FIXED);
    let mut failed = Vec::new();
    let (mut tally, count) = (Tally::default(), range.end - range.start);
    for seed in range {
        match std::panic::catch_unwind(|| drive(seed, false)) {
            Ok(more) => tally.add(&more),
            Err(_) if std::env::var("HOTSTANDBY_GO_ON").is_ok() => failed.push(seed),
            Err(fault) => std::panic::resume_unwind(fault),
        }
    }
    eprintln!("{count} seeds, {} steps, {:?}", tally.steps, tally.counts);
    assert!(failed.is_empty(), "seeds {failed:?} failed");
}

#[test]
fn seeds_of_the_day() {
    if std::env::var("HOTSTANDBY_SEED").is_ok() || asked_for().is_some() {
        return;
    }
    let begun = Instant::now();
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let first = u64::try_from(clock.as_nanos() % 1_000_000_007).expect("small") + 1_000_000;
    let mut seeds = first..;
    while begun.elapsed() < MORE_FOR {
        drive(seeds.next().expect("enough numbers"), false);
    }
    let count = seeds.start - first;
    eprintln!("{count} seeds from {first}");
}

#[test]
fn a_seed_is_the_same_run_each_time() {
    let once = run::run(3, &run::schedule_of(3), false).map_err(|failure| failure.message);
    let twice = run::run(3, &run::schedule_of(3), false).map_err(|failure| failure.message);
    assert_eq!(once, twice);
}
