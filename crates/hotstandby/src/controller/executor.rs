//! Carries out what a group asks for, beside the group's task, and brings the outcome back as an observation.

use super::hub::SharedIndex;
use super::mailbox::Mailbox;
use hotstandby_cluster::disposal::PodDeleter;
use hotstandby_cluster::events::EventSink;
use hotstandby_cluster::live::{LiveReader, Sight, stands};
use hotstandby_cluster::pointer::ServiceAt;
use hotstandby_cluster::slice::{SliceTarget, slice_name};
use hotstandby_cluster::stores::Stores;
use hotstandby_core::action::{Action, MarkedWrite, MemberRef, Notice, Precondition, SeatWrite, Ticket};
use hotstandby_core::ids::{GroupKey, Rv, Term, Uid};
use hotstandby_core::notice::{Notification, Role};
use hotstandby_core::observation::{Observation, WriteError};
use hotstandby_core::view::SliceContent;
use hotstandby_host::context::HostContext;
use hotstandby_host::notice::notify;
use hotstandby_host::peers::Peers;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Before an Event is recorded.
const EVENT_DELAY: Duration = Duration::from_millis(250);

/// Everything that executes actions, shared by all groups.
pub(super) struct Executor {
    pub(super) index: SharedIndex,
    pub(super) stores: Stores,
    pub(super) deleter: PodDeleter,
    pub(super) live: LiveReader,
    pub(super) events: EventSink,
    pub(super) peers: Peers,
    pub(super) host: Arc<HostContext>,
    /// Groups that wait for a re-list.
    pub(super) relist: mpsc::UnboundedSender<GroupKey>,
}

impl Executor {
    /// Starts an action; its outcome goes to the mailbox.
    pub(super) fn begin(self: &Arc<Self>, key: &GroupKey, mailbox: &Arc<Mailbox>, action: Action) {
        if matches!(action, Action::Relist) {
            // The hub lives as long as any task: a closed channel means that the process is ending.
            let _ = self.relist.send(key.clone());
            return;
        }
        let (executor, key, mailbox) = (Arc::clone(self), key.clone(), Arc::clone(mailbox));
        tokio::spawn(async move { executor.carry_out(&key, &mailbox, action).await });
    }

    /// Records an Event, some time: not while the change that it tells of is being programmed everywhere.
    pub(super) fn tell(&self, key: &GroupKey, uid: &Uid, notice: Notice) {
        let (events, key, uid) = (self.events.clone(), key.clone(), uid.clone());
        tokio::spawn(async move {
            tokio::time::sleep(EVENT_DELAY).await;
            events.record(&key, &uid, notice);
        });
    }

    async fn carry_out(&self, key: &GroupKey, mailbox: &Mailbox, action: Action) {
        match action {
            Action::Verify { ticket, pods, named } => {
                self.verify(key, mailbox, ticket, &pods, named.as_deref()).await;
            }
            Action::WriteSeat { ticket, precondition, seat } => {
                self.write_seat(key, mailbox, ticket, &precondition, &seat).await;
            }
            Action::WriteSlice { ticket, service, service_uid, family, precondition, content } => {
                let target = SliceTarget { group: key.clone(), service, service_uid, family };
                self.write_slice(mailbox, ticket, &target, &precondition, &content).await;
            }
            Action::LabelPod { ticket, pod, rv, write } => {
                self.label_pod(key, mailbox, ticket, &pod, &rv, &write).await;
            }
            Action::PointService { ticket, service, uid, rv, write } => {
                let service = ServiceAt { name: service, uid, rv };
                self.point_service(key, mailbox, ticket, service, &write).await;
            }
            Action::DeletePod { ticket, pod, rv, seat, grace_seconds } => {
                self.delete_pod(key, mailbox, ticket, &pod, &rv, seat, grace_seconds).await;
            }
            Action::Notify { ticket, notice } => self.notify(key, mailbox, ticket, &notice).await,
            Action::AskPeers { ticket, uid, node, failing_since } => {
                self.ask_peers(key, mailbox, ticket, &uid, node.as_deref(), failing_since).await;
            }
            Action::ProbeAt { .. }
            | Action::Relist
            | Action::Tell(_)
            | Action::Publish(_)
            | Action::Completed(_) => {}
        }
    }

    async fn verify(
        &self,
        key: &GroupKey,
        mailbox: &Mailbox,
        ticket: Ticket,
        pods: &[MemberRef],
        named: Option<&str>,
    ) {
        let live = match self.sight(key) {
            Some(sight) => self.live.verify(key, &sight, pods, named).await,
            None => Err(gone()),
        };
        if let Err(error) = &live {
            tracing::warn!(group = %key, error = %describe(error), "reading seat and pods failed; it is tried again");
        }
        mailbox.push(Observation::Verified { ticket, live });
    }

    async fn write_seat(
        &self,
        key: &GroupKey,
        mailbox: &Mailbox,
        ticket: Ticket,
        precondition: &Precondition,
        seat: &SeatWrite,
    ) {
        let began = self.host.clock.mono();
        let outcome = self.stores.seats.write(key, precondition, seat).await;
        self.note_write("seat", key, began, outcome.as_ref().err());
        if outcome.is_ok() {
            tracing::info!(
                group = %key, holder = %seat.holder.name, term = seat.term.0, reason = seat.reason.as_str(), "seat written"
            );
        }
        mailbox.push(Observation::SeatWritten { ticket, outcome });
    }

    async fn write_slice(
        &self,
        mailbox: &Mailbox,
        ticket: Ticket,
        target: &SliceTarget,
        precondition: &Precondition,
        content: &SliceContent,
    ) {
        let name = slice_name(&target.service, target.family);
        let extras = self
            .index
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .slice_extras(&target.group.namespace, &name);
        let began = self.host.clock.mono();
        let outcome = self.stores.slices.write(target, precondition, content, extras).await;
        self.note_write("slice", &target.group, began, outcome.as_ref().err());
        if is_open(outcome.as_ref().err())
            && let Ok(slice) = self.stores.slices.read(target).await
        {
            let (service, family) = (Arc::clone(&target.service), target.family);
            mailbox.push(Observation::SliceRead { service, family, slice });
        }
        let (service, family) = (Arc::clone(&target.service), target.family);
        mailbox.push(Observation::SliceWritten { ticket, service, family, outcome });
    }

    async fn label_pod(
        &self,
        key: &GroupKey,
        mailbox: &Mailbox,
        ticket: Ticket,
        pod: &MemberRef,
        rv: &Rv,
        write: &MarkedWrite,
    ) {
        let began = self.host.clock.mono();
        let outcome = match self.sight(key) {
            Some(sight) => self.stores.labels.write(key, pod, rv, write, &sight.lens).await,
            None => Err(gone()),
        };
        self.note_write("pod-labels", key, began, outcome.as_ref().err());
        self.read_pod_after(key, mailbox, pod, outcome.as_ref().err()).await;
        let (uid, outcome) = (pod.uid.clone(), outcome.map(Box::new));
        mailbox.push(Observation::PodLabelled { ticket, uid, outcome });
    }

    async fn point_service(
        &self,
        key: &GroupKey,
        mailbox: &Mailbox,
        ticket: Ticket,
        service: ServiceAt,
        write: &MarkedWrite,
    ) {
        let began = self.host.clock.mono();
        let outcome = self.stores.pointers.write(key, &service, write).await;
        self.note_write("selector", key, began, outcome.as_ref().err());
        let service = service.name;
        if is_open(outcome.as_ref().err())
            && let Ok(found) = self.stores.pointers.read(&key.namespace, &service).await
        {
            let (service, found) = (service.clone(), found.map(Box::new));
            mailbox.push(Observation::ServiceRead { service, found });
        }
        mailbox.push(Observation::ServicePointed { ticket, service, outcome: outcome.map(Box::new) });
    }

    #[allow(clippy::too_many_arguments)] // what the action says, one by one
    async fn delete_pod(
        &self,
        key: &GroupKey,
        mailbox: &Mailbox,
        ticket: Ticket,
        pod: &MemberRef,
        rv: &Rv,
        seat: Option<(Uid, Term)>,
        grace_seconds: Option<u32>,
    ) {
        let began = self.host.clock.mono();
        let as_decided = match &seat {
            Some((seat, term)) => self.check_seat(key, seat, *term).await,
            None => Ok(()),
        };
        let outcome = match as_decided {
            Ok(()) => self.deleter.delete(&key.namespace, pod, rv, grace_seconds).await,
            Err(error) => Err(error),
        };
        self.note_write("pod-deletion", key, began, outcome.as_ref().err());
        if outcome.is_ok() {
            tracing::info!(group = %key, pod = %pod.name, grace_seconds, "pod deleted");
        }
        self.read_pod_after(key, mailbox, pod, outcome.as_ref().err()).await;
        mailbox.push(Observation::PodDeleted { ticket, uid: pod.uid.clone(), outcome });
    }

    async fn notify(&self, key: &GroupKey, mailbox: &Mailbox, ticket: Ticket, notice: &Notification) {
        // Told at the wrong moment, a standby may be told again; an active may not be unmade.
        let as_decided = match notice.role {
            Role::Active => self.check_seat(key, &notice.seat, notice.term).await,
            Role::Standby => Ok(()),
        };
        let outcome = match as_decided {
            Ok(()) => {
                let sent = notify(&self.host, &key.to_string(), notice).await;
                sent.map_err(|error| error.to_string().into())
            }
            Err(WriteError::Conflict) => Err("the seat has moved meanwhile".into()),
            Err(WriteError::Refused(why) | WriteError::Unknown(why)) => Err(why),
        };
        if let Err(error) = &outcome {
            tracing::debug!(group = %key, pod = %notice.to.name, %error, "a notice was not delivered");
        }
        mailbox.push(Observation::Notified { ticket, outcome });
    }

    /// Whether the seat is still the one that was decided by, read live. Where it is not, the watch will tell the group.
    async fn check_seat(&self, key: &GroupKey, seat: &Uid, term: Term) -> Result<(), WriteError> {
        let sight = self.sight(key).ok_or_else(gone)?;
        let now = self.live.seat(key, &sight).await?;
        if stands(&now, seat, term) { Ok(()) } else { Err(WriteError::Conflict) }
    }

    /// Reads a pod live where a write of it was overtaken, or ended without an answer.
    async fn read_pod_after(
        &self,
        key: &GroupKey,
        mailbox: &Mailbox,
        pod: &MemberRef,
        error: Option<&WriteError>,
    ) {
        if is_open(error)
            && let Some(sight) = self.sight(key)
            && let Ok(found) = self.live.pod(key, &sight, pod).await
        {
            mailbox.push(Observation::PodRead { uid: pod.uid.clone(), pod: found.map(Box::new) });
        }
    }

    /// How a group looks at the cluster; `None`: it is gone.
    fn sight(&self, key: &GroupKey) -> Option<Sight> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner).sight(key)
    }

    async fn ask_peers(
        &self,
        key: &GroupKey,
        mailbox: &Mailbox,
        ticket: Ticket,
        uid: &Uid,
        node: Option<&str>,
        failing_since: Duration,
    ) {
        let veto = self.peers.ask(&key.to_string(), uid, node, failing_since).await;
        if let Some(peer) = &veto {
            tracing::info!(group = %key, pod_uid = %uid, %peer, "a peer reaches the pod that this replica does not");
        }
        mailbox.push(Observation::Peers { ticket, veto });
    }

    fn note_write(&self, kind: &'static str, key: &GroupKey, began: Duration, error: Option<&WriteError>) {
        let took = self.host.clock.mono().saturating_sub(began);
        let outcome = match error {
            None => "ok",
            Some(WriteError::Conflict) => "conflict",
            Some(WriteError::Refused(_)) => "refused",
            Some(WriteError::Unknown(_)) => "unknown",
        };
        self.host.metrics.api_write(kind, outcome, took);
        match error {
            None => {}
            Some(WriteError::Conflict) => {
                tracing::info!(group = %key, kind, "somebody was faster; reading anew");
            }
            Some(error) => tracing::warn!(group = %key, kind, error = %describe(error), "a write failed"),
        }
    }
}

/// Whether what is stored is open after this: it must be read before anything else.
const fn is_open(error: Option<&WriteError>) -> bool {
    matches!(error, Some(WriteError::Conflict | WriteError::Unknown(_)))
}

fn gone() -> WriteError {
    WriteError::Unknown("the group is gone".into())
}

fn describe(error: &WriteError) -> &str {
    match error {
        WriteError::Conflict => "conflict",
        WriteError::Refused(why) | WriteError::Unknown(why) => why,
    }
}
