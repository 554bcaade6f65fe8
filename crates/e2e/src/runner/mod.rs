//! Runs the tests: those that touch nothing but their own namespace side by side, then the others one after the other.

mod needs;
mod plan;
mod tally;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use futures::stream::{self, StreamExt as _};
use futures::{FutureExt as _, future::LocalBoxFuture};

use crate::harness::Env;
use crate::judge::Violation;
use crate::timeline;
use crate::trial::Trial;

pub(crate) use needs::Needs;
pub(crate) use plan::Plan;
pub(crate) use tally::{Ended, Tally};

/// No test takes longer than this.
const TEST_LIMIT: Duration = Duration::from_mins(4);

/// One test, named by what one fears.
#[derive(Clone, Copy)]
pub(crate) struct Fear {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it needs for itself alone.
    pub(crate) needs: Needs,
    /// The test.
    pub(crate) run: for<'t> fn(&'t mut Trial) -> LocalBoxFuture<'t, Result<()>>,
}

/// How tests are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct How {
    /// The most tests that run side by side.
    pub(crate) jobs: usize,
    /// Whether the timeline of a test that passed is printed as well.
    pub(crate) verbose: bool,
}

/// Runs all tests of a plan and returns how each of them ended.
pub(crate) async fn run(env: &Arc<Env>, plan: &Plan, how: How) -> Tally {
    let mut tally = Tally::begin();
    let mut beside =
        stream::iter(&plan.side_by_side).map(|fear| run_one(env, fear, how)).buffer_unordered(how.jobs);
    while let Some(ended) = beside.next().await {
        tally.add(ended);
    }
    for fear in &plan.alone {
        tally.add(run_one(env, fear, how).await);
    }
    tally.end()
}

/// Runs one test, prints how it ended, and removes what it made.
async fn run_one(env: &Arc<Env>, fear: &Fear, how: How) -> Ended {
    let start = Instant::now();
    let mut trial = match Trial::begin(env.clone(), fear.name).await {
        Ok(trial) => trial,
        Err(error) => {
            let why = format!("could not begin: {error:#}");
            println!("FAIL {:<38} {why}", fear.name);
            return Ended { fear: *fear, start, end: Instant::now(), failure: Some(why) };
        }
    };
    let outcome = run_guarded(&mut trial, fear).await;
    let (violations, outcome) = judge(&trial, outcome).await;
    let end = Instant::now();
    print!("{}", describe(&trial, fear, end - start, &violations, &outcome, how.verbose).await);
    trial.end_client();
    let mut failure = outcome.err().map(|error| format!("{error:#}"));
    if let Err(error) = tidy(&trial, fear.needs).await {
        let why = format!("left a mess: {error:#}");
        println!("FAIL {:<38} {why}", fear.name);
        failure.get_or_insert(why);
    }
    Ended { fear: *fear, start, end, failure }
}

/// All that is printed of a test that has ended, as one text: tests that run beside it print as well.
async fn describe(
    trial: &Trial,
    fear: &Fear,
    took: Duration,
    violations: &[Violation],
    outcome: &Result<()>,
    verbose: bool,
) -> String {
    let (word, why) = match outcome {
        Ok(()) => ("ok  ", String::new()),
        Err(error) => ("FAIL", format!("  {error:#}\n")),
    };
    let line = format!("{word} {:<38} {:6.1} s  {}\n", fear.name, took.as_secs_f64(), trial.notes());
    let timeline = match outcome {
        Ok(()) if !verbose => String::new(),
        _ => timeline::of(trial, violations).await,
    };
    format!("{line}{why}{timeline}")
}

/// Runs a test with a limit; a panic in it is a failure like another.
async fn run_guarded(trial: &mut Trial, fear: &Fear) -> Result<()> {
    let run = AssertUnwindSafe((fear.run)(trial)).catch_unwind();
    match tokio::time::timeout(TEST_LIMIT, run).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_panic)) => Err(anyhow!("the test panicked, see above")),
        Err(_) => Err(anyhow!("the test did not end within {TEST_LIMIT:?}")),
    }
}

/// Adds the watchdog's verdict to what the test said: a broken invariant fails it in any case.
async fn judge(trial: &Trial, outcome: Result<()>) -> (Vec<Violation>, Result<()>) {
    match trial.dog.judge().await {
        Ok(violations) if violations.is_empty() => (violations, outcome),
        Ok(violations) => {
            let broken = anyhow!("{} invariants were broken", violations.len());
            (
                violations,
                Err(outcome.err().map_or(broken, |error| error.context("an invariant was broken, too"))),
            )
        }
        Err(error) => (Vec::new(), outcome.and(Err(error.context("the watchdog could not judge")))),
    }
}

/// Removes a test's objects, and undoes its faults unless it can have made none.
///
/// A test beside others heals nothing: what looks broken then is the work of nobody, or of a bug that should be seen.
async fn tidy(trial: &Trial, needs: Needs) -> Result<()> {
    if needs != Needs::Namespace {
        trial.env.heal().await?;
    }
    trial.remove_objects().await
}
