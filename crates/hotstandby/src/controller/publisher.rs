//! Writes a group's status, off the failover path: the newest report, as soon as the one before is written.
//!
//! The lead publishes; another replica does so only for a change it made itself, so that its stage times
//! are not lost.
//!
//! A group that annotated Services make has no status: nothing is written to a Service for it.

use super::hub::SharedIndex;
use hotstandby_cluster::status::{Published, StatusStore};
use hotstandby_core::action::Change;
use hotstandby_core::ids::{GroupKey, GroupKind, Uid};
use hotstandby_core::observation::WriteError;
use hotstandby_core::report::Report;
use hotstandby_host::context::HostContext;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Before a status write: what is told can wait until kube-proxy has programmed the change that it tells of, and what
/// else is to be told by then goes with it.
const SETTLE: Duration = Duration::from_millis(150);
/// Between two status writes of one group: a flapping probe must not become a stream of writes.
const PAUSE: Duration = Duration::from_millis(200);
/// After a failed write.
const RETRY: Duration = Duration::from_secs(1);
/// Changes kept for a status that cannot be written: as many as the history shows.
const MOST_CHANGES: usize = 10;

/// The status writer of one group. Dropping it ends it.
pub(super) struct Publisher {
    shared: Arc<Shared>,
    host: Arc<HostContext>,
    group_uid: Option<Uid>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    lead: bool,
    report: Option<Report>,
    changes: Vec<Change>,
    own_change: bool,
    dirty: bool,
}

impl State {
    /// Whether there is something to write, and this replica is the one to write it.
    fn is_due(&self) -> bool {
        self.dirty && (self.lead || self.own_change) && self.report.is_some()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        if let Some(writer) = &self.writer {
            writer.abort();
        }
    }
}

impl Publisher {
    pub(super) fn new(key: GroupKey, index: SharedIndex, store: StatusStore, host: Arc<HostContext>) -> Self {
        let shared = Arc::new(Shared::default());
        let has_status = key.kind == GroupKind::Cr;
        let writer = Writer { key, index, store, shared: Arc::clone(&shared), host: Arc::clone(&host) };
        Self { shared, host, group_uid: None, writer: has_status.then(|| tokio::spawn(writer.run())) }
    }

    pub(super) fn set_lead(&self, lead: bool) {
        // A new lead writes what it has: the one before may have died before it could.
        self.shared.change(|state| {
            state.lead = lead;
            state.dirty |= lead && state.report.is_some();
        });
    }

    pub(super) fn set_group_uid(&mut self, uid: Uid) {
        self.group_uid = Some(uid);
    }

    pub(super) fn group_uid(&self) -> Option<&Uid> {
        self.group_uid.as_ref()
    }

    pub(super) fn publish(&self, report: Report) {
        self.shared.change(|state| {
            state.report = Some(report);
            state.dirty = true;
        });
    }

    pub(super) fn completed(&self, change: Change) {
        if let Some(stages) = &change.stages {
            self.host.metrics.change_completed(change.reason, stages);
        }
        self.shared.change(|state| {
            state.own_change |= change.stages.is_some();
            state.dirty = true;
            state.changes.push(change);
            if state.changes.len() > MOST_CHANGES {
                state.changes.remove(0);
            }
        });
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    fn is_due(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_due()
    }

    /// What is to be written now.
    fn take(&self) -> Option<(Report, Vec<Change>)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.is_due() {
            return None;
        }
        let report = state.report.clone()?;
        state.dirty = false;
        Some((report, state.changes.clone()))
    }

    fn written(&self, changes: &[Change]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.changes.retain(|change| !changes.contains(change));
        state.own_change = state.changes.iter().any(|change| change.stages.is_some());
    }
}

struct Writer {
    key: GroupKey,
    index: SharedIndex,
    store: StatusStore,
    shared: Arc<Shared>,
    host: Arc<HostContext>,
}

impl Writer {
    async fn run(self) {
        loop {
            let changed = self.shared.changed.notified();
            if !self.shared.is_due() {
                changed.await;
                continue;
            }
            tokio::time::sleep(SETTLE).await;
            let Some((report, changes)) = self.shared.take() else { continue };
            let outcome = self.write(&report, &changes).await;
            let pause = match &outcome {
                Ok(published) => {
                    self.shared.written(&changes);
                    if *published == Published::Unchanged { Duration::ZERO } else { PAUSE }
                }
                Err(error) => {
                    self.shared.change(|state| state.dirty = true);
                    tracing::debug!(group = %self.key, ?error, "the status is not written yet; it is tried again");
                    if *error == WriteError::Conflict { PAUSE } else { RETRY }
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn write(&self, report: &Report, changes: &[Change]) -> Result<Published, WriteError> {
        let observed = self.index.lock().unwrap_or_else(PoisonError::into_inner).status(&self.key);
        let observed = observed.ok_or(WriteError::Conflict)?;
        let began = self.host.clock.now();
        let outcome = self.store.publish(&self.key, &observed, report, changes, began.unix_ms).await;
        let told = match &outcome {
            Ok(Published::Unchanged) => return outcome,
            Ok(Published::Written(_)) => "ok",
            Err(WriteError::Conflict) => "conflict",
            Err(WriteError::Refused(_)) => "refused",
            Err(WriteError::Unknown(_)) => "unknown",
        };
        let took = self.host.clock.mono().saturating_sub(began.mono);
        self.host.metrics.api_write("status", told, took);
        outcome
    }
}
