//! Removing what nobody needs any more. Nothing is deleted on the word of a cache.

use crate::api::ActiveStandby;
use crate::call::{Verb, with_deadline};
use crate::index::{Leftover, LeftoverKind, is_asking};
use crate::marked::Marked;
use crate::marks::GroupMarks;
use crate::pointer::ServiceAt;
use crate::seat::seat_group;
use crate::slice::SliceLite;
use crate::stores::Stores;
use crate::wire::WireService;
use hotstandby_core::action::MemberRef;
use hotstandby_core::ids::{GroupKey, GroupKind};
use hotstandby_core::observation::WriteError;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::core::{ObjectMeta, PartialObjectMeta};
use kube::{Api, Client};
use std::sync::Arc;

/// Tries against an object that keeps changing.
const TRIES: usize = 3;

/// What became of a leftover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swept {
    /// It is gone.
    Gone,
    /// Its group exists after all, or it belongs to another by now: it stays.
    Kept,
}

/// Deletes seats and slices of groups that are gone, and puts right what they changed of others' objects.
pub struct Sweeper {
    client: Client,
    controller: Arc<str>,
    stores: Stores,
}

impl Sweeper {
    /// A sweeper over these stores, for what carries the mark `controller`.
    pub fn new(client: Client, controller: Arc<str>, stores: Stores) -> Self {
        Self { client, controller, stores }
    }

    /// Removes a leftover of a group, once a live read proves that the group is gone: no such object, or
    /// another UID. A write in between is looked at: it is removed only while the marks still say whose it is.
    pub async fn sweep(&self, leftover: &Leftover) -> Result<Swept, WriteError> {
        if leftover.superseded {
            // Its Service asks for a group as before: no live read of it could tell.
            return self.remove_stale(leftover).await;
        }
        if self.group(leftover).await?.is_some() {
            return Ok(Swept::Kept);
        }
        self.remove(leftover).await
    }

    /// Removes what a living group no longer wants, exactly as it was seen. What changed stays for now, and so does what an
    /// older version of the group did not want.
    pub async fn remove_stale(&self, leftover: &Leftover) -> Result<Swept, WriteError> {
        if let Some(rv) = &leftover.group_rv {
            let group = self.group(leftover).await?;
            if group.is_none_or(|group| group.resource_version.as_deref() != Some(&*rv.to_string())) {
                return Ok(Swept::Kept);
            }
        }
        match self.remove_once(leftover).await {
            Ok(()) => Ok(Swept::Gone),
            Err(WriteError::Conflict) => Ok(Swept::Kept),
            Err(error) => Err(error),
        }
    }

    /// The object that makes the group, if it is still the same.
    async fn group(&self, leftover: &Leftover) -> Result<Option<ObjectMeta>, WriteError> {
        let GroupKey { kind, namespace, name } = &leftover.group;
        let what = format!("read group {}", leftover.group);
        let found = match kind {
            GroupKind::Cr => {
                let groups: Api<PartialObjectMeta<ActiveStandby>> =
                    Api::namespaced(self.client.clone(), namespace);
                with_deadline(Verb::Read, &what, groups.get_opt(name)).await?.map(|group| group.metadata)
            }
            GroupKind::Svc => {
                let services: Api<WireService> = Api::namespaced(self.client.clone(), namespace);
                let found = with_deadline(Verb::Read, &what, services.get_opt(name)).await?;
                found.filter(is_asking).map(|service| service.metadata)
            }
        };
        Ok(found.filter(|meta| meta.uid.as_deref() == Some(leftover.group_uid.as_str())))
    }

    async fn remove(&self, leftover: &Leftover) -> Result<Swept, WriteError> {
        let mut now = leftover.clone();
        for _ in 0..TRIES {
            match self.remove_once(&now).await {
                Ok(()) => return Ok(Swept::Gone),
                Err(WriteError::Conflict) => {}
                Err(error) => return Err(error),
            }
            let Some((read, marks)) = self.read(&now).await? else { return Ok(Swept::Gone) };
            let still_its = marks.is_some_and(|marks| {
                let stays = marks.orphan && leftover.kind != LeftoverKind::Seat;
                marks.group_uid == leftover.group_uid && !stays
            });
            if !still_its {
                return Ok(Swept::Kept);
            }
            now = read;
        }
        Err(WriteError::Conflict)
    }

    async fn remove_once(&self, leftover: &Leftover) -> Result<(), WriteError> {
        let Leftover { kind, uid, rv, group, group_uid: _, group_rv: _, superseded: _ } = leftover;
        match kind {
            LeftoverKind::Seat => self.stores.seats.delete(group, uid, rv).await,
            LeftoverKind::Slice { namespace, name } => {
                self.stores.slices.delete(namespace, name, uid, rv).await
            }
            LeftoverKind::Selector { service, undo } => {
                let service = ServiceAt { name: service.clone(), uid: uid.clone(), rv: rv.clone() };
                self.stores.pointers.undo(&group.namespace, &service, undo).await
            }
            LeftoverKind::Labels { pod, undo } => {
                let pod = MemberRef { name: pod.clone(), uid: uid.clone() };
                self.stores.labels.undo(&group.namespace, &pod, rv, undo).await
            }
        }
    }

    /// The leftover as it stands now, with what it says of whose it is.
    async fn read(&self, leftover: &Leftover) -> Result<Option<(Leftover, Option<GroupMarks>)>, WriteError> {
        match &leftover.kind {
            LeftoverKind::Seat => {
                let lease = self.stores.seats.read_lease(&leftover.group).await?;
                Ok(lease.and_then(|lease| read_as(leftover, &lease.metadata, seat_group(&lease))))
            }
            LeftoverKind::Slice { namespace, name } => {
                let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), namespace);
                let what = format!("read slice {namespace}/{name}");
                let slice = with_deadline(Verb::Read, &what, slices.get_opt(name)).await?;
                Ok(slice.and_then(|slice| {
                    let marks = SliceLite::new(&slice).and_then(|lite| lite.own).and_then(|own| own.group);
                    read_as(leftover, &slice.metadata, marks)
                }))
            }
            LeftoverKind::Selector { service, .. } => {
                let services: Api<WireService> =
                    Api::namespaced(self.client.clone(), &leftover.group.namespace);
                let what = format!("read Service {}/{service}", leftover.group.namespace);
                let Some(found) = with_deadline(Verb::Read, &what, services.get_opt(service)).await? else {
                    return Ok(None);
                };
                let marked = self.own(&found.metadata);
                let undo = marked.as_ref().map(|marked| marked.mark.undo.clone());
                let undo = undo.filter(|_| !found.spec.selector.is_empty()).unwrap_or_default();
                let kind = LeftoverKind::Selector { service: service.clone(), undo };
                let now = Leftover { kind, ..leftover.clone() };
                Ok(read_as(&now, &found.metadata, marked.and_then(|marked| marked.group)))
            }
            LeftoverKind::Labels { pod, .. } => {
                let pods: Api<PartialObjectMeta<Pod>> =
                    Api::namespaced(self.client.clone(), &leftover.group.namespace);
                let what = format!("read pod {}/{pod}", leftover.group.namespace);
                let Some(found) = with_deadline(Verb::Read, &what, pods.get_opt(pod)).await? else {
                    return Ok(None);
                };
                let marked = self.own(&found.metadata);
                let undo = marked.as_ref().map(|marked| marked.mark.undo.clone()).unwrap_or_default();
                let kind = LeftoverKind::Labels { pod: pod.clone(), undo };
                let now = Leftover { kind, ..leftover.clone() };
                Ok(read_as(&now, &found.metadata, marked.and_then(|marked| marked.group)))
            }
        }
    }

    /// The marks on an object of others, if they are ours.
    fn own(&self, meta: &ObjectMeta) -> Option<Marked> {
        Marked::read(meta).filter(|marked| marked.mark.controller == self.controller)
    }
}

fn read_as(
    leftover: &Leftover,
    meta: &ObjectMeta,
    marks: Option<GroupMarks>,
) -> Option<(Leftover, Option<GroupMarks>)> {
    let (uid, rv) = (meta.uid.as_deref()?.into(), meta.resource_version.as_deref()?.into());
    Some((Leftover { uid, rv, ..leftover.clone() }, marks))
}

#[cfg(test)]
#[path = "sweep_tests.rs"]
mod tests;
