//! From watch events to what each group is told.
//!
//! Pure: no client and no clock. One owner applies every change and drains what is due. A group is told whole
//! views, only of parts that changed, and nothing at all before every list was read once: half a picture is worse
//! than none. What a later list no longer names is gone, although no event ever said so.
//!
//! Per event the work grows with the groups and members it concerns, never with all there are, but for three rare
//! cases: a new selector looks through its namespace's pods, an owner's new revision through its namespace's groups,
//! and an ill control plane concerns everybody.

mod annotated;
mod apply;
mod cleanup;
mod followed;
mod group;
mod grouping;
mod lists;
mod marked;
mod namespace;
mod nodes;
mod selectors;
mod service;
mod views;

pub(crate) use annotated::is_asking;
pub use cleanup::{Leftover, LeftoverKind, RemovedGroup};
pub use followed::LeaseWatch;
pub use group::GroupObject;
pub use lists::Watched;
pub(crate) use service::selecting_service;

use crate::api::ActiveStandby;
use crate::extras::Extras;
use crate::live::Sight;
use crate::marks::GroupMarks;
use crate::pod::Interner;
use crate::seat::seat_name;
use crate::status::ObservedStatus;
use crate::watch::Event;
use crate::wire::{WireNode, WirePod, WireReplicaSet, WireService, WireStatefulSet};
use followed::Followed;
use hotstandby_core::ids::{GroupKey, Uid};
use hotstandby_core::observation::Observation;
use hotstandby_core::seat::SeatRecord;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::core::DeserializeGuard;
use lists::{Kind, Lists, Stored};
use namespace::Namespace;
use nodes::Nodes;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use views::{Part, Parts};

/// Groups told by one drain: bounds the memory of a start, when everybody is told everything.
const DRAIN: usize = 256;

/// One thing a watch told.
#[derive(Clone, Debug)]
pub enum Change {
    /// Of the groups. Guarded, so that one that cannot be read does not end the watch.
    Group(Box<Event<DeserializeGuard<ActiveStandby>>>),
    /// Of the pods.
    Pod(Box<Event<WirePod>>),
    /// Of the nodes.
    Node(Box<Event<WireNode>>),
    /// Of the Services.
    Service(Box<Event<WireService>>),
    /// Of the slices, ours and others.
    Slice(Box<Event<EndpointSlice>>),
    /// Of the Leases in our own namespace.
    Seat(Box<Event<Lease>>),
    /// Of Leases that groups follow, told by this watch.
    Lease(Arc<LeaseWatch>, Box<Event<Lease>>),
    /// Of the `ReplicaSets`.
    ReplicaSet(Box<Event<WireReplicaSet>>),
    /// Of the `StatefulSets`.
    StatefulSet(Box<Event<WireStatefulSet>>),
}

/// What is due. Removed groups come first: one may have been made anew under its name.
#[derive(Debug, Default)]
pub struct Drained {
    /// Groups that are gone.
    pub removed: Vec<RemovedGroup>,
    /// What the living ones are told, in order.
    pub observations: Vec<(GroupKey, Observation)>,
    /// More is due at once: a drain tells few enough groups that others are not kept waiting.
    pub more: bool,
}

/// A seat as kept.
#[derive(Clone, Debug, PartialEq)]
struct SeatEntry {
    record: SeatRecord,
    group: Option<GroupMarks>,
}

/// Everything known, by namespace.
pub struct Index {
    controller: Arc<str>,
    lists: Lists,
    interner: Interner,
    namespaces: HashMap<Arc<str>, Namespace>,
    nodes: Nodes,
    seats: HashMap<Arc<str>, Stored<SeatEntry>>,
    seat_groups: HashMap<Arc<str>, GroupKey>,
    followed: Followed,
    /// Members are sorted when pods and all that makes groups were listed once: one pass instead of one per group.
    sorted: bool,
    dirty: HashMap<GroupKey, Parts>,
    removed: Vec<(GroupKey, Uid)>,
    hasher: RandomState,
}

impl Index {
    /// An empty index of the install with this controller name.
    pub fn new(controller: Arc<str>, watched: Watched) -> Self {
        Self {
            controller,
            lists: Lists::new(watched),
            interner: Interner::default(),
            namespaces: HashMap::new(),
            nodes: Nodes::default(),
            seats: HashMap::new(),
            seat_groups: HashMap::new(),
            followed: Followed::default(),
            sorted: false,
            dirty: HashMap::new(),
            removed: Vec::new(),
            hasher: RandomState::new(),
        }
    }

    /// Whether everything was listed once.
    pub fn is_synced(&self) -> bool {
        self.lists.generation() > 0
    }

    /// The newest generation of lists that is complete for every kind, see [`crate::watch::Relister::relist`].
    pub fn generation(&self) -> u64 {
        self.lists.generation()
    }

    /// The groups there are.
    pub fn groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.namespaces.values().flat_map(|space| space.groups.values()).map(|group| &group.object.key)
    }

    /// UID of a group, for Events and for the sweep.
    pub fn group_uid(&self, key: &GroupKey) -> Option<&Uid> {
        self.namespaces.get(&key.namespace)?.groups.get(key).map(|group| group.object.uid())
    }

    /// The status of a group as last seen, to be merged with.
    pub fn status(&self, key: &GroupKey) -> Option<ObservedStatus> {
        let space = self.namespaces.get(&key.namespace)?;
        space.groups.get(key).map(|group| group.object.status())
    }

    /// How a group looks at the cluster, for live reads.
    pub fn sight(&self, key: &GroupKey) -> Option<Sight> {
        let space = self.namespaces.get(&key.namespace)?;
        let group = space.groups.get(key)?;
        Some(Sight { lens: space.lens(group), lease: group.lease.clone() })
    }

    /// The Leases to watch beside our own seats, if that has changed since it was last asked.
    pub fn lease_watches(&mut self) -> Option<Vec<LeaseWatch>> {
        self.followed.watches()
    }

    /// What others put on a slice of ours, for the write over it.
    pub fn slice_extras(&self, namespace: &str, name: &str) -> Extras {
        let slice = self.namespaces.get(namespace).and_then(|space| space.slices.get(name));
        slice.and_then(|slice| slice.value.own.as_ref()).map(|own| own.extras.clone()).unwrap_or_default()
    }

    /// When [`Index::drain`] is due even if nothing happens.
    pub fn next_tick(&self, now: Duration) -> Option<Duration> {
        self.nodes.next_judgement(now).into_iter().chain(self.followed.next_lapse()).min()
    }

    /// Takes in one change, seen at `now` (monotonic).
    pub fn apply(&mut self, change: Change, now: Duration) {
        match change {
            Change::Group(event) => self.groups_changed(*event),
            Change::Pod(event) => self.pods_changed(*event),
            Change::Node(event) => self.nodes_changed(*event, now),
            Change::Service(event) => self.services_changed(*event),
            Change::Slice(event) => self.slices_changed(*event),
            Change::Seat(event) => self.seats_changed(*event),
            Change::Lease(watch, event) => self.leases_changed(&watch, *event, now),
            Change::ReplicaSet(event) => self.replica_sets_changed(*event),
            Change::StatefulSet(event) => self.stateful_sets_changed(*event),
        }
        let needed = [Kind::Group, Kind::Service, Kind::Pod];
        if !self.sorted && needed.into_iter().all(|kind| self.lists.is_complete(kind)) {
            self.sort_all();
        }
    }

    /// What is due now.
    pub fn drain(&mut self, now: Duration) -> Drained {
        if self.nodes.judge(now) {
            self.touch_all(Part::Nodes);
        }
        for groups in self.followed.lapse(now) {
            self.touch_each(groups, Part::Lapse);
        }
        // Looked for only now: what one left behind may be another's by now.
        let removed = std::mem::take(&mut self.removed).into_iter().map(|(key, uid)| {
            let leftovers = self.leftovers_of(self.namespaces.get(&key.namespace), &key, &uid);
            RemovedGroup { key, uid, leftovers }
        });
        let removed = removed.collect();
        let mut observations = Vec::new();
        if self.is_synced() {
            let due: Vec<GroupKey> = self.dirty.keys().take(DRAIN).cloned().collect();
            for key in due {
                if let Some(parts) = self.dirty.remove(&key) {
                    self.tell(&key, parts, &mut observations);
                }
            }
        }
        let more = self.is_synced() && !self.dirty.is_empty();
        Drained { removed, observations, more }
    }

    /// Builds the parts of a group that may have changed, and tells those that did.
    fn tell(&mut self, key: &GroupKey, parts: Parts, out: &mut Vec<(GroupKey, Observation)>) {
        let Some(mut space) = self.namespaces.remove(&key.namespace) else { return };
        if let Some(mut group) = space.groups.remove(key) {
            // Where members changed, so may have their nodes.
            let parts = if parts.has(Part::Members) { parts.with(Part::Nodes) } else { parts };
            if parts.has(Part::Nodes) {
                let names = views::node_names(&space, &group);
                self.nodes.moved(key, &group.nodes, &names);
                group.nodes = names;
            }
            for (told, part) in group.told.clone().iter().zip(Part::ALL) {
                if !parts.has(part) || part == Part::Lapse && group.lease.is_none() {
                    continue;
                }
                let view = views::build(self, &space, &group, part);
                let print = self.fingerprint(&view);
                if *told != Some(print) {
                    out.push((key.clone(), view));
                    if let Some(slot) = group.told.iter_mut().zip(Part::ALL).find(|(_, of)| *of == part) {
                        *slot.0 = Some(print);
                    }
                }
            }
            space.groups.insert(key.clone(), group);
        }
        self.namespaces.insert(key.namespace.clone(), space);
    }

    /// A hash of a view: enough to know that it is the same as before, without keeping it.
    fn fingerprint(&self, view: &Observation) -> u64 {
        let mut text = HashWriter(self.hasher.build_hasher());
        // Writing into a hasher cannot fail.
        let _ = write!(text, "{view:?}");
        text.0.finish()
    }

    fn touch(&mut self, key: GroupKey, parts: impl Into<Parts>) {
        let slot = self.dirty.entry(key).or_default();
        *slot = slot.and(parts.into());
    }

    fn touch_each(&mut self, keys: impl IntoIterator<Item = GroupKey>, parts: impl Into<Parts>) {
        let parts = parts.into();
        for key in keys {
            self.touch(key, parts);
        }
    }

    fn touch_all(&mut self, part: Part) {
        let keys: Vec<_> = self.groups().cloned().collect();
        self.touch_each(keys, part);
    }

    fn space(&mut self, namespace: &str) -> (Arc<str>, &mut Namespace) {
        let name = self.interner.text(namespace);
        (name.clone(), self.namespaces.entry(name).or_default())
    }

    fn drop_empty_spaces(&mut self) {
        self.namespaces.retain(|_, space| !space.is_empty());
    }

    fn seat_of(&self, key: &GroupKey) -> Option<&SeatEntry> {
        self.seats.get(&*seat_name(key)).map(|seat| &seat.value)
    }

    fn sort_all(&mut self) {
        let annotated = self.namespaces.iter().filter(|(_, space)| !space.opted().is_empty());
        let annotated: Vec<_> = annotated.map(|(namespace, _)| namespace.clone()).collect();
        for namespace in &annotated {
            self.put_annotated(namespace);
        }
        self.sorted = true;
        let mut touched = Vec::new();
        for space in self.namespaces.values_mut() {
            if space.groups.is_empty() {
                continue;
            }
            let pods: Vec<_> = space.pods.keys().cloned().collect();
            for pod in pods {
                space.sort_pod(&pod, None);
            }
            touched.extend(space.groups.keys().cloned());
        }
        self.touch_each(touched, Parts::EVERY);
        for namespace in &annotated {
            self.refuse_overlaps(namespace);
        }
    }
}

struct HashWriter<H>(H);

impl<H: Hasher> std::fmt::Write for HashWriter<H> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
