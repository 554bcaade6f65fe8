//! The gatekeeper's trials: one Deployment for each experiment. Unlike in other experiments, nothing is seen through a
//! Service: the command records when it runs.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::experiment::{Election, ElectionAction};
use crate::record::{Memory, Outcome, Requests};
use crate::runner::Series;
use hotstandby_e2e::gatekeeper::scene::{Members, NAME, Plan, Stored, Timing};
use hotstandby_e2e::gatekeeper::ticks::{Life, boot_now};
use hotstandby_e2e::gatekeeper::weight::Weight;
use hotstandby_e2e::harness::START_LIMIT;
use hotstandby_e2e::objects::{Kind, name_of, text};
use hotstandby_testbed::wait::{fault_lasts, until};

/// For how long requests are counted.
const MINUTE: Duration = Duration::from_mins(1);
/// Members beside the holder while the waiting ones are counted.
const WAITING: usize = 3;
/// How long all pods must have been up and the command running before something is done to it.
const STEADY: Duration = Duration::from_secs(2);

/// Runs all trials of one experiment.
pub(crate) async fn run_series(election: Election, mut series: Series<'_>) -> Result<()> {
    let env = series.env().clone();
    let stamp = boot_now()?.as_millis() % 1_000_000;
    let namespace = format!("{}-{stamp}", series.experiment.key);
    env.objects.create(Kind::Namespace, "", &Kind::Namespace.object(&namespace, &json!({}))).await?;
    let counts = election.action == ElectionAction::CountRequests;
    let plan = Plan {
        replicas: if counts { 1 } else { 3 },
        service: !counts,
        timing: election.timing,
        ..Plan::of(election.gatekeeper)
    };
    let mut members = Members::deploy(&env, &namespace, &plan).await?;
    for number in 0..series.trials {
        let result = match election.action {
            ElectionAction::CountRequests => count_without_hotstandby(&members, &plan).await,
            ElectionAction::ReadMemory => read_memory(&mut members, number).await,
            ElectionAction::Release => release(&mut members, number).await,
            ElectionAction::Crash => crash(&mut members, number).await,
        };
        series.record(number, Outcome::from_result(result))?;
    }
    env.objects.delete(Kind::Namespace, "", &namespace).await?;
    until(START_LIMIT, "the pods to be gone", async || {
        Ok(env.objects.list(Kind::Pod, &namespace, "").await?.0.is_empty().then_some(()))
    })
    .await
}

/// Deletes the holder's pod.
async fn release(members: &mut Members, number: usize) -> Result<Outcome> {
    let holder = wait_for_steady_holder(members, number).await?;
    let moment = boot_now()?;
    members.env.objects.delete(Kind::Pod, &members.namespace, &holder.pod).await?;
    let new = members.running_since(moment, START_LIMIT).await?;
    measure_gap(members, &holder, &new)
}

/// Stops the holder. It is not killed, because its container would start again at once and take its own Lease back. To
/// the other members it is as dead.
async fn crash(members: &mut Members, number: usize) -> Result<Outcome> {
    let holder = wait_for_steady_holder(members, number).await?;
    let moment = boot_now()?;
    let processes = members.processes(&holder.pod).await?.all;
    for pid in &processes {
        members.env.cluster.faults().freeze_process(*pid)?;
    }
    let new = members.running_since(moment, START_LIMIT).await;
    for pid in processes {
        // It must not run again for a moment. It is gone already if its container's first process is.
        let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    members.env.objects.delete(Kind::Pod, &members.namespace, &holder.pod).await?;
    measure_gap(members, &holder, &new?)
}

async fn wait_for_steady_holder(members: &mut Members, number: usize) -> Result<Life> {
    members.rolled_out().await?;
    let holder = until(START_LIMIT, "a command that has run for a while", async || {
        let life = members.running()?;
        let now = boot_now()?;
        let steady = now.saturating_sub(life.start) > STEADY && now.saturating_sub(life.last) < STEADY / 4;
        Ok(steady.then_some(life))
    })
    .await?;
    // Spread over the retry period: otherwise all trials would meet the waiting members at the same moment of theirs.
    fault_lasts(Duration::from_millis(u64::try_from(number)? * 370 % 2000)).await;
    Ok(holder)
}

/// From the last sign of life of the holder's command to the first of the next one.
fn measure_gap(members: &mut Members, holder: &Life, new: &Life) -> Result<Outcome> {
    let lives = members.judge()?;
    let old = lives.iter().find(|life| life.start == holder.start).context("the holder's life is gone")?;
    Ok(Outcome::Elapsed { ms: (new.start.as_secs_f64() - old.last.as_secs_f64()) * 1000.0 })
}

/// Reads the memory of one of the waiting members, some time after its start.
async fn read_memory(members: &mut Members, number: usize) -> Result<Outcome> {
    fault_lasts(Timing::USUAL.0).await;
    let holder = members.running()?.pod;
    let (pods, _) = members.env.objects.list(Kind::Pod, &members.namespace, &format!("app={NAME}")).await?;
    let waiting: Vec<&str> = pods.iter().map(name_of).filter(|pod| *pod != holder).collect();
    let pod = waiting.iter().cycle().nth(number).context("no member waits")?;
    let Weight { resident, working_set, program } = members.weigh(pod).await?;
    Ok(Outcome::Memory(Memory { resident, working_set, program }))
}

/// Reads of Leases and refused writes so far: while hotstandby is away, no other program on the testbed reads Leases or
/// meets a conflict. Stored writes are counted by watching the Lease, because the kubelets write Leases too.
async fn read_counters(members: &Members) -> Result<(f64, f64)> {
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

/// Counts the reads and writes of all members together for a minute.
async fn count_for_a_minute(members: &Members, stored: &Stored) -> Result<(f64, f64)> {
    let before = read_counters(members).await?;
    let stored_before = stored.count();
    fault_lasts(MINUTE).await;
    let stored_after = stored.count();
    let after = read_counters(members).await?;
    let stored = f64::from(stored_after - stored_before);
    Ok((after.0 - before.0, after.1 - before.1 + stored))
}

/// hotstandby's replicas watch Leases too, so they are away meanwhile.
async fn count_without_hotstandby(members: &Members, plan: &Plan) -> Result<Outcome> {
    members.env.scale(0).await?;
    let outcome = count_requests(members, plan).await;
    members.env.scale(2).await?;
    outcome
}

async fn count_requests(members: &Members, plan: &Plan) -> Result<Outcome> {
    let stored = members.writes_of_lease();
    // After that, the requests of start and rollout are over.
    fault_lasts(Timing::USUAL.0).await;
    let lease = members.env.objects.get(Kind::Lease, &members.namespace, NAME).await?;
    let holder = text(&lease, "/spec/holderIdentity").to_owned();
    let (holding_reads, holding_writes) = count_for_a_minute(members, &stored).await?;
    members.apply(&Plan { replicas: WAITING + 1, ..plan.clone() }).await?;
    members.rolled_out().await?;
    fault_lasts(Timing::USUAL.0).await;
    let all = count_for_a_minute(members, &stored).await?;
    let lease = members.env.objects.get(Kind::Lease, &members.namespace, NAME).await?;
    if text(&lease, "/spec/holderIdentity") != holder {
        bail!("the lease changed hands while requests were counted");
    }
    let waiting = f64::from(u32::try_from(WAITING).context("counting the waiting members")?);
    Ok(Outcome::Requests(Requests {
        holding_reads,
        holding_writes,
        waiting_reads: ((all.0 - holding_reads) / waiting).max(0.0),
        waiting_writes: ((all.1 - holding_writes) / waiting).max(0.0),
    }))
}
