//! A: annotated Services, as their users have them, led by hotstandby.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::START_LIMIT;
use crate::migration::{A, A_HEADLESS, Users};
use crate::objects::{Kind, MEMBER_LABEL, condition, label, text};
use crate::old::System;
use crate::trial::{Active, GENEROUS, PATIENT, Trial};
use crate::watchdog::World;
use hotstandby_testbed::wait::fault_lasts;

const MODE: &str = "qoqo.dev/service-mode";
/// Another group, and its Service.
const TWIN: &str = "twin";
/// Repairs are pushed by a watch.
const REPAIR: Duration = Duration::from_secs(5);
/// As long as nothing is to happen.
const LONG: Duration = Duration::from_secs(3);
/// The key of the older controller goes and comes back with each switch.
const MOST_CHANGES: usize = 4;
/// The kubelet asks for readiness once a second, and looks for what follows from it as often.
const UNREADY: Duration = Duration::from_secs(6);

/// Takes over, and lets a client and the judge look on.
async fn led(trial: &mut Trial, users: &Users) -> Result<Active> {
    trial.deploy_users(users).await?;
    let active = trial.take_over(users).await?;
    trial.rested().await?;
    trial.one_active(users);
    Ok(active)
}

async fn led_with_client(trial: &mut Trial, users: &Users) -> Result<Active> {
    let active = led(trial, users).await?;
    trial.start_users_client(users, &[&active.node]).await?;
    Ok(active)
}

/// An active one that was not ready and turns ready again has lost its label and stays a standby.
pub(super) async fn a_old_active_that_returns_is_not_a_second_active(trial: &mut Trial) -> Result<()> {
    let active = led_with_client(trial, &A).await?;
    let fault = trial.tell(&active.ip, "ready=bad").await?;
    trial.hurt(fault);
    trial.failover(fault, &active, UNREADY).await?;
    let next = trial.led_to(&A, PATIENT, "another pod", |now| now.uid != active.uid).await?;
    trial.tell(&active.ip, "ready=good").await?;
    trial.pods_ready(&A, 3).await?;
    let one_label = |world: &World| {
        let actives = A.actives(world);
        (actives.len() == 1 && actives.iter().all(|one| one.uid == next.uid)).then_some(())
    };
    trial.dog.wait(REPAIR, "the old active's label to be taken away", one_label).await?;
    trial.rested().await?;

    // And again, as fast as one patch can be.
    let process = trial.process_of(&next.pod).await?;
    let fault = process.signal(Signal::SIGKILL)?;
    trial.failover(fault, &next, GENEROUS).await?;
    trial.led_to(&A, PATIENT, "a third pod", |now| now.uid != next.uid).await?;
    trial.moved(2).await
}

/// Containers on a dead node stay ready for ever by their own status.
pub(super) async fn a_node_death_moves_the_service(trial: &mut Trial) -> Result<()> {
    let active = led_with_client(trial, &A).await?;
    let fault = trial.env.cluster.faults().power_off(&active.node)?;
    trial.hurt(fault);
    trial.failover(fault, &active, Duration::from_secs(8)).await?;
    trial.led_to(&A, PATIENT, "another pod", |now| now.uid != active.uid).await?;
    trial.end_client();
    trial.env.cluster.faults().power_on(&active.node)?;
    trial.env.cluster.wait_node_ready(&active.node, true, START_LIMIT).await?;
    trial.pods_ready(&A, 3).await?;
    trial.led_to(&A, PATIENT, "one pod only", |now| now.uid != active.uid).await.map(drop)
}

/// A controller at work is taken over from: traffic stays where it is, and while both run they do not undo each other's work.
pub(super) async fn a_running_old_controller_is_taken_over(trial: &mut Trial) -> Result<()> {
    trial.without_hotstandby().await?;
    trial.deploy_users(&A).await?;
    let old = trial.start_old(System::A).await?;
    let before = trial.led_by_old(&A).await?;

    trial.grant(&A).await?;
    trial.env.scale(2).await?;
    let active = trial.take_over(&A).await?;
    ensure!(active.uid == before.uid, "traffic went from {} to {}", before.pod, active.pod);
    trial.roles_rest(&A, LONG, MOST_CHANGES).await?;
    trial.nothing_failed()?;

    // The old one labels whom it likes when the active one turns unready: nobody is led there.
    let fault = trial.tell(&active.ip, "ready=bad").await?;
    trial.hurt(fault);
    trial.failover(fault, &active, UNREADY).await?;
    trial.tell(&active.ip, "ready=good").await?;
    trial.pods_ready(&A, 3).await?;
    trial.roles_rest(&A, LONG, MOST_CHANGES).await?;
    old.stop()?;
    trial.led_to(&A, PATIENT, "one pod", |_| true).await?;
    trial.moved(1).await
}

/// Without the annotation, or with an empty one, selector and labels are as they were before; so are the labels without the Service.
pub(super) async fn a_removed_annotation_leaves_no_selector_behind(trial: &mut Trial) -> Result<()> {
    led(trial, &A).await?;
    trial.dog.ask_no_more();
    let clean = |pod: &Value| [A.active.0, MEMBER_LABEL].iter().all(|key| label(pod, key).is_none());
    for gone in [json!(null), json!("")] {
        let change = json!({"metadata": {"annotations": {MODE: gone}}});
        trial.patch(Kind::Service, A.service, &change).await?;
        let undone = |world: &World| {
            let service = world.find(Kind::Service, A.service)?;
            let own = json!({"app": "web"});
            (service.pointer("/spec/selector") == Some(&own)
                && world.all(Kind::Pod).all(clean)
                && world.service_seat(A.service).is_none())
            .then_some(())
        };
        trial.dog.wait(REPAIR, "selector, labels and seat to be as before", undone).await?;
        let change = json!({"metadata": {"annotations": {MODE: "yes"}}});
        trial.patch(Kind::Service, A.service, &change).await?;
        trial.take_over(&A).await?;
    }
    trial.env.objects.delete(Kind::Service, &trial.namespace, A.service).await?;
    let undone = |world: &World| {
        (world.all(Kind::Pod).all(clean) && world.service_seat(A.service).is_none()).then_some(())
    };
    trial.dog.wait(REPAIR, "labels and seat to go with the Service", undone).await
}

/// Labels that the selector asked for go after it, and not before the endpoint controller knows: else the Service led nowhere.
pub(super) async fn a_removed_annotation_fails_no_request(trial: &mut Trial) -> Result<()> {
    led_with_client(trial, &A).await?;
    trial.dog.ask_no_more();
    trial.patch(Kind::Service, A.service, &json!({"metadata": {"annotations": {MODE: null}}})).await?;
    let bare =
        |world: &World| world.all(Kind::Pod).all(|pod| label(pod, MEMBER_LABEL).is_none()).then_some(());
    trial.dog.wait(REPAIR, "the labels to be gone", bare).await?;
    fault_lasts(LONG).await;
    trial.nothing_failed()
}

/// A group that somebody makes for the same pods, and which leads no labels, leaves alone those that the annotation asks for; one that
/// would lead labels says whose they are.
pub(super) async fn a_group_over_the_same_pods_does_not_fight(trial: &mut Trial) -> Result<()> {
    let active = led_with_client(trial, &A).await?;
    // The last of what a switch changes comes two seconds after its label.
    let whole = |world: &World| {
        let selector = world.find(Kind::Service, A.service)?.pointer("/spec/selector")?;
        selector.get(A.active.0).map(drop)
    };
    trial.dog.wait(REPAIR, "the role's key in the selector", whole).await?;
    let twin = json!({"spec": {
        "selector": {"matchLabels": {A.app.0: A.app.1}},
        "traffic": {"services": [{"name": TWIN}]},
    }});
    let own = json!({"spec": {"ports": [{"port": 80, "targetPort": 8080}]}});
    trial.env.objects.create(Kind::Service, &trial.namespace, &Kind::Service.object(TWIN, &own)).await?;
    let twin = Kind::ActiveStandby.object(TWIN, &twin);
    trial.env.objects.create(Kind::ActiveStandby, &trial.namespace, &twin).await?;
    let told = |kind: &'static str, status: &'static str| {
        move |world: &World| {
            let (is, _, message) = condition(world.find(Kind::ActiveStandby, TWIN)?, kind);
            (is == status).then(|| message.to_owned())
        }
    };
    trial.dog.wait(PATIENT, "the other group to serve, too", told("Ready", "True")).await?;
    trial.roles_rest(&A, LONG, 0).await?;

    let labelled = json!({"spec": {"roleLabel": {"key": "role"}}});
    trial.patch(Kind::ActiveStandby, TWIN, &labelled).await?;
    let why = trial
        .dog
        .wait(PATIENT, "the other group to say whose labels they are", told("Stalled", "True"))
        .await?;
    ensure!(why.contains("another group") && why.contains(A.service), "it says: {why}");
    trial.roles_rest(&A, LONG, 0).await?;
    trial.led_to(&A, PATIENT, "the same pod", |now| now.uid == active.uid).await?;
    trial.nothing_failed()
}

/// Two annotated Services over the same pods lead to the same one, or the second is refused with a reason and left alone.
pub(super) async fn a_two_services_over_the_same_pods_agree_or_are_refused(trial: &mut Trial) -> Result<()> {
    let second = Users { service: "web-admin", ..A };
    trial.dog.fed_by_selector(&[second.service]);
    let active = led(trial, &A).await?;
    trial.apply("a/second-service.yaml").await?;
    let refused = |world: &World| {
        let event = world.all(Kind::Event).find(|event| {
            text(event, "/regarding/name") == second.service
                && text(event, "/type") == "Warning"
                && text(event, "/reportingController").contains("hotstandby")
        })?;
        Some(text(event, "/note").to_owned())
    };
    let settled = |world: &World| {
        let agree = second.led_to(world).is_some_and(|now| now.uid == active.uid);
        (agree || refused(world).is_some()).then(|| refused(world))
    };
    match trial.dog.wait(PATIENT, "the second Service to be led or refused", settled).await? {
        None => {
            trial.note("they agree");
            trial.one_active(&second);
            trial.rested().await?;
            trial.env.objects.delete(Kind::Pod, &trial.namespace, &active.pod).await?;
            let next = trial.led_to(&A, PATIENT, "another pod", |now| now.uid != active.uid).await?;
            trial.led_to(&second, PATIENT, "the same pod", |now| now.uid == next.uid).await.map(drop)
        }
        Some(note) => {
            trial.note(format!("refused: {note}"));
            fault_lasts(LONG).await;
            let world = trial.dog.world();
            let service = world.find(Kind::Service, second.service).context("it is gone")?;
            ensure!(service.pointer("/spec/selector") == Some(&json!({"app": "web"})), "it was written");
            ensure!(A.led_to(&world).is_some_and(|now| now.uid == active.uid), "the first one moved");
            Ok(())
        }
    }
}

/// The name of a headless Service without ports means the active pod alone.
pub(super) async fn a_headless_name_means_a_standby(trial: &mut Trial) -> Result<()> {
    let active = led(trial, &A_HEADLESS).await?;
    trial.resolves_to(A_HEADLESS.service, &[&active.ip], REPAIR).await?;
    trial.env.objects.delete(Kind::Pod, &trial.namespace, &active.pod).await?;
    let next = trial.led_to(&A_HEADLESS, PATIENT, "another pod", |now| now.uid != active.uid).await?;
    trial.resolves_to(A_HEADLESS.service, &[&next.ip], REPAIR).await?;
    trial.pods_ready(&A_HEADLESS, 3).await?;
    trial.resolves_to(A_HEADLESS.service, &[&next.ip], REPAIR).await
}

/// A tool applies the Service as it is in its repository, again and again: it is narrowed again each time, and traffic goes on.
pub(super) async fn a_reapplied_service_leads_to_standbys(trial: &mut Trial) -> Result<()> {
    let active = led_with_client(trial, &A).await?;
    let mut longest = Duration::ZERO;
    for _ in 0..3 {
        let service = trial.env.objects.get(Kind::Service, &trial.namespace, A.service).await?;
        let selector = service.pointer("/spec/selector").and_then(Value::as_object).context("no selector")?;
        let added = selector.keys().filter(|key| *key != A.app.0).map(|key| (key.clone(), Value::Null));
        let added: serde_json::Map<String, Value> = added.collect();
        ensure!(!added.is_empty(), "the selector was not narrowed: {selector:?}");
        // The endpoint controller follows the tool's edit even where the selector is narrow again: what it makes of it is no fault.
        trial.dog.ask_no_more();
        let start = Instant::now();
        let written = trial.patch(Kind::Service, A.service, &json!({"spec": {"selector": added}})).await?;
        trial.seen(&written).await?;
        trial.led_to(&A, REPAIR, "the same pod again", |now| now.uid == active.uid).await?;
        longest = longest.max(start.elapsed());
        // Nor is it any while that controller has not caught up, which it does at most once a second.
        fault_lasts(LONG).await;
        trial.led_to(&A, REPAIR, "the same pod still", |now| now.uid == active.uid).await?;
        trial.rested().await?;
        trial.one_active(&A);
    }
    trial.note(format!("put right within {longest:.0?}"));
    let answers = trial.trace().answers();
    let others: usize = answers.iter().filter(|(who, _)| ***who != *active.pod).map(|(_, count)| count).sum();
    trial.note(format!("{others} requests went to standbys"));
    trial.nothing_failed()
}
