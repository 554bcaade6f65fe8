//! `StatefulSet`s: pods with names of their own, one after the other or all at once.

use super::World;
use super::api::{Program, STATEFUL_SETS, counts, has_ended, is_going, is_true, name_of};
use super::templates::{generation, hash, label, number, pod_of, pods_of, wanted};
use crate::ApiServer;
use crate::json::{at, put, text};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

const REVISION: &str = "controller-revision-hash";

impl World {
    pub(super) fn step_stateful_sets(&mut self, server: &mut ApiServer) {
        for set in STATEFUL_SETS.all(server) {
            if !is_going(&set) {
                self.fill_stateful_set(server, &set);
                self.tell_stateful_set(server, &set);
            }
        }
    }

    /// Brings a set nearer to what is wanted.
    fn fill_stateful_set(&mut self, server: &mut ApiServer, set: &Value) {
        let pods = by_ordinal(server, set);
        let all = wanted(set);
        let in_order = text(set, &["spec", "podManagementPolicy"]) != Some("Parallel");
        for ordinal in 0..all {
            match pods.get(&ordinal) {
                None => {
                    self.create_pod(server, &pod_at(set, ordinal));
                    if in_order {
                        return;
                    }
                }
                // A pod that has ended makes way for its successor.
                Some(pod) if has_ended(pod) && !is_going(pod) => self.delete_pod(server, pod),
                Some(pod) if in_order && (is_going(pod) || !is_true(pod, "Ready")) => return,
                Some(_) => {}
            }
        }
        for pod in pods.range(all..).rev().map(|(_, pod)| pod) {
            if !is_going(pod) {
                self.delete_pod(server, pod);
            }
            if in_order {
                return;
            }
        }
        self.update_pods(server, set, &pods);
    }

    /// The rolling update: from the last pod down, the next one when all are ready.
    fn update_pods(&mut self, server: &mut ApiServer, set: &Value, pods: &BTreeMap<usize, Arc<Value>>) {
        if text(set, &["spec", "updateStrategy", "type"]) == Some("OnDelete") {
            return;
        }
        let first = number(set, &["spec", "updateStrategy", "rollingUpdate", "partition"]);
        let wanted = update_revision(set);
        for pod in pods.range(first..).rev().map(|(_, pod)| pod) {
            if is_going(pod) {
                return;
            }
            if label(pod, REVISION) != Some(&wanted) {
                self.delete_pod(server, pod);
                return;
            }
            if !is_true(pod, "Ready") {
                return;
            }
        }
    }

    fn tell_stateful_set(&mut self, server: &mut ApiServer, set: &Value) {
        let pods = by_ordinal(server, set);
        let revision = update_revision(set);
        let ready = pods.values().filter(|pod| is_true(pod, "Ready") && !is_going(pod)).count();
        let updated = pods.values().filter(|pod| label(pod, REVISION) == Some(&revision)).count();
        let all_updated = updated == pods.len() && updated == wanted(set) && ready == updated;
        let current = match text(set, &["status", "currentRevision"]) {
            Some(current) if !all_updated => current.to_owned(),
            _ => revision.clone(),
        };
        let of_current = pods.values().filter(|pod| label(pod, REVISION) == Some(&current)).count();
        let mut status = counts(&[
            ("replicas", pods.len()),
            ("readyReplicas", ready),
            ("availableReplicas", ready),
            ("currentReplicas", of_current),
            ("updatedReplicas", updated),
        ]);
        put(&mut status, &["collisionCount"], 0);
        put(&mut status, &["currentRevision"], current);
        put(&mut status, &["updateRevision"], revision);
        put(&mut status, &["observedGeneration"], generation(set));
        self.write_status(server, Program::Controllers, STATEFUL_SETS, set, status);
    }
}

fn update_revision(set: &Value) -> String {
    format!("{}-{}", name_of(set), hash(at(set, &["spec", "template"])))
}

fn by_ordinal(server: &ApiServer, set: &Value) -> BTreeMap<usize, Arc<Value>> {
    let ordinal = |pod: &Value| name_of(pod).rsplit_once('-').and_then(|(_, number)| number.parse().ok());
    pods_of(server, set).into_iter().filter_map(|pod| Some((ordinal(&pod)?, pod))).collect()
}

fn pod_at(set: &Value, ordinal: usize) -> Value {
    let mut pod = pod_of(set);
    let name = format!("{}-{ordinal}", name_of(set));
    let labels = [
        (REVISION, update_revision(set)),
        ("statefulset.kubernetes.io/pod-name", name.clone()),
        ("apps.kubernetes.io/pod-index", ordinal.to_string()),
    ];
    for (key, value) in labels {
        put(&mut pod, &["metadata", "labels", key], value);
    }
    put(&mut pod, &["metadata", "name"], name.as_str());
    put(&mut pod, &["spec", "hostname"], name);
    if let Some(service) = text(set, &["spec", "serviceName"]) {
        put(&mut pod, &["spec", "subdomain"], service);
    }
    pod
}
