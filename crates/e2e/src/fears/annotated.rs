//! Groups that one line on a Service makes.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::objects::{Kind, condition, text, uid_of};
use crate::scene::{GROUP, SERVICE, Scene};
use crate::trial::{Active, GENEROUS, PATIENT, Trial};
use crate::view::Slice;
use crate::watchdog::{World, pod_ip};

/// The line, and which pods it is for.
fn one_line() -> Value {
    json!({"hotstandby.dev/mode": "active-standby", "hotstandby.dev/selector": format!("app={GROUP}")})
}

/// Puts an app and its Service with these annotations on the cluster, and no `ActiveStandby`.
async fn deploy(trial: &Trial, annotations: &Value) -> Result<()> {
    let port = json!({"name": "http", "port": 80, "targetPort": "http"});
    let mut service = Kind::Service.object(SERVICE, &json!({"spec": {"ports": [port]}}));
    if let Some(meta) = service.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        meta.insert("annotations".to_owned(), annotations.clone());
    }
    let (objects, namespace) = (&trial.env.objects, trial.namespace.as_str());
    objects.create(Kind::Service, namespace, &service).await?;
    objects.create(Kind::Deployment, namespace, &Scene::default().workload_object()).await?;
    let ready = |world: &World| {
        let pods = world.all(Kind::Pod).filter(|pod| condition(pod, "Ready").0 == "True");
        (pods.count() == 3).then_some(())
    };
    trial.dog.wait(PATIENT, "three ready pods", ready).await
}

/// Who holds the seat of the Service's group, once the Service leads there and nowhere else.
async fn led(trial: &Trial, but: &str) -> Result<Active> {
    let found = |world: &World| {
        let seat = world.service_seat(SERVICE).filter(|seat| seat.holder_uid != but)?;
        let pod = world.pod_by_uid(&seat.holder_uid)?;
        let slices = world.slices(SERVICE);
        let served = slices.iter().flat_map(|slice| &slice.endpoints).collect::<Vec<_>>();
        let [endpoint] = served.as_slice() else { return None };
        (endpoint.uid == seat.holder_uid).then(|| Active {
            pod: seat.holder.clone(),
            uid: seat.holder_uid.clone(),
            node: text(pod, "/spec/nodeName").to_owned(),
            ip: pod_ip(pod),
            term: seat.term,
        })
    };
    trial.dog.wait(PATIENT, "the Service to lead to the holder of its seat", found).await
}

fn ours(world: &World) -> usize {
    let slices = world.all(Kind::EndpointSlice).filter(|slice| Slice::of(slice).ours).count();
    slices + usize::from(world.service_seat(SERVICE).is_some())
}

/// Events about the Service.
fn events(world: &World, reason: &str) -> Vec<Value> {
    let about = |event: &&Value| {
        text(event, "/regarding/kind") == "Service"
            && text(event, "/regarding/name") == SERVICE
            && text(event, "/reason") == reason
    };
    world.all(Kind::Event).filter(about).cloned().collect()
}

/// The one-line way in: it fails over like any group, tells of it on the Service, and without the line nothing is left.
pub(super) async fn annotated_service_follows_the_active_until_the_line_goes(
    trial: &mut Trial,
) -> Result<()> {
    deploy(trial, &one_line()).await?;
    let first = led(trial, "").await?;
    trial.dog.wait(PATIENT, "an Event", |world| events(world, "Initial").pop()).await?;
    trial.rested().await?;
    trial.start_client_of(SERVICE, &first.pod, &[&first.node]).await?;

    let process = trial.process_of(&first.pod).await?;
    let fault = process.signal(Signal::SIGKILL)?;
    trial.hurt(fault);
    trial.failover(fault, &first, GENEROUS).await?;
    let second = led(trial, &first.uid).await?;
    ensure!(second.term == first.term + 1, "term {} after {}", second.term, first.term);
    let told = trial.dog.wait(PATIENT, "an Event", |world| events(world, "ProbeRefused").pop()).await?;
    ensure!(text(&told, "/note").contains(&second.pod), "the Event says: {}", text(&told, "/note"));
    trial.end_client();

    // A planned move, asked for on the Service itself.
    let request =
        json!({"metadata": {"annotations": {"hotstandby.dev/switchover": format!("term={}", second.term)}}});
    trial.patch(Kind::Service, SERVICE, &request).await?;
    led(trial, &second.uid).await?;

    // Off again: the Service and the pods are as their user made them.
    let before = trial.env.objects.get(Kind::Service, &trial.namespace, SERVICE).await?;
    let off = json!({"metadata": {"annotations": {"hotstandby.dev/mode": null}}});
    trial.patch(Kind::Service, SERVICE, &off).await?;
    let gone = |world: &World| (ours(world) == 0).then_some(());
    trial.dog.wait(PATIENT, "seat and slices to go", gone).await?;
    let after = trial.env.objects.get(Kind::Service, &trial.namespace, SERVICE).await?;
    ensure!(
        uid_of(&before) == uid_of(&after) && before.get("spec") == after.get("spec"),
        "the Service was changed"
    );
    let count = trial.dog.world().all(Kind::Pod).count();
    ensure!(count == 3, "{count} pods are left");
    Ok(())
}

/// A slip of the pen is told once, on the Service, and nothing is written; put right, it works.
pub(super) async fn annotated_service_with_a_slip_is_left_alone(trial: &mut Trial) -> Result<()> {
    deploy(trial, &json!({"hotstandby.dev/mode": "active-standby"})).await?;
    let told = trial.dog.wait(PATIENT, "an Event", |world| events(world, "InvalidSpec").pop()).await?;
    let note = text(&told, "/note");
    ensure!(note.contains("hotstandby.dev/selector") && note.contains("app=web"), "the Event says: {note}");
    trial.dog.catch_up().await?;
    let written = trial.dog.world().records().iter().any(|one| one.kind == Kind::Lease);
    ensure!(!written && ours(&trial.dog.world()) == 0, "something was written");
    trial.patch(Kind::Service, SERVICE, &json!({"metadata": {"annotations": one_line()}})).await?;
    led(trial, "").await.context("after the annotation was put right")?;
    tokio::time::timeout(Duration::from_secs(5), trial.dog.catch_up()).await??;
    let count = events(&trial.dog.world(), "InvalidSpec").len();
    ensure!(count == 1, "{count} Events said the same");
    Ok(())
}
