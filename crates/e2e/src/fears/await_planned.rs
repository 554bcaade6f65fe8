//! The gatekeeper where nothing is broken: deletion, an app that crashes, rolling updates, a change from another gatekeeper.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::gatekeeper::addresses::Addresses;
use crate::gatekeeper::scene::{Gatekeeper, Members, NAME, Plan};
use crate::gatekeeper::ticks::{Life, boot_now};
use crate::objects::{Kind, name_of};
use crate::trial::{GENEROUS, PATIENT, Trial};
use crate::watchdog::{Watchdog, pod_ip};
use hotstandby_testbed::wait::until;

/// Deploys, and waits until one runs its command and all pods are up.
pub(super) async fn deploy(trial: &mut Trial, plan: &Plan) -> Result<Members> {
    stand_aside(trial).await?;
    Members::deploy(&trial.env, &trial.namespace, plan).await
}

/// The watchdog knows the controller's seats and slices only: it is sent where none are.
async fn stand_aside(trial: &mut Trial) -> Result<()> {
    trial.dog = Watchdog::start(trial.env.objects.clone(), "kube-public", "kube-public").await?;
    Ok(())
}

/// Milliseconds from one moment to another, for a note.
pub(super) fn between(from: Duration, to: Duration) -> f64 {
    (to.as_secs_f64() - from.as_secs_f64()) * 1000.0
}

/// The pod is deleted: its command ends by itself, the lease is released, and the next one starts at once.
pub(super) async fn await_pod_deleted(trial: &mut Trial) -> Result<()> {
    let mut members = deploy(trial, &Plan::of(Gatekeeper::OldWords)).await?;
    let holder = members.running()?;
    let moment = boot_now()?;
    trial.env.objects.delete(Kind::Pod, &trial.namespace, &holder.pod).await?;
    members.running_since(moment, PATIENT).await?;
    let lives = members.judge()?;
    let (old, new) = last_two(&lives)?;
    ensure!(old.stopped, "{} was killed although it would have ended by itself", old.pod);
    let gap = new.start.saturating_sub(old.last);
    trial.note(format!("next start {:.1} ms after the end, no right to watch", between(old.last, new.start)));
    // Without the right to watch, the Lease is read once a retry period, of one second here.
    ensure!(gap < GENEROUS, "the next start came {gap:?} after the end");
    Ok(())
}

/// The two newest lives.
pub(super) fn last_two(lives: &[Life]) -> Result<(&Life, &Life)> {
    match lives {
        [.., old, new] => Ok((old, new)),
        _ => bail!("the command has not run twice: {lives:?}"),
    }
}

/// The command ends with an error after a moment, again and again, in every pod: so does the pod's container, and all of
/// them start again, with Kubernetes' growing pauses. At no time two, and each at a higher term.
pub(super) async fn await_command_crash_loop(trial: &mut Trial) -> Result<()> {
    let plan = Plan { env: vec![("CRASH_AFTER", "300ms")], ..Plan::of(Gatekeeper::OwnWords) };
    let mut members = deploy_crashing(trial, &plan).await?;
    let lives = until(PATIENT, "six lives that crash", async || {
        Ok(Some(members.lives()?).filter(|lives| lives.len() >= 6))
    })
    .await?;
    members.judge()?;
    let pods: BTreeSet<&str> = lives.iter().map(|life| life.pod.as_str()).collect();
    ensure!(pods.len() > 1, "only {pods:?} had a go: the others must get the lease when one crashes");
    ensure!(
        lives.iter().all(|life| !life.stopped),
        "a command that crashes does not end by itself: {lives:?}"
    );
    trial.note(format!("{} lives in {} pods, one at a time", lives.len(), pods.len()));
    Ok(())
}

/// Pods that crash are never all up.
async fn deploy_crashing(trial: &mut Trial, plan: &Plan) -> Result<Members> {
    stand_aside(trial).await?;
    Members::create(&trial.env, &trial.namespace, plan).await
}

/// All five pods are replaced. The command serves on for 300 ms each time it is told to stop; nobody else starts meanwhile.
pub(super) async fn await_rolling_update(trial: &mut Trial) -> Result<()> {
    let linger = vec![("LINGER", "300ms")];
    let plan = Plan { replicas: 5, env: linger, ..Plan::of(Gatekeeper::OwnWords) };
    let mut members = deploy(trial, &plan).await?;
    let addresses = Addresses::watch(trial.env.objects.client(), &trial.namespace);
    let changed = Plan { env: vec![("LINGER", "301ms")], ..plan };
    rolls(trial, &mut members, &changed, &addresses).await?;
    let lives = members.judge()?;
    let ended = lives.iter().rev().skip(1);
    ensure!(ended.clone().all(|life| life.stopped), "a command was killed in a planned update: {lives:#?}");
    let longest = lives
        .iter()
        .zip(lives.iter().skip(1))
        .map(|(old, new)| between(old.last, new.start))
        .fold(0.0, f64::max);
    trial.note(format!("{} lives, at most {longest:.1} ms between two", lives.len()));
    Ok(())
}

/// Five pods behind a gatekeeper of client-go's election change, one by one, to ours under the old name: they share one Lease
/// and one Endpoints object meanwhile. Never two commands, never two addresses in Endpoints or in all slices together.
pub(super) async fn await_mixed_rolling_change(trial: &mut Trial) -> Result<()> {
    let old = Plan { replicas: 5, ..Plan::of(Gatekeeper::Elector) };
    let mut members = deploy(trial, &old).await?;
    let addresses = Addresses::watch(trial.env.objects.client(), &trial.namespace);
    let before = members.running()?;
    ensure!(before.term.is_none(), "the other gatekeeper gives no term, and yet {before:?}");
    let new = Plan { gatekeeper: Gatekeeper::OldWords, ..old };
    members.apply(&new).await?;
    // More changes of hands while both are there than the update itself makes.
    for _ in 0..2 {
        let moment = boot_now()?;
        let holder = members.running()?;
        trial.env.objects.delete(Kind::Pod, &trial.namespace, &holder.pod).await?;
        members.running_since(moment, PATIENT).await?;
    }
    rolls(trial, &mut members, &new, &addresses).await?;
    let lives = members.judge()?;
    let mixed: Vec<&str> =
        lives.iter().map(|life| if life.term.is_some() { "ours" } else { "client-go's" }).collect();
    ensure!(mixed.last() == Some(&"ours"), "the last to run is not ours: {mixed:?}");
    trial.note(format!("ran one after the other: {}", mixed.join(", ")));
    Ok(())
}

/// Rolls to another template, until the new pods run the command and traffic has followed, always to one.
async fn rolls(trial: &mut Trial, members: &mut Members, plan: &Plan, addresses: &Addresses) -> Result<()> {
    members.apply(plan).await?;
    members.rolled_out().await?;
    let namespace = trial.namespace.clone();
    let (live, objects) = (trial.env.objects.clone(), &namespace);
    // The last of the old pods may still be on its way out, and hold the lease.
    let address =
        until(PATIENT, "one of the new pods to run the command and be the one address", async || {
            let (pods, _) = live.list(Kind::Pod, objects, &format!("app={NAME}")).await?;
            let running = members.running()?;
            let holder = pods.iter().find(|pod| name_of(pod) == running.pod).map(pod_ip);
            let settled = pods.len() == plan.replicas
                && holder.is_some()
                && addresses.led_to().last() == holder.as_ref();
            Ok(holder.filter(|_| settled))
        })
        .await?;
    let doubled = addresses.doubled();
    ensure!(doubled.is_empty(), "the Service had two addresses: {doubled:#?}");
    let led_to = addresses.led_to();
    trial.note(format!("{} addresses one after the other, {address} in the end", led_to.len()));
    ensure!(led_to.len() > 1, "traffic did not move: {led_to:?}");
    Ok(())
}
