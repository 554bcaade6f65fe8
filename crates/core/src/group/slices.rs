//! Traffic follows the seat: one write per slice that is not as it should be, none where all are.

use super::decide::Decision;
use super::{Group, change, follow, note};
use crate::action::{Action, Precondition, Ticket};
use crate::ids::{Term, Uid};
use crate::observation::WriteError;
use crate::reason::Reason;
use crate::seat::SeatMarks;
use crate::spec::{DeletionPolicy, GroupSpec, WhenNoCandidate};
use crate::traffic::desired;
use crate::view::{Family, MemberView, ServiceFound, SliceContent, SliceView, UsableService};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How long a slice keeps a holder that is gone while its successor is being seated.
const FILL_BOUND: Duration = Duration::from_secs(2);
/// Writes of one slice within [`CONTEST_WINDOW`] that mean somebody keeps undoing them.
const MOST_WRITES: usize = 8;
/// The window they are counted in; then one write a second.
const CONTEST_WINDOW: Duration = Duration::from_secs(10);

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
}

#[derive(Debug, Default)]
struct Slot {
    under_way: Option<Ticket>,
    failures: u32,
    retry_at: Duration,
    lately: VecDeque<Duration>,
    /// Since when it has not been as it should be.
    wrong_since: Option<Duration>,
    refused: Option<Arc<str>>,
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
    decision: &Decision,
    actions: &mut Vec<Action>,
) {
    let served = match spec.followed() {
        Some(others) => follow::served(group, spec, others, now),
        None => served(group, spec, now, decision),
    };
    let Some(services) = group.services.clone() else { return };
    group.slices.slots.retain(|(name, _), _| services.iter().any(|service| service.name == *name));
    for service in &services {
        let ServiceFound::Usable(usable) = &service.found else { continue };
        for family in families(usable) {
            let slice = usable.own.get(&family);
            let Some(content) = wanted(group, spec, usable, family, slice, &served) else { continue };
            if slice.is_some_and(|slice| slice.content.as_ref() == Some(&content)) {
                if let Some(until) = settle(group, now, &service.name, family) {
                    group.wake_at(until);
                }
                continue;
            }
            if may_write(group, now, &service.name, family, slice, &content) {
                let ticket = group.ticket();
                begin(group, now, (service.name.clone(), family), ticket);
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

/// The slice is as it should be: nothing is wrong with it any more. When it ceases to count as contested, if it does.
fn settle(group: &mut Group, now: Duration, service: &Arc<str>, family: Family) -> Option<Duration> {
    let slot = group.slices.slots.get_mut(&(service.clone(), family))?;
    slot.refused = None; // somebody could write it
    slot.wrong_since = None;
    slot.lately.retain(|at| *at + CONTEST_WINDOW > now);
    let excess = slot.lately.len().checked_sub(MOST_WRITES)?;
    slot.lately.get(excess).map(|at| *at + CONTEST_WINDOW)
}

fn families(service: &UsableService) -> impl Iterator<Item = Family> + '_ {
    Family::PROJECTED.into_iter().filter(|family| service.families.contains(family))
}

fn served(group: &mut Group, spec: &GroupSpec, now: Duration, decision: &Decision) -> Served {
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
    // The others leave the slices to the lead, or to the replica that moved the seat, for as long as the seat.
    let at_once = group.lead || group.slices.own_term == Some(content.term);
    let slot = group.slices.slots.entry((service.clone(), family)).or_default();
    let wrong_since = *slot.wrong_since.get_or_insert(now);
    if slot.under_way.is_some() {
        return false;
    }
    slot.lately.retain(|at| *at + CONTEST_WINDOW > now);
    let contested = slot.lately.len() >= MOST_WRITES;
    let since_last = slot.lately.back().map_or(now, |at| *at + Duration::from_secs(1));
    let head_start = if at_once { now } else { wrong_since + change::HEAD_START };
    let not_before = if contested { slot.retry_at.max(since_last) } else { slot.retry_at }.max(head_start);
    if now < not_before {
        group.wake_at(not_before);
        return false;
    }
    true
}

/// An older term never overwrites a newer one. A slice that claims to be newer than the seat, or to follow another
/// seat, puts what is known of the seat in doubt; once that was read live, the seat wins.
fn is_forward(group: &mut Group, slice: &SliceView, content: &SliceContent) -> bool {
    let Some((seat_uid, term)) = &slice.stamp else { return true };
    let behind = *seat_uid == content.seat_uid && *term > content.term;
    // Also where this seat was once read live: another may have been made since, and the watch lag behind.
    let other_seat = *seat_uid != content.seat_uid;
    let holder = content.endpoint.as_ref().map(|endpoint| &endpoint.uid);
    let contradicts = follow::contradicts(group, slice, content.term, holder);
    if !behind && !other_seat && !contradicts || note::slice_claim_settled(group, &slice.rv) {
        return true;
    }
    group.doubt_seat();
    group.seat.settled_slices.insert(slice.rv.clone());
    false
}

fn begin(group: &mut Group, now: Duration, key: Key, ticket: Ticket) {
    let slot = group.slices.slots.entry(key).or_default();
    slot.under_way = Some(ticket);
    slot.lately.push_back(now);
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
    if slot.under_way != Some(ticket) {
        return;
    }
    slot.under_way = None;
    match outcome {
        Ok(view) => {
            slot.failures = 0;
            slot.refused = None;
            slot.retry_at = Duration::ZERO;
            group.seat.settled_slices.clear();
            note_read(group, service, family, Some(view));
        }
        Err(error) => {
            slot.failures = slot.failures.saturating_add(1);
            let steps = slot.failures.min(6).saturating_sub(1);
            let wait = (Duration::from_millis(20) * 2_u32.pow(steps)).min(Duration::from_secs(1));
            slot.retry_at = match &error {
                // A first conflict is ordinary: what is stored has been read, so write at once.
                WriteError::Conflict if slot.failures == 1 => now,
                WriteError::Refused(_) => now + Duration::from_secs(1),
                _ => now + wait,
            };
            slot.refused = match error {
                WriteError::Refused(why) => Some(why),
                WriteError::Conflict | WriteError::Unknown(_) => None,
            };
        }
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
    Contested(String),
}

/// What hinders the slices, if anything.
pub(super) fn trouble(group: &Group) -> Option<Trouble> {
    let other = group.own_slices().find_map(|slice| {
        let name = slice.controller.as_deref().filter(|name| *name != &*group.controller)?;
        Some(Trouble::ManagedByOther(format!("EndpointSlice {} is managed by {name}", slice.name)))
    });
    other.or_else(|| {
        group.slices.slots.iter().find_map(|((service, _), slot)| {
            if let Some(why) = &slot.refused {
                return Some(Trouble::Refused(format!(
                    "the slice of Service {service} cannot be written: {why}"
                )));
            }
            (slot.lately.len() >= MOST_WRITES).then(|| {
                Trouble::Contested(format!("somebody keeps changing the slice of Service {service}"))
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
