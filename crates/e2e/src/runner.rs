//! Runs the tests one after the other and tells how each ended.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;

use super::harness::Env;
use super::judge::Violation;
use super::objects::Kind;
use super::timeline;
use super::trial::Trial;
use hotstandby_testbed::wait::until;

/// No test takes as long as this.
const TEST_LIMIT: Duration = Duration::from_mins(4);

/// One test, named by what one fears.
#[derive(Clone, Copy)]
pub(crate) struct Fear {
    /// Its name.
    pub(crate) name: &'static str,
    /// The test.
    pub(crate) run: for<'t> fn(&'t mut Trial) -> LocalBoxFuture<'t, Result<()>>,
}

/// How many tests passed, and which failed.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    /// Passed.
    pub(crate) passed: usize,
    /// Failed, each with its reason.
    pub(crate) failed: Vec<(&'static str, String)>,
}

/// Runs them all.
pub(crate) async fn run(env: &Arc<Env>, fears: &[Fear], verbose: bool) -> Tally {
    let mut tally = Tally::default();
    for fear in fears {
        match one(env, fear, verbose).await {
            Ok(()) => tally.passed += 1,
            Err(why) => tally.failed.push((fear.name, why)),
        }
    }
    tally
}

/// Runs one and tells how it ended; if it failed, why in a line.
async fn one(env: &Arc<Env>, fear: &Fear, verbose: bool) -> Result<(), String> {
    let start = Instant::now();
    let mut trial = match Trial::begin(env.clone(), fear.name).await {
        Ok(trial) => trial,
        Err(error) => {
            let why = format!("could not begin: {error:#}");
            println!("FAIL {:<38} {why}", fear.name);
            return Err(why);
        }
    };
    let outcome = guarded(&mut trial, fear).await;
    let (violations, outcome) = judged(&trial, outcome).await;
    let took = start.elapsed().as_secs_f64();
    match &outcome {
        Ok(()) => {
            println!("ok   {:<38} {took:6.1} s  {}", fear.name, trial.notes());
            if verbose {
                print!("{}", timeline::of(&trial, &violations).await);
            }
        }
        Err(error) => {
            println!("FAIL {:<38} {took:6.1} s  {}", fear.name, trial.notes());
            println!("  {error:#}");
            print!("{}", timeline::of(&trial, &violations).await);
        }
    }
    trial.end_client();
    if let Err(error) = tidy(&trial).await {
        let why = format!("left a mess: {error:#}");
        println!("FAIL {:<38} {why}", fear.name);
        return Err(why);
    }
    outcome.map_err(|error| format!("{error:#}"))
}

/// Runs a test with a limit; a panic in it is a failure like another.
async fn guarded(trial: &mut Trial, fear: &Fear) -> Result<()> {
    let run = AssertUnwindSafe((fear.run)(trial)).catch_unwind();
    match tokio::time::timeout(TEST_LIMIT, run).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_panic)) => Err(anyhow!("the test panicked, see above")),
        Err(_) => Err(anyhow!("the test did not end within {TEST_LIMIT:?}")),
    }
}

/// Whatever a test says: the invariants must have held.
async fn judged(trial: &Trial, outcome: Result<()>) -> (Vec<Violation>, Result<()>) {
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

/// Removes the test's objects and undoes its faults, so that the next one finds the cluster whole.
pub async fn tidy(trial: &Trial) -> Result<()> {
    let env = &trial.env;
    env.heal().await?;
    // The groups first: were the pods to go first, the seats would move from one dying pod to the next.
    let (groups, _) = env.objects.list(Kind::ActiveStandby, &trial.namespace, "").await?;
    for group in &groups {
        env.objects.delete(Kind::ActiveStandby, &trial.namespace, super::objects::name_of(group)).await?;
    }
    env.objects.delete(Kind::Namespace, "", &trial.namespace).await?;
    // Changes of endpoints would get in the way of the next test's. The rest may take its time.
    until(Duration::from_secs(30), "the test's Services and slices to go", async || {
        let (slices, _) = env.objects.list(Kind::EndpointSlice, &trial.namespace, "").await?;
        let (services, _) = env.objects.list(Kind::Service, &trial.namespace, "").await?;
        Ok((slices.is_empty() && services.is_empty()).then_some(()))
    })
    .await
    .context("deleting the test's namespace")
}
