//! Tells the judge of the invariants what the server stored.

use hotstandby_invariants::{
    Author, Endpoint, Fact, History, Kind, Lag, PodRef, Stamp, StoredPod, StoredSeat, StoredSlice, Term,
    TermUse, Tolerance,
};
use serde_json::Value;
use std::time::{Duration, Instant};

/// A pod may be gone for so long when a slice that names it is stored: its writer had checked it just before.
const GONE: Lag = Lag::UpTo(Duration::from_millis(500));

// In a JSON pointer `~1` is a slash.
const SEAT_UID: &str = "/metadata/annotations/hotstandby.dev~1seat-uid";
const TERM: &str = "/metadata/annotations/hotstandby.dev~1term";
const HOLDER_UID: &str = "/metadata/annotations/hotstandby.dev~1holder-uid";
const SERVICE_NAME: &str = "/metadata/labels/kubernetes.io~1service-name";

/// The judge, and the moment that its times count from.
#[derive(Debug)]
pub(crate) struct Judge {
    history: History,
    begun: Instant,
}

impl Judge {
    pub(crate) fn new() -> Self {
        let tolerance = Tolerance { gone: GONE, lost_address: Lag::Unlimited };
        Self { history: History::new("hotstandby.dev/controller", tolerance), begun: Instant::now() }
    }

    fn tell(&mut self, at: Instant, fact: &Fact<'_>) -> Vec<String> {
        let moment = at.saturating_duration_since(self.begun);
        self.history.record(moment, fact).into_iter().map(String::from).collect()
    }

    /// Tells of a watch event of a pod; answers with what is wrong.
    pub(crate) fn tell_pod(&mut self, event: &Value, at: Instant) -> Vec<String> {
        let pod = object(event);
        let id = text(pod, "/metadata/uid");
        if is_deletion(event) {
            return self.tell(at, &Fact::Gone { kind: Kind::Pod, id });
        }
        let addresses = items(pod, "/status/podIPs").iter().map(|ip| text(ip, "/ip").into()).collect();
        self.tell(
            at,
            &Fact::Pod(StoredPod {
                id,
                name: text(pod, "/metadata/name"),
                addresses,
                counts: pod.pointer("/metadata/deletionTimestamp").is_none(),
                labels: Vec::new(),
                stamp: None,
                author: Author::Owner,
            }),
        )
    }

    /// Tells of a watch event of a seat; answers with what is wrong.
    pub(crate) fn tell_seat(&mut self, event: &Value, at: Instant) -> Vec<String> {
        let seat = object(event);
        let term = seat.pointer("/spec/leaseTransitions").and_then(Value::as_i64);
        let Some(term) = term.filter(|_| !is_deletion(event)) else { return Vec::new() };
        let is_held = !text(seat, "/spec/holderIdentity").is_empty();
        self.tell(
            at,
            &Fact::Seat(StoredSeat {
                seat: text(seat, "/metadata/uid"),
                record: text(seat, "/metadata/name"),
                term: Some(term.into()),
                holder: is_held.then(|| text(seat, HOLDER_UID)),
                term_use: TermUse::Kept,
                author: Author::Hotstandby,
            }),
        )
    }

    /// Tells of a watch event of a slice; answers with what is wrong.
    pub(crate) fn tell_slice(&mut self, event: &Value, at: Instant) -> Vec<String> {
        let slice = object(event);
        let id = text(slice, "/metadata/uid");
        if is_deletion(event) {
            return self.tell(at, &Fact::Gone { kind: Kind::EndpointSlice, id });
        }
        self.tell(
            at,
            &Fact::Slice(StoredSlice {
                id,
                name: text(slice, "/metadata/name"),
                service: text(slice, SERVICE_NAME),
                family: text(slice, "/addressType"),
                stamp: stamp(slice),
                endpoints: items(slice, "/endpoints").iter().flat_map(endpoints).collect(),
                author: Author::Hotstandby,
            }),
        )
    }
}

/// The seat and the term that an object says it follows.
fn stamp(object: &Value) -> Option<Stamp<'_>> {
    let term: Term = text(object, TERM).parse().ok()?;
    Some(Stamp { seat: object.pointer(SEAT_UID)?.as_str()?, term })
}

/// One endpoint for each address.
fn endpoints(endpoint: &Value) -> impl Iterator<Item = Endpoint<'_>> {
    let pod = PodRef { id: text(endpoint, "/targetRef/uid"), name: text(endpoint, "/targetRef/name") };
    let ready = endpoint.pointer("/conditions/ready") != Some(&Value::Bool(false));
    items(endpoint, "/addresses").iter().map(move |address| {
        let address = address.as_str().unwrap_or_default().into();
        Endpoint { pod, address, ready }
    })
}

fn is_deletion(event: &Value) -> bool {
    text(event, "/type") == "DELETED"
}

fn object(event: &Value) -> &Value {
    event.pointer("/object").unwrap_or(&Value::Null)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
