//! Events have two APIs over the same objects. They are stored as core/v1 has them.

use crate::json::{at, put, put_or_take, take};
use serde_json::{Value, json};

/// core/v1 name, events.k8s.io/v1 name.
const NAMES: [(&str, &str); 6] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// As events.k8s.io/v1 shows it.
pub(crate) fn to_new(stored: &Value) -> Value {
    let mut event = stored.clone();
    for (old, new) in NAMES {
        let value = take(&mut event, &[old]).unwrap_or_default();
        put_or_take(&mut event, &[new], &value);
    }
    let reporter = take(&mut event, &["reportingComponent"]).unwrap_or_default();
    put_or_take(&mut event, &["reportingController"], &reporter);
    // The newer type leaves them out where they are empty.
    for field in ["reportingController", "reportingInstance"] {
        if at(&event, &[field]) == "" {
            take(&mut event, &[field]);
        }
    }
    event
}

/// The Go types write these out even where there are none.
pub(crate) fn write_out(event: &mut Value, new: bool) {
    let names: [&str; 3] = if new {
        ["deprecatedSource", "deprecatedFirstTimestamp", "deprecatedLastTimestamp"]
    } else {
        ["source", "firstTimestamp", "lastTimestamp"]
    };
    for (name, absent) in names.into_iter().zip([json!({}), Value::Null, Value::Null]) {
        if at(event, &[name]).is_null() {
            put(event, &[name], absent);
        }
    }
}

/// As it is stored.
pub(crate) fn to_old(event: &Value) -> Value {
    let mut stored = event.clone();
    for (old, new) in NAMES {
        let value = take(&mut stored, &[new]).unwrap_or_default();
        put_or_take(&mut stored, &[old], &value);
    }
    let reporter = take(&mut stored, &["reportingController"]).unwrap_or_default();
    put_or_take(&mut stored, &["reportingComponent"], &reporter);
    if at(&stored, &["involvedObject"]).is_null() {
        put(&mut stored, &["involvedObject"], Value::Object(serde_json::Map::new()));
    }
    put(&mut stored, &["apiVersion"], "v1");
    stored
}
