//! The invariants, judged over everything that was seen of a test's objects, in the order of their
//! resourceVersions. Pure. What they are is in `docs/invariants.md`; here they are I1 and I3 of all seats and slices.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::feeder::{Feeder, Judged, in_order};
use super::objects::{Kind, name_of, text};
use super::view::{Seat, Slice};

/// One thing a watch said.
#[derive(Debug, Clone)]
pub struct Record {
    /// When.
    pub seen: Instant,
    /// The resourceVersion it happened at.
    pub version: u64,
    /// The object's kind.
    pub kind: Kind,
    /// Whether the object was deleted.
    pub deleted: bool,
    /// The object, without `managedFields`.
    pub object: Arc<Value>,
}

/// What a test did itself and what is therefore not held against hotstandby.
#[derive(Debug, Clone, Default)]
pub struct Excused {
    /// resourceVersions of the test's own writes to seats and slices: each counts until that object's next write.
    pub versions: BTreeSet<u64>,
    /// UIDs of slices the test made: they do not count at all.
    pub slices: BTreeSet<String>,
    /// Services that no slice of ours feeds: the endpoint controller's slices follow rules of their own, see [`super::led`].
    pub services: BTreeSet<String>,
}

/// A broken invariant.
#[derive(Debug, Clone)]
pub struct Violation {
    /// What is wrong.
    pub what: String,
    /// The objects that show it.
    pub objects: Vec<Arc<Value>>,
}

/// Judges all records.
pub fn judge(records: &[Record], excused: &Excused) -> Vec<Violation> {
    let mut feeder = Feeder::new(records, excused, Judged::SeatsAndSlices);
    in_order(records).into_iter().flat_map(|record| feeder.tell(record)).collect()
}

/// The moves of the seat from one pod to another, as `(term, from, to, reason)`; what the test wrote itself
/// is left out.
pub fn moves(records: &[Record], excused: &Excused) -> Vec<(i64, String, String, String)> {
    let mut seats: Vec<(u64, Seat)> = records
        .iter()
        .filter(|record| {
            record.kind == Kind::Lease && !record.deleted && !excused.versions.contains(&record.version)
        })
        .map(|record| (record.version, Seat::of(&record.object)))
        .collect();
    seats.sort_by_key(|(version, _)| *version);
    seats
        .windows(2)
        .filter_map(|pair| match pair {
            [(_, old), (_, new)] if old.holder_uid != new.holder_uid => {
                Some((new.term, old.holder.clone(), new.holder.clone(), new.reason.clone()))
            }
            _ => None,
        })
        .collect()
}

/// One line for an object's state, where it is one that a timeline shows.
pub fn describe(record: &Record) -> String {
    let name = name_of(&record.object);
    if record.deleted {
        return format!("{} {name} deleted", record.kind.name());
    }
    match record.kind {
        Kind::Lease => {
            let seat = Seat::of(&record.object);
            format!("seat {name}: {} at term {} ({})", seat.holder, seat.term, seat.reason)
        }
        Kind::EndpointSlice => {
            let slice = Slice::of(&record.object);
            let who: Vec<String> =
                slice.endpoints.iter().map(|one| format!("{} {}", one.pod, one.ip)).collect();
            let term = slice.stamp.map_or("none".to_owned(), |(_, term)| term.to_string());
            format!("slice {name} of {}: [{}] term {term}", slice.service, who.join(", "))
        }
        Kind::Pod => {
            let ready = super::objects::condition(&record.object, "Ready").0;
            let phase = text(&record.object, "/status/phase");
            let dying =
                if record.object.pointer("/metadata/deletionTimestamp").is_some() { ", dying" } else { "" };
            format!(
                "pod {name}: {phase}, Ready {ready}{dying}, node {}, labels {}",
                text(&record.object, "/spec/nodeName"),
                record.object.pointer("/metadata/labels").unwrap_or(&Value::Null)
            )
        }
        Kind::Service => {
            let selector = record.object.pointer("/spec/selector").unwrap_or(&Value::Null);
            format!("Service {name}: selector {selector}")
        }
        Kind::ActiveStandby => {
            let (ready, reason, _) = super::objects::condition(&record.object, "Ready");
            let active = text(&record.object, "/status/active/pod");
            format!("status {name}: active {active}, Ready {ready} {reason}")
        }
        Kind::Event => {
            format!("event {}: {}", text(&record.object, "/reason"), text(&record.object, "/note"))
        }
        _ => format!("{} {name}", record.kind.name()),
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
