//! What is left behind: by groups that are gone, and for Services a group no longer names.

use super::namespace::{Group, Namespace};
use super::service::{ServiceKind, ServiceLite};
use super::views::member_pods;
use super::{Index, SeatEntry};
use crate::marked::{Marked, Undo};
use crate::marks::GroupMarks;
use crate::pod::PodLite;
use crate::slice::SliceLite;
use hotstandby_core::ids::{GroupKey, GroupKind, Rv, Uid};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What an object left behind is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeftoverKind {
    /// The seat of [`Leftover::group`].
    Seat,
    /// A slice.
    Slice {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
    /// Keys of ours in the selector of a Service of the group's namespace.
    Selector {
        /// The Service.
        service: Arc<str>,
        /// What puts it right.
        undo: Undo,
    },
    /// Labels of ours on a pod of the group's namespace.
    Labels {
        /// The pod.
        pod: Arc<str>,
        /// What puts them right.
        undo: Undo,
    },
}

/// An object of ours that nobody needs any more, or marks of ours on an object of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// What it is.
    pub kind: LeftoverKind,
    /// Its UID.
    pub uid: Uid,
    /// Its resourceVersion when last seen.
    pub rv: Rv,
    /// The group it was made for.
    pub group: GroupKey,
    /// That group's UID: another group of the same name needs its own.
    pub group_uid: Uid,
    /// For what a living group leads no more: the group's version that says so.
    pub group_rv: Option<Rv>,
    /// Another group has taken over the annotated Service that made it, whose annotations still ask for one.
    pub superseded: bool,
}

/// A group that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedGroup {
    /// Which.
    pub key: GroupKey,
    /// Its UID: a group made anew under the name is another.
    pub uid: Uid,
    /// What it left behind and does not wish to leave.
    pub leftovers: Vec<Leftover>,
}

impl Index {
    /// What a group leaves behind. `deletionPolicy: Orphan` leaves the slices, never the seat.
    pub(super) fn leftovers_of(&self, space: Option<&Namespace>, key: &GroupKey, uid: &Uid) -> Vec<Leftover> {
        let seat = self.seat_of(key).and_then(|seat| self.seat_leftover(seat));
        let slices = space.into_iter().flat_map(|space| space.slices.values());
        let slices = slices.filter_map(|slice| self.slice_leftover(&key.namespace, &slice.value));
        let marked = space.into_iter().flat_map(|space| self.marked_leftovers(space, key));
        seat.into_iter()
            .chain(slices.chain(marked).filter(|(_, orphan)| !orphan).map(|(leftover, _)| leftover))
            .filter(|leftover| leftover.group == *key && leftover.group_uid == *uid)
            .collect()
    }

    /// Seats, slices and marks of this install whose group does not exist, or exists anew. Empty until all was read.
    ///
    /// Looks at every object of ours: once after the start, then now and then.
    pub fn orphans(&self) -> Vec<Leftover> {
        if !self.is_synced() {
            return Vec::new();
        }
        let seats = self.seats.values().filter_map(|seat| self.seat_leftover(&seat.value));
        let slices = self.namespaces.iter().flat_map(|(namespace, space)| {
            space.slices.values().filter_map(|slice| self.slice_leftover(namespace, &slice.value))
        });
        let marked = self.namespaces.iter().flat_map(|(namespace, space)| {
            let groups: BTreeSet<_> =
                space.marked_services.groups().chain(space.marked_pods.groups()).collect();
            // An object that says it belongs to a group of another namespace was not marked by us.
            let here = groups.into_iter().filter(move |group| group.namespace == *namespace);
            here.flat_map(|group| self.marked_leftovers(space, group))
        });
        seats
            .chain(slices.chain(marked).filter(|(_, orphan)| !orphan).map(|(leftover, _)| leftover))
            .filter(|leftover| self.uid_of(&leftover.group) != Some(&leftover.group_uid))
            .collect()
    }

    /// Slices of a living group for Services that it no longer names or may not feed any more, and the seat that we kept for it
    /// before others elected.
    pub fn stale(&self, key: &GroupKey) -> Vec<Leftover> {
        let Some(space) = self.namespaces.get(&key.namespace).filter(|_| self.is_synced()) else {
            return Vec::new();
        };
        let Some(group) = space.groups.get(key) else { return Vec::new() };
        let slices = space.slices.values().filter(|slice| is_stale(space, group, &slice.value));
        let seat = self.seat_of(key).filter(|_| group.lease.is_some() || group.is_taken());
        slices
            .filter_map(|slice| self.slice_leftover(&key.namespace, &slice.value))
            .map(|(leftover, _)| leftover)
            .chain(seat.and_then(|seat| self.seat_leftover(seat)))
            .filter(|leftover| leftover.group == *key && leftover.group_uid == *group.object.uid())
            .collect()
    }

    /// Marks on pods that are no members of a living group any more, and on Services that it no longer names. What it still leads,
    /// it puts right itself.
    pub fn unled_by(&self, key: &GroupKey) -> Vec<Leftover> {
        let Some(space) = self.namespaces.get(&key.namespace).filter(|_| self.is_synced()) else {
            return Vec::new();
        };
        let Some(group) = space.groups.get(key) else { return Vec::new() };
        // A group whose spec never was valid has no members that are known: a slip of the pen must not unlabel them.
        let known = group.selector.is_some();
        let members: BTreeSet<&str> = member_pods(space, group).map(|pod| &*pod.name).collect();
        let is_unled = |leftover: &Leftover| match &leftover.kind {
            LeftoverKind::Selector { service, .. } => !group.object.services.contains(service),
            LeftoverKind::Labels { pod, .. } => known && !members.contains(&**pod),
            LeftoverKind::Seat | LeftoverKind::Slice { .. } => false,
        };
        let group_rv = match key.kind {
            GroupKind::Cr => Some(group.object.view.rv.clone()),
            GroupKind::Svc => space.service(&key.name).map(|service| service.rv.clone()),
        };
        let marked = self.marked_leftovers(space, key).map(|(leftover, _)| leftover);
        marked
            .filter(|leftover| leftover.group_uid == *group.object.uid() && is_unled(leftover))
            .map(|leftover| Leftover { group_rv: group_rv.clone(), ..leftover })
            .collect()
    }

    /// The same of all groups.
    pub fn unled(&self) -> Vec<Leftover> {
        let marked = self.namespaces.values().flat_map(|space| {
            space.marked_services.groups().chain(space.marked_pods.groups()).collect::<BTreeSet<_>>()
        });
        marked.flat_map(|key| self.unled_by(key)).collect()
    }

    /// What carries marks of ours for this group, and whether it wished to leave it. Selectors come before the labels they ask for.
    fn marked_leftovers<'a>(
        &'a self,
        space: &'a Namespace,
        key: &'a GroupKey,
    ) -> impl Iterator<Item = (Leftover, bool)> + 'a {
        let services = space.marked_services.of(key).filter_map(|name| {
            let service = space.service(name)?;
            let marked =
                service.marked.as_deref().filter(|marked| !is_service_inherited(space, name, marked))?;
            // Where the selector is gone, a key put back would make one that nobody wrote.
            let selects = matches!(service.kind, ServiceKind::Selecting(_));
            let undo = if selects { marked.mark.undo.clone() } else { Undo::new() };
            let kind = LeftoverKind::Selector { service: name.clone(), undo };
            self.marked_leftover(kind, service.uid.clone(), service.rv.clone(), marked)
        });
        let pods = space.marked_pods.of(key).filter_map(|name| {
            let pod = &space.pods.get(name)?.value;
            let marked = pod.marked().filter(|marked| !is_pod_inherited(space, pod, marked))?;
            let kind = LeftoverKind::Labels { pod: name.clone(), undo: marked.mark.undo.clone() };
            self.marked_leftover(kind, pod.uid(), pod.rv(), marked)
        });
        services.chain(pods)
    }

    fn marked_leftover(
        &self,
        kind: LeftoverKind,
        uid: Uid,
        rv: Rv,
        marked: &Marked,
    ) -> Option<(Leftover, bool)> {
        let GroupMarks { group, group_uid, orphan } = marked.group.clone()?;
        let superseded = self.is_superseded(&group, &group_uid);
        let is_ours = marked.mark.controller == self.controller;
        is_ours.then_some((Leftover { kind, uid, rv, group, group_uid, group_rv: None, superseded }, orphan))
    }

    fn uid_of(&self, key: &GroupKey) -> Option<&Uid> {
        self.namespaces.get(&key.namespace)?.groups.get(key).map(|group| group.object.uid())
    }

    /// Whether a slice is another group's to write over by now: to delete it would be to cut its Service's traffic.
    fn is_inherited(&self, namespace: &str, slice: &SliceLite) -> bool {
        let inherited = || {
            let (space, service) = (self.namespaces.get(namespace)?, slice.service.as_ref()?);
            let heir = space.groups.get(space.owner_of(service)?)?;
            let made_for = &slice.own.as_ref()?.group.as_ref()?.group;
            let feedable = matches!(space.service(service)?.kind, ServiceKind::Feedable(_));
            Some(feedable && heir.object.key != *made_for && heir.object.view.spec.is_ok())
        };
        inherited().unwrap_or(false)
    }

    /// Whether the Service that made a group still asks for one, but another group leads it.
    fn is_superseded(&self, group: &GroupKey, uid: &Uid) -> bool {
        let Some(space) = self.namespaces.get(&group.namespace) else { return false };
        let asks = |service: &ServiceLite| service.uid == *uid && service.opted.is_some();
        group.kind == GroupKind::Svc
            && space.service(&group.name).is_some_and(asks)
            && space.owner_of(&group.name).is_some_and(|owner| owner != group)
    }

    fn seat_leftover(&self, seat: &SeatEntry) -> Option<Leftover> {
        let marks = seat.group.as_ref()?;
        (seat.record.controller.as_ref() == Some(&self.controller)).then(|| Leftover {
            kind: LeftoverKind::Seat,
            uid: seat.record.uid.clone(),
            rv: seat.record.rv.clone(),
            group: marks.group.clone(),
            group_uid: marks.group_uid.clone(),
            group_rv: None,
            superseded: self.is_superseded(&marks.group, &marks.group_uid),
        })
    }

    /// The slice as a leftover, and whether its group wished to leave it. A slice that says it belongs
    /// to a group of another namespace was not written by us.
    fn slice_leftover(&self, namespace: &Arc<str>, slice: &SliceLite) -> Option<(Leftover, bool)> {
        let own = slice.own.as_deref()?;
        if self.is_inherited(namespace, slice) {
            return None;
        }
        let marks = own.group.as_ref().filter(|marks| marks.group.namespace == *namespace)?;
        (own.controller.as_ref() == Some(&self.controller)).then(|| {
            let leftover = Leftover {
                kind: LeftoverKind::Slice { namespace: namespace.clone(), name: slice.name.clone() },
                uid: slice.uid.clone(),
                rv: slice.rv.clone(),
                group: marks.group.clone(),
                group_uid: marks.group_uid.clone(),
                group_rv: None,
                superseded: self.is_superseded(&marks.group, &marks.group_uid),
            };
            (leftover, marks.orphan)
        })
    }
}

/// Whether the marks on a Service are another group's to write over by now: to undo them would be to move its traffic.
fn is_service_inherited(space: &Namespace, service: &str, marked: &Marked) -> bool {
    let heir = space.owner_of(service).and_then(|owner| space.groups.get(owner));
    heir.is_some_and(|heir| inherits(heir, marked))
}

/// The same of the marks on a pod: whose member it is puts its labels right.
fn is_pod_inherited(space: &Namespace, pod: &PodLite, marked: &Marked) -> bool {
    !pod.phase.is_finished() && space.groups_of(pod).any(|heir| inherits(heir, marked))
}

fn inherits(heir: &Group, marked: &Marked) -> bool {
    let made_for = marked.group.as_ref().map(|marks| &marks.group_uid);
    made_for != Some(heir.object.uid()) && heir.object.view.spec.is_ok()
}

/// A Service that others feed now would show its users both; one that another group claims is that group's affair.
fn is_stale(space: &Namespace, group: &Group, slice: &SliceLite) -> bool {
    let Some(service) = &slice.service else { return false };
    if !group.object.services.contains(service) {
        return true;
    }
    let kind = space.service(service).map(|service| &service.kind);
    matches!(kind, Some(ServiceKind::Selecting(_) | ServiceKind::ExternalName))
}
