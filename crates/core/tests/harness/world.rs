//! The world as it is: live objects, and a small API server that checks preconditions.

use super::facts;
use hotstandby_core::action::{MarkedWrite, MarksWrite, MemberRef, Precondition, SeatWrite};
use hotstandby_core::ids::{Rv, Term, Uid};
use hotstandby_core::observation::{GroupView, WriteError};
use hotstandby_core::reason::Reason;
use hotstandby_core::seat::{SeatMarks, SeatRecord};
use hotstandby_core::spec::{GroupSpec, PortRef};
use hotstandby_core::view::{
    Family, Mark, MemberView, NodesView, Phase, Protocol, SelectingService, ServiceFound, ServicePort,
    ServiceView, SliceContent, SliceView, UsableService,
};
use hotstandby_invariants::{Fact, History, Kind, TermUse, Tolerance};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The name of the install under test.
pub(super) const CONTROLLER: &str = "hotstandby.dev/controller";
/// Unix time at the replica's start: a first term made here is 1000.
const START_MS: i64 = (1_577_836_800 + 1000) * 1000;

fn apply(pairs: &mut BTreeMap<Arc<str>, Arc<str>>, mark: &mut Option<Mark>, write: &MarkedWrite) {
    for (key, value) in &write.changes {
        match value {
            Some(value) => pairs.insert(key.clone(), value.clone()),
            None => pairs.remove(key),
        };
    }
    match &write.marks {
        MarksWrite::Keep => {}
        MarksWrite::Clear => *mark = None,
        MarksWrite::Set(marks) => {
            let stamp = mark.take().and_then(|mark| mark.stamp);
            *mark = Some(Mark {
                controller: CONTROLLER.into(),
                stamp: marks.seat.as_ref().map(|seat| (seat.uid.clone(), seat.term)).or(stamp),
                undo: marks.undo.clone(),
            });
        }
    }
}

/// All live objects of one group.
pub(super) struct World {
    pub(super) mono: Duration,
    last_rv: u64,
    last_uid: u64,
    pub(super) group: GroupView,
    pub(super) pods: BTreeMap<Arc<str>, MemberView>,
    pub(super) nodes: NodesView,
    pub(super) services: Vec<ServiceView>,
    pub(super) seat: Option<SeatRecord>,
    /// Pods that are gone, for a watch that is behind.
    pub(super) gone_pods: Vec<MemberView>,
    /// The seat that somebody deleted last.
    pub(super) deleted_seat: Option<SeatRecord>,
    /// The followed Lease may not be read.
    pub(super) lease_refused: bool,
    /// What was truly stored, as the judge of the invariants was told it.
    pub(super) history: History,
    /// The pods that the judge knows of and that were not told to be gone.
    told_pods: BTreeSet<Uid>,
}

impl World {
    pub(super) fn new() -> Self {
        let mut spec = GroupSpec::for_services(["web".into()]);
        spec.order = vec![hotstandby_core::spec::OrderBy::Priority];
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
        Self {
            mono: Duration::from_secs(1),
            last_rv: 10,
            last_uid: 0,
            group,
            pods: BTreeMap::new(),
            nodes: NodesView::default(),
            services: Vec::new(),
            seat: None,
            gone_pods: Vec::new(),
            deleted_seat: None,
            lease_refused: false,
            history: History::new(CONTROLLER, Tolerance::NONE),
            told_pods: BTreeSet::new(),
        }
    }

    /// Tells the judge what was stored. What the group asks for is judged when it asks, see `checks.rs`.
    pub(super) fn tell(&mut self, fact: &Fact<'_>) {
        self.history.record(self.mono, fact);
    }

    /// Tells the judge of all pods as they are, and of those that are gone.
    pub(super) fn tell_pods(&mut self) {
        let now: BTreeSet<Uid> = self.pods.values().map(|pod| pod.uid.clone()).collect();
        for gone in self.told_pods.difference(&now) {
            self.history.record(self.mono, &Fact::Gone { kind: Kind::Pod, id: gone.as_str() });
        }
        for pod in self.pods.values() {
            self.history.record(self.mono, &facts::pod(pod));
        }
        self.told_pods = now;
    }

    /// Somebody deleted slices: nobody knows any more what the slices of the group carried.
    pub(super) fn forget_slices(&mut self) {
        for service in &self.services {
            self.history.record(self.mono, &Fact::StampForgotten { object: &service.name });
        }
    }

    /// Wall clock in Unix milliseconds.
    pub(super) fn unix_ms(&self) -> i64 {
        START_MS + i64::try_from(self.mono.as_millis()).expect("small")
    }

    pub(super) fn next_rv(&mut self) -> Rv {
        self.last_rv += 1;
        self.last_rv.to_string().into()
    }

    pub(super) fn next_uid(&mut self, prefix: &str) -> Uid {
        self.last_uid += 1;
        format!("{prefix}{}", self.last_uid).into()
    }

    /// A running, ready pod; number `n` in its name gives node and address.
    pub(super) fn new_pod(&mut self, name: &str) -> MemberView {
        let number: u8 = name.rsplit('-').next().and_then(|tail| tail.parse().ok()).unwrap_or(9);
        MemberView {
            name: name.into(),
            uid: self.next_uid("p"),
            rv: self.next_rv(),
            ips: vec![std::net::Ipv4Addr::new(10, 0, 0, number + 1).into()],
            node: Some(format!("n{}", number + 1).into()),
            phase: Phase::Running,
            ready: true,
            ready_said: true,
            ready_turned_ms: Some(self.unix_ms()),
            terminating: false,
            selected: true,
            created_ms: Some(self.unix_ms() / 1000 * 1000),
            started_ms: Some(self.unix_ms()),
            priority: 0,
            revision: 0,
            critical_terminated: None,
            mesh: None,
            named_ports: BTreeMap::new(),
            labels: BTreeMap::new(),
            mark: None,
            stateful: false,
        }
    }

    pub(super) fn new_selecting(&mut self, name: &str, selector: &str) -> Result<SelectingService, String> {
        let pairs = selector.split(',').map(|pair| pair.split_once('=').ok_or("selector=KEY=VALUE,…"));
        let selector = pairs.map(|pair| pair.map(|(key, value)| (key.into(), value.into())));
        Ok(SelectingService {
            uid: self.next_uid(&format!("{name}-")),
            rv: self.next_rv(),
            ports: self.new_service(name).ports,
            selector: selector.collect::<Result<_, _>>()?,
            mark: None,
        })
    }

    pub(super) fn new_service(&mut self, name: &str) -> UsableService {
        UsableService {
            uid: self.next_uid(&format!("{name}-")),
            families: vec![Family::Ipv4],
            ports: vec![ServicePort {
                name: "".into(),
                protocol: Protocol::Tcp,
                target: PortRef::Number(8080),
                app_protocol: None,
            }],
            own: BTreeMap::new(),
            foreign: Vec::new(),
        }
    }

    pub(super) fn service(&mut self, name: &str) -> Option<&mut UsableService> {
        let found = self.services.iter_mut().find(|service| *service.name == *name)?;
        match &mut found.found {
            ServiceFound::Usable(usable) => Some(usable),
            _ => None,
        }
    }

    pub(super) fn slice(&self, service: &str, family: Family) -> Option<&SliceView> {
        let found = self.services.iter().find(|other| *other.name == *service)?;
        match &found.found {
            ServiceFound::Usable(usable) => usable.own.get(&family),
            _ => None,
        }
    }

    pub(super) fn pod_by_uid(&self, uid: &Uid) -> Option<&MemberView> {
        self.pods.values().find(|pod| pod.uid == *uid)
    }

    /// A seat as some replica of the install `controller` would write it.
    pub(super) fn seal(&mut self, write: &SeatWrite, uid: Uid, controller: &str) -> SeatRecord {
        self.tell(&facts::decided_seat(&uid, write, TermUse::New));
        SeatRecord {
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
            controller: Some(controller.into()),
            followed: None,
        }
    }

    /// A seat write, checked like the API server does.
    pub(super) fn write_seat(
        &mut self,
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
        let record = self.seal(write, uid, CONTROLLER);
        self.seat = Some(record.clone());
        Ok(record)
    }

    /// A slice write, checked like the API server does.
    pub(super) fn write_slice(
        &mut self,
        (service, family): (&Arc<str>, Family),
        pre: &Precondition,
        content: &SliceContent,
    ) -> Result<SliceView, WriteError> {
        let had = self.slice(service, family).cloned();
        let uid = match (pre, &had) {
            (Precondition::Absent, None) => self.next_uid("e"),
            (Precondition::Unchanged { uid, rv }, Some(had)) if had.uid == *uid && had.rv == *rv => {
                uid.clone()
            }
            _ => return Err(WriteError::Conflict),
        };
        let view = SliceView {
            name: format!("{service}-hotstandby-{}", family.suffix()).into(),
            uid,
            rv: self.next_rv(),
            controller: Some(CONTROLLER.into()),
            stamp: Some((content.seat_uid.clone(), content.term)),
            content: Some(content.clone()),
        };
        let usable = self.service(service).ok_or_else(|| WriteError::Refused("no such Service".into()))?;
        usable.own.insert(family, view.clone());
        self.tell(&facts::slice(&facts::slice_id(service, family), service, family, content));
        Ok(view)
    }

    /// A write of labels, checked like the API server does.
    pub(super) fn label_pod(
        &mut self,
        pod: &MemberRef,
        rv: &Rv,
        write: &MarkedWrite,
    ) -> Result<MemberView, WriteError> {
        let next = self.next_rv();
        let stored = self.pods.get_mut(&pod.name).filter(|had| had.uid == pod.uid && had.rv == *rv);
        let stored = stored.ok_or(WriteError::Conflict)?;
        stored.rv = next;
        apply(&mut stored.labels, &mut stored.mark, write);
        Ok(stored.clone())
    }

    /// A write of a selector, checked like the API server does.
    pub(super) fn point_service(
        &mut self,
        name: &Arc<str>,
        rv: &Rv,
        write: &MarkedWrite,
    ) -> Result<SelectingService, WriteError> {
        let next = self.next_rv();
        let stored = self.selecting(name).filter(|had| had.rv == *rv).ok_or(WriteError::Conflict)?;
        stored.rv = next;
        apply(&mut stored.selector, &mut stored.mark, write);
        Ok(stored.clone())
    }

    /// A deletion, checked like the API server does; the pod is gone when its grace is over.
    pub(super) fn delete_pod(
        &mut self,
        pod: &MemberRef,
        rv: &Rv,
        grace: Option<u32>,
    ) -> Result<(), WriteError> {
        let next = self.next_rv();
        let stored = self.pods.get_mut(&pod.name).filter(|had| had.uid == pod.uid && had.rv == *rv);
        let stored = stored.ok_or(WriteError::Conflict)?;
        (stored.terminating, stored.rv) = (true, next);
        if grace == Some(0)
            && let Some(gone) = self.pods.remove(&pod.name)
        {
            self.gone_pods.push(gone);
        }
        Ok(())
    }

    pub(super) fn selecting(&mut self, name: &str) -> Option<&mut SelectingService> {
        let found = self.services.iter_mut().find(|service| *service.name == *name)?;
        match &mut found.found {
            ServiceFound::Selecting(selecting) => Some(selecting),
            _ => None,
        }
    }

    /// The Lease that the group follows.
    pub(super) fn followed(&self) -> Option<Arc<str>> {
        let spec = self.group.spec.as_ref().ok()?;
        spec.followed().map(|follow| follow.lease.clone())
    }

    /// Another replica of the same install moves the seat.
    pub(super) fn rival_seat(&mut self, pod: &str, term: Option<u64>, reason: Reason) -> Result<(), String> {
        let holder = self.pods.get(pod).ok_or("no such pod")?;
        let holder = MemberRef { name: holder.name.clone(), uid: holder.uid.clone() };
        let uid = self.seat.as_ref().map(|seat| seat.uid.clone());
        let next = self.seat.as_ref().and_then(|seat| seat.term).map_or(Term(7), Term::next);
        let write = SeatWrite {
            holder,
            term: term.map_or(next, Term),
            reason,
            since_ms: self.unix_ms(),
            group_uid: self.group.uid.clone(),
            orphan: false,
            previous: Vec::new(),
        };
        let uid = uid.unwrap_or_else(|| self.next_uid("s"));
        self.seat = Some(self.seal(&write, uid, CONTROLLER));
        Ok(())
    }
}
