//! One group beside its world: steps until nothing more happens, answers what was asked for.

use super::probing::Probing;
use super::world::{CONTROLLER, World};
use super::{checks, print};
use hotstandby_core::action::{Action, MemberRef, Ticket};
use hotstandby_core::group::Group;
use hotstandby_core::ids::{GroupKey, Now, Uid};
use hotstandby_core::notice::Delivery;
use hotstandby_core::observation::{Live, Observation, WriteError};
use hotstandby_core::seat::SeatState;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// More rounds than this without rest are a fault.
const MOST_ROUNDS: usize = 20;

/// How the next call of a kind fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Conflict,
    Refused,
    Unknown,
    /// The server did it, but the answer was lost.
    UnknownApplied,
}

/// When the watch tells of our own writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Echo {
    After,
    Before,
    Never,
}

pub(super) struct Session {
    pub(super) world: World,
    pub(super) group: Group,
    pub(super) out: String,
    /// Actions are answered at once.
    pub(super) auto: bool,
    pub(super) echo: Echo,
    pub(super) lead: bool,
    pub(super) veto: Option<Arc<str>>,
    pub(super) pending: VecDeque<Action>,
    /// Answers on their way.
    pub(super) late: Vec<Observation>,
    pub(super) seat_failures: VecDeque<Failure>,
    pub(super) slice_failures: VecDeque<Failure>,
    pub(super) read_failures: VecDeque<Failure>,
    pub(super) label_failures: VecDeque<Failure>,
    pub(super) pointer_failures: VecDeque<Failure>,
    pub(super) deletion_failures: VecDeque<Failure>,
    /// What becomes of notices.
    pub(super) hears: Result<Delivery, Arc<str>>,
    pub(super) probing: Probing,
    pub(super) deadline: Option<Duration>,
    /// Actions since the last command that a silent group would not ask for.
    pub(super) noise: usize,
    pub(super) started: Duration,
    pub(super) shown: Option<Duration>,
}

impl Session {
    pub(super) fn new() -> Self {
        let world = World::new();
        Self {
            started: world.mono,
            world,
            group: new_group(),
            out: String::new(),
            auto: true,
            echo: Echo::After,
            lead: true,
            veto: None,
            pending: VecDeque::new(),
            late: Vec::new(),
            seat_failures: VecDeque::new(),
            slice_failures: VecDeque::new(),
            read_failures: VecDeque::new(),
            label_failures: VecDeque::new(),
            pointer_failures: VecDeque::new(),
            deletion_failures: VecDeque::new(),
            hears: Ok(Delivery::Sent),
            probing: Probing::default(),
            deadline: None,
            noise: 0,
            shown: None,
        }
    }

    /// A new replica that knows nothing and sees the world as it is.
    pub(super) fn restart(&mut self, seat_first: bool) {
        if let Some(report) = self.group.last_report() {
            self.world.group.answered.clone_from(&report.switchover);
            self.world.group.status_term = report.term.or(self.world.group.status_term);
            let told = report.members.iter().filter_map(|member| member.delivered.clone());
            self.world.group.delivered = told.collect();
        }
        self.group = new_group();
        self.pending.clear();
        self.probing.clear();
        if !seat_first {
            self.see_all();
            return;
        }
        self.see_seat();
        self.observe(Observation::Lead(self.lead));
        self.see_group();
        self.see_nodes();
        self.see_pods();
        self.see_services();
    }

    pub(super) fn now(&self) -> Now {
        Now { mono: self.world.mono, unix_ms: self.world.unix_ms() }
    }

    pub(super) fn observe(&mut self, observation: Observation) {
        self.group.observe(self.now(), observation);
    }

    pub(super) fn see_all(&mut self) {
        self.observe(Observation::Lead(self.lead));
        self.see_group();
        self.see_nodes();
        self.see_pods();
        self.see_services();
        self.see_seat();
    }
    pub(super) fn see_group(&mut self) {
        self.observe(Observation::Group(Box::new(self.world.group.clone())));
    }
    pub(super) fn see_nodes(&mut self) {
        self.observe(Observation::Nodes(self.world.nodes.clone()));
    }
    pub(super) fn see_pods(&mut self) {
        // Where others elect, no seat of ours keeps a pod that the selector does not pick.
        let follows = self.world.followed().is_some();
        let members = self.world.pods.values().filter(|pod| pod.selected || !follows);
        let pods = members.cloned().collect();
        self.observe(Observation::Members(pods));
    }
    pub(super) fn see_services(&mut self) {
        self.observe(Observation::Services(self.world.services.clone()));
    }
    pub(super) fn see_seat(&mut self) {
        let state = self.live_seat();
        self.observe(Observation::Seat(state));
    }

    fn live_seat(&self) -> SeatState {
        if self.world.lease_refused {
            return SeatState::Refused("leases is forbidden".into());
        }
        self.world.seat.clone().map_or(SeatState::Absent, SeatState::Present)
    }

    pub(super) fn say(&mut self, line: &str) {
        let at = self.world.mono - self.started;
        let stamp = if self.shown.is_some() && !at.is_zero() { format!("+{at:?} ") } else { String::new() };
        let _ = writeln!(self.out, "{stamp}{line}");
    }

    pub(super) fn name_of(&self, uid: &Uid) -> String {
        let pod = self.world.pod_by_uid(uid);
        pod.map_or_else(|| uid.to_string(), |pod| pod.name.to_string())
    }

    /// Steps until nothing more is asked for at this moment.
    pub(super) fn settle(&mut self) {
        for _ in 0..MOST_ROUNDS {
            let step = self.group.step(self.now());
            for action in &step.actions {
                self.take(action);
            }
            let again = self.group.step(self.now());
            for action in &again.actions {
                self.say(&format!("VIOLATION: a second step with the same input asks for {action:?}"));
                self.take(action);
            }
            self.deadline = again.deadline;
            let due = self.deadline.is_some_and(|at| at <= self.world.mono);
            if step.actions.is_empty() && !due {
                return;
            }
            if self.auto {
                self.serve();
            }
        }
        self.say("VIOLATION: does not settle");
    }

    fn take(&mut self, action: &Action) {
        for violation in checks::check(&mut self.world, action, self.auto) {
            self.say(&format!("VIOLATION: {violation}"));
        }
        if let Some(line) = print::action(action, |uid| self.name_of(uid), self.world.mono) {
            self.say(&line);
        }
        self.noise += 1;
        match action {
            Action::ProbeAt { uid, at } => self.probing.out_of_turn(uid.clone(), *at),
            Action::Tell(_) | Action::Publish(_) | Action::Completed(_) => {}
            _ => self.pending.push_back(action.clone()),
        }
    }

    /// Answers everything that is pending.
    pub(super) fn serve(&mut self) {
        for action in std::mem::take(&mut self.pending) {
            self.answer(action);
        }
    }

    /// Reads that are pending see the world as it is now; their answers arrive when delivered.
    pub(super) fn capture(&mut self) {
        let (reads, rest): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|action| matches!(action, Action::Verify { .. }));
        self.pending = rest;
        for action in reads {
            if let Action::Verify { ticket, pods, named } = action {
                let live = Ok(self.live(&pods, named.as_deref()));
                self.late.push(Observation::Verified { ticket, live });
            }
        }
    }

    pub(super) fn deliver(&mut self) {
        for observation in std::mem::take(&mut self.late) {
            self.observe(observation);
        }
    }

    fn live(&self, pods: &[MemberRef], named: Option<&str>) -> Live {
        let found = |pod: &MemberRef| (pod.uid.clone(), self.world.pod_by_uid(&pod.uid).cloned());
        let named = named.and_then(|name| self.world.pods.get(name).cloned());
        Live { seat: self.live_seat(), pods: pods.iter().map(found).collect(), named }
    }

    /// Answers the oldest pending action only.
    pub(super) fn serve_one(&mut self) {
        if let Some(action) = self.pending.pop_front() {
            self.answer(action);
        }
    }

    fn answer(&mut self, action: Action) {
        match action {
            Action::Verify { ticket, pods, named } => {
                let live = self.live(&pods, named.as_deref());
                let live = self.read_failures.pop_front().map_or(Ok(live), |failure| Err(error(failure)));
                if live.is_err() {
                    self.say("  -> no answer");
                }
                self.observe(Observation::Verified { ticket, live });
            }
            Action::AskPeers { ticket, .. } => {
                if let Some(veto) = self.veto.clone() {
                    self.say(&format!("  -> veto of {veto}"));
                }
                self.observe(Observation::Peers { ticket, veto: self.veto.clone() });
            }
            Action::Relist => {
                self.see_all();
                self.observe(Observation::Relisted);
            }
            Action::WriteSeat { ticket, precondition, seat } => {
                let failure = self.seat_failures.pop_front();
                let outcome = apply(failure, || self.world.write_seat(&precondition, &seat));
                self.report_failure(outcome.as_ref().err(), failure);
                if self.echo == Echo::Before {
                    self.see_seat();
                    self.settle_inside(ticket);
                }
                self.observe(Observation::SeatWritten { ticket, outcome });
                if self.echo == Echo::After {
                    self.see_seat();
                }
            }
            Action::WriteSlice { ticket, service, family, precondition, content, .. } => {
                let failure = self.slice_failures.pop_front();
                let outcome =
                    apply(failure, || self.world.write_slice((&service, family), &precondition, &content));
                self.report_failure(outcome.as_ref().err(), failure);
                let read_after = matches!(outcome, Err(WriteError::Conflict | WriteError::Unknown(_)));
                if self.echo == Echo::Before {
                    self.see_services();
                    self.settle_inside(ticket);
                }
                if read_after {
                    let slice = self.world.slice(&service, family).cloned();
                    self.observe(Observation::SliceRead { service: service.clone(), family, slice });
                }
                self.observe(Observation::SliceWritten { ticket, service, family, outcome });
                if self.echo == Echo::After {
                    self.see_services();
                }
            }
            Action::LabelPod { ticket, pod, rv, write } => {
                let failure = self.label_failures.pop_front();
                let outcome = apply(failure, || self.world.label_pod(&pod, &rv, &write));
                self.report_failure(outcome.as_ref().err(), failure);
                if matches!(outcome, Err(WriteError::Conflict | WriteError::Unknown(_))) {
                    let found = self.world.pod_by_uid(&pod.uid).cloned().map(Box::new);
                    self.observe(Observation::PodRead { uid: pod.uid.clone(), pod: found });
                }
                let outcome = outcome.map(Box::new);
                self.observe(Observation::PodLabelled { ticket, uid: pod.uid, outcome });
                if self.echo == Echo::After {
                    self.see_pods();
                }
            }
            Action::PointService { ticket, service, rv, write, .. } => {
                let failure = self.pointer_failures.pop_front();
                let outcome = apply(failure, || self.world.point_service(&service, &rv, &write));
                self.report_failure(outcome.as_ref().err(), failure);
                if matches!(outcome, Err(WriteError::Conflict | WriteError::Unknown(_))) {
                    let found = self.world.selecting(&service).cloned().map(Box::new);
                    self.observe(Observation::ServiceRead { service: service.clone(), found });
                }
                let outcome = outcome.map(Box::new);
                self.observe(Observation::ServicePointed { ticket, service, outcome });
                if self.echo == Echo::After {
                    self.see_services();
                }
            }
            Action::DeletePod { ticket, pod, rv, grace_seconds, .. } => {
                let failure = self.deletion_failures.pop_front();
                let outcome = apply(failure, || self.world.delete_pod(&pod, &rv, grace_seconds));
                self.report_failure(outcome.as_ref().err(), failure);
                self.observe(Observation::PodDeleted { ticket, uid: pod.uid, outcome });
                if self.echo == Echo::After {
                    self.see_pods();
                }
            }
            Action::Notify { ticket, .. } => {
                let outcome = self.hears.clone();
                self.observe(Observation::Notified { ticket, outcome });
            }
            Action::ProbeAt { .. } | Action::Tell(_) | Action::Publish(_) | Action::Completed(_) => {}
        }
    }

    /// The watch was faster than the answer: the group steps between the two.
    fn settle_inside(&mut self, _under_way: Ticket) {
        let step = self.group.step(self.now());
        for action in &step.actions {
            self.take(action);
        }
    }

    fn report_failure(&mut self, error: Option<&WriteError>, failure: Option<Failure>) {
        let what = match (error, failure) {
            (None, _) => return,
            (Some(WriteError::Conflict), _) => "conflict",
            (Some(WriteError::Refused(_)), _) => "refused",
            (_, Some(Failure::UnknownApplied)) => "no answer, though it was stored",
            _ => "no answer",
        };
        self.say(&format!("  -> {what}"));
    }

    /// Lets time pass; the group is stepped at each of its deadlines.
    pub(super) fn advance(&mut self, by: Duration) {
        let end = self.world.mono + by;
        self.started = self.world.mono;
        self.shown = Some(end);
        loop {
            self.probing.follow_plan(&self.group.probe_plan(), self.world.mono);
            let deadline = self.deadline.unwrap_or(end);
            let next = self.probing.next_event().unwrap_or(end).min(deadline).min(end).max(self.world.mono);
            let at_end = next == end;
            self.world.mono = next;
            for (uid, report) in self.probing.due(next, &self.world) {
                if let Some(report) = report {
                    self.observe(Observation::Probe(report));
                } else {
                    self.say(&format!("VIOLATION: a probe of the unknown member {uid}"));
                }
            }
            self.settle();
            if at_end && self.probing.next_event().is_none_or(|at| at > end) {
                break;
            }
        }
        self.shown = None;
    }
}

fn new_group() -> Group {
    Group::new(GroupKey::cr("shop", "web"), CONTROLLER.into())
}

fn error(failure: Failure) -> WriteError {
    match failure {
        Failure::Conflict => WriteError::Conflict,
        Failure::Refused => WriteError::Refused("forbidden".into()),
        Failure::Unknown | Failure::UnknownApplied => WriteError::Unknown("time-out".into()),
    }
}

fn apply<T>(
    failure: Option<Failure>,
    write: impl FnOnce() -> Result<T, WriteError>,
) -> Result<T, WriteError> {
    match failure {
        None => write(),
        Some(Failure::UnknownApplied) => write().and(Err(error(Failure::UnknownApplied))),
        Some(failure) => Err(error(failure)),
    }
}
