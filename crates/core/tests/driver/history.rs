//! What was truly stored, told to the judge of the invariants as facts; and the checkers that only the driver has: the brake, one
//! fact at most one change.

use super::marked::ROLE;
use super::world::{CONTROLLER, sealed_term};
use hotstandby_core::action::{MarkedWrite, MarksWrite};
use hotstandby_core::ids::{Rv, Term, Uid};
use hotstandby_core::labels::MEMBER_LABEL;
use hotstandby_core::reason::Reason;
use hotstandby_core::seat::SeatRecord;
use hotstandby_core::view::{MemberView, SliceContent};
use hotstandby_invariants::{
    Author, Endpoint, Fact, Invariant, Kind, Leads, Owner, PodRef, Stamp, StoredPod, StoredRoute, StoredSeat,
    StoredSlice, TermUse, Tolerance,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// More changes of hands by one replica within this time are a fault of the brake.
const BRAKE: (usize, Duration) = (3, Duration::from_secs(10));
/// A replica may name what is gone for as long as it was not told: how old its knowledge is, `check.rs` judges. So no fact has a time.
const UNTIMED: Duration = Duration::ZERO;

/// A fact that was acted on: the holder's UID, the reason, and what tells this fact from the next.
pub(super) type FactKey = (Uid, Reason, String);

/// All that genuine writes ever stored.
#[derive(Debug)]
pub(super) struct History {
    judge: hotstandby_invariants::History,
    records: BTreeMap<Rv, SeatRecord>,
    holder: Option<Uid>,
    changes: Vec<(Duration, usize)>,
    used: BTreeSet<(usize, FactKey)>,
    pub(super) wrong: Vec<String>,
}

impl Default for History {
    fn default() -> Self {
        Self {
            judge: hotstandby_invariants::History::new(CONTROLLER, Tolerance::UNLIMITED),
            records: BTreeMap::new(),
            holder: None,
            changes: Vec::new(),
            used: BTreeSet::new(),
            wrong: Vec::new(),
        }
    }
}

impl History {
    /// A record that stands, whoever wrote it.
    pub(super) fn note_seat_record(&mut self, record: &SeatRecord) {
        self.records.insert(record.rv.clone(), record.clone());
    }

    pub(super) fn record(&self, rv: &Rv) -> Option<&SeatRecord> {
        self.records.get(rv)
    }

    fn tell(&mut self, fact: &Fact<'_>) {
        let found = self.judge.record(UNTIMED, fact);
        self.wrong.extend(found.into_iter().map(String::from));
    }

    /// What is wrong with a fact that is only asked for.
    pub(super) fn judge(&self, fact: &Fact<'_>) -> Vec<String> {
        self.judge.judge(UNTIMED, fact).into_iter().map(String::from).collect()
    }

    /// What is wrong with asking for a write to an object that this installation marked, if one did.
    pub(super) fn judge_owner(&self, object: &str, install: Option<&str>) -> Vec<String> {
        let owner = install.map_or(Owner::Nobody, Owner::Install);
        self.judge(&Fact::WriteAsked { object, owner })
    }

    /// Whether this pod held this seat at this term.
    pub(super) fn did_hold(&self, seat: &Uid, term: Term, pod: &Uid) -> bool {
        self.judge.was_held(seat.as_str(), term.0.into(), pod.as_str())
    }

    /// Others wrote their Lease, and this pod holds it.
    pub(super) fn elected(&mut self, seat: &Uid, term: Option<Term>, pod: &Uid) {
        self.tell(&Fact::Seat(StoredSeat {
            seat: seat.as_str(),
            record: "the Lease of others",
            term: term.map(|term| term.0.into()),
            holder: Some(pod.as_str()),
            term_use: TermUse::Shared,
            author: Author::Owner,
        }));
    }

    pub(super) fn is_blurred(&self, seat: &Uid) -> bool {
        self.judge.is_blurred(seat.as_str())
    }

    /// A stranger changed the seat. Where its mark is gone and its term is another one, nobody can know what the term was.
    pub(super) fn seat_touched(&mut self, record: &SeatRecord) {
        let term = record.term.map(|term| term.0.into());
        if record.marks.is_none() && term != self.judge.newest_term(record.uid.as_str()) {
            self.tell(&Fact::SeatBlurred { seat: record.uid.as_str() });
        }
    }

    /// One of us wrote the seat, and it was stored.
    pub(super) fn seat_applied(&mut self, now: Duration, who: usize, record: &SeatRecord) {
        let (Some(marks), Some(term)) = (record.sealed(), sealed_term(record)) else {
            self.wrong.push(Invariant::TermsGrow.broken("a seat of ours is not sealed"));
            return;
        };
        self.tell(&decided_seat(&record.uid, term, &marks.holder_uid));
        let before = self.holder.replace(marks.holder_uid.clone());
        if before.is_some_and(|before| before != marks.holder_uid) {
            let lately = |(at, other): &&(Duration, usize)| *other == who && *at + BRAKE.1 > now;
            if self.changes.iter().filter(lately).count() >= BRAKE.0 {
                self.wrong.push(format!("BRAKE: replica {who} changes the holder a fourth time in 10 s"));
            }
            self.changes.push((now, who));
        }
    }

    /// A change that used up a fact was stored.
    pub(super) fn fact_used(&mut self, who: usize, fact: &FactKey) {
        if !self.used.insert((who, fact.clone())) {
            self.wrong.push(format!("FACT: replica {who} acts on {fact:?} a second time"));
        }
    }

    /// A node came back: its next loss is another fact.
    pub(super) fn node_is_back(&mut self, pods: &[Uid]) {
        self.used.retain(|(_, (uid, reason, _))| !(is_of_node(*reason) && pods.contains(uid)));
    }

    /// One of us wrote a slice, and it was stored. Each Service has one slice of ours, which its name stands for.
    pub(super) fn slice_applied(&mut self, service: &Arc<str>, content: &SliceContent) {
        let endpoint = content.endpoint.as_ref().map(|endpoint| Endpoint {
            pod: PodRef { id: endpoint.uid.as_str(), name: &endpoint.pod },
            address: endpoint.ip.to_string().into(),
            ready: true,
        });
        self.tell(&Fact::Slice(StoredSlice {
            id: service,
            name: service,
            service,
            family: "IPv4",
            stamp: Some(Stamp { seat: content.seat_uid.as_str(), term: content.term.0.into() }),
            endpoints: endpoint.into_iter().collect(),
            author: Author::Hotstandby,
        }));
    }

    /// Somebody else changed a Service, or the stamp of its slice: what it carried is not known to anybody any more.
    pub(super) fn service_touched(&mut self, name: &str) {
        self.tell(&Fact::StampForgotten { object: name });
    }

    /// Somebody else changed a pod's labels or marks.
    pub(super) fn pod_touched(&mut self, uid: &Uid) {
        self.tell(&Fact::StampForgotten { object: uid.as_str() });
    }

    /// A pod as it stands. One that the selector no longer picks, and that no seat names, is nobody's member: the shell sweeps its
    /// label.
    pub(super) fn pod_stored(&mut self, pod: &MemberView) {
        self.tell(&Fact::Pod(StoredPod {
            id: pod.uid.as_str(),
            name: &pod.name,
            addresses: pod.ips.iter().map(|ip| ip.to_string().into()).collect(),
            counts: pod.selected,
            labels: Vec::new(),
            stamp: None,
            author: Author::Owner,
        }));
    }

    pub(super) fn pod_gone(&mut self, uid: &Uid) {
        self.tell(&Fact::Gone { kind: Kind::Pod, id: uid.as_str() });
    }

    /// One of us wrote a pod's labels, and it was stored.
    pub(super) fn pod_labelled(&mut self, pod: &MemberView, write: &MarkedWrite) {
        let itself = PodRef { id: pod.uid.as_str(), name: &pod.name };
        let leads_to = match write.changes.get(ROLE) {
            None => Leads::AsBefore,
            Some(Some(role)) if **role == *"active" => Leads::To(itself),
            Some(_) => Leads::Nowhere,
        };
        self.tell(&Fact::Route(StoredRoute {
            kind: Kind::Pod,
            object: pod.uid.as_str(),
            name: &pod.name,
            leads_to,
            stamp: stamp_of(write),
        }));
    }

    /// One of us wrote a Service's selector, and it was stored.
    pub(super) fn service_pointed(&mut self, name: &Arc<str>, write: &MarkedWrite) {
        let leads_to = match write.changes.get(MEMBER_LABEL) {
            None => Leads::AsBefore,
            Some(Some(uid)) => Leads::To(PodRef { id: uid, name: uid }),
            Some(None) => Leads::Nowhere,
        };
        self.tell(&Fact::Route(StoredRoute {
            kind: Kind::Service,
            object: name,
            name,
            leads_to,
            stamp: stamp_of(write),
        }));
    }
}

/// A seat as a decision of ours stores it: with a term of its own.
pub(super) fn decided_seat<'a>(seat: &'a Uid, term: Term, holder: &'a Uid) -> Fact<'a> {
    Fact::Seat(StoredSeat {
        seat: seat.as_str(),
        record: "the seat",
        term: Some(term.0.into()),
        holder: Some(holder.as_str()),
        term_use: TermUse::New,
        author: Author::Hotstandby,
    })
}

/// The seat and the term that a write's marks name.
fn stamp_of(write: &MarkedWrite) -> Option<Stamp<'_>> {
    let MarksWrite::Set(marks) = &write.marks else { return None };
    let seat = marks.seat.as_ref()?;
    Some(Stamp { seat: seat.uid.as_str(), term: seat.term.0.into() })
}

pub(super) const fn is_of_node(reason: Reason) -> bool {
    matches!(reason, Reason::NodeGone | Reason::NodeOutOfService | Reason::NodeNotReady)
}
