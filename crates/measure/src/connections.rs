//! Connections that last: for how long the old active keeps them after a switchover.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::bench::Bench;
use crate::experiment::Ending;
use crate::group::{Group, to_millis};
use crate::record::Outcome;
use crate::runner::Series;
use hotstandby_e2e::held::Held;
use hotstandby_e2e::objects::Kind;
use hotstandby_e2e::scene::{ECHO_PORT, GROUP, Scene};
use hotstandby_testbed::wait::until;

/// After so long a connection counts as kept.
const LIMIT: Duration = Duration::from_secs(10);
/// How long all pods must have been ready before a trial.
const STEADY: Duration = Duration::from_secs(1);

/// Runs all trials of one experiment.
pub(crate) async fn run_series(bench: &Arc<Bench>, ending: Ending, mut series: Series<'_>) -> Result<()> {
    bench.env.grant(&["delete-pods"]).await?;
    let group = Group::create(bench, series.experiment.key, &make_scene(ending)).await?;
    for number in 0..series.trials {
        let result = run_trial(bench, &group, number).await;
        series.record(number, Outcome::from_result(result))?;
    }
    group.remove().await
}

fn make_scene(ending: Ending) -> Scene {
    let scene = Scene::default().with_echo();
    match ending {
        Ending::Nothing => scene,
        Ending::PodDeleted => scene.spec(&json!({"oldActive": "Delete"})),
        Ending::Notification => {
            let notice = json!({"http": {"port": 8080, "path": "/role"}, "roles": ["Active", "Standby"]});
            scene.env("CLOSE_ON_STANDBY", "yes").spec(&json!({"order": "Strict", "notify": [notice]}))
        }
    }
}

async fn run_trial(bench: &Arc<Bench>, group: &Group, number: usize) -> Result<Outcome> {
    bench.wait_until_calm(STEADY).await?;
    let active = group.wait_until_settled().await?;
    group.wait_for_change_limit().await;
    let target = SocketAddr::new(group.target.ip(), ECHO_PORT);
    let held = Held::by_active(&bench.env, target, &active).await?;
    let to = group.choose_standby(&active, number).await?;
    let request = Group::make_switchover_request(&active, &to.pod);
    let start = Instant::now();
    bench.env.objects.patch(Kind::ActiveStandby, &group.namespace, GROUP, &request).await?;
    group.record_change();
    group.wait_for_history(active.term + 1).await?;
    let ended = until(LIMIT, "the connection to end", async || Ok(held.ended())).await;
    if let Ok(ended) = ended {
        return Ok(Outcome::Elapsed { ms: to_millis(ended.saturating_duration_since(start)) });
    }
    let late = start + LIMIT.mul_f64(0.9);
    ensure!(held.answered_after(late), "it was neither ended nor answered");
    Ok(Outcome::TimedOut { limit_ms: to_millis(LIMIT), failed: 0 })
}
