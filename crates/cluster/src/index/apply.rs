//! One function per kind: how an event changes what is known, and whom it concerns.

use super::group::GroupObject;
use super::lists::{Kind, Stored};
use super::namespace::{Namespace, ServiceChange};
use super::service::ServiceLite;
use super::views::{Part, Parts};
use super::{Index, SeatEntry};
use crate::api::ActiveStandby;
use crate::pod::{OwnerKind, PodLite};
use crate::seat::{is_seat_name, seat_group, seat_name, seat_record};
use crate::slice::SliceLite;
use crate::watch::Event;
use crate::wire::{WireNode, WirePod, WireReplicaSet, WireService, WireStatefulSet};
use hotstandby_core::ids::{GroupKey, GroupKind, Uid};
use hotstandby_core::seat::SeatMarks;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::core::{DeserializeGuard, ObjectMeta};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The annotation with a `ReplicaSet`'s revision.
const DEPLOYMENT_REVISION: &str = "deployment.kubernetes.io/revision";

/// Namespace and name of an object; cluster-scoped ones have no namespace.
fn place(meta: &ObjectMeta) -> Option<(&str, &str)> {
    Some((meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref()?))
}

/// The holder, and whom it waits for.
fn seated(marks: &SeatMarks) -> Vec<(Arc<str>, Uid)> {
    let holder = (marks.holder_name.clone(), marks.holder_uid.clone());
    let previous = marks.previous.iter().map(|one| (one.name.clone(), one.uid.clone()));
    std::iter::once(holder).chain(previous).collect()
}

impl Index {
    pub(super) fn groups_changed(&mut self, event: Event<DeserializeGuard<ActiveStandby>>) {
        match event {
            Event::Refused(_) => {}
            Event::Begin => self.lists.begin(Kind::Group),
            Event::Listed(object) | Event::Applied(object) => {
                if let Some(object) = GroupObject::new(&object) {
                    self.put_group(object);
                }
            }
            Event::Deleted(object) => {
                if let Some(object) = GroupObject::new(&object)
                    && self.group_uid(&object.key) == Some(object.uid())
                {
                    self.remove_group(&object.key);
                }
            }
            Event::Done(generation) => {
                let epoch = self.lists.epoch(Kind::Group);
                let groups = self.namespaces.values().flat_map(|space| space.groups.values());
                let gone = groups
                    .filter(|group| group.epoch != epoch && group.object.key.kind == GroupKind::Cr)
                    .map(|group| group.object.key.clone());
                for key in gone.collect::<Vec<_>>() {
                    self.remove_group(&key);
                }
                self.lists.done(Kind::Group, generation);
            }
        }
    }

    pub(super) fn put_group(&mut self, object: GroupObject) {
        let epoch = self.lists.epoch(Kind::Group);
        let key = object.key.clone();
        if self.group_uid(&key).is_some_and(|uid| uid != object.uid()) {
            // Deleted and made anew: another group, although nobody said that the old one went.
            self.remove_group(&key);
        }
        let sorted = self.sorted;
        let (_, space) = self.space(&key.namespace);
        let had = space.groups.get_mut(&key);
        let is_new = had.is_none();
        let (mut selector_changed, mut services_changed) = (is_new, is_new);
        let mut services = object.services.clone();
        if let Some(had) = had {
            had.epoch = epoch;
            if had.object == object {
                return;
            }
            selector_changed = had.object.selector != object.selector;
            services_changed = had.object.services != object.services;
            services.extend(had.object.services.iter().cloned());
        }
        let shared_before = space.groups.get(&key).map(|had| space.sharing(had));
        space.put_group(object, epoch);
        let lease = space.groups.get(&key).and_then(|group| group.lease.clone());
        if selector_changed && sorted {
            space.find_members(&key);
        }
        if is_new {
            self.seat_groups.insert(seat_name(&key).into(), key.clone());
            self.find_seated(&key);
        }
        if self.followed.follow(&key, lease) {
            // Another seat, which may say nothing else than the one before: it must be told all the same.
            self.forget_told_seat(&key);
            self.find_seated(&key);
        }
        self.services_touched(&key.namespace, services);
        self.sharing_touched(&key, shared_before.unwrap_or_default());
        if services_changed && key.kind == GroupKind::Cr {
            self.regroup_opted(&key.namespace);
        }
        self.touch(key, Parts::EVERY);
    }

    /// What an `ActiveStandby` names is no longer for annotations to lead, and the other way round.
    fn regroup_opted(&mut self, namespace: &Arc<str>) {
        if self.namespaces.get(namespace).is_some_and(|space| !space.opted().is_empty()) {
            self.regroup(namespace);
        }
    }

    pub(super) fn remove_group(&mut self, key: &GroupKey) {
        let (_, space) = self.space(&key.namespace);
        let Some(group) = space.take_group(key) else { return };
        let sharing = space.sharing(&group);
        self.touch_each(sharing, Part::Members);
        self.dirty.remove(key);
        self.nodes.moved(key, &group.nodes, &BTreeSet::new());
        self.seat_groups.remove(&*seat_name(key));
        self.followed.follow(key, None);
        if key.kind == GroupKind::Cr {
            self.regroup_opted(&key.namespace);
        }
        let uid = group.object.uid().clone();
        self.removed.push((key.clone(), uid));
        self.services_touched(&key.namespace, group.object.services);
        self.drop_empty_spaces();
    }

    /// What a group leads of its pods' labels is not for others to lead.
    fn sharing_touched(&mut self, key: &GroupKey, mut sharing: BTreeSet<GroupKey>) {
        let Some(space) = self.namespaces.get(&key.namespace) else { return };
        if let Some(group) = space.groups.get(key) {
            sharing.extend(space.sharing(group));
        }
        self.touch_each(sharing, Part::Members);
    }

    /// Whoever names one of these Services looks at them anew.
    fn services_touched(&mut self, namespace: &Arc<str>, services: impl IntoIterator<Item = Arc<str>>) {
        let Some(space) = self.namespaces.get(namespace) else { return };
        let mut concerned = BTreeSet::new();
        for service in services {
            concerned.extend(space.claimants(&service).cloned());
        }
        self.touch_each(concerned, Part::Services);
    }

    pub(super) fn pods_changed(&mut self, event: Event<WirePod>) {
        match event {
            Event::Refused(_) => {}
            Event::Begin => self.lists.begin(Kind::Pod),
            Event::Listed(pod) | Event::Applied(pod) => self.put_pod(&pod),
            Event::Deleted(pod) => {
                let (Some((namespace, name)), Some(uid)) = (place(&pod.metadata), &pod.metadata.uid) else {
                    return;
                };
                self.remove_pod(namespace, name, Some(&uid.as_str().into()));
            }
            Event::Done(generation) => {
                let epoch = self.lists.epoch(Kind::Pod);
                let gone = self.namespaces.iter().flat_map(|(namespace, space)| {
                    let gone = space.pods.iter().filter(|(_, pod)| pod.epoch != epoch);
                    gone.map(|(name, _)| (namespace.clone(), name.clone()))
                });
                for (namespace, name) in gone.collect::<Vec<_>>() {
                    self.remove_pod(&namespace, &name, None);
                }
                self.lists.done(Kind::Pod, generation);
            }
        }
    }

    fn put_pod(&mut self, pod: &WirePod) {
        let Some((namespace, _)) = place(&pod.metadata) else { return };
        let Some(pod) = PodLite::new(pod, &mut self.interner).map(Box::new) else { return };
        let (epoch, sorted) = (self.lists.epoch(Kind::Pod), self.sorted);
        let (namespace, space) = self.space(namespace);
        let name = pod.name.clone();
        let mut template_before = None;
        let mut marks_before = None;
        if let Some(had) = space.pods.get_mut(&name) {
            had.epoch = epoch;
            if pod.is_older_than(&had.value) || had.value == pod {
                return;
            }
            template_before = Some(had.value.template.clone());
            marks_before = had.value.marked().and_then(|marked| marked.group.clone());
        }
        let marks = pod.marked().and_then(|marked| marked.group.as_ref());
        space.marked_pods.moved(&name, marks_before.as_ref(), marks);
        space.pods.insert(name.clone(), Stored { epoch, value: pod });
        if sorted {
            let concerned = space.sort_pod(&name, template_before.as_ref().map(|template| &template.labels));
            self.members_touched(&namespace, concerned);
        }
    }

    /// Forgets a pod; `uid` where an event names it, so that a late word about its predecessor does no harm.
    fn remove_pod(&mut self, namespace: &str, name: &str, uid: Option<&Uid>) {
        let (namespace, space) = self.space(namespace);
        let Some((name, had)) = space.pods.remove_entry(name) else { return };
        if uid.is_some_and(|uid| !had.value.is(uid)) {
            space.pods.insert(name, had);
            return;
        }
        let marks = had.value.marked().and_then(|marked| marked.group.as_ref());
        space.marked_pods.moved(&name, marks, None);
        let concerned = space.sort_pod(&name, Some(&had.value.template.labels));
        self.members_touched(&namespace, concerned);
        self.drop_space_if_empty(&namespace);
    }

    fn members_touched(&mut self, namespace: &Arc<str>, concerned: BTreeSet<GroupKey>) {
        self.regroup_shared(namespace, concerned.iter().map(|key| key.kind));
        self.touch_each(concerned, Part::Members);
    }

    pub(super) fn nodes_changed(&mut self, event: Event<WireNode>, now: Duration) {
        match event {
            Event::Refused(_) => {}
            Event::Begin => self.lists.begin(Kind::Node),
            Event::Listed(node) | Event::Applied(node) => {
                let epoch = self.lists.epoch(Kind::Node);
                let Some(name) = node.metadata.name.as_deref() else { return };
                if self.nodes.upsert(&node, epoch, now, &mut self.interner) {
                    self.node_touched(name);
                }
            }
            Event::Deleted(node) => {
                let Some(name) = node.metadata.name.as_deref() else { return };
                if self.nodes.remove(name) {
                    self.node_touched(name);
                }
            }
            Event::Done(generation) => {
                for name in self.nodes.sweep(self.lists.epoch(Kind::Node)) {
                    self.node_touched(&name);
                }
                self.lists.done(Kind::Node, generation);
            }
        }
    }

    fn node_touched(&mut self, name: &str) {
        for key in self.nodes.groups_on(name) {
            self.touch(key, Part::Nodes);
        }
    }

    pub(super) fn services_changed(&mut self, event: Event<WireService>) {
        match event {
            Event::Refused(_) => {}
            Event::Begin => self.lists.begin(Kind::Service),
            Event::Listed(service) | Event::Applied(service) => self.put_service(&service),
            Event::Deleted(service) => {
                let Some((namespace, name)) = place(&service.metadata) else { return };
                self.remove_service(namespace, name);
            }
            Event::Done(generation) => {
                let epoch = self.lists.epoch(Kind::Service);
                let gone = self.namespaces.iter().flat_map(|(namespace, space)| {
                    space.services_before(epoch).map(|name| (namespace.clone(), name.clone()))
                });
                for (namespace, name) in gone.collect::<Vec<_>>() {
                    self.remove_service(&namespace, &name);
                }
                self.lists.done(Kind::Service, generation);
            }
        }
    }

    fn put_service(&mut self, service: &WireService) {
        let epoch = self.lists.epoch(Kind::Service);
        let Some((namespace, name)) = place(&service.metadata) else { return };
        let Some(value) = ServiceLite::new(service, &mut self.interner) else { return };
        let (namespace, space) = self.space(namespace);
        let change = space.put_service(name, value, epoch);
        self.service_changed(&namespace, change);
    }

    fn remove_service(&mut self, namespace: &str, name: &str) {
        let (namespace, space) = self.space(namespace);
        let change = space.drop_service(name);
        self.service_changed(&namespace, change);
        self.drop_space_if_empty(&namespace);
    }

    fn service_changed(&mut self, namespace: &Arc<str>, change: ServiceChange) {
        match change {
            ServiceChange::None => {}
            ServiceChange::Changed(name) => self.services_touched(namespace, [name]),
            ServiceChange::AsksOtherwise(name) => {
                self.services_touched(namespace, [name]);
                self.regroup(namespace);
            }
        }
    }

    fn drop_space_if_empty(&mut self, namespace: &str) {
        if self.namespaces.get(namespace).is_some_and(Namespace::is_empty) {
            self.namespaces.remove(namespace);
        }
    }

    pub(super) fn slices_changed(&mut self, event: Event<EndpointSlice>) {
        match event {
            Event::Refused(_) => {}
            Event::Begin => self.lists.begin(Kind::Slice),
            Event::Listed(slice) | Event::Applied(slice) => {
                let epoch = self.lists.epoch(Kind::Slice);
                let Some((namespace, _)) = place(&slice.metadata) else { return };
                let Some(lite) = SliceLite::new(&slice) else { return };
                let (namespace, space) = self.space(namespace);
                let concerned = space.put_slice(lite, epoch);
                self.services_touched(&namespace, concerned);
            }
            Event::Deleted(slice) => {
                let Some((namespace, name)) = place(&slice.metadata) else { return };
                self.remove_slice(namespace, name);
            }
            Event::Done(generation) => {
                let epoch = self.lists.epoch(Kind::Slice);
                let gone = self.namespaces.iter().flat_map(|(namespace, space)| {
                    let gone = space.slices.iter().filter(|(_, slice)| slice.epoch != epoch);
                    gone.map(|(name, _)| (namespace.clone(), name.clone()))
                });
                for (namespace, name) in gone.collect::<Vec<_>>() {
                    self.remove_slice(&namespace, &name);
                }
                self.lists.done(Kind::Slice, generation);
            }
        }
    }

    fn remove_slice(&mut self, namespace: &str, name: &str) {
        let (namespace, space) = self.space(namespace);
        let concerned = space.drop_slice(name);
        self.services_touched(&namespace, concerned);
        self.drop_space_if_empty(&namespace);
    }

    pub(super) fn seats_changed(&mut self, event: Event<Lease>) {
        match event {
            Event::Refused(_) => {}
            Event::Begin => self.lists.begin(Kind::Seat),
            Event::Listed(lease) | Event::Applied(lease) => self.put_seat(&lease),
            Event::Deleted(lease) => {
                let Some((_, name)) = place(&lease.metadata) else { return };
                self.remove_seat(name);
            }
            Event::Done(generation) => {
                let epoch = self.lists.epoch(Kind::Seat);
                let gone = self.seats.iter().filter(|(_, seat)| seat.epoch != epoch);
                for name in gone.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
                    self.remove_seat(&name);
                }
                self.lists.done(Kind::Seat, generation);
            }
        }
    }

    fn put_seat(&mut self, lease: &Lease) {
        let epoch = self.lists.epoch(Kind::Seat);
        let Some((_, name)) = place(&lease.metadata) else { return };
        let group = seat_group(lease);
        // Our namespace may hold other Leases, leader elections for example: not ours, not kept.
        let is_seat = group.is_some() || self.seat_groups.contains_key(name) || is_seat_name(name);
        let Some(record) = seat_record(lease).filter(|_| is_seat) else { return };
        let value = SeatEntry { record, group };
        if let Some(had) = self.seats.get_mut(name) {
            had.epoch = epoch;
            if had.value == value {
                return;
            }
        }
        self.seats.insert(name.into(), Stored { epoch, value });
        self.seat_touched(name);
    }

    fn remove_seat(&mut self, name: &str) {
        if self.seats.remove(name).is_some() {
            self.seat_touched(name);
        }
    }

    fn seat_touched(&mut self, name: &str) {
        let Some(key) = self.seat_groups.get(name).cloned() else { return };
        let moved = self.find_seated(&key);
        self.touch(key.clone(), Part::Seat);
        if moved {
            self.touch(key, Part::Members);
        }
    }

    /// Notes whom the seat of a group names; only a sealed record is believed. Tells whether that changed.
    ///
    /// A seat edited by hand must not make us follow a pod that the group does not own.
    fn find_seated(&mut self, key: &GroupKey) -> bool {
        let sealed = self.seat_of(key).and_then(|seat| seat.record.sealed());
        let Some(uid) = self.group_uid(key) else { return false };
        // Where others elect, what a seat of ours said before is nobody's word.
        let sealed = sealed.filter(|_| !self.followed.is_followed_by(key));
        let seated = sealed.filter(|marks| marks.group_uid == *uid).map(seated).unwrap_or_default();
        let Some(space) = self.namespaces.get_mut(&key.namespace) else { return false };
        space.set_seated(key, seated)
    }

    pub(super) fn replica_sets_changed(&mut self, event: Event<WireReplicaSet>) {
        match event {
            Event::Refused(_) => {}
            Event::Begin => self.lists.begin(Kind::ReplicaSet),
            Event::Listed(set) | Event::Applied(set) => {
                let revision = set.metadata.annotations.as_ref().and_then(|all| all.get(DEPLOYMENT_REVISION));
                let revision = revision.and_then(|text| text.parse().ok());
                // Deployments keep old, empty ReplicaSets by the dozen: nobody asks for their rank.
                let pods = set.spec.replicas.unwrap_or(1).max(set.status.replicas.unwrap_or(0));
                let Some((namespace, name)) = place(&set.metadata) else { return };
                self.put_replica_set(namespace, name, revision.filter(|_| pods > 0));
            }
            Event::Deleted(set) => {
                let Some((namespace, name)) = place(&set.metadata) else { return };
                self.put_replica_set(namespace, name, None);
            }
            Event::Done(generation) => {
                let epoch = self.lists.epoch(Kind::ReplicaSet);
                for space in self.namespaces.values_mut() {
                    space.replica_sets.retain(|_, set| set.epoch == epoch);
                }
                self.drop_empty_spaces();
                self.lists.done(Kind::ReplicaSet, generation);
            }
        }
    }

    fn put_replica_set(&mut self, namespace: &str, name: &str, revision: Option<u64>) {
        let epoch = self.lists.epoch(Kind::ReplicaSet);
        let (namespace, space) = self.space(namespace);
        let had = match revision {
            Some(value) => space.replica_sets.insert(name.into(), Stored { epoch, value }),
            None => space.replica_sets.remove(name),
        };
        if had.map(|had| had.value) != revision {
            let concerned = space.groups_of_owner(OwnerKind::ReplicaSet, name);
            self.touch_each(concerned, Part::Members);
        }
        self.drop_space_if_empty(&namespace);
    }

    pub(super) fn stateful_sets_changed(&mut self, event: Event<WireStatefulSet>) {
        match event {
            Event::Refused(_) => {}
            Event::Begin => self.lists.begin(Kind::StatefulSet),
            Event::Listed(set) | Event::Applied(set) => {
                let Some((namespace, name)) = place(&set.metadata) else { return };
                self.put_stateful_set(namespace, name, set.status.update_revision.as_deref());
            }
            Event::Deleted(set) => {
                let Some((namespace, name)) = place(&set.metadata) else { return };
                self.put_stateful_set(namespace, name, None);
            }
            Event::Done(generation) => {
                let epoch = self.lists.epoch(Kind::StatefulSet);
                for space in self.namespaces.values_mut() {
                    space.stateful_sets.retain(|_, set| set.epoch == epoch);
                }
                self.drop_empty_spaces();
                self.lists.done(Kind::StatefulSet, generation);
            }
        }
    }

    fn put_stateful_set(&mut self, namespace: &str, name: &str, revision: Option<&str>) {
        let epoch = self.lists.epoch(Kind::StatefulSet);
        let (namespace, space) = self.space(namespace);
        let had = match revision {
            Some(value) => space.stateful_sets.insert(name.into(), Stored { epoch, value: value.into() }),
            None => space.stateful_sets.remove(name),
        };
        if had.as_ref().map(|had| &*had.value) != revision {
            let concerned = space.groups_of_owner(OwnerKind::StatefulSet, name);
            self.touch_each(concerned, Part::Members);
        }
        self.drop_space_if_empty(&namespace);
    }
}
