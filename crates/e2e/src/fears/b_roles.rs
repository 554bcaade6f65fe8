//! B: role labels, critical containers and the datagram, as their users have them, led by hotstandby.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::{START_LIMIT, SYSTEM};
use crate::migration::{B, Users, manifest};
use crate::objects::{Kind, items, label, merge, name_of, text, uid_of};
use crate::old::System;
use crate::scene::GROUP;
use crate::trial::{Active, PATIENT, Trial};
use crate::watchdog::World;
use hotstandby_testbed::faults::Inflicted;
use hotstandby_testbed::wait::{fault_lasts, until};

const ROLE: &str = "role";
const NOTICE: &str = "udp GoActiveDuringFailover";
/// Repairs are pushed by a watch.
const REPAIR: Duration = Duration::from_secs(5);
/// As long as nothing is to happen.
const LONG: Duration = Duration::from_secs(3);
/// A label pair costs kube-proxy's second, whoever writes it.
const LABELS: Duration = Duration::from_secs(4);

/// Takes over, and lets a client and the judge look on.
async fn led(trial: &mut Trial) -> Result<Active> {
    trial.deploy_users(&B).await?;
    trial.one_active(&B);
    let active = trial.take_over(&B).await?;
    trial.rested().await?;
    trial.start_users_client(&B, &[&active.node]).await?;
    Ok(active)
}

/// Waits until exactly one pod is active and all the others are standbys by their labels.
async fn roles_are_whole(trial: &Trial, limit: Duration) -> Result<Active> {
    let active = trial.led_to(&B, limit, "one pod", |_| true).await?;
    let whole = |world: &World| {
        let mut others = world.picked(&[B.app]).into_iter().filter(|pod| uid_of(pod) != active.uid);
        others.all(|pod| label(pod, ROLE) == Some("standby")).then_some(())
    };
    trial.dog.wait(limit, "all others to be standbys", whole).await?;
    Ok(active)
}

/// What of a pod is its user's: everything but the role, our marks and what Kubernetes counts and reports.
fn own(pod: &Value) -> Value {
    let mut own = json!({"spec": pod.get("spec"), "metadata": pod.get("metadata")});
    let gone = json!({"metadata": {
        "resourceVersion": null, "generation": null, "managedFields": null, "labels": {ROLE: null},
    }});
    merge(&mut own, &gone);
    if let Some(annotations) = own.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| !key.starts_with("hotstandby.dev/"));
        if annotations.is_empty() {
            merge(&mut own, &json!({"metadata": {"annotations": null}}));
        }
    }
    own
}

/// Pods that were there first are taken: the oldest is active, and of no pod more than the label is written.
pub(super) async fn b_pods_older_than_the_controller_are_taken(trial: &mut Trial) -> Result<()> {
    trial.deploy_users(&B).await?;
    let users = |world: &World| -> BTreeMap<String, Value> {
        world.all(Kind::Pod).map(|pod| (uid_of(pod).to_owned(), own(pod))).collect()
    };
    let (before, oldest) = {
        let world = trial.dog.world();
        let oldest = world.all(Kind::Pod).map(|pod| text(pod, "/status/startTime").to_owned()).min();
        (users(&world), oldest.context("no pods")?)
    };
    trial.one_active(&B);
    let active = trial.take_over(&B).await?;
    roles_are_whole(trial, REPAIR).await?;
    let world = trial.dog.world();
    let started = world.pod_by_uid(&active.uid).map(|pod| text(pod, "/status/startTime"));
    ensure!(started == Some(oldest.as_str()), "{} started at {started:?}, another at {oldest}", active.pod);
    ensure!(
        users(&world) == before,
        "more than the label was changed: {before:?} became {:?}",
        users(&world)
    );
    Ok(())
}

/// A controller at work is taken over from: traffic stays where it is, and while both run they do not undo each other's work.
pub(super) async fn b_running_old_controller_is_taken_over(trial: &mut Trial) -> Result<()> {
    trial.dog.fed_by_selector(&[B.service]);
    let old = trial.start_old(System::B).await?;
    trial.deploy_users(&B).await?;
    let before = trial.led_by_old(&B).await?;

    let active = trial.take_over(&B).await?;
    ensure!(active.uid == before.uid, "traffic went from {} to {}", before.pod, active.pod);
    trial.roles_rest(&B, LONG, 0).await?;
    old.stop()?;
    trial.moved(0).await?;
    trial.nothing_failed()
}

/// The critical container's end is its pod's, and the next one is active; the helper's end is nobody's business.
pub(super) async fn b_critical_container_ends_its_pod_and_a_helper_does_not(trial: &mut Trial) -> Result<()> {
    let active = led(trial).await?;
    trial.container_of(&active.pod, Some("helper")).await?.signal(Signal::SIGKILL)?;
    fault_lasts(LONG).await;
    trial.moved(0).await?;
    trial.pods_ready(&B, 3).await?;
    // Its Service is Kubernetes' own to fill, which leads nobody to a pod whose helper is down, whoever is active.
    trial.note(format!("{} requests failed until the helper was back", trial.trace().failed()));
    trial.rested().await?;
    trial.start_users_client(&B, &[&active.node]).await?;

    let fault = trial.container_of(&active.pod, Some("main")).await?.signal(Signal::SIGKILL)?;
    trial.hurt(fault);
    trial.failover(fault, &active, LABELS).await?;
    let gone = |world: &World| world.pod_by_uid(&active.uid).is_none().then_some(());
    trial.dog.wait(REPAIR, &format!("{} to be deleted", active.pod), gone).await?;
    trial.pods_ready(&B, 3).await?;
    roles_are_whole(trial, REPAIR).await?;
    trial.moved(1).await
}

/// The app throws the first two datagrams away: it is told again until it says that it heard, and nobody else is told.
pub(super) async fn b_a_lost_datagram_is_sent_again(trial: &mut Trial) -> Result<()> {
    let first = led(trial).await?;
    let heard = async |trial: &Trial, active: &Active| {
        until(REPAIR, &format!("{} to hear that it is active", active.pod), async || {
            let notices = trial.notices(&active.ip).await?;
            Ok((!notices.is_empty()).then_some(notices))
        })
        .await
    };
    heard(trial, &first).await?;
    trial.cli(&["switchover", "web"]).await?;
    let next = trial.led_to(&B, PATIENT, "another pod", |now| now.uid != first.uid).await?;
    heard(trial, &next).await?;
    // And that it was heard stands in the status.
    let acknowledged = |world: &World| {
        let group = world.find(Kind::ActiveStandby, GROUP)?;
        let member = items(group, "/status/members").iter().find(|one| text(one, "/told/uid") == next.uid)?;
        (member.pointer("/told/acknowledged") == Some(&json!(true))).then_some(())
    };
    trial.dog.wait(REPAIR, "the acknowledgement to stand in the status", acknowledged).await?;
    fault_lasts(LONG).await;
    let standbys = B.standbys(&trial.dog.world());
    for pod in standbys.iter().chain([&next]) {
        let notices = trial.notices(&pod.ip).await?;
        let once = usize::from(pod.uid == first.uid || pod.uid == next.uid);
        ensure!(notices.iter().all(|line| line == NOTICE), "{} heard {notices:?}", pod.pod);
        // The acknowledgement may have been under way when the next one was sent.
        ensure!((once..=2 * once).contains(&notices.len()), "{} heard {notices:?}", pod.pod);
    }
    Ok(())
}

/// Labels taken away or put elsewhere by hand are put right; when all pods go at once, one of the new ones is active.
pub(super) async fn b_nobody_active_heals(trial: &mut Trial) -> Result<()> {
    let active = led(trial).await?;
    let standby = B.standbys(&trial.dog.world()).into_iter().next().context("no standby")?;
    trial.dog.ask_no_more();
    trial.one_chosen(&B);
    for (pod, value) in [
        (&active.pod, Some("standby")),
        (&active.pod, None),
        (&standby.pod, Some("active")),
        (&standby.pod, None),
        (&standby.pod, Some("odd")),
    ] {
        let written = trial.relabel(pod, ROLE, value).await?;
        trial.seen(&written).await?;
        let now = roles_are_whole(trial, REPAIR).await?;
        ensure!(now.uid == active.uid, "the seat is {}'s, and {} is active", active.pod, now.pod);
    }
    trial.rested().await?;
    trial.one_active(&B);
    trial.end_client();
    let all: Vec<String> = trial.dog.world().all(Kind::Pod).map(|pod| name_of(pod).to_owned()).collect();
    for pod in &all {
        trial.env.objects.delete(Kind::Pod, &trial.namespace, pod).await?;
    }
    let new = |now: &Active| !all.contains(&now.pod);
    trial.led_to(&B, START_LIMIT, "a new pod", new).await?;
    trial.pods_ready(&B, 3).await?;
    roles_are_whole(trial, REPAIR).await.map(drop)
}

/// The oldest standby is not ready: another one is made active.
pub(super) async fn b_an_unready_pod_is_not_made_active(trial: &mut Trial) -> Result<()> {
    let active = led(trial).await?;
    let standbys = B.standbys(&trial.dog.world());
    let (oldest, other) = {
        let world = trial.dog.world();
        let started =
            |one: &Active| world.pod_by_uid(&one.uid).map(|pod| text(pod, "/status/startTime").to_owned());
        let mut by_age: Vec<&Active> = standbys.iter().collect();
        by_age.sort_by_key(|one| (started(one), one.pod.clone()));
        let [oldest, other] = by_age[..] else { anyhow::bail!("not two standbys: {standbys:?}") };
        (oldest.clone(), other.clone())
    };
    trial.tell(&oldest.ip, "ready=bad").await?;
    let unready = |world: &World| {
        let pod = world.pod_by_uid(&oldest.uid)?;
        (!crate::objects::is_ready_pod(pod)).then_some(())
    };
    trial.dog.wait(PATIENT, &format!("{} to be unready", oldest.pod), unready).await?;
    let fault = trial.hurt(Inflicted::now());
    trial.env.objects.delete(Kind::Pod, &trial.namespace, &active.pod).await?;
    trial.failover(fault, &active, LABELS).await?;
    trial.led_to(&B, PATIENT, &other.pod, |now| now.uid == other.uid).await.map(drop)
}

/// A dead node's pod object stays for minutes; the role does not.
pub(super) async fn b_node_death_moves_the_role(trial: &mut Trial) -> Result<()> {
    let active = led(trial).await?;
    let fault = trial.env.cluster.faults().power_off(&active.node)?;
    trial.hurt(fault);
    trial.failover(fault, &active, Duration::from_secs(9)).await?;
    ensure!(trial.dog.world().pod_by_uid(&active.uid).is_some(), "the pod's object went early");
    trial.end_client();
    trial.env.cluster.faults().power_on(&active.node)?;
    trial.env.cluster.wait_node_ready(&active.node, true, START_LIMIT).await?;
    trial.pods_ready(&B, 3).await?;
    let now = roles_are_whole(trial, REPAIR).await?;
    ensure!(now.uid != active.uid, "the role went back");
    Ok(())
}

/// Pods come and go while nobody looks, and a replica that slept through a failover wakes up: one is active, always.
pub(super) async fn b_a_controller_restart_makes_no_second_active(trial: &mut Trial) -> Result<()> {
    let active = led(trial).await?;
    trial.without_hotstandby().await?;
    let standby = B.standbys(&trial.dog.world()).into_iter().next().context("no standby")?;
    trial.env.objects.delete(Kind::Pod, &trial.namespace, &standby.pod).await?;
    trial.env.scale(2).await?;
    trial.pods_ready(&B, 3).await?;
    let now = roles_are_whole(trial, PATIENT).await?;
    ensure!(now.uid == active.uid, "it moved from {} to {} for no reason", active.pod, now.pod);
    trial.nothing_failed()?;

    let client = trial.env.objects.client().clone();
    let lead = trial.env.replicas().await?.into_iter().next().context("no replica")?;
    let asleep = trial.env.cluster.faults().find_container(&client, SYSTEM, &lead.name, None).await?;
    trial.env.cluster.faults().freeze_process(asleep.pid)?;
    let fault = trial.hurt(Inflicted::now());
    trial.env.objects.delete(Kind::Pod, &trial.namespace, &active.pod).await?;
    trial.failover(fault, &active, 2 * LABELS).await?;
    trial.env.cluster.faults().thaw_process(asleep.pid)?;
    trial.pods_ready(&B, 3).await?;
    let now = roles_are_whole(trial, PATIENT).await?;
    ensure!(now.uid != active.uid, "the role went back");
    trial.moved(1).await
}

/// Neither the labels nor the namespace are fixed: the same manifest under other names, beside the first, in one namespace.
pub(super) async fn b_labels_and_namespaces_are_not_fixed(trial: &mut Trial) -> Result<()> {
    let first = led(trial).await?;
    let other =
        Users { service: "pump", app: ("component", "pump"), active: ("duty", "on"), group: None, ..B };
    trial.dog.fed_by_selector(&[other.service]);
    let files = [B.file, B.group.context("B has a group")?];
    for file in files {
        let text = std::fs::read_to_string(manifest(file)).with_context(|| format!("reading {file}"))?;
        let text = text
            .replace("app: hapod", "component: pump")
            .replace("hapod", "pump")
            .replace("name: web", "name: pump")
            .replace("role: active", "duty: \"on\"")
            .replace("role: standby", "duty: \"off\"")
            .replace(
                "key: role\n    active: active\n    standby: standby",
                "key: duty\n    active: \"on\"\n    standby: \"off\"",
            );
        let path = trial.env.cluster.paths().state().join("pump.yaml");
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        trial.env.kubectl(&["apply", "-n", &trial.namespace, "-f", &path.display().to_string()]).await?;
    }
    trial.led_to(&other, START_LIMIT, "one of its own pods", |_| true).await?;
    trial.dog.ask(crate::led::Rule::one_labelled(other.app, other.active));
    fault_lasts(LONG).await;
    let still = trial.led_to(&B, REPAIR, "the pod it led to", |now| now.uid == first.uid).await?;
    ensure!(still.uid == first.uid, "the first group moved");
    Ok(())
}
