//! What must hold of every write a group asks for, judged by the world as it is.

use super::world::World;
use hotstandby_core::action::{Action, Precondition, SeatWrite};
use hotstandby_core::ids::{Term, Uid};
use hotstandby_core::reason::Reason;
use hotstandby_core::view::SliceContent;

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
        _ => Vec::new(),
    }
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
