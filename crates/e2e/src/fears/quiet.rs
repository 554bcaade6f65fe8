//! Nothing happens, and so nothing is written.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::scene::Scene;
use crate::trial::{PATIENT, Trial};
use hotstandby_testbed::wait::{fault_lasts, until};

/// How long hotstandby is watched doing nothing.
const SILENCE: Duration = Duration::from_secs(15);

/// Converged means silent, whatever the API server's clients could write, Events included.
pub(super) async fn steady_state_is_silent(trial: &mut Trial) -> Result<()> {
    Scene::default().health("200ms", "150ms").deploy(trial).await?;
    silent_for(trial, SILENCE).await?;
    let replicas = trial.env.replicas().await?;
    let mut writes = 0.0;
    for replica in &replicas {
        writes += trial.env.metric(replica, "hotstandby_api_writes_total").await?;
    }
    fault_lasts(Duration::from_secs(1)).await;
    let mut later = 0.0;
    for replica in &replicas {
        later += trial.env.metric(replica, "hotstandby_api_writes_total").await?;
    }
    ensure!(later - writes < 0.5, "{} writes in a second, by the metrics", later - writes);
    Ok(())
}

/// Waits until hotstandby has come to rest, and then checks that it does for a while.
pub(super) async fn silent_for(trial: &Trial, length: Duration) -> Result<()> {
    let version = trial.dog.world().newest_version();
    let audit = trial.env.audit();
    // An Event may follow what it tells of by a moment: begin once nothing has been written for a second.
    let mut mark = (audit.as_ref().map_or(0, crate::audit::Audit::end), Instant::now());
    until(PATIENT, "hotstandby to come to rest", async || {
        let Some(audit) = &audit else { return Ok(Some(())) };
        if audit.since(mark.0)?.iter().any(crate::audit::Entry::is_write) {
            mark = (audit.end(), Instant::now());
        }
        Ok((mark.1.elapsed() > Duration::from_secs(1)).then_some(()))
    })
    .await?;
    let version = trial.dog.world().newest_version().max(version);
    let begin = audit.as_ref().map_or(0, crate::audit::Audit::end);
    fault_lasts(length).await;
    let written = trial.dog.writes_since(version);
    ensure!(written.is_empty(), "hotstandby wrote: {written:?}");
    if let Some(audit) = audit {
        let writes: Vec<_> = audit.since(begin)?.into_iter().filter(crate::audit::Entry::is_write).collect();
        ensure!(writes.is_empty(), "hotstandby asked for changes: {writes:?}");
    }
    Ok(())
}
