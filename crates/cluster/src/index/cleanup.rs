//! What is left behind: by groups that are gone, and for Services a group no longer names.

use super::namespace::{Group, Namespace};
use super::service::ServiceKind;
use super::{Index, SeatEntry};
use crate::slice::SliceLite;
use hotstandby_core::ids::{GroupKey, Rv, Uid};
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
}

/// An object of ours that nobody needs any more.
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
        seat.into_iter()
            .chain(slices.filter(|(_, orphan)| !orphan).map(|(leftover, _)| leftover))
            .filter(|leftover| leftover.group == *key && leftover.group_uid == *uid)
            .collect()
    }

    /// Seats and slices of this install whose group does not exist, or exists anew. Empty until all was read.
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
        seats
            .chain(slices.filter(|(_, orphan)| !orphan).map(|(leftover, _)| leftover))
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
        let seat = self.seat_of(key).filter(|_| group.lease.is_some());
        slices
            .filter_map(|slice| self.slice_leftover(&key.namespace, &slice.value))
            .map(|(leftover, _)| leftover)
            .chain(seat.and_then(|seat| self.seat_leftover(seat)))
            .filter(|leftover| leftover.group == *key && leftover.group_uid == *group.object.uid())
            .collect()
    }

    fn uid_of(&self, key: &GroupKey) -> Option<&Uid> {
        self.namespaces.get(&key.namespace)?.groups.get(key).map(|group| group.object.uid())
    }

    fn seat_leftover(&self, seat: &SeatEntry) -> Option<Leftover> {
        let marks = seat.group.as_ref()?;
        (seat.record.controller.as_ref() == Some(&self.controller)).then(|| Leftover {
            kind: LeftoverKind::Seat,
            uid: seat.record.uid.clone(),
            rv: seat.record.rv.clone(),
            group: marks.group.clone(),
            group_uid: marks.group_uid.clone(),
        })
    }

    /// The slice as a leftover, and whether its group wished to leave it. A slice that says it belongs
    /// to a group of another namespace was not written by us.
    fn slice_leftover(&self, namespace: &Arc<str>, slice: &SliceLite) -> Option<(Leftover, bool)> {
        let own = slice.own.as_deref()?;
        let marks = own.group.as_ref().filter(|marks| marks.group.namespace == *namespace)?;
        (own.controller.as_ref() == Some(&self.controller)).then(|| {
            let leftover = Leftover {
                kind: LeftoverKind::Slice { namespace: namespace.clone(), name: slice.name.clone() },
                uid: slice.uid.clone(),
                rv: slice.rv.clone(),
                group: marks.group.clone(),
                group_uid: marks.group_uid.clone(),
            };
            (leftover, marks.orphan)
        })
    }
}

/// A Service that others feed now would show its users both; one that another group claims is that group's affair.
fn is_stale(space: &Namespace, group: &Group, slice: &SliceLite) -> bool {
    let Some(service) = &slice.service else { return false };
    if !group.object.services.contains(service) {
        return true;
    }
    let kind = space.services.get(service).map(|service| &service.value.kind);
    matches!(kind, Some(ServiceKind::Selecting(_) | ServiceKind::ExternalName))
}
