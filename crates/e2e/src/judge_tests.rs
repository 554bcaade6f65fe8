//! Each invariant broken once.

use super::*;
use serde_json::json;
use std::time::Duration;

fn record(version: u64, kind: Kind, object: Value) -> Record {
    Record { seen: Instant::now(), version, kind, deleted: false, object: Arc::new(object) }
}

fn pod(version: u64, uid: &str, ip: &str) -> Record {
    record(
        version,
        Kind::Pod,
        json!({"metadata": {"name": uid, "uid": uid}, "status": {"podIPs": [{"ip": ip}]}}),
    )
}

fn seat(version: u64, holder: &str, term: i64) -> Record {
    let object = json!({
        "metadata": {"name": "cr.t.web", "uid": "s", "annotations": {"hotstandby.dev/holder-uid": holder}},
        "spec": {"holderIdentity": holder, "leaseTransitions": term},
    });
    record(version, Kind::Lease, object)
}

fn slice_at(version: u64, name: &str, endpoints: &[(&str, &str)], term: i64) -> Record {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|(uid, ip)| json!({"addresses": [ip], "targetRef": {"name": uid, "uid": uid}}))
        .collect();
    let object = json!({
        "metadata": {
            "name": name, "uid": name, "labels": {"kubernetes.io/service-name": "web"},
            "annotations": {"hotstandby.dev/seat-uid": "s", "hotstandby.dev/term": term.to_string()},
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
    });
    record(version, Kind::EndpointSlice, object)
}

fn slice(version: u64, endpoints: &[(&str, &str)], term: i64) -> Record {
    slice_at(version, "web-hotstandby-ipv4", endpoints, term)
}

/// Two pods, `a` active at term 1, then `b` at term 2.
fn fine() -> Vec<Record> {
    vec![
        pod(1, "a", "10.0.0.1"),
        pod(2, "b", "10.0.0.2"),
        seat(3, "a", 1),
        slice(4, &[("a", "10.0.0.1")], 1),
        seat(5, "b", 2),
        slice(6, &[("b", "10.0.0.2")], 2),
    ]
}

fn only(mut records: Vec<Record>, more: Vec<Record>) -> String {
    records.extend(more);
    let found = judge(&records, &Excused::default());
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].what.clone()
}

#[test]
fn a_move_is_fine_in_whatever_order_the_watches_told_it() {
    let mut records = fine();
    records.reverse();
    assert!(judge(&records, &Excused::default()).is_empty());
    assert_eq!(moves(&records, &Excused::default()), [(2, "a".into(), "b".into(), String::new())]);
}

#[test]
fn two_endpoints_are_seen_within_a_slice_and_across_two() {
    let second = only(fine(), vec![slice_at(7, "foreign", &[("b", "10.0.0.2")], 2)]);
    assert!(second.contains("has 2 IPv4 endpoints"), "{second}");
    let records =
        fine().into_iter().chain([slice(7, &[("b", "10.0.0.2"), ("a", "10.0.0.1")], 2)]).collect::<Vec<_>>();
    let found = judge(&records, &Excused::default());
    assert!(found.iter().any(|one| one.what.contains("has 2 IPv4 endpoints")), "{found:?}");
    assert!(found.iter().any(|one| one.what.contains("did not hold the seat at term 2")), "{found:?}");
}

#[test]
fn an_endpoint_must_have_held_the_seat_before() {
    assert!(only(fine(), vec![slice(7, &[("a", "10.0.0.1")], 2)]).contains("did not hold the seat"));
    // The slice before the seat: nobody knew yet.
    let mut early = fine();
    early.swap(4, 5);
    early[4].version = 5;
    early[5].version = 6;
    assert!(only(early, vec![]).contains("did not hold the seat"));
}

#[test]
fn an_address_must_be_the_pods_own() {
    assert!(only(fine(), vec![slice(7, &[("b", "10.0.0.9")], 2)]).contains("never had that address"));
    assert!(only(fine(), vec![slice(7, &[("c", "10.0.0.9")], 2)]).contains("never was"));
}

#[test]
fn terms_never_go_back() {
    assert!(only(fine(), vec![seat(7, "b", 1)]).contains("went back from 2 to 1"));
    assert!(only(fine(), vec![seat(7, "a", 2)]).contains("two holders"));
    assert!(only(fine(), vec![slice(7, &[("a", "10.0.0.1")], 1)]).contains("went back from term 2 to 1"));
}

#[test]
fn a_released_seat_is_nobodys_and_its_term_is_not_free() {
    let released = || fine().into_iter().chain([seat(7, "", 2)]).collect::<Vec<_>>();
    let next: Vec<Record> = released().into_iter().chain([seat(8, "a", 3)]).collect();
    assert!(judge(&next, &Excused::default()).is_empty());
    assert!(only(released(), vec![seat(8, "a", 2)]).contains("two holders"));
    assert!(only(fine(), vec![seat(7, "", 1)]).contains("went back from 2 to 1"));
}

#[test]
fn what_the_test_did_itself_is_excused_until_it_is_put_right() {
    let mut records = fine();
    records.push(slice(7, &[("b", "10.0.0.2"), ("a", "10.0.0.1")], 2));
    records.push(seat(8, "a", 1));
    let excused = Excused { versions: BTreeSet::from([7, 8]), ..Excused::default() };
    assert!(judge(&records, &excused).is_empty());
    // Put right with the wrong one: that is hotstandby's.
    records.push(slice(9, &[("a", "10.0.0.1")], 2));
    assert_eq!(judge(&records, &excused).len(), 1);
}

#[test]
fn a_pod_long_gone_is_not_named_anew() {
    let mut records = fine();
    let long_ago = Instant::now().checked_sub(Duration::from_secs(5)).unwrap();
    records.push(Record { deleted: true, version: 7, seen: long_ago, ..pod(7, "b", "10.0.0.2") });
    records.push(slice(8, &[("b", "10.0.0.2")], 2));
    let found = judge(&records, &Excused::default());
    assert!(found.iter().all(|one| one.what.contains("had been gone for")), "{found:?}");
    assert_eq!(found.len(), 1);
}
