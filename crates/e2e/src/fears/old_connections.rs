//! Connections to the old active outlive a switch, as kube-proxy ends none: what can be had without touching the app, and with it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::held::Held;
use crate::objects::{Kind, items, text};
use crate::scene::{ECHO_PORT, GROUP, SERVICE, Scene};
use crate::trial::{PATIENT, Trial};
use crate::watchdog::{World, pod_ip};
use hotstandby_testbed::wait::{fault_lasts, until};

/// As long as nothing is to happen.
const LONG: Duration = Duration::from_secs(3);

/// A connection of a user on some node, to whoever is active.
async fn hold(trial: &Trial) -> Result<Held> {
    let target = trial.address(SERVICE, ECHO_PORT).await?;
    let active = trial.active()?;
    Held::by_active(&trial.env, target, &active).await
}

/// Whether the Service's one endpoint is this address.
fn is_led_to(world: &World, ip: &str) -> bool {
    let slices = world.slices(SERVICE);
    let mut endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
    endpoints.next().is_some_and(|endpoint| endpoint.ip == ip) && endpoints.next().is_none()
}

async fn another_holds(trial: &Trial, uid: &str) -> Result<()> {
    let next = |world: &World| world.seat(GROUP).filter(|seat| seat.holder_uid != uid).map(drop);
    trial.dog.wait(PATIENT, "another pod to hold the seat", next).await
}

/// Told to `Delete`, hotstandby ends the old active's connections with its pod; told to `Keep`, it ends none.
pub(super) async fn old_connections_outlive_the_switch(trial: &mut Trial) -> Result<()> {
    trial.env.grant(&["delete-pods"]).await?;
    Scene::default().with_echo().deploy(trial).await?;
    let kept = hold(trial).await?;
    let first = trial.active()?;
    trial.cli(&["switchover", GROUP]).await?;
    another_holds(trial, &first.uid).await?;
    fault_lasts(LONG).await;
    ensure!(kept.ended().is_none(), "a switch ended a connection");
    ensure!(
        kept.answered_after(Instant::now().checked_sub(LONG / 2).unwrap_or_else(Instant::now)),
        "it was mute"
    );
    drop(kept);

    trial.patch(Kind::ActiveStandby, GROUP, &json!({"spec": {"oldActive": "Delete"}})).await?;
    let held = hold(trial).await?;
    let second = trial.active()?;
    trial.start_client(&[&second.node]).await?;
    trial.rested().await?;
    let start = Instant::now();
    trial.cli(&["switchover", GROUP]).await?;
    let ended = until(PATIENT, "the old connection to end", async || Ok(held.ended())).await?;
    trial.note(format!("the old connection ended {:.0?} after the command", ended.duration_since(start)));
    let gone = |world: &World| world.pod_by_uid(&second.uid).is_none().then_some(());
    trial.dog.wait(PATIENT, &format!("{} to be deleted", second.pod), gone).await?;
    ensure!(trial.dog.world().pod_by_uid(&first.uid).is_some(), "a pod was deleted before it was asked for");
    trial.settled(3).await?;
    ensure!(
        trial.active()?.uid != second.uid && hold(trial).await?.pod() != second.pod,
        "it leads to the old one"
    );
    trial.nothing_failed()
}

/// Without the right to delete pods the old active stays, and the group says what to grant; granted soon, it is still done.
pub(super) async fn deletion_without_its_right_is_silent(trial: &mut Trial) -> Result<()> {
    trial.env.take_back("delete-pods").await?;
    Scene::default().spec(&json!({"oldActive": "Delete"})).deploy(trial).await?;
    let old = trial.active()?;
    trial.cli(&["switchover", GROUP]).await?;
    let said = trial.condition("Accepted", "False", "NotGranted", PATIENT).await?;
    ensure!(said.contains(&old.pod) && said.contains("delete-pods"), "it does not say what to do: {said}");
    ensure!(is_there(&trial.dog.world(), &old.uid), "{} was deleted without a right", old.pod);
    trial.env.grant(&["delete-pods"]).await?;
    let gone = |world: &World| (!is_there(world, &old.uid)).then_some(());
    trial.dog.wait(PATIENT, &format!("{} to be deleted", old.pod), gone).await?;
    trial.condition("Accepted", "True", "", PATIENT).await?;
    trial.settled(3).await
}

/// The group goes while the old active waits for its deletion: it stays.
pub(super) async fn group_deleted_before_the_old_active(trial: &mut Trial) -> Result<()> {
    trial.env.grant(&["delete-pods"]).await?;
    Scene::default().spec(&json!({"oldActive": "Delete"})).deploy(trial).await?;
    let old = trial.active()?;
    trial.cli(&["switchover", GROUP]).await?;
    trial.env.objects.delete(Kind::ActiveStandby, &trial.namespace, GROUP).await?;
    ensure!(is_there(&trial.dog.world(), &old.uid), "{} was deleted before traffic could leave it", old.pod);
    let gone = |world: &World| world.seat(GROUP).is_none().then_some(());
    trial.dog.wait(PATIENT, "the seat to go", gone).await?;
    fault_lasts(LONG).await;
    let world = trial.dog.world();
    ensure!(is_there(&world, &old.uid), "{} was deleted for a group that is gone", old.pod);
    ensure!(world.slices(SERVICE).is_empty(), "a slice was left");
    Ok(())
}

/// Whether a pod is there and was not told to go.
fn is_there(world: &World, uid: &str) -> bool {
    world.pod_by_uid(uid).is_some_and(|pod| pod.pointer("/metadata/deletionTimestamp").is_none())
}

/// With `order: Strict` the old active has let go of its connections before the new one is promoted; while it does not answer nobody
/// is, and its death serves as well.
pub(super) async fn strict_order_promotes_before_the_old_one_let_go(trial: &mut Trial) -> Result<()> {
    let notice = json!({"http": {"port": 8080, "path": "/role"}, "roles": ["Active", "Standby"]});
    let scene = Scene::default().with_echo().env("CLOSE_ON_STANDBY", "yes");
    scene.spec(&json!({"order": "Strict", "notify": [notice]})).deploy(trial).await?;
    let (held, old) = (hold(trial).await?, trial.active()?);
    trial.start_client(&[&old.node]).await?;
    trial.cli(&["switchover", GROUP]).await?;
    let ended = until(PATIENT, "the old connection to end", async || Ok(held.ended())).await?;
    let first = trial
        .until_seen(PATIENT, "an answer by the new active", |trace| {
            let mut samples = trace.samples().iter();
            samples.find(|sample| sample.who().is_some_and(|who| who != old.pod)).map(|sample| sample.end)
        })
        .await?;
    ensure!(ended < first, "the new one answered {:?} before the old connection ended", ended - first);
    trial.nothing_failed()?;
    let told = |world: &World| {
        let members = items(world.find(Kind::ActiveStandby, GROUP)?, "/status/members");
        let old = members.iter().find(|member| text(member, "/told/uid") == old.uid)?;
        (text(old, "/told/role") == "standby" && old.pointer("/told/acknowledged") == Some(&json!(true)))
            .then_some(())
    };
    trial.dog.wait(PATIENT, "the old one's acknowledgement to stand in the status", told).await?;
    trial.settled(3).await?;
    trial.rested().await?;
    trial.end_client();

    // It hangs: it may still be at work, so that nobody else is promoted. Then it dies.
    let active = trial.active()?;
    let process = trial.process_of(&active.pod).await?;
    process.signal(Signal::SIGSTOP)?;
    let request = format!("term={}", active.term);
    let change = json!({"metadata": {"annotations": {"hotstandby.dev/switchover": request}}});
    trial.patch(Kind::ActiveStandby, GROUP, &change).await?;
    trial.condition("Ready", "False", "WaitingForOldActive", PATIENT).await?;
    fault_lasts(LONG).await;
    // The seat has moved; traffic, and with it the new one's notice, waits.
    ensure!(is_led_to(&trial.dog.world(), &active.ip), "traffic moved while the old one hangs");
    process.signal(Signal::SIGKILL)?;
    let moved = |world: &World| {
        let next = world.seat(GROUP).and_then(|seat| world.pod_by_uid(&seat.holder_uid).map(pod_ip))?;
        (next != active.ip && is_led_to(world, &next)).then_some(())
    };
    trial.dog.wait(PATIENT, "traffic to follow once it is dead", moved).await
}
