//! The gatekeeper beside the controller: the pods elect and may touch nothing but their Lease; the controller leads the Service.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::json;

use super::await_planned::between;
use super::election::{follow_leases, unfollow_leases};
use crate::gatekeeper::scene::{Gatekeeper, Members, NAME, Plan};
use crate::gatekeeper::ticks::{Life, boot_now};
use crate::objects::Kind;
use crate::scene::{GROUP, SERVICE, Scene};
use crate::trial::{GENEROUS, PATIENT, Trial};
use crate::view::{Seat, Slice};
use crate::watchdog::World;
use hotstandby_testbed::faults::Inflicted;

/// The holder is told to stop, first by a signal, then by its pod's deletion: it releases the Lease, the next one starts, and traffic
/// goes where the Lease says, by the Lease's term. Never two commands, and never an endpoint of anybody but the holder.
pub(super) async fn await_led_by_the_controller(trial: &mut Trial) -> Result<()> {
    trial.watch_seats_in(&trial.namespace.clone()).await?;
    let file = follow_leases(trial).await?;
    let outcome = led(trial).await;
    unfollow_leases(trial, &file).await?;
    outcome
}

async fn led(trial: &mut Trial) -> Result<()> {
    let plan = Plan {
        lease: Seat::name(&trial.namespace, GROUP),
        service: false,
        env: vec![("PORT", "8080")],
        ..Plan::of(Gatekeeper::OwnWords)
    };
    let mut members = Members::deploy(&trial.env, &trial.namespace, &plan).await?;
    create_group(trial, &plan).await?;
    // Those that wait do not serve, and are standbys all the same.
    trial.settled(plan.replicas).await?;
    leads_to(trial, &members.running()?).await?;
    trial.rested().await?;
    trial.start_client(&[]).await?;

    for by_signal in [true, false] {
        let (holder, old) = (members.running()?, trial.active()?);
        ensure!(old.pod == holder.pod, "{} is active while {} runs the command", old.pod, holder.pod);
        let process = trial.process_of(&holder.pod).await?;
        let moment = boot_now()?;
        let fault = trial.hurt(Inflicted::now());
        if by_signal {
            process.signal(Signal::SIGTERM)?;
        } else {
            trial.env.objects.delete(Kind::Pod, &trial.namespace, &holder.pod).await?;
        }
        let seen = trial.failover(fault, &old, GENEROUS).await?;
        let new = members.running_since(moment, PATIENT).await?;
        let lives = members.judge()?;
        let ended =
            lives.iter().find(|life| life.start == holder.start).context("the holder's life is gone")?;
        ensure!(ended.stopped, "{} was killed although it would have ended by itself", ended.pod);
        ensure!(*seen.new == *new.pod, "{} answers, and {} runs the command", seen.new, new.pod);
        trial.note(format!("next start {:.1} ms after the end", between(ended.last, new.start)));
        leads_to(trial, &new).await?;
        trial.settled(plan.replicas).await?;
        trial.rested().await?;
    }
    // What the watchdog judges at the end: each endpoint at every version, by holder and term.
    trial.dog.catch_up().await
}

async fn create_group(trial: &Trial, plan: &Plan) -> Result<()> {
    let election = json!({
        "selector": {"matchLabels": {"app": NAME}},
        "election": {"mode": "Pods", "lease": {"name": plan.lease}},
    });
    let group = Scene::default().spec(&election).group();
    let service = json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}});
    let objects = &trial.env.objects;
    objects.create(Kind::Service, &trial.namespace, &Kind::Service.object(SERVICE, &service)).await?;
    objects.create(Kind::ActiveStandby, &trial.namespace, &group).await?;
    Ok(())
}

/// Waits until the Service's one endpoint is the pod whose command runs, at the term the command was given.
async fn leads_to(trial: &Trial, life: &Life) -> Result<()> {
    let term = life.term.context("the command was given no term")?;
    let led = |world: &World| {
        let seat = world.seat(GROUP)?;
        let slices: Vec<Slice> = world.slices(SERVICE);
        let [slice] = slices.as_slice() else { return None };
        let [endpoint] = slice.endpoints.as_slice() else { return None };
        let there = endpoint.pod == life.pod
            && slice.ours
            && seat.holder == life.pod
            && seat.term == term
            && slice.stamp == Some((seat.uid, term));
        there.then_some(())
    };
    let what = format!("the Service to lead to {} at term {term}", life.pod);
    trial.dog.wait(Duration::from_secs(5), &what, led).await.with_context(|| trial.group_text())
}
