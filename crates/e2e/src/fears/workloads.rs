//! What a Deployment and a StatefulSet do to their pods.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::objects::{Kind, uid_of};
use crate::scene::{GROUP, Scene, is_settled};
use crate::trial::{GENEROUS, PATIENT, Trial};
use crate::watchdog::World;
use hotstandby_testbed::faults::Inflicted;

/// All pods are replaced, one by one: traffic moves once where a ready pod of the new revision exists in
/// time, else twice, and no request fails, as the pods serve on for a while.
pub(super) async fn rolling_update(trial: &mut Trial) -> Result<()> {
    let strategy = json!({"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
    Scene::default()
        .linger("1500ms")
        .workload(&json!({"spec": {"strategy": strategy}}))
        .deploy(trial)
        .await?;
    let old: Vec<String> = trial.dog.world().all(Kind::Pod).map(|pod| uid_of(pod).to_owned()).collect();
    trial.start_client(&[]).await?;

    trial.hurt(Inflicted::now());
    let change = json!({"spec": {"template": {"metadata": {"annotations": {"e2e/revision": "2"}}}}});
    trial.patch(Kind::Deployment, GROUP, &change).await?;
    let replaced = |world: &World| {
        let gone = old.iter().all(|uid| world.pod_by_uid(uid).is_none());
        (gone && is_settled(world, 3)).then_some(())
    };
    trial.dog.wait(PATIENT * 3, "all pods to be replaced", replaced).await?;

    let moves = trial.dog.world().moves();
    trial.note(format!("{} moves, {} failed", moves.len(), trial.trace().failed()));
    ensure!((1..=2).contains(&moves.len()), "the seat moved {} times: {moves:?}", moves.len());
    trial.moved(moves.len()).await?;
    trial.nothing_failed()
}

/// A StatefulSet makes the deleted pod anew by the same name: another pod, that never held the seat.
pub(super) async fn statefulset_pod_comes_back_by_the_same_name(trial: &mut Trial) -> Result<()> {
    Scene::default().stateful().deploy(trial).await?;
    let active = trial.active()?;
    trial.start_client(&[&active.node]).await?;

    let fault = trial.hurt(Inflicted::now());
    trial.env.objects.delete(Kind::Pod, &trial.namespace, &active.pod).await?;
    trial.failover(fault, &active, GENEROUS).await?;
    let again = |world: &World| {
        let pod = world.find(Kind::Pod, &active.pod)?;
        (uid_of(pod) != active.uid && is_settled(world, 3)).then(|| uid_of(pod).to_owned())
    };
    let uid = trial.dog.wait(PATIENT, "the pod to be made anew", again).await?;
    trial.moved(1).await?;
    let change = trial.change_told(active.term + 1).await?;
    trial.note_stages(&change);

    // The new one of that name may become active, too, and is told from the old one.
    trial.switch_to(&active.pod).await?;
    let now = trial.active()?;
    ensure!(now.uid == uid && now.uid != active.uid, "the seat is held by {}", now.uid);
    ensure!(now.term == active.term + 2, "the term is {}", now.term);

    // A StatefulSet of one: nobody can take over, and the next of the same name gets a term of its own.
    trial.end_client();
    trial.patch(Kind::StatefulSet, GROUP, &json!({"spec": {"replicas": 1}})).await?;
    let alone = |world: &World| is_settled(world, 1).then_some(());
    trial.dog.wait(PATIENT, "one pod to be left", alone).await?;
    let before = trial.active()?;
    trial.env.objects.delete(Kind::Pod, &trial.namespace, &before.pod).await?;
    let next = |world: &World| {
        let seat = world.seat(GROUP)?;
        (seat.holder_uid != before.uid && is_settled(world, 1)).then_some(seat)
    };
    let seat = trial.dog.wait(PATIENT, "the next pod of the same name to be active", next).await?;
    ensure!(seat.holder == before.pod && seat.term == before.term + 1, "{seat:?}");
    let told = trial.dog.world().find(Kind::ActiveStandby, GROUP).cloned().unwrap_or(Value::Null);
    ensure!(
        told.pointer("/status/active/uid").and_then(Value::as_str) == Some(seat.holder_uid.as_str()),
        "{told}"
    );
    Ok(())
}
