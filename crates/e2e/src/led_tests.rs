//! Each rule broken once, and what does not break it.

use super::*;
use crate::objects::Kind;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const SEAT_UID: &str = "hotstandby.dev/seat-uid";
const TERM: &str = "hotstandby.dev/term";

fn record(version: u64, kind: Kind, object: Value) -> Record {
    Record { seen: Instant::now(), version, kind, deleted: false, object: Arc::new(object) }
}

fn marks(term: i64) -> Value {
    json!({SEAT_UID: "s", TERM: term.to_string()})
}

fn pod(version: u64, name: &str, role: &str) -> Record {
    record(
        version,
        Kind::Pod,
        json!({
            "metadata": {"name": name, "uid": name, "labels": {"app": "web", "role": role}},
            "status": {"phase": "Running"},
        }),
    )
}

fn changed(mut record: Record, change: &Value) -> Record {
    let mut object = (*record.object).clone();
    super::super::objects::merge(&mut object, change);
    record.object = Arc::new(object);
    record
}

fn service(version: u64, role: &str) -> Record {
    let selector = json!({"app": "web", "role": role});
    record(
        version,
        Kind::Service,
        json!({"metadata": {"name": "web", "uid": "v"}, "spec": {"selector": selector}}),
    )
}

fn seat(version: u64, holder: &str, term: i64) -> Record {
    let object = json!({
        "metadata": {"name": "cr.t.web", "uid": "s", "annotations": {"hotstandby.dev/holder-uid": holder}},
        "spec": {"holderIdentity": holder, "leaseTransitions": term},
    });
    record(version, Kind::Lease, object)
}

fn slice(version: u64, name: &str, endpoints: &[(&str, bool)]) -> Record {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|(pod, ready)| json!({"addresses": ["x"], "conditions": {"ready": ready}, "targetRef": {"name": pod}}))
        .collect();
    let object = json!({
        "metadata": {"name": name, "uid": name, "labels": {SERVICE_NAME: "web"}},
        "endpoints": endpoints,
    });
    record(version, Kind::EndpointSlice, object)
}

fn all_rules() -> Vec<Asked> {
    let rules = [
        Rule::one_labelled(("app", "web"), ("role", "active")),
        Rule::OneSelected("web".into()),
        Rule::OneReady("web".into()),
        Rule::true_marks(("role", "active")),
    ];
    rules.into_iter().map(|rule| Asked { rule, from: 1, until: None }).collect()
}

fn broken(records: &[Record], excused: &[u64]) -> Vec<String> {
    let excused = Excused { versions: excused.iter().copied().collect(), ..Excused::default() };
    judge(records, &excused, &all_rules()).into_iter().map(|one| one.what).collect()
}

/// `a` is active, then `b`; demoted before promoted.
fn fine() -> Vec<Record> {
    vec![
        pod(1, "a", "active"),
        pod(2, "b", "standby"),
        service(3, "active"),
        slice(4, "one", &[("a", true)]),
        pod(5, "a", "standby"),
        pod(6, "b", "active"),
        slice(7, "one", &[("b", true)]),
    ]
}

#[test]
fn a_move_is_fine_in_whatever_order_the_watches_told_it() {
    let mut records = fine();
    records.reverse();
    assert_eq!(broken(&records, &[]), Vec::<String>::new());
}

#[test]
fn two_actives_are_seen_once_and_by_both_rules() {
    let records: Vec<Record> =
        fine().into_iter().chain([pod(8, "a", "active"), pod(9, "a", "active")]).collect();
    let found = broken(&records, &[]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("a and b carry role=active at resourceVersion 8"), "{found:?}");
    assert!(found[1].contains("are selected by Service web"), "{found:?}");
}

#[test]
fn who_dies_or_has_ended_does_not_count() {
    for end in [json!({"metadata": {"deletionTimestamp": "now"}}), json!({"status": {"phase": "Failed"}})] {
        let records: Vec<Record> = fine().into_iter().chain([changed(pod(8, "a", "active"), &end)]).collect();
        assert_eq!(broken(&records, &[]), Vec::<String>::new(), "{end}");
    }
}

#[test]
fn a_wider_selector_picks_more() {
    let wide = changed(service(8, "x"), &json!({"spec": {"selector": {"role": null}}}));
    let records: Vec<Record> = fine().into_iter().chain([wide]).collect();
    let found = broken(&records, &[]);
    assert_eq!(found.len(), 1, "{found:?}");
    let none = changed(service(8, "x"), &json!({"spec": {"selector": null}}));
    let records: Vec<Record> = fine().into_iter().chain([none]).collect();
    assert_eq!(broken(&records, &[]), Vec::<String>::new());
}

#[test]
fn ready_endpoints_are_counted_over_all_slices() {
    let records: Vec<Record> = fine().into_iter().chain([slice(8, "two", &[("a", false)])]).collect();
    assert_eq!(broken(&records, &[]), Vec::<String>::new());
    let records: Vec<Record> = records.into_iter().chain([slice(9, "two", &[("a", true)])]).collect();
    assert!(broken(&records, &[])[0].contains("ready endpoints of Service web"));
}

#[test]
fn what_the_test_did_is_excused_until_it_is_put_right() {
    let mut records = fine();
    records.push(pod(8, "a", "active"));
    records.push(slice(9, "one", &[("a", true), ("b", true)]));
    assert_eq!(broken(&records, &[8]), Vec::<String>::new());
    // The label is put right; the slice follows it a moment later.
    records.push(pod(10, "a", "standby"));
    records.push(slice(11, "one", &[("b", true)]));
    assert_eq!(broken(&records, &[8]), Vec::<String>::new());
    records.push(pod(12, "a", "active"));
    assert_eq!(broken(&records, &[8]).len(), 2);
}

#[test]
fn a_rule_counts_from_and_until() {
    let records: Vec<Record> = fine().into_iter().chain([pod(8, "a", "active")]).collect();
    let rule = Rule::OneSelected("web".into());
    let count = |from, until| {
        judge(&records, &Excused::default(), &[Asked { rule: rule.clone(), from, until }]).len()
    };
    assert_eq!((count(1, Some(7)), count(8, None), count(8, Some(8))), (0, 1, 1));
    // Asked for after the last write: what is in force is looked at all the same.
    assert_eq!((count(9, None), count(9, Some(9))), (1, 0));
}

#[test]
fn marks_name_who_held_the_seat_and_never_go_back() {
    let marked = |record, term| changed(record, &json!({"metadata": {"annotations": marks(term)}}));
    let mut records = fine();
    records.push(seat(8, "b", 7));
    records.push(marked(pod(9, "b", "active"), 7));
    records.push(marked(service(10, "active"), 7));
    assert_eq!(broken(&records, &[]), Vec::<String>::new());
    let early: Vec<Record> = records.iter().cloned().chain([marked(pod(11, "b", "active"), 8)]).collect();
    assert!(broken(&early, &[])[0].contains("did not hold the seat at term 8"));
    records.push(seat(11, "b", 8));
    records.push(marked(service(12, "active"), 8));
    records.push(marked(service(13, "active"), 7));
    assert!(broken(&records, &[])[0].contains("Service web went back from term 8 to 7"));
}
