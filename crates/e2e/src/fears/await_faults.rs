//! The gatekeeper cut off from the API server, in four ways.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use super::await_planned::{between, deploy, last_two};
use crate::gatekeeper::scene::{Gatekeeper, Members, Plan, Timing};
use crate::gatekeeper::ticks::{Life, boot_now};
use crate::objects::Kind;
use crate::trial::{GENEROUS, PATIENT, Trial};
use hotstandby_testbed::cluster::Component;
use hotstandby_testbed::wait::{fault_lasts, until};

/// Longer than the lease of 3 s.
const LONG: Duration = Duration::from_secs(7);
const ACCOUNT: &str = "await";

/// Waits until the command is dead, and checks that it was before its lease had run out: the renewal before the fault was
/// sent before the fault.
async fn dead_in_time(members: &mut Members, holder: &Life, fault: Duration) -> Result<Duration> {
    let lease = Timing::SHORT.0;
    fault_lasts(lease).await;
    let lives = members.lives()?;
    let life = lives.iter().find(|life| life.start == holder.start).unwrap_or(holder);
    let lived = life.last.saturating_sub(fault);
    ensure!(
        lived < lease,
        "{} lived for {lived:?} after it was cut off; its lease is of {lease:?}",
        life.pod
    );
    ensure!(boot_now()?.saturating_sub(fault) >= lease, "the fault has not lasted for a lease");
    Ok(lived)
}

/// The rights are taken away under way, and given back: the holder must give up in time, and one starts afterwards.
pub(super) async fn await_rights_removed(trial: &mut Trial) -> Result<()> {
    let plan = Plan::of(Gatekeeper::OldWords);
    let mut members = deploy(trial, &plan).await?;
    let holder = members.running()?;
    let none = json!({"rules": []});
    let fault = boot_now()?;
    trial.env.objects.patch(Kind::Role, &trial.namespace, ACCOUNT, &none).await?;
    // The API server learns of it some moments later.
    let lived = until(LONG, "the command to be dead", async || {
        let now = boot_now()?;
        let life = members.running()?;
        ensure!(life.start == holder.start, "somebody started without any right: {life:?}");
        Ok((now.saturating_sub(life.last) > Duration::from_millis(300))
            .then_some(life.last.saturating_sub(fault)))
    })
    .await?;
    fault_lasts(Timing::SHORT.0).await;
    ensure!(members.running()?.start == holder.start, "somebody started without any right");
    let back = boot_now()?;
    members.apply(&plan).await?;
    let new = members.running_since(back, PATIENT).await?;
    members.judge()?;
    trial.note(format!(
        "dead {:.0} ms after, next {:.0} ms after their return",
        lived.as_secs_f64() * 1000.0,
        between(back, new.start)
    ));
    Ok(())
}

/// The API server is away for longer than the lease: the command dies in time, and one starts when it is back.
pub(super) async fn await_api_server_away(trial: &mut Trial) -> Result<()> {
    let mut members = deploy(trial, &Plan::of(Gatekeeper::OwnWords)).await?;
    let holder = members.running()?;
    let fault = boot_now()?;
    trial.env.kill(Component::Apiserver)?;
    let lived = dead_in_time(&mut members, &holder, fault).await?;
    fault_lasts(LONG.saturating_sub(Timing::SHORT.0)).await;
    let back = boot_now()?;
    trial.env.restart(Component::Apiserver)?;
    let new = members.running_since(back, PATIENT).await?;
    members.judge()?;
    trial.note(format!(
        "dead {:.0} ms after, next {:.0} ms after its restart",
        lived.as_secs_f64() * 1000.0,
        between(back, new.start)
    ));
    Ok(())
}

/// The holder's node is cut off; its command could go on writing, and must be dead before the next one starts.
pub(super) async fn await_node_partitioned(trial: &mut Trial) -> Result<()> {
    let mut members = deploy(trial, &Plan::of(Gatekeeper::OldWords)).await?;
    let holder = members.running()?;
    let node = members.node_of(&holder.pod).await?;
    let fault = boot_now()?;
    trial.env.cluster.faults().link_down(&node)?;
    let new = members.running_since(fault, PATIENT).await?;
    let lived = dead_in_time(&mut members, &holder, fault).await?;
    ensure!(new.pod != holder.pod, "{} started again behind the cut", new.pod);
    trial.env.cluster.faults().link_up(&node)?;
    let lives = members.judge()?;
    let (old, new) = last_two(&lives)?;
    trial.note(format!(
        "dead {:.0} ms after, next {:.0} ms after that",
        lived.as_secs_f64() * 1000.0,
        between(old.last, new.start)
    ));
    Ok(())
}

/// The holder's node loses power.
pub(super) async fn await_node_powered_off(trial: &mut Trial) -> Result<()> {
    let mut members = deploy(trial, &Plan::of(Gatekeeper::OwnWords)).await?;
    let holder = members.running()?;
    let node = members.node_of(&holder.pod).await?;
    let fault = boot_now()?;
    trial.env.cluster.faults().power_off(&node)?;
    let new = members.running_since(fault, PATIENT).await?;
    members.judge()?;
    let took = new.start.saturating_sub(fault);
    trial.note(format!("next start {:.0} ms after the power cut", took.as_secs_f64() * 1000.0));
    ensure!(
        took < Timing::SHORT.0 + GENEROUS,
        "with a lease of {:?} the next start took {took:?}",
        Timing::SHORT.0
    );
    Ok(())
}
