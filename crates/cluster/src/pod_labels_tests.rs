//! One patch of the status subresource, which only the pod at that version takes, and whose answer is looked at.

use super::*;
use crate::names;
use crate::testing::{Log, Seen, client, failure, merged};
use hotstandby_core::action::{MarkedSeat, MarksWrite, ProjectionMarks};
use hotstandby_core::ids::Term;
use hotstandby_core::reason::Reason;
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const ME: &str = "hotstandby.dev/controller";

fn key() -> GroupKey {
    GroupKey::cr("shop", "web")
}

fn pod() -> MemberRef {
    MemberRef { name: "web-1".into(), uid: "p1".into() }
}

fn lens() -> Lens {
    Lens {
        selector: None,
        critical: Arc::default(),
        led: Arc::from(["role".into()]),
        owners: crate::pod::Owners::default(),
        rivals: Vec::new(),
    }
}

fn stored() -> Value {
    json!({
        "metadata": {
            "name": "web-1", "namespace": "shop", "uid": "p1", "resourceVersion": "5",
            "labels": {"app": "web", "role": "standby"}, "annotations": {"hotstandby.dev/priority": "10"},
        },
        "spec": {"containers": []}, "status": {"phase": "Running"},
    })
}

fn promote() -> MarkedWrite {
    let seat = MarkedSeat {
        uid: "seat".into(),
        term: Term(7),
        reason: Reason::ProbeRefused,
        since_ms: 1_795_219_200_000,
    };
    MarkedWrite {
        changes: BTreeMap::from([("role".into(), Some("active".into())), ("old".into(), None)]),
        marks: MarksWrite::Set(Box::new(ProjectionMarks {
            seat: Some(seat),
            group_uid: "g1".into(),
            orphan: false,
            undo: BTreeMap::from([("role".into(), Some("standby".into()))]),
        })),
    }
}

fn store(answer: impl Fn(&Seen) -> (u16, Value) + Send + Sync + 'static) -> (LabelStore, Log) {
    let (client, log) = client(answer);
    (LabelStore::new(client, ME.into()), log)
}

#[tokio::test]
async fn the_label_goes_out_with_marks_and_preconditions_in_one_patch_of_the_status() {
    let (store, log) = store(|seen| {
        let mut after = merged(&stored(), &seen.body);
        after["metadata"]["resourceVersion"] = json!("6");
        (200, after)
    });
    let member = store.write(&key(), &pod(), &"5".into(), &promote(), &lens()).await.unwrap();
    assert_eq!(member.labels, BTreeMap::from([("role".into(), "active".into())]));
    let mark = member.mark.unwrap();
    assert_eq!((&*mark.controller, mark.stamp), (ME, Some(("seat".into(), Term(7)))));
    assert_eq!((member.rv, member.priority), ("6".into(), 10));
    let log = log.lock().unwrap();
    let [sent] = log.as_slice() else { panic!("{log:?}") };
    assert_eq!((&sent.method, &*sent.path), (&Method::PATCH, "/api/v1/namespaces/shop/pods/web-1/status"));
    assert_eq!(sent.body["metadata"]["uid"], "p1");
    assert_eq!(sent.body["metadata"]["resourceVersion"], "5");
    assert_eq!(sent.body["metadata"]["labels"], json!({"role": "active", "old": null}));
    assert_eq!(sent.body["metadata"]["annotations"][names::GROUP_NAME], "web");
    assert!(sent.body.get("status").is_none() && sent.body.get("spec").is_none());
}

#[tokio::test]
async fn a_200_that_stored_something_else_is_no_success() {
    for lost in ["labels", "annotations"] {
        let (store, _) = store(move |seen| {
            let mut after = merged(&stored(), &seen.body);
            after["metadata"][lost] = stored()["metadata"][lost].clone();
            (200, after)
        });
        let outcome = store.write(&key(), &pod(), &"5".into(), &promote(), &lens()).await;
        assert!(matches!(outcome, Err(WriteError::Refused(why)) if why.contains("webhook")), "{lost}");
    }
}

#[tokio::test]
async fn overtaken_gone_forbidden_and_unanswered_are_told_apart() {
    for (code, expected) in [(409, "conflict"), (404, "conflict"), (403, "refused"), (504, "unknown")] {
        let (store, _) = store(move |_| failure(code, "x"));
        let outcome = store.write(&key(), &pod(), &"5".into(), &promote(), &lens()).await;
        let found = match outcome.unwrap_err() {
            WriteError::Conflict => "conflict",
            WriteError::Refused(_) => "refused",
            WriteError::Unknown(_) => "unknown",
        };
        assert_eq!(found, expected, "{code}");
    }
}

#[tokio::test]
async fn undoing_puts_the_labels_back_and_leaves_no_mark() {
    let (store, log) = store(|seen| (200, merged(&stored(), &seen.body)));
    let undo =
        BTreeMap::from([("role".into(), Some("standby".into())), ("hotstandby.dev/member".into(), None)]);
    assert_eq!(store.undo("shop", &pod(), &"5".into(), &undo).await, Ok(()));
    let log = log.lock().unwrap();
    let metadata = &log[0].body["metadata"];
    assert_eq!(metadata["labels"], json!({"role": "standby", "hotstandby.dev/member": null}));
    let annotations = metadata["annotations"].as_object().unwrap();
    assert!(annotations.values().all(Value::is_null) && annotations.contains_key(names::CONTROLLER));
    assert!(!annotations.contains_key(names::PRIORITY));
}
