//! One failover to look at: what happened when, and what a user saw of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::signal::Signal;
use serde_json::Value;

use super::args::Demo;
use super::harness::{self, Env, Which};
use super::objects::{Kind, items, text};
use super::scene::{GROUP, SERVICE, Scene};
use super::timeline::millis;
use super::trial::{Active, Trial};
use super::view::Change;
use hotstandby_testbed::draw::{Moment, Strip, timeline};
use hotstandby_testbed::faults::Inflicted;
use hotstandby_testbed::trace::{Failover, Trace};

/// How long another pod may take to answer, before the demo gives up.
const LIMIT: Duration = Duration::from_secs(10);
/// What the strip of requests shows around the fault.
const STRIP: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(250));

/// Brings everything up, kills the active once and draws what happened.
pub(super) fn run(demo: &Demo) -> Result<()> {
    let which = if demo.keep { Which::Kept(demo.name.clone()) } else { Which::Own(demo.name.clone()) };
    let prepared = harness::prepare(&which)?;
    let runtime = super::runtime()?;
    let env = runtime.block_on(async {
        let env = Env::install(prepared).await?;
        let namespace = show(&env).await?;
        anyhow::Ok((env, namespace))
    });
    let (env, namespace) = env?;
    if demo.keep {
        println!("{}", farewell(&env, &namespace));
    } else {
        env.progress.say("taking the cluster down; --keep leaves it up to play with");
    }
    drop(env);
    drop(runtime);
    Ok(())
}

async fn show(env: &Arc<Env>) -> Result<String> {
    env.progress.say("starting three pods, a Service and an ActiveStandby");
    let mut trial = Trial::begin(env.clone(), "demo").await?;
    Scene::default().deploy(&trial).await?;
    let active = trial.active()?;
    trial.start_client(&[&active.node]).await?;
    let process = trial.process_of(&active.pod).await?;
    let seen = |trace: &Trace| (trace.samples().len() > 60).then_some(());
    trial.until_seen(LIMIT, "the client to be busy", seen).await?;
    env.progress.say(format!("killing the process of {} on {}", active.pod, active.node));

    let fault = trial.hurt(process.signal(Signal::SIGKILL)?);
    let what = "an answer by another pod";
    let failover = trial.until_seen(LIMIT, what, |trace| trace.failover_from(fault.at, &active.pod)).await?;
    let change = trial.change_told(active.term + 1).await?;
    let strip_end = fault.at + STRIP.1;
    trial.until_seen(LIMIT, "the end of the strip", |_| (Instant::now() > strip_end).then_some(())).await?;
    let trace = trial.trace();
    trial.end_client();
    let sent = sent_at(&trial, fault, active.term + 1);
    println!("{}", draw(&active, fault, &failover, &change, sent, &trace));

    trial.settled(3).await?;
    println!("the killed pod is back as a standby:");
    let (ok, table) = env.hotstandby(&["status", GROUP, "-n", &trial.namespace]).await?;
    if ok {
        println!("\n{table}\n");
    }
    let violations = trial.dog.judge().await?;
    anyhow::ensure!(violations.is_empty(), "an invariant was broken: {violations:?}");
    Ok(trial.namespace.clone())
}

/// When the seat's write was sent, as an offset from the fault.
fn sent_at(trial: &Trial, fault: Inflicted, term: i64) -> Option<f64> {
    let world = trial.dog.world();
    let group = world.find(Kind::ActiveStandby, GROUP)?;
    let of_term = |entry: &&Value| entry.get("term").and_then(Value::as_i64) == Some(term);
    let entry = items(group, "/status/history").iter().find(of_term)?;
    let at: k8s_openapi::jiff::Timestamp = text(entry, "/at").parse().ok()?;
    let wall = k8s_openapi::jiff::Timestamp::try_from(fault.wall).ok()?;
    Some(at.duration_since(wall).as_secs_f64() * 1000.0)
}

/// The drawing. Times are milliseconds since the process was killed.
fn draw(
    active: &Active,
    fault: Inflicted,
    failover: &Failover,
    change: &Change,
    sent: Option<f64>,
    trace: &Trace,
) -> String {
    let mut moments = vec![Moment::new(
        0.0,
        format!("the process of {} is killed (the active, on {})", active.pod, active.node),
    )];
    if let (Some(sent), Some([detect, decide, seat, traffic])) = (sent, change.stages.map(in_millis)) {
        let proven = sent - decide;
        moments.push(Moment::new(proven - detect, "first sign: the tripwire closed or a probe failed"));
        moments.push(Moment::new(proven, format!("proven: {}", change.reason)));
        moments
            .push(Moment::new(sent + seat, format!("the seat names {} at term {}", change.to, change.term)));
        moments.push(Moment::new(sent + seat + traffic, format!("the EndpointSlice of {SERVICE} names it")));
    }
    if let Some(last) = failover.last_old {
        moments.push(Moment::new(millis(last), format!("the last answer by {}", active.pod)));
    }
    moments.push(Moment::new(millis(failover.gap), format!("the first answer by {}", failover.new)));
    let mut lines = vec![String::new()];
    lines.extend(timeline(moments).iter().map(|line| format!("  {line}")));
    let old = &active.pod;
    let strip = Strip::new(trace, fault.at, old, STRIP.0, STRIP.1, usize::MAX);
    lines.push(format!("\n  a new connection every 5 ms (A {old}, B another pod, x failed), killed at ^:"));
    lines.push(format!("  {}\n  {}", strip.letters, strip.mark()));
    let (gap, failed) = (millis(failover.gap), failover.failed);
    lines.push(format!(
        "\n  {gap:.1} ms from the kill to the first answer by another pod; {failed} requests failed\n"
    ));
    lines.join("\n")
}

fn in_millis(micros: [i64; 4]) -> [f64; 4] {
    micros.map(|micros| f64::from(i32::try_from(micros).unwrap_or(i32::MAX)) / 1000.0)
}

fn farewell(env: &Env, namespace: &str) -> String {
    let kubeconfig = env.cluster.host_kubeconfig();
    let kubectl = env.cluster.program("kubectl");
    let name = env.cluster.name();
    format!(
        "The cluster stays up. To play with it:\n\
         \n  export KUBECONFIG={}\
         \n  alias kubectl={} hotstandby={}\
         \n  kubectl get astb,pods,endpointslices -n {namespace}\
         \n  hotstandby status -w -n {namespace}\
         \n  hotstandby switchover {GROUP} -n {namespace}\
         \n  kubectl delete pod -n {namespace} $(kubectl get astb {GROUP} -n {namespace} -o jsonpath={{.status.active.pod}})\
         \n  cargo testbed --name {name} fault power-off n1    # and power-on\
         \n\nTo take it down:\n\
         \n  cargo testbed --name {name} down",
        kubeconfig.display(),
        kubectl.display(),
        env.cli().display(),
    )
}
