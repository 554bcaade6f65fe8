//! Kubelets: they start, probe, restart and end the pods of their nodes.

use super::api::{PODS, Program, has_ended, is_going, name_of, namespace_of, uid_of};
use super::backend::{ContainerKey, Launch};
use super::container::{Container, State};
use super::nodes::NodeState;
use super::pod_status;
use super::{World, ms};
use crate::ApiServer;
use crate::json::{at, items, text};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// Exit code of a container that was killed.
const KILLED: i32 = 137;

/// A pod, as its kubelet knows it.
#[derive(Debug)]
pub(super) struct PodLife {
    pub(super) node: String,
    pub(super) ip: Ipv4Addr,
    pub(super) started: i64,
    pub(super) containers: BTreeMap<String, Container>,
    pub(super) ordered_ready: Option<bool>,
    /// When its containers are killed, and the grace period that came from.
    kill_at: Option<(i64, i64)>,
}

impl PodLife {
    pub(super) fn runs(&self) -> bool {
        self.containers.values().any(Container::runs)
    }

    /// Whether a container is ready.
    pub(super) fn is_ready(&self, container: &Container) -> bool {
        container.runs() && self.ordered_ready.unwrap_or(container.probe.ready)
    }
}

impl World {
    pub(super) fn step_kubelets(&mut self, server: &mut ApiServer, now: i64) {
        let pods = PODS.all(server);
        self.reap(&pods);
        for pod in &pods {
            let node = text(pod, &["spec", "nodeName"]).unwrap_or_default().to_owned();
            if !self.nodes.get(&node).is_some_and(super::nodes::NodeLife::reports) {
                continue;
            }
            self.note_ends(uid_of(pod), now);
            if is_going(pod) {
                self.end_pod(server, &node, pod, now);
            } else if !has_ended(pod) {
                self.run_pod(server, &node, pod, now);
            }
        }
    }

    /// Pods whose objects are gone end, where their kubelet has heard of it.
    fn reap(&mut self, pods: &[Arc<Value>]) {
        let living: BTreeSet<&str> = pods.iter().map(|pod| uid_of(pod)).collect();
        let gone: Vec<String> = self
            .pods
            .iter()
            .filter(|(uid, pod)| {
                !living.contains(uid.as_str())
                    && self.nodes.get(&pod.node).is_none_or(|node| node.state != NodeState::CutOff)
            })
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in gone {
            let Some(pod) = self.pods.remove(&uid) else { continue };
            for (container, life) in pod.containers {
                if life.runs() {
                    self.backend.kill(&ContainerKey { uid: uid.clone(), container });
                }
            }
        }
    }

    /// Power went: all that ran there has ended.
    pub(super) fn lose_power(&mut self, node: &str, now: i64) {
        for (uid, pod) in self.pods.iter_mut().filter(|(_, pod)| pod.node == node) {
            for (name, container) in pod.containers.iter_mut().filter(|(_, container)| container.runs()) {
                self.backend.kill(&ContainerKey { uid: uid.clone(), container: name.clone() });
                container.end(KILLED, now);
            }
        }
    }

    /// Notes which containers have ended by themselves.
    fn note_ends(&mut self, uid: &str, now: i64) {
        let Some(pod) = self.pods.get_mut(uid) else { return };
        for (name, container) in pod.containers.iter_mut().filter(|(_, container)| container.runs()) {
            let key = ContainerKey { uid: uid.to_owned(), container: name.clone() };
            if let Some(code) = self.backend.ended(&key) {
                container.end(code, now);
            }
        }
    }

    fn run_pod(&mut self, server: &mut ApiServer, node: &str, pod: &Value, now: i64) {
        let uid = uid_of(pod).to_owned();
        if !self.pods.contains_key(&uid) {
            let Some(life) = self.admit(node, pod, now) else { return };
            self.pods.insert(uid.clone(), life);
        }
        for container in items(pod, &["spec", "containers"]) {
            let name = text(container, &["name"]).unwrap_or_default();
            let key = ContainerKey { uid: uid.clone(), container: name.to_owned() };
            self.run_container(pod, container, &key, now);
            self.probe(container, &key, now);
        }
        self.tell(server, node, pod, now);
    }

    fn admit(&mut self, node: &str, pod: &Value, now: i64) -> Option<PodLife> {
        let start = now + ms(self.config.pace.start);
        let names = items(pod, &["spec", "containers"]).iter().filter_map(|one| text(one, &["name"]));
        Some(PodLife {
            node: node.to_owned(),
            ip: self.free_ip()?,
            started: now,
            containers: names.map(|name| (name.to_owned(), Container::starting(start))).collect(),
            ordered_ready: None,
            kill_at: None,
        })
    }

    /// The address that was free for longest; `None`: all are taken.
    fn free_ip(&mut self) -> Option<Ipv4Addr> {
        let first = u32::from(self.config.first_pod_ip);
        let taken: BTreeSet<Ipv4Addr> = self.pods.values().map(|pod| pod.ip).collect();
        for _ in 0..self.config.pod_ips {
            let ip = Ipv4Addr::from(first.wrapping_add(self.ips_given % self.config.pod_ips));
            self.ips_given = self.ips_given.wrapping_add(1);
            if !taken.contains(&ip) {
                return Some(ip);
            }
        }
        None
    }

    /// Brings one container on: from waiting to running, from an end to the next start.
    fn run_container(&mut self, pod: &Value, spec: &Value, key: &ContainerKey, now: i64) {
        let pace = self.config.pace;
        let Some(life) = self.pods.get_mut(&key.uid) else { return };
        let (node, ip) = (life.node.clone(), life.ip);
        let Some(container) = life.containers.get_mut(&key.container) else { return };
        if let Some(noticed) = container.noticed_at(&pace) {
            if now < noticed {
                self.wake_at(noticed);
                return;
            }
            let restarts = match text(pod, &["spec", "restartPolicy"]) {
                Some("Never") => false,
                Some("OnFailure") => !matches!(&container.state, State::Ended(ended) if ended.code == 0),
                _ => true,
            };
            if !restarts {
                return;
            }
            container.back_off(&pace, now);
        }
        let State::Waiting { until, .. } = container.state else { return };
        if now < until {
            self.wake_at(until);
            return;
        }
        self.containers_made += 1;
        container.begin(now, format!("model://{:08x}", self.containers_made));
        let ports = items(spec, &["ports"]).iter().filter_map(|port| at(port, &["containerPort"]).as_u64());
        self.backend.start(&Launch {
            key: key.clone(),
            namespace: namespace_of(pod).to_owned(),
            pod: name_of(pod).to_owned(),
            node,
            ip: IpAddr::V4(ip),
            ports: ports.filter_map(|port| u16::try_from(port).ok()).collect(),
        });
    }

    /// Asks the readiness probe where it is due; without one, what runs is ready.
    fn probe(&mut self, spec: &Value, key: &ContainerKey, now: i64) {
        let Some(life) = self.pods.get_mut(&key.uid) else { return };
        let Some(container) = life.containers.get_mut(&key.container).filter(|one| one.runs()) else {
            return;
        };
        let number = |field: &str, default| at(spec, &["readinessProbe", field]).as_i64().unwrap_or(default);
        if at(spec, &["readinessProbe"]).is_null() {
            container.probe.ready = true;
            return;
        }
        if let State::Running { since, .. } = container.state {
            let first = since + number("initialDelaySeconds", 0) * 1000;
            container.probe.next = container.probe.next.max(first);
        }
        if now >= container.probe.next {
            container.probe.next = now + number("periodSeconds", 10).max(1) * 1000;
            if self.backend.ready(key) {
                container.probe.failures = 0;
                container.probe.ready = true;
            } else {
                container.probe.failures += 1;
                container.probe.ready &= container.probe.failures < number("failureThreshold", 3);
            }
        }
        let next = container.probe.next;
        self.wake_at(next);
    }

    fn tell(&mut self, server: &mut ApiServer, node: &str, pod: &Value, now: i64) {
        let Some(life) = self.pods.get(uid_of(pod)) else { return };
        let host = self.nodes.keys().position(|name| name == node).unwrap_or_default();
        let status = pod_status::status(pod, life, &self.config.pace, host, now);
        self.write_status(server, Program::Kubelet(node), PODS, pod, status);
    }

    /// Ends a pod: asks, waits for its grace period, kills, and then takes its object away.
    fn end_pod(&mut self, server: &mut ApiServer, node: &str, pod: &Value, now: i64) {
        let uid = uid_of(pod).to_owned();
        let grace = at(pod, &["metadata", "deletionGracePeriodSeconds"]).as_i64().unwrap_or(0);
        if let Some(life) = self.pods.get_mut(&uid) {
            let asked = life.kill_at.is_some();
            let end = match life.kill_at {
                // A shorter grace period counts from when it was said.
                Some((end, given)) if grace >= given => end,
                Some((end, _)) => end.min(now + grace * 1000),
                None => now + grace * 1000,
            };
            life.kill_at = Some((end, grace));
            let mut ends = true;
            for (name, container) in life.containers.iter_mut().filter(|(_, container)| container.runs()) {
                let key = ContainerKey { uid: uid.clone(), container: name.clone() };
                if now >= end {
                    self.backend.kill(&key);
                    container.end(KILLED, now);
                    continue;
                }
                if !asked {
                    self.backend.terminate(&key);
                }
                match self.backend.ended(&key) {
                    Some(code) => container.end(code, now),
                    None => ends = false,
                }
            }
            if !ends {
                self.wake_at(end);
                return;
            }
            let host = self.nodes.keys().position(|name| name == node).unwrap_or_default();
            let Some(life) = self.pods.get(&uid) else { return };
            let status = pod_status::ended_status(pod, life, host, now);
            self.write_status(server, Program::Kubelet(node), PODS, pod, status);
        }
        self.delete(server, Program::Kubelet(node), PODS, pod, Some(0));
    }
}
