//! The Lease of an election: read live, written with UID and resourceVersion, never patched and never forced.

use super::link::Link;
use super::wire;
use crate::call::Verb;
use crate::seat::FIELD_MANAGER;
use hotstandby_core::action::Precondition;
use hotstandby_core::gatekeeper::{LeaseRecord, LeaseState, LeaseView};
use hotstandby_core::observation::WriteError;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// One Lease.
pub struct LeaseStore {
    link: Arc<Link>,
    namespace: String,
    name: String,
    /// The newest version seen: a PUT replaces the whole object, and must bring along what others put on it.
    newest: Mutex<Option<Lease>>,
}

impl LeaseStore {
    /// The Lease of this name, whether or not it exists.
    pub fn new(link: Arc<Link>, namespace: &str, name: &str) -> Self {
        Self { link, namespace: namespace.to_owned(), name: name.to_owned(), newest: Mutex::new(None) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    pub(super) fn api(&self, client: Client) -> Api<Lease> {
        Api::namespaced(client, &self.namespace)
    }

    /// Reads it live: a quorum read, not a cache.
    pub async fn read(&self, limit: Duration) -> Result<LeaseState, WriteError> {
        let get = |client| async move { self.api(client).get_opt(&self.name).await };
        match self.link.call(Verb::Read, &self.what("read"), limit, get).await? {
            Some(lease) => self.seen(lease).map(LeaseState::Present),
            None => Ok(LeaseState::Absent),
        }
    }

    /// Writes it, if it is still as `precondition` says, and returns it as stored.
    ///
    /// The UID goes with the resourceVersion for a reason: a PUT of a Lease that was deleted makes it anew, whatever
    /// version it names, unless it names a UID, too (seen on Kubernetes 1.35).
    pub async fn write(
        &self,
        precondition: &Precondition,
        record: &LeaseRecord,
        limit: Duration,
    ) -> Result<LeaseView, WriteError> {
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let params = &params;
        let stored = match precondition {
            Precondition::Absent => {
                let mut lease = Lease::default();
                lease.metadata.name = Some(self.name.clone());
                wire::put(record, &mut lease)?;
                let post = |client| async move { self.api(client).create(params, &lease).await };
                self.link.call(Verb::Create, &self.what("create"), limit, post).await?
            }
            Precondition::Unchanged { uid, rv } => {
                let known = |lease: &Lease| {
                    lease.metadata.uid.as_deref() == Some(uid.as_str())
                        && lease.metadata.resource_version.as_deref() == Some(rv.as_str())
                };
                let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone();
                // Something newer was seen: the write would be refused, so it is not tried.
                let mut lease = newest.filter(known).ok_or(WriteError::Conflict)?;
                wire::put(record, &mut lease)?;
                let put = |client| async move { self.api(client).replace(&self.name, params, &lease).await };
                self.link.call(Verb::Change, &self.what("write"), limit, put).await?
            }
        };
        self.seen(stored)
    }

    /// Notes a version that was read, written or watched, and says what it means.
    pub(super) fn seen(&self, lease: Lease) -> Result<LeaseView, WriteError> {
        let none = || WriteError::Unknown(format!("{}: the answer has no UID", self.what("read")).into());
        let view = wire::view(&lease).ok_or_else(none)?;
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let older = newest.as_ref().and_then(wire::view).is_some_and(|known| {
            // A watch may lag behind a write of ours.
            known.uid == view.uid && view.rv.is_older_than(&known.rv)
        });
        if !older {
            *newest = Some(lease);
        }
        Ok(view)
    }

    fn what(&self, verb: &str) -> String {
        format!("{verb} Lease {}/{}", self.namespace, self.name)
    }
}
