//! Starts everything, in the order that lets `/live` and `/ready` speak from the first moment.

use super::executor::Executor;
use super::hub::{Hub, Parts};
use super::replicas;
use super::watches::Watches;
use crate::cli::controller_flags::ControllerConfig;
use anyhow::Context;
use hotstandby_cluster::access::{Reach, missing_rights};
use hotstandby_cluster::connect::{Clients, keep_warm};
use hotstandby_cluster::disposal::PodDeleter;
use hotstandby_cluster::events::EventSink;
use hotstandby_cluster::index::{Index, Watched};
use hotstandby_cluster::live::LiveReader;
use hotstandby_cluster::status::StatusStore;
use hotstandby_cluster::stores::Stores;
use hotstandby_cluster::sweep::Sweeper;
use hotstandby_cluster::watch::{Relister, WatchAges};
use hotstandby_host::admin::Admin;
use hotstandby_host::clock::Clock;
use hotstandby_host::context::HostContext;
use hotstandby_host::gates::Gates;
use hotstandby_host::peers::Peers;
use kube::Client;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Gates in `/ready`.
const API_GATE: &str = "api server";
const RIGHTS_GATE: &str = "rights";
/// Between two looks at the watches' signs of life.
const AGES_PERIOD: Duration = Duration::from_secs(2);
/// Between two questions for missing rights.
const RIGHTS_PERIOD: Duration = Duration::from_secs(10);
/// How long the admin server may take to end its connections.
const DRAIN: Duration = Duration::from_secs(1);

/// Runs until a signal.
pub(super) async fn run(config: ControllerConfig) -> anyhow::Result<()> {
    let clock = Clock::start();
    let ticker = clock.clone();
    tokio::spawn(async move { ticker.run_ticker().await });
    let host = HostContext::new(clock, config.node.as_deref().map(Arc::from));
    let gates = Gates::new();
    gates.close(API_GATE);
    gates.close(RIGHTS_GATE);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let admin = serve_admin(&config, &host, &gates, stopped).await?;
    let clients = Clients::connect(&config.connect).await.context("finding the API server")?;
    let ages = WatchAges::default();
    let peers = Peers::new(Arc::clone(&host), config.identity.as_str());
    let port = config.admin_address.port();
    tokio::spawn(replicas::follow(
        config.peers.clone(),
        clients.watch.clone(),
        ages.clone(),
        port,
        peers.clone(),
    ));
    tokio::spawn(watch_connection(clients.decide.clone(), gates.clone()));
    tokio::spawn(watch_rights(clients.watch.clone(), reach(&config), gates.clone()));
    tokio::spawn(watch_ages(ages.clone(), Arc::clone(&host), gates.clone()));
    start_hubs(&config, &clients, &host, &gates, &ages, &peers);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        identity = config.identity,
        seats = config.seat_namespace,
        "started"
    );
    wait_for_signal().await?;
    tracing::info!("ending; the other replicas go on");
    // The receiver ends with the server.
    let _ = stop.send(true);
    let _ = tokio::time::timeout(DRAIN, admin).await;
    Ok(())
}

async fn serve_admin(
    config: &ControllerConfig,
    host: &Arc<HostContext>,
    gates: &Gates,
    mut stopped: tokio::sync::watch::Receiver<bool>,
) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let listener = Admin::bind(config.admin_address).await?;
    let admin = Admin::new(Arc::clone(host), gates.clone(), config.identity.as_str());
    Ok(tokio::spawn(async move {
        let stopped = async move {
            // An error means that the process is ending anyhow.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        if let Err(error) = admin.serve(listener, stopped).await {
            tracing::error!(%error, "the admin server ended");
        }
    }))
}

/// One hub for all namespaces, or one for each that is named.
fn start_hubs(
    config: &ControllerConfig,
    clients: &Clients,
    host: &Arc<HostContext>,
    gates: &Gates,
    ages: &WatchAges,
    peers: &Peers,
) {
    let controller: Arc<str> = config.controller_name.as_str().into();
    let events = EventSink::new();
    let (sink, client, identity) = (events.clone(), clients.watch.clone(), config.identity.clone());
    let reporter = config.controller_name.clone();
    tokio::spawn(async move { sink.run(client, &reporter, &identity).await });
    let scopes: Vec<Option<Arc<str>>> = match config.namespaces.as_slice() {
        [] => vec![None],
        some => some.iter().map(|namespace| Some(namespace.as_str().into())).collect(),
    };
    for scope in scopes {
        let relister = Relister::default();
        let watched = Watched { nodes: scope.is_none(), ..Watched::ALL };
        let index = Arc::new(Mutex::new(Index::new(Arc::clone(&controller), watched)));
        let stores = Stores::new(&clients.decide, &config.seat_namespace, &controller);
        let (relist, relists) = mpsc::unbounded_channel();
        let executor = Executor {
            index: Arc::clone(&index),
            stores: stores.clone(),
            deleter: PodDeleter::new(clients.decide.clone()),
            live: LiveReader::new(clients.decide.clone(), Arc::clone(&stores.seats)),
            events: events.clone(),
            peers: peers.clone(),
            host: Arc::clone(host),
            relist,
        };
        let watches = Watches {
            client: clients.watch.clone(),
            scope: scope.clone(),
            seat_namespace: config.seat_namespace.clone(),
            relister: relister.clone(),
            ages: ages.clone(),
        };
        let hub = Hub::new(Parts {
            index,
            executor: Arc::new(executor),
            statuses: StatusStore::new(clients.watch.clone()),
            sweeper: Arc::new(Sweeper::new(clients.watch.clone(), Arc::clone(&controller), stores)),
            host: Arc::clone(host),
            gates: gates.clone(),
            controller: Arc::clone(&controller),
            relister,
            lead: peers.lead(),
            scope,
        });
        let (changes, leases) = watches.start();
        tokio::spawn(hub.run(changes, relists, leases));
    }
}

fn reach(config: &ControllerConfig) -> Reach {
    Reach { own_namespace: config.seat_namespace.clone(), watched: config.namespaces.clone() }
}

async fn watch_connection(client: Client, gates: Gates) {
    keep_warm(client, |answer| match answer {
        Ok(()) => gates.open(API_GATE),
        Err(why) => gates.close_because(API_GATE, why),
    })
    .await;
}

/// Asks for our rights until all are there. Groups that need none of the missing ones work meanwhile.
async fn watch_rights(client: Client, reach: Reach, gates: Gates) {
    let mut told = String::new();
    loop {
        let missing = match missing_rights(&client, &reach).await {
            Ok(missing) if missing.is_empty() => {
                gates.open(RIGHTS_GATE);
                return;
            }
            Ok(missing) => missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            Err(error) => error.to_string(),
        };
        if missing != told {
            tracing::warn!(%missing, "rights are missing; apply the YAML of `hotstandby manifests`");
            told.clone_from(&missing);
        }
        gates.close_because(RIGHTS_GATE, missing);
        tokio::time::sleep(RIGHTS_PERIOD).await;
    }
}

/// Carries the watches' signs of life to metrics and `/ready`.
async fn watch_ages(ages: WatchAges, host: Arc<HostContext>, gates: Gates) {
    loop {
        for age in ages.snapshot() {
            let gate = format!("watch of {}", age.resource);
            host.metrics.watch_told(age.resource, host.clock.mono().saturating_sub(age.age));
            match age.error {
                Some(why) => gates.close_because(gate, why),
                None => gates.open(&gate),
            }
        }
        tokio::time::sleep(AGES_PERIOD).await;
    }
}

/// The first signal ends the process in order, the second at once.
async fn wait_for_signal() -> anyhow::Result<()> {
    let mut term = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(130);
    });
    Ok(())
}
