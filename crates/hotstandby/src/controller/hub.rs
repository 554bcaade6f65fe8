//! From watch events to the groups' tasks: one owner applies every change to the index and hands out what is due.

use super::executor::Executor;
use super::leases::LeaseWatches;
use super::mailbox::Mailbox;
use super::publisher::Publisher;
use super::relists::Relists;
use super::sweep::Sweep;
use super::task::GroupTask;
use hotstandby_cluster::index::{Change, Drained, Index, Leftover};
use hotstandby_cluster::status::StatusStore;
use hotstandby_cluster::sweep::Sweeper;
use hotstandby_cluster::watch::Relister;
use hotstandby_core::ids::GroupKey;
use hotstandby_core::observation::Observation;
use hotstandby_host::context::HostContext;
use hotstandby_host::gates::Gates;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Changes applied before what is due is handed out: a list of thousands must not be handed out one by one.
const MOST_AT_ONCE: usize = 512;
/// Between two looks for what nobody needs any more.
const SWEEP_PERIOD: Duration = Duration::from_mins(1);

/// The index, shared with those who need a group's way of looking at pods.
pub(super) type SharedIndex = Arc<Mutex<Index>>;

/// Everything a hub is made of.
pub(super) struct Parts {
    pub(super) index: SharedIndex,
    pub(super) executor: Arc<Executor>,
    pub(super) statuses: StatusStore,
    pub(super) sweeper: Arc<Sweeper>,
    pub(super) host: Arc<HostContext>,
    pub(super) gates: Gates,
    pub(super) controller: Arc<str>,
    pub(super) relister: Relister,
    pub(super) lead: watch::Receiver<bool>,
    /// The one namespace it works for; `None`: all. What belongs to others is not swept.
    pub(super) scope: Option<Arc<str>>,
}

/// Owns the groups' mailboxes; each has one task at its other end.
pub(super) struct Hub {
    parts: Parts,
    gate: String,
    mailboxes: HashMap<GroupKey, Arc<Mailbox>>,
    relists: Relists,
    swept_at: Option<Duration>,
}

impl Hub {
    pub(super) fn new(parts: Parts) -> Self {
        let gate =
            parts.scope.as_ref().map_or_else(|| "lists".to_owned(), |scope| format!("lists of {scope}"));
        parts.gates.close(gate.clone());
        Self { parts, gate, mailboxes: HashMap::new(), relists: Relists::default(), swept_at: None }
    }

    /// Runs until the watches are gone.
    pub(super) async fn run(
        mut self,
        mut changes: mpsc::Receiver<Change>,
        mut relists: mpsc::UnboundedReceiver<GroupKey>,
        mut leases: LeaseWatches,
    ) {
        let mut gaps = self.parts.host.clock.gaps();
        let mut lead = self.parts.lead.clone();
        let mut batch = Vec::with_capacity(MOST_AT_ONCE);
        loop {
            let wanted = self.parts.index.lock().unwrap_or_else(PoisonError::into_inner).lease_watches();
            if let Some(wanted) = wanted {
                leases.keep(wanted);
            }
            let tick = self.next_tick();
            tokio::select! {
                biased;
                changed = gaps.changed() => {
                    if changed.is_err() { return; }
                    self.tell_all(&Observation::ClockGap);
                }
                count = changes.recv_many(&mut batch, MOST_AT_ONCE) => {
                    if count == 0 { return; }
                    self.apply(&mut batch);
                }
                changed = lead.changed() => {
                    if changed.is_err() { return; }
                    let now_lead = *lead.borrow_and_update();
                    tracing::info!(lead = now_lead, "this replica's part has changed");
                    self.tell_all(&Observation::Lead(now_lead));
                }
                Some(key) = relists.recv() => {
                    self.relists.ask(key);
                    self.relist();
                }
                () = tokio::time::sleep_until(self.parts.host.clock.instant(tick)) => self.apply(&mut batch),
            }
        }
    }

    fn next_tick(&self) -> Duration {
        let now = self.parts.host.clock.mono();
        let due = self.parts.index.lock().unwrap_or_else(PoisonError::into_inner).next_tick(now);
        let sweep = self.swept_at.map_or(now + Duration::from_secs(1), |at| at + SWEEP_PERIOD);
        due.into_iter().chain(self.relists.due()).fold(sweep, Duration::min)
    }

    fn relist(&mut self) {
        let now = self.parts.host.clock.mono();
        self.relists.begin(now, || self.parts.relister.relist());
    }

    fn apply(&mut self, batch: &mut Vec<Change>) {
        self.relist();
        let now = self.parts.host.clock.mono();
        {
            let mut index = self.parts.index.lock().unwrap_or_else(PoisonError::into_inner);
            for change in batch.drain(..) {
                index.apply(change, now);
            }
        }
        while self.drain(now) {}
        let generation = self.parts.index.lock().unwrap_or_else(PoisonError::into_inner).generation();
        self.tell_relisted(generation);
        self.look_for_orphans(now, generation);
    }

    /// Hands out what is due; whether there is more.
    fn drain(&mut self, now: Duration) -> bool {
        let (drained, stale) = {
            let mut index = self.parts.index.lock().unwrap_or_else(PoisonError::into_inner);
            let drained = index.drain(now);
            let stale = stale_objects(&index, &drained);
            (drained, stale)
        };
        let more = drained.more;
        self.hand_out(drained);
        self.sweep(stale, Sweep::Stale);
        more
    }

    /// Now and then: a replica that is behind may make anew what another has removed.
    fn look_for_orphans(&mut self, now: Duration, generation: u64) {
        if generation == 0 || self.swept_at.is_some_and(|at| at + SWEEP_PERIOD > now) {
            return;
        }
        self.swept_at = Some(now);
        self.parts.gates.open(&self.gate);
        let (orphans, unled) = {
            let index = self.parts.index.lock().unwrap_or_else(PoisonError::into_inner);
            (index.orphans(), index.unled())
        };
        self.sweep(orphans, Sweep::Orphan);
        self.sweep(unled, Sweep::Stale);
    }

    fn hand_out(&mut self, drained: Drained) {
        for removed in drained.removed {
            tracing::info!(group = %removed.key, "the group is gone");
            if let Some(mailbox) = self.mailboxes.remove(&removed.key) {
                mailbox.close();
            }
            self.sweep(removed.leftovers, Sweep::Orphan);
        }
        let before = self.mailboxes.len();
        for (key, observation) in drained.observations {
            self.mailbox(key).push(observation);
        }
        if self.mailboxes.len() != before {
            self.parts.host.metrics.set_groups("all", self.mailboxes.len());
        }
    }

    /// The mailbox of a group, whose task is started if there is none.
    fn mailbox(&mut self, key: GroupKey) -> &Mailbox {
        self.mailboxes.entry(key).or_insert_with_key(|key| {
            let mailbox = Arc::new(Mailbox::default());
            mailbox.push(Observation::Lead(*self.parts.lead.borrow()));
            let parts = &self.parts;
            let publisher = Publisher::new(
                key.clone(),
                Arc::clone(&parts.index),
                parts.statuses.clone(),
                Arc::clone(&parts.host),
            );
            let task = GroupTask::new(
                key.clone(),
                Arc::clone(&self.parts.controller),
                Arc::clone(&self.parts.host),
                Arc::clone(&self.parts.executor),
                Arc::clone(&mailbox),
                publisher,
            );
            tokio::spawn(task.run());
            mailbox
        })
    }

    fn tell_all(&self, observation: &Observation) {
        for mailbox in self.mailboxes.values() {
            mailbox.push(observation.clone());
        }
    }

    fn tell_relisted(&mut self, generation: u64) {
        for key in self.relists.done(generation) {
            if let Some(mailbox) = self.mailboxes.get(&key) {
                mailbox.push(Observation::Relisted);
            }
        }
    }

    fn sweep(&self, mut leftovers: Vec<Leftover>, sweep: Sweep) {
        let scope = self.parts.scope.as_ref();
        leftovers.retain(|leftover| scope.is_none_or(|scope| leftover.group.namespace == *scope));
        if leftovers.is_empty() {
            return;
        }
        tokio::spawn(sweep.all(Arc::clone(&self.parts.sweeper), leftovers));
    }
}

/// What the groups just told about no longer need: slices for Services they no longer name, seats where others elect, marks on
/// what they no longer lead.
fn stale_objects(index: &Index, drained: &Drained) -> Vec<Leftover> {
    let mut stale = Vec::new();
    for (key, observation) in &drained.observations {
        if matches!(observation, Observation::Group(_) | Observation::Services(_)) {
            stale.extend(index.stale(key));
        }
        if matches!(observation, Observation::Group(_) | Observation::Members(_) | Observation::Services(_)) {
            stale.extend(index.unled_by(key));
        }
    }
    stale
}
