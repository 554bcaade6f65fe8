//! Parts of the gatekeeper stand still while the rest of the world goes on.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::await_planned::{between, deploy, last_two};
use crate::gatekeeper::scene::{Gatekeeper, Members, Plan};
use crate::gatekeeper::ticks::{boot_now, overlaps};
use crate::trial::{PATIENT, Trial};
use hotstandby_testbed::wait::{fault_lasts, until};

/// Shorter and longer than what the lease of 3 s takes to be lost several times over.
const FREEZES: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(20), Duration::from_mins(1)];
/// How long what thaws may take to be killed, on a busy machine.
const LAST_BREATH: Duration = Duration::from_millis(500);

/// Only one of the gatekeeper's two processes is frozen, first either of them, then for long: the other suffices.
pub(super) async fn await_one_process_frozen(trial: &mut Trial) -> Result<()> {
    let mut members = deploy(trial, &Plan::of(Gatekeeper::OldWords)).await?;
    for (length, keeper) in [(FREEZES[0], true), (FREEZES[1], true), (FREEZES[0], false), (FREEZES[1], false)]
    {
        let holder = members.running()?;
        let processes = members.processes(&holder.pod).await?;
        let pid = if keeper { Some(processes.keeper.pid) } else { processes.elector };
        let pid = pid.with_context(|| format!("pod {} has no elector: {processes:?}", holder.pod))?;
        let faults = trial.env.cluster.faults();
        let moment = boot_now()?;
        faults.freeze_process(pid)?;
        fault_lasts(length).await;
        // Gone already, if the other one ended the container.
        let _gone = faults.thaw_process(pid);
        let new = members.running_since(moment, PATIENT).await;
        let lives = members.judge()?;
        let which = if keeper { "keeper" } else { "elector" };
        match new {
            Ok(new) => {
                trial.note(format!("{which} {length:?}: next after {:.0} ms", between(moment, new.start)));
            }
            // The keeper is not needed for holding on.
            Err(_) if keeper && lives.last().is_some_and(|life| life.last > moment + length) => {
                trial.note(format!("{which} {length:?}: went on"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The tests' own judge: a gatekeeper made of client-go's election has but one process, and frozen, it kills nothing. If
/// its command is not seen to run beside the next one, the other tests prove nothing.
pub(super) async fn await_two_at_once_are_seen(trial: &mut Trial) -> Result<()> {
    let mut members = deploy(trial, &Plan::of(Gatekeeper::Elector)).await?;
    let holder = members.running()?;
    let process = members.processes(&holder.pod).await?.keeper;
    let faults = trial.env.cluster.faults();
    let moment = boot_now()?;
    faults.freeze_process(process.pid)?;
    let new = members.running_since(moment, PATIENT).await?;
    let seen = until(PATIENT, "the judge to see both", async || {
        Ok(Some(overlaps(&members.lives()?)).filter(|seen| !seen.is_empty()))
    })
    .await?;
    faults.thaw_process(process.pid)?;
    ensure!(members.judge().is_err(), "the judge is content with {seen:?}");
    trial.note(format!("{} started beside the frozen gatekeeper's {}", new.pod, holder.pod));
    Ok(())
}

/// The whole container is frozen, command and all, so that nothing in it can do anything: somebody else starts. What thaws
/// must be dead at once, and what it still writes carries the older term.
pub(super) async fn await_container_frozen(trial: &mut Trial) -> Result<()> {
    let mut members = deploy(trial, &Plan::of(Gatekeeper::OwnWords)).await?;
    for length in FREEZES {
        let holder = members.running()?;
        let processes = members.processes(&holder.pod).await?;
        let faults = trial.env.cluster.faults();
        let moment = boot_now()?;
        for pid in &processes.all {
            faults.freeze_process(*pid)?;
        }
        let new = members.running_since(moment, length).await?;
        let waited = boot_now()?.saturating_sub(moment);
        fault_lasts(length.saturating_sub(waited)).await;
        let thawed = boot_now()?;
        // The command first: the worst case.
        for pid in processes.all.iter().rev() {
            // What the others kill at once is gone before its turn.
            let _gone = faults.thaw_process(*pid);
        }
        trial.note(format!("{length:?}: next after {:.0} ms", between(moment, new.start)));
        ends_at_once(trial, &mut members, thawed).await?;
    }
    Ok(())
}

/// What woke at this moment dies at once, and somebody else's command goes on.
pub(super) async fn ends_at_once(trial: &mut Trial, members: &mut Members, thawed: Duration) -> Result<()> {
    let lives = until(PATIENT, "the new one to live on after the thaw", async || {
        let lives = members.lives()?;
        Ok(lives.last().is_some_and(|life| life.last > thawed + LAST_BREATH).then_some(lives))
    })
    .await?;
    let (old, new) = last_two(&lives)?;
    let late = old.last.saturating_sub(thawed);
    ensure!(late < LAST_BREATH, "{} lived on for {late:?} after the thaw", old.pod);
    ensure!(old.term < new.term, "what thawed had term {:?}, and the new one {:?}", old.term, new.term);
    ensure!(!old.stopped, "there was no time to end by itself: {old:?}");
    // While it was frozen, and only then, it was neither alive nor dead.
    let others: Vec<_> = lives.iter().filter(|life| life.pause < Duration::from_secs(2)).cloned().collect();
    ensure!(overlaps(&others).is_empty(), "{:?}", overlaps(&others));
    trial.note(format!(
        "{:.1} ms of writing at the older term after the thaw",
        between(thawed, old.last).max(0.0)
    ));
    Ok(())
}
