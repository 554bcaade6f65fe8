//! Groups that are wrong, and groups that go.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::objects::{Kind, condition, text};
use crate::scene::{GROUP, SERVICE, Scene};
use crate::trial::{PATIENT, Trial};
use crate::view::Slice;
use crate::watchdog::World;
use hotstandby_testbed::faults::Inflicted;

fn our_slices(world: &World) -> usize {
    world.all(Kind::EndpointSlice).filter(|slice| Slice::of(slice).ours).count()
}

/// Nothing of ours may be there, nor ever have been.
async fn nothing_was_written(trial: &Trial) -> Result<()> {
    trial.dog.catch_up().await?;
    let world = trial.dog.world();
    let ours = world
        .records()
        .iter()
        .filter(|one| {
            one.kind == Kind::Lease || (one.kind == Kind::EndpointSlice && Slice::of(&one.object).ours)
        })
        .count();
    ensure!(ours == 0, "{ours} seats or slices were written");
    Ok(())
}

/// Events about the group with a reason.
fn events(world: &World, reason: &str) -> Vec<Value> {
    world
        .all(Kind::Event)
        .filter(|event| text(event, "/regarding/kind") == "ActiveStandby" && text(event, "/reason") == reason)
        .cloned()
        .collect()
}

/// A spec that makes no sense is refused by the schema, or by one condition and one Event; nothing is written.
pub(super) async fn bad_spec(trial: &mut Trial) -> Result<()> {
    // What the schema can see never gets in.
    let bad = Scene::default().spec(&json!({"detect": {"period": "100ms", "timeout": "200ms"}})).group();
    let refused = trial.env.objects.create(Kind::ActiveStandby, &trial.namespace, &bad).await;
    let error = format!("{:#}", refused.err().context("a timeout longer than the period was accepted")?);
    ensure!(error.contains("timeout must not be longer than period"), "refused with: {error}");
    let bad = Scene::default().spec(&json!({"traffic": {"services": []}})).group();
    let refused = trial.env.objects.create(Kind::ActiveStandby, &trial.namespace, &bad).await;
    ensure!(refused.is_err(), "a group without Services was accepted");

    // What this version cannot do yet is refused by name.
    Scene::default().spec(&json!({"adoptService": true})).create(trial).await?;
    let message = trial.condition("Accepted", "False", "InvalidSpec", PATIENT).await?;
    ensure!(message.contains("spec.adoptService") && message.contains("remove"), "the message is: {message}");
    let told = |world: &World| events(world, "InvalidSpec").pop();
    let event = trial.dog.wait(PATIENT, "an Event", told).await?;
    ensure!(text(&event, "/note").contains("spec.adoptService"), "the Event says: {}", text(&event, "/note"));
    // All pods are ready: if anything were to be written it would have been.
    let ready = |world: &World| {
        (world.all(Kind::Pod).filter(|pod| condition(pod, "Ready").0 == "True").count() == 3).then_some(())
    };
    trial.dog.wait(PATIENT, "three ready pods", ready).await?;
    nothing_was_written(trial).await?;

    // Put right, it works; and it was said once.
    trial.patch(Kind::ActiveStandby, GROUP, &json!({"spec": {"adoptService": false}})).await?;
    trial.settled(3).await?;
    let count = events(&trial.dog.world(), "InvalidSpec").len();
    ensure!(count == 1, "{count} Events said the same");
    Ok(())
}

/// Kubernetes itself fills a Service with a selector: it is refused and left alone.
pub(super) async fn service_with_selector_refused(trial: &mut Trial) -> Result<()> {
    let port = json!({"name": "http", "port": 80, "targetPort": "http"});
    let service =
        Kind::Service.object(SERVICE, &json!({"spec": {"ports": [port], "selector": {"app": GROUP}}}));
    Scene::default().services(vec![service]).create(trial).await?;
    let message = trial.condition("Accepted", "False", "ServiceHasSelector", PATIENT).await?;
    ensure!(message.contains(SERVICE) && message.contains("selector"), "the message is: {message}");
    let ready = |world: &World| {
        let all = world.slices(SERVICE).iter().map(|slice| slice.endpoints.len()).sum::<usize>();
        (all == 3).then_some(())
    };
    trial.dog.wait(PATIENT, "Kubernetes to fill the Service", ready).await?;
    // Three endpoints are Kubernetes' own business here.
    let slices: Vec<Value> = trial.dog.world().all(Kind::EndpointSlice).cloned().collect();
    for slice in &slices {
        trial.dog.excuse_slice(slice);
    }
    let ours = our_slices(&trial.dog.world());
    ensure!(ours == 0, "{ours} slices of ours beside those of Kubernetes");
    Ok(())
}

/// Waits until seat and slices are gone.
async fn all_gone(trial: &Trial) -> Result<()> {
    let gone = |world: &World| (world.seat(GROUP).is_none() && our_slices(world) == 0).then_some(());
    trial.dog.wait(PATIENT, "seat and slices to go", gone).await
}

/// The group is deleted: its seat and its slices go, and the Service and the pods stay.
pub(super) async fn group_deleted(trial: &mut Trial) -> Result<()> {
    Scene::default().deploy(trial).await?;
    let highest = trial.seat()?.term;
    trial.hurt(Inflicted::now());
    trial.env.objects.delete(Kind::ActiveStandby, &trial.namespace, GROUP).await?;
    all_gone(trial).await?;
    trial.env.objects.get(Kind::Service, &trial.namespace, SERVICE).await?;
    ensure!(trial.dog.world().all(Kind::Pod).count() == 3, "pods have gone");

    // A new group of the same name starts anew, with a term above those given out before.
    trial.env.objects.create(Kind::ActiveStandby, &trial.namespace, &Scene::default().group()).await?;
    trial.settled(3).await?;
    let seat = trial.seat()?;
    trial.note(format!("term {highest}, then {}", seat.term));
    ensure!(seat.term >= highest, "the new group's term is {}, the old one's was {highest}", seat.term);
    Ok(())
}

/// `deletionPolicy: Orphan` leaves traffic as it is.
pub(super) async fn group_deleted_orphan(trial: &mut Trial) -> Result<()> {
    Scene::default().spec(&json!({"deletionPolicy": "Orphan"})).deploy(trial).await?;
    let before = trial.dog.world().slices(SERVICE);
    trial.start_client(&[]).await?;

    trial.hurt(Inflicted::now());
    trial.env.objects.delete(Kind::ActiveStandby, &trial.namespace, GROUP).await?;
    let gone = |world: &World| world.seat(GROUP).is_none().then_some(());
    trial.dog.wait(PATIENT, "the seat to go", gone).await?;
    // Two seconds of answers after that.
    let ended = std::time::Instant::now();
    trial
        .until_seen(PATIENT, "answers after the group has gone", |trace| {
            let last = trace.samples().last()?;
            (last.start.saturating_duration_since(ended) > Duration::from_secs(2)).then_some(())
        })
        .await?;
    trial.nothing_failed()?;
    trial.dog.catch_up().await?;
    let after = trial.dog.world().slices(SERVICE);
    ensure!(
        after.len() == 1
            && after.iter().zip(&before).all(|(a, b)| a.endpoints == b.endpoints && a.uid == b.uid),
        "the slices were {before:?} and are {after:?}"
    );
    Ok(())
}
