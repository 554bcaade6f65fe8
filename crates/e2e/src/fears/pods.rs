//! The active pod dies or turns bad.

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use crate::objects::Kind;
use crate::scene::Scene;
use crate::trial::{GENEROUS, Trial};
use hotstandby_testbed::faults::Inflicted;

/// The process of the active is killed; the kubelet starts it again within a second or two.
pub(super) async fn process_killed(trial: &mut Trial) -> Result<()> {
    Scene::default().deploy(trial).await?;
    let active = trial.active()?;
    trial.start_client(&[&active.node]).await?;
    let process = trial.process_of(&active.pod).await?;

    let fault = trial.hurt(process.signal(Signal::SIGKILL)?);
    trial.failover(fault, &active, GENEROUS).await?;

    let change = trial.change_told(active.term + 1).await?;
    trial.note_stages(&change);
    ensure!(change.from == active.pod && change.to != active.pod, "{change:?}");
    ensure!(change.reason == "ProbeRefused", "the reason was {}", change.reason);
    // Its pod comes back, as a standby.
    trial.settled(3).await?;
    trial.moved(1).await
}

/// The active is deleted, and its process ends at once.
pub(super) async fn pod_deleted(trial: &mut Trial) -> Result<()> {
    Scene::default().deploy(trial).await?;
    let active = trial.active()?;
    trial.start_client(&[&active.node]).await?;

    let fault = trial.hurt(Inflicted::now());
    trial.env.objects.delete(Kind::Pod, &trial.namespace, &active.pod).await?;
    trial.failover(fault, &active, GENEROUS).await?;

    let change = trial.change_told(active.term + 1).await?;
    trial.note_stages(&change);
    ensure!(["PodTerminating", "PodDeleted", "ProbeRefused"].contains(&change.reason.as_str()), "{change:?}");
    trial.settled(3).await?;
    trial.moved(1).await
}

/// The active is deleted and serves on for 1.1 s: no request fails.
pub(super) async fn pod_deleted_with_linger(trial: &mut Trial) -> Result<()> {
    Scene::default().linger("1100ms").deploy(trial).await?;
    let active = trial.active()?;
    trial.start_client(&[&active.node]).await?;

    let fault = trial.hurt(Inflicted::now());
    trial.env.objects.delete(Kind::Pod, &trial.namespace, &active.pod).await?;
    trial.failover(fault, &active, GENEROUS).await?;

    let change = trial.change_told(active.term + 1).await?;
    trial.note_stages(&change);
    ensure!(change.reason == "PodTerminating", "the reason was {}", change.reason);
    trial.settled(3).await?;
    trial.moved(1).await?;
    trial.nothing_failed()
}

/// The active says that it is not ready, and goes on serving.
pub(super) async fn readiness_lost(trial: &mut Trial) -> Result<()> {
    Scene::default().deploy(trial).await?;
    let active = trial.active()?;
    trial.start_client(&[]).await?;

    let fault = trial.tell(&active.ip, "ready=bad").await?;
    trial.hurt(fault);
    // The kubelet asks every second, and three bad answers in a row make a pod unready.
    trial.failover(fault, &active, 3 * GENEROUS).await?;

    let change = trial.change_told(active.term + 1).await?;
    ensure!(change.reason == "NotReady", "the reason was {}", change.reason);
    trial.tell(&active.ip, "ready=good").await?;
    trial.settled(3).await?;
    trial.moved(1).await?;
    trial.nothing_failed()
}
