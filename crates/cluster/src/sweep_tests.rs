//! What is removed, and on whose word.

use super::*;
use crate::marked::Undo;
use crate::names;
use crate::testing::{Log, Seen, client, failure, merged};
use http::Method;
use serde_json::{Value, json};

fn leftover() -> Leftover {
    Leftover {
        kind: LeftoverKind::Seat,
        uid: "seat".into(),
        rv: "5".into(),
        group: GroupKey::cr("shop", "web"),
        group_uid: "g1".into(),
        group_rv: None,
        superseded: false,
    }
}

fn sweeper(answer: impl Fn(&Seen) -> (u16, Value) + Send + Sync + 'static) -> (Sweeper, Log) {
    let (client, log) = client(answer);
    let me: Arc<str> = "one/controller".into();
    let stores = Stores::new(&client, "hs", &me);
    (Sweeper::new(client, me, stores), log)
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

fn of_service(superseded: bool) -> Leftover {
    Leftover { group: GroupKey::svc("shop", "web"), superseded, ..leftover() }
}

#[tokio::test]
async fn what_a_service_made_goes_only_once_the_service_asks_for_it_no_more() {
    let selecting = json!({"selector": {"app": "web"}});
    for (service, expected) in [
        (json!({"metadata": {"uid": "g1", "annotations": {names::MODE: "active-standby"}}}), Swept::Kept),
        (json!({"metadata": {"uid": "g1", "annotations": {names::MODE: "a slip"}}}), Swept::Kept),
        (
            json!({"metadata": {"uid": "g1", "annotations": {names::SERVICE_MODE: "x"}}, "spec": selecting}),
            Swept::Kept,
        ),
        (json!({"metadata": {"uid": "g1", "annotations": {names::SERVICE_MODE: "x"}}}), Swept::Gone),
        (json!({"metadata": {"uid": "g1"}}), Swept::Gone),
        (json!({"metadata": {"uid": "g2", "annotations": {names::MODE: "active-standby"}}}), Swept::Gone),
    ] {
        let stored = service.clone();
        let (sweeper, log) = sweeper(move |seen| match seen.path.as_str() {
            "/api/v1/namespaces/shop/services/web" => (200, stored.clone()),
            _ => (200, json!({})),
        });
        assert_eq!(sweeper.sweep(&of_service(false)).await, Ok(expected), "{service}");
        let log = log.lock().unwrap();
        let deleted = log.iter().filter(|seen| seen.method == Method::DELETE);
        let paths: Vec<_> = deleted.map(|seen| seen.path.as_str()).collect();
        let seat = "/apis/coordination.k8s.io/v1/namespaces/hs/leases/svc.shop.web";
        assert_eq!(paths, if expected == Swept::Gone { vec![seat] } else { Vec::new() });
    }
}

#[tokio::test]
async fn the_seat_of_a_service_that_joined_another_goes_as_it_was_seen_or_stays() {
    for (changed, expected) in [(false, Swept::Gone), (true, Swept::Kept)] {
        let (sweeper, log) =
            sweeper(move |_| if changed { failure(409, "Conflict") } else { (200, json!({})) });
        assert_eq!(sweeper.sweep(&of_service(true)).await, Ok(expected));
        assert_eq!(log.lock().unwrap().len(), 1, "one try, exactly as seen");
    }
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
        if group(seen) { (200, json!({"metadata": {"name": "web", "uid": "g2"}})) } else { (200, json!({})) }
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

/// What stands on a pod or Service at version 6, marked by this controller for the group with this UID.
fn marked(name: &str, controller: &str, group_uid: &str) -> Value {
    let annotations = json!({
        names::CONTROLLER: controller, names::GROUP_UID: group_uid, names::GROUP_NAMESPACE: "shop",
        names::GROUP_NAME: "web", names::UNDO: r#"{"role":"standby"}"#,
    });
    json!({"metadata": {"name": name, "namespace": "shop", "uid": "p0", "resourceVersion": "6", "annotations": annotations}})
}

fn labels() -> Leftover {
    let undo = Undo::from([("role".into(), None)]);
    Leftover { kind: LeftoverKind::Labels { pod: "web-0".into(), undo }, uid: "p0".into(), ..leftover() }
}

#[tokio::test]
async fn labels_that_changed_are_put_right_as_their_newest_mark_says_if_it_is_still_the_dead_groups() {
    for (controller, of, expected) in [
        ("one/controller", "g1", Swept::Gone),
        ("one/controller", "g2", Swept::Kept),
        ("another/controller", "g1", Swept::Kept),
    ] {
        let (sweeper, log) = sweeper(move |seen| match (&seen.method, group(seen)) {
            (_, true) => failure(404, "NotFound"),
            (&Method::GET, _) => (200, marked("web-0", controller, of)),
            _ if seen.body["metadata"]["resourceVersion"] == "5" => failure(409, "Conflict"),
            _ => (200, merged(&marked("web-0", controller, of), &seen.body)),
        });
        assert_eq!(sweeper.sweep(&labels()).await, Ok(expected), "{controller} {of}");
        let log = log.lock().unwrap();
        let patches: Vec<_> = log.iter().filter(|seen| seen.method == Method::PATCH).collect();
        assert!(patches.iter().all(|seen| seen.path == "/api/v1/namespaces/shop/pods/web-0/status"));
        assert_eq!(patches[0].body["metadata"]["labels"], json!({"role": null}));
        if expected == Swept::Gone {
            assert_eq!(patches[1].body["metadata"]["labels"], json!({"role": "standby"}));
            assert_eq!(patches[1].body["metadata"]["resourceVersion"], "6");
        } else {
            assert_eq!(patches.len(), 1);
        }
    }
}

#[tokio::test]
async fn a_selector_that_is_gone_is_not_made_anew() {
    let undo = Undo::from([("role".into(), Some("active".into()))]);
    let kind = LeftoverKind::Selector { service: "web".into(), undo };
    let leftover = Leftover { kind, uid: "p0".into(), ..leftover() };
    let (sweeper, log) = sweeper(|seen| match (&seen.method, group(seen)) {
        (_, true) => failure(404, "NotFound"),
        (&Method::GET, _) => (200, marked("web", "one/controller", "g1")),
        _ if seen.body["metadata"]["resourceVersion"] == "5" => failure(409, "Conflict"),
        _ => (200, merged(&marked("web", "one/controller", "g1"), &seen.body)),
    });
    assert_eq!(sweeper.sweep(&leftover).await, Ok(Swept::Gone));
    let log = log.lock().unwrap();
    let patches: Vec<_> = log.iter().filter(|seen| seen.method == Method::PATCH).collect();
    assert_eq!(patches[0].body["spec"]["selector"], json!({"role": "active"}));
    assert!(patches[1].body.get("spec").is_none());
}

#[tokio::test]
async fn what_a_living_group_leads_no_more_is_undone_only_on_its_newest_word() {
    for (rv, expected) in [("8", Swept::Gone), ("9", Swept::Kept)] {
        let (sweeper, log) = sweeper(move |seen| {
            if group(seen) {
                return (200, json!({"metadata": {"name": "web", "uid": "g1", "resourceVersion": rv}}));
            }
            (200, merged(&marked("web-0", "one/controller", "g1"), &seen.body))
        });
        let unled = Leftover { group_rv: Some("8".into()), ..labels() };
        assert_eq!(sweeper.remove_stale(&unled).await, Ok(expected));
        let patches = log.lock().unwrap().iter().filter(|seen| seen.method == Method::PATCH).count();
        assert_eq!(patches, usize::from(expected == Swept::Gone));
    }
}
