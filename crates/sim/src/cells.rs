//! The cells of built-in kinds that take some thought.

use crate::clock::time_ms;
use crate::json::{at, items, text};
use crate::table::{duration_text, since};
use serde_json::{Value, json};

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    items(object, &["status", "conditions"]).iter().find(|one| text(one, &["type"]) == Some(kind))
}

pub(crate) fn pod_ready(pod: &Value, _: i64) -> Value {
    let sidecars = items(pod, &["spec", "initContainers"])
        .iter()
        .filter(|container| text(container, &["restartPolicy"]) == Some("Always"))
        .count();
    let total = items(pod, &["spec", "containers"]).len() + sidecars;
    let ready = items(pod, &["status", "containerStatuses"])
        .iter()
        .chain(items(pod, &["status", "initContainerStatuses"]))
        .filter(|status| at(status, &["ready"]) == true && at(status, &["state", "running"]).is_object())
        .count();
    json!(format!("{ready}/{total}"))
}

/// Phase, or what a container says that is more telling.
pub(crate) fn pod_status(pod: &Value, _: i64) -> Value {
    let phase = text(pod, &["status", "phase"]).unwrap_or_default();
    let mut reason = text(pod, &["status", "reason"]).unwrap_or(phase).to_owned();
    let statuses = items(pod, &["status", "containerStatuses"]);
    let mut running = false;
    for status in statuses.iter().rev() {
        if let Some(waiting) = text(status, &["state", "waiting", "reason"]) {
            reason = String::from(waiting);
        } else if at(status, &["state", "terminated"]).is_object() {
            let code = at(status, &["state", "terminated", "exitCode"]).as_i64().unwrap_or(0);
            reason = text(status, &["state", "terminated", "reason"])
                .map_or_else(|| format!("ExitCode:{code}"), str::to_owned);
        } else if at(status, &["ready"]) == true {
            running = true;
        }
    }
    if reason == "Completed" && running {
        reason = "Running".into();
    }
    let ended = phase == "Succeeded" || phase == "Failed";
    if !at(pod, &["metadata", "deletionTimestamp"]).is_null() && !ended {
        reason = "Terminating".into();
    }
    json!(reason)
}

pub(crate) fn pod_restarts(pod: &Value, now_ms: i64) -> Value {
    let statuses = items(pod, &["status", "containerStatuses"]);
    let restarts: i64 = statuses.iter().filter_map(|status| at(status, &["restartCount"]).as_i64()).sum();
    let last = statuses
        .iter()
        .filter_map(|status| time_ms(text(status, &["lastState", "terminated", "finishedAt"])?))
        .max();
    json!(match last {
        Some(last) if restarts > 0 =>
            format!("{restarts} ({} ago)", duration_text((now_ms - last).div_euclid(1000))),
        _ => restarts.to_string(),
    })
}

pub(crate) fn node_status(node: &Value, _: i64) -> Value {
    let mut status = match condition(node, "Ready") {
        Some(ready) if text(ready, &["status"]) == Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if at(node, &["spec", "unschedulable"]) == true {
        status.push_str(",SchedulingDisabled");
    }
    json!(status)
}

/// A map of labels as `a=b,c=d`.
pub(crate) fn labels(map: &Value) -> Value {
    let pairs: Vec<String> = map
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    json!(if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") })
}

pub(crate) fn external_ip(service: &Value) -> Value {
    match text(service, &["spec", "type"]) {
        Some("ExternalName") => at(service, &["spec", "externalName"]).clone(),
        Some("LoadBalancer") => json!("<pending>"),
        _ => json!("<none>"),
    }
}

pub(crate) fn service_ports(service: &Value) -> Value {
    let ports: Vec<String> = items(service, &["spec", "ports"])
        .iter()
        .map(|port| format!("{}/{}", at(port, &["port"]), text(port, &["protocol"]).unwrap_or("TCP")))
        .collect();
    json!(if ports.is_empty() { "<none>".to_owned() } else { ports.join(",") })
}

/// At most three of them, and how many more there are.
fn some_of(all: &[String], none: &str) -> Value {
    if all.is_empty() {
        return json!(none);
    }
    let head: Vec<&str> = all.iter().take(3).map(String::as_str).collect();
    let more = if all.len() > 3 { format!(" + {} more...", all.len() - 3) } else { String::new() };
    json!(format!("{}{more}", head.join(",")))
}

pub(crate) fn slice_ports(slice: &Value) -> Value {
    let ports: Vec<String> =
        items(slice, &["ports"]).iter().map(|port| at(port, &["port"]).to_string()).collect();
    some_of(&ports, "<unset>")
}

pub(crate) fn slice_endpoints(slice: &Value) -> Value {
    let addresses: Vec<String> = items(slice, &["endpoints"])
        .iter()
        .filter_map(|endpoint| Some(items(endpoint, &["addresses"]).first()?.as_str()?.to_owned()))
        .collect();
    some_of(&addresses, "<unset>")
}

pub(crate) fn endpoints(endpoints: &Value) -> Value {
    let mut all = Vec::new();
    for subset in items(endpoints, &["subsets"]) {
        for port in items(subset, &["ports"]) {
            for address in items(subset, &["addresses"]) {
                let ip = text(address, &["ip"]).unwrap_or_default();
                all.push(format!("{ip}:{}", at(port, &["port"])));
            }
        }
    }
    some_of(&all, "<none>")
}

pub(crate) fn ready_of(object: &Value) -> Value {
    let count = |path: [&str; 2]| at(object, &path).as_i64().unwrap_or(0);
    json!(format!("{}/{}", count(["status", "readyReplicas"]), count(["spec", "replicas"])))
}

pub(crate) fn event_last_seen(event: &Value, now_ms: i64) -> Value {
    for path in [&["series", "lastObservedTime"][..], &["lastTimestamp"], &["eventTime"]] {
        if let Some(time) = text(event, path) {
            return since(&json!(time), now_ms);
        }
    }
    since(at(event, &["metadata", "creationTimestamp"]), now_ms)
}

pub(crate) fn event_object(event: &Value) -> Value {
    let kind = text(event, &["involvedObject", "kind"]).unwrap_or_default().to_lowercase();
    json!(format!("{kind}/{}", text(event, &["involvedObject", "name"]).unwrap_or_default()))
}

pub(crate) fn event_first_seen(event: &Value, now_ms: i64) -> Value {
    for path in [&["firstTimestamp"][..], &["eventTime"]] {
        if let Some(time) = text(event, path) {
            return since(&json!(time), now_ms);
        }
    }
    since(at(event, &["metadata", "creationTimestamp"]), now_ms)
}

/// Who told, and where.
pub(crate) fn event_source(event: &Value) -> Value {
    let old = text(event, &["source", "component"]).zip(Some(at(event, &["source", "host"])));
    let parts: Vec<&str> = match old {
        Some((component, host)) => [Some(component), host.as_str()].into_iter().flatten().collect(),
        None => [text(event, &["reportingComponent"]), text(event, &["reportingInstance"])]
            .into_iter()
            .flatten()
            .collect(),
    };
    json!(parts.join(", "))
}

pub(crate) fn event_count(event: &Value) -> Value {
    let counted =
        [&["series", "count"][..], &["count"]].into_iter().find_map(|path| at(event, path).as_i64());
    json!(counted.unwrap_or(1))
}

pub(crate) fn node_address(node: &Value, kind: &str) -> Value {
    let listed = items(node, &["status", "addresses"]).iter().find(|one| text(one, &["type"]) == Some(kind));
    json!(listed.and_then(|one| text(one, &["address"])).unwrap_or("<none>"))
}

pub(crate) fn node_info(node: &Value, field: &str) -> Value {
    json!(text(node, &["status", "nodeInfo", field]).unwrap_or("<unknown>"))
}

/// A field of a workload's containers.
pub(crate) fn containers(workload: &Value, field: &str) -> Value {
    let listed = items(workload, &["spec", "template", "spec", "containers"]).iter();
    json!(listed.filter_map(|one| text(one, &[field])).collect::<Vec<_>>().join(","))
}
