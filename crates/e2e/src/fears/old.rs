//! The older systems' own faults, made to happen: what is looked for in hotstandby is found where it is. Each notes how long its
//! users wait for a failover today.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::migration::{A, B, D, Users};
use crate::objects::{Kind, is_ready_pod};
use crate::old::System;
use crate::trial::{Active, PATIENT, Trial};
use crate::watchdog::World;
use hotstandby_testbed::wait::fault_lasts;

/// No system of today's takes as long, except where a test says so.
const TODAY: Duration = Duration::from_secs(10);
/// As long as nothing is to happen.
const LONG: Duration = Duration::from_secs(3);

/// Waits until two pods are active, and checks that it is held against whoever made it so.
async fn two_actives_are_seen(trial: &mut Trial, users: &Users) -> Result<()> {
    let two = |world: &World| (world.selected(users.service).len() > 1).then(|| users.actives(world).len());
    trial.dog.wait(PATIENT, "a second active one", two).await?;
    let broken = trial.dog.take_broken().await?;
    ensure!(!broken.is_empty(), "two actives, and no rule was broken");
    trial.note(format!("seen: {}", broken.first().map(|one| one.what.as_str()).unwrap_or_default()));
    Ok(())
}

/// An active one that was not ready and turns ready again keeps its label; without the annotation the selector stays narrowed.
pub(super) async fn old_a_makes_two_actives(trial: &mut Trial) -> Result<()> {
    trial.without_hotstandby().await?;
    trial.deploy_users(&A).await?;
    let old = trial.start_old(System::A).await?;
    trial.led_to(&A, TODAY, "somebody", |_| true).await?;
    trial.rested().await?;
    let active = trial.start_users_client(&A, &[]).await?;
    trial.one_active(&A);

    let fault = trial.tell(&active.ip, "ready=bad").await?;
    trial.hurt(fault);
    trial.failover(fault, &active, TODAY).await?;
    trial.tell(&active.ip, "ready=good").await?;
    two_actives_are_seen(trial, &A).await?;

    let change = json!({"metadata": {"annotations": {"qoqo.dev/service-mode": null}}});
    trial.patch(Kind::Service, A.service, &change).await?;
    fault_lasts(LONG).await;
    let service = trial.env.objects.get(Kind::Service, &trial.namespace, A.service).await?;
    let selector = service.pointer("/spec/selector").context("no selector")?;
    ensure!(selector.get(A.active.0).is_some(), "it was put right: {selector}");
    old.stop()
}

/// Pods older than the controller stay standbys; a lost datagram is not sent again; after its restart it makes a second active.
pub(super) async fn old_b_makes_two_actives(trial: &mut Trial) -> Result<()> {
    trial.deploy_users(&B).await?;
    let old = trial.start_old(System::B).await?;
    fault_lasts(LONG).await;
    ensure!(B.actives(&trial.dog.world()).is_empty(), "it took pods that were there before it");
    let first: Active = B.standbys(&trial.dog.world()).into_iter().next().context("no pods")?;
    trial.env.objects.delete(Kind::Pod, &trial.namespace, &first.pod).await?;
    let active = trial.led_to(&B, PATIENT, "a new pod", |_| true).await?;
    trial.rested().await?;
    trial.start_users_client(&B, &[]).await?;
    trial.one_active(&B);
    ensure!(trial.notices(&active.ip).await?.is_empty(), "the app had lost what was sent once");

    // All others are older than the controller, so this one's successor is what there is.
    let fault = trial.container_of(&active.pod, Some("main")).await?.signal(Signal::SIGKILL)?;
    trial.hurt(fault);
    trial.failover(fault, &active, 2 * TODAY).await?;
    old.stop()?;

    let old = trial.start_old(System::B).await?;
    let standby = B.standbys(&trial.dog.world()).into_iter().next().context("no standby")?;
    trial.env.objects.delete(Kind::Pod, &trial.namespace, &standby.pod).await?;
    two_actives_are_seen(trial, &B).await?;
    old.stop()
}

/// The successor of a deleted pod makes a second active one; a check that hangs hangs everything.
pub(super) async fn old_d_makes_two_actives(trial: &mut Trial) -> Result<()> {
    trial.deploy_users(&D).await?;
    let pause = Duration::from_secs(1);
    let old = trial.start_old(System::D { app: D.app.1.to_owned(), pause }).await?;
    trial.led_to(&D, TODAY, "the first pod", |active| active.pod == "db-0").await?;
    trial.rested().await?;
    let active = trial.start_users_client(&D, &[]).await?;
    trial.one_active(&D);

    let fault = trial.tell(&active.ip, "health=bad").await?;
    trial.hurt(fault);
    trial.failover(fault, &active, TODAY).await?;
    // Its successor has no role, and so is taken for the first of a new set.
    trial.env.objects.delete(Kind::Pod, &trial.namespace, &active.pod).await?;
    two_actives_are_seen(trial, &D).await?;

    let all_ready = |world: &World| world.all(Kind::Pod).all(is_ready_pod).then_some(());
    trial.dog.wait(PATIENT, "all pods to be ready", all_ready).await?;
    let first = D.actives(&trial.dog.world()).into_iter().next().context("no active one")?;
    trial.tell(&first.ip, "health=hang").await?;
    fault_lasts(pause + LONG).await;
    let still = D.actives(&trial.dog.world());
    ensure!(still.iter().any(|one| one.uid == first.uid), "it went on: {still:?}");
    old.stop()
}
