//! Clocks that jump under the gatekeeper. One kernel has one clock of each kind, so a library stands between it and the gatekeeper
//! (`tools/clocks`). The command is not below it: what it notes is the machine's true boot clock.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::jiff::Timestamp;

use super::await_frozen::ends_at_once;
use super::await_planned::{between, deploy, last_two};
use crate::gatekeeper::scene::{Gatekeeper, Members, NAME, Plan, Timing};
use crate::gatekeeper::ticks::{Life, boot_now};
use crate::objects::{Kind, name_of, text};
use crate::trial::{PATIENT, Trial};
use hotstandby_testbed::wait::fault_lasts;

/// In seconds.
const HOUR: i64 = 3600;
/// A command that was quiet for longer does not run, however busy the machine.
const ALIVE: Duration = Duration::from_secs(2);

/// Somebody sets the wall clock an hour forward, or back: of the holder's machine, of those that wait, and while they differ the
/// pod is deleted. No lease is lost or taken for it.
pub(super) async fn await_wall_clock_jumps(trial: &mut Trial) -> Result<()> {
    let mut members = deploy(trial, &Plan::of(Gatekeeper::Clocked)).await?;
    let holder = members.running()?;
    let pods = pods(trial).await?;
    deceived(&members, &pods).await?;
    for (who, holds) in [("the holder", true), ("those that wait", false)] {
        for hours in [1, -1, 0] {
            for pod in pods.iter().filter(|pod| (**pod == holder.pod) == holds) {
                members.set_clocks(pod, hours * HOUR, Duration::ZERO)?;
            }
            fault_lasts(Timing::SHORT.0 * 2).await;
            unmoved(&mut members, &holder).with_context(|| format!("{who} at {hours} h"))?;
            // Times of renewals only grow, so that later they tell nothing.
            if holds && hours == 1 {
                let ahead = renewed_ahead(trial).await?;
                ensure!((ahead - HOUR).abs() < 60, "the renewal is {ahead} s ahead: was the clock set?");
            }
        }
    }
    // A release and what follows, with the clocks two hours apart.
    for pod in &pods {
        let hours = if *pod == holder.pod { 1 } else { -1 };
        members.set_clocks(pod, hours * HOUR, Duration::ZERO)?;
    }
    let moment = boot_now()?;
    trial.env.objects.delete(Kind::Pod, &trial.namespace, &holder.pod).await?;
    members.running_since(moment, PATIENT).await?;
    let lives = members.judge()?;
    let (old, new) = last_two(&lives)?;
    ensure!(old.stopped, "{} was killed although it would have ended by itself", old.pod);
    trial.note(format!("next start {:.1} ms after the end, clocks 2 h apart", between(old.last, new.start)));
    Ok(())
}

/// Machines are suspended for twice the lease, and wake: everything in them stood still, the monotonic clock, too, and the boot
/// clock went on. Those that waited take nothing; the holder's command is dead at once.
pub(super) async fn await_machine_suspended(trial: &mut Trial) -> Result<()> {
    let mut members = deploy(trial, &Plan::of(Gatekeeper::Clocked)).await?;
    let (holder, pods) = (members.running()?, pods(trial).await?);
    deceived(&members, &pods).await?;
    let waiting: Vec<&String> = pods.iter().filter(|pod| **pod != holder.pod).collect();
    for pod in waiting {
        suspended(trial, &members, pod).await?;
        unmoved(&mut members, &holder).with_context(|| format!("right after {pod} woke"))?;
    }
    fault_lasts(Timing::SHORT.0 * 2).await;
    unmoved(&mut members, &holder).context("two leases after those that waited woke")?;
    let moment = boot_now()?;
    let woken = suspended(trial, &members, &holder.pod).await?;
    let new = members.running_since(moment, PATIENT).await?;
    ensure!(new.start < woken, "nobody started while the holder slept for two leases");
    ends_at_once(trial, &mut members, woken).await
}

async fn pods(trial: &Trial) -> Result<Vec<String>> {
    let (pods, _) = trial.env.objects.list(Kind::Pod, &trial.namespace, &format!("app={NAME}")).await?;
    Ok(pods.iter().map(|pod| name_of(pod).to_owned()).collect())
}

/// That all gatekeepers, keeper and elector, are below clocks that can be set: else these tests prove nothing.
async fn deceived(members: &Members, pods: &[String]) -> Result<()> {
    for pod in pods {
        let processes = members.processes(pod).await?;
        let elector = processes.elector.with_context(|| format!("pod {pod} has no elector"))?;
        for pid in [processes.keeper.pid, elector] {
            let maps =
                std::fs::read_to_string(format!("/proc/{pid}/maps")).context("reading a process's maps")?;
            ensure!(maps.contains("/ticks/clocks."), "process {pid} of {pod} is not below these clocks");
        }
    }
    Ok(())
}

/// The same life of the command goes on, and no other ever was.
fn unmoved(members: &mut Members, holder: &Life) -> Result<()> {
    let now = boot_now()?;
    let lives = members.judge()?;
    let [life] = lives.as_slice() else { anyhow::bail!("the command started again: {lives:#?}") };
    let quiet = now.saturating_sub(life.last);
    ensure!(life.start == holder.start && life.told.is_none(), "{life:?} was ended");
    ensure!(quiet < ALIVE && life.pause < ALIVE, "the command was quiet for {:?}", quiet.max(life.pause));
    Ok(())
}

/// By how many seconds the Lease's newest renewal is ahead of the true time.
async fn renewed_ahead(trial: &Trial) -> Result<i64> {
    let lease = trial.env.objects.get(Kind::Lease, &trial.namespace, NAME).await?;
    let renewed: Timestamp = text(&lease, "/spec/renewTime").parse().context("reading a renewal")?;
    Ok(renewed.as_second() - Timestamp::now().as_second())
}

/// Suspends the machine of a pod for twice the lease; the moment in which it wakes.
async fn suspended(trial: &Trial, members: &Members, pod: &str) -> Result<Duration> {
    let processes = members.processes(pod).await?;
    let faults = trial.env.cluster.faults();
    let asleep = boot_now()?;
    for pid in &processes.all {
        faults.freeze_process(*pid)?;
    }
    fault_lasts(Timing::SHORT.0 * 2).await;
    let awake = boot_now()?;
    members.set_clocks(pod, 0, awake.saturating_sub(asleep))?;
    // The command first: the worst case.
    for pid in processes.all.iter().rev() {
        // What the others kill at once is gone before its turn.
        let _gone = faults.thaw_process(*pid);
    }
    Ok(awake)
}
