//! Connections that last: for how long the old active keeps them after a planned move.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::bench::Bench;
use super::goals::ms;
use super::group::{Group, millis};
use super::report::Table;
use super::stats::Spread;
use hotstandby_e2e::held::Held;
use hotstandby_e2e::objects::Kind;
use hotstandby_e2e::scene::{ECHO_PORT, GROUP, Scene};
use hotstandby_testbed::wait::until;

/// After so long a connection counts as kept.
const LIMIT: Duration = Duration::from_secs(10);
/// How long all pods must have been ready before a trial.
const STEADY: Duration = Duration::from_secs(1);

/// What ends the old active's connections, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum LastingRow {
    /// Nothing.
    Kept,
    /// hotstandby deletes its pod.
    Deleted,
    /// The app itself, when it is told that it is a standby.
    Notified,
}

/// One trial.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LastingSample {
    /// Which row.
    row: LastingRow,
    /// How it went.
    outcome: Lasted,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
enum Lasted {
    /// From just before the request to move to the connection's end.
    Gone { ms: f64 },
    /// It was still answered.
    Open,
    /// It says nothing.
    Invalid { reason: String },
}

impl LastingRow {
    /// All of them, in the table's order.
    pub(super) const ALL: [Self; 3] = [Self::Kept, Self::Deleted, Self::Notified];

    /// Its name on the command line.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Kept => "lasting-kept",
            Self::Deleted => "lasting-deleted",
            Self::Notified => "lasting-notified",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Kept => "nothing (`oldActive: Keep`)",
            Self::Deleted => "`oldActive: Delete`, app ends at once",
            Self::Notified => "notice by HTTP, app closes them; `order: Strict`",
        }
    }

    fn scene(self) -> Scene {
        let scene = Scene::default().with_echo();
        match self {
            Self::Kept => scene,
            Self::Deleted => scene.spec(&json!({"oldActive": "Delete"})),
            Self::Notified => {
                let notice = json!({"http": {"port": 8080, "path": "/role"}, "roles": ["Active", "Standby"]});
                scene.env("CLOSE_ON_STANDBY", "yes").spec(&json!({"order": "Strict", "notify": [notice]}))
            }
        }
    }

    /// How often, if nothing else is said.
    pub(super) fn usual_trials(self) -> usize {
        if self == Self::Kept { 3 } else { 20 }
    }
}

/// All trials of one row.
pub(super) async fn row(bench: &Arc<Bench>, row: LastingRow, trials: usize) -> Result<Vec<LastingSample>> {
    bench.env.grant(&["delete-pods"]).await?;
    let group = Group::create(bench, row.key(), &row.scene()).await?;
    let mut samples = Vec::new();
    for number in 0..trials {
        let lasted = trial(bench, &group, number).await;
        let outcome = lasted.unwrap_or_else(|error| Lasted::Invalid { reason: format!("{error:#}") });
        bench.env.progress.say(format!("{} {}/{trials}: {outcome:?}", row.key(), number + 1));
        samples.push(LastingSample { row, outcome });
    }
    group.remove().await?;
    Ok(samples)
}

async fn trial(bench: &Arc<Bench>, group: &Group, number: usize) -> Result<Lasted> {
    bench.calm(STEADY).await?;
    let active = group.settled().await?;
    group.paced().await;
    let target = SocketAddr::new(group.target.ip(), ECHO_PORT);
    let held = Held::by_active(&bench.env, target, &active).await?;
    let to = group.standby(&active, number).await?;
    let request = Group::request(&active, &to.pod);
    let start = Instant::now();
    bench.env.objects.patch(Kind::ActiveStandby, &group.namespace, GROUP, &request).await?;
    group.note_change();
    group.change_told(active.term + 1).await?;
    let ended = until(LIMIT, "the connection to end", async || Ok(held.ended())).await;
    match ended {
        Ok(ended) => Ok(Lasted::Gone { ms: millis(ended.saturating_duration_since(start)) }),
        Err(_in_vain) => {
            let late = start + LIMIT.mul_f64(0.9);
            ensure!(held.answered_after(late), "it was neither ended nor answered");
            Ok(Lasted::Open)
        }
    }
}

/// The table; empty where nothing was measured.
pub(super) fn table(samples: &[LastingSample]) -> String {
    let mut table = Table::new(&[
        "What ends the old active's connections",
        "Trials",
        "Gone, p50",
        "max",
        "Still open after 10 s",
    ]);
    let mut some = false;
    let mut invalid = String::new();
    for row in LastingRow::ALL {
        let all: Vec<&Lasted> =
            samples.iter().filter(|sample| sample.row == row).map(|sample| &sample.outcome).collect();
        let gone: Vec<f64> = all
            .iter()
            .filter_map(|one| if let Lasted::Gone { ms } = one { Some(*ms) } else { None })
            .collect();
        let open = all.iter().filter(|one| ***one == Lasted::Open).count();
        for one in &all {
            if let Lasted::Invalid { reason } = one {
                let _written = writeln!(invalid, "- {}: {reason}", row.key());
            }
        }
        if gone.len() + open == 0 {
            continue;
        }
        some = true;
        let spread = Spread::of(&gone);
        let cell = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), ms);
        table.line([
            row.title().to_owned(),
            (gone.len() + open).to_string(),
            cell(spread.map(|spread| spread.p50)),
            cell(spread.map(|spread| spread.max)),
            open.to_string(),
        ]);
    }
    let table = if some { table.render() } else { String::new() };
    if invalid.is_empty() { table } else { format!("{table}\nInvalid trials:\n\n{invalid}") }
}

/// The section; empty where nothing was measured.
pub(super) fn section(samples: &[LastingSample]) -> String {
    if samples.is_empty() {
        String::new()
    } else {
        format!("\n## The old active's connections\n\n{}{METHOD}", table(samples))
    }
}

const METHOD: &str = "
A connection through the ClusterIP to the active, over which a word is said and answered every 20 ms. From just before the annotation
`hotstandby.dev/switchover` is patched to the end of the connection. kube-proxy ends none: it lasts until the app or its end closes it.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_counted_and_nothing_is_dropped() {
        let sample = |row, outcome| LastingSample { row, outcome };
        let text = section(&[
            sample(LastingRow::Kept, Lasted::Open),
            sample(LastingRow::Deleted, Lasted::Gone { ms: 70.0 }),
            sample(LastingRow::Deleted, Lasted::Invalid { reason: "odd".to_owned() }),
        ]);
        for part in ["oldActive: Keep", "70.0 ms", "lasting-deleted: odd"] {
            assert!(text.contains(part), "'{part}' is missing in:\n{text}");
        }
        assert_eq!(section(&[]), "");
    }
}
