//! The seat as a Lease: read, written with UID and resourceVersion, never patched and never forced.

use crate::call::{Verb, with_deadline};
use crate::extras::Extras;
use crate::marks::{self, GroupMarks, is_our_annotation};
use crate::names;
use hotstandby_core::action::{MemberRef, Precondition, SeatWrite};
use hotstandby_core::ids::{GroupKey, GroupKind, Rv, Term, Uid};
use hotstandby_core::observation::WriteError;
use hotstandby_core::reason::Reason;
use hotstandby_core::seat::{SeatMarks, SeatRecord, SeatState};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Client};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// The field manager of all our writes.
pub(crate) const FIELD_MANAGER: &str = "hotstandby";
/// `leaseDurationSeconds` of a seat: ten years.
///
/// The controller elects, and nobody renews. The API demands a number above zero, and whoever reads the seat as a
/// leader lease must find it held, not run out.
const SEAT_DURATION_SECONDS: i32 = 315_360_000;

/// The name of a group's seat.
///
/// A namespace has no dot in it, so that two groups never share a name.
pub fn seat_name(key: &GroupKey) -> String {
    marks::object_name(format!("{}.{}.{}", key.kind.as_str(), key.namespace, key.name))
}

/// Whether a Lease of this name may be a seat of ours, whatever became of its marks.
pub(crate) fn is_seat_name(name: &str) -> bool {
    name.split_once('.').is_some_and(|(kind, _)| GroupKind::parse(kind).is_some())
}

/// Reads a Lease as a seat; `None` if it is no stored object (no UID or resourceVersion).
pub fn seat_record(lease: &Lease) -> Option<SeatRecord> {
    let empty = BTreeMap::new();
    let annotations = lease.metadata.annotations.as_ref().unwrap_or(&empty);
    let spec = lease.spec.as_ref();
    Some(SeatRecord {
        uid: lease.metadata.uid.as_deref()?.into(),
        rv: lease.metadata.resource_version.as_deref()?.into(),
        holder: spec
            .and_then(|spec| spec.holder_identity.as_deref())
            .filter(|holder| !holder.is_empty())
            .map(Into::into),
        term: spec
            .and_then(|spec| spec.lease_transitions)
            .and_then(|term| u64::try_from(term).ok())
            .map(Term),
        marks: seat_marks(annotations),
        controller: annotations.get(names::CONTROLLER).map(|name| name.as_str().into()),
        followed: None,
    })
}

/// Whose seat a Lease is, if it says so.
pub fn seat_group(lease: &Lease) -> Option<GroupMarks> {
    GroupMarks::read(lease.metadata.annotations.as_ref()?)
}

fn seat_marks(annotations: &BTreeMap<String, String>) -> Option<SeatMarks> {
    Some(SeatMarks {
        group_uid: annotations.get(names::GROUP_UID)?.as_str().into(),
        holder_uid: annotations.get(names::HOLDER_UID)?.as_str().into(),
        holder_name: annotations.get(names::HOLDER_NAME)?.as_str().into(),
        term: Term(annotations.get(names::TERM)?.parse().ok()?),
        reason: Reason::parse(annotations.get(names::REASON)?)?,
        since_ms: marks::parse_millis(annotations.get(names::SINCE)?)?,
        previous: match annotations.get(names::PREVIOUS) {
            Some(text) => parse_previous(text)?,
            None => Vec::new(),
        },
    })
}

/// The text of [`names::PREVIOUS`]. Neither UIDs nor pod names have a slash or comma in them.
fn previous_text(previous: &[MemberRef]) -> Option<String> {
    let texts: Vec<_> = previous.iter().map(|one| format!("{}/{}", one.uid, one.name)).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

/// The reverse of [`previous_text`]; `None` where it is not what we write.
fn parse_previous(text: &str) -> Option<Vec<MemberRef>> {
    let one = |text: &str| {
        let (uid, name) = text.split_once('/')?;
        let complete = !uid.is_empty() && !name.is_empty() && !name.contains('/');
        complete.then(|| MemberRef { name: name.into(), uid: uid.into() })
    };
    text.split(',').map(one).collect()
}

/// Reads and writes the seats of one install.
pub struct SeatStore {
    api: Api<Lease>,
    controller: Arc<str>,
    /// What others put on a seat, by Lease name, as of a resourceVersion: saves a read before the write.
    known: Mutex<HashMap<Arc<str>, Known>>,
}

struct Known {
    uid: Uid,
    rv: Rv,
    foreign: Option<Box<Foreign>>,
}

/// Of a Lease, what is not ours.
#[derive(Clone, Debug, PartialEq, Default)]
struct Foreign {
    extras: Extras,
    strategy: Option<String>,
    preferred_holder: Option<String>,
}

impl Foreign {
    fn of(lease: &Lease) -> Self {
        let our_label = |key: &str| key == marks::APP_MANAGED_BY_LABEL || key == names::GROUP_UID;
        let spec = lease.spec.as_ref();
        Self {
            extras: Extras::of(&lease.metadata, our_label, is_our_annotation, |_| false),
            strategy: spec.and_then(|spec| spec.strategy.clone()),
            preferred_holder: spec.and_then(|spec| spec.preferred_holder.clone()),
        }
    }
}

impl SeatStore {
    /// A store for seats in `namespace`, our own.
    pub fn new(client: Client, namespace: &str, controller: Arc<str>) -> Self {
        Self { api: Api::namespaced(client, namespace), controller, known: Mutex::new(HashMap::new()) }
    }

    /// Reads a group's seat live.
    pub async fn read(&self, key: &GroupKey) -> Result<SeatState, WriteError> {
        let name = seat_name(key);
        Ok(self.get(&name).await?.map_or(SeatState::Absent, |(record, _)| SeatState::Present(record)))
    }

    /// Writes a group's seat, if it is still as `precondition` says, and returns it as stored.
    ///
    /// The UID goes with the resourceVersion for a reason: a PUT of a Lease that was deleted makes it anew, whatever
    /// version it names, unless it names a UID, too (seen on Kubernetes 1.35).
    pub async fn write(
        &self,
        key: &GroupKey,
        precondition: &Precondition,
        seat: &SeatWrite,
    ) -> Result<SeatRecord, WriteError> {
        let name = seat_name(key);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let stored = match precondition {
            Precondition::Absent => {
                let lease = lease(&name, key, &self.controller, seat, Foreign::default())?;
                let what = format!("create seat {name}");
                with_deadline(Verb::Create, &what, self.api.create(&params, &lease)).await?
            }
            Precondition::Unchanged { uid, rv } => {
                let foreign = self.foreign(&name, uid, rv).await?;
                let mut lease = lease(&name, key, &self.controller, seat, foreign)?;
                lease.metadata.uid = Some(uid.to_string());
                lease.metadata.resource_version = Some(rv.to_string());
                let what = format!("write seat {name}");
                with_deadline(Verb::Change, &what, self.api.replace(&name, &params, &lease)).await?
            }
        };
        self.remember(&name, &stored);
        as_written(&stored, seat)
    }

    /// Deletes a seat that is exactly this one. Gone already is as good.
    pub async fn delete(&self, key: &GroupKey, uid: &Uid, rv: &Rv) -> Result<(), WriteError> {
        let name = seat_name(key);
        self.forget(&name);
        delete_exactly(&self.api, &name, uid, rv).await
    }

    /// Reads a group's seat as the Lease it is.
    pub(crate) async fn read_lease(&self, key: &GroupKey) -> Result<Option<Lease>, WriteError> {
        self.get_lease(&seat_name(key)).await
    }

    async fn get_lease(&self, name: &str) -> Result<Option<Lease>, WriteError> {
        let what = format!("read seat {name}");
        let lease = with_deadline(Verb::Read, &what, self.api.get_opt(name)).await?;
        match &lease {
            Some(lease) => self.remember(name, lease),
            None => self.forget(name),
        }
        Ok(lease)
    }

    async fn get(&self, name: &str) -> Result<Option<(SeatRecord, Foreign)>, WriteError> {
        let Some(lease) = self.get_lease(name).await? else { return Ok(None) };
        let record = seat_record(&lease)
            .ok_or_else(|| WriteError::Unknown(format!("read seat {name}: the answer has no UID").into()))?;
        Ok(Some((record, Foreign::of(&lease))))
    }

    /// What a PUT over this version must keep; read from the server where it is not known.
    async fn foreign(&self, name: &str, uid: &Uid, rv: &Rv) -> Result<Foreign, WriteError> {
        let known = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known
                .get(name)
                .filter(|known| known.uid == *uid && known.rv == *rv)
                .map(|known| known.foreign.as_deref().cloned().unwrap_or_default())
        };
        if let Some(foreign) = known {
            return Ok(foreign);
        }
        match self.get(name).await? {
            Some((record, foreign)) if record.uid == *uid && record.rv == *rv => Ok(foreign),
            // Read and found changed: the write would be refused, so it is not tried.
            Some(_) | None => Err(WriteError::Conflict),
        }
    }

    fn remember(&self, name: &str, lease: &Lease) {
        let (Some(uid), Some(rv)) = (&lease.metadata.uid, &lease.metadata.resource_version) else { return };
        let foreign = Some(Foreign::of(lease)).filter(|foreign| *foreign != Foreign::default()).map(Box::new);
        let known = Known { uid: uid.as_str().into(), rv: rv.as_str().into(), foreign };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into(), known);
    }

    fn forget(&self, name: &str) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

/// The stored seat, if it says what was sent: a 200 is no proof, a webhook may have changed it on its way.
fn as_written(stored: &Lease, seat: &SeatWrite) -> Result<SeatRecord, WriteError> {
    let record =
        seat_record(stored).ok_or_else(|| WriteError::Unknown("write seat: the answer has no UID".into()))?;
    let marks = SeatMarks {
        group_uid: seat.group_uid.clone(),
        holder_uid: seat.holder.uid.clone(),
        holder_name: seat.holder.name.clone(),
        term: seat.term,
        reason: seat.reason,
        since_ms: seat.since_ms,
        previous: seat.previous.clone(),
    };
    if record.sealed() == Some(&marks) {
        return Ok(record);
    }
    let text = "write seat: stored otherwise than sent; look for a mutating webhook on Leases";
    Err(WriteError::Refused(text.into()))
}

/// The Lease that says `seat`.
fn lease(
    name: &str,
    key: &GroupKey,
    controller: &str,
    seat: &SeatWrite,
    foreign: Foreign,
) -> Result<Lease, WriteError> {
    let bad = |what: &str| WriteError::Refused(format!("write seat {name}: {what}").into());
    let term = i32::try_from(seat.term.0).map_err(|_| bad("the term is too high for a Lease"))?;
    let since = marks::millis_text(seat.since_ms).ok_or_else(|| bad("the clock is out of range"))?;
    let time = Timestamp::from_millisecond(seat.since_ms).map_err(|_| bad("the clock is out of range"))?;

    let group = GroupMarks { group: key.clone(), group_uid: seat.group_uid.clone(), orphan: seat.orphan };
    let mut annotations = BTreeMap::new();
    group.write(&mut annotations);
    for (mark, text) in [
        (names::CONTROLLER, controller.to_owned()),
        (names::HOLDER_NAME, seat.holder.name.to_string()),
        (names::HOLDER_UID, seat.holder.uid.to_string()),
        (names::TERM, seat.term.to_string()),
        (names::REASON, seat.reason.as_str().to_owned()),
        (names::SINCE, since),
    ] {
        annotations.insert(mark.to_owned(), text);
    }
    if let Some(previous) = previous_text(&seat.previous) {
        annotations.insert(names::PREVIOUS.to_owned(), previous);
    }
    let labels = BTreeMap::from([
        (marks::APP_MANAGED_BY_LABEL.to_owned(), marks::APP_MANAGED_BY.to_owned()),
        (names::GROUP_UID.to_owned(), seat.group_uid.to_string()),
    ]);
    let mut metadata = ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some(labels),
        annotations: Some(annotations),
        ..ObjectMeta::default()
    };
    foreign.extras.add_to(&mut metadata);
    Ok(Lease {
        metadata,
        spec: Some(LeaseSpec {
            holder_identity: Some(seat.holder.name.to_string()),
            lease_transitions: Some(term),
            lease_duration_seconds: Some(SEAT_DURATION_SECONDS),
            acquire_time: Some(MicroTime(time)),
            renew_time: Some(MicroTime(time)),
            strategy: foreign.strategy,
            preferred_holder: foreign.preferred_holder,
        }),
    })
}

/// DELETE with UID and resourceVersion.
pub(crate) async fn delete_exactly<K>(api: &Api<K>, name: &str, uid: &Uid, rv: &Rv) -> Result<(), WriteError>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(uid.to_string()),
            resource_version: Some(rv.to_string()),
        }),
        ..DeleteParams::default()
    };
    let what = format!("delete {name}");
    let gone = async {
        match api.delete(name, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error),
        }
    };
    with_deadline(Verb::Change, &what, gone).await
}

#[cfg(test)]
#[path = "seat_tests.rs"]
mod tests;
