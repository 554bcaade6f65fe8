//! `Deployment`s: one `ReplicaSet` a template, and rolling updates between them.

use super::World;
use super::api::{
    DEPLOYMENTS, Program, REPLICA_SETS, controller_of, counts, is_going, name_of, namespace_of, uid_of,
};
use super::templates::{generation, hash, label, number, owner_reference, pods_of, wanted};
use crate::ApiServer;
use crate::clock::time_text;
use crate::json::{at, items, put, take, text};
use serde_json::{Value, json};
use std::sync::Arc;

const REVISION: &str = "deployment.kubernetes.io/revision";
const HASH: &str = "pod-template-hash";

impl World {
    pub(super) fn step_deployments(&mut self, server: &mut ApiServer, now: i64) {
        for deployment in DEPLOYMENTS.all(server) {
            if !is_going(&deployment) {
                self.step_deployment(server, &deployment, now);
            }
        }
    }

    fn step_deployment(&mut self, server: &mut ApiServer, deployment: &Value, now: i64) {
        let sets = sets_of(server, deployment);
        let newest = sets.iter().find(|set| is_of(set, deployment)).cloned();
        let last = sets.iter().map(|set| revision(set)).max().unwrap_or_default();
        let Some(newest) = newest else {
            self.create(server, Program::Controllers, REPLICA_SETS, &new_set(deployment, last + 1));
            return;
        };
        if revision(&newest) < last {
            // An old template again: its set becomes the newest.
            let mut newest = Value::clone(&newest);
            put(&mut newest, &["metadata", "annotations", REVISION], (last + 1).to_string());
            self.replace(server, Program::Controllers, REPLICA_SETS, &newest);
            return;
        }
        self.note_revision(server, deployment, revision(&newest));
        let old: Vec<Arc<Value>> = sets.into_iter().filter(|set| uid_of(set) != uid_of(&newest)).collect();
        if *at(deployment, &["spec", "paused"]) != true {
            match text(deployment, &["spec", "strategy", "type"]) {
                Some("Recreate") => self.recreate(server, deployment, &newest, &old),
                _ => self.roll(server, deployment, &newest, &old),
            }
        }
        self.tell_deployment(server, deployment, &newest, now);
    }

    fn note_revision(&mut self, server: &mut ApiServer, deployment: &Value, revision: u64) {
        if text(deployment, &["metadata", "annotations", REVISION]) == Some(&revision.to_string()) {
            return;
        }
        let mut deployment = deployment.clone();
        put(&mut deployment, &["metadata", "annotations", REVISION], revision.to_string());
        self.replace(server, Program::Controllers, DEPLOYMENTS, &deployment);
    }

    /// All the old ones go before the first new one comes.
    fn recreate(&mut self, server: &mut ApiServer, deployment: &Value, newest: &Value, old: &[Arc<Value>]) {
        for set in old {
            self.scale(server, set, 0);
        }
        if old.iter().all(|set| pods_of(server, set).is_empty()) {
            self.scale(server, newest, wanted(deployment));
        }
    }

    fn roll(&mut self, server: &mut ApiServer, deployment: &Value, newest: &Value, old: &[Arc<Value>]) {
        let all = wanted(deployment);
        let surge = share(at(deployment, &["spec", "strategy", "rollingUpdate", "maxSurge"]), all, true);
        let lack =
            share(at(deployment, &["spec", "strategy", "rollingUpdate", "maxUnavailable"]), all, false);
        // With neither nothing could ever move.
        let lack = if surge == 0 { lack.max(1) } else { lack };
        let old_total: usize = old.iter().map(|set| wanted(set)).sum();
        let room = (all + surge).saturating_sub(old_total);
        let next = if wanted(newest) > all { all } else { room.min(all).max(wanted(newest)) };
        if next != wanted(newest) {
            self.scale(server, newest, next);
            return;
        }
        self.scale_old(server, newest, old, all.saturating_sub(lack));
    }

    /// Takes pods from the old sets: those that are not available first, then as many as can be spared.
    fn scale_old(&mut self, server: &mut ApiServer, newest: &Value, old: &[Arc<Value>], floor: usize) {
        let available = |set: &Value| number(set, &["status", "availableReplicas"]);
        let total: usize = old.iter().map(|set| wanted(set)).sum::<usize>() + wanted(newest);
        let missing = wanted(newest).saturating_sub(available(newest));
        let mut most = total.saturating_sub(floor + missing);
        if most == 0 {
            return;
        }
        let all_available: usize = old.iter().map(|set| available(set)).sum::<usize>() + available(newest);
        let mut spare = all_available.saturating_sub(floor);
        for set in old {
            let dead = wanted(set).saturating_sub(available(set)).min(most);
            most -= dead;
            let spared = (wanted(set) - dead).min(spare);
            spare -= spared;
            self.scale(server, set, wanted(set) - dead - spared);
        }
    }

    fn scale(&mut self, server: &mut ApiServer, set: &Value, replicas: usize) {
        if wanted(set) == replicas {
            return;
        }
        let mut set = set.clone();
        put(&mut set, &["spec", "replicas"], replicas);
        self.replace(server, Program::Controllers, REPLICA_SETS, &set);
    }

    fn tell_deployment(&mut self, server: &mut ApiServer, deployment: &Value, newest: &Value, now: i64) {
        // Written anew since it was read: the next round tells.
        let stored = DEPLOYMENTS.one(server, namespace_of(deployment), name_of(deployment));
        let Some(deployment) = stored else { return };
        let sets = sets_of(server, &deployment);
        let sum = |field: &str| -> usize { sets.iter().map(|set| number(set, &["status", field])).sum() };
        let updated = sets.iter().find(|set| uid_of(set) == uid_of(newest));
        let updated = updated.map_or(0, |set| number(set, &["status", "replicas"]));
        let all = wanted(&deployment);
        let mut status = counts(&[
            ("replicas", sum("replicas")),
            ("updatedReplicas", updated),
            ("readyReplicas", sum("readyReplicas")),
            ("availableReplicas", sum("availableReplicas")),
            ("unavailableReplicas", all.saturating_sub(sum("availableReplicas"))),
        ]);
        put(&mut status, &["observedGeneration"], generation(&deployment));
        let lack = at(&deployment, &["spec", "strategy", "rollingUpdate", "maxUnavailable"]);
        let enough = sum("availableReplicas") >= all.saturating_sub(share(lack, all, false));
        let done = updated == all && sum("replicas") == all && sum("availableReplicas") >= all;
        let conditions = [
            condition(
                &deployment,
                "Available",
                enough,
                ["MinimumReplicasAvailable", "MinimumReplicasUnavailable"],
                now,
            ),
            condition(
                &deployment,
                "Progressing",
                true,
                [if done { "NewReplicaSetAvailable" } else { "ReplicaSetUpdated" }; 2],
                now,
            ),
        ];
        put(&mut status, &["conditions"], conditions.to_vec());
        self.write_status(server, Program::Controllers, DEPLOYMENTS, &deployment, status);
    }
}

/// A deployment's sets, the oldest revision first.
fn sets_of(server: &ApiServer, deployment: &Value) -> Vec<Arc<Value>> {
    let uid = uid_of(deployment);
    let mut sets: Vec<Arc<Value>> =
        REPLICA_SETS.all(server).into_iter().filter(|set| controller_of(set) == Some(uid)).collect();
    sets.sort_by_key(|set| revision(set));
    sets
}

fn revision(set: &Value) -> u64 {
    let revision = text(set, &["metadata", "annotations", REVISION]);
    revision.and_then(|revision| revision.parse().ok()).unwrap_or_default()
}

/// Whether a set is of the deployment's present template.
fn is_of(set: &Value, deployment: &Value) -> bool {
    label(set, HASH) == Some(&hash(at(deployment, &["spec", "template"])))
}

fn new_set(deployment: &Value, revision: u64) -> Value {
    let mut template = at(deployment, &["spec", "template"]).clone();
    let hash = hash(&template);
    put(&mut template, &["metadata", "labels", HASH], hash.as_str());
    let mut selector = at(deployment, &["spec", "selector"]).clone();
    put(&mut selector, &["matchLabels", HASH], hash.as_str());
    take(&mut template, &["metadata", "creationTimestamp"]);
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", name_of(deployment)), "namespace": namespace_of(deployment),
            "labels": at(&template, &["metadata", "labels"]), "annotations": {REVISION: revision.to_string()},
            "ownerReferences": owner_reference(deployment),
        },
        "spec": {"replicas": 0, "selector": selector, "template": template},
    })
}

/// A number, or a percentage of all, rounded up or down.
fn share(value: &Value, all: usize, up: bool) -> usize {
    if let Some(number) = value.as_u64() {
        return usize::try_from(number).unwrap_or_default();
    }
    let percent = value.as_str().and_then(|text| text.strip_suffix('%')).and_then(|text| text.parse().ok());
    let hundredths = all * percent.unwrap_or(25_usize);
    if up { hundredths.div_ceil(100) } else { hundredths / 100 }
}

fn condition(deployment: &Value, kind: &str, holds: bool, reasons: [&str; 2], now: i64) -> Value {
    let value = if holds { "True" } else { "False" };
    let [yes, no] = reasons;
    let reason = if holds { yes } else { no };
    let old =
        items(deployment, &["status", "conditions"]).iter().find(|one| text(one, &["type"]) == Some(kind));
    let same = old.filter(|old| text(old, &["status"]) == Some(value));
    let turned = same.and_then(|old| text(old, &["lastTransitionTime"])).map(str::to_owned);
    let updated = same.filter(|old| text(old, &["reason"]) == Some(reason));
    let updated = updated.and_then(|old| text(old, &["lastUpdateTime"])).map(str::to_owned);
    json!({
        "type": kind, "status": value, "reason": reason, "message": "",
        "lastTransitionTime": turned.unwrap_or_else(|| time_text(now)),
        "lastUpdateTime": updated.unwrap_or_else(|| time_text(now)),
    })
}
