//! A small world around the modelled API server: nodes, kubelets, a scheduler, workload controllers, garbage collection.
//!
//! [`World::step`] does all that these programs would have done by the time the server's clock shows, and says when
//! there is something to do next. It waits for nothing and takes no time of its own, so a test moves the clock and
//! steps; [`Driver`] steps in real time. What runs in the pods is a [`Backend`]'s business: [`Idle`] is nothing at all.
//!
//! What is modelled: nodes with Leases and conditions, taints and evictions of nodes that went silent; pods that are
//! bound, started, probed, restarted with back-off, ended within their grace period and removed; `Deployment`s with
//! rolling updates, `ReplicaSet`s, `StatefulSet`s. What is not: init containers and sidecars, images that cannot be had,
//! liveness probes, resources, affinity, volumes, `ControllerRevision`s, `minReadySeconds`, disruption budgets.

mod api;
mod backend;
mod container;
mod deployments;
mod driver;
mod kubelet;
mod nodes;
mod pod_status;
mod replica_sets;
mod scheduler;
mod stateful_sets;
mod templates;
#[cfg(test)]
mod tests;

pub use backend::{Backend, ContainerKey, Idle, Launch};
pub use driver::{Driver, Nudge};
pub use nodes::NodeState;

use crate::ApiServer;
use api::Refusals;
use kubelet::PodLife;
use nodes::NodeLife;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Rounds in one step: what one program writes is another one's work. More, and they go round in circles.
const MOST_ROUNDS: usize = 200;

/// What a world is like.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    /// Its nodes.
    pub nodes: Vec<String>,
    /// Pods get the addresses from here on.
    pub first_pod_ip: Ipv4Addr,
    /// So many addresses; one that was given back is used again as late as possible.
    pub pod_ips: u32,
    /// How fast things go.
    pub pace: Pace,
}

/// How fast things go.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From a pod's binding to its running containers.
    pub start: Duration,
    /// From a container's end until its kubelet sees it.
    pub notice: Duration,
    /// Wait before the second restart of a container; doubles with each further one. The first one is at once.
    pub restart: Duration,
    /// Between two heartbeats of a node.
    pub heartbeat: Duration,
    /// How long a node may be silent.
    pub node_grace: Duration,
}

impl Default for Pace {
    /// As in a cluster with default settings.
    fn default() -> Self {
        Self {
            start: Duration::from_secs(1),
            notice: Duration::from_secs(1),
            restart: Duration::from_secs(10),
            heartbeat: Duration::from_secs(10),
            node_grace: Duration::from_secs(40),
        }
    }
}

impl Default for WorldConfig {
    /// Three nodes and a pod network of 250 addresses.
    fn default() -> Self {
        Self {
            nodes: ["n1", "n2", "n3"].map(str::to_owned).to_vec(),
            first_pod_ip: Ipv4Addr::new(10, 244, 0, 2),
            pod_ips: 250,
            pace: Pace::default(),
        }
    }
}

/// Everything in a cluster that is neither its API server nor a user.
pub struct World {
    config: WorldConfig,
    backend: Box<dyn Backend>,
    nodes: BTreeMap<String, NodeLife>,
    /// What the kubelets know of their pods, by UID.
    pods: BTreeMap<String, PodLife>,
    /// Addresses given so far.
    ips_given: u32,
    containers_made: u64,
    refusals: Refusals,
    wake_at: Option<i64>,
}

impl World {
    /// A world whose nodes join with the first step.
    pub fn new(config: WorldConfig, backend: Box<dyn Backend>) -> Self {
        let nodes = config.nodes.iter().map(|name| (name.clone(), NodeLife::default())).collect();
        Self {
            config,
            backend,
            nodes,
            pods: BTreeMap::new(),
            ips_given: 0,
            containers_made: 0,
            refusals: Refusals::default(),
            wake_at: None,
        }
    }

    /// Does all that is due, and returns when something is due again, in Unix milliseconds of the server's clock. A
    /// change of any object and an end of any container are reasons to step earlier.
    pub fn step(&mut self, server: &mut ApiServer) -> Option<i64> {
        let now = server.now_ms();
        for _ in 0..MOST_ROUNDS {
            let before = server.version();
            self.wake_at = None;
            self.step_nodes(server, now);
            self.step_deployments(server, now);
            self.step_replica_sets(server);
            self.step_stateful_sets(server);
            self.step_scheduler(server);
            self.step_kubelets(server, now);
            server.collect_garbage();
            if server.version() == before {
                break;
            }
        }
        self.wake_at
    }

    /// Whether a container counts as ready, whatever its probe says; `None`: its probe decides again.
    pub fn order_ready(&mut self, uid: &str, ready: Option<bool>) {
        if let Some(pod) = self.pods.get_mut(uid) {
            pod.ordered_ready = ready;
        }
    }

    /// Ends a container as if its process had ended by itself; `now` in Unix milliseconds.
    pub fn end_container(&mut self, key: &ContainerKey, code: i32, now: i64) {
        let container = self.pods.get_mut(&key.uid).and_then(|pod| pod.containers.get_mut(&key.container));
        if let Some(container) = container {
            self.backend.kill(key);
            container.end(code, now);
        }
    }

    /// The UIDs of the pods that have running containers on a node, whatever the API says of them.
    pub fn running_on(&self, node: &str) -> Vec<&str> {
        let there = self.pods.iter().filter(|(_, pod)| pod.node == node && pod.runs());
        there.map(|(uid, _)| uid.as_str()).collect()
    }

    /// What runs in the pods.
    pub fn backend(&mut self) -> &mut dyn Backend {
        self.backend.as_mut()
    }

    /// The last requests of this world that the server refused, the newest last: for finding out why nothing happens.
    pub fn refusals(&self) -> impl Iterator<Item = &str> {
        self.refusals.iter()
    }

    fn wake_at(&mut self, at: i64) {
        self.wake_at = Some(self.wake_at.map_or(at, |other| other.min(at)));
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("nodes", &self.nodes).field("pods", &self.pods).finish_non_exhaustive()
    }
}

/// Milliseconds as the clock counts them.
fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
