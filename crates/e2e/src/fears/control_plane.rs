//! The control plane is away. Nobody fails over because of that.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::quiet::silent_for;
use crate::harness::START_LIMIT;
use crate::scene::Scene;
use crate::trial::{PATIENT, Trial};
use hotstandby_testbed::cluster::Component;
use hotstandby_testbed::wait::{fault_lasts, until};

/// How long the API server is away.
const AWAY: Duration = Duration::from_secs(10);

/// Waits until the API server answers and hotstandby is ready again.
async fn back(trial: &Trial) -> Result<()> {
    until(START_LIMIT, "the API server to answer", async || trial.env.replicas().await.map(Some)).await?;
    trial.env.wait_for_replicas(2, START_LIMIT).await?;
    Ok(())
}

/// The API server is away for 10 s: no request fails, nobody fails over, and afterwards nothing is written.
pub(super) async fn api_server_away(trial: &mut Trial) -> Result<()> {
    Scene::default().deploy(trial).await?;
    let active = trial.active()?;
    trial.start_client(&[&active.node]).await?;

    let fault = trial.env.kill(Component::Apiserver)?;
    trial.hurt(fault);
    fault_lasts(AWAY).await;
    trial.env.restart(Component::Apiserver)?;
    back(trial).await?;
    trial.settled(3).await?;
    trial.moved(0).await?;
    silent_for(trial, Duration::from_secs(5)).await?;
    ensure!(trial.seat()?.term == active.term, "the term changed");
    trial.moved(0).await?;
    trial.nothing_failed()
}

/// The active dies while the API server is away: it is replaced once the API server is back.
pub(super) async fn api_server_away_and_active_dies(trial: &mut Trial) -> Result<()> {
    Scene::default().health("200ms", "150ms").deploy(trial).await?;
    let active = trial.active()?;
    trial.start_client(&[&active.node]).await?;
    let process = trial.process_of(&active.pod).await?;

    let faults = trial.env.cluster.faults();
    let fault = trial.env.kill(Component::Apiserver)?;
    // Frozen, not killed: the kubelet would start it again.
    faults.freeze_process(process.pid)?;
    trial.hurt(fault);
    trial.until_seen(PATIENT, "requests to fail", |trace| (trace.failed() > 20).then_some(())).await?;
    fault_lasts(Duration::from_secs(3)).await;
    let back_at = trial.env.restart(Component::Apiserver)?;
    // An API server takes some seconds to start.
    trial.failover(back_at, &active, PATIENT).await?;
    trial.moved(1).await?;
    // Connections that hung until now may still reach the old pod when it thaws: the kernel remembers them.
    trial.end_client();
    trial.env.cluster.faults().thaw_process(process.pid)?;
    back(trial).await?;
    let change = trial.change_told(active.term + 1).await?;
    trial.note_stages(&change);
    ensure!(
        ["ProbeTimedOut", "NotReady"].contains(&change.reason.as_str()),
        "the reason was {}",
        change.reason
    );
    trial.settled(3).await?;
    trial.moved(1).await
}

/// etcd is killed and started again: the API server fails for a moment, and nothing else happens.
pub(super) async fn etcd_restarted(trial: &mut Trial) -> Result<()> {
    Scene::default().deploy(trial).await?;
    let active = trial.active()?;
    trial.start_client(&[&active.node]).await?;

    let fault = trial.env.kill(Component::Etcd)?;
    trial.hurt(fault);
    fault_lasts(Duration::from_secs(3)).await;
    trial.env.restart(Component::Etcd)?;
    back(trial).await?;
    trial.settled(3).await?;
    ensure!(trial.seat()?.term == active.term, "the term changed");
    trial.moved(0).await?;
    trial.nothing_failed()?;

    // And it is still awake.
    trial.rested().await?;
    let process = trial.process_of(&active.pod).await?;
    let killed = process.signal(nix::sys::signal::Signal::SIGKILL)?;
    trial.failover(killed, &active, crate::trial::GENEROUS).await?;
    trial.settled(3).await?;
    trial.moved(1).await
}
