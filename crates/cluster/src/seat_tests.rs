//! What a seat says comes back as it was said, and a write happens only as its precondition allows.

use super::*;
use crate::testing::{Seen, client, failure, stored};
use http::Method;
use serde_json::{Value, json};

fn key() -> GroupKey {
    GroupKey::cr("shop", "web")
}

fn seat() -> SeatWrite {
    SeatWrite {
        holder: MemberRef { name: "web-1".into(), uid: "pod-1".into() },
        term: Term(3_623_041),
        reason: Reason::ProbeRefused,
        since_ms: 1_795_219_200_123,
        group_uid: "group".into(),
        orphan: false,
        previous: Vec::new(),
    }
}

fn store(answer: impl Fn(&Seen) -> (u16, Value) + Send + Sync + 'static) -> (SeatStore, crate::testing::Log) {
    let (client, log) = client(answer);
    (SeatStore::new(client, "hotstandby-system", "hotstandby.dev/controller".into()), log)
}

fn unchanged(uid: &str, rv: &str) -> Precondition {
    Precondition::Unchanged { uid: uid.into(), rv: rv.into() }
}

fn written() -> Lease {
    let mut lease = lease("cr.shop.web", &key(), "one/controller", &seat(), Foreign::default()).unwrap();
    lease.metadata.uid = Some("seat".into());
    lease.metadata.resource_version = Some("7".into());
    lease
}

#[test]
fn a_seat_reads_back_sealed() {
    // Through JSON, since that is where times lose digits.
    let lease: Lease = serde_json::from_value(serde_json::to_value(written()).unwrap()).unwrap();
    let record = seat_record(&lease).unwrap();
    let marks = record.sealed().unwrap();
    assert_eq!(
        (marks.term, marks.since_ms, marks.reason),
        (Term(3_623_041), 1_795_219_200_123, Reason::ProbeRefused)
    );
    assert_eq!(&*marks.holder_name, "web-1");
    assert_eq!(record.controller.as_deref(), Some("one/controller"));
    let group = seat_group(&lease).unwrap();
    assert_eq!((group.group, group.group_uid, group.orphan), (key(), "group".into(), false));
}

#[test]
fn former_actives_read_back_and_an_edit_of_them_is_no_word_of_ours() {
    let one = |name: &str, uid: &str| MemberRef { name: name.into(), uid: uid.into() };
    let previous = vec![one("web-0", "pod-0"), one("web-2", "pod-2")];
    let seat = SeatWrite { previous: previous.clone(), ..seat() };
    let mut lease = lease("cr.shop.web", &key(), "one/controller", &seat, Foreign::default()).unwrap();
    lease.metadata.uid = Some("seat".into());
    lease.metadata.resource_version = Some("7".into());
    assert_eq!(seat_record(&lease).unwrap().sealed().unwrap().previous, previous);
    for bad in ["", "web-0", "/web-0", "pod-0/", "a/b/c", "pod-0/web-0,"] {
        let annotations = lease.metadata.annotations.as_mut().unwrap();
        annotations.insert(names::PREVIOUS.to_owned(), bad.to_owned());
        assert!(seat_record(&lease).unwrap().sealed().is_none(), "{bad:?}");
    }
    assert!(!written().metadata.annotations.unwrap().contains_key(names::PREVIOUS), "absent where empty");
}

#[test]
fn an_edit_by_hand_breaks_the_seal() {
    let mut lease = written();
    lease.spec.as_mut().unwrap().holder_identity = Some("web-0".into());
    assert!(seat_record(&lease).unwrap().sealed().is_none());
    let mut lease = written();
    lease.spec.as_mut().unwrap().lease_transitions = Some(1);
    assert!(seat_record(&lease).unwrap().sealed().is_none());
    let mut lease = written();
    lease.metadata.annotations.as_mut().unwrap().remove(names::REASON);
    assert!(seat_record(&lease).unwrap().marks.is_none());
    let mut lease = written();
    lease.spec.as_mut().unwrap().holder_identity = Some(String::new());
    assert_eq!(seat_record(&lease).unwrap().holder, None);
    lease.spec.as_mut().unwrap().lease_transitions = Some(-1);
    assert_eq!(seat_record(&lease).unwrap().term, None);
}

#[test]
fn two_groups_never_share_a_seat() {
    let name = |namespace: &str, name: &str| seat_name(&GroupKey::cr(namespace, name));
    assert_eq!(name("shop", "web"), "cr.shop.web");
    assert_ne!(name("shop", "web.a"), name("shop-web", "a"));
    assert_ne!(name("a", &"x".repeat(253)), name("a", &format!("{}y", "x".repeat(252))));
    assert!(name("a", &"x".repeat(253)).len() <= 253);
    assert_eq!(seat_name(&GroupKey::svc("shop", "web")), "svc.shop.web");
}

#[tokio::test]
async fn a_first_write_is_a_post() {
    let (store, log) = store(|seen| (201, stored(&seen.body, "seat", "1")));
    let record = store.write(&key(), &Precondition::Absent, &seat()).await.unwrap();
    assert_eq!((record.uid, record.rv), ("seat".into(), "1".into()));
    let log = log.lock().unwrap();
    assert_eq!(log[0].method, Method::POST);
    assert_eq!(log[0].path, "/apis/coordination.k8s.io/v1/namespaces/hotstandby-system/leases");
    assert!(log[0].body["metadata"].get("resourceVersion").is_none());
    assert_eq!(log[0].body["spec"]["leaseDurationSeconds"], 315_360_000);
}

#[tokio::test]
async fn a_change_is_a_put_with_uid_and_version_and_keeps_what_others_wrote() {
    let foreign = |seen: &Seen| match seen.method {
        Method::GET => {
            let mut lease = serde_json::to_value(written()).unwrap();
            lease["metadata"]["annotations"]["example.com/note"] = json!("keep me");
            lease["metadata"]["labels"]["team"] = json!("shop");
            lease["metadata"]["finalizers"] = json!(["example.com/hold"]);
            (200, lease)
        }
        _ => (200, stored(&seen.body, "seat", "8")),
    };
    let (store, log) = store(foreign);
    let record = store.write(&key(), &unchanged("seat", "7"), &seat()).await.unwrap();
    assert_eq!(record.rv, "8".into());
    // The second write needs no read: what the first one stored is known.
    store.write(&key(), &unchanged("seat", "8"), &seat()).await.unwrap();
    let log = log.lock().unwrap();
    let methods: Vec<_> = log.iter().map(|seen| seen.method.clone()).collect();
    assert_eq!(methods, [Method::GET, Method::PUT, Method::PUT]);
    for (put, rv) in [(&log[1], "7"), (&log[2], "8")] {
        let meta = &put.body["metadata"];
        assert_eq!((&meta["uid"], &meta["resourceVersion"]), (&json!("seat"), &json!(rv)));
        assert_eq!(meta["annotations"]["example.com/note"], "keep me");
        assert_eq!(meta["labels"]["team"], "shop");
        assert_eq!(meta["finalizers"], json!(["example.com/hold"]));
        assert_eq!(meta["annotations"][names::HOLDER_NAME], "web-1");
    }
}

#[tokio::test]
async fn a_seat_that_changed_is_not_written_at_all() {
    let (store, log) = store(|_| (200, serde_json::to_value(written()).unwrap()));
    for precondition in [unchanged("seat", "6"), unchanged("other", "7")] {
        assert_eq!(store.write(&key(), &precondition, &seat()).await, Err(WriteError::Conflict));
    }
    assert!(log.lock().unwrap().iter().all(|seen| seen.method == Method::GET));
}

#[tokio::test]
async fn failures_say_what_may_have_happened() {
    for (code, reason) in [(409, "AlreadyExists"), (504, "Timeout"), (403, "Forbidden"), (422, "Invalid")] {
        let (store, log) = store(move |_| failure(code, reason));
        let outcome = store.write(&key(), &Precondition::Absent, &seat()).await;
        match code {
            409 => assert_eq!(outcome, Err(WriteError::Conflict)),
            504 => assert!(matches!(outcome, Err(WriteError::Unknown(_))), "{outcome:?}"),
            _ => assert!(matches!(outcome, Err(WriteError::Refused(_))), "{outcome:?}"),
        }
        assert_eq!(log.lock().unwrap().len(), 1, "nothing is repeated behind our back");
    }
}

#[tokio::test]
async fn a_200_is_no_proof() {
    let meddled = |seen: &Seen| {
        let mut lease = stored(&seen.body, "seat", "1");
        lease["spec"]["holderIdentity"] = json!("web-9");
        (201, lease)
    };
    let (store, _) = store(meddled);
    let outcome = store.write(&key(), &Precondition::Absent, &seat()).await;
    assert!(matches!(outcome, Err(WriteError::Refused(text)) if text.contains("webhook")));
}

#[tokio::test]
async fn a_term_that_does_not_fit_is_refused_and_not_cut() {
    let (store, log) = store(|_| failure(500, "unreachable"));
    let outcome =
        store.write(&key(), &Precondition::Absent, &SeatWrite { term: Term(1 << 31), ..seat() }).await;
    assert!(matches!(outcome, Err(WriteError::Refused(_))), "{outcome:?}");
    assert!(log.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_absent_seat_reads_as_absent_and_a_failure_does_not() {
    let (gone, _) = store(|_| failure(404, "NotFound"));
    assert_eq!(gone.read(&key()).await, Ok(SeatState::Absent));
    let (ill, _) = store(|_| failure(503, "ServiceUnavailable"));
    assert!(matches!(ill.read(&key()).await, Err(WriteError::Unknown(_))));
}

#[tokio::test]
async fn deleting_what_is_gone_is_done_and_what_changed_is_a_conflict() {
    let (gone, log) = store(|_| failure(404, "NotFound"));
    assert_eq!(gone.delete(&key(), &"seat".into(), &"7".into()).await, Ok(()));
    let asked = log.lock().unwrap()[0].body["preconditions"].clone();
    assert_eq!(asked, json!({"uid": "seat", "resourceVersion": "7"}));
    let (changed, _) = store(|_| failure(409, "Conflict"));
    assert_eq!(changed.delete(&key(), &"seat".into(), &"7".into()).await, Err(WriteError::Conflict));
}
