//! What must hold of every write a group asks for. What was stored judges the invariants that it can; the rest is judged by the
//! world as it is.

use super::facts;
use super::world::{CONTROLLER, World};
use hotstandby_core::action::{Action, MarkedWrite, MemberRef, Precondition, SeatWrite};
use hotstandby_core::ids::{Term, Uid};
use hotstandby_core::labels::MEMBER_LABEL;
use hotstandby_core::notice::{Notification, Role};
use hotstandby_core::reason::Reason;
use hotstandby_core::view::{Family, SliceContent};
use hotstandby_invariants::Invariant::{OneActive, RecordedReason};
use hotstandby_invariants::{Fact, History, Kind, Leads, Owner, PodRef, TermUse, Tolerance};
use std::sync::Arc;

/// Everything that is wrong with this action. `live`: nothing is held back, so what was read is what is.
pub(super) fn check(world: &mut World, action: &Action, live: bool) -> Vec<String> {
    world.tell_pods();
    world.history.tolerate(if live { Tolerance::NONE } else { Tolerance::UNLIMITED });
    match action {
        Action::WriteSeat { precondition, seat, .. } => seat_write(world, precondition, seat, live),
        Action::WriteSlice { service, family, content, .. } => slice_write(world, service, *family, content),
        Action::LabelPod { pod, write, .. } => label(world, pod, write, live),
        Action::PointService { service, write, .. } => pointer(world, service, write),
        Action::Notify { notice, .. } if live => notification(world, notice).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// What is wrong with a fact by what was stored.
fn judge(world: &World, history: &History, fact: &Fact<'_>) -> Vec<String> {
    history.judge(world.mono, fact).into_iter().map(String::from).collect()
}

/// What is wrong with a write to an object that this installation marked, if one did.
fn judge_owner(world: &World, object: &str, install: Option<&str>) -> Vec<String> {
    let owner = install.map_or(Owner::Nobody, Owner::Install);
    judge(world, &world.history, &Fact::WriteAsked { object, owner })
}

fn slice_write(world: &World, service: &Arc<str>, family: Family, content: &SliceContent) -> Vec<String> {
    let id = facts::slice_id(service, family);
    let mut wrong = judge(world, &world.history, &facts::slice(&id, service, family, content));
    let controller = world.slice(service, family).and_then(|slice| slice.controller.as_deref());
    wrong.extend(judge_owner(world, "the slice", controller));
    wrong
}

fn label(world: &World, pod: &MemberRef, write: &MarkedWrite, live: bool) -> Vec<String> {
    let mark = world.pod_by_uid(&pod.uid).and_then(|pod| pod.mark.as_ref());
    let mut wrong = judge_owner(world, "the pod", mark.map(|mark| &*mark.controller));
    let object = (Kind::Pod, pod.uid.as_str(), &*pod.name);
    let leads_to = if promotes(world, write) {
        Leads::To(PodRef { id: pod.uid.as_str(), name: &pod.name })
    } else {
        Leads::AsBefore
    };
    let asked = facts::route(object, leads_to, facts::stamp_of(write));
    wrong.extend(judge(world, &with_labels(world, live), &asked));
    wrong
}

/// Whether a write labels its pod active.
fn promotes(world: &World, write: &MarkedWrite) -> bool {
    let role = world.group.spec.as_ref().ok().and_then(|spec| spec.role_label.as_ref());
    role.is_some_and(|role| write.changes.get(&role.key) == Some(&Some(role.active.clone())))
}

/// What was stored, and the marks and labels that stand, whoever wrote them. Labels count only where nothing is held back.
fn with_labels(world: &World, live: bool) -> History {
    let mut history = world.history.clone();
    let role = world.group.spec.as_ref().ok().and_then(|spec| spec.role_label.as_ref());
    for pod in world.pods.values() {
        let carries = role.is_some_and(|role| pod.labels.get(&role.key) == Some(&role.active));
        let leads_to = if carries && live {
            Leads::To(PodRef { id: pod.uid.as_str(), name: &pod.name })
        } else {
            Leads::Nowhere
        };
        let stamp = facts::stamp_that_stands(pod.mark.as_ref());
        history.record(world.mono, &facts::route((Kind::Pod, pod.uid.as_str(), &pod.name), leads_to, stamp));
    }
    history
}

fn pointer(world: &World, service: &Arc<str>, write: &MarkedWrite) -> Vec<String> {
    let found = world.services.iter().find(|other| other.name == *service);
    let mark = found.and_then(|found| found.found.selecting()).and_then(|found| found.mark.as_ref());
    let mut wrong = judge_owner(world, "the Service", mark.map(|mark| &*mark.controller));
    let object = (Kind::Service, &**service, &**service);
    let mut history = world.history.clone();
    let stands = facts::route(object, Leads::AsBefore, facts::stamp_that_stands(mark));
    history.record(world.mono, &stands);
    let leads_to = match write.changes.get(MEMBER_LABEL) {
        Some(Some(uid)) => Leads::To(PodRef { id: uid, name: uid }),
        _ => Leads::AsBefore,
    };
    wrong.extend(judge(world, &history, &facts::route(object, leads_to, facts::stamp_of(write))));
    wrong
}

/// A role that is told is the pod's role by the seat as it is. Where others elect, that is not known for sure.
fn notification(world: &World, notice: &Notification) -> Option<String> {
    let holds = world.seat.as_ref().and_then(|seat| seat.sealed()).is_some_and(|marks| {
        (marks.holder_uid == notice.to.uid) == (notice.role == Role::Active) && marks.term == notice.term
    });
    if holds || world.followed().is_some() {
        return None;
    }
    let (name, role, term) = (&notice.to.name, notice.role.as_str(), notice.term);
    Some(format!("{name} is told it is {role} at term {term}, and is not"))
}

fn seat_write(world: &World, pre: &Precondition, seat: &SeatWrite, live: bool) -> Vec<String> {
    let owner = if world.followed().is_some() { Owner::Election } else { Owner::Nobody };
    let mut wrong = judge(world, &world.history, &Fact::WriteAsked { object: "the seat", owner });
    let (decided, newest) = match pre {
        Precondition::Absent => {
            let new: Uid = "a new seat".into();
            let found = judge(world, &world.history, &facts::decided_seat(&new, seat, TermUse::AboveAll));
            (found, world.history.newest_term_of_all())
        }
        Precondition::Unchanged { uid, .. } => {
            let found = judge(world, &world.history, &facts::decided_seat(uid, seat, TermUse::New));
            (found, world.history.newest_term(uid.as_str()))
        }
    };
    wrong.extend(decided);
    let controller = world.seat.as_ref().and_then(|seat| seat.controller.as_deref());
    wrong.extend(judge_owner(world, "the seat", controller));
    // A seat that stands as one of us wrote it.
    let ours = world.seat.as_ref().filter(|_| controller == Some(CONTROLLER));
    let is_newest = |term: Term| newest.is_none_or(|newest| i128::from(term.0) >= newest);
    let same_group = ours
        .and_then(|seat| seat.sealed())
        .filter(|marks| marks.group_uid == world.group.uid && is_newest(marks.term));
    if same_group.is_some_and(|marks| marks.holder_uid == seat.holder.uid) {
        wrong
            .push(RecordedReason.broken(format!("the seat is written though {} holds it", seat.holder.name)));
    }
    if !live {
        return wrong;
    }
    let successor = world.pod_by_uid(&seat.holder.uid);
    if successor.is_none_or(|pod| pod.terminating || !pod.ready || !pod.owns_address()) {
        wrong.push(OneActive.broken(format!("{} cannot serve", seat.holder.name)));
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
        wrong.push(RecordedReason.broken(format!("{} is not so", seat.reason)));
    }
    wrong
}
