//! Who the other replicas are: given by flags, or found as pods of our own namespace.

use crate::cli::controller_flags::{Peer, Peers as PeersConfig};
use hotstandby_cluster::pod::{Interner, PodLite};
use hotstandby_cluster::watch::{Event, Relister, WatchAges, WatchSetup, run_watch};
use hotstandby_cluster::wire::WirePod;
use hotstandby_host::peers::{PeerInfo, Peers};
use kube::{Api, Client};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Events that may wait.
const QUEUE: usize = 64;
/// Between two looks at peers' host names, whose addresses may change.
const RESOLVE_PERIOD: Duration = Duration::from_secs(10);

/// Keeps `peers` up to date, for ever. `port`: where pods of ours answer.
pub(super) async fn follow(config: PeersConfig, client: Client, ages: WatchAges, port: u16, peers: Peers) {
    match config {
        PeersConfig::Fixed(fixed) => follow_fixed(&fixed, &peers).await,
        PeersConfig::Pods { namespace, selector } => {
            let (sink, events) = mpsc::channel(QUEUE);
            let api: Api<WirePod> = Api::namespaced(client, &namespace);
            let setup = WatchSetup { resource: "replicas", labels: Some(selector), fields: None };
            let relister = Relister::default();
            let watch = run_watch(api, setup, &relister, &ages, sink, |event| event);
            tokio::join!(watch, follow_pods(events, port, &peers));
        }
    }
}

async fn follow_fixed(fixed: &[Peer], peers: &Peers) {
    if fixed.is_empty() {
        return;
    }
    loop {
        let mut found = Vec::new();
        for peer in fixed {
            match tokio::net::lookup_host((peer.host.as_str(), peer.port)).await {
                Ok(mut addresses) => found.extend(addresses.next().map(|addr| PeerInfo {
                    name: peer.name.as_str().into(),
                    node: peer.node.as_deref().map(Arc::from),
                    addr,
                })),
                Err(error) => {
                    tracing::warn!(peer = %peer.name, host = %peer.host, %error, "--peer is not found");
                }
            }
        }
        peers.set(found);
        tokio::time::sleep(RESOLVE_PERIOD).await;
    }
}

async fn follow_pods(mut events: mpsc::Receiver<Event<WirePod>>, port: u16, peers: &Peers) {
    let mut known: BTreeMap<Arc<str>, PeerInfo> = BTreeMap::new();
    let mut listed: BTreeMap<Arc<str>, PeerInfo> = BTreeMap::new();
    while let Some(event) = events.recv().await {
        match event {
            Event::Begin => listed.clear(),
            Event::Refused(_) => {}
            Event::Listed(pod) => note(&mut listed, &pod, port),
            Event::Done(_) => {
                known = std::mem::take(&mut listed);
                publish(peers, &known);
            }
            Event::Applied(pod) => {
                note(&mut known, &pod, port);
                publish(peers, &known);
            }
            Event::Deleted(pod) => {
                if let Some(pod) = PodLite::new(&pod, &mut Interner::default()) {
                    known.remove(&pod.name);
                    publish(peers, &known);
                }
            }
        }
    }
}

/// A pod that can answer is a peer; one that has finished, or has no address yet, is not.
fn note(known: &mut BTreeMap<Arc<str>, PeerInfo>, pod: &WirePod, port: u16) {
    let Some(pod) = PodLite::new(pod, &mut Interner::default()) else { return };
    match pod.ips().first().filter(|_| !pod.phase.is_finished()) {
        Some(ip) => {
            let addr = SocketAddr::new(*ip, port);
            known.insert(pod.name.clone(), PeerInfo { name: pod.name.clone(), node: pod.node.clone(), addr });
        }
        None => {
            known.remove(&pod.name);
        }
    }
}

fn publish(peers: &Peers, known: &BTreeMap<Arc<str>, PeerInfo>) {
    peers.set(known.values().cloned().collect());
}
