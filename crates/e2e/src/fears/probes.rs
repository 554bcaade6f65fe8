//! The app lives, but its health page does not answer.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::scene::Scene;
use crate::trial::{GENEROUS, PATIENT, Trial};

/// The active's health page hangs; it is asked every 100 ms.
pub(super) async fn health_endpoint_hangs(trial: &mut Trial) -> Result<()> {
    Scene::default().health("100ms", "100ms").deploy(trial).await?;
    let active = trial.active()?;
    trial.start_client(&[&active.node]).await?;

    let fault = trial.tell(&active.ip, "health=hang").await?;
    trial.hurt(fault);
    trial.failover(fault, &active, GENEROUS).await?;

    let change = trial.change_told(active.term + 1).await?;
    trial.note_stages(&change);
    ensure!(change.reason == "ProbeTimedOut", "the reason was {}", change.reason);
    trial.tell(&active.ip, "health=good").await?;
    trial.settled(3).await?;
    trial.moved(1).await?;
    trial.nothing_failed()
}

/// All health pages hang at once: that is rather the prober's fault, or nobody is better. The active stays.
pub(super) async fn all_members_hang(trial: &mut Trial) -> Result<()> {
    Scene::default().health("200ms", "150ms").deploy(trial).await?;
    let active = trial.active()?;
    trial.start_client(&[&active.node]).await?;

    let standbys = trial.standbys()?;
    // Twice, as an Event that tells the same again is counted up and not made anew.
    for _ in 0..2 {
        for standby in &standbys {
            let fault = trial.tell(&standby.ip, "health=hang").await?;
            trial.hurt(fault);
        }
        trial.condition("Redundant", "False", "NoStandby", PATIENT).await?;
        trial.tell(&active.ip, "health=hang").await?;
        trial.condition("Ready", "False", "HoldingUnfit", PATIENT).await?;
        trial.nothing_failed()?;
        trial.moved(0).await?;

        // The active first: were a standby well before it, the active would rightly be left.
        trial.tell(&active.ip, "health=good").await?;
        trial.condition("Ready", "True", "Serving", PATIENT).await?;
        for standby in &standbys {
            trial.tell(&standby.ip, "health=good").await?;
        }
        trial.settled(3).await?;
    }
    ensure!(trial.seat()?.term == active.term, "the term changed although nobody moved");
    // Long enough for a verdict to be late.
    trial
        .until_seen(PATIENT, "a second of answers", |trace| {
            let answered = trace.samples().iter().rev().take_while(|sample| sample.who().is_some());
            let first = answered.last()?.start;
            (first.elapsed() > Duration::from_secs(1)).then_some(())
        })
        .await?;
    trial.nothing_failed()?;
    trial.moved(0).await
}
