//! Labels follow the seat: the role label on every member, and the member label that the selector pointer needs.
//!
//! Never two with the active's value: the old active's label is seen gone before the new one's is sent. That costs kube-proxy's
//! second where a Service selects by it; own slices and the selector pointer do not have that price. Two pods have no common
//! resourceVersion, so a former active is written at the new term in any case (*fenced*): a promotion of it that another replica
//! sent before then meets a newer version.

use super::pace::Slot;
use super::slices::Served;
use super::{Group, pointer};
use crate::action::{Action, MarkedSeat, MarkedWrite, MarksWrite, MemberRef, ProjectionMarks, Ticket};
use crate::ids::Uid;
use crate::labels::{MEMBER_LABEL, SETTLING, led_keys};
use crate::observation::WriteError;
use crate::spec::{DeletionPolicy, GroupSpec, RoleLabel};
use crate::view::{Mark, MemberView};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Keys and values, `None` where the key goes.
type Changes = BTreeMap<Arc<str>, Option<Arc<str>>>;

/// The writes under way and lately done, and when the labels that were seen count as settled.
#[derive(Debug, Default)]
pub(super) struct Labels {
    slots: BTreeMap<Uid, Slot>,
    seen: BTreeMap<(Uid, Arc<str>), (Arc<str>, Duration)>,
    /// Members that the selector pointer must not name yet.
    unsettled: BTreeSet<Uid>,
    /// Since when no Service is, or is to be, led by the pointer.
    unpointed: Option<Duration>,
    /// The members were looked at once: what they carried then was stored before.
    looked: bool,
}

/// Notes when the labels that each member carries will have settled.
pub(super) fn refresh(group: &mut Group, spec: &GroupSpec, now: Duration) {
    let Some(members) = &group.members else { return };
    let labels = &mut group.labels;
    let settled_at = if labels.looked { now + SETTLING } else { now };
    labels.looked = true;
    labels.seen.retain(|(uid, key), (value, _)| {
        members.get(uid).is_some_and(|member| member.labels.get(key) == Some(value))
    });
    for member in members.values() {
        for (key, value) in &member.labels {
            let known = labels.seen.entry((member.uid.clone(), key.clone()));
            known.or_insert_with(|| (value.clone(), settled_at));
        }
    }
    labels.slots.retain(|uid, _| members.contains_key(uid));
    labels.unsettled.clear();
    if spec.pointed.is_empty() {
        let since = if pointer::points(group) { None } else { group.labels.unpointed.or(Some(now)) };
        group.labels.unpointed = since;
        return;
    }
    group.labels.unpointed = None;
    let uids: Vec<Uid> = members.keys().cloned().collect();
    for uid in uids {
        if !is_settled(group, &uid, MEMBER_LABEL, uid.as_str(), now) {
            group.labels.unsettled.insert(uid);
        }
    }
}

/// Whether the selector pointer could not name this member yet.
pub(super) fn is_unsettled(group: &Group, uid: &Uid) -> bool {
    group.labels.unsettled.contains(uid)
}

/// Whether its labels were last refused, so that they may never be as they should.
pub(super) fn is_refused(group: &Group, uid: &Uid) -> bool {
    group.labels.slots.get(uid).is_some_and(|slot| slot.refused().is_some())
}

/// Whether the member has carried this label for so long that the endpoint controller knows.
pub(super) fn is_settled(group: &mut Group, uid: &Uid, key: &str, value: &str, now: Duration) -> bool {
    let seen = group.labels.seen.get(&(uid.clone(), key.into()));
    let Some((_, until)) = seen.filter(|(had, _)| **had == *value) else { return false };
    let until = *until;
    if now < until {
        group.wake_at(until);
    }
    now >= until
}

/// Who carries the active's value now.
pub(super) fn carriers<'a>(group: &'a Group, role: &'a RoleLabel) -> impl Iterator<Item = &'a MemberView> {
    group.all_members().filter(move |member| member.labels.get(&role.key) == Some(&role.active))
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
    let carrier = carrier(group, served);
    let roles_wait = pointer::is_on_its_way(group, spec, now);
    let undo_pointed = may_undo_pointed(group, now);
    let fences: BTreeSet<Uid> = match &carrier {
        Carrier::Member(_) if !roles_wait => unfenced(group).into_iter().map(|one| one.uid).collect(),
        _ => BTreeSet::new(),
    };
    let members: Vec<MemberView> = group.all_members().cloned().collect();
    for member in members {
        let mut changes = BTreeMap::new();
        if let Some(role) = spec.role_label.as_ref().filter(|_| carrier != Carrier::AsItIs) {
            let is_active = carrier == Carrier::Member(member.uid.clone());
            role_change(group, role, &member, is_active, roles_wait, &mut changes);
        }
        member_change(spec, &member, &mut changes);
        undo_changes(spec, &member, undo_pointed, &mut changes);
        let wants_marks =
            wants_marks(group, spec, &member) || spec.role_label.is_some() && fences.contains(&member.uid);
        if changes.is_empty() && !wants_marks {
            settle(group, now, &member.uid);
        } else {
            write(group, spec, now, &member, changes, actions);
        }
    }
}

/// Whether the active carries its label without our marks, or with those of another term: it was labelled by somebody before us,
/// or the seat was put right since.
fn wants_marks(group: &Group, spec: &GroupSpec, member: &MemberView) -> bool {
    let Some(role) = &spec.role_label else { return false };
    let carries = member.labels.get(&role.key) == Some(&role.active);
    let Some((record, marks)) = group.valid_seat().filter(|_| carries) else { return false };
    marks.holder_uid == member.uid
        && member.mark.as_ref().is_none_or(|mark| {
            mark.stamp != Some((record.uid.clone(), marks.term)) || !mark.undo.contains_key(&role.key)
        })
}

/// Former actives, still there, that were not written at this term: a late promotion of theirs could still be stored.
pub(super) fn unfenced(group: &Group) -> Vec<MemberRef> {
    let Some((record, marks)) = group.valid_seat() else { return Vec::new() };
    let fenced = |member: &MemberView| {
        let stamp = member.mark.as_ref().and_then(|mark| mark.stamp.as_ref());
        stamp.is_some_and(|(seat, term)| *seat == record.uid && *term >= marks.term)
    };
    let former = |member: &&MemberView| {
        // Who held a Lease of others before is not on record: then everybody may have.
        let held = marks.previous.iter().any(|one| one.uid == member.uid) || group.follows().is_some();
        held && member.uid != marks.holder_uid && !member.phase.is_finished()
    };
    let open = group.all_members().filter(former).filter(|member| !fenced(member));
    open.map(super::decide::member_ref).collect()
}

fn settle(group: &mut Group, now: Duration, uid: &Uid) {
    if let Some(until) = group.labels.slots.get_mut(uid).and_then(|slot| slot.settle(now)) {
        group.wake_at(until);
    }
}

/// Who should carry the active's value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Carrier {
    /// Whoever does.
    AsItIs,
    /// Nobody.
    Nobody,
    /// This member.
    Member(Uid),
}

fn carrier(group: &Group, served: &Served) -> Carrier {
    match served {
        Served::Untouched | Served::Frozen => Carrier::AsItIs,
        Served::Emptied => Carrier::Nobody,
        Served::Holder(holder) => Carrier::Member(holder.uid.clone()),
        // Only slices go empty while their holder lives.
        Served::Nobody => {
            let holder = group.holder_uid().and_then(|uid| group.member(uid));
            let living = holder.filter(|holder| holder.owns_address());
            living.map_or(Carrier::Nobody, |holder| Carrier::Member(holder.uid.clone()))
        }
    }
}

fn role_change(
    group: &Group,
    role: &RoleLabel,
    member: &MemberView,
    is_active: bool,
    wait: bool,
    changes: &mut Changes,
) {
    let (have, want) = (member.labels.get(&role.key), role.value(is_active));
    if have == want {
        return;
    }
    let ends = member.terminating || member.phase.is_finished();
    let may = if is_active {
        !wait && carriers(group, role).all(|other| other.uid == member.uid) && unfenced(group).is_empty()
    } else if have == Some(&role.active) {
        !wait
    } else {
        !ends // nobody looks at the role of what is going
    };
    if may {
        changes.insert(role.key.clone(), want.cloned());
    }
}

fn member_change(spec: &GroupSpec, member: &MemberView, changes: &mut Changes) {
    let has = member.labels.get(MEMBER_LABEL).is_some_and(|value| **value == *member.uid.as_str());
    if !spec.pointed.is_empty() && !has && !member.terminating && !member.phase.is_finished() {
        changes.insert(MEMBER_LABEL.into(), Some(member.uid.as_str().into()));
    }
}

/// Whether labels that a pointer needed may go: no selector asks for them, nor does the endpoint controller think so any more. Before,
/// the Service led nowhere.
fn may_undo_pointed(group: &mut Group, now: Duration) -> bool {
    let Some(until) = group.labels.unpointed.map(|since| since + SETTLING) else { return false };
    if now < until {
        group.wake_at(until);
    }
    now >= until
}

/// What the group led before and leads no more.
fn undo_changes(spec: &GroupSpec, member: &MemberView, undo_pointed: bool, changes: &mut Changes) {
    let was_pointed = |mark: &Mark| spec.pointed.is_empty() && mark.undo.contains_key(MEMBER_LABEL);
    let Some(mark) = member.mark.as_ref().filter(|mark| undo_pointed || !was_pointed(mark)) else { return };
    for (key, value) in &mark.undo {
        if led_keys(spec).all(|led| *led != **key) {
            changes.insert(key.clone(), value.clone());
        }
    }
}

fn write(
    group: &mut Group,
    spec: &GroupSpec,
    now: Duration,
    member: &MemberView,
    changes: Changes,
    actions: &mut Vec<Action>,
) {
    if group.is_marked_by_other(member.mark.as_ref()) {
        return;
    }
    let undo = undo_after(spec, member, &changes);
    let Some(marks) = marks(group, spec, undo) else { return };
    let differs = spec.role_label.as_ref().is_some_and(|role| changes.contains_key(&role.key));
    if !group.is_forward_mark(&member.rv, member.mark.as_ref(), differs, &marks) {
        return;
    }
    let at_once = group.writes_at_once();
    let turn = group.labels.slots.entry(member.uid.clone()).or_default().turn(now, at_once);
    if !group.takes(turn) {
        return;
    }
    let ticket = group.ticket();
    group.labels.slots.entry(member.uid.clone()).or_default().begin(now, ticket);
    actions.push(Action::LabelPod {
        ticket,
        pod: super::decide::member_ref(member),
        rv: member.rv.clone(),
        write: MarkedWrite { changes, marks },
    });
}

/// What undoes our labels once these changes are stored. What stood there before is not put back to the letter: the active's
/// value of an older system on two pods is just what must never come back.
fn undo_after(spec: &GroupSpec, member: &MemberView, changes: &Changes) -> Changes {
    let mut undo: Changes = member.mark.as_ref().map(|mark| mark.undo.clone()).unwrap_or_default();
    undo.retain(|key, _| led_keys(spec).any(|led| *led == **key));
    // With nothing changed it is a mark only: of the active, or to fence a former one.
    let ours = led_keys(spec)
        .filter(|led| changes.contains_key(*led) || wants_role_mark(spec, member, led) || changes.is_empty());
    for key in ours.map(Arc::<str>::from) {
        let role = spec.role_label.as_ref().filter(|role| role.key == key);
        let had = member.labels.contains_key(&key);
        undo.entry(key).or_insert_with(|| role.filter(|_| had).and_then(|role| role.standby.clone()));
    }
    undo
}

/// Whether a member's role label is ours although nothing of it changes: the active's, whoever wrote it.
fn wants_role_mark(spec: &GroupSpec, member: &MemberView, key: &str) -> bool {
    spec.role_label
        .as_ref()
        .is_some_and(|role| *role.key == *key && member.labels.get(&role.key) == Some(&role.active))
}

/// The marks beside a change.
pub(super) fn marks(group: &Group, spec: &GroupSpec, undo: Changes) -> Option<MarksWrite> {
    if undo.is_empty() {
        return Some(MarksWrite::Clear);
    }
    let seat = group.valid_seat().map(|(record, marks)| MarkedSeat {
        uid: record.uid.clone(),
        term: marks.term,
        reason: marks.reason,
        since_ms: marks.since_ms,
    });
    let group_uid = group.view.as_ref()?.uid.clone();
    let orphan = spec.deletion_policy == DeletionPolicy::Orphan;
    Some(MarksWrite::Set(Box::new(ProjectionMarks { seat, group_uid, orphan, undo })))
}

pub(super) fn note_written(
    group: &mut Group,
    now: Duration,
    ticket: Ticket,
    uid: &Uid,
    outcome: Result<MemberView, WriteError>,
) {
    let Some(slot) = group.labels.slots.get_mut(uid) else { return };
    if !slot.finish(now, ticket, outcome.as_ref().err()) {
        return;
    }
    if let Ok(member) = outcome {
        group.seat.settled.clear();
        note_read(group, member);
    }
}

/// A pod was read live, or returned by its own write.
pub(super) fn note_read(group: &mut Group, member: MemberView) {
    let Some(members) = &mut group.members else { return };
    if let Some(had) = members.get_mut(&member.uid)
        && !member.rv.is_older_than(&had.rv)
    {
        *had = member;
    }
}

/// Whether every member carries what it should while `holder` holds the seat.
pub(super) fn all_in_place(group: &Group, spec: &GroupSpec, holder: &Uid) -> bool {
    let Some(role) = &spec.role_label else { return true };
    group.all_members().all(|member| {
        let is_active = member.uid == *holder;
        let carries = member.labels.get(&role.key) == Some(&role.active);
        carries == is_active
    })
}

/// The labels' troubles, worst first.
pub(super) fn trouble(group: &Group) -> Option<super::slices::Trouble> {
    use super::slices::Trouble;
    let name =
        |uid: &Uid| group.member(uid).map_or_else(|| uid.to_string(), |member| member.name.to_string());
    let spec = group.view.as_ref().and_then(|view| view.spec.as_ref().ok());
    let leads = spec.is_some_and(|spec| led_keys(spec).next().is_some());
    let foreign = group.all_members().find(|member| leads && group.is_marked_by_other(member.mark.as_ref()));
    if let Some(member) = foreign {
        let other = member.mark.as_ref().map_or("", |mark| &*mark.controller);
        let message =
            format!("pod {} is managed by {other}: choose other pods for one of the two", member.name);
        return Some(Trouble::ManagedByOther(message));
    }
    group.labels.slots.iter().find_map(|(uid, slot)| {
        if let Some(why) = slot.refused() {
            let message = format!("labels of pod {} cannot be written: {why}", name(uid));
            return Some(Trouble::NotGranted(message));
        }
        slot.is_contested().then(|| {
            Trouble::Contested(
                "LabelsContested",
                format!("somebody keeps changing the labels of pod {}", name(uid)),
            )
        })
    })
}
