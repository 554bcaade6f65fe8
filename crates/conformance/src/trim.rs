//! Cuts an answer down to the parts that are compared.

use super::script::Look;
use crate::json::{at, items, put, remove, text};
use serde_json::{Value, json};

/// Removes from an answer what its step does not look at, and what no two servers have in common.
pub(super) fn trim_answer(body: &mut Value, look: &Look) {
    for (list, member, which) in &look.few {
        let path: Vec<&str> = list.split('/').filter(|part| !part.is_empty()).collect();
        keep_few(body, &path, member, which);
    }
    if !look.only.is_empty()
        && let Value::Object(map) = body
    {
        map.retain(|key, _| look.only.contains(&key.as_str()));
    }
    if look.in_any_order || lists_errors_in_any_order(body) {
        remove(body, "message");
        if let Some(Value::Array(causes)) = body.pointer_mut("/details/causes") {
            causes.sort_by_key(Value::to_string);
        }
    }
    // The descriptions of a Table's columns are documentation and not behaviour.
    if at(body, &["kind"]) == "Table" {
        shorten_columns(body);
    }
    if let Value::Array(events) = body {
        for event in events {
            if let Some(object) = event.get_mut("object")
                && at(object, &["kind"]) == "Table"
            {
                shorten_columns(object);
            }
        }
    }
}

/// Returns whether an answer lists several errors of a custom object. The fields of a schema are a Go map, so the order
/// of the errors changes from one request to the next.
fn lists_errors_in_any_order(body: &Value) -> bool {
    let group = text(body, &["details", "group"]).unwrap_or_default();
    group.ends_with("conformance.hotstandby.dev") && items(body, &["details", "causes"]).len() > 1
}

/// Shortens the definition of each column to its name, type, format and priority.
fn shorten_columns(table: &mut Value) {
    let columns = items(table, &["columnDefinitions"]).iter().map(|column| {
        let brief = ["name", "type", "format", "priority"].map(|key| {
            let value = at(column, &[key]);
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        });
        json!(brief.join(" ").replace("  ", " "))
    });
    let brief: Vec<Value> = columns.collect();
    if !brief.is_empty() {
        put(table, &["columnDefinitions"], brief);
    }
}

/// Keeps only the items of the list at a path whose member has one of these values.
fn keep_few(value: &mut Value, path: &[&str], member: &str, which: &[&str]) {
    match (path, value) {
        ([], Value::Array(items)) => {
            items.retain(|item| {
                let is = if member.starts_with('/') { item.pointer(member) } else { item.get(member) };
                is.and_then(Value::as_str).is_some_and(|is| which.contains(&is))
            });
        }
        (["*", rest @ ..], Value::Array(items)) => {
            for item in items {
                keep_few(item, rest, member, which);
            }
        }
        ([key, rest @ ..], Value::Object(map)) => {
            if let Some(below) = map.get_mut(*key) {
                keep_few(below, rest, member, which);
            }
        }
        _ => {}
    }
}
