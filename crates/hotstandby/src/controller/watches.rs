//! The watches that feed a hub.

use super::leases::LeaseWatches;
use hotstandby_cluster::api::ActiveStandby;
use hotstandby_cluster::index::Change;
use hotstandby_cluster::watch::{Relister, WatchAges, WatchSetup, run_watch};
use hotstandby_cluster::wire::{WireNode, WirePod, WireReplicaSet, WireService, WireStatefulSet};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::core::DeserializeGuard;
use kube::{Api, Client, Resource};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Changes that may wait for the hub; a watch that finds no room waits.
const QUEUE: usize = 4096;

/// What all watches of a hub need.
#[derive(Clone)]
pub(super) struct Watches {
    pub(super) client: Client,
    pub(super) scope: Option<Arc<str>>,
    pub(super) seat_namespace: String,
    pub(super) relister: Relister,
    pub(super) ages: WatchAges,
}

macro_rules! start {
    ($watches:expr, $sink:expr, $api:expr, $name:literal, $wrap:path) => {{
        let (watches, sink, api) = ($watches.clone(), $sink.clone(), $api);
        tokio::spawn(async move {
            let setup = WatchSetup::all($name);
            let wrap = |event| $wrap(Box::new(event));
            run_watch(api, setup, &watches.relister, &watches.ages, sink, wrap).await;
        });
    }};
}

impl Watches {
    /// Starts them all; they end when the receiver is dropped. Those of followed Leases begin when a group follows one.
    pub(super) fn start(&self) -> (mpsc::Receiver<Change>, LeaseWatches) {
        let (sink, changes) = mpsc::channel(QUEUE);
        start!(self, sink, self.api::<DeserializeGuard<ActiveStandby>>(), "activestandbies", Change::Group);
        start!(self, sink, self.api::<WirePod>(), "pods", Change::Pod);
        start!(self, sink, self.api::<WireService>(), "services", Change::Service);
        start!(self, sink, self.api::<EndpointSlice>(), "endpointslices", Change::Slice);
        start!(self, sink, self.api::<WireReplicaSet>(), "replicasets", Change::ReplicaSet);
        start!(self, sink, self.api::<WireStatefulSet>(), "statefulsets", Change::StatefulSet);
        let seats: Api<Lease> = Api::namespaced(self.client.clone(), &self.seat_namespace);
        start!(self, sink, seats, "leases", Change::Seat);
        if self.scope.is_none() {
            start!(self, sink, Api::<WireNode>::all(self.client.clone()), "nodes", Change::Node);
        }
        let leases = LeaseWatches::new(self.clone(), sink);
        (changes, leases)
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match &self.scope {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }
}
