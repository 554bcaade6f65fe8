//! `ReplicaSet`s: so many pods of a template.

use super::World;
use super::api::{Program, REPLICA_SETS, counts, is_going, is_true, name_of};
use super::templates::{generation, is_active, pod_of, pods_of, wanted};
use crate::ApiServer;
use crate::json::{put, text};
use serde_json::Value;
use std::sync::Arc;

impl World {
    pub(super) fn step_replica_sets(&mut self, server: &mut ApiServer) {
        for set in REPLICA_SETS.all(server) {
            if !is_going(&set) {
                self.fill_replica_set(server, &set);
            }
        }
    }

    fn fill_replica_set(&mut self, server: &mut ApiServer, set: &Value) {
        let wanted = wanted(set);
        let mut active: Vec<Arc<Value>> =
            pods_of(server, set).into_iter().filter(|pod| is_active(pod)).collect();
        for _ in active.len()..wanted {
            let mut pod = pod_of(set);
            put(&mut pod, &["metadata", "generateName"], format!("{}-", name_of(set)));
            if !self.create_pod(server, &pod) {
                break;
            }
        }
        active.sort_by_key(|pod| worth(pod));
        for pod in active.iter().take(active.len().saturating_sub(wanted)) {
            self.delete_pod(server, pod);
        }
        self.tell_replica_set(server, set);
    }

    fn tell_replica_set(&mut self, server: &mut ApiServer, set: &Value) {
        let pods = pods_of(server, set);
        let active: Vec<&Arc<Value>> = pods.iter().filter(|pod| is_active(pod)).collect();
        let ready = active.iter().filter(|pod| is_true(pod, "Ready")).count();
        let mut status = counts(&[
            ("replicas", active.len()),
            ("fullyLabeledReplicas", active.len()),
            ("readyReplicas", ready),
            ("availableReplicas", ready),
        ]);
        put(&mut status, &["observedGeneration"], generation(set));
        self.write_status(server, Program::Controllers, REPLICA_SETS, set, status);
    }
}

/// What goes first where there are too many: unbound, then not ready, then the youngest.
fn worth(pod: &Value) -> (bool, bool, std::cmp::Reverse<String>, String) {
    let bound = text(pod, &["spec", "nodeName"]).is_some();
    let made = text(pod, &["metadata", "creationTimestamp"]).unwrap_or_default().to_owned();
    (bound, is_true(pod, "Ready"), std::cmp::Reverse(made), name_of(pod).to_owned())
}
