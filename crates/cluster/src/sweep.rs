//! Removing what nobody needs any more. Nothing is deleted on the word of a cache.

use crate::api::ActiveStandby;
use crate::call::{Verb, with_deadline};
use crate::index::{Leftover, LeftoverKind};
use crate::marks::GroupMarks;
use crate::names;
use crate::seat::{SeatStore, seat_group};
use crate::slice::{SliceLite, SliceStore};
use hotstandby_core::ids::{GroupKey, GroupKind, Rv, Uid};
use hotstandby_core::observation::WriteError;
use k8s_openapi::api::core::v1::Service;
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

/// Deletes seats and slices of groups that are gone.
pub struct Sweeper {
    client: Client,
    seats: Arc<SeatStore>,
    slices: SliceStore,
}

impl Sweeper {
    /// A sweeper over these stores.
    pub fn new(client: Client, seats: Arc<SeatStore>, slices: SliceStore) -> Self {
        Self { client, seats, slices }
    }

    /// Deletes a leftover of a group, once a live read proves that the group is gone: no such object, or
    /// another UID. A write in between is looked at: the object is deleted only while its marks still say whose it is.
    pub async fn sweep(&self, leftover: &Leftover) -> Result<Swept, WriteError> {
        if self.group_exists(leftover).await? {
            return Ok(Swept::Kept);
        }
        self.delete(leftover).await
    }

    /// Deletes a slice that its living group no longer wants, exactly as it was seen. One that changed stays for now.
    pub async fn delete_stale(&self, leftover: &Leftover) -> Result<Swept, WriteError> {
        match self.delete_once(leftover, &leftover.uid, &leftover.rv).await {
            Ok(()) => Ok(Swept::Gone),
            Err(WriteError::Conflict) => Ok(Swept::Kept),
            Err(error) => Err(error),
        }
    }

    async fn group_exists(&self, leftover: &Leftover) -> Result<bool, WriteError> {
        let GroupKey { kind, namespace, name } = &leftover.group;
        let what = format!("read group {}", leftover.group);
        let found = match kind {
            GroupKind::Cr => {
                let groups: Api<PartialObjectMeta<ActiveStandby>> =
                    Api::namespaced(self.client.clone(), namespace);
                with_deadline(Verb::Read, &what, groups.get_opt(name)).await?.map(|group| group.metadata)
            }
            GroupKind::Svc => {
                let services: Api<PartialObjectMeta<Service>> =
                    Api::namespaced(self.client.clone(), namespace);
                let found = with_deadline(Verb::Read, &what, services.get_opt(name)).await?;
                found.map(|service| service.metadata).filter(is_annotated)
            }
        };
        Ok(found.is_some_and(|meta| meta.uid.as_deref() == Some(leftover.group_uid.as_str())))
    }

    async fn delete(&self, leftover: &Leftover) -> Result<Swept, WriteError> {
        let (mut uid, mut rv) = (leftover.uid.clone(), leftover.rv.clone());
        for _ in 0..TRIES {
            match self.delete_once(leftover, &uid, &rv).await {
                Ok(()) => return Ok(Swept::Gone),
                Err(WriteError::Conflict) => {}
                Err(error) => return Err(error),
            }
            let Some((now_uid, now_rv, marks)) = self.read(leftover).await? else { return Ok(Swept::Gone) };
            let still_its = marks.is_some_and(|marks| {
                let slice_stays = marks.orphan && leftover.kind != LeftoverKind::Seat;
                marks.group_uid == leftover.group_uid && !slice_stays
            });
            if !still_its {
                return Ok(Swept::Kept);
            }
            (uid, rv) = (now_uid, now_rv);
        }
        Err(WriteError::Conflict)
    }

    async fn delete_once(&self, leftover: &Leftover, uid: &Uid, rv: &Rv) -> Result<(), WriteError> {
        match &leftover.kind {
            LeftoverKind::Seat => self.seats.delete(&leftover.group, uid, rv).await,
            LeftoverKind::Slice { namespace, name } => self.slices.delete(namespace, name, uid, rv).await,
        }
    }

    async fn read(&self, leftover: &Leftover) -> Result<Option<(Uid, Rv, Option<GroupMarks>)>, WriteError> {
        match &leftover.kind {
            LeftoverKind::Seat => {
                let lease = self.seats.read_lease(&leftover.group).await?;
                Ok(lease.and_then(|lease| {
                    let uid = lease.metadata.uid.as_deref()?.into();
                    Some((uid, lease.metadata.resource_version.as_deref()?.into(), seat_group(&lease)))
                }))
            }
            LeftoverKind::Slice { namespace, name } => {
                let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), namespace);
                let what = format!("read slice {namespace}/{name}");
                let slice = with_deadline(Verb::Read, &what, slices.get_opt(name)).await?;
                Ok(slice.as_ref().and_then(SliceLite::new).map(|slice| {
                    let marks = slice.own.and_then(|own| own.group);
                    (slice.uid, slice.rv, marks)
                }))
            }
        }
    }
}

/// Whether a Service makes a group.
fn is_annotated(meta: &ObjectMeta) -> bool {
    meta.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(names::MODE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Log, Seen, client, failure};
    use http::Method;
    use serde_json::{Value, json};

    fn leftover() -> Leftover {
        Leftover {
            kind: LeftoverKind::Seat,
            uid: "seat".into(),
            rv: "5".into(),
            group: GroupKey::cr("shop", "web"),
            group_uid: "g1".into(),
        }
    }

    fn sweeper(answer: impl Fn(&Seen) -> (u16, Value) + Send + Sync + 'static) -> (Sweeper, Log) {
        let (client, log) = client(answer);
        let seats = Arc::new(SeatStore::new(client.clone(), "hs", "one/controller".into()));
        (Sweeper::new(client.clone(), seats, SliceStore::new(client, "one/controller".into())), log)
    }

    /// A seat at version 6 for the group with this UID.
    fn seat_of(group_uid: &str) -> (u16, Value) {
        let annotations = json!({
            names::GROUP_UID: group_uid, names::GROUP_NAMESPACE: "shop", names::GROUP_NAME: "web",
        });
        (
            200,
            json!({"metadata": {
                "name": "cr.shop.web", "uid": "seat", "resourceVersion": "6", "annotations": annotations,
            }}),
        )
    }

    fn group(seen: &Seen) -> bool {
        seen.path.contains("activestandbies")
    }

    #[tokio::test]
    async fn a_group_that_lives_after_all_loses_nothing() {
        let (sweeper, log) = sweeper(|_| (200, json!({"metadata": {"name": "web", "uid": "g1"}})));
        assert_eq!(sweeper.sweep(&leftover()).await, Ok(Swept::Kept));
        assert!(log.lock().unwrap().iter().all(|seen| seen.method == Method::GET));
    }

    #[tokio::test]
    async fn no_answer_about_the_group_is_no_proof() {
        let (sweeper, log) = sweeper(|_| failure(503, "ServiceUnavailable"));
        assert!(matches!(sweeper.sweep(&leftover()).await, Err(WriteError::Unknown(_))));
        assert_eq!(log.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_group_made_anew_does_not_keep_the_old_ones_seat() {
        let (sweeper, _) = sweeper(|seen| {
            if group(seen) {
                (200, json!({"metadata": {"name": "web", "uid": "g2"}}))
            } else {
                (200, json!({}))
            }
        });
        assert_eq!(sweeper.sweep(&leftover()).await, Ok(Swept::Gone));
    }

    #[tokio::test]
    async fn a_seat_that_changed_is_deleted_only_while_it_is_still_the_dead_groups() {
        for (now_of, expected) in [("g1", Swept::Gone), ("g2", Swept::Kept)] {
            let (sweeper, log) = sweeper(move |seen| match (&seen.method, group(seen)) {
                (_, true) => failure(404, "NotFound"),
                (&Method::GET, _) => seat_of(now_of),
                _ if seen.body["preconditions"]["resourceVersion"] == "5" => failure(409, "Conflict"),
                _ => (200, json!({})),
            });
            assert_eq!(sweeper.sweep(&leftover()).await, Ok(expected));
            let deletes = log.lock().unwrap().iter().filter(|seen| seen.method == Method::DELETE).count();
            assert_eq!(deletes, if expected == Swept::Gone { 2 } else { 1 });
        }
    }
}
