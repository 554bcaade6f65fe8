//! Leases that others write: only read, here and nowhere else.

use crate::names;
use crate::seat::seat_record;
use hotstandby_core::follow::FollowedLease;
use hotstandby_core::ids::Uid;
use hotstandby_core::seat::SeatRecord;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use std::time::Duration;

/// Reads a Lease as the seat of a group that follows it; `None` if it is no stored object.
pub fn followed_record(lease: &Lease) -> Option<SeatRecord> {
    let meta = &lease.metadata;
    let spec = lease.spec.as_ref();
    let acquired = spec.and_then(|spec| spec.acquire_time.as_ref()).map(|time| time.0.as_millisecond());
    let created = meta.creation_timestamp.as_ref().map(|time| time.0.as_millisecond());
    // The API server notes the time of every write, by its own clock.
    let written = meta.managed_fields.iter().flatten().filter_map(|entry| entry.time.as_ref());
    let seconds =
        spec.and_then(|spec| spec.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok());
    let followed = FollowedLease {
        name: meta.name.as_deref()?.into(),
        holder_uid: spec.and_then(|spec| named_uid(lease, spec)),
        acquired_ms: acquired.or(created),
        written_ms: written.map(|time| time.0.as_millisecond()).max(),
        duration: seconds.map(Duration::from_secs),
    };
    // Whatever marks it carries, they are not those of a seat of ours.
    Some(SeatRecord {
        marks: None,
        controller: None,
        followed: Some(Box::new(followed)),
        ..seat_record(lease)?
    })
}

/// The holding pod's UID, where the record names it and nobody has written holder, term or renewal since: programs that do not
/// know the marks leave them as they were.
fn named_uid(lease: &Lease, spec: &LeaseSpec) -> Option<Uid> {
    let mark = |name: &str| lease.metadata.annotations.as_ref()?.get(name).map(String::as_str);
    let renewed = spec.renew_time.as_ref().map_or(0, |time| time.0.as_microsecond());
    let sealed = mark(names::HOLDER_NAME) == spec.holder_identity.as_deref()
        && mark(names::TERM)?.parse() == Ok(spec.lease_transitions.unwrap_or(0))
        && mark(names::HOLDER_RENEWED)?.parse() == Ok(renewed);
    mark(names::HOLDER_UID).filter(|uid| sealed && !uid.is_empty()).map(Uid::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn lease() -> Value {
        json!({
            "metadata": {
                "name": "lock", "namespace": "shop", "uid": "u", "resourceVersion": "9",
                "creationTimestamp": "2026-11-21T00:00:00Z",
                "managedFields": [
                    {"manager": "app", "operation": "Update", "time": "2026-11-21T00:00:07Z"},
                    {"manager": "kubectl", "operation": "Update", "time": "2026-11-21T00:00:03Z"},
                ],
                "annotations": {
                    names::HOLDER_NAME: "web-0", names::HOLDER_UID: "p0", names::TERM: "4",
                    names::HOLDER_RENEWED: "1795219205000001",
                },
            },
            "spec": {
                "holderIdentity": "web-0", "leaseTransitions": 4, "leaseDurationSeconds": 15,
                "acquireTime": "2026-11-21T00:00:01.5Z", "renewTime": "2026-11-21T00:00:05.000001Z",
            },
        })
    }

    fn read(value: Value) -> SeatRecord {
        followed_record(&serde_json::from_value(value).unwrap()).unwrap()
    }

    #[test]
    fn a_lease_is_read_with_the_times_of_the_api_server() {
        let record = read(lease());
        let followed = record.followed.unwrap();
        assert_eq!(followed.written_ms, Some(1_795_219_207_000));
        assert_eq!(followed.acquired_ms, Some(1_795_219_201_500));
        assert_eq!(followed.duration, Some(Duration::from_secs(15)));
        assert_eq!(followed.holder_uid, Some("p0".into()));
        assert!(record.marks.is_none());
    }

    #[test]
    fn marks_that_somebody_elses_write_left_behind_name_nobody() {
        for (pointer, value) in [
            ("/spec/holderIdentity", json!("web-1")),
            ("/spec/leaseTransitions", json!(5)),
            ("/spec/renewTime", json!("2026-11-21T00:00:06.000001Z")),
        ] {
            let mut other = lease();
            *other.pointer_mut(pointer).unwrap() = value;
            assert_eq!(read(other).followed.unwrap().holder_uid, None, "{pointer}");
        }
    }

    #[test]
    fn a_bare_lease_is_released_and_counts_nothing() {
        let bare = json!({"metadata": {"name": "lock", "uid": "u", "resourceVersion": "1"}, "spec": {"holderIdentity": ""}});
        let record = read(bare);
        assert_eq!((record.holder, record.term), (None, None));
        assert_eq!(record.followed.unwrap().written_ms, None);
    }
}
