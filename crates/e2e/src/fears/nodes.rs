//! A node dies or is cut off.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::harness::START_LIMIT;
use crate::objects::{Kind, condition};
use crate::scene::Scene;
use crate::trial::{Active, Trial};
use crate::watchdog::World;

fn fast() -> serde_json::Value {
    json!({"detect": {"period": "200ms", "timeout": "150ms", "failureThreshold": 3}})
}

/// Makes the pod active that is on a node of this choice.
async fn active_on(trial: &Trial, choose: impl Fn(&str) -> bool) -> Result<Active> {
    let all: Vec<Active> = trial.standbys()?.into_iter().chain([trial.active()?]).collect();
    let one = all.into_iter().find(|member| choose(&member.node)).context("no pod is on such a node")?;
    trial.switch_to(&one.pod).await?;
    trial.active()
}

/// Gives the node power again: its pod comes back as a standby.
async fn comes_back(trial: &mut Trial, old: &Active, moves: usize) -> Result<()> {
    trial.env.cluster.faults().power_on(&old.node)?;
    let took = trial.env.cluster.wait_node_ready(&old.node, true, START_LIMIT).await?;
    let ready = Instant::now();
    trial.settled(3).await?;
    trial.note(format!("node back after {took:.1?}, pod after another {:.1?}", ready.elapsed()));
    trial.moved(moves).await
}

/// The power of the active's node is cut, and no replica of hotstandby was there.
async fn power_off(trial: &mut Trial, scene: Scene, limit: Duration) -> Result<()> {
    scene.deploy(trial).await?;
    let replicas = trial.env.replicas().await?;
    let active = active_on(trial, |node| replicas.iter().all(|replica| replica.node != node)).await?;
    let moves = trial.dog.world().moves().len();
    trial.start_client(&[&active.node]).await?;

    let fault = trial.env.cluster.faults().power_off(&active.node)?;
    trial.hurt(fault);
    trial.failover(fault, &active, limit).await?;
    let change = trial.change_told(active.term + 1).await?;
    trial.note_stages(&change);
    ensure!(change.reason == "ProbeTimedOut", "the reason was {}", change.reason);
    trial.end_client();
    comes_back(trial, &active, moves + 1).await
}

/// With the default timing.
pub(super) async fn node_powered_off(trial: &mut Trial) -> Result<()> {
    power_off(trial, Scene::default(), Duration::from_secs(8)).await
}

/// With 200 ms, 150 ms, 3.
pub(super) async fn node_powered_off_fast(trial: &mut Trial) -> Result<()> {
    power_off(trial, Scene::default().spec(&fast()), Duration::from_secs(3)).await
}

/// The worst node to lose: the active is on it, and hotstandby's lead.
pub(super) async fn replica_and_active_on_one_dead_node(trial: &mut Trial) -> Result<()> {
    Scene::default().spec(&fast()).deploy(trial).await?;
    let lead = trial.env.replicas().await?.into_iter().next().context("no replica")?;
    let active = active_on(trial, |node| node == lead.node).await?;
    let moves = trial.dog.world().moves().len();
    trial.start_client(&[&active.node]).await?;

    let fault = trial.env.cluster.faults().power_off(&active.node)?;
    trial.hurt(fault);
    trial.failover(fault, &active, Duration::from_secs(4)).await?;
    let change = trial.change_told(active.term + 1).await?;
    trial.note_stages(&change);
    trial.end_client();
    comes_back(trial, &active, moves + 1).await
}

/// The active's node is cut off, and comes back with the old active still running: it stays a standby.
pub(super) async fn old_active_returns(trial: &mut Trial) -> Result<()> {
    Scene::default().spec(&fast()).deploy(trial).await?;
    let replicas = trial.env.replicas().await?;
    let active = active_on(trial, |node| replicas.iter().all(|replica| replica.node != node)).await?;
    let moves = trial.dog.world().moves().len();
    trial.start_client(&[&active.node]).await?;

    let fault = trial.env.cluster.faults().link_down(&active.node)?;
    trial.hurt(fault);
    trial.failover(fault, &active, Duration::from_secs(3)).await?;
    trial.env.cluster.faults().link_up(&active.node)?;
    trial.settled(3).await?;
    // The same process as before, which never knew.
    let restarts = |world: &World| {
        let pod = world.pod_by_uid(&active.uid)?;
        let status = crate::objects::items(pod, "/status/containerStatuses").first()?;
        (condition(pod, "Ready").0 == "True").then(|| status["restartCount"].clone())
    };
    let restarts = trial.dog.wait(START_LIMIT, "the old active to be Ready", restarts).await?;
    ensure!(restarts == 0, "its container was restarted {restarts} times");
    trial.moved(moves + 1).await?;
    ensure!(
        trial.env.objects.list(Kind::Pod, &trial.namespace, "").await?.0.len() == 3,
        "pods were replaced"
    );
    Ok(())
}
