//! The task of one group: takes observations to its machine and carries out what the machine asks for.

use super::answers::Answers;
use super::executor::Executor;
use super::mailbox::Mailbox;
use super::publisher::Publisher;
use hotstandby_core::action::{Action, Notice, ProbeTarget};
use hotstandby_core::group::{Group, Step};
use hotstandby_core::ids::{GroupKey, GroupKind};
use hotstandby_core::observation::Observation;
use hotstandby_core::report::Report;
use hotstandby_host::clock::Clock;
use hotstandby_host::context::HostContext;
use hotstandby_host::prober::GroupProber;
use std::sync::Arc;
use std::time::Duration;

/// Steps taken in a row without waiting: a machine that asks for more is broken, and must not take the
/// processor from the others.
const MOST_STEPS_IN_A_ROW: u32 = 64;

/// One group's task.
pub(super) struct GroupTask {
    group: Group,
    mailbox: Arc<Mailbox>,
    executor: Arc<Executor>,
    publisher: Publisher,
    /// Where there is no status that could say them.
    answers: Option<Answers>,
    prober: GroupProber,
    probed: Vec<ProbeTarget>,
    clock: Clock,
    lead: bool,
    steps_in_a_row: u32,
}

impl GroupTask {
    pub(super) fn new(
        key: GroupKey,
        controller: Arc<str>,
        host: Arc<HostContext>,
        executor: Arc<Executor>,
        mailbox: Arc<Mailbox>,
        publisher: Publisher,
    ) -> Self {
        let clock = host.clock.clone();
        let (inbox, counter) = (Arc::clone(&mailbox), Arc::clone(&host));
        let sink = Arc::new(move |observation: Observation| {
            if !inbox.push(observation) {
                counter.metrics.probe_dropped();
            }
        });
        let prober = GroupProber::new(host, sink).for_group(key.to_string());
        let answers = (key.kind == GroupKind::Svc).then(Answers::default);
        Self {
            group: Group::new(key, controller),
            mailbox,
            executor,
            publisher,
            answers,
            prober,
            probed: Vec::new(),
            clock,
            lead: false,
            steps_in_a_row: 0,
        }
    }

    /// Runs until the mailbox is closed.
    pub(super) async fn run(mut self) {
        let mut deadline = None;
        loop {
            let observations = tokio::select! {
                biased;
                taken = self.mailbox.take() => match taken {
                    Some(observations) => observations,
                    None => return,
                },
                () = sleep_until(&self.clock, deadline) => Vec::new(),
            };
            let now = self.clock.now();
            for observation in observations {
                self.note(&observation);
                self.group.observe(now, observation);
            }
            let step = self.group.step(self.clock.now());
            deadline = self.pace(step.deadline);
            self.carry_out(step);
        }
    }

    /// What the shell itself learns from an observation.
    fn note(&mut self, observation: &Observation) {
        match observation {
            Observation::Lead(lead) if *lead != self.lead => {
                self.lead = *lead;
                self.publisher.set_lead(*lead);
            }
            Observation::Group(view) => self.publisher.set_group_uid(view.uid.clone()),
            _ => {}
        }
    }

    /// Keeps a machine that wants to be stepped at once from being stepped for ever.
    fn pace(&mut self, deadline: Option<Duration>) -> Option<Duration> {
        let now = self.clock.mono();
        let at_once = deadline.is_some_and(|at| at <= now);
        self.steps_in_a_row = if at_once { self.steps_in_a_row + 1 } else { 0 };
        if self.steps_in_a_row < MOST_STEPS_IN_A_ROW {
            return deadline;
        }
        self.steps_in_a_row = 0;
        tracing::warn!(group = %self.group.key(), "the decision does not settle; waiting a moment");
        Some(now + Duration::from_millis(100))
    }

    fn publish(&mut self, report: Report) {
        let answer = self.answers.as_mut().and_then(|answers| answers.note(report.switchover.as_ref()));
        if let Some(notice) = answer.filter(|_| self.lead) {
            self.tell(notice);
        }
        self.publisher.publish(report);
    }

    fn tell(&self, notice: Notice) {
        if let Some(uid) = self.publisher.group_uid() {
            self.executor.tell(self.group.key(), uid, notice);
        }
    }

    fn carry_out(&mut self, step: Step) {
        // What to probe follows from the same state as the actions: set it first, so that an extra probe finds its target.
        let plan = self.group.probe_plan();
        if plan != self.probed {
            self.prober.set_targets(plan.clone());
            self.probed = plan;
        }
        for action in step.actions {
            match action {
                Action::ProbeAt { uid, at } => self.prober.probe_at(&uid, at),
                Action::Publish(report) => self.publish(*report),
                Action::Completed(change) => self.publisher.completed(change),
                Action::Tell(notice) => self.tell(notice),
                Action::Verify { .. }
                | Action::WriteSeat { .. }
                | Action::WriteSlice { .. }
                | Action::LabelPod { .. }
                | Action::PointService { .. }
                | Action::DeletePod { .. }
                | Action::Notify { .. }
                | Action::AskPeers { .. }
                | Action::Relist => {
                    self.executor.begin(self.group.key(), &self.mailbox, action);
                }
            }
        }
    }
}

async fn sleep_until(clock: &Clock, deadline: Option<Duration>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(clock.instant(at)).await,
        None => std::future::pending().await,
    }
}
