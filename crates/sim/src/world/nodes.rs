//! Nodes: their objects and heartbeats, and the controller that watches over them.

use super::api::{LEASES, NODES, PODS, Program, is_going, is_true, name_of};
use super::{World, ms};
use crate::ApiServer;
use crate::clock::{time_ms, time_text};
use crate::json::{at, items, put, text};
use jiff::Timestamp;
use serde_json::{Value, json};

const LEASE_NAMESPACE: &str = "kube-node-lease";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const NOT_READY: &str = "node.kubernetes.io/not-ready";

/// What a node is up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NodeState {
    /// Works.
    #[default]
    Up,
    /// Works, and its kubelet says that it is not ready.
    NotReady,
    /// Cannot reach the API server. What runs there runs on.
    CutOff,
    /// Without power: nothing runs there.
    Off,
}

/// A node as it really is.
#[derive(Debug, Default)]
pub(super) struct NodeLife {
    pub(super) state: NodeState,
    joined: bool,
    next_heartbeat: i64,
}

impl NodeLife {
    /// Whether its kubelet reaches the API server.
    pub(super) fn reports(&self) -> bool {
        matches!(self.state, NodeState::Up | NodeState::NotReady)
    }
}

impl World {
    /// Brings a node into a state. Power that goes ends all its containers; power that comes starts them anew.
    pub fn set_node(&mut self, node: &str, state: NodeState, now: i64) {
        if let Some(life) = self.nodes.get_mut(node) {
            life.state = state;
            life.next_heartbeat = now;
        }
        if state == NodeState::Off {
            self.lose_power(node, now);
        }
    }

    pub(super) fn step_nodes(&mut self, server: &mut ApiServer, now: i64) {
        let names: Vec<String> = self.nodes.keys().cloned().collect();
        for (index, name) in names.iter().enumerate() {
            self.beat(server, name, index, now);
        }
        for node in NODES.all(server) {
            self.watch_over(server, &node, now);
        }
    }

    /// What the kubelet does for its node.
    fn beat(&mut self, server: &mut ApiServer, name: &str, index: usize, now: i64) {
        let heartbeat = ms(self.config.pace.heartbeat);
        let Some(life) = self.nodes.get_mut(name).filter(|life| life.reports()) else { return };
        let ready = life.state == NodeState::Up;
        let joins = !std::mem::replace(&mut life.joined, true);
        let due = joins || now >= life.next_heartbeat;
        if due {
            life.next_heartbeat = now + heartbeat;
        }
        let next = life.next_heartbeat;
        self.wake_at(next);
        if !due {
            return;
        }
        let kubelet = Program::Kubelet(name);
        if joins && NODES.one(server, "", name).is_none() {
            self.create(server, kubelet, NODES, &node_object(name));
        }
        if let Some(node) = NODES.one(server, "", name) {
            let status = node_status(&node, index, ready, now);
            self.write_status(server, kubelet, NODES, &node, status);
        }
        let spec = json!({
            "holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": micro_time_text(now),
        });
        if let Some(lease) = LEASES.one(server, LEASE_NAMESPACE, name) {
            let mut lease = Value::clone(&lease);
            put(&mut lease, &["spec"], spec);
            self.replace(server, kubelet, LEASES, &lease);
        } else {
            let meta = json!({"name": name, "namespace": LEASE_NAMESPACE});
            self.create(server, kubelet, LEASES, &json!({"metadata": meta, "spec": spec}));
        }
    }

    /// What the node controller does: it marks a silent node and its pods, and evicts what does not bear it.
    fn watch_over(&mut self, server: &mut ApiServer, node: &Value, now: i64) {
        let name = name_of(node).to_owned();
        let Some(lease) = LEASES.one(server, LEASE_NAMESPACE, &name) else { return };
        let renewed = text(&lease, &["spec", "renewTime"]).and_then(time_ms).unwrap_or(now);
        let silent_at = renewed + ms(self.config.pace.node_grace);
        let silent = now >= silent_at;
        if silent {
            let status = silent_status(node, now);
            self.write_status(server, Program::Controllers, NODES, node, status);
            self.mark_pods(server, &name, now);
        } else {
            self.wake_at(silent_at);
        }
        let Some(node) = NODES.one(server, "", &name) else { return };
        let wanted = match (silent, is_true(&node, "Ready")) {
            (true, _) => Some(UNREACHABLE),
            (false, false) => Some(NOT_READY),
            (false, true) => None,
        };
        self.taint(server, &node, wanted, now);
        self.evict_from(server, &name, now);
    }

    /// Pods of a silent node are no longer Ready.
    fn mark_pods(&mut self, server: &mut ApiServer, node: &str, now: i64) {
        for pod in PODS.all(server) {
            if text(&pod, &["spec", "nodeName"]) != Some(node) || !is_true(&pod, "Ready") {
                continue;
            }
            let mut status = at(&pod, &["status"]).clone();
            crate::json::each(&mut status, &["conditions"], |one| {
                if text(one, &["type"]) == Some("Ready") {
                    put(one, &["status"], "False");
                    put(one, &["lastTransitionTime"], time_text(now));
                }
            });
            self.write_status(server, Program::Controllers, PODS, &pod, status);
        }
    }

    fn taint(&mut self, server: &mut ApiServer, node: &Value, wanted: Option<&str>, now: i64) {
        let taints = items(node, &["spec", "taints"]);
        let ours = |taint: &&Value| matches!(text(taint, &["key"]), Some(UNREACHABLE | NOT_READY));
        let have: Vec<&str> = taints.iter().filter(ours).filter_map(|taint| text(taint, &["key"])).collect();
        if have.iter().all(|key| Some(*key) == wanted) && have.is_empty() == wanted.is_none() {
            return;
        }
        let mut taints: Vec<Value> = taints.iter().filter(|taint| !ours(taint)).cloned().collect();
        if let Some(key) = wanted {
            taints.push(json!({"key": key, "effect": "NoSchedule", "timeAdded": time_text(now)}));
            taints.push(json!({"key": key, "effect": "NoExecute", "timeAdded": time_text(now)}));
        }
        let mut node = node.clone();
        put(&mut node, &["spec", "taints"], if taints.is_empty() { Value::Null } else { taints.into() });
        self.replace(server, Program::Controllers, NODES, &node);
    }

    /// Deletes the pods that do not tolerate their node's taints any longer.
    fn evict_from(&mut self, server: &mut ApiServer, name: &str, now: i64) {
        let Some(node) = NODES.one(server, "", name) else { return };
        for taint in items(&node, &["spec", "taints"]) {
            if text(taint, &["effect"]) != Some("NoExecute") {
                continue;
            }
            let since = text(taint, &["timeAdded"]).and_then(time_ms).unwrap_or(now);
            for pod in PODS.all(server) {
                if text(&pod, &["spec", "nodeName"]) != Some(name) || is_going(&pod) {
                    continue;
                }
                let end = match tolerance(&pod, taint) {
                    Tolerance::ForEver => continue,
                    Tolerance::Until(time) => since + time,
                };
                if now >= end {
                    self.delete(server, Program::Controllers, PODS, &pod, None);
                } else {
                    self.wake_at(end);
                }
            }
        }
    }
}

/// How long a pod bears a taint, in milliseconds.
enum Tolerance {
    ForEver,
    Until(i64),
}

fn tolerance(pod: &Value, taint: &Value) -> Tolerance {
    let mut best = 0;
    for one in items(pod, &["spec", "tolerations"]).iter().filter(|one| tolerates(one, taint)) {
        match at(one, &["tolerationSeconds"]).as_i64() {
            None => return Tolerance::ForEver,
            Some(seconds) => best = best.max(seconds * 1000),
        }
    }
    Tolerance::Until(best)
}

/// Whether a toleration is one for this taint.
pub(super) fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let same = |field: &str| text(toleration, &[field]) == text(taint, &[field]);
    let key = text(toleration, &["key"]).is_none() || same("key");
    let effect = text(toleration, &["effect"]).is_none() || same("effect");
    key && effect && (text(toleration, &["operator"]) == Some("Exists") || same("value"))
}

/// A time with microseconds, as Leases have it.
fn micro_time_text(unix_ms: i64) -> String {
    let at = Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

fn node_object(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
        "spec": {},
    })
}

/// The address of a node, by its place among all.
pub(super) fn node_ip(index: usize) -> String {
    format!("192.168.0.{}", (index + 1) % 255)
}

fn node_status(node: &Value, index: usize, ready: bool, now: i64) -> Value {
    let mut status = at(node, &["status"]).clone();
    let pressure = ["MemoryPressure", "DiskPressure", "PIDPressure"];
    let mut conditions: Vec<Value> = Vec::new();
    let mut tell = |kind: &str, value: &str, reason: &str, message: &str| {
        let old =
            items(node, &["status", "conditions"]).iter().find(|one| text(one, &["type"]) == Some(kind));
        let same = old.filter(|old| text(old, &["status"]) == Some(value));
        let turned = same.and_then(|old| text(old, &["lastTransitionTime"])).map(str::to_owned);
        // Where nothing changes, the time of the last report goes up only every five minutes, as in a cluster.
        let told = same.and_then(|old| text(old, &["lastHeartbeatTime"])).map(str::to_owned);
        let told = told.filter(|told| time_ms(told).is_some_and(|told| now - told < 300_000));
        conditions.push(json!({
            "type": kind, "status": value, "reason": reason, "message": message,
            "lastHeartbeatTime": told.unwrap_or_else(|| time_text(now)),
            "lastTransitionTime": turned.unwrap_or_else(|| time_text(now)),
        }));
    };
    for kind in pressure {
        tell(kind, "False", "KubeletHasSufficientResources", "kubelet has sufficient resources available");
    }
    if ready {
        tell("Ready", "True", "KubeletReady", "kubelet is posting ready status");
    } else {
        tell("Ready", "False", "KubeletNotReady", "kubelet was told to be not ready");
    }
    put(&mut status, &["conditions"], conditions);
    put(
        &mut status,
        &["addresses"],
        json!([
            {"type": "InternalIP", "address": node_ip(index)},
            {"type": "Hostname", "address": name_of(node)},
        ]),
    );
    put(&mut status, &["capacity"], json!({"pods": "110"}));
    put(&mut status, &["allocatable"], json!({"pods": "110"}));
    put(
        &mut status,
        &["nodeInfo"],
        json!({
            "architecture": "", "bootID": "", "containerRuntimeVersion": "model://", "kernelVersion": "",
            "kubeProxyVersion": "", "kubeletVersion": "v1.35.0", "machineID": "", "operatingSystem": "linux",
            "osImage": "", "systemUUID": "",
        }),
    );
    status
}

fn silent_status(node: &Value, now: i64) -> Value {
    let mut status = at(node, &["status"]).clone();
    crate::json::each(&mut status, &["conditions"], |one| {
        if text(one, &["status"]) != Some("Unknown") {
            put(one, &["status"], "Unknown");
            put(one, &["reason"], "NodeStatusUnknown");
            put(one, &["message"], "Kubelet stopped posting node status.");
            put(one, &["lastTransitionTime"], time_text(now));
        }
    });
    status
}
