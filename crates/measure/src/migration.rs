//! What users of older systems have today and have with hotstandby: their manifests, with stand-ins for the older
//! controllers and with hotstandby.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;

use crate::experiment::{Migration, OlderSystem};
use crate::group::to_millis;
use crate::record::Outcome;
use crate::runner::Series;
use hotstandby_e2e::harness::{START_LIMIT, blocking};
use hotstandby_e2e::migration::{A, B, D, Users};
use hotstandby_e2e::old::{Old, System};
use hotstandby_e2e::trial::{Active, PATIENT, Trial};
use hotstandby_testbed::faults::Inflicted;
use hotstandby_testbed::trace::Trace;
use hotstandby_testbed::wait::{fault_lasts, until};

/// The pause of D's loop, as most of its users have it.
const PAUSE: Duration = Duration::from_secs(10);
/// After another pod answered the client continues: for kube-proxy's second, and some more.
const AFTERWARDS: Duration = Duration::from_millis(1_500);

impl Migration {
    fn users(self) -> &'static Users {
        match self.system {
            OlderSystem::A => &A,
            OlderSystem::B => &B,
            OlderSystem::D => &D,
        }
    }

    /// For how long an answer is waited for.
    fn limit(self) -> Duration {
        Duration::from_secs(if self.node_off { 90 } else { 30 })
    }
}

/// Runs all trials of one experiment.
pub(crate) async fn run_series(migration: Migration, mut series: Series<'_>) -> Result<()> {
    let mut trial = Trial::begin(series.env().clone(), &series.experiment.key.replace('-', "_")).await?;
    match deploy(&trial, migration).await.context("could not be prepared") {
        Ok(old) => {
            for number in 0..series.trials {
                let result = run_trial(&mut trial, migration).await;
                series.record(number, Outcome::from_result(result))?;
            }
            if let Some(old) = old {
                old.stop()?;
            }
        }
        Err(error) => series.record(0, Outcome::from_result(Err(error)))?,
    }
    trial.end_client();
    trial.env.heal().await?;
    trial.remove_objects().await
}

/// Applies the users' manifest, and starts the controller in charge.
async fn deploy(trial: &Trial, migration: Migration) -> Result<Option<Old>> {
    let users = migration.users();
    if migration.with_hotstandby {
        trial.deploy_users(users).await?;
        trial.take_over(users).await?;
        return Ok(None);
    }
    trial.without_hotstandby().await?;
    let old = match migration.system {
        OlderSystem::A => {
            trial.deploy_users(users).await?;
            trial.start_old(System::A).await?
        }
        // B ignores pods that are older than it.
        OlderSystem::B => {
            let old = trial.start_old(System::B).await?;
            trial.deploy_users(users).await?;
            old
        }
        OlderSystem::D => {
            trial.deploy_users(users).await?;
            trial.start_old(System::D { app: users.app.1.to_owned(), pause: PAUSE }).await?
        }
    };
    trial.led_to(users, PATIENT, "the old controller's choice", |_| true).await?;
    Ok(Some(old))
}

/// The old controller of A never removes a label: after a trial two pods are active, until a user removes one label by hand.
async fn leave_one_label(trial: &Trial, users: &Users) -> Result<()> {
    let actives = users.actives(&trial.dog.world());
    for active in actives.iter().skip(1) {
        trial.relabel(&active.pod, users.active.0, None).await?;
    }
    Ok(())
}

async fn run_trial(trial: &mut Trial, migration: Migration) -> Result<Outcome> {
    let users = migration.users();
    trial.pods_ready(users, users.pods).await?;
    if migration.system == OlderSystem::A && !migration.with_hotstandby {
        leave_one_label(trial, users).await?;
    }
    let active = trial.led_to(users, START_LIMIT, "one pod", |_| true).await?;
    trial.rested().await?;
    trial.start_users_client(users, &[&active.node]).await?;
    let fault = inflict(trial, migration, &active).await?;
    let back = wait_for_answer(trial, fault.at, migration.limit()).await;
    fault_lasts(AFTERWARDS).await;
    let trace = trial.trace();
    trial.end_client();
    if migration.node_off {
        let (env, node) = (trial.env.clone(), active.node.clone());
        blocking(move || env.cluster.faults().power_on(&node)).await?;
        trial.env.cluster.wait_node_ready(&active.node, true, START_LIMIT).await?;
    }
    let failed = u64::try_from(trace.failed()).unwrap_or(u64::MAX);
    if back.is_err() {
        return Ok(Outcome::TimedOut { limit_ms: to_millis(migration.limit()), failed });
    }
    let longest = find_longest_outage(&trace, fault.at).context("the fault was not felt")?;
    let moved = trace.failover_from(fault.at, &active.pod).is_some();
    Ok(Outcome::Outage { ms: to_millis(longest), failed, moved })
}

async fn inflict(trial: &Trial, migration: Migration, active: &Active) -> Result<Inflicted> {
    if migration.node_off {
        let (env, node) = (trial.env.clone(), active.node.clone());
        return blocking(move || env.cluster.faults().power_off(&node)).await;
    }
    let container = (migration.system == OlderSystem::B).then_some("main");
    trial.container_of(&active.pod, container).await?.signal(Signal::SIGKILL)
}

/// Waits for an answer by any pod: the same pod, once it has restarted, serves users as well.
async fn wait_for_answer(trial: &Trial, fault: Instant, limit: Duration) -> Result<()> {
    until(limit, "an answer after the fault", async || {
        let trace = trial.trace();
        let mut latest = trace.samples().iter().rev();
        let Some(failed) = latest.find(|sample| sample.end > fault && sample.failure().is_some()) else {
            return Ok(None);
        };
        let failed = failed.end;
        let mut samples = trace.samples().iter();
        Ok(samples.any(|sample| sample.start > failed && sample.who().is_some()).then_some(()))
    })
    .await
}

fn find_longest_outage(trace: &Trace, fault: Instant) -> Option<Duration> {
    let outages = trace.gaps().into_iter().filter(|gap| gap.recovered.is_none_or(|end| end > fault));
    outages.map(|gap| gap.duration).max()
}
