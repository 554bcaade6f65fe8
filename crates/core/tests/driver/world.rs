//! The modelled world: what the API server stores, with compare-and-swap, and what the machines really do.

use super::election::Electing;
use super::history::History;
use super::truth::Truths;
use hotstandby_core::action::{Precondition, SeatWrite};
use hotstandby_core::ids::{Rv, Term, Uid};
use hotstandby_core::nodes::control_plane_ill;
use hotstandby_core::observation::{GroupView, Observation, WriteError};
use hotstandby_core::seat::{SeatMarks, SeatRecord, SeatState};
use hotstandby_core::spec::{GroupSpec, OrderBy, PortRef};
use hotstandby_core::view::{
    Family, MemberView, NodeState, NodesView, Phase, Protocol, ServiceFound, ServicePort, ServiceView,
    SliceContent, SliceView, UsableService,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

pub(super) const CONTROLLER: &str = "hotstandby.dev/controller";
pub(super) const STRANGER: &str = "other.dev/hotstandby";
/// Unix time at the world's start, in 2020.
const START_MS: i64 = (26_297_280 + 1000) * 60_000;
/// Old states that a watch may still deliver.
const SNAPS_KEPT: usize = 200;

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Group,
    Members,
    Nodes,
    Services,
    Seat,
}

pub(super) const KINDS: [Kind; 5] = [Kind::Group, Kind::Members, Kind::Nodes, Kind::Services, Kind::Seat];

/// What the process in a pod does with a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum App {
    Ok,
    Refuses,
    Hangs,
    Wrong,
}

#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) view: MemberView,
    pub(super) app: App,
    /// What the kubelet would say.
    pub(super) app_ready: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) alive: bool,
    /// The node controller has not heard of it, or says so.
    pub(super) marked: bool,
    /// The kubelet has not yet put right what the node controller wrote.
    pub(super) unrestored: bool,
    pub(super) state: NodeState,
    pub(super) turned: Option<Duration>,
}

/// Everything the API server stored at one moment.
#[derive(Debug)]
pub(super) struct Snap {
    pub(super) version: u64,
    pub(super) group: GroupView,
    pub(super) pods: Vec<MemberView>,
    pub(super) nodes: BTreeMap<Arc<str>, Node>,
    pub(super) services: Vec<ServiceView>,
    pub(super) seat: Option<SeatRecord>,
}

pub(super) struct World {
    pub(super) now: Duration,
    version: u64,
    uids: u64,
    pub(super) group: GroupView,
    pub(super) pods: BTreeMap<Arc<str>, Pod>,
    pub(super) nodes: BTreeMap<Arc<str>, Node>,
    pub(super) services: Vec<ServiceView>,
    pub(super) seat: Option<SeatRecord>,
    /// Others elect; `seat` is their Lease.
    pub(super) electing: Option<Electing>,
    pub(super) snaps: VecDeque<Arc<Snap>>,
    pub(super) dirty: BTreeSet<Kind>,
    pub(super) history: History,
    /// What Services that have a selector select by, as their user wrote it.
    pub(super) selectors: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Arc<str>>>,
    pub(super) truths: Truths,
    /// Addresses of pods that are gone.
    pub(super) free_ips: Vec<std::net::IpAddr>,
    next_ip: u8,
}

impl World {
    pub(super) fn new(services: &[Arc<str>], spec: GroupSpec, nodes: u8) -> Self {
        let group = GroupView {
            uid: "g1".into(),
            rv: "1".into(),
            generation: 1,
            spec: Ok(Arc::new(spec)),
            paused: false,
            switchover: None,
            answered: None,
            status_term: None,
            delivered: Vec::new(),
        };
        let node = Node {
            alive: true,
            marked: false,
            unrestored: false,
            state: NodeState::Ready { since_ms: Some(START_MS) },
            turned: None,
        };
        let mut world = Self {
            now: Duration::from_secs(1),
            version: 10,
            uids: 0,
            group,
            pods: BTreeMap::new(),
            nodes: (0..nodes).map(|at| (format!("n{at}").into(), node)).collect(),
            services: Vec::new(),
            seat: None,
            electing: None,
            snaps: VecDeque::new(),
            dirty: BTreeSet::new(),
            history: History::default(),
            selectors: BTreeMap::new(),
            truths: Truths::default(),
            free_ips: Vec::new(),
            next_ip: 1,
        };
        for name in services {
            let found = world.new_service();
            world.services.push(ServiceView { name: name.clone(), found });
        }
        world
    }

    pub(super) fn unix_ms(&self) -> i64 {
        START_MS + i64::try_from(self.now.as_millis()).expect("small")
    }

    /// Times of conditions are whole seconds.
    pub(super) fn unix_seconds_ms(&self) -> i64 {
        self.unix_ms() / 1000 * 1000
    }

    pub(super) fn next_rv(&mut self) -> Rv {
        self.version += 1;
        self.version.to_string().into()
    }

    pub(super) fn next_uid(&mut self, prefix: &str) -> Uid {
        self.uids += 1;
        format!("{prefix}{}", self.uids).into()
    }

    pub(super) fn new_service(&mut self) -> ServiceFound {
        ServiceFound::Usable(Box::new(UsableService {
            uid: self.next_uid("v"),
            families: vec![Family::Ipv4],
            ports: vec![ServicePort {
                name: "".into(),
                protocol: Protocol::Tcp,
                target: PortRef::Number(8080),
                app_protocol: None,
            }],
            own: BTreeMap::new(),
            foreign: Vec::new(),
        }))
    }

    pub(super) fn new_pod(&mut self, name: Arc<str>, node: Arc<str>, ip: Option<std::net::IpAddr>) {
        let ip = ip.unwrap_or_else(|| {
            self.next_ip = self.next_ip.wrapping_add(1);
            Ipv4Addr::new(10, 0, 0, self.next_ip).into()
        });
        self.free_ips.retain(|free| *free != ip);
        let ready = self.nodes.get(&node).is_some_and(|node| node.alive && !node.marked);
        let view = MemberView {
            name: name.clone(),
            uid: self.next_uid("p"),
            rv: self.next_rv(),
            ips: vec![ip],
            node: Some(node),
            phase: Phase::Running,
            ready,
            ready_said: true,
            ready_turned_ms: Some(self.unix_seconds_ms()),
            terminating: false,
            selected: true,
            created_ms: Some(self.unix_seconds_ms()),
            started_ms: Some(self.unix_seconds_ms()),
            priority: 0,
            revision: 0,
            critical_terminated: None,
            mesh: None,
            named_ports: BTreeMap::new(),
            labels: BTreeMap::new(),
            mark: None,
            stateful: name.ends_with('0'),
        };
        self.history.pod_stored(&view);
        self.pods.insert(name, Pod { view, app: App::Ok, app_ready: true });
        self.dirty.insert(Kind::Members);
    }

    /// Changes a stored pod.
    pub(super) fn edit_pod(&mut self, name: &Arc<str>, edit: impl FnOnce(&mut MemberView)) {
        let rv = self.next_rv();
        if let Some(pod) = self.pods.get_mut(name) {
            edit(&mut pod.view);
            pod.view.rv = rv;
            self.history.pod_stored(&pod.view);
            self.dirty.insert(Kind::Members);
        }
    }

    pub(super) fn remove_pod(&mut self, uid: &Uid) {
        let Some(name) = self.pods.values().find(|pod| pod.view.uid == *uid).map(|pod| pod.view.name.clone())
        else {
            return;
        };
        if let Some(pod) = self.pods.remove(&name) {
            self.history.pod_gone(uid);
            self.free_ips.extend(pod.view.ips);
            self.next_rv();
            self.dirty.insert(Kind::Members);
        }
    }

    pub(super) fn pod_by_uid(&self, uid: &Uid) -> Option<&Pod> {
        self.pods.values().find(|pod| pod.view.uid == *uid)
    }

    /// Brings what the kubelets and the node controller write of readiness up to date.
    pub(super) fn settle_readiness(&mut self) {
        let turned = self.unix_seconds_ms();
        let names: Vec<Arc<str>> = self.pods.keys().cloned().collect();
        for name in names {
            let pod = &self.pods[&name];
            let node = pod.view.node.as_ref().and_then(|node| self.nodes.get(node));
            let ready = match node {
                Some(node) if node.marked => false,
                Some(node) if !node.alive => pod.view.ready,
                Some(node) if node.unrestored => pod.view.ready && pod.app_ready,
                _ => pod.app_ready,
            };
            let turns = pod.view.ready != ready;
            // The node controller turns the condition and gives no reason; the kubelet always gives one, also where it agrees.
            let kubelet = !node.is_some_and(|node| node.marked);
            let heard = kubelet && !node.is_some_and(|node| node.unrestored || !node.alive);
            if turns || !ready && heard && !pod.view.ready_said {
                self.edit_pod(&name, |view| {
                    view.ready_said = ready || kubelet;
                    if turns {
                        (view.ready, view.ready_turned_ms) = (ready, Some(turned));
                    }
                });
            }
        }
    }

    pub(super) fn turn_node(&mut self, name: &Arc<str>, state: NodeState) {
        let now = self.now;
        self.next_rv();
        if let Some(node) = self.nodes.get_mut(name) {
            let was_ready = matches!(node.state, NodeState::Ready { .. });
            if was_ready != matches!(state, NodeState::Ready { .. }) {
                node.turned = Some(now);
            }
            node.state = state;
            self.dirty.insert(Kind::Nodes);
        }
    }

    pub(super) fn service_mut(&mut self, name: &str) -> Option<&mut UsableService> {
        match &mut self.services.iter_mut().find(|service| *service.name == *name)?.found {
            ServiceFound::Usable(usable) => Some(usable),
            _ => None,
        }
    }

    pub(super) fn slice(&self, service: &str) -> Option<&SliceView> {
        match &self.services.iter().find(|other| *other.name == *service)?.found {
            ServiceFound::Usable(usable) => usable.own.get(&Family::Ipv4),
            _ => None,
        }
    }

    pub(super) fn seat_state(&self) -> SeatState {
        self.seat.clone().map_or(SeatState::Absent, SeatState::Present)
    }

    pub(super) fn store_seat(&mut self, record: SeatRecord) {
        self.history.note_seat_record(&record);
        self.seat = Some(record);
        self.dirty.insert(Kind::Seat);
    }

    /// A seat write, checked like the API server does.
    pub(super) fn write_seat(
        &mut self,
        replica: usize,
        pre: &Precondition,
        write: &SeatWrite,
    ) -> Result<SeatRecord, WriteError> {
        let uid = match (pre, &self.seat) {
            (Precondition::Absent, None) => self.next_uid("s"),
            (Precondition::Unchanged { uid, rv }, Some(had)) if had.uid == *uid && had.rv == *rv => {
                uid.clone()
            }
            _ => return Err(WriteError::Conflict),
        };
        let record = SeatRecord {
            uid,
            rv: self.next_rv(),
            holder: Some(write.holder.name.clone()),
            term: Some(write.term),
            marks: Some(SeatMarks {
                group_uid: write.group_uid.clone(),
                holder_uid: write.holder.uid.clone(),
                holder_name: write.holder.name.clone(),
                term: write.term,
                reason: write.reason,
                since_ms: write.since_ms,
                previous: write.previous.clone(),
            }),
            controller: Some(CONTROLLER.into()),
            followed: None,
        };
        self.history.seat_applied(self.now, replica, &record);
        self.store_seat(record.clone());
        Ok(record)
    }

    /// A slice write, checked like the API server does.
    pub(super) fn write_slice(
        &mut self,
        service: &Arc<str>,
        service_uid: &Uid,
        pre: &Precondition,
        content: &SliceContent,
    ) -> Result<SliceView, WriteError> {
        let had = self.slice(service).cloned();
        let uid = match (pre, &had) {
            (Precondition::Absent, None) => self.next_uid("e"),
            (Precondition::Unchanged { uid, rv }, Some(had)) if had.uid == *uid && had.rv == *rv => {
                uid.clone()
            }
            _ => return Err(WriteError::Conflict),
        };
        let view = SliceView {
            name: format!("{service}-hotstandby-ipv4").into(),
            uid,
            rv: self.next_rv(),
            controller: Some(CONTROLLER.into()),
            stamp: Some((content.seat_uid.clone(), content.term)),
            content: Some(content.clone()),
        };
        match self.service_mut(service) {
            Some(usable) if usable.uid == *service_uid => usable.own.insert(Family::Ipv4, view.clone()),
            _ => return Err(WriteError::Refused("no such Service".into())),
        };
        self.history.slice_applied(service, content);
        self.dirty.insert(Kind::Services);
        Ok(view)
    }

    /// Keeps what is stored now for watches that are behind; answers which kinds changed.
    pub(super) fn snapshot(&mut self) -> (u64, BTreeSet<Kind>) {
        let dirty = std::mem::take(&mut self.dirty);
        if !dirty.is_empty() || self.snaps.is_empty() {
            self.version += 1;
            self.snaps.push_back(Arc::new(Snap {
                version: self.version,
                group: self.group.clone(),
                pods: self.pods.values().map(|pod| pod.view.clone()).collect(),
                nodes: self.nodes.clone(),
                services: self.services.clone(),
                seat: self.seat.clone(),
            }));
            if self.snaps.len() > SNAPS_KEPT {
                self.snaps.pop_front();
            }
        }
        (self.version, dirty)
    }

    /// A number that grows with every change.
    pub(super) const fn snapshot_version(&self) -> u64 {
        self.version
    }

    /// The newest kept state that is no newer than this.
    pub(super) fn snap(&self, version: u64) -> Arc<Snap> {
        let found = self.snaps.iter().rev().find(|snap| snap.version <= version);
        Arc::clone(found.or_else(|| self.snaps.front()).expect("a world is snapped before it is watched"))
    }
}

impl Snap {
    /// What a replica's index makes of it.
    pub(super) fn observation(&self, kind: Kind, now: Duration) -> Observation {
        match kind {
            Kind::Group => Observation::Group(Box::new(self.group.clone())),
            Kind::Members => {
                let holder = self.seat.as_ref().and_then(|seat| seat.marks.as_ref());
                let is_member = |pod: &&MemberView| {
                    let named = |marks: &SeatMarks| {
                        marks.holder_uid == pod.uid || marks.previous.iter().any(|one| one.uid == pod.uid)
                    };
                    pod.selected || holder.is_some_and(named)
                };
                Observation::Members(self.pods.iter().filter(is_member).cloned().collect())
            }
            Kind::Nodes => Observation::Nodes(NodesView {
                nodes: self.nodes.iter().map(|(name, node)| (name.clone(), node.state)).collect(),
                preferred: Vec::new(),
                control_plane_ill: control_plane_ill(now, self.nodes.values().map(|node| node.turned)),
            }),
            Kind::Services => Observation::Services(self.services.clone()),
            Kind::Seat => Observation::Seat(self.seat.clone().map_or(SeatState::Absent, SeatState::Present)),
        }
    }
}

/// The spec that runs start with.
pub(super) fn first_spec(services: &[Arc<str>]) -> GroupSpec {
    let mut spec = GroupSpec::for_services(services.iter().cloned());
    spec.order = vec![OrderBy::Priority, OrderBy::LongestReady];
    spec
}

/// The term a genuine record carries.
pub(super) fn sealed_term(record: &SeatRecord) -> Option<Term> {
    record.sealed().map(|marks| marks.term)
}
