//! What those who move over have today and have then: their manifests, led by stand-ins for their controllers and by hotstandby.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::goals::ms;
use super::group::millis;
use super::report::Table;
use super::stats::Spread;
use hotstandby_e2e::harness::{Env, START_LIMIT, blocking};
use hotstandby_e2e::migration::{A, B, D, Users};
use hotstandby_e2e::old::{Old, System};
use hotstandby_e2e::trial::{PATIENT, Trial};
use hotstandby_testbed::wait::{fault_lasts, until};

/// The pause of D's loop, as most of its users have it.
const PAUSE: Duration = Duration::from_secs(10);
/// After another pod answered the client goes on: kube-proxy's second, and some more.
const AFTERWARDS: Duration = Duration::from_millis(1_500);

/// Which system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Whose {
    A,
    B,
    D,
}

/// What happens to the active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Fault {
    Killed,
    NodeOff,
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct MoveRow {
    system: Whose,
    fault: Fault,
    /// Led by hotstandby.
    now: bool,
}

/// One trial.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct MoveSample {
    row: MoveRow,
    outcome: Moved,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
enum Moved {
    /// The longest time in which nobody answered, and whether it was another pod that did then.
    Out { ms: f64, failed: u64, moved: bool },
    /// Nobody answered within the limit.
    Never { limit_ms: f64 },
    /// It says nothing.
    Invalid { reason: String },
}

impl MoveRow {
    /// All of them, in the table's order.
    pub(super) fn all() -> Vec<Self> {
        let systems = [Whose::A, Whose::B, Whose::D];
        let faults = [Fault::Killed, Fault::NodeOff];
        let rows = systems.into_iter().flat_map(|system| faults.map(|fault| (system, fault)));
        rows.flat_map(|(system, fault)| [false, true].map(|now| Self { system, fault, now })).collect()
    }

    /// Its name on the command line.
    pub(super) fn key(self) -> String {
        let system = match self.system {
            Whose::A => "a",
            Whose::B => "b",
            Whose::D => "d",
        };
        let fault = if self.fault == Fault::Killed { "killed" } else { "node-off" };
        format!("move-{system}-{fault}-{}", if self.now { "now" } else { "before" })
    }

    fn users(self) -> &'static Users {
        match self.system {
            Whose::A => &A,
            Whose::B => &B,
            Whose::D => &D,
        }
    }

    fn title(self) -> &'static str {
        match self.system {
            Whose::A => "A, annotated Service",
            Whose::B => "B, role labels and critical containers",
            Whose::D => "D, health toggle (a pause of 10 s)",
        }
    }

    /// For so long an answer is waited for.
    fn limit(self) -> Duration {
        Duration::from_secs(if self.fault == Fault::Killed { 30 } else { 90 })
    }

    /// How often, if nothing else is said.
    pub(super) fn usual_trials(self) -> usize {
        match (self.fault, self.now) {
            (Fault::Killed, _) => 3,
            (Fault::NodeOff, true) => 2,
            (Fault::NodeOff, false) => 1,
        }
    }
}

/// All trials of one row.
pub(super) async fn row(env: &Arc<Env>, row: MoveRow, trials: usize) -> Result<Vec<MoveSample>> {
    let mut trial = Trial::begin(env.clone(), &row.key().replace('-', "_")).await?;
    let mut samples = Vec::new();
    match led(&trial, row).await {
        Ok(old) => {
            for number in 0..trials {
                let moved = one(&mut trial, row).await;
                let outcome = moved.unwrap_or_else(|error| Moved::Invalid { reason: format!("{error:#}") });
                env.progress.say(format!("{} {}/{trials}: {outcome:?}", row.key(), number + 1));
                samples.push(MoveSample { row, outcome });
            }
            if let Some(old) = old {
                old.stop()?;
            }
        }
        Err(error) => {
            let reason = format!("could not be prepared: {error:#}");
            env.progress.say(format!("{}: {reason}", row.key()));
            samples.push(MoveSample { row, outcome: Moved::Invalid { reason } });
        }
    }
    trial.end_client();
    trial.env.heal().await?;
    trial.remove_objects().await?;
    Ok(samples)
}

/// Puts the user's manifest on the cluster, with whoever leads it.
async fn led(trial: &Trial, row: MoveRow) -> Result<Option<Old>> {
    let users = row.users();
    if row.now {
        trial.deploy_users(users).await?;
        trial.take_over(users).await?;
        return Ok(None);
    }
    trial.without_hotstandby().await?;
    let system = match row.system {
        Whose::A => System::A,
        Whose::B => System::B,
        Whose::D => System::D { app: users.app.1.to_owned(), pause: PAUSE },
    };
    // B takes no pods that are older than it.
    let old = if row.system == Whose::B {
        let old = trial.start_old(system).await?;
        trial.deploy_users(users).await?;
        old
    } else {
        trial.deploy_users(users).await?;
        trial.start_old(system).await?
    };
    trial.led_to(users, PATIENT, "the old controller's choice", |_| true).await?;
    Ok(Some(old))
}

/// The old controller of A never takes a label away: after a trial two pods are active, until somebody does that by hand.
async fn one_label(trial: &Trial, users: &Users) -> Result<()> {
    let actives = users.actives(&trial.dog.world());
    for active in actives.iter().skip(1) {
        trial.relabel(&active.pod, users.active.0, None).await?;
    }
    Ok(())
}

async fn one(trial: &mut Trial, row: MoveRow) -> Result<Moved> {
    let users = row.users();
    trial.pods_ready(users, users.pods).await?;
    if row.system == Whose::A && !row.now {
        one_label(trial, users).await?;
    }
    let active = trial.led_to(users, START_LIMIT, "one pod", |_| true).await?;
    trial.rested().await?;
    trial.start_users_client(users, &[&active.node]).await?;
    let fault = match row.fault {
        Fault::Killed => {
            let container = (row.system == Whose::B).then_some("main");
            trial.container_of(&active.pod, container).await?.signal(Signal::SIGKILL)?
        }
        Fault::NodeOff => {
            let (env, node) = (trial.env.clone(), active.node.clone());
            blocking(move || env.cluster.faults().power_off(&node)).await?
        }
    };
    // Whoever answers: the same pod, started again, serves users as well.
    let back = until(row.limit(), "an answer after the fault", async || {
        let trace = trial.trace();
        let failed =
            trace.samples().iter().rev().find(|sample| sample.end > fault.at && sample.failure().is_some());
        let Some(failed) = failed.map(|sample| sample.end) else { return Ok(None) };
        Ok(trace.samples().iter().any(|sample| sample.start > failed && sample.who().is_some()).then_some(()))
    })
    .await;
    fault_lasts(AFTERWARDS).await;
    let trace = trial.trace();
    trial.end_client();
    if row.fault == Fault::NodeOff {
        let (env, node) = (trial.env.clone(), active.node.clone());
        blocking(move || env.cluster.faults().power_on(&node)).await?;
        trial.env.cluster.wait_node_ready(&active.node, true, START_LIMIT).await?;
    }
    if back.is_err() {
        return Ok(Moved::Never { limit_ms: millis(row.limit()) });
    }
    let outages = trace.gaps().into_iter().filter(|gap| gap.recovered.is_none_or(|end| end > fault.at));
    let longest = outages.map(|gap| gap.duration).max().context("the fault was not felt")?;
    let failed = u64::try_from(trace.failed()).unwrap_or(u64::MAX);
    let moved = trace.failover_from(fault.at, &active.pod).is_some();
    Ok(Moved::Out { ms: millis(longest), failed, moved })
}

/// How long nobody answered, p50 / max; the trials; in how many of them another pod answered then.
fn cells(samples: &[MoveSample], row: MoveRow) -> [String; 2] {
    let all: Vec<&Moved> =
        samples.iter().filter(|sample| sample.row == row).map(|sample| &sample.outcome).collect();
    let outs: Vec<f64> = all
        .iter()
        .filter_map(|one| match one {
            Moved::Out { ms, .. } => Some(*ms),
            Moved::Never { .. } => Some(f64::INFINITY),
            Moved::Invalid { .. } => None,
        })
        .collect();
    let Some(spread) = Spread::of(&outs) else { return ["-".to_owned(), "0".to_owned()] };
    let moved = all.iter().filter(|one| matches!(one, Moved::Out { moved: true, .. })).count();
    let value =
        if outs.len() == 1 { ms(spread.p50) } else { format!("{} / {}", ms(spread.p50), ms(spread.max)) };
    [value, format!("{} ({moved})", outs.len())]
}

/// The table; empty where nothing was measured.
pub(super) fn table(samples: &[MoveSample]) -> String {
    if samples.is_empty() {
        return String::new();
    }
    let head = [
        "System",
        "Fault",
        "Before: nobody answers for",
        "Trials (moved)",
        "Now: nobody answers for",
        "Trials (moved)",
    ];
    let mut table = Table::new(&head);
    for now in MoveRow::all().into_iter().filter(|row| row.now) {
        let before = MoveRow { now: false, ..now };
        let fault = if now.fault == Fault::Killed { "process killed" } else { "node powered off" };
        let cells = cells(samples, before).into_iter().chain(cells(samples, now));
        table.line([now.title().to_owned(), fault.to_owned()].into_iter().chain(cells));
    }
    let mut text = table.render();
    for sample in samples {
        if let Moved::Invalid { reason } = &sample.outcome {
            let _written = write!(text, "\nInvalid: {}: {reason}\n", sample.row.key());
        }
    }
    text
}

/// The section; empty where nothing was measured.
pub(super) fn section(samples: &[MoveSample]) -> String {
    if samples.is_empty() { String::new() } else { format!("\n## Moving over\n\n{}{METHOD}", table(samples)) }
}

const METHOD: &str = "
Users' manifests (`crates/e2e/manifests`), unchanged. **Before**: led by a stand-in for the older system's controller, written from
a description of its behaviour, hotstandby away. **Now**: led by hotstandby with default timing and what the migration page says to apply.
**Nobody answers for**: the longest stretch between two answers that a client sees which opens a connection every 5 ms, p50 / max over the trials;
\"none\": no answer within 90 s (30 s after a kill). **Moved**: in how many trials it was another pod that answered then; in the others the killed
process itself was back before anybody moved. A node that is off is switched on again after the trial, so that pods come back by themselves.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_and_now_stand_in_one_line_and_nothing_is_dropped() {
        let keys: std::collections::BTreeSet<String> = MoveRow::all().into_iter().map(MoveRow::key).collect();
        assert_eq!(keys.len(), 12);
        let row = |now| MoveRow { system: Whose::A, fault: Fault::NodeOff, now };
        let text = section(&[
            MoveSample { row: row(false), outcome: Moved::Never { limit_ms: 90_000.0 } },
            MoveSample { row: row(true), outcome: Moved::Out { ms: 3001.0, failed: 9, moved: true } },
            MoveSample { row: row(true), outcome: Moved::Invalid { reason: "odd".to_owned() } },
        ]);
        let line =
            text.lines().find(|line| line.contains("| A, ") && line.contains("node powered off")).unwrap();
        assert!(line.contains("none") && line.contains("3001 ms") && line.contains("1 (1)"), "{line}");
        assert!(text.contains("move-a-node-off-now: odd"), "{text}");
        assert_eq!(section(&[]), "");
    }
}
