//! What must hold of every write a group asks for, judged by the world as it is.

use super::world::World;
use hotstandby_core::action::{Action, MarkedWrite, MarksWrite, MemberRef, Precondition, SeatWrite};
use hotstandby_core::ids::{Term, Uid};
use hotstandby_core::labels::MEMBER_LABEL;
use hotstandby_core::notice::Role;
use hotstandby_core::reason::Reason;
use hotstandby_core::view::{Mark, MemberView, SliceContent};
use std::sync::Arc;

/// Everything that is wrong with this action. `live`: nothing is held back, so what was read is what is.
pub(super) fn check(world: &World, action: &Action, live: bool) -> Vec<String> {
    match action {
        Action::WriteSeat { precondition, seat, .. } => seat_write(world, precondition, seat, live),
        Action::WriteSlice { service, family, content, .. } => {
            let mut wrong = slice_content(world, content, live);
            if let Some((uid, term)) = world.slice_terms.get(&(service.clone(), *family))
                && *uid == content.seat_uid
                && *term > content.term
                && !is_set_back(world, content)
            {
                wrong.push(format!("I3: slice of {service} goes back from term {term} to {}", content.term));
            }
            let slice = world.slice(service, *family);
            if slice.is_some_and(|slice| {
                slice.controller.as_deref().is_some_and(|name| name != super::world::CONTROLLER)
            }) {
                wrong.push(format!("I7: slice of {service} is another controller's"));
            }
            wrong
        }
        Action::LabelPod { pod, write, .. } => label(world, pod, write, live),
        Action::PointService { service, write, .. } => pointer(world, service, write),
        Action::Notify { notice, .. } => {
            let holds = world.seat.as_ref().and_then(|seat| seat.sealed()).is_some_and(|marks| {
                (marks.holder_uid == notice.to.uid) == (notice.role == Role::Active)
                    && marks.term == notice.term
            });
            let wrong = (live && !holds && world.followed().is_none()).then(|| {
                format!(
                    "{} is told it is {} at term {}, and is not",
                    notice.to.name,
                    notice.role.as_str(),
                    notice.term
                )
            });
            wrong.into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn label(world: &World, pod: &MemberRef, write: &MarkedWrite, live: bool) -> Vec<String> {
    let mut wrong = marks(world, write, world.pod_by_uid(&pod.uid).and_then(|pod| pod.mark.as_ref()));
    let role = world.group.spec.as_ref().ok().and_then(|spec| spec.role_label.as_ref());
    let Some(role) = role else { return wrong };
    let promotes = write.changes.get(&role.key) == Some(&Some(role.active.clone()));
    if promotes && !held(world, write, &pod.uid) {
        wrong.push(format!("I1: {} is labelled active for a seat that it did not hold", pod.name));
    }
    let carries =
        |other: &&MemberView| other.uid != pod.uid && other.labels.get(&role.key) == Some(&role.active);
    if let Some(other) = world.pods.values().find(carries).filter(|_| promotes && live) {
        wrong.push(format!("I1: {} is labelled active beside {}", pod.name, other.name));
    }
    wrong
}

fn pointer(world: &World, service: &Arc<str>, write: &MarkedWrite) -> Vec<String> {
    let found = world.services.iter().find(|other| other.name == *service);
    let mark = found.and_then(|found| found.found.selecting()).and_then(|found| found.mark.as_ref());
    let mut wrong = marks(world, write, mark);
    if let Some(Some(uid)) = write.changes.get(MEMBER_LABEL)
        && !held(world, write, &Uid::from(&**uid))
    {
        wrong.push(format!("I1: {service} points to {uid} for a seat that it did not hold"));
    }
    wrong
}

/// Whether this pod held the seat that the write names, at its term.
fn held(world: &World, write: &MarkedWrite, uid: &Uid) -> bool {
    let MarksWrite::Set(marks) = &write.marks else { return false };
    marks.seat.as_ref().is_some_and(|seat| {
        world.held.get(&(seat.uid.clone(), seat.term)) == Some(uid)
            || world.held_uncounted.contains(&(seat.uid.clone(), uid.clone()))
    })
}

/// What is wrong with the marks of a write over these.
fn marks(world: &World, write: &MarkedWrite, had: Option<&Mark>) -> Vec<String> {
    let mut wrong = Vec::new();
    let Some(had) = had else { return wrong };
    if *had.controller != *super::world::CONTROLLER {
        wrong.push("I7: the object is another controller's".into());
    }
    if let (MarksWrite::Set(marks), Some((seat, term))) = (&write.marks, &had.stamp)
        && let Some(now) = marks.seat.as_ref().filter(|now| now.uid == *seat && now.term < *term)
        && world.followed().is_none()
    {
        wrong.push(format!("I3: marks go back from term {term} to {}", now.term));
    }
    wrong
}

/// Others set their own term back: the record says so.
fn is_set_back(world: &World, content: &SliceContent) -> bool {
    world.followed().is_some() && world.seat.as_ref().is_some_and(|seat| seat.term == Some(content.term))
}

fn highest(world: &World, within: Option<&Uid>) -> Option<Term> {
    let all = world.held.keys().filter(|(uid, _)| within.is_none_or(|within| within == uid));
    all.map(|(_, term)| *term).max()
}

fn seat_write(world: &World, pre: &Precondition, seat: &SeatWrite, live: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    if world.followed().is_some() {
        wrong.push("I7: the seat of others is written".into());
    }
    let within = match pre {
        Precondition::Absent => None,
        Precondition::Unchanged { uid, .. } => Some(uid),
    };
    if highest(world, within).is_some_and(|highest| seat.term <= highest) {
        wrong.push(format!("I3: the seat goes back to term {}", seat.term));
    }
    // A seat that stands as one of us wrote it.
    let ours =
        world.seat.as_ref().filter(|seat| seat.controller.as_deref() == Some(super::world::CONTROLLER));
    let same_group = ours.and_then(|seat| seat.sealed()).filter(|marks| {
        marks.group_uid == world.group.uid
            && highest(world, within).is_none_or(|highest| marks.term >= highest)
    });
    if same_group.is_some_and(|marks| marks.holder_uid == seat.holder.uid) {
        wrong.push(format!("I6: the seat is written though {} holds it", seat.holder.name));
    }
    if world
        .seat
        .as_ref()
        .is_some_and(|seat| seat.controller.as_deref().is_some_and(|name| name != super::world::CONTROLLER))
    {
        wrong.push("I7: the seat is another install's".into());
    }
    if !live {
        return wrong;
    }
    let successor = world.pod_by_uid(&seat.holder.uid);
    if successor.is_none_or(|pod| pod.terminating || !pod.ready || !pod.owns_address()) {
        wrong.push(format!("I1: {} cannot serve", seat.holder.name));
    }
    let before = same_group.map(|marks| world.pod_by_uid(&marks.holder_uid));
    let reason_holds = match (seat.reason, before) {
        (Reason::PodDeleted, Some(pod)) => pod.is_none(),
        (Reason::PodTerminating, Some(Some(pod))) => pod.terminating,
        (Reason::PodFinished, Some(Some(pod))) => pod.phase.is_finished(),
        (Reason::NotReady | Reason::NodeNotReady, Some(Some(pod))) => {
            !pod.ready || seat.reason == Reason::NodeNotReady
        }
        (Reason::LeftGroup, Some(Some(pod))) => !pod.selected,
        (Reason::AddressLost, Some(Some(pod))) => pod.ips.is_empty(),
        (Reason::SeatRecreated, _) => world.seat.is_none(),
        (Reason::SeatRepaired, before) => before.is_none(),
        _ => true,
    };
    if !reason_holds {
        wrong.push(format!("I6: {} is not so", seat.reason));
    }
    wrong
}

fn slice_content(world: &World, content: &SliceContent, live: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let Some(endpoint) = &content.endpoint else { return wrong };
    let held = world.held.get(&(content.seat_uid.clone(), content.term));
    let uncounted = world.held_uncounted.contains(&(content.seat_uid.clone(), endpoint.uid.clone()));
    if held != Some(&endpoint.uid) && !uncounted {
        wrong.push(format!("I1: {} did not hold the seat at term {}", endpoint.pod, content.term));
    }
    let pod = world.pod_by_uid(&endpoint.uid);
    if live && pod.is_none_or(|pod| !pod.owns_address() || !pod.ips.contains(&endpoint.ip)) {
        wrong.push(format!("I1: {} at {} does not live", endpoint.pod, endpoint.ip));
    }
    wrong
}
