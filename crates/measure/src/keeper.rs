//! The gatekeeper's trials: one Deployment for each row, one after the other.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::keeper_row::{Deed, KeeperRow};
use hotstandby_e2e::gatekeeper::scene::{Members, NAME, Plan, Stored, Timing};
use hotstandby_e2e::gatekeeper::ticks::boot_now;
use hotstandby_e2e::gatekeeper::weight::Weight;
use hotstandby_e2e::harness::{Env, START_LIMIT};
use hotstandby_e2e::objects::{Kind, name_of, text};
use hotstandby_testbed::wait::{fault_lasts, until};

/// For how long requests are counted.
const MINUTE: Duration = Duration::from_mins(1);
/// Members beside the holder while the waiting ones are counted.
const WAITING: usize = 3;
/// All pods up and the command running for so long, before something is done to it.
const STEADY: Duration = Duration::from_secs(2);

/// One trial.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct KeeperSample {
    /// Which row.
    pub(super) row: KeeperRow,
    /// How it went.
    pub(super) outcome: KeeperOutcome,
}

/// How a trial went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub(super) enum KeeperOutcome {
    /// From the last sign of life of one command to the first of the next.
    Gap {
        /// How long.
        ms: f64,
    },
    /// Requests for the Lease in one minute.
    Requests {
        /// Reads of a member that holds it.
        holding_reads: f64,
        /// Its writes.
        holding_writes: f64,
        /// Reads of a member that waits.
        waiting_reads: f64,
        /// Its writes.
        waiting_writes: f64,
    },
    /// What the container of a member that waits weighs, in bytes.
    Weight {
        /// Its processes, pages that they share counted once.
        resident: u64,
        /// Charged to its cgroup.
        working_set: u64,
        /// The gatekeeper's file.
        program: u64,
    },
    /// It says nothing about what was to be measured.
    Invalid {
        /// Why.
        reason: String,
    },
}

/// All trials of one row.
pub(super) async fn row(env: &Arc<Env>, row: KeeperRow, trials: usize) -> Result<Vec<KeeperSample>> {
    let stamp = boot_now()?.as_millis() % 1_000_000;
    let namespace = format!("{}-{stamp}", row.key());
    env.objects.create(Kind::Namespace, "", &Kind::Namespace.object(&namespace, &json!({}))).await?;
    let replicas = if row.deed() == Deed::Count { 1 } else { 3 };
    let service = row.deed() != Deed::Count;
    let plan = Plan { replicas, service, timing: row.timing(), ..Plan::of(row.gatekeeper()) };
    let mut members = Members::deploy(env, &namespace, &plan).await?;
    let mut samples = Vec::new();
    for number in 0..trials {
        let outcome = match row.deed() {
            Deed::Count => alone(&members, &plan).await,
            Deed::Weigh => weigh(&mut members, number).await,
            deed => gap(&mut members, deed, number).await,
        };
        let outcome = outcome.unwrap_or_else(|error| KeeperOutcome::Invalid { reason: format!("{error:#}") });
        env.progress.say(format!("{} {}/{trials}: {outcome:?}", row.key(), number + 1));
        samples.push(KeeperSample { row, outcome });
    }
    env.objects.delete(Kind::Namespace, "", &namespace).await?;
    until(START_LIMIT, "the pods to go", async || {
        Ok(env.objects.list(Kind::Pod, &namespace, "").await?.0.is_empty().then_some(()))
    })
    .await?;
    Ok(samples)
}

async fn gap(members: &mut Members, deed: Deed, number: usize) -> Result<KeeperOutcome> {
    members.rolled_out().await?;
    let holder = until(START_LIMIT, "a command that has run for a while", async || {
        let life = members.running()?;
        let now = boot_now()?;
        let steady = now.saturating_sub(life.start) > STEADY && now.saturating_sub(life.last) < STEADY / 4;
        Ok(steady.then_some(life))
    })
    .await?;
    // Spread over the retry period, or all trials would meet the pollers at the same moment of theirs.
    fault_lasts(Duration::from_millis(u64::try_from(number)? * 370 % 2000)).await;
    let objects = members.env.objects.clone();
    let moment = boot_now()?;
    let stopped = if deed == Deed::Release {
        objects.delete(Kind::Pod, &members.namespace, &holder.pod).await?;
        Vec::new()
    } else {
        // Not killed: its container would start again at once and take its own lease back. For the others it is as dead.
        let processes = members.processes(&holder.pod).await?.all;
        for pid in &processes {
            members.env.cluster.faults().freeze_process(*pid)?;
        }
        processes
    };
    let new = members.running_since(moment, START_LIMIT).await;
    for pid in stopped {
        // It must not go on for a moment; gone already with its container's first process.
        let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    if deed == Deed::Crash {
        objects.delete(Kind::Pod, &members.namespace, &holder.pod).await?;
    }
    let new = new?;
    let lives = members.judge()?;
    let Some(old) = lives.iter().find(|life| life.start == holder.start) else {
        bail!("the holder's life is gone")
    };
    Ok(KeeperOutcome::Gap { ms: (new.start.as_secs_f64() - old.last.as_secs_f64()) * 1000.0 })
}

/// One of those that wait, once start and rolling out are over.
async fn weigh(members: &mut Members, number: usize) -> Result<KeeperOutcome> {
    fault_lasts(Timing::USUAL.0).await;
    let holder = members.running()?.pod;
    let (pods, _) = members.env.objects.list(Kind::Pod, &members.namespace, &format!("app={NAME}")).await?;
    let waiting: Vec<&str> = pods.iter().map(name_of).filter(|pod| *pod != holder).collect();
    let pod = waiting.iter().cycle().nth(number).context("nobody waits")?;
    let Weight { resident, working_set, program } = members.weigh(pod).await?;
    Ok(KeeperOutcome::Weight { resident, working_set, program })
}

/// Reads, and writes that were refused, of Leases so far: once hotstandby is gone nobody else on the testbed reads Leases
/// or meets a conflict. Writes that were stored are counted by the Lease itself, as the kubelets write Leases too.
async fn counted(members: &Members) -> Result<(f64, f64)> {
    let metrics = members.env.kubectl(&["get", "--raw", "/metrics"]).await?;
    let of =
        |line: &&str| line.starts_with("apiserver_request_total{") && line.contains("resource=\"leases\"");
    let (mut reads, mut refused) = (0.0, 0.0);
    for line in metrics.lines().filter(of) {
        let value: f64 = line.rsplit(' ').next().and_then(|text| text.parse().ok()).unwrap_or_default();
        if ["GET", "LIST", "WATCH"].iter().any(|verb| line.contains(&format!("verb=\"{verb}\""))) {
            reads += value;
        } else if line.contains("code=\"409\"") {
            refused += value;
        }
    }
    Ok((reads, refused))
}

/// Counts for a minute: reads and writes of all members together.
async fn minute(members: &Members, stored: &Stored) -> Result<(f64, f64)> {
    let before = counted(members).await?;
    let stored_before = stored.count();
    fault_lasts(MINUTE).await;
    let stored_after = stored.count();
    let after = counted(members).await?;
    let stored = f64::from(stored_after - stored_before);
    Ok((after.0 - before.0, after.1 - before.1 + stored))
}

/// hotstandby's replicas watch Leases, too: they are away meanwhile.
async fn alone(members: &Members, plan: &Plan) -> Result<KeeperOutcome> {
    members.env.scale(0).await?;
    let outcome = count(members, plan).await;
    members.env.scale(2).await?;
    outcome
}

async fn count(members: &Members, plan: &Plan) -> Result<KeeperOutcome> {
    let stored = members.writes_of_lease();
    // What start and rolling out has cost is over then.
    fault_lasts(Timing::USUAL.0).await;
    let lease = members.env.objects.get(Kind::Lease, &members.namespace, NAME).await?;
    let holder = text(&lease, "/spec/holderIdentity").to_owned();
    let (holding_reads, holding_writes) = minute(members, &stored).await?;
    members.apply(&Plan { replicas: WAITING + 1, ..plan.clone() }).await?;
    members.rolled_out().await?;
    fault_lasts(Timing::USUAL.0).await;
    let all = minute(members, &stored).await?;
    let lease = members.env.objects.get(Kind::Lease, &members.namespace, NAME).await?;
    if text(&lease, "/spec/holderIdentity") != holder {
        bail!("the lease changed hands while requests were counted");
    }
    let waiting = f64::from(u32::try_from(WAITING).context("few")?);
    Ok(KeeperOutcome::Requests {
        holding_reads,
        holding_writes,
        waiting_reads: ((all.0 - holding_reads) / waiting).max(0.0),
        waiting_writes: ((all.1 - holding_writes) / waiting).max(0.0),
    })
}
