//! A pod's status, as its kubelet writes it.

use super::Pace;
use super::container::{Container, State};
use super::kubelet::PodLife;
use super::nodes::node_ip;
use crate::clock::time_text;
use crate::json::{at, items, put, text};
use serde_json::{Value, json};

/// The conditions a kubelet owns; others stay as they are.
const OWN: [&str; 4] = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"];

/// The status of a pod that is to run.
pub(super) fn status(pod: &Value, life: &PodLife, pace: &Pace, host: usize, now: i64) -> Value {
    let noticed = |container: &Container| container.noticed_at(pace).is_some_and(|at| now >= at);
    write(pod, life, host, now, &noticed)
}

/// The last status of a pod that is being deleted: everything in it has ended, and that is known.
pub(super) fn ended_status(pod: &Value, life: &PodLife, host: usize, now: i64) -> Value {
    write(pod, life, host, now, &|_| true)
}

fn write(pod: &Value, life: &PodLife, host: usize, now: i64, noticed: &dyn Fn(&Container) -> bool) -> Value {
    let mut status = at(pod, &["status"]).clone();
    let mut shown = Vec::new();
    let mut unready = Vec::new();
    for spec in items(pod, &["spec", "containers"]) {
        let name = text(spec, &["name"]).unwrap_or_default();
        let Some(container) = life.containers.get(name) else { continue };
        let seen = noticed(container);
        // What has ended unseen still looks as it did.
        let unseen = matches!(container.state, State::Ended(_)) && !seen;
        let ready = if unseen { was_ready(pod, name) } else { life.is_ready(container) };
        if !ready {
            unready.push(name.to_owned());
        }
        shown.push(container.status(spec, ready, seen));
    }
    let begun = life.containers.values().any(|one| !is_first_start(one));
    let phase = phase(life, begun, noticed);
    put(&mut status, &["phase"], phase);
    put(&mut status, &["startTime"], time_text(life.started));
    put(&mut status, &["hostIP"], node_ip(host));
    put(&mut status, &["hostIPs"], json!([{"ip": node_ip(host)}]));
    if begun {
        put(&mut status, &["podIP"], life.ip.to_string());
        put(&mut status, &["podIPs"], json!([{"ip": life.ip.to_string()}]));
    }
    put(&mut status, &["containerStatuses"], shown);
    put(&mut status, &["conditions"], conditions(pod, begun, phase, &unready, now));
    status
}

fn is_first_start(container: &Container) -> bool {
    container.restarts == 0 && matches!(container.state, State::Waiting { .. })
}

fn was_ready(pod: &Value, container: &str) -> bool {
    let all = items(pod, &["status", "containerStatuses"]);
    let one = all.iter().find(|one| text(one, &["name"]) == Some(container));
    one.is_some_and(|one| *at(one, &["ready"]) == true)
}

fn phase(life: &PodLife, begun: bool, noticed: &dyn Fn(&Container) -> bool) -> &'static str {
    if !begun {
        return "Pending";
    }
    let codes: Vec<Option<i32>> = life
        .containers
        .values()
        .map(|one| match &one.state {
            State::Ended(ended) if noticed(one) => Some(ended.code),
            _ => None,
        })
        .collect();
    if codes.iter().any(Option::is_none) {
        "Running"
    } else if codes.iter().all(|code| *code == Some(0)) {
        "Succeeded"
    } else {
        "Failed"
    }
}

fn conditions(pod: &Value, begun: bool, phase: &str, unready: &[String], now: i64) -> Vec<Value> {
    let old = items(pod, &["status", "conditions"]);
    let ended = matches!(phase, "Succeeded" | "Failed");
    let ready = begun && unready.is_empty() && !ended;
    let mut all: Vec<Value> = OWN
        .iter()
        .map(|kind| {
            let holds = match *kind {
                "Ready" | "ContainersReady" => ready,
                "PodReadyToStartContainers" => begun && !ended,
                _ => true,
            };
            let mut one = json!({"type": kind, "status": if holds { "True" } else { "False" }});
            if !holds && kind.ends_with("Ready") {
                let why = if ended { "PodCompleted" } else { "ContainersNotReady" };
                put(&mut one, &["reason"], if phase == "Failed" { "PodFailed" } else { why });
                if !unready.is_empty() {
                    let message = format!("containers with unready status: [{}]", unready.join(" "));
                    put(&mut one, &["message"], message);
                }
            }
            let before = old.iter().find(|old| text(old, &["type"]) == Some(kind));
            let same = before.filter(|old| text(old, &["status"]) == text(&one, &["status"]));
            let turned = same.and_then(|old| text(old, &["lastTransitionTime"]));
            let turned = turned.map_or_else(|| time_text(now), str::to_owned);
            put(&mut one, &["lastTransitionTime"], turned);
            one
        })
        .collect();
    all.extend(old.iter().filter(|one| !OWN.contains(&text(one, &["type"]).unwrap_or_default())).cloned());
    all
}
