//! What a group is told, built from what is known.

use super::Index;
use super::namespace::{Group, Namespace};
use super::service::ServiceKind;
use crate::pod::{PodLite, to_member_view};
use crate::slice::slice_name;
use hotstandby_core::ids::Rv;
use hotstandby_core::observation::Observation;
use hotstandby_core::seat::SeatState;
use hotstandby_core::view::{
    Family, MemberView, NodeState, NodesView, ServiceFound, ServiceView, UsableService,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// One part of what a group is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Group,
    Nodes,
    Members,
    Services,
    Seat,
    Lapse,
}

impl Part {
    /// In the order they are told: the spec first, and the seat when its holder's pod is known.
    pub(super) const ALL: [Self; 6] =
        [Self::Group, Self::Nodes, Self::Members, Self::Services, Self::Seat, Self::Lapse];

    const fn bit(self) -> u8 {
        match self {
            Self::Group => 1,
            Self::Nodes => 2,
            Self::Members => 4,
            Self::Services => 8,
            Self::Seat => 16,
            Self::Lapse => 32,
        }
    }
}

/// A set of parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts(u8);

impl Parts {
    pub(super) const EVERY: Self = Self(63);

    pub(super) const fn has(self, part: Part) -> bool {
        self.0 & part.bit() != 0
    }

    #[must_use]
    pub(super) const fn with(self, part: Part) -> Self {
        Self(self.0 | part.bit())
    }

    #[must_use]
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl From<Part> for Parts {
    fn from(part: Part) -> Self {
        Self::default().with(part)
    }
}

/// Builds one part.
pub(super) fn build(index: &Index, space: &Namespace, group: &Group, part: Part) -> Observation {
    match part {
        Part::Group => Observation::Group(Box::new(group.object.view.clone())),
        Part::Nodes => Observation::Nodes(nodes(index, space, group)),
        Part::Members => Observation::Members(members(space, group)),
        Part::Services => Observation::Services(services(space, group)),
        Part::Seat => Observation::Seat(seat(index, group)),
        Part::Lapse => Observation::SeatLapsed(lapsed(index, group)),
    }
}

fn lapsed(index: &Index, group: &Group) -> Option<Rv> {
    index.followed.lapsed(&group.object.key.namespace, group.lease.as_deref()?)
}

fn seat(index: &Index, group: &Group) -> SeatState {
    if let Some(lease) = &group.lease {
        return index.followed.state(&group.object.key.namespace, lease);
    }
    let record = index.seat_of(&group.object.key);
    record.map_or(SeatState::Absent, |seat| SeatState::Present(seat.record.clone()))
}

/// The members' pods: those the selector picks, and those the seat names, whatever became of them.
///
/// A finished pod is a member only as one of the latter: a Job's leavings are no standbys.
pub(super) fn member_pods<'a>(space: &'a Namespace, group: &'a Group) -> impl Iterator<Item = &'a PodLite> {
    let is_seated = |pod: &PodLite| group.seated.iter().any(|(_, uid)| pod.is(uid));
    let unselected = group.seated.iter().map(|(name, _)| name).filter(|name| !group.members.contains(*name));
    let named = group.members.iter().chain(unselected);
    named
        .filter_map(|name| space.pods.get(name))
        .map(|pod| &*pod.value)
        .filter(move |pod| is_seated(pod) || (!pod.phase.is_finished() && group.members.contains(&pod.name)))
}

fn members(space: &Namespace, group: &Group) -> Vec<MemberView> {
    let lens = space.lens(group);
    let mut members: Vec<_> = member_pods(space, group).map(|pod| to_member_view(pod, &lens)).collect();
    members.sort_by(|a, b| a.name.cmp(&b.name));
    members
}

/// The nodes of a group's members.
pub(super) fn node_names(space: &Namespace, group: &Group) -> BTreeSet<Arc<str>> {
    member_pods(space, group).filter_map(|pod| pod.node.clone()).collect()
}

fn nodes(index: &Index, space: &Namespace, group: &Group) -> NodesView {
    let names = node_names(space, group);
    if !index.lists.watched().nodes {
        let ready = NodeState::Ready { since_ms: None };
        return NodesView {
            nodes: names.into_iter().map(|name| (name, ready)).collect(),
            ..NodesView::default()
        };
    }
    let wanted = group.object.view.spec.as_ref().ok().map(|spec| &spec.prefer_nodes);
    let preferred = wanted.filter(|wanted| !wanted.is_empty()).map(|wanted| {
        let pairs = || wanted.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        names.iter().filter(|name| index.nodes.has_labels(name, pairs())).cloned().collect()
    });
    NodesView {
        preferred: preferred.unwrap_or_default(),
        nodes: names.into_iter().map(|name| (name.clone(), index.nodes.state(&name))).collect(),
        control_plane_ill: index.nodes.is_ill(),
    }
}

fn services(space: &Namespace, group: &Group) -> Vec<ServiceView> {
    let names = group.object.services.iter();
    names.map(|name| ServiceView { name: name.clone(), found: found(space, group, name) }).collect()
}

fn found(space: &Namespace, group: &Group, name: &Arc<str>) -> ServiceFound {
    if let Some(owner) = space.owner_of(name).filter(|owner| **owner != group.object.key) {
        return ServiceFound::ClaimedBy(owner.name.clone());
    }
    let Some(service) = space.service(name) else { return ServiceFound::Missing };
    if let Some(selecting) = service.selecting() {
        return ServiceFound::Selecting(Box::new(selecting));
    }
    let feedable = match &service.kind {
        ServiceKind::Selecting(_) => return ServiceFound::Missing,
        ServiceKind::ExternalName => return ServiceFound::ExternalName,
        ServiceKind::Feedable(feedable) => feedable,
    };
    let ours = [Family::Ipv4, Family::Ipv6].map(|family| (family, slice_name(name, family)));
    let mut usable = UsableService {
        uid: service.uid.clone(),
        families: feedable.families.clone(),
        ports: feedable.ports.clone(),
        own: std::collections::BTreeMap::new(),
        foreign: Vec::new(),
    };
    for slice in space.slices_of(name) {
        match ours.iter().find(|(_, own)| **own == *slice.name) {
            Some((family, _)) => {
                usable.own.insert(*family, slice.view(&service.uid));
            }
            None => usable.foreign.push(slice.name.clone()),
        }
    }
    usable.foreign.sort();
    ServiceFound::Usable(Box::new(usable))
}
