//! What happens in the world, in the words of the judge of the invariants.

use hotstandby_core::action::{MarkedWrite, MarksWrite, SeatWrite};
use hotstandby_core::ids::{Term, Uid};
use hotstandby_core::view::{Family, Mark, MemberView, SliceContent};
use hotstandby_invariants::{
    Author, Endpoint, Fact, Kind, Leads, PodRef, Stamp, StoredPod, StoredRoute, StoredSeat, StoredSlice,
    TermUse,
};

/// A seat as a decision writes it.
pub(super) fn decided_seat<'a>(seat: &'a Uid, write: &'a SeatWrite, term_use: TermUse) -> Fact<'a> {
    Fact::Seat(StoredSeat {
        seat: seat.as_str(),
        record: "the seat",
        term: Some(write.term.0.into()),
        holder: Some(write.holder.uid.as_str()),
        term_use,
        author: Author::Hotstandby,
    })
}

/// The Lease of others as they wrote it, and the pod that truly holds it.
pub(super) fn followed_seat<'a>(seat: &'a Uid, term: Option<Term>, holder: Option<&'a Uid>) -> Fact<'a> {
    Fact::Seat(StoredSeat {
        seat: seat.as_str(),
        record: "the Lease of others",
        term: term.map(|term| term.0.into()),
        holder: holder.map(Uid::as_str),
        term_use: TermUse::Kept,
        author: Author::Owner,
    })
}

/// The id of our only slice of a Service and family.
pub(super) fn slice_id(service: &str, family: Family) -> String {
    format!("{service}/{}", family.suffix())
}

/// A slice of ours.
pub(super) fn slice<'a>(
    id: &'a str,
    service: &'a str,
    family: Family,
    content: &'a SliceContent,
) -> Fact<'a> {
    let endpoint = content.endpoint.as_ref().map(|endpoint| Endpoint {
        pod: PodRef { id: endpoint.uid.as_str(), name: &endpoint.pod },
        address: endpoint.ip.to_string().into(),
        ready: true,
    });
    Fact::Slice(StoredSlice {
        id,
        name: id,
        service,
        family: family.suffix(),
        stamp: Some(Stamp { seat: content.seat_uid.as_str(), term: content.term.0.into() }),
        endpoints: endpoint.into_iter().collect(),
        author: Author::Hotstandby,
    })
}

/// A pod as it is. One that has finished has no address any more.
pub(super) fn pod(pod: &MemberView) -> Fact<'_> {
    let ips = if pod.owns_address() { pod.ips.as_slice() } else { &[] };
    Fact::Pod(StoredPod {
        id: pod.uid.as_str(),
        name: &pod.name,
        addresses: ips.iter().map(|ip| ip.to_string().into()).collect(),
        counts: true,
        labels: Vec::new(),
        stamp: None,
        author: Author::Owner,
    })
}

/// A pod or a Service that leads traffic.
pub(super) fn route<'a>(
    (kind, object, name): (Kind, &'a str, &'a str),
    leads_to: Leads<'a>,
    stamp: Option<Stamp<'a>>,
) -> Fact<'a> {
    Fact::Route(StoredRoute { kind, object, name, leads_to, stamp })
}

/// The seat and the term that a write's marks name.
pub(super) fn stamp_of(write: &MarkedWrite) -> Option<Stamp<'_>> {
    let MarksWrite::Set(marks) = &write.marks else { return None };
    let seat = marks.seat.as_ref()?;
    Some(Stamp { seat: seat.uid.as_str(), term: seat.term.0.into() })
}

/// The seat and the term that marks name which stand.
pub(super) fn stamp_that_stands(mark: Option<&Mark>) -> Option<Stamp<'_>> {
    let (seat, term) = mark?.stamp.as_ref()?;
    Some(Stamp { seat: seat.as_str(), term: term.0.into() })
}
