//! The demo from beginning to end.

use crate::acts;
use crate::args::Args;
use crate::roles::HOTSTANDBY;
use crate::scene::GROUP;
use crate::screen::{Screen, Style, entry};
use crate::stage::Stage;
use crate::summary;
use anyhow::{Context as _, Result};
use clap::Parser as _;
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The demo could not run.
const NO_DEMO: u8 = 2;
/// Ended by Ctrl-C, as shells have it.
const INTERRUPTED: u8 = 130;

/// Runs it.
pub async fn run() -> ExitCode {
    let args = Args::parse();
    let mut screen = Screen::of_stdout();
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return failed(&error),
    };
    let built = tokio::select! {
        built = build(&mut screen) => built,
        () = signals.any() => return ExitCode::from(INTERRUPTED),
    };
    let mut stage = match built {
        Ok(stage) => stage,
        Err(error) => return failed(&error),
    };
    let played = tokio::select! {
        played = play(&args, &mut stage, &mut screen) => Some(played),
        () = signals.any() => None,
    };
    let code = match played {
        None => ExitCode::from(INTERRUPTED),
        Some(outcome) => {
            let code = match outcome {
                Ok(true) => ExitCode::SUCCESS,
                Ok(false) => ExitCode::FAILURE,
                Err(error) => {
                    screen.say(&screen.paint(Style::Bad, &format!("  WRONG: {error:#}")));
                    ExitCode::FAILURE
                }
            };
            if args.keep {
                invite(&stage, &mut screen);
                signals.any().await;
                screen.say("\nending");
            }
            code
        }
    };
    stage.end().await;
    code
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("demo: {error:#}");
    ExitCode::from(NO_DEMO)
}

async fn build(screen: &mut Screen) -> Result<Stage> {
    screen.say(&screen.paint(
        Style::Strong,
        "hotstandby: the real controller on a modelled control plane; a forwarder stands for kube-proxy",
    ));
    let mut stage = Stage::build(screen).await?;
    let addresses = stage.addresses;
    let last = u32::from(addresses.first_pod()).wrapping_add(2) & 0xff;
    for (what, place, more) in [
        (
            "pods",
            format!("{}-{last}", addresses.first_pod()),
            "web-0, web-1, web-2: three HTTP servers, each a process",
        ),
        ("hotstandby", format!("{}-{}", addresses.replica(0).ip(), 3), "two replicas of the real controller"),
        (
            "web-active",
            addresses.service().to_string(),
            "the Service: a forwarder that follows its EndpointSlice",
        ),
    ] {
        screen.say(&entry(what, &place, more));
    }
    let active = acts::served(&mut stage).await?;
    stage.start_client()?;
    screen.say(&format!(
        "  {} is active at term {}, two stand by; a client opens a new connection every 5 ms",
        active.pod, active.term
    ));
    Ok(stage)
}

/// All acts and the summary; whether all was well.
async fn play(args: &Args, stage: &mut Stage, screen: &mut Screen) -> Result<bool> {
    let mut outcomes = Vec::new();
    for (act, number) in args.acts().into_iter().zip(1..) {
        outcomes.push(acts::perform(act, number, stage, screen).await?);
    }
    let trace = stage.client.take().context("the client has ended")?;
    let trace = tokio::task::spawn_blocking(|| trace.end()).await.context("ending the client")??;
    Ok(summary::say(screen, &outcomes, &stage.observer.seen().wrong, &trace))
}

/// What can be done while everything is up.
fn invite(stage: &Stage, screen: &mut Screen) {
    let folder = stage.folder().display();
    let address = stage.addresses.service();
    let active = stage.observer.seen().active();
    let pid = active.as_ref().and_then(|active| stage.processes.pid(&Stage::container(&active.uid)));
    let (pod, node) = active.map_or_else(Default::default, |active| (active.pod, active.node));
    let kill = pid.map(|pid| format!("\n  kill -9 {pid}    # the process of {pod}")).unwrap_or_default();
    screen.say(&format!(
        "\nEverything but the client stays up until Ctrl-C. In other terminals:\n\
         \n  export KUBECONFIG={folder}/kubeconfig\
         \n  alias hotstandby={folder}/{HOTSTANDBY}\
         \n  hotstandby status -w\
         \n  hotstandby switchover {GROUP}\
         \n  curl http://{address}/\
         {kill}\
         \n\nWith a kubectl, one kind a watch:\n\
         \n  kubectl get astb -w\
         \n  kubectl get pods -w\
         \n  kubectl get endpointslices -w\
         \n  kubectl get leases -n hotstandby-system -w\
         \n  kubectl get events -w\
         \n  kubectl delete pod \"$(kubectl get astb {GROUP} -o jsonpath='{{.status.active.pod}}')\"\
         \n  kubectl drain {node} && kubectl uncordon {node}\
         \n  kubectl scale statefulset {GROUP} --replicas 4\
         \n  kubectl rollout restart statefulset {GROUP}\
         \n  kubectl edit astb {GROUP}"
    ));
}

/// What asks the demo to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("listening for signals");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
