//! `kubectl get` asks for a Table: columns and cells as the real server prints them.

use crate::cells;
use crate::clock::time_ms;
use crate::json::{at, put, text};
use crate::jsonpath;
use crate::kinds::Kind;
use serde_json::{Value, json};
use std::borrow::Cow;

/// What fills a column.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    /// A function of the object and the time.
    Made(fn(&Value, i64) -> Value),
    /// A JSON path of a CRD's printer column.
    Path(String),
}

/// A column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: Cow<'static, str>,
    pub(crate) kind: Cow<'static, str>,
    pub(crate) priority: i64,
    pub(crate) description: String,
    pub(crate) cell: Cell,
}

/// How much of each object a Table carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableWish {
    Metadata,
    Object,
    Nothing,
}

impl TableWish {
    /// Whether a Table is wanted, by `Accept` and `includeObject`.
    pub(crate) fn of(accept: &str, include: &str) -> Option<Self> {
        // The first media type that can be served wins, as with the real server.
        let first = accept.split(',').find(|media| !media.contains("protobuf"))?;
        if !first.contains("as=Table") {
            return None;
        }
        Some(match include {
            "Object" => Self::Object,
            "None" => Self::Nothing,
            _ => Self::Metadata,
        })
    }
}

/// A column of numbers.
fn number(name: &'static str, cell: fn(&Value, i64) -> Value) -> Column {
    Column { kind: "integer".into(), ..made(name, 0, cell) }
}

/// A column for `-o wide`.
fn wide(name: &'static str, cell: fn(&Value, i64) -> Value) -> Column {
    made(name, 1, cell)
}

fn made(name: &'static str, priority: i64, cell: fn(&Value, i64) -> Value) -> Column {
    Column {
        name: name.into(),
        kind: "string".into(),
        priority,
        description: String::new(),
        cell: Cell::Made(cell),
    }
}

fn age() -> Column {
    made("Age", 0, |object, now| since(at(object, &["metadata", "creationTimestamp"]), now))
}

fn path(name: &'static str, path: &str) -> Column {
    Column { cell: Cell::Path(path.to_owned()), ..made(name, 0, |_, _| Value::Null) }
}

/// The columns of a built-in kind, without its name.
pub(crate) fn columns(plural: &str) -> Vec<Column> {
    match plural {
        "pods" => vec![
            made("Ready", 0, cells::pod_ready),
            made("Status", 0, cells::pod_status),
            made("Restarts", 0, cells::pod_restarts),
            age(),
            made("IP", 1, |pod, _| or_none(at(pod, &["status", "podIP"]))),
            made("Node", 1, |pod, _| or_none(at(pod, &["spec", "nodeName"]))),
            wide("Nominated Node", |pod, _| or_none(at(pod, &["status", "nominatedNodeName"]))),
            wide("Readiness Gates", |_, _| json!("<none>")),
        ],
        "nodes" => vec![
            made("Status", 0, cells::node_status),
            made("Roles", 0, |_, _| json!("<none>")),
            age(),
            path("Version", ".status.nodeInfo.kubeletVersion"),
            wide("Internal-IP", |node, _| cells::node_address(node, "InternalIP")),
            wide("External-IP", |node, _| cells::node_address(node, "ExternalIP")),
            wide("OS-Image", |node, _| cells::node_info(node, "osImage")),
            wide("Kernel-Version", |node, _| cells::node_info(node, "kernelVersion")),
            wide("Container-Runtime", |node, _| cells::node_info(node, "containerRuntimeVersion")),
        ],
        "namespaces" => vec![path("Status", ".status.phase"), age()],
        "services" => vec![
            path("Type", ".spec.type"),
            made("Cluster-IP", 0, |service, _| or_none(at(service, &["spec", "clusterIP"]))),
            made("External-IP", 0, |service, _| cells::external_ip(service)),
            made("Port(s)", 0, |service, _| cells::service_ports(service)),
            age(),
            made("Selector", 1, |service, _| cells::labels(at(service, &["spec", "selector"]))),
        ],
        "endpoints" => vec![made("Endpoints", 0, |endpoints, _| cells::endpoints(endpoints)), age()],
        "endpointslices" => vec![
            path("AddressType", ".addressType"),
            made("Ports", 0, |slice, _| cells::slice_ports(slice)),
            made("Endpoints", 0, |slice, _| cells::slice_endpoints(slice)),
            age(),
        ],
        "leases" => vec![
            made("Holder", 0, |lease, _| json!(text(lease, &["spec", "holderIdentity"]).unwrap_or_default())),
            age(),
        ],
        "deployments" => vec![
            made("Ready", 0, |object, _| cells::ready_of(object)),
            made("Up-to-date", 0, |object, _| count(object, "updatedReplicas")),
            made("Available", 0, |object, _| count(object, "availableReplicas")),
            age(),
            wide("Containers", |object, _| cells::containers(object, "name")),
            wide("Images", |object, _| cells::containers(object, "image")),
            wide("Selector", |object, _| cells::labels(at(object, &["spec", "selector", "matchLabels"]))),
        ],
        "replicasets" => vec![
            number("Desired", |object, _| at(object, &["spec", "replicas"]).clone()),
            number("Current", |object, _| count(object, "replicas")),
            number("Ready", |object, _| count(object, "readyReplicas")),
            age(),
            wide("Containers", |object, _| cells::containers(object, "name")),
            wide("Images", |object, _| cells::containers(object, "image")),
            wide("Selector", |object, _| cells::labels(at(object, &["spec", "selector", "matchLabels"]))),
        ],
        "statefulsets" => vec![
            made("Ready", 0, |object, _| cells::ready_of(object)),
            age(),
            wide("Containers", |object, _| cells::containers(object, "name")),
            wide("Images", |object, _| cells::containers(object, "image")),
        ],
        "customresourcedefinitions" => {
            vec![made("Created At", 0, |object, _| at(object, &["metadata", "creationTimestamp"]).clone())]
        }
        "configmaps" => {
            vec![
                made("Data", 0, |object, _| {
                    json!(at(object, &["data"]).as_object().map_or(0, serde_json::Map::len))
                }),
                age(),
            ]
        }
        "events" => vec![
            made("Last Seen", 0, cells::event_last_seen),
            path("Type", ".type"),
            path("Reason", ".reason"),
            made("Object", 0, |event, _| cells::event_object(event)),
            wide("Subobject", |event, _| {
                json!(text(event, &["involvedObject", "fieldPath"]).unwrap_or_default())
            }),
            wide("Source", |event, _| cells::event_source(event)),
            path("Message", ".message"),
            wide("First Seen", cells::event_first_seen),
            wide("Count", |event, _| cells::event_count(event)),
            wide("Name", |event, _| at(event, &["metadata", "name"]).clone()),
        ],
        _ => vec![age()],
    }
}

fn count(object: &Value, field: &str) -> Value {
    json!(at(object, &["status", field]).as_i64().unwrap_or(0))
}

fn or_none(value: &Value) -> Value {
    if value.as_str().is_some_and(|text| !text.is_empty()) { value.clone() } else { json!("<none>") }
}

/// The columns of a CRD's version.
pub(crate) fn custom_columns(version: &Value) -> Vec<Column> {
    let listed = crate::json::items(version, &["additionalPrinterColumns"]);
    if listed.is_empty() {
        return vec![age()];
    }
    let column = |one: &Value| Column {
        name: text(one, &["name"]).unwrap_or_default().to_owned().into(),
        kind: text(one, &["type"]).unwrap_or("string").to_owned().into(),
        priority: at(one, &["priority"]).as_i64().unwrap_or(0),
        description: text(one, &["description"]).unwrap_or_default().to_owned(),
        cell: Cell::Path(text(one, &["jsonPath"]).unwrap_or_default().to_owned()),
    };
    listed.iter().map(column).collect()
}

/// A time as "so long ago".
pub(crate) fn since(time: &Value, now_ms: i64) -> Value {
    let Some(then) = time.as_str().and_then(time_ms) else { return json!("<unknown>") };
    json!(duration_text((now_ms - then).div_euclid(1000)))
}

/// A duration as people read it: two units at most.
pub(crate) fn duration_text(seconds: i64) -> String {
    let pair = |big: i64, unit: &str, small: i64, of: &str| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit}{small}{of}") }
    };
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => pair(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => pair(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => pair(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => pair(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

/// The cell of a CRD's column: a date becomes its age, other types what they are.
fn path_cell(column: &Column, object: &Value, path: &str, now_ms: i64) -> Value {
    let found = jsonpath::first(object, path);
    match (column.kind.as_ref(), found) {
        (_, None) => Value::Null,
        ("date", Some(time)) => since(time, now_ms),
        ("string", Some(value)) if !value.is_string() => json!(value.to_string()),
        (_, Some(value)) => value.clone(),
    }
}

/// The objects as a Table.
pub(crate) fn table(
    kind: &Kind,
    objects: &[&Value],
    list_meta: &Value,
    wish: TableWish,
    now_ms: i64,
) -> Value {
    let name = json!({"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0});
    let define = |column: &Column| {
        json!({
            "name": column.name, "type": column.kind, "format": if column.name == "Name" { "name" } else { "" },
            "description": column.description, "priority": column.priority,
        })
    };
    let named = (!kind.is("events")).then_some(name);
    let columns: Vec<Value> = named.into_iter().chain(kind.columns.iter().map(define)).collect();
    let rows: Vec<Value> = objects.iter().map(|object| row(kind, object, wish, now_ms)).collect();
    let meta = if list_meta.is_null() { json!({}) } else { list_meta.clone() };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta,
        "columnDefinitions": columns, "rows": rows,
    })
}

fn row(kind: &Kind, object: &Value, wish: TableWish, now_ms: i64) -> Value {
    let cell = |column: &Column| match &column.cell {
        Cell::Made(make) => make(object, now_ms),
        Cell::Path(path) => path_cell(column, object, path, now_ms),
    };
    // A bookmark has no name; an event's comes last.
    let name = json!(text(object, &["metadata", "name"]).unwrap_or_default());
    let named = (!kind.is("events")).then_some(name);
    let cells: Vec<Value> = named.into_iter().chain(kind.columns.iter().map(cell)).collect();
    let mut row = json!({"cells": cells, "object": null});
    match wish {
        TableWish::Nothing => {}
        TableWish::Object => put(&mut row, &["object"], kind.shown(object)),
        TableWish::Metadata => {
            let partial = json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                "metadata": at(object, &["metadata"]),
            });
            put(&mut row, &["object"], partial);
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_as_kubectl_prints_them() {
        for (seconds, text) in [
            (-5, "<invalid>"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (187, "3m7s"),
            (3600, "60m"),
            (11_000, "3h3m"),
            (90_000, "25h"),
            (200_000, "2d7h"),
            (864_000, "10d"),
        ] {
            assert_eq!(duration_text(seconds), text);
        }
    }
}
