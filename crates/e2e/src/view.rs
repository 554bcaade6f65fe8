//! Seat, slice and group as the tests read them. The names are written out here and not taken from the code
//! under test: they are contracts, and a change of one shall fail.

use serde_json::Value;

use super::objects::{annotation, items, label, name_of, text, uid_of, version_of};

const SEAT_UID: &str = "hotstandby.dev/seat-uid";
const TERM: &str = "hotstandby.dev/term";
const REASON: &str = "hotstandby.dev/reason";
const HOLDER_UID: &str = "hotstandby.dev/holder-uid";
const SERVICE_NAME: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";

/// A group's seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// UID of the Lease.
    pub uid: String,
    /// resourceVersion.
    pub version: u64,
    /// `spec.holderIdentity`.
    pub holder: String,
    /// UID of the holder, as marked.
    pub holder_uid: String,
    /// `spec.leaseTransitions`.
    pub term: i64,
    /// Why the holder is active.
    pub reason: String,
}

impl Seat {
    /// The name of a group's seat.
    pub fn name(namespace: &str, group: &str) -> String {
        format!("cr.{namespace}.{group}")
    }

    /// Reads a Lease.
    pub fn of(lease: &Value) -> Self {
        Self {
            uid: uid_of(lease).to_owned(),
            version: version_of(lease),
            holder: text(lease, "/spec/holderIdentity").to_owned(),
            holder_uid: annotation(lease, HOLDER_UID).unwrap_or_default().to_owned(),
            term: lease.pointer("/spec/leaseTransitions").and_then(Value::as_i64).unwrap_or_default(),
            reason: annotation(lease, REASON).unwrap_or_default().to_owned(),
        }
    }
}

/// One address of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub ip: String,
    /// The pod it names.
    pub pod: String,
    /// That pod's UID.
    pub uid: String,
}

/// Any slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// resourceVersion.
    pub version: u64,
    /// The Service it feeds; empty for none.
    pub service: String,
    /// IPv4 or IPv6.
    pub family: String,
    /// All addresses of all endpoints.
    pub endpoints: Vec<Endpoint>,
    /// The seat it follows: UID and term.
    pub stamp: Option<(String, i64)>,
    /// Port names and numbers.
    pub ports: Vec<(String, i64)>,
    /// Whether hotstandby is named as its manager.
    pub ours: bool,
}

impl Slice {
    /// Reads an EndpointSlice.
    pub fn of(slice: &Value) -> Self {
        let stamp = annotation(slice, SEAT_UID)
            .zip(annotation(slice, TERM).and_then(|term| term.parse().ok()))
            .map(|(uid, term)| (uid.to_owned(), term));
        let endpoints = items(slice, "/endpoints")
            .iter()
            .flat_map(|endpoint| items(endpoint, "/addresses").iter().map(move |ip| (endpoint, ip)))
            .map(|(endpoint, ip)| Endpoint {
                ip: ip.as_str().unwrap_or_default().to_owned(),
                pod: text(endpoint, "/targetRef/name").to_owned(),
                uid: text(endpoint, "/targetRef/uid").to_owned(),
            })
            .collect();
        let ports = items(slice, "/ports")
            .iter()
            .map(|port| {
                (text(port, "/name").to_owned(), port.get("port").and_then(Value::as_i64).unwrap_or_default())
            })
            .collect();
        Self {
            name: name_of(slice).to_owned(),
            uid: uid_of(slice).to_owned(),
            version: version_of(slice),
            service: label(slice, SERVICE_NAME).unwrap_or_default().to_owned(),
            family: text(slice, "/addressType").to_owned(),
            endpoints,
            stamp,
            ports,
            ours: label(slice, MANAGED_BY) == Some("hotstandby.dev"),
        }
    }
}

/// One entry of `status.history`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The term that began.
    pub term: i64,
    /// Who was active before.
    pub from: String,
    /// Who is since.
    pub to: String,
    /// Why.
    pub reason: String,
    /// Microseconds of detect, decide, seat and traffic, where the writer told.
    pub stages: Option<[i64; 4]>,
}

/// The history in a group's status, newest first.
pub fn history(group: &Value) -> Vec<Change> {
    items(group, "/status/history")
        .iter()
        .map(|entry| {
            let micros =
                |stage: &str| entry.pointer(&format!("/stages/{stage}Micros")).and_then(Value::as_i64);
            let stages = entry.get("stages").map(|_| {
                ["detect", "decide", "seat", "traffic"].map(|stage| micros(stage).unwrap_or_default())
            });
            Change {
                term: entry.get("term").and_then(Value::as_i64).unwrap_or_default(),
                from: text(entry, "/from").to_owned(),
                to: text(entry, "/to").to_owned(),
                reason: text(entry, "/reason").to_owned(),
                stages,
            }
        })
        .collect()
}
