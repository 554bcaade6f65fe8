//! What follows the seat beside slices: labels, selectors, notices, deletions. How they are stored, and what must hold of them.

use super::calls::{Fate, error};
use super::replica::Note;
use super::rng::Rng;
use super::sim::{Event, Sim, Who};
use super::world::{App, CONTROLLER, Kind, World};
use hotstandby_core::action::{Action, MarkedWrite, MarksWrite, MemberRef, Ticket};
use hotstandby_core::ids::{Rv, Term, Uid};
use hotstandby_core::labels::MEMBER_LABEL;
use hotstandby_core::notice::{Delivery, NoticeBy, NoticeSpec, Notification, Role};
use hotstandby_core::observation::{Observation, WriteError};
use hotstandby_core::spec::{GroupSpec, Handover, OldActive, PortRef, RoleLabel};
use hotstandby_core::view::{
    Mark, MemberView, Protocol, SelectingService, ServiceFound, ServicePort, ServiceView,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The role label's key.
pub(super) const ROLE: &str = "role";

#[derive(Clone, Debug)]
pub(super) enum MarkedCall {
    Labels { ticket: Ticket, pod: MemberRef, rv: Rv, write: MarkedWrite },
    Selector { ticket: Ticket, service: Arc<str>, uid: Uid, rv: Rv, write: MarkedWrite },
    Deletion { ticket: Ticket, pod: MemberRef, rv: Rv, seat: Option<(Uid, Term)>, grace: Option<u32> },
    Notice { ticket: Ticket, notice: Notification },
}

/// What follows the seat in the runs of a seed.
pub(super) fn follows(rng: &mut Rng, spec: &mut GroupSpec, world: &mut World) {
    if rng.chance(35) {
        let standby = rng.chance(60).then(|| "standby".into());
        let in_selectors = rng.chance(30);
        spec.role_label =
            Some(RoleLabel { key: ROLE.into(), active: "active".into(), standby, in_selectors });
    }
    for name in spec.services.clone() {
        let by_role = spec.role_label.is_some() && rng.chance(50);
        let pointed = !by_role && rng.chance(25);
        if pointed {
            spec.pointed.insert(name.clone());
        }
        if by_role || pointed {
            let also_role = by_role || spec.role_label.is_some() && rng.chance(40);
            world.selectors.insert(name, selector(also_role));
        }
    }
    if rng.chance(20) {
        spec.notify = vec![NoticeSpec {
            by: NoticeBy::Http { port: 8080, path: "/role".into(), tls: false },
            roles: vec![Role::Active, Role::Standby],
            acknowledge: true,
            interval: Duration::from_millis(200),
            timeout: Duration::from_millis(300),
            deadline: Duration::from_secs(1),
        }];
        if rng.chance(40) && spec.followed().is_none() {
            spec.handover = Handover::Strict;
        }
    }
    if rng.chance(15) {
        spec.old_active = OldActive::Delete;
    }
    spec.delete_critical = rng.chance(10);
    for name in spec.services.clone() {
        let found = world.service_of(&name);
        world.services.retain(|service| service.name != name);
        world.services.push(ServiceView { name, found });
    }
}

fn selector(also_role: bool) -> BTreeMap<Arc<str>, Arc<str>> {
    let role = also_role.then(|| (ROLE.into(), "active".into()));
    [("app".into(), "web".into())].into_iter().chain(role).collect()
}

impl World {
    /// A Service made anew, of the kind that it is in this run.
    pub(super) fn service_of(&mut self, name: &str) -> ServiceFound {
        let Some(selector) = self.selectors.get(name).cloned() else { return self.new_service() };
        ServiceFound::Selecting(Box::new(SelectingService {
            uid: self.next_uid("v"),
            rv: self.next_rv(),
            ports: vec![ServicePort {
                name: "".into(),
                protocol: Protocol::Tcp,
                target: PortRef::Number(8080),
                app_protocol: None,
            }],
            selector,
            mark: None,
        }))
    }

    pub(super) fn selecting_mut(&mut self, name: &str) -> Option<&mut SelectingService> {
        match &mut self.services.iter_mut().find(|service| *service.name == *name)?.found {
            ServiceFound::Selecting(selecting) => Some(selecting),
            _ => None,
        }
    }

    fn label(&mut self, pod: &MemberRef, rv: &Rv, write: &MarkedWrite) -> Result<MemberView, WriteError> {
        let next = self.next_rv();
        let stored = self.pods.get_mut(&pod.name).map(|pod| &mut pod.view);
        let stored = stored.filter(|had| had.uid == pod.uid && had.rv == *rv).ok_or(WriteError::Conflict)?;
        stored.rv = next;
        apply(&mut stored.labels, &mut stored.mark, write);
        let view = stored.clone();
        self.dirty.insert(Kind::Members);
        self.history.pod_labelled(&view, write);
        Ok(view)
    }

    fn point(
        &mut self,
        name: &Arc<str>,
        uid: &Uid,
        rv: &Rv,
        write: &MarkedWrite,
    ) -> Result<SelectingService, WriteError> {
        let next = self.next_rv();
        let stored = self.selecting_mut(name).filter(|had| had.uid == *uid && had.rv == *rv);
        let stored = stored.ok_or(WriteError::Conflict)?;
        stored.rv = next;
        apply(&mut stored.selector, &mut stored.mark, write);
        let view = stored.clone();
        self.dirty.insert(Kind::Services);
        self.history.service_pointed(name, write);
        Ok(view)
    }
}

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
            let had = mark.take().and_then(|mark| mark.stamp);
            let stamp = marks.seat.as_ref().map(|seat| (seat.uid.clone(), seat.term)).or(had);
            *mark = Some(Mark { controller: CONTROLLER.into(), stamp, undo: marks.undo.clone() });
        }
    }
}

impl Sim {
    /// Begins a call of these kinds, if the action asks for one.
    pub(super) fn begin_marked(&mut self, who: Who, action: Action) {
        let call = match action {
            Action::LabelPod { ticket, pod, rv, write } => MarkedCall::Labels { ticket, pod, rv, write },
            Action::PointService { ticket, service, uid, rv, write } => {
                MarkedCall::Selector { ticket, service, uid, rv, write }
            }
            Action::DeletePod { ticket, pod, rv, seat, grace_seconds } => {
                MarkedCall::Deletion { ticket, pod, rv, seat, grace: grace_seconds }
            }
            Action::Notify { ticket, notice } => MarkedCall::Notice { ticket, notice },
            _ => return,
        };
        self.wrong.extend(self.foreign(&call));
        let (fate, wait) = self.fate(who.0);
        self.after(wait, Event::Marked { who, call: Box::new(call), fate });
    }

    /// Whether a write is asked for over another install's marks, at the version that has them.
    fn foreign(&self, call: &MarkedCall) -> Vec<String> {
        let Some((mark, name)) = self.overwritten(call) else { return Vec::new() };
        self.world.history.judge_owner(name, Some(&*mark.controller))
    }

    /// The marks that a write meets, and the name of the object that has them.
    fn overwritten<'a>(&'a self, call: &'a MarkedCall) -> Option<(&'a Mark, &'a str)> {
        match call {
            MarkedCall::Labels { pod, rv, .. } => {
                let stored = self.world.pods.get(&pod.name).map(|pod| &pod.view);
                Some((stored.filter(|stored| stored.rv == *rv)?.mark.as_ref()?, &pod.name))
            }
            MarkedCall::Selector { service, rv, .. } => {
                let stored = self.world.services.iter().find(|other| other.name == *service)?;
                let stored = stored.found.selecting().filter(|stored| stored.rv == *rv)?;
                Some((stored.mark.as_ref()?, service))
            }
            MarkedCall::Deletion { .. } | MarkedCall::Notice { .. } => None,
        }
    }

    pub(super) fn apply_marked(&mut self, who: Who, call: MarkedCall, fate: Fate) {
        let stores = matches!(fate, Fate::Ok | Fate::LostApplied);
        self.say(|| format!("r{} {fate:?} {call:?}", who.0));
        let fails = |stored: Result<(), WriteError>| {
            if fate == Fate::LostApplied { stored.and(Err(error(fate))) } else { stored }
        };
        match call {
            MarkedCall::Labels { ticket, pod, rv, write } => {
                let stored = if stores { self.world.label(&pod, &rv, &write) } else { Err(error(fate)) };
                let failed = fails(stored.as_ref().map(|_| ()).map_err(Clone::clone));
                self.tally.count(if failed.is_ok() { "(labels)" } else { "(labels not stored)" });
                let outcome = failed.and(stored).map(Box::new);
                self.read_back(who, outcome.as_ref().err(), |sim| {
                    let found = sim.world.pod_by_uid(&pod.uid).map(|pod| Box::new(pod.view.clone()));
                    Observation::PodRead { uid: pod.uid.clone(), pod: found }
                });
                let lost = matches!(outcome, Err(WriteError::Unknown(_)));
                let labelled = Observation::PodLabelled { ticket, uid: pod.uid.clone(), outcome };
                self.answer(who, labelled, Note::Nothing, lost);
            }
            MarkedCall::Selector { ticket, service, uid, rv, write } => {
                let stored =
                    if stores { self.world.point(&service, &uid, &rv, &write) } else { Err(error(fate)) };
                let failed = fails(stored.as_ref().map(|_| ()).map_err(Clone::clone));
                self.tally.count(if failed.is_ok() { "(pointers)" } else { "(pointers not stored)" });
                let outcome = failed.and(stored).map(Box::new);
                self.read_back(who, outcome.as_ref().err(), |sim| {
                    let found = sim.world.selecting_mut(&service).map(|found| Box::new(found.clone()));
                    Observation::ServiceRead { service: service.clone(), found }
                });
                let lost = matches!(outcome, Err(WriteError::Unknown(_)));
                let pointed = Observation::ServicePointed { ticket, service, outcome };
                self.answer(who, pointed, Note::Nothing, lost);
            }
            MarkedCall::Deletion { ticket, pod, rv, seat, grace } => {
                let stored =
                    if stores { self.delete(&pod, &rv, seat.as_ref(), grace) } else { Err(error(fate)) };
                let outcome = fails(stored);
                self.tally.count(if outcome.is_ok() { "(deletions)" } else { "(deletions not stored)" });
                let lost = matches!(outcome, Err(WriteError::Unknown(_)));
                self.answer(
                    who,
                    Observation::PodDeleted { ticket, uid: pod.uid, outcome },
                    Note::Nothing,
                    lost,
                );
            }
            MarkedCall::Notice { ticket, notice } => self.hear(who, ticket, &notice),
        }
    }

    /// After a conflict or a lost answer the object is read, if that can be done.
    fn read_back(
        &mut self,
        who: Who,
        failed: Option<&WriteError>,
        read: impl FnOnce(&mut Self) -> Observation,
    ) {
        let reads = matches!(failed, Some(WriteError::Conflict | WriteError::Unknown(_)));
        if reads && self.lives(who) && self.fate(who.0).0 == Fate::Ok {
            let observation = read(self);
            self.tell(who.0, observation, Note::Nothing);
        }
    }

    /// A deletion as the shell makes it: only while the seat, read live, is still what it is deleted by.
    fn delete(
        &mut self,
        pod: &MemberRef,
        rv: &Rv,
        seat: Option<&(Uid, Term)>,
        grace: Option<u32>,
    ) -> Result<(), WriteError> {
        let now = self.world.seat.as_ref().and_then(|seat| Some((seat.uid.clone(), seat.term?)));
        let stored =
            self.world.pods.get(&pod.name).filter(|had| had.view.uid == pod.uid && had.view.rv == *rv);
        if stored.is_none() || now.as_ref() != seat {
            return Err(WriteError::Conflict);
        }
        let stored = &self.world.pods[&pod.name].view;
        let holds = self
            .world
            .seat
            .as_ref()
            .and_then(|seat| seat.sealed())
            .is_some_and(|marks| marks.holder_uid == pod.uid);
        if holds && stored.critical_terminated.is_none() {
            self.wrong.push(format!("DELETE: {} is deleted while it holds the seat", pod.name));
        }
        if stored.stateful && grace == Some(0) {
            self.wrong.push(format!("DELETE: {} of a StatefulSet is deleted without grace", pod.name));
        }
        self.world.edit_pod(&pod.name, |view| view.terminating = true);
        let wait = Duration::from_secs(u64::from(grace.unwrap_or(2)));
        self.after(wait, Event::PodGone(pod.uid.clone()));
        Ok(())
    }

    /// A notice as the shell sends it: nobody is told to be active but by the seat as it is.
    fn hear(&mut self, who: Who, ticket: Ticket, notice: &Notification) {
        let held = self.world.history.did_hold(&notice.seat, notice.term, &notice.to.uid);
        if notice.role == Role::Active && !held {
            self.wrong.push(format!("NOTICE: {} never was active at term {}", notice.to.name, notice.term));
        }
        let now = self.world.seat.as_ref().map(|seat| (seat.uid.clone(), seat.term));
        let current = now == Some((notice.seat.clone(), Some(notice.term))) || self.world.electing.is_some();
        let hears = self
            .world
            .pod_by_uid(&notice.to.uid)
            .is_some_and(|pod| pod.app == App::Ok && !pod.view.phase.is_finished());
        let outcome = match (current || notice.role == Role::Standby, hears) {
            (false, _) => Err("the seat has moved on".into()),
            (true, false) => Err("no answer".into()),
            (true, true) => Ok(Delivery::Acknowledged),
        };
        self.tally.count(if outcome.is_ok() { "(notices)" } else { "(notices not heard)" });
        let wait = self.rng.ms(1, 300);
        let observation = Box::new(Observation::Notified { ticket, outcome });
        self.after(wait, Event::Observe { who, observation, note: Note::Nothing });
    }

    /// Whether labels and selectors follow the seat, once all is well.
    pub(super) fn marked_follow(&self, holder: &Uid) -> Result<(), String> {
        let Ok(spec) = &self.world.group.spec else { return Ok(()) };
        for service in &self.world.services {
            let Some(selecting) = service.found.selecting() else { continue };
            let points = selecting.selector.get(MEMBER_LABEL).is_some_and(|uid| **uid == *holder.as_str());
            if spec.pointed.contains(&service.name) && !points {
                return Err(format!("{} does not point to the holder", service.name));
            }
        }
        let Some(role) = &spec.role_label else { return Ok(()) };
        for pod in self.world.pods.values().filter(|pod| pod.view.selected) {
            let carries = pod.view.labels.get(&role.key) == Some(&role.active);
            if carries != (pod.view.uid == *holder) {
                return Err(format!("the role of {} is wrong", pod.view.name));
            }
        }
        Ok(())
    }

    /// Whether a strict order waits for somebody who cannot answer: then nothing has to be served.
    pub(super) fn waits_for_the_deaf(&self) -> bool {
        let marks = self.world.seat.as_ref().and_then(|seat| seat.sealed());
        let strict = self.world.group.spec.as_ref().is_ok_and(|spec| spec.handover == Handover::Strict);
        strict
            && marks.is_some_and(|marks| {
                let deaf = |one: &MemberRef| {
                    self.world
                        .pod_by_uid(&one.uid)
                        .is_some_and(|pod| pod.app != App::Ok || pod.view.ips.is_empty())
                };
                marks.previous.iter().any(deaf)
            })
    }
}
