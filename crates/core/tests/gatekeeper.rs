//! The gatekeeper's protocol: cases, and seeded schedules of rivals that share one modelled Lease.
//!
//! `HOTSTANDBY_SEED=7 cargo test -p hotstandby-core --test gatekeeper seeds -- --nocapture` replays one run with a trace,
//! `HOTSTANDBY_SEEDS=0..20000` runs more, `HOTSTANDBY_BEND=NoKiller` takes a rule out in a replay.
//! What is modelled and what is asserted: `gatekeeper/README.md`.

// The lints for shipped code; a harness may fail loudly, also outside of #[test] functions.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::unchecked_time_subtraction)]

#[path = "gatekeeper/bench.rs"]
mod bench;
#[path = "gatekeeper/bend.rs"]
mod bend;
#[path = "gatekeeper/cases/mod.rs"]
mod cases;
#[path = "gatekeeper/member.rs"]
mod member;
#[path = "gatekeeper/op.rs"]
mod op;
#[path = "gatekeeper/plain.rs"]
mod plain;
#[allow(dead_code, reason = "shared with the driver, which needs more of it")]
#[path = "driver/rng.rs"]
mod rng;
#[path = "gatekeeper/run.rs"]
mod run;
#[path = "gatekeeper/shell.rs"]
mod shell;
#[path = "gatekeeper/sim.rs"]
mod sim;
#[path = "gatekeeper/store.rs"]
mod store;
#[path = "gatekeeper/trouble.rs"]
mod trouble;

use bend::Bend;
use sim::Tally;
use std::ops::Range;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The seeds that every `cargo test` runs.
const FIXED: Range<u64> = 0..400;
/// Seeds that are new each time, until this is spent.
const MORE_FOR: Duration = Duration::from_secs(3);
/// What the fixed seeds must bring about.
const MUST_HAPPEN: [&str; 12] = [
    "TERM by the killer's deadline",
    "command started",
    "killed by the elector",
    "killed by the killer's deadline",
    "lease deleted",
    "plain gave up",
    "plain started",
    "released",
    "start came too late",
    "stored without an answer",
    "taken from another",
    "write in vain",
];
/// A rule that is missing must show within this many seeds.
const SHOWS_WITHIN: u64 = 4_000;

fn drive(seed: u64, bend: Bend, trace: bool) -> Tally {
    let ops = run::schedule_of(seed);
    let wrong = match run::run(seed, &ops, bend, false) {
        Ok(tally) => {
            if trace {
                let _ = run::run(seed, &ops, bend, true);
            }
            return tally;
        }
        Err(wrong) => wrong,
    };
    let small = run::shrink(seed, &ops, bend, &wrong);
    if trace {
        let _ = run::run(seed, &small, bend, true);
    }
    let lines: Vec<String> = small.iter().map(|op| format!("  {op:?}")).collect();
    panic!(
        "seed {seed}: {wrong}\nreplay: HOTSTANDBY_SEED={seed} HOTSTANDBY_BEND={bend:?} cargo test -p hotstandby-core \
         --test gatekeeper seeds -- --nocapture\nsmallest schedule found:\n{}",
        lines.join("\n")
    );
}

fn asked_for() -> Option<Range<u64>> {
    let text = std::env::var("HOTSTANDBY_SEEDS").ok()?;
    let (from, to) = text.split_once("..").expect("HOTSTANDBY_SEEDS=FROM..TO");
    Some(from.parse().expect("a number")..to.parse().expect("a number"))
}

fn asked_bend() -> Bend {
    let Ok(name) = std::env::var("HOTSTANDBY_BEND") else { return Bend::Nothing };
    let known = bend::ALL.into_iter().chain([Bend::Nothing]);
    known.into_iter().find(|bend| format!("{bend:?}") == name).expect("HOTSTANDBY_BEND names a rule")
}

#[test]
fn seeds_never_run_two_commands_at_once() {
    if let Ok(seed) = std::env::var("HOTSTANDBY_SEED") {
        let tally = drive(seed.parse().expect("HOTSTANDBY_SEED is a number"), asked_bend(), true);
        eprintln!("{tally:?}");
        return;
    }
    let range = asked_for().unwrap_or(FIXED);
    let count = range.end - range.start;
    let mut tally = Tally::new();
    for seed in range {
        for (what, times) in drive(seed, Bend::Nothing, false) {
            *tally.entry(what).or_default() += times;
        }
    }
    eprintln!("{count} seeds: {tally:#?}");
    if asked_for().is_none() {
        for what in MUST_HAPPEN {
            assert!(tally.contains_key(what), "never: {what}. The schedules test less than they seem to");
        }
    }
}

#[test]
fn seeds_of_the_day_never_run_two_commands_at_once() {
    if std::env::var("HOTSTANDBY_SEED").is_ok() || asked_for().is_some() {
        return;
    }
    let begun = Instant::now();
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let first = u64::try_from(clock.as_nanos() % 1_000_000_007).expect("small") + 1_000_000;
    let mut seeds = first..;
    while begun.elapsed() < MORE_FOR {
        drive(seeds.next().expect("enough numbers"), Bend::Nothing, false);
    }
    eprintln!("{} seeds from {first}", seeds.start - first);
}

#[test]
fn a_seed_is_the_same_run_each_time() {
    let once = run::run(3, &run::schedule_of(3), Bend::Nothing, false);
    let twice = run::run(3, &run::schedule_of(3), Bend::Nothing, false);
    assert_eq!(once, twice);
}

/// What is not promised: where the command's own machine stands still, two may live. What they write to can tell by the term.
#[test]
fn a_machine_frozen_whole_is_fenced_by_the_term_alone() {
    let overlaps: Vec<_> = (0..60).filter_map(run::freeze_a_machine).collect();
    assert!(overlaps.len() > 10, "only {} of 60 frozen machines had a successor", overlaps.len());
    for (frozen, successor) in overlaps {
        assert!(frozen < successor, "the frozen command's term {frozen} is not below {successor}");
    }
}

/// The checkers see what they are there for: with any one rule taken out, some seed breaks I2.
#[test]
fn without_any_one_rule_two_commands_run() {
    for bend in bend::ALL {
        let found = (0..SHOWS_WITHIN).find_map(|seed| {
            let wrong = run::run(seed, &run::schedule_of(seed), bend, false).err()?;
            wrong.starts_with("I2").then_some((seed, wrong))
        });
        let (seed, wrong) = found.unwrap_or_else(|| panic!("{bend:?}: the rule is not needed in any seed"));
        eprintln!("{bend:?}: seed {seed}: {wrong}");
    }
}
