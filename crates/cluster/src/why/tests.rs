//! One timeline from three places.

use super::*;
use serde_json::{Value, json};

fn group(status: &Value) -> ActiveStandby {
    serde_json::from_value(json!({
        "apiVersion": "hotstandby.dev/v1alpha1", "kind": "ActiveStandby",
        "metadata": {"namespace": "shop", "name": "web", "uid": "u"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "traffic": {"services": [{"name": "s"}]}},
        "status": status,
    }))
    .unwrap()
}

fn event(reason: &str, message: &str, at: &str, uid: &str) -> Event {
    serde_json::from_value(json!({
        "metadata": {"name": "e"}, "involvedObject": {"kind": "ActiveStandby", "name": "web", "uid": uid},
        "reason": reason, "message": message, "eventTime": at, "reportingInstance": "replica-a", "type": "Warning",
    }))
    .unwrap()
}

fn full() -> ActiveStandby {
    group(&json!({
        "active": {"pod": "web-1", "uid": "p"}, "term": 8, "since": "2026-01-01T00:05:00Z", "reason": "ProbeRefused",
        "members": [{"name": "web-0", "role": "standby", "verdict": "unhealthy", "lastError": "refused", "unfit": "Unhealthy"}],
        "switchover": {"request": "term=7,id=1", "phase": "Void", "message": "the term is 8", "at": "2026-01-01T00:06:00Z"},
        "history": [
            {"term": 8, "from": "web-0", "to": "web-1", "reason": "ProbeRefused", "at": "2026-01-01T00:05:00Z",
             "stages": {"detectMicros": 5600, "decideMicros": 49, "seatMicros": 4012, "trafficMicros": 5000}},
            {"term": 7, "to": "web-0", "reason": "Initial", "at": "2026-01-01T00:00:00Z"},
        ],
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "Served", "message": "web-1 is served", "lastTransitionTime": "2026-01-01T00:00:01Z"},
            {"type": "Redundant", "status": "False", "reason": "NoStandby", "message": "web-0: Unhealthy", "lastTransitionTime": "2026-01-01T00:05:01Z"},
        ],
    }))
}

#[test]
fn it_is_one_timeline_newest_first() {
    use EntryKind::{Change, Condition, Event, Switchover};
    let events = vec![
        event("Holding", "web-1 looks bad", "2026-01-01T00:07:00.000000Z", "u"),
        event("ProbeRefused", "web-1 is active at term 8, after web-0", "2026-01-01T00:05:00.010000Z", "u"),
        event(
            "ProbeRefused",
            "web-1 is active at term 3",
            "2025-12-31T00:00:00.000000Z",
            "of an earlier group",
        ),
    ];
    let why = Why::of(&full(), Ok(events));
    let seen: Vec<_> = why.timeline.iter().map(|entry| (entry.kind, entry.reason.as_str())).collect();
    assert_eq!(
        seen,
        [
            (Event, "Holding"),
            (Switchover, "Void"),
            (Condition, "NoStandby"),
            (Change, "ProbeRefused"),
            (Condition, "Served"),
            (Change, "Initial"),
        ]
    );
    assert_eq!(
        why.timeline[3].evidence[1], "decided by replica replica-a",
        "the Event of a change is its evidence"
    );
    assert_eq!(why.not_well.len(), 1);
    assert_eq!(why.meaning, Some(meaning(Reason::ProbeRefused)));
    assert_eq!(why.lacking, [""; 0]);
}

#[test]
fn term_1_is_not_term_12() {
    let mut events = vec![event("Initial", "web-0 is active at term 12", "2026-01-01T00:00:00.000000Z", "u")];
    let entry = HistoryEntry { term: 1, reason: "Initial".into(), ..HistoryEntry::default() };
    change(&entry, &mut events);
    assert_eq!(events.len(), 1);
    change(&HistoryEntry { term: 12, ..entry }, &mut events);
    assert_eq!(events.len(), 0);
}

#[test]
fn what_is_lacking_is_said() {
    let mut new = group(&json!({}));
    new.status = None;
    let why = Why::of(&new, Err(Unread::new("events", "you may not read them")));
    assert_eq!(why.lacking.len(), 3, "{:?}", why.lacking);
    assert!(why.timeline.is_empty() && why.active.is_none());
}

#[test]
fn every_reason_has_a_meaning_and_an_unknown_one_has_none() {
    assert!(Reason::ALL.into_iter().all(|reason| !meaning(reason).is_empty()));
    let later = group(
        &json!({"reason": "SomethingNew", "history": [{"term": 1, "to": "a", "reason": "SomethingNew"}]}),
    );
    let why = Why::of(&later, Ok(Vec::new()));
    assert_eq!((why.meaning, why.timeline[0].evidence.len()), (None, 0));
}

#[test]
fn an_annotated_service_tells_by_marks_endpoints_and_events() {
    let service = serde_json::from_value(json!({
        "metadata": {"namespace": "shop", "name": "echo", "uid": "u", "annotations": {
            "hotstandby.dev/term": "9", "hotstandby.dev/reason": "PodDeleted", "hotstandby.dev/since": "2026-01-01T00:00:00.000Z",
        }},
    }))
    .unwrap();
    let slice = |pods: &[&str]| {
        let endpoint = |pod: &&str| json!({"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": pod, "uid": pod}});
        let endpoints: Vec<_> = pods.iter().map(endpoint).collect();
        serde_json::from_value(json!({
            "metadata": {"name": "s", "labels": {"kubernetes.io/service-name": "echo"}}, "addressType": "IPv4",
            "endpoints": endpoints,
        }))
        .unwrap()
    };
    let events = vec![event("PodDeleted", "echo-1 is active at term 9", "2026-01-01T00:00:00.000000Z", "u")];
    let why = service::why(&service, Ok(vec![slice(&["echo-1"])]), Ok(events));
    assert_eq!((why.active.unwrap().pod.as_str(), why.term, why.timeline.len()), ("echo-1", Some(9), 1));
    assert_eq!(why.meaning, Some(meaning(Reason::PodDeleted)));
    let two =
        service::why(&service, Ok(vec![slice(&["echo-0", "echo-1"])]), Err(Unread::new("events", "no")));
    assert_eq!((two.active, two.lacking.len()), (None, 2));
}
