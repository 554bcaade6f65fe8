//! The scheduler: a pod goes where the fewest of its kind are.

use super::World;
use super::api::{NODES, PODS, controller_of, has_ended, is_going, is_true, name_of};
use super::nodes::tolerates;
use crate::ApiServer;
use crate::json::{at, items, text};
use serde_json::Value;
use std::sync::Arc;

impl World {
    pub(super) fn step_scheduler(&mut self, server: &mut ApiServer) {
        let waiting: Vec<Arc<Value>> = PODS
            .all(server)
            .into_iter()
            .filter(|pod| text(pod, &["spec", "nodeName"]).is_none() && !is_going(pod))
            .collect();
        for pod in waiting {
            if let Some(node) = choose(server, &pod) {
                self.bind(server, &pod, &node);
            }
        }
    }
}

/// The node with the fewest pods of the same owner, then with the fewest pods, then the first by name.
fn choose(server: &ApiServer, pod: &Value) -> Option<String> {
    let pods = PODS.all(server);
    let owner = controller_of(pod);
    let load = |node: &str| {
        let there = || {
            pods.iter().filter(|one| {
                text(one, &["spec", "nodeName"]) == Some(node) && !is_going(one) && !has_ended(one)
            })
        };
        (there().filter(|one| owner.is_some() && controller_of(one) == owner).count(), there().count())
    };
    let nodes = NODES.all(server);
    let fit = nodes.iter().filter(|node| may_go(pod, node)).map(|node| name_of(node));
    fit.min_by_key(|node| (load(node), (*node).to_owned())).map(str::to_owned)
}

fn may_go(pod: &Value, node: &Value) -> bool {
    let wanted = at(pod, &["spec", "nodeSelector"]).as_object().into_iter().flatten();
    let mut wanted = wanted.map(|(key, value)| at(node, &["metadata", "labels", key]) == value);
    let borne = |taint: &Value| {
        let only_a_wish = text(taint, &["effect"]) == Some("PreferNoSchedule");
        only_a_wish || items(pod, &["spec", "tolerations"]).iter().any(|one| tolerates(one, taint))
    };
    let open = *at(node, &["spec", "unschedulable"]) != true;
    open && is_true(node, "Ready")
        && wanted.all(|fits| fits)
        && items(node, &["spec", "taints"]).iter().all(borne)
}
