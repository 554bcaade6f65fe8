//! From annotated Services to groups.
//!
//! Services of a namespace that are for the same pods make one group, called after the oldest of them: they must agree. Those
//! that are for some of the same pods cannot agree, so the younger is refused. An `ActiveStandby` that names a Service takes
//! it, whatever its annotations say.

use super::Index;
use super::annotated::OptIn;
use super::group::GroupObject;
use super::namespace::Namespace;
use crate::api::Selector;
use crate::names;
use hotstandby_core::ids::{GroupKey, GroupKind, Uid};
use hotstandby_core::spec::{GroupSpec, MOST_SERVICES, RoleLabel, SpecError};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Services for the same pods, the oldest first.
struct Alike<'a> {
    services: Vec<Asking<'a>>,
}

/// A Service that asks for a group.
#[derive(Clone, Copy)]
struct Asking<'a> {
    name: &'a Arc<str>,
    uid: &'a Uid,
    opted: &'a OptIn,
}

impl Index {
    /// Makes the groups of a namespace's annotated Services what they should be by now.
    pub(super) fn regroup(&mut self, namespace: &Arc<str>) {
        if !self.sorted {
            return; // done for all at once, when every list it depends on was read
        }
        self.put_annotated(namespace);
        self.refuse_overlaps(namespace);
    }

    /// The same where a change concerns two groups of Services or more: only then may they have come to share a pod, or
    /// ceased to.
    pub(super) fn regroup_shared(
        &mut self,
        namespace: &Arc<str>,
        concerned: impl IntoIterator<Item = GroupKind>,
    ) {
        if concerned.into_iter().filter(|kind| *kind == GroupKind::Svc).count() > 1 {
            self.regroup(namespace);
        }
    }

    /// Makes the groups without a look at their members.
    pub(super) fn put_annotated(&mut self, namespace: &Arc<str>) {
        let Some(space) = self.namespaces.get(namespace) else { return };
        let planned = plan(space, namespace);
        let keys: HashSet<&GroupKey> = planned.iter().map(|object| &object.key).collect();
        let of_services = space.groups.keys().filter(|key| key.kind == GroupKind::Svc);
        let gone: Vec<GroupKey> = of_services.filter(|key| !keys.contains(*key)).cloned().collect();
        // The new ones first: what those that go leave behind may be theirs.
        for object in planned {
            self.put_group(object);
        }
        for key in gone {
            self.remove_group(&key);
        }
    }

    /// Refuses each group of Services that shares a pod with an older one. What it leads to stays as it is: its pods are no
    /// less fit than before, and a label that somebody put on a pod must not open a Service to all of them.
    pub(super) fn refuse_overlaps(&mut self, namespace: &Arc<str>) {
        let Some(space) = self.namespaces.get(namespace) else { return };
        for (key, error) in overlaps(space) {
            let Some(group) = self.namespaces.get(namespace).and_then(|space| space.groups.get(&key)) else {
                continue;
            };
            let mut object = group.object.clone();
            object.view.spec = Err(error);
            self.put_group(object);
        }
    }
}

/// The groups that a namespace's annotated Services make, or would make.
fn plan(space: &Namespace, namespace: &Arc<str>) -> Vec<GroupObject> {
    let mut asking: Vec<Asking<'_>> = space
        .opted()
        .iter()
        .filter_map(|name| {
            let service = space.service(name)?;
            Some(Asking { name, uid: &service.uid, opted: service.opted.as_deref()? })
        })
        .collect();
    asking.sort_by_key(|one| (one.opted.created_ms, one.uid));
    let (mut alike, mut places, mut objects) =
        (Vec::<Alike<'_>>::new(), HashMap::<&Selector, usize>::new(), Vec::new());
    for one in asking {
        if let Some(group) = space.active_standby_of(one.name) {
            objects.push(taken(namespace, one, group));
            continue;
        }
        let selector = match &one.opted.wish {
            Ok(wish) => &*wish.selector,
            Err(error) => {
                objects.push(refused(namespace, one, error.clone()));
                continue;
            }
        };
        let place = *places.entry(selector).or_insert(alike.len());
        match alike.get_mut(place) {
            None => alike.push(Alike { services: vec![one] }),
            Some(group) if group.services.len() < MOST_SERVICES => group.services.push(one),
            Some(group) => objects.push(refused(namespace, one, too_many(group))),
        }
    }
    objects.extend(alike.iter().filter_map(|alike| together(namespace, alike)));
    objects
}

/// The group of Services that are for the same pods.
fn together(namespace: &Arc<str>, alike: &Alike<'_>) -> Option<GroupObject> {
    let oldest = alike.services.first()?;
    let wish = oldest.opted.wish.as_ref().ok()?;
    let names: Vec<Arc<str>> = alike.services.iter().map(|one| one.name.clone()).collect();
    let mut spec = GroupSpec::for_services(names.iter().cloned());
    let selecting = alike.services.iter().filter(|one| one.opted.selecting);
    spec.pointed = selecting.map(|one| one.name.clone()).collect();
    if alike.services.iter().any(|one| one.opted.compat) {
        spec.role_label = Some(designation());
    }
    let mut object = object(namespace, *oldest, Ok(Arc::new(spec)));
    object.services = names;
    object.view.paused = alike.services.iter().any(|one| one.opted.paused);
    object.selector = Some(wish.selector.clone());
    object.pairs.clone_from(&wish.pairs);
    Some(object)
}

/// The label that users of the older controller look for, on the active and in the selector.
fn designation() -> RoleLabel {
    RoleLabel {
        key: names::POD_DESIGNATION.into(),
        active: "active".into(),
        standby: None,
        in_selectors: true,
    }
}

/// A group that says what is wrong, and does nothing. It keeps the Service: a slip of the pen must not undo what it led to.
fn refused(namespace: &Arc<str>, one: Asking<'_>, error: SpecError) -> GroupObject {
    let mut object = object(namespace, one, Err(error));
    object.services = vec![one.name.clone()];
    object
}

/// The same where an `ActiveStandby` has the Service.
fn taken(namespace: &Arc<str>, one: Asking<'_>, by: &GroupKey) -> GroupObject {
    let problem = format!("is on a Service that ActiveStandby {} names", by.name);
    let remedy = "remove the annotation, or the Service from spec.traffic.services there";
    let error = SpecError::new("metadata.annotations[hotstandby.dev/mode]", problem, remedy);
    object(namespace, one, Err(SpecError { reason: "ServiceClaimed", ..error }))
}

fn too_many(alike: &Alike<'_>) -> SpecError {
    let oldest = alike.services.first().map(|one| &**one.name).unwrap_or_default();
    let problem = format!(
        "selects the pods of Service {oldest} and {} others, and a group leads {MOST_SERVICES} Services at most",
        MOST_SERVICES - 1
    );
    SpecError::new("spec.selector", problem, "remove the annotation from one of them")
}

fn object(namespace: &Arc<str>, one: Asking<'_>, spec: Result<Arc<GroupSpec>, SpecError>) -> GroupObject {
    let key = GroupKey::svc(namespace.clone(), one.name.clone());
    let mut object = GroupObject::of_service(key, one.uid.clone(), one.opted.created_ms, spec);
    object.view.paused = one.opted.paused;
    object.view.switchover.clone_from(&one.opted.switchover);
    object
}

/// Groups of Services that share a living pod with an older one, and what to tell about it. One that is refused keeps its pods
/// from those that are younger still: what it led to before may depend on them.
fn overlaps(space: &Namespace) -> Vec<(GroupKey, SpecError)> {
    let of_services = space.groups.values().filter(|group| group.object.key.kind == GroupKind::Svc);
    let mut groups: Vec<_> = of_services.filter(|group| group.object.view.spec.is_ok()).collect();
    groups.sort_by_key(|group| (group.object.created_ms, group.object.uid()));
    let mut owners: HashMap<&Arc<str>, &GroupKey> = HashMap::new();
    let mut refused = Vec::new();
    for group in groups {
        let living = || {
            let pods = group.members.iter().filter_map(|name| space.pods.get_key_value(name));
            pods.filter(|(_, pod)| !pod.value.phase.is_finished()).map(|(name, _)| name)
        };
        if let Some((pod, older)) = living().find_map(|pod| Some((pod, owners.get(pod)?))) {
            let problem =
                format!("picks pod {pod}, which Service {} is for, too, by another selector", older.name);
            let remedy = "give both Services the same selector, or selectors without a common pod";
            let error = SpecError::new("spec.selector", problem, remedy);
            refused.push((group.object.key.clone(), SpecError { reason: "SelectorsOverlap", ..error }));
        }
        for pod in living() {
            owners.entry(pod).or_insert(&group.object.key);
        }
    }
    refused
}
