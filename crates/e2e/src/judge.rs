//! The invariants, judged over everything that was seen of a test's objects, in the order of their
//! resourceVersions. Pure.
//!
//! - I1: per Service and family, over all its slices, at most one endpoint; it names a member that existed,
//!   had that address, and held the seat at the slice's term.
//! - I3: within one seat UID the term never goes back and never has two holders; no slice goes back to an
//!   older term of the same seat.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::objects::{Kind, items, name_of, text, uid_of};
use super::view::{Seat, Slice};

/// A pod may be gone for as long as this when a slice naming it is stored: the writer had checked it before.
const ON_ITS_WAY: Duration = Duration::from_millis(500);

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

#[derive(Debug, Default)]
struct PodLife {
    addresses: BTreeSet<String>,
    gone: Option<Instant>,
}

#[derive(Debug)]
struct Tenure {
    term: i64,
    holder_uid: String,
}

struct Listed {
    slice: Slice,
    excused: bool,
    object: Arc<Value>,
}

#[derive(Default)]
struct Judge<'a> {
    excused: Option<&'a Excused>,
    pods: BTreeMap<String, PodLife>,
    tenures: BTreeMap<String, Vec<Tenure>>,
    slices: BTreeMap<String, Listed>,
    newest_stamps: BTreeMap<(String, String, String), i64>,
    found: Vec<Violation>,
}

/// Judges all records.
pub fn judge(records: &[Record], excused: &Excused) -> Vec<Violation> {
    let mut records: Vec<&Record> = records.iter().collect();
    // Pods before what names them, where two things share a version (both listed at the start).
    records.sort_by_key(|record| (record.version, record.kind != Kind::Pod));
    let mut judge = Judge { excused: Some(excused), ..Judge::default() };
    for record in records {
        match record.kind {
            Kind::Pod => judge.pod(record),
            Kind::Lease => judge.seat(record),
            Kind::EndpointSlice => judge.slice(record),
            _ => {}
        }
    }
    judge.found
}

impl Judge<'_> {
    fn is_excused(&self, version: u64) -> bool {
        self.excused.is_some_and(|excused| excused.versions.contains(&version))
    }

    fn report(&mut self, what: String, objects: Vec<Arc<Value>>) {
        self.found.push(Violation { what, objects });
    }

    fn pod(&mut self, record: &Record) {
        let life = self.pods.entry(uid_of(&record.object).to_owned()).or_default();
        let ips = items(&record.object, "/status/podIPs").iter().map(|ip| text(ip, "/ip").to_owned());
        life.addresses.extend(ips);
        if record.deleted {
            life.gone = Some(record.seen);
        }
    }

    fn seat(&mut self, record: &Record) {
        if record.deleted || self.is_excused(record.version) {
            return;
        }
        let seat = Seat::of(&record.object);
        // A gatekeeper that releases its Lease takes its marks along: nobody holds it then.
        let released = seat.holder.is_empty();
        let before = self.tenures.entry(seat.uid.clone()).or_default();
        let mut wrong = None;
        if let Some(last) = before.last() {
            if seat.term < last.term {
                wrong = Some(format!("I3: the seat's term went back from {} to {}", last.term, seat.term));
            } else if seat.term == last.term && seat.holder_uid != last.holder_uid && !released {
                wrong = Some(format!("I3: term {} of the seat has two holders", seat.term));
            }
        }
        if !released {
            before.push(Tenure { term: seat.term, holder_uid: seat.holder_uid });
        }
        if let Some(wrong) = wrong {
            self.report(wrong, vec![record.object.clone()]);
        }
    }

    fn slice(&mut self, record: &Record) {
        let slice = Slice::of(&record.object);
        if self.excused.is_some_and(|excused| {
            excused.slices.contains(&slice.uid) || excused.services.contains(&slice.service)
        }) {
            return;
        }
        if record.deleted {
            self.slices.remove(&slice.uid);
            return;
        }
        let excused = self.is_excused(record.version);
        if !excused {
            self.written(record, &slice);
        }
        let (service, family) = (slice.service.clone(), slice.family.clone());
        self.slices.insert(slice.uid.clone(), Listed { slice, excused, object: record.object.clone() });
        if !service.is_empty() {
            self.at_most_one(&service, &family, record.version);
        }
    }

    fn at_most_one(&mut self, service: &str, family: &str, version: u64) {
        let all = || {
            self.slices
                .values()
                .filter(|listed| listed.slice.service == service && listed.slice.family == family)
        };
        if all().any(|listed| listed.excused) {
            return;
        }
        let count: usize = all().map(|listed| listed.slice.endpoints.len()).sum();
        if count > 1 {
            let objects = all().map(|listed| listed.object.clone()).collect();
            self.report(
                format!("I1: Service {service} has {count} {family} endpoints at resourceVersion {version}"),
                objects,
            );
        }
    }

    /// A slice as somebody else than the test wrote it.
    fn written(&mut self, record: &Record, slice: &Slice) {
        if let Some((seat, term)) = &slice.stamp {
            let key = (slice.service.clone(), slice.family.clone(), seat.clone());
            let newest = self.newest_stamps.entry(key).or_insert(*term);
            let before = *newest;
            *newest = before.max(*term);
            if *term < before {
                let what = format!("I3: slice {} went back from term {before} to {term}", slice.name);
                self.report(what, vec![record.object.clone()]);
            }
        }
        for endpoint in &slice.endpoints {
            if let Some(wrong) = self.wrong_endpoint(record, slice, &endpoint.uid, &endpoint.ip) {
                let what =
                    format!("I1: slice {} names {} ({}), {wrong}", slice.name, endpoint.pod, endpoint.ip);
                self.report(what, vec![record.object.clone()]);
            }
        }
    }

    fn wrong_endpoint(&self, record: &Record, slice: &Slice, uid: &str, ip: &str) -> Option<String> {
        let Some(pod) = self.pods.get(uid) else { return Some("a pod that never was".to_owned()) };
        if !pod.addresses.contains(ip) {
            return Some("which never had that address".to_owned());
        }
        if let Some(gone) = pod.gone
            && record.seen.saturating_duration_since(gone) > ON_ITS_WAY
        {
            return Some(format!(
                "which had been gone for {:?}",
                record.seen.saturating_duration_since(gone)
            ));
        }
        let Some((seat, term)) = &slice.stamp else { return Some("without saying by which seat".to_owned()) };
        let Some(tenures) = self.tenures.get(seat) else {
            return Some(format!("by seat {seat}, that never was"));
        };
        let held = tenures.iter().any(|tenure| tenure.term == *term && tenure.holder_uid == uid);
        (!held).then(|| format!("which did not hold the seat at term {term}"))
    }
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
