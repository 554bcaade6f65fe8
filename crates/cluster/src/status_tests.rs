//! What a status keeps, and when it is silent.

use super::*;
use crate::testing::{client, failure, stored};
use hotstandby_core::conditions::{Condition as Wanted, Status};
use hotstandby_core::ids::Term;
use hotstandby_core::reason::Reason;
use hotstandby_core::switchover::Phase;
use http::Method;
use std::time::Duration;

const T0: i64 = 1_795_219_200_000;

fn report(ready: Status) -> Report {
    Report {
        generation: 2,
        active: Some(Active {
            pod: "web-1".into(),
            uid: "pod-1".into(),
            ip: Some("10.0.0.1".parse().unwrap()),
            node: Some("n1".into()),
        }),
        term: Some(Term(9)),
        term_is_no_token: false,
        reason: Some(Reason::Initial),
        since_ms: Some(T0 + 7),
        members: Vec::new(),
        switchover: Some(Answer { request: "term=9".into(), phase: Phase::Done, message: "moved".into() }),
        conditions: vec![Wanted::new(ConditionType::Ready, ready, "Served", "web-1 is served")],
        standbys: 1,
    }
}

fn change(term: u64, stages: Option<Stages>) -> Change {
    Change {
        term: Term(term),
        from: Some("web-0".into()),
        to: "web-1".into(),
        reason: Reason::Switchover,
        since_ms: T0,
        stages,
    }
}

/// As the API server would give it back.
fn round_trip(status: &ActiveStandbyStatus) -> ActiveStandbyStatus {
    serde_json::from_value(serde_json::to_value(status).unwrap()).unwrap()
}

fn observed(status: Option<&ActiveStandbyStatus>) -> ObservedStatus {
    let json = status.map(|status| serde_json::to_vec(status).unwrap().into());
    ObservedStatus { uid: "group".into(), rv: "5".into(), json }
}

fn key() -> GroupKey {
    GroupKey::cr("shop", "web")
}

#[test]
fn the_same_report_an_hour_later_changes_nothing() {
    let first = merge_status(None, &report(Status::True), &[change(9, None)], T0 + 123);
    let stored = round_trip(&first);
    assert_eq!(merge_status(Some(&stored), &report(Status::True), &[], T0 + 3_600_000), stored);
    assert_eq!(merge_status(Some(&stored), &report(Status::True), &[change(9, None)], T0 + 1), stored);
}

#[test]
fn a_conditions_time_moves_only_with_its_status() {
    let first = round_trip(&merge_status(None, &report(Status::True), &[], T0));
    let mut same = report(Status::True);
    same.conditions[0].message = "web-1 is served, still".to_owned();
    let second = merge_status(Some(&first), &same, &[], T0 + 60_000);
    assert_eq!(second.conditions[0].last_transition_time, first.conditions[0].last_transition_time);
    assert_ne!(second.conditions[0].message, first.conditions[0].message);
    let third = merge_status(Some(&second), &report(Status::False), &[], T0 + 120_000);
    assert_eq!(third.conditions[0].last_transition_time.0.as_second(), T0 / 1000 + 120);
}

#[test]
fn conditions_of_others_stay_and_ours_that_ended_go() {
    let mut old = merge_status(None, &report(Status::True), &[], T0);
    let like = old.conditions[0].clone();
    old.conditions.push(Condition { type_: "Stalled".into(), ..like.clone() });
    old.conditions.push(Condition { type_: "example.com/Checked".into(), ..like });
    let new = merge_status(Some(&old), &report(Status::True), &[], T0);
    let types: Vec<_> = new.conditions.iter().map(|condition| condition.type_.as_str()).collect();
    assert_eq!(types, ["Ready", "example.com/Checked"]);
}

#[test]
fn history_has_one_entry_a_term_and_ten_at_most() {
    let stages = Stages { detect: Duration::from_micros(2_500), ..Stages::default() };
    let mut status = ActiveStandbyStatus::default();
    for term in 1..=12 {
        status = round_trip(&merge_status(
            Some(&status),
            &report(Status::True),
            &[change(term, Some(stages))],
            T0,
        ));
    }
    let terms: Vec<_> = status.history.iter().map(|entry| entry.term).collect();
    assert_eq!(terms, [12, 11, 10, 9, 8, 7, 6, 5, 4, 3]);
    // Another replica that only saw the change knows no stages, and takes none away.
    let seen = merge_status(Some(&status), &report(Status::True), &[change(12, None)], T0);
    assert_eq!(seen.history[0].stages.unwrap().detect_micros, 2_500);
    assert_eq!(seen, status);
}

#[test]
fn an_answer_keeps_the_time_it_was_given() {
    let first = merge_status(None, &report(Status::True), &[], T0);
    let again = merge_status(Some(&round_trip(&first)), &report(Status::True), &[], T0 + 5_000);
    assert_eq!(again.switchover, first.switchover);
    let mut other = report(Status::True);
    other.switchover.as_mut().unwrap().phase = Phase::Void;
    let new = merge_status(Some(&first), &other, &[], T0 + 5_000);
    assert_eq!(new.switchover.unwrap().at.unwrap().0.as_millisecond(), T0 + 5_000);
}

#[tokio::test]
async fn an_equal_status_is_not_sent() {
    let (api, log) = client(|_| failure(500, "unreachable"));
    let status = merge_status(None, &report(Status::True), &[], T0);
    let store = StatusStore::new(api);
    let outcome =
        store.publish(&key(), &observed(Some(&status)), &report(Status::True), &[], T0 + 9_000).await;
    assert_eq!(outcome, Ok(Published::Unchanged));
    assert!(log.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_status_is_put_with_uid_and_version_and_without_the_spec() {
    let (api, log) = client(|seen| (200, stored(&seen.body, "group", "6")));
    let outcome =
        StatusStore::new(api).publish(&key(), &observed(None), &report(Status::True), &[], T0).await.unwrap();
    assert_eq!(outcome, Published::Written("6".into()));
    let log = log.lock().unwrap();
    assert_eq!(log[0].method, Method::PUT);
    assert_eq!(log[0].path, "/apis/hotstandby.dev/v1alpha1/namespaces/shop/activestandbies/web/status");
    assert_eq!(log[0].body["metadata"]["resourceVersion"], "5");
    assert_eq!(log[0].body["metadata"]["uid"], "group");
    assert!(log[0].body.get("spec").is_none());
    assert_eq!(log[0].body["status"]["active"]["pod"], "web-1");
}
