//! Tells the judge of the invariants what the watches saw. The names are written out here and not taken from the code under test: they
//! are contracts, and a change of one shall fail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hotstandby_invariants::{
    self as invariants, Author, Endpoint, Fact, History, Label, Lag, PodRef, Stamp, StoredPod, StoredSeat,
    StoredService, StoredSlice, Term, TermUse, Tolerance,
};
use serde_json::Value;

use super::judge::{Excused, Record, Violation};
use super::led::is_living;
use super::objects::{Kind, annotation, items, label, name_of, text, uid_of};

/// A pod may be gone for as long as this when a slice naming it is stored: the writer had checked it before.
const ON_ITS_WAY: Duration = Duration::from_millis(500);

const SEAT_UID: &str = "hotstandby.dev/seat-uid";
const TERM: &str = "hotstandby.dev/term";
const HOLDER_UID: &str = "hotstandby.dev/holder-uid";
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// What a judge is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// All seats and slices, but for those that the test says it made.
    SeatsAndSlices,
    /// Only the rules that a test asked for. Seats are believed, and slices belong to the endpoint controller, which has rules of its own.
    RulesAsked,
}

/// The judge of one test, and the objects that it was told of.
pub struct Feeder<'a> {
    history: History,
    excused: &'a Excused,
    judged: Judged,
    begun: Option<Instant>,
    objects: BTreeMap<String, Arc<Value>>,
}

impl<'a> Feeder<'a> {
    /// A judge that was told nothing yet.
    pub fn new(records: &[Record], excused: &'a Excused, judged: Judged) -> Self {
        let tolerance = Tolerance { gone: Lag::UpTo(ON_ITS_WAY), lost_address: Lag::Unlimited };
        Self {
            history: History::new("hotstandby.dev/controller", tolerance),
            excused,
            judged,
            begun: records.iter().map(|record| record.seen).min(),
            objects: BTreeMap::new(),
        }
    }

    /// The judge itself, to ask rules of it.
    pub const fn history(&mut self) -> &mut History {
        &mut self.history
    }

    /// Tells of one record, and answers with what is wrong.
    pub fn tell(&mut self, record: &Record) -> Vec<Violation> {
        let Some(fact) = self.fact_of(record) else { return Vec::new() };
        let begun = self.begun.unwrap_or(record.seen);
        let found = self.history.record(record.seen.saturating_duration_since(begun), &fact);
        self.objects.insert(uid_of(&record.object).to_owned(), record.object.clone());
        self.explain(found, record.version)
    }

    /// Says where violations were seen, and shows the objects.
    pub fn explain(&self, found: Vec<invariants::Violation>, version: u64) -> Vec<Violation> {
        let explain = |violation: invariants::Violation| Violation {
            what: format!("{violation} at resourceVersion {version}"),
            objects: violation.objects.iter().filter_map(|id| self.objects.get(id).cloned()).collect(),
        };
        found.into_iter().map(explain).collect()
    }

    fn fact_of<'o>(&self, record: &'o Record) -> Option<Fact<'o>> {
        let object = &*record.object;
        let author = self.author(record.version, Author::Hotstandby);
        match (record.kind, record.deleted) {
            (Kind::Pod, true) => Some(gone(invariants::Kind::Pod, object)),
            (Kind::Pod, false) => Some(pod(object, author)),
            (Kind::Service, true) => Some(gone(invariants::Kind::Service, object)),
            (Kind::Service, false) => Some(service(object, author)),
            (Kind::EndpointSlice, _) if self.is_left_out(object) => None,
            (Kind::EndpointSlice, true) => Some(gone(invariants::Kind::EndpointSlice, object)),
            (Kind::EndpointSlice, false) => Some(slice(object, self.author(record.version, self.writer()))),
            (Kind::Lease, false) => Some(seat(object, self.author(record.version, self.writer()))),
            _ => None,
        }
    }

    /// Who counts as the writer of seats and slices.
    const fn writer(&self) -> Author {
        match self.judged {
            Judged::SeatsAndSlices => Author::Hotstandby,
            Judged::RulesAsked => Author::Owner,
        }
    }

    /// Whose write this is: the test's own if it said so, and otherwise this author's.
    fn author(&self, version: u64, otherwise: Author) -> Author {
        if self.excused.versions.contains(&version) { Author::Stranger } else { otherwise }
    }

    /// Whether a slice is none of hotstandby's and was said to be so.
    fn is_left_out(&self, slice: &Value) -> bool {
        let service = label(slice, SERVICE_NAME).unwrap_or_default();
        self.judged == Judged::SeatsAndSlices
            && (self.excused.slices.contains(uid_of(slice)) || self.excused.services.contains(service))
    }
}

/// All records in the order of their resourceVersions; pods before what names them, where two things share a version (both listed at
/// the start).
pub fn in_order(records: &[Record]) -> Vec<&Record> {
    let mut records: Vec<&Record> = records.iter().collect();
    records.sort_by_key(|record| (record.version, record.kind != Kind::Pod));
    records
}

fn gone(kind: invariants::Kind, object: &Value) -> Fact<'_> {
    Fact::Gone { kind, id: uid_of(object) }
}

fn pod(pod: &Value, author: Author) -> Fact<'_> {
    Fact::Pod(StoredPod {
        id: uid_of(pod),
        name: name_of(pod),
        addresses: items(pod, "/status/podIPs").iter().map(|ip| text(ip, "/ip").into()).collect(),
        counts: is_living(pod),
        labels: labels(pod, "/metadata/labels"),
        stamp: stamp(pod),
        author,
    })
}

fn service(service: &Value, author: Author) -> Fact<'_> {
    Fact::Service(StoredService {
        id: uid_of(service),
        name: name_of(service),
        selector: labels(service, "/spec/selector"),
        stamp: stamp(service),
        author,
    })
}

fn slice(slice: &Value, author: Author) -> Fact<'_> {
    Fact::Slice(StoredSlice {
        id: uid_of(slice),
        name: name_of(slice),
        service: label(slice, SERVICE_NAME).unwrap_or_default(),
        family: text(slice, "/addressType"),
        stamp: stamp(slice),
        endpoints: items(slice, "/endpoints").iter().flat_map(endpoints).collect(),
        author,
    })
}

fn seat(seat: &Value, author: Author) -> Fact<'_> {
    // A gatekeeper that releases its Lease takes its marks along: nobody holds it then.
    let is_held = !text(seat, "/spec/holderIdentity").is_empty();
    let term = seat.pointer("/spec/leaseTransitions").and_then(Value::as_i64).unwrap_or_default();
    Fact::Seat(StoredSeat {
        seat: uid_of(seat),
        record: name_of(seat),
        term: Some(term.into()),
        holder: is_held.then(|| annotation(seat, HOLDER_UID).unwrap_or_default()),
        term_use: if author == Author::Owner { TermUse::Shared } else { TermUse::Kept },
        author,
    })
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

/// The seat and the term that an object says it follows.
fn stamp(object: &Value) -> Option<Stamp<'_>> {
    let term: Term = annotation(object, TERM)?.parse().ok()?;
    Some(Stamp { seat: annotation(object, SEAT_UID)?, term })
}

fn labels<'a>(object: &'a Value, pointer: &str) -> Vec<Label<'a>> {
    let Some(pairs) = object.pointer(pointer).and_then(Value::as_object) else { return Vec::new() };
    pairs.iter().map(|(key, value)| (&**key, value.as_str().unwrap_or_default())).collect()
}
