//! Watches: nothing is missed, nothing is told twice, and what is forgotten is said.

use crate::support::{LEASES, PODS, World, lease, pod, reason, version, with};
use hotstandby_sim::Limits;
use http::Method;
use serde_json::{Value, json};

#[test]
fn a_watch_goes_on_exactly_behind_its_version() {
    let mut world = World::new();
    let first = world.ok(Method::POST, PODS, &pod("a"));
    let mut watch = world.watch(&format!("{PODS}?watch=1&resourceVersion={}", version(&first)));
    world.ok(Method::POST, LEASES, &lease("x", "y"));
    let second = world.ok(Method::POST, PODS, &pod("b"));
    world.ok(Method::PUT, &format!("{PODS}/a"), &with(&first, "/metadata/labels", json!({})));
    let third = world.server.version();
    world.ok(Method::DELETE, &format!("{PODS}/b?gracePeriodSeconds=0"), &Value::Null);
    let end = world.server.version();
    let expected = [
        format!("ADDED b {}", version(&second)),
        format!("MODIFIED a {third}"),
        // A pod is seen terminating before it goes.
        format!("MODIFIED b {}", end - 1),
        format!("DELETED b {end}"),
    ];
    assert_eq!(world.events(&mut watch), expected);
    assert!(world.events(&mut watch).is_empty());
}

#[test]
fn a_watch_without_a_version_begins_with_what_is_there() {
    let mut world = World::new();
    world.ok(Method::POST, PODS, &pod("a"));
    for query in ["watch=1", "watch=1&resourceVersion=0"] {
        let mut watch = world.watch(&format!("{PODS}?{query}"));
        assert_eq!(world.events(&mut watch).len(), 1, "{query}");
    }
    let mut elsewhere = world.watch("/api/v1/namespaces/default/pods?watch=1");
    assert!(world.events(&mut elsewhere).is_empty());
}

#[test]
fn a_streamed_list_ends_with_its_bookmark() {
    let mut world = World::new();
    world.ok(Method::POST, PODS, &pod("a"));
    world.ok(Method::POST, LEASES, &lease("x", "y"));
    let query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = world.watch(&format!("{PODS}?{query}"));
    let events = world.server.poll(&mut watch);
    assert_eq!(events.len(), 2);
    assert_eq!(events[1]["type"], "BOOKMARK");
    let meta = &events[1]["object"]["metadata"];
    assert_eq!(meta["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(meta["resourceVersion"], world.server.version().to_string());
    let answer = world.get(&format!("{PODS}?watch=1&sendInitialEvents=true"));
    assert_eq!(reason(&answer), (422, "Invalid"));
}

#[test]
fn a_selector_turns_updates_into_beginnings_and_ends() {
    let mut world = World::new();
    let mut watch = world.watch(&format!("{PODS}?watch=1&labelSelector=app%3Dweb"));
    let made = world.ok(Method::POST, PODS, &pod("a"));
    let uri = format!("{PODS}/a");
    let away = world.ok(Method::PUT, &uri, &with(&made, "/metadata/labels", json!({"app": "other"})));
    let unseen = world.ok(Method::PUT, &uri, &with(&away, "/metadata/labels", json!({"app": "third"})));
    world.ok(Method::PUT, &uri, &with(&unseen, "/metadata/labels", json!({"app": "web", "x": "y"})));
    let events = world.server.poll(&mut watch);
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ADDED", "DELETED", "ADDED"]);
    // The end shows the last state that matched, at the version that ended it.
    assert_eq!(events[1]["object"]["metadata"]["labels"]["app"], "web");
    assert_eq!(version(&events[1]["object"]), version(&away));
}

#[test]
fn a_forgotten_version_is_gone_and_a_slow_watch_too() {
    let mut world = World::with_limits(Limits { watch_backlog: 3, ..Limits::default() });
    world.ok(Method::POST, PODS, &pod("a"));
    let then = world.server.version();
    let mut slow = world.watch(&format!("{PODS}?watch=1&resourceVersion={then}"));
    let mut fresh = world.watch(&format!("{LEASES}?watch=1&resourceVersion={}", then - 1));
    for name in ["b", "c", "d", "e"] {
        world.ok(Method::POST, PODS, &pod(name));
    }
    assert_eq!(world.events(&mut slow), ["ERROR 410"]);
    assert!(slow.ended());
    world.server.compact(world.server.version());
    assert_eq!(world.events(&mut fresh), ["ERROR 410"]);
    let mut late = world.watch(&format!("{PODS}?watch=1&resourceVersion={then}"));
    let events = world.server.poll(&mut late);
    assert_eq!(events[0]["object"]["reason"], "Expired");
    assert!(events[0]["object"]["message"].as_str().unwrap().starts_with("too old resource version"));
}

#[test]
fn a_bookmark_moves_on_with_what_others_wrote() {
    let mut world = World::new();
    let mut watch = world.watch(&format!("{PODS}?watch=1&allowWatchBookmarks=true"));
    world.ok(Method::POST, LEASES, &lease("x", "y"));
    assert!(world.events(&mut watch).is_empty());
    let mark = world.server.bookmark(&mut watch).unwrap();
    assert_eq!(version(&mark["object"]), world.server.version().to_string());
    assert_eq!(mark["object"]["kind"], "Pod");
}
