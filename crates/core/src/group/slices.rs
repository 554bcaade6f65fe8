//! Traffic follows the seat: one write per slice that is not as it should be, none where all are.

use super::decide::Decision;
use super::pace::Slot;
use super::{Group, change, follow, notices};
use crate::action::{Action, Precondition, Ticket};
use crate::ids::{Term, Uid};
use crate::observation::WriteError;
use crate::reason::Reason;
use crate::seat::SeatMarks;
use crate::spec::{DeletionPolicy, GroupSpec, WhenNoCandidate};
use crate::traffic::{Led, desired, led};
use crate::view::{Family, MemberView, ServiceFound, SliceContent, SliceView, UsableService};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a slice keeps a holder that is gone while its successor is being seated.
const FILL_BOUND: Duration = Duration::from_secs(2);

type Key = (Arc<str>, Family);

/// The slices' writes under way and lately done.
#[derive(Debug, Default)]
pub(super) struct Writes {
    slots: BTreeMap<Key, Slot>,
    holder_gone_since: Option<Duration>,
    /// The term of the seat that this replica wrote last: its slices are this replica's to write, lead or not.
    own_term: Option<Term>,
}

impl Writes {
    pub(super) fn note_own_seat(&mut self, term: Term) {
        self.own_term = Some(term);
    }

    /// Whether this replica wrote the seat at this term.
    pub(super) fn wrote(&self, term: Term) -> bool {
        self.own_term == Some(term)
    }
}

/// Whom users shall reach.
pub(super) enum Served {
    /// It is being found out: leave all as it is.
    Untouched,
    /// Nobody, and no seat says so that could be pointed to.
    Emptied,
    /// The seat says nothing that could be followed: leave all as it is, but name no dead pod.
    Frozen,
    /// Nobody.
    Nobody,
    /// The holder.
    Holder(Box<MemberView>),
}

pub(super) fn project(
    group: &mut Group,
    spec: &GroupSpec,
    now: Duration,
    served: &Served,
    actions: &mut Vec<Action>,
) {
    let Some(services) = group.services.clone() else { return };
    group.slices.slots.retain(|(name, _), _| services.iter().any(|service| service.name == *name));
    for service in &services {
        let Some(usable) = service.found.usable().filter(|_| led(spec, service) == Led::Slices) else {
            continue;
        };
        for family in families(usable) {
            let slice = usable.own.get(&family);
            let Some(content) = wanted(group, spec, usable, family, slice, served) else { continue };
            if slice.is_some_and(|slice| slice.content.as_ref() == Some(&content)) {
                let slot = group.slices.slots.get_mut(&(service.name.clone(), family));
                if let Some(until) = slot.and_then(|slot| slot.settle(now)) {
                    group.wake_at(until);
                }
                continue;
            }
            if may_write(group, now, &service.name, family, slice, &content) {
                let ticket = group.ticket();
                group.slices.slots.entry((service.name.clone(), family)).or_default().begin(now, ticket);
                actions.push(Action::WriteSlice {
                    ticket,
                    service: service.name.clone(),
                    service_uid: usable.uid.clone(),
                    family,
                    precondition: slice.map_or(Precondition::Absent, |slice| Precondition::Unchanged {
                        uid: slice.uid.clone(),
                        rv: slice.rv.clone(),
                    }),
                    content,
                });
            }
        }
    }
}

fn families(service: &UsableService) -> impl Iterator<Item = Family> + '_ {
    Family::PROJECTED.into_iter().filter(|family| service.families.contains(family))
}

/// Whom users shall reach now.
pub(super) fn served(group: &mut Group, spec: &GroupSpec, now: Duration, decision: &Decision) -> Served {
    match spec.followed() {
        // The old active has not said that it is no more: all stays as it is.
        None if !notices::awaited(group, spec).is_empty() => Served::Untouched,
        Some(others) => follow::served(group, spec, others, now),
        None => served_by_seat(group, spec, now, decision),
    }
}

fn served_by_seat(group: &mut Group, spec: &GroupSpec, now: Duration, decision: &Decision) -> Served {
    if group.seat_in_doubt() {
        return Served::Frozen;
    }
    let Some(uid) = group.holder_uid().cloned() else { return Served::Frozen };
    let living = group.member(&uid).filter(|member| member.owns_address()).cloned();
    if let Some(member) = living {
        group.slices.holder_gone_since = None;
        return if clears(spec, decision) { Served::Nobody } else { Served::Holder(Box::new(member)) };
    }
    let gone_since = *group.slices.holder_gone_since.get_or_insert(now);
    // Never clear what is about to be filled: kube-proxy would take a second for the next change. Nor a pod that may
    // only be too new to have been seen.
    if (change::is_under_way(group) || group.holder_is_unknown()) && now < gone_since + FILL_BOUND {
        group.wake_at(gone_since + FILL_BOUND);
        return Served::Frozen;
    }
    Served::Nobody
}

/// Whether a holder that looks bad is taken out of traffic. Where all time out it may be our own network that failed:
/// nobody's traffic is taken away for that.
pub(super) fn clears(spec: &GroupSpec, decision: &Decision) -> bool {
    let sure = matches!(decision, Decision::Hold(reason) if *reason != Reason::ProbeTimedOut);
    spec.when_no_candidate == WhenNoCandidate::Clear && sure
}

/// What the slice should hold; `None`: it stays as it is.
fn wanted(
    group: &Group,
    spec: &GroupSpec,
    service: &UsableService,
    family: Family,
    slice: Option<&SliceView>,
    served: &Served,
) -> Option<SliceContent> {
    let orphan = spec.deletion_policy == DeletionPolicy::Orphan;
    let seat = group.valid_seat().map(|(record, marks)| (record.uid.clone(), marks.clone()));
    match (served, seat) {
        (Served::Untouched, _) => None,
        (Served::Emptied, _) => emptied(slice),
        (Served::Holder(member), Some((uid, marks))) => {
            let content = desired(service, family, Some(member), &uid, &marks, orphan);
            Some(if spec.followed().is_some() { as_old(content, slice) } else { content })
        }
        (Served::Nobody, Some((uid, marks))) => Some(nobody(service, family, slice, &uid, &marks, orphan)),
        _ if change::is_under_way(group) || group.seat_in_doubt() || group.holder_is_unknown() => None,
        _ => without_the_dead(group, slice),
    }
}

/// Some programs write another time of acquisition with each renewal, and replicas may have seen different ones: what a slice
/// says of the same holder's beginning stays.
fn as_old(content: SliceContent, slice: Option<&SliceView>) -> SliceContent {
    let had = slice.and_then(|slice| slice.content.as_ref()).filter(|had| {
        let same_pod =
            had.endpoint.as_ref().map(|end| &end.uid) == content.endpoint.as_ref().map(|end| &end.uid);
        same_pod && had.seat_uid == content.seat_uid && had.term == content.term
    });
    SliceContent { since_ms: had.map_or(content.since_ms, |had| had.since_ms), ..content }
}

/// The slice without its endpoint.
fn emptied(slice: Option<&SliceView>) -> Option<SliceContent> {
    let content = slice?.content.as_ref()?;
    content.endpoint.as_ref()?;
    Some(SliceContent { endpoint: None, ports: Vec::new(), ..content.clone() })
}

fn nobody(
    service: &UsableService,
    family: Family,
    slice: Option<&SliceView>,
    seat_uid: &Uid,
    marks: &SeatMarks,
    orphan: bool,
) -> SliceContent {
    let empty = desired(service, family, None, seat_uid, marks, orphan);
    // An empty slice whose ports alone differ is as empty.
    match slice.and_then(|slice| slice.content.as_ref()) {
        Some(content) if content.endpoint.is_none() => SliceContent { ports: content.ports.clone(), ..empty },
        _ => empty,
    }
}

/// Nobody holds a seat that could be followed: the slice stays, unless its address may be a stranger's by now.
fn without_the_dead(group: &Group, slice: Option<&SliceView>) -> Option<SliceContent> {
    let content = slice?.content.as_ref()?;
    let endpoint = content.endpoint.as_ref()?;
    let lives = group
        .member(&endpoint.uid)
        .is_some_and(|member| member.owns_address() && member.ips.contains(&endpoint.ip));
    if lives { None } else { emptied(slice) }
}

/// Whether this slice may be written now: ours, not older than what it follows, no write under way, not contested.
fn may_write(
    group: &mut Group,
    now: Duration,
    service: &Arc<str>,
    family: Family,
    slice: Option<&SliceView>,
    content: &SliceContent,
) -> bool {
    if let Some(slice) = slice {
        if slice.controller.as_deref().is_some_and(|name| name != &*group.controller) {
            return false;
        }
        if !is_forward(group, slice, content) {
            return false;
        }
    }
    let at_once = group.lead || group.slices.wrote(content.term);
    let turn = group.slices.slots.entry((service.clone(), family)).or_default().turn(now, at_once);
    group.takes(turn)
}

/// An older term never overwrites a newer one, see [`Group::is_forward`].
fn is_forward(group: &mut Group, slice: &SliceView, content: &SliceContent) -> bool {
    let Some(stamp) = &slice.stamp else { return true };
    let holder = content.endpoint.as_ref().map(|endpoint| &endpoint.uid);
    let named =
        slice.content.as_ref().and_then(|content| content.endpoint.as_ref()).map(|endpoint| &endpoint.uid);
    let differs = named.is_some() && holder.is_some() && named != holder;
    group.is_forward(&slice.rv, stamp, differs, &content.seat_uid, content.term)
}

pub(super) fn note_written(
    group: &mut Group,
    now: Duration,
    ticket: Ticket,
    service: &Arc<str>,
    family: Family,
    outcome: Result<SliceView, WriteError>,
) {
    let Some(slot) = group.slices.slots.get_mut(&(service.clone(), family)) else { return };
    if !slot.finish(now, ticket, outcome.as_ref().err()) {
        return;
    }
    if let Ok(view) = outcome {
        group.seat.settled.clear();
        note_read(group, service, family, Some(view));
    }
}

/// A slice was read live or returned by its own write.
pub(super) fn note_read(group: &mut Group, service: &Arc<str>, family: Family, slice: Option<SliceView>) {
    let found =
        group.services.iter_mut().flatten().find(|view| view.name == *service).map(|view| &mut view.found);
    let Some(ServiceFound::Usable(usable)) = found else { return };
    match slice {
        Some(slice) => {
            let newer = usable.own.get(&family).is_none_or(|had| !slice.rv.is_older_than(&had.rv));
            if newer {
                usable.own.insert(family, slice);
            }
        }
        None => {
            usable.own.remove(&family);
        }
    }
}

/// Why traffic is not as it should be, worst first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Another install's mark.
    ManagedByOther(String),
    /// The server refuses our writes.
    Refused(String),
    /// Somebody keeps undoing them.
    Contested(&'static str, String),
    /// The server refuses writes that need a right of their own.
    NotGranted(String),
}

/// What hinders the slices, if anything.
pub(super) fn trouble(group: &Group) -> Option<Trouble> {
    let other = group.own_slices().find_map(|slice| {
        let name = slice.controller.as_deref().filter(|name| *name != &*group.controller)?;
        Some(Trouble::ManagedByOther(format!("EndpointSlice {} is managed by {name}", slice.name)))
    });
    other.or_else(|| {
        group.slices.slots.iter().find_map(|((service, _), slot)| {
            if let Some(why) = slot.refused() {
                return Some(Trouble::Refused(format!(
                    "the slice of Service {service} cannot be written: {why}"
                )));
            }
            slot.is_contested().then(|| {
                Trouble::Contested(
                    "SliceContested",
                    format!("somebody keeps changing the slice of Service {service}"),
                )
            })
        })
    })
}

/// Whether every slice of every usable Service follows the seat: it names this holder at this term, or nobody.
pub(super) fn all_in_place(group: &Group, seat_uid: &Uid, marks: &SeatMarks) -> bool {
    group.usable_services().all(|usable| {
        families(usable).all(|family| {
            let content = usable.own.get(&family).and_then(|slice| slice.content.as_ref());
            content.is_some_and(|content| {
                let named = content.endpoint.as_ref().map(|endpoint| &endpoint.uid);
                let same_holder = named.is_none_or(|named| *named == marks.holder_uid);
                content.seat_uid == *seat_uid && content.term == marks.term && same_holder
            })
        })
    })
}

/// Whether some usable Service leads to this member now.
pub(super) fn serves(group: &Group, uid: &Uid) -> bool {
    group.own_slices().any(|slice| {
        let endpoint = slice.content.as_ref().and_then(|content| content.endpoint.as_ref());
        endpoint.is_some_and(|endpoint| endpoint.uid == *uid)
    })
}
