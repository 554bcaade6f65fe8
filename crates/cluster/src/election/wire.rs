//! The Lease as client-go writes it, and our marks beside it.

use crate::names;
use hotstandby_core::gatekeeper::{LeaseRecord, LeaseView, Marks};
use hotstandby_core::ids::Term;
use hotstandby_core::observation::WriteError;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::collections::BTreeMap;

/// The annotations that our writes own. Others are never touched.
const OURS: [&str; 6] = [
    names::HOLDER_NAME,
    names::HOLDER_UID,
    names::HOLDER_CONTAINER,
    names::HOLDER_INSTANCE,
    names::HOLDER_RENEWED,
    names::TERM,
];

/// Reads a Lease; `None` if it is no stored object (no UID or resourceVersion).
pub(super) fn view(lease: &Lease) -> Option<LeaseView> {
    let none = LeaseSpec::default();
    let spec = lease.spec.as_ref().unwrap_or(&none);
    let number = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok()).unwrap_or(0);
    Some(LeaseView {
        uid: lease.metadata.uid.as_deref()?.into(),
        rv: lease.metadata.resource_version.as_deref()?.into(),
        record: LeaseRecord {
            holder: spec.holder_identity.as_deref().filter(|holder| !holder.is_empty()).map(Into::into),
            term: Term(number(spec.lease_transitions).into()),
            duration_seconds: number(spec.lease_duration_seconds),
            acquired_us: micros(spec.acquire_time.as_ref()),
            renewed_us: micros(spec.renew_time.as_ref()),
            marks: lease.metadata.annotations.as_ref().and_then(marks),
        },
    })
}

fn micros(time: Option<&MicroTime>) -> i64 {
    time.map_or(0, |MicroTime(time)| time.as_microsecond())
}

fn marks(annotations: &BTreeMap<String, String>) -> Option<Marks> {
    Some(Marks {
        holder_name: annotations.get(names::HOLDER_NAME)?.as_str().into(),
        pod_uid: annotations.get(names::HOLDER_UID).map(|uid| uid.as_str().into()),
        container: annotations.get(names::HOLDER_CONTAINER).map(|name| name.as_str().into()),
        instance: annotations.get(names::HOLDER_INSTANCE)?.as_str().into(),
        term: Term(annotations.get(names::TERM)?.parse().ok()?),
        renewed_us: annotations.get(names::HOLDER_RENEWED)?.parse().ok()?,
    })
}

/// Puts `record` into a Lease and leaves everything else on it as it is.
pub(super) fn put(record: &LeaseRecord, lease: &mut Lease) -> Result<(), WriteError> {
    let bad = |what: &str| WriteError::Refused(format!("write Lease: {what}").into());
    let time =
        |us| Timestamp::from_microsecond(us).map(MicroTime).map_err(|_| bad("the clock is out of range"));
    let spec = lease.spec.get_or_insert_default();
    // A released Lease names the empty holder, as client-go's does.
    spec.holder_identity = Some(record.holder.as_deref().unwrap_or_default().to_owned());
    spec.lease_transitions =
        Some(i32::try_from(record.term.0).map_err(|_| bad("the term is too high for a Lease"))?);
    let seconds =
        i32::try_from(record.duration_seconds).map_err(|_| bad("the duration is too long for a Lease"))?;
    spec.lease_duration_seconds = Some(seconds);
    spec.acquire_time = Some(time(record.acquired_us)?);
    spec.renew_time = Some(time(record.renewed_us)?);
    // Absent means unchanged to the server.
    lease.metadata.managed_fields = None;
    put_marks(record.marks.as_ref(), lease.metadata.annotations.get_or_insert_default());
    Ok(())
}

fn put_marks(marks: Option<&Marks>, annotations: &mut BTreeMap<String, String>) {
    annotations.retain(|key, _| !OURS.contains(&key.as_str()));
    let Some(Marks { holder_name, pod_uid, container, instance, term, renewed_us }) = marks else { return };
    let pairs = [
        (names::HOLDER_NAME, Some(holder_name.to_string())),
        (names::HOLDER_UID, pod_uid.as_ref().map(ToString::to_string)),
        (names::HOLDER_CONTAINER, container.as_deref().map(str::to_owned)),
        (names::HOLDER_INSTANCE, Some(instance.to_string())),
        (names::HOLDER_RENEWED, Some(renewed_us.to_string())),
        (names::TERM, Some(term.to_string())),
    ];
    for (key, value) in pairs {
        if let Some(value) = value {
            annotations.insert(key.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn record() -> LeaseRecord {
        LeaseRecord {
            holder: Some("db-0".into()),
            term: Term(7),
            duration_seconds: 15,
            acquired_us: 1_795_219_200_000_001,
            renewed_us: 1_795_219_202_000_002,
            marks: Some(Marks {
                holder_name: "db-0".into(),
                pod_uid: Some("pod".into()),
                container: None,
                instance: "i".into(),
                term: Term(7),
                renewed_us: 1_795_219_202_000_002,
            }),
        }
    }

    fn stored(value: Value) -> Lease {
        let mut lease: Lease = serde_json::from_value(value).unwrap();
        lease.metadata.uid = Some("u".to_owned());
        lease.metadata.resource_version = Some("5".to_owned());
        lease
    }

    #[test]
    fn what_was_written_is_read_word_for_word() {
        let mut lease = stored(json!({}));
        put(&record(), &mut lease).unwrap();
        let wire = serde_json::to_value(&lease).unwrap();
        assert_eq!(
            wire["spec"],
            json!({
                "holderIdentity": "db-0", "leaseDurationSeconds": 15, "leaseTransitions": 7,
                "acquireTime": "2026-11-21T00:00:00.000001Z", "renewTime": "2026-11-21T00:00:02.000002Z",
            })
        );
        let again: Lease = serde_json::from_value(wire).unwrap();
        assert_eq!(view(&again).unwrap().record, record());
    }

    #[test]
    fn released_lease_is_what_client_go_leaves() {
        let released = LeaseRecord { holder: None, duration_seconds: 1, marks: None, ..record() };
        let mut lease = stored(json!({"metadata": {"annotations": {"theirs": "1"}}}));
        put(&record(), &mut lease).unwrap();
        put(&released, &mut lease).unwrap();
        let wire = serde_json::to_value(&lease).unwrap();
        assert_eq!(wire["spec"]["holderIdentity"], json!(""));
        assert_eq!(wire["spec"]["leaseDurationSeconds"], json!(1));
        assert_eq!(wire["spec"]["leaseTransitions"], json!(7));
        assert_eq!(wire["metadata"]["annotations"], json!({"theirs": "1"}), "our marks go, others stay");
        assert_eq!(view(&lease).unwrap().record, released);
    }

    #[test]
    fn what_others_put_on_the_lease_stays() {
        let mut lease = stored(json!({
            "metadata": {"labels": {"team": "a"}, "annotations": {"theirs": "1"}, "finalizers": ["f"]},
            "spec": {"strategy": "OldestEmulationVersion", "preferredHolder": "db-9", "holderIdentity": "db-1"},
        }));
        put(&record(), &mut lease).unwrap();
        let wire = serde_json::to_value(&lease).unwrap();
        assert_eq!(wire["metadata"]["labels"], json!({"team": "a"}));
        assert_eq!(wire["metadata"]["finalizers"], json!(["f"]));
        assert_eq!(wire["metadata"]["annotations"]["theirs"], json!("1"));
        assert_eq!(wire["spec"]["strategy"], json!("OldestEmulationVersion"));
        assert_eq!(wire["spec"]["preferredHolder"], json!("db-9"));
        assert_eq!(wire["spec"]["holderIdentity"], json!("db-0"));
    }

    #[test]
    fn lease_of_a_sloppy_writer_is_read_without_inventing_anything() {
        let empty = view(&stored(json!({}))).unwrap().record;
        assert_eq!((empty.holder, empty.term, empty.duration_seconds, empty.marks), (None, Term(0), 0, None));
        let odd = json!({"spec": {"leaseTransitions": -3, "leaseDurationSeconds": -1, "holderIdentity": ""}});
        let odd = view(&stored(odd)).unwrap().record;
        assert_eq!((odd.holder, odd.term, odd.duration_seconds), (None, Term(0), 0));
    }

    #[test]
    fn incomplete_marks_are_none() {
        let mut lease = stored(json!({}));
        put(&record(), &mut lease).unwrap();
        lease.metadata.annotations.as_mut().unwrap().remove(names::HOLDER_INSTANCE);
        assert_eq!(view(&lease).unwrap().record.marks, None);
    }

    #[test]
    fn term_beyond_the_wire_is_refused() {
        let far = LeaseRecord { term: Term(1 << 40), ..record() };
        assert!(matches!(put(&far, &mut stored(json!({}))), Err(WriteError::Refused(_))));
    }
}
