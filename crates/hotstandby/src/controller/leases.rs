//! The watches of Leases that groups follow: they come and go with the groups.

use super::watches::Watches;
use hotstandby_cluster::index::{Change, LeaseWatch};
use hotstandby_cluster::watch::{WatchAges, WatchSetup, run_watch};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The watches that run. Dropping it ends them.
pub(super) struct LeaseWatches {
    watches: Watches,
    sink: mpsc::Sender<Change>,
    running: HashMap<u64, JoinHandle<()>>,
}

impl LeaseWatches {
    pub(super) fn new(watches: Watches, sink: mpsc::Sender<Change>) -> Self {
        Self { watches, sink, running: HashMap::new() }
    }

    /// Starts and ends watches, so that just these run.
    pub(super) fn keep(&mut self, wanted: Vec<LeaseWatch>) {
        self.running.retain(|id, task| {
            let stays = wanted.iter().any(|watch| watch.id == *id);
            if !stays {
                task.abort();
            }
            stays
        });
        for watch in wanted {
            if !self.running.contains_key(&watch.id) {
                self.running.insert(watch.id, self.start(watch));
            }
        }
    }

    fn start(&self, watch: LeaseWatch) -> JoinHandle<()> {
        let setup = WatchSetup {
            resource: "followed leases",
            labels: None,
            fields: watch.name.as_ref().map(|name| format!("metadata.name={name}")),
        };
        let api: Api<Lease> = Api::namespaced(self.watches.client.clone(), &watch.namespace);
        let (relister, sink, watch) = (self.watches.relister.clone(), self.sink.clone(), Arc::new(watch));
        tokio::spawn(async move {
            // Ages of its own: a Lease that may not be read is that group's trouble, and no reason for this replica not to be ready.
            let ages = WatchAges::default();
            let wrap = |event| Change::Lease(Arc::clone(&watch), Box::new(event));
            run_watch(api, setup, &relister, &ages, sink, wrap).await;
        })
    }
}

impl Drop for LeaseWatches {
    fn drop(&mut self) {
        for task in self.running.values() {
            task.abort();
        }
    }
}
