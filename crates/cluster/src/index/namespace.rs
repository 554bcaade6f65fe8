//! One namespace: its objects, and which group each of them concerns.

use super::group::GroupObject;
use super::lists::Stored;
use super::marked::MarkedNames;
use super::selectors::Selectors;
use super::service::ServiceLite;
use crate::api::Selector;
use crate::pod::{Labels, Lens, OwnerKind, Owners, PodLite, Rival};
use crate::slice::SliceLite;
use hotstandby_core::ids::{GroupKey, GroupKind, Uid};
use hotstandby_core::labels::led_keys;
use hotstandby_core::view::Family;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// A group and what belongs to it.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) epoch: u32,
    pub(super) object: GroupObject,
    /// The last valid selector: a slip of the pen must not empty the group.
    pub(super) selector: Option<Arc<Selector>>,
    /// The Lease that is followed, by the last valid spec.
    pub(super) lease: Option<Arc<str>>,
    /// Pods the selector picks, of any phase.
    pub(super) members: BTreeSet<Arc<str>>,
    /// Keys of the labels it leads, by the last valid spec.
    pub(super) led: Arc<[Arc<str>]>,
    /// The pods a sealed seat names: the holder, and those it waits for.
    pub(super) seated: Vec<(Arc<str>, Uid)>,
    /// Nodes of the members as last told.
    pub(super) nodes: BTreeSet<Arc<str>>,
    /// What was last told of each part, as a hash: the core keeps the views themselves.
    pub(super) told: [Option<u64>; 6],
}

impl Group {
    /// An annotated Service made it, and an `ActiveStandby` took that: it leads nothing.
    pub(super) fn is_taken(&self) -> bool {
        self.object.key.kind == GroupKind::Svc && self.object.services.is_empty()
    }
}

/// A group's claim on a Service: an `ActiveStandby` wins, then the oldest, and ties end by UID.
type Claim = (GroupKind, i64, Uid, GroupKey);

/// What became of a Service.
#[derive(Debug)]
pub(super) enum ServiceChange {
    /// Nothing that matters.
    None,
    /// Whoever names it looks at it anew.
    Changed(Arc<str>),
    /// The same, and it asks for another group, or for one no more.
    AsksOtherwise(Arc<str>),
}

impl ServiceChange {
    const fn of(name: Arc<str>, asks_otherwise: bool) -> Self {
        if asks_otherwise { Self::AsksOtherwise(name) } else { Self::Changed(name) }
    }
}

/// One namespace.
#[derive(Debug, Default)]
pub(super) struct Namespace {
    pub(super) groups: HashMap<GroupKey, Group>,
    selectors: Selectors,
    pub(super) pods: HashMap<Arc<str>, Stored<Box<PodLite>>>,
    seated: HashMap<Arc<str>, BTreeSet<GroupKey>>,
    pub(super) marked_pods: MarkedNames,
    services: HashMap<Arc<str>, Stored<ServiceLite>>,
    pub(super) marked_services: MarkedNames,
    /// Those of them whose annotations ask for a group; mostly none.
    opted: BTreeSet<Arc<str>>,
    /// Sorted; nearly always one.
    claims: HashMap<Arc<str>, Vec<Claim>>,
    pub(super) slices: HashMap<Arc<str>, Stored<SliceLite>>,
    slices_of: HashMap<Arc<str>, Vec<Arc<str>>>,
    pub(super) replica_sets: HashMap<Arc<str>, Stored<u64>>,
    pub(super) stateful_sets: HashMap<Arc<str>, Stored<Arc<str>>>,
}

impl Namespace {
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
            && self.pods.is_empty()
            && self.services.is_empty()
            && self.slices.is_empty()
            && self.replica_sets.is_empty()
            && self.stateful_sets.is_empty()
    }

    /// Stores a group's object. Members are found by [`Namespace::find_members`].
    pub(super) fn put_group(&mut self, object: GroupObject, epoch: u32) {
        let key = object.key.clone();
        let had = self.groups.remove(&key);
        self.drop_claims(had.as_ref().map(|had| &had.object));
        for service in &object.services {
            let (kind, created_ms, uid) = object.precedence();
            let claim = (kind, created_ms, uid.clone(), key.clone());
            let claims = self.claims.entry(service.clone()).or_default();
            claims.push(claim);
            claims.sort();
        }
        let mut group = had.unwrap_or_else(|| Group {
            epoch,
            object: object.clone(),
            selector: None,
            lease: None,
            members: BTreeSet::new(),
            led: Arc::default(),
            seated: Vec::new(),
            nodes: BTreeSet::new(),
            told: [None; 6],
        });
        if object.selector.is_some() {
            self.selectors.insert(&key, &object.pairs);
            group.selector.clone_from(&object.selector);
        }
        if let Ok(spec) = &object.view.spec {
            group.lease = spec.followed().map(|follow| follow.lease.clone());
            group.led = led_keys(spec).map(Into::into).collect();
        }
        group.epoch = epoch;
        group.object = object;
        self.groups.insert(key, group);
    }

    /// Removes a group.
    pub(super) fn take_group(&mut self, key: &GroupKey) -> Option<Group> {
        let group = self.groups.remove(key)?;
        self.selectors.remove(key);
        self.drop_claims(Some(&group.object));
        self.drop_seated(key, &group.seated);
        Some(group)
    }

    fn drop_claims(&mut self, object: Option<&GroupObject>) {
        let Some(object) = object else { return };
        for service in &object.services {
            if let Some(claims) = self.claims.get_mut(service) {
                claims.retain(|(.., group)| *group != object.key);
                if claims.is_empty() {
                    self.claims.remove(service);
                }
            }
        }
    }

    fn drop_seated(&mut self, group: &GroupKey, seated: &[(Arc<str>, Uid)]) {
        for (pod, _) in seated {
            if let Some(groups) = self.seated.get_mut(pod) {
                groups.remove(group);
                if groups.is_empty() {
                    self.seated.remove(pod);
                }
            }
        }
    }

    /// Notes whom a group's seat names; tells whether that is news.
    pub(super) fn set_seated(&mut self, group: &GroupKey, seated: Vec<(Arc<str>, Uid)>) -> bool {
        let Some(entry) = self.groups.get_mut(group) else { return false };
        if entry.seated == seated {
            return false;
        }
        let had = std::mem::replace(&mut entry.seated, seated.clone());
        self.drop_seated(group, &had);
        for (pod, _) in seated {
            self.seated.entry(pod).or_default().insert(group.clone());
        }
        true
    }

    /// Looks through all pods for a group's members.
    pub(super) fn find_members(&mut self, group: &GroupKey) {
        let Some(entry) = self.groups.get_mut(group) else { return };
        let Some(selector) = entry.selector.clone() else { return };
        let picked = self.pods.iter().filter(|(_, pod)| picks(&selector, &pod.value.template.labels));
        entry.members = picked.map(|(name, _)| name.clone()).collect();
    }

    /// Sorts one pod, or the place where it was, into the groups; returns those it concerns.
    pub(super) fn sort_pod(&mut self, name: &Arc<str>, before: Option<&Labels>) -> BTreeSet<GroupKey> {
        let template = self.pods.get(name).map(|pod| pod.value.template.clone());
        let labels = template.as_ref().map(|template| &template.labels);
        let mut concerned: BTreeSet<_> = self.seated.get(name).into_iter().flatten().cloned().collect();
        let mut candidates: BTreeSet<_> =
            before.map(|labels| self.selectors.candidates(labels)).into_iter().flatten().collect();
        if let Some(labels) = labels.filter(|labels| Some(*labels) != before) {
            candidates.extend(self.selectors.candidates(labels));
        }
        for candidate in candidates {
            let Some(group) = self.groups.get_mut(&candidate) else { continue };
            let picked = labels.is_some_and(|labels| {
                group.selector.as_ref().is_some_and(|selector| picks(selector, labels))
            });
            let was_member =
                if picked { !group.members.insert(name.clone()) } else { group.members.remove(name) };
            if picked || was_member {
                concerned.insert(candidate);
            }
        }
        concerned
    }

    /// The groups of which a pod is a member by their selectors.
    pub(super) fn groups_of(&self, pod: &PodLite) -> impl Iterator<Item = &Group> {
        let candidates = self.selectors.candidates(&pod.template.labels);
        let groups = candidates.into_iter().filter_map(|key| self.groups.get(&key));
        groups.filter(|group| group.members.contains(&pod.name))
    }

    /// The groups that name a Service.
    pub(super) fn claimants(&self, service: &str) -> impl Iterator<Item = &GroupKey> {
        self.claims.get(service).into_iter().flatten().map(|(.., group)| group)
    }

    /// The group that may feed a Service.
    pub(super) fn owner_of(&self, service: &str) -> Option<&GroupKey> {
        self.claims.get(service)?.first().map(|(.., group)| group)
    }

    /// The `ActiveStandby` that names a Service, if one does.
    pub(super) fn active_standby_of(&self, service: &str) -> Option<&GroupKey> {
        self.owner_of(service).filter(|owner| owner.kind == GroupKind::Cr)
    }

    /// A Service, if it was seen.
    pub(super) fn service(&self, name: &str) -> Option<&ServiceLite> {
        self.services.get(name).map(|service| &service.value)
    }

    /// Services whose annotations ask for a group.
    pub(super) fn opted(&self) -> &BTreeSet<Arc<str>> {
        &self.opted
    }

    /// Stores a Service; tells what that means for others.
    pub(super) fn put_service(&mut self, name: &str, service: ServiceLite, epoch: u32) -> ServiceChange {
        if let Some(had) = self.services.get_mut(name) {
            had.epoch = epoch;
            if had.value == service {
                return ServiceChange::None;
            }
        }
        let (name, opted, uid): (Arc<str>, _, _) = (name.into(), service.opted.clone(), service.uid.clone());
        let marks = service.group_marks().cloned();
        let had = self.services.insert(name.clone(), Stored { epoch, value: service });
        let marks_before = had.as_ref().and_then(|had| had.value.group_marks());
        self.marked_services.moved(&name, marks_before, marks.as_ref());
        if opted.is_some() {
            self.opted.insert(name.clone());
        } else {
            self.opted.remove(&name);
        }
        let asked = had.and_then(|had| Some((had.value.opted?, had.value.uid)));
        ServiceChange::of(name, asked != opted.map(|opted| (opted, uid)))
    }

    /// Forgets a Service.
    pub(super) fn drop_service(&mut self, name: &str) -> ServiceChange {
        let Some((name, had)) = self.services.remove_entry(name) else { return ServiceChange::None };
        self.opted.remove(&name);
        self.marked_services.moved(&name, had.value.group_marks(), None);
        ServiceChange::of(name, had.value.opted.is_some())
    }

    /// Services that the list of `epoch` did not name.
    pub(super) fn services_before(&self, epoch: u32) -> impl Iterator<Item = &Arc<str>> {
        self.services.iter().filter(move |(_, service)| service.epoch != epoch).map(|(name, _)| name)
    }

    /// Stores a slice; returns the Services it concerns, or concerned.
    pub(super) fn put_slice(&mut self, slice: SliceLite, epoch: u32) -> BTreeSet<Arc<str>> {
        let name = slice.name.clone();
        let mut concerned = BTreeSet::new();
        if let Some(had) = self.slices.get_mut(&name) {
            had.epoch = epoch;
            if had.value == slice {
                return concerned;
            }
            concerned = self.drop_slice(&name);
        }
        concerned.extend(services_of(&slice));
        for service in services_of(&slice) {
            self.slices_of.entry(service).or_default().push(name.clone());
        }
        self.slices.insert(name, Stored { epoch, value: slice });
        concerned
    }

    /// Removes a slice; returns the Services it concerned.
    pub(super) fn drop_slice(&mut self, name: &str) -> BTreeSet<Arc<str>> {
        let Some(had) = self.slices.remove(name) else { return BTreeSet::new() };
        let concerned = services_of(&had.value);
        for service in &concerned {
            if let Some(slices) = self.slices_of.get_mut(service) {
                slices.retain(|slice| **slice != *name);
                if slices.is_empty() {
                    self.slices_of.remove(service);
                }
            }
        }
        concerned
    }

    /// Slices that feed a Service, or stand under our name for it.
    pub(super) fn slices_of(&self, service: &str) -> impl Iterator<Item = &SliceLite> {
        let names = self.slices_of.get(service).into_iter().flatten();
        names.filter_map(|name| self.slices.get(name)).map(|slice| &slice.value)
    }

    /// How a group looks at pods.
    pub(super) fn lens(&self, group: &Group) -> Lens {
        let seated = group.seated.iter().map(|(name, _)| name);
        let mut owners = Owners::default();
        for name in group.members.iter().chain(seated) {
            let owner = self.pods.get(name).and_then(|pod| pod.value.template.owner.clone());
            match owner {
                Some((OwnerKind::ReplicaSet, name)) => {
                    if let Some(revision) = self.replica_sets.get(&name) {
                        owners.replica_sets.insert(name, revision.value);
                    }
                }
                Some((OwnerKind::StatefulSet, name)) => {
                    if let Some(revision) = self.stateful_sets.get(&name) {
                        owners.stateful_sets.insert(name, revision.value.clone());
                    }
                }
                None => {}
            }
        }
        Lens {
            selector: group.selector.clone(),
            critical: group.object.critical.clone(),
            led: group.led.clone(),
            owners,
            rivals: self.rivals(group),
        }
    }

    /// Other groups that lead labels of a group's members. Of two that would, one may: that which does already, or else that by
    /// which a Service would be claimed.
    fn rivals(&self, group: &Group) -> Vec<Rival> {
        let is_first = |other: &Group| match (self.marks(other, group), self.marks(group, other)) {
            (true, false) => true,
            (false, true) => false,
            _ => other.object.precedence() < group.object.precedence(),
        };
        let rivals = self.sharing(group).into_iter().filter_map(|key| {
            let other = self.groups.get(&key)?;
            let leads = !other.led.is_empty() && !other.is_taken();
            let is_rival = leads && (group.led.is_empty() || is_first(other));
            is_rival.then_some(Rival { key, selector: other.selector.clone()? })
        });
        rivals.collect()
    }

    /// Whether a group has marked a pod that is another's, too.
    fn marks(&self, group: &Group, other: &Group) -> bool {
        group.members.intersection(&other.members).any(|name| {
            let marked = self.pods.get(name).and_then(|pod| pod.value.marked());
            let made_for = marked.and_then(|marked| marked.group.as_ref()).map(|marks| &marks.group_uid);
            made_for == Some(group.object.uid())
        })
    }

    /// Other groups of which some member of this one is a member, too.
    pub(super) fn sharing(&self, group: &Group) -> BTreeSet<GroupKey> {
        let members = group.members.iter().filter_map(|name| self.pods.get(name));
        let groups = members.flat_map(|pod| self.groups_of(&pod.value)).map(|other| &other.object.key);
        groups.filter(|key| **key != group.object.key).cloned().collect()
    }

    /// Groups with a member that this owner made.
    pub(super) fn groups_of_owner(&self, kind: OwnerKind, owner: &str) -> Vec<GroupKey> {
        let owned = |pod: &Arc<str>| {
            let owner_of = self.pods.get(pod).and_then(|pod| pod.value.template.owner.as_ref());
            owner_of.is_some_and(|(have, name)| *have == kind && **name == *owner)
        };
        let groups = self.groups.iter().filter(|(_, group)| group.members.iter().any(owned));
        groups.map(|(key, _)| key.clone()).collect()
    }
}

fn picks(selector: &Selector, labels: &Labels) -> bool {
    selector.matches_by(|key| labels.get(key))
}

/// The Service a slice feeds by its label, and the one it stands for by its name, if it is one of our names.
fn services_of(slice: &SliceLite) -> BTreeSet<Arc<str>> {
    let by_name = [Family::Ipv4, Family::Ipv6].into_iter().find_map(|family| {
        let service = slice.name.strip_suffix(family.suffix())?.strip_suffix("-hotstandby-")?;
        (!service.is_empty()).then(|| Arc::from(service))
    });
    slice.service.clone().into_iter().chain(by_name).collect()
}
