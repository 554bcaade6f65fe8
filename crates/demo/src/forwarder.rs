//! Stands for kube-proxy: whoever connects to the Service's address is led to what its EndpointSlices name at that
//! moment. Open connections are never cut, as with kube-proxy. Unlike it, it programs no kernel rules, which
//! takes kube-proxy about 35 ms and up to a second right after another change.

use crate::scene::{NAMESPACE, SERVICE};
use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt as _};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Where the Service leads, slice by slice.
type Table = Arc<RwLock<BTreeMap<String, Vec<SocketAddr>>>>;

/// The forwarder; dropping it ends it.
pub(crate) struct Forwarder {
    _tasks: JoinSet<()>,
}

impl Forwarder {
    /// Listens on the Service's address and follows its slices over the API.
    pub(crate) async fn start(address: SocketAddr, client: Client) -> Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("listening on the Service's {address}"))?;
        let table = Table::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(client, Arc::clone(&table)));
        tasks.spawn(accept(listener, table));
        Ok(Self { _tasks: tasks })
    }
}

async fn follow(client: Client, table: Table) {
    let slices: Api<EndpointSlice> = Api::namespaced(client, NAMESPACE);
    let config = watcher::Config::default().labels(&format!("kubernetes.io/service-name={SERVICE}"));
    let mut events = watcher::watcher(slices, config).boxed();
    let mut fresh = BTreeMap::new();
    loop {
        let event = match events.try_next().await {
            Ok(Some(event)) => event,
            Ok(None) => return,
            // The watcher starts anew by itself; until then the last table stands, as with kube-proxy.
            Err(_) => continue,
        };
        let mut table = table.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => fresh = BTreeMap::new(),
            Event::InitApply(slice) => {
                fresh.insert(slice.name_any(), targets(&slice));
            }
            Event::InitDone => *table = std::mem::take(&mut fresh),
            Event::Apply(slice) => {
                table.insert(slice.name_any(), targets(&slice));
            }
            Event::Delete(slice) => {
                table.remove(&slice.name_any());
            }
        }
    }
}

/// The addresses of a slice that are ready.
fn targets(slice: &EndpointSlice) -> Vec<SocketAddr> {
    let port = slice.ports.iter().flatten().find_map(|port| u16::try_from(port.port?).ok());
    let Some(port) = port else { return Vec::new() };
    let ready = slice.endpoints.iter().filter(|endpoint| {
        endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
    });
    ready
        .flat_map(|endpoint| &endpoint.addresses)
        .filter_map(|address| Some(SocketAddr::new(address.parse::<IpAddr>().ok()?, port)))
        .collect()
}

async fn accept(listener: TcpListener, table: Table) {
    let mut connections = JoinSet::new();
    let turn = AtomicUsize::new(0);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let targets: Vec<SocketAddr> = {
                    let table = table.read().unwrap_or_else(PoisonError::into_inner);
                    table.values().flatten().copied().collect()
                };
                let next = turn.fetch_add(1, Ordering::Relaxed).checked_rem(targets.len());
                let target = next.and_then(|next| targets.get(next).copied());
                connections.spawn(forward(stream, target));
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

/// Leads one connection on; where there is nothing to lead it to, it is reset, as by a packet filter that rejects.
async fn forward(mut client: TcpStream, target: Option<SocketAddr>) {
    let server = match target {
        Some(target) => TcpStream::connect(target).await.ok(),
        None => None,
    };
    let Some(mut server) = server else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    if copy_bidirectional(&mut client, &mut server).await.is_err() {
        // A reset on one side is one on the other.
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}
