//! The selector pointer: a Service's selector names one member by its own label, so a switch is one write.
//!
//! Role labels that the selector also wants would have to be on the successor before, and known to the endpoint controller,
//! or the Service had no endpoint for a second. So a switch leaves them out, and they come back when they have settled.

use super::Group;
use super::labels;
use super::pace::Slot;
use super::slices::{Served, Trouble};
use crate::action::{Action, MarkedWrite, Ticket};
use crate::ids::Uid;
use crate::labels::MEMBER_LABEL;
use crate::observation::WriteError;
use crate::spec::{GroupSpec, RoleLabel};
use crate::traffic::{Led, led};
use crate::view::{MemberView, SelectingService, ServiceFound};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long role labels wait for a pointer that cannot be written.
const LABELS_WAIT: Duration = Duration::from_secs(2);

type Selector = BTreeMap<Arc<str>, Arc<str>>;

/// The pointers' writes under way and lately done.
#[derive(Debug, Default)]
pub(super) struct Pointers {
    slots: BTreeMap<Arc<str>, Slot>,
}

pub(super) fn project(
    group: &mut Group,
    spec: &GroupSpec,
    now: Duration,
    served: &Served,
    actions: &mut Vec<Action>,
) {
    if group.seat_in_doubt() {
        return; // what is written carries the seat's term
    }
    let services = group.services.clone().unwrap_or_default();
    group.pointers.slots.retain(|name, _| services.iter().any(|service| service.name == *name));
    for service in &services {
        let Some(selecting) = service.found.selecting() else { continue };
        let wanted = match (led(spec, service), served) {
            (Led::Pointer, Served::Holder(holder)) => pointing_to(group, spec, selecting, holder, now),
            // A UID does not come back: a pointer to a pod that is gone selects nobody.
            (Led::Pointer, _) => continue,
            _ if selecting.mark.as_ref().is_some_and(|mark| !mark.undo.is_empty()) => own_selector(selecting),
            _ => continue,
        };
        if wanted == selecting.selector && is_stamped(group, selecting) {
            if let Some(until) = group.pointers.slots.get_mut(&service.name).and_then(|slot| slot.settle(now))
            {
                group.wake_at(until);
            }
        } else {
            write(group, spec, now, &service.name, selecting, &wanted, actions);
        }
    }
}

/// Whether the marks of a pointer say the present term: the seat may have been put right since.
fn is_stamped(group: &Group, service: &SelectingService) -> bool {
    let seat = group.valid_seat().map(|(record, marks)| (record.uid.clone(), marks.term));
    let pointed = service.selector.contains_key(MEMBER_LABEL);
    !pointed || seat.is_none() || service.mark.as_ref().and_then(|mark| mark.stamp.clone()) == seat
}

/// The selector as its user wrote it.
fn own_selector(service: &SelectingService) -> Selector {
    let mut own = service.selector.clone();
    own.remove(MEMBER_LABEL);
    for (key, value) in service.mark.iter().flat_map(|mark| &mark.undo) {
        match value {
            Some(value) => own.insert(key.clone(), value.clone()),
            None => own.remove(key),
        };
    }
    own
}

fn pointing_to(
    group: &mut Group,
    spec: &GroupSpec,
    service: &SelectingService,
    holder: &MemberView,
    now: Duration,
) -> Selector {
    let mut wanted = own_selector(service);
    if let Some(role) = &spec.role_label
        && let Some(value) = role_wanted(role, service)
    {
        wanted.remove(&role.key);
        if labels::is_settled(group, &holder.uid, &role.key, &value, now) {
            wanted.insert(role.key.clone(), value);
        }
    }
    wanted.insert(MEMBER_LABEL.into(), holder.uid.as_str().into());
    wanted
}

/// The role that the selector wants beside the pointer, if it wants any.
fn role_wanted(role: &RoleLabel, service: &SelectingService) -> Option<Arc<str>> {
    if role.in_selectors {
        return Some(role.active.clone());
    }
    own_selector(service).get(&role.key).cloned()
}

fn write(
    group: &mut Group,
    spec: &GroupSpec,
    now: Duration,
    name: &Arc<str>,
    service: &SelectingService,
    wanted: &Selector,
    actions: &mut Vec<Action>,
) {
    if group.is_marked_by_other(service.mark.as_ref()) {
        return;
    }
    let own = own_selector(service);
    let keys = wanted.keys().chain(service.selector.keys());
    let changes: BTreeMap<_, _> = keys
        .filter(|key| wanted.get(*key) != service.selector.get(*key))
        .map(|key| (key.clone(), wanted.get(key).cloned()))
        .collect();
    let pointed = wanted.contains_key(MEMBER_LABEL);
    let mut undo = BTreeMap::new();
    if pointed {
        undo.insert(MEMBER_LABEL.into(), None);
        if let Some(role) = spec.role_label.as_ref().filter(|role| role_wanted(role, service).is_some()) {
            // A key that an older controller added is no key of the user's.
            let users = own.get(&role.key).filter(|_| !role.in_selectors).cloned();
            undo.insert(role.key.clone(), users);
        }
    }
    let Some(marks) = labels::marks(group, spec, undo) else { return };
    let pointed = pointed_uid(group);
    let differs = pointed.is_some() && pointed.as_ref() != group.holder_uid();
    if !group.is_forward_mark(&service.rv, service.mark.as_ref(), differs, &marks) {
        return;
    }
    let at_once = group.writes_at_once();
    let turn = group.pointers.slots.entry(name.clone()).or_default().turn(now, at_once);
    if !group.takes(turn) {
        return;
    }
    let ticket = group.ticket();
    group.pointers.slots.entry(name.clone()).or_default().begin(now, ticket);
    actions.push(Action::PointService {
        ticket,
        service: name.clone(),
        uid: service.uid.clone(),
        rv: service.rv.clone(),
        write: MarkedWrite { changes, marks },
    });
}

/// Whether a pointer is about to be written: role labels that change before it would empty the Service.
pub(super) fn is_on_its_way(group: &mut Group, spec: &GroupSpec, now: Duration) -> bool {
    let Some(holder) = group.holder_uid().cloned() else { return false };
    let waiting = group.services.iter().flatten().filter(|service| {
        let pointed = led(spec, service) == Led::Pointer;
        pointed && service.found.selecting().is_some_and(|selecting| !points_to(selecting, &holder))
    });
    let since = waiting.filter_map(|service| group.pointers.slots.get(&service.name)?.wrong_since()).max();
    let Some(until) = since.map(|since| since + LABELS_WAIT).filter(|until| now < *until) else {
        return false;
    };
    group.wake_at(until);
    true
}

fn points_to(service: &SelectingService, uid: &Uid) -> bool {
    service.selector.get(MEMBER_LABEL).is_some_and(|value| **value == *uid.as_str())
}

pub(super) fn note_written(
    group: &mut Group,
    now: Duration,
    ticket: Ticket,
    service: &Arc<str>,
    outcome: Result<SelectingService, WriteError>,
) {
    let Some(slot) = group.pointers.slots.get_mut(service) else { return };
    if !slot.finish(now, ticket, outcome.as_ref().err()) {
        return;
    }
    if let Ok(stored) = outcome {
        group.seat.settled.clear();
        note_read(group, service, stored);
    }
}

/// A Service was read live, or returned by its own write.
pub(super) fn note_read(group: &mut Group, service: &Arc<str>, stored: SelectingService) {
    let view = group.services.iter_mut().flatten().find(|view| view.name == *service);
    if let Some(ServiceFound::Selecting(had)) = view.map(|view| &mut view.found)
        && !stored.rv.is_older_than(&had.rv)
    {
        **had = stored;
    }
}

/// Whether some Service still points to a member.
pub(super) fn points(group: &Group) -> bool {
    pointed_uid(group).is_some()
}

/// Whom the pointers name: where nobody holds the seat, no reason to move traffic.
pub(super) fn pointed_uid(group: &Group) -> Option<Uid> {
    let selecting = group.services.iter().flatten().filter_map(|service| service.found.selecting());
    let pointed = selecting
        .filter(|service| service.mark.is_some() && !group.is_marked_by_other(service.mark.as_ref()));
    pointed.filter_map(|service| service.selector.get(MEMBER_LABEL)).map(|uid| Uid::from(&**uid)).next()
}

/// Whether every pointer names this member.
pub(super) fn all_in_place(group: &Group, spec: &GroupSpec, holder: &Uid) -> bool {
    group
        .services
        .iter()
        .flatten()
        .filter(|service| led(spec, service) == Led::Pointer)
        .all(|service| service.found.selecting().is_none_or(|selecting| points_to(selecting, holder)))
}

/// The pointers' troubles, worst first.
pub(super) fn trouble(group: &Group, spec: &GroupSpec) -> Option<Trouble> {
    let mut led_services =
        group.services.iter().flatten().filter(|service| led(spec, service) == Led::Pointer);
    let foreign = led_services.find_map(|service| {
        let mark = service.found.selecting()?.mark.as_ref();
        let other = mark.filter(|_| group.is_marked_by_other(mark))?;
        Some(format!("Service {} is managed by {}", service.name, other.controller))
    });
    if let Some(message) = foreign {
        return Some(Trouble::ManagedByOther(message));
    }
    group.pointers.slots.iter().find_map(|(service, slot)| {
        if let Some(why) = slot.refused() {
            return Some(Trouble::NotGranted(format!(
                "the selector of Service {service} cannot be written: {why}"
            )));
        }
        slot.is_contested().then(|| {
            Trouble::Contested(
                "SelectorContested",
                format!("somebody keeps changing the selector of Service {service}"),
            )
        })
    })
}
