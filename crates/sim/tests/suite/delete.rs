//! Deletion: grace, finalizers, preconditions, owners, namespaces.

use crate::support::{LEASES, PODS, World, lease, pod, reason, version, with};
use http::Method;
use serde_json::{Value, json};

fn name_at(world: &mut World, uri: &str) -> u16 {
    world.get(uri).0
}

#[test]
fn a_bound_pod_stays_until_the_kubelet_lets_it_go() {
    let mut world = World::new();
    world.ok(Method::POST, PODS, &pod("a"));
    let uri = format!("{PODS}/a");
    let going = world.ok(Method::DELETE, &uri, &Value::Null);
    assert_eq!(going["metadata"]["deletionTimestamp"], "2026-01-01T00:00:30Z");
    assert_eq!(going["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(going["metadata"]["generation"], 2);
    // Again: nothing changes; shorter: the time moves; zero: gone.
    assert_eq!(version(&world.ok(Method::DELETE, &uri, &Value::Null)), version(&going));
    world.clock.advance(2000);
    let shorter = world.ok(Method::DELETE, &uri, &json!({"gracePeriodSeconds": 5}));
    assert_eq!(shorter["metadata"]["deletionTimestamp"], "2026-01-01T00:00:05Z");
    world.ok(Method::DELETE, &uri, &json!({"gracePeriodSeconds": 0}));
    assert_eq!(name_at(&mut world, &uri), 404);
}

#[test]
fn an_unbound_or_ended_pod_goes_at_once() {
    let mut world = World::new();
    let mut unbound = pod("a");
    unbound["spec"].as_object_mut().unwrap().remove("nodeName");
    world.ok(Method::POST, PODS, &unbound);
    world.ok(Method::DELETE, &format!("{PODS}/a"), &Value::Null);
    assert_eq!(name_at(&mut world, &format!("{PODS}/a")), 404);
    let made = world.ok(Method::POST, PODS, &pod("b"));
    world.ok(Method::PUT, &format!("{PODS}/b/status"), &with(&made, "/status/phase", json!("Failed")));
    world.ok(Method::DELETE, &format!("{PODS}/b"), &Value::Null);
    assert_eq!(name_at(&mut world, &format!("{PODS}/b")), 404);
}

#[test]
fn an_eviction_is_a_deletion() {
    let mut world = World::new();
    world.ok(Method::POST, PODS, &pod("a"));
    let body = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"}, "deleteOptions": {"gracePeriodSeconds": 3}});
    assert_eq!(world.call(Method::POST, &format!("{PODS}/a/eviction"), &body).0, 201);
    assert_eq!(world.get(&format!("{PODS}/a")).1["metadata"]["deletionGracePeriodSeconds"], 3);
}

#[test]
fn a_delete_with_another_uid_or_version_is_refused() {
    let mut world = World::new();
    let made = world.ok(Method::POST, LEASES, &lease("a", "x"));
    let uri = format!("{LEASES}/a");
    let delete = |world: &mut World, uid: &Value, version: &str| {
        world.call(Method::DELETE, &uri, &json!({"preconditions": {"uid": uid, "resourceVersion": version}}))
    };
    let uid = made["metadata"]["uid"].clone();
    assert_eq!(reason(&delete(&mut world, &json!("other"), &version(&made))), (409, "Conflict"));
    assert_eq!(reason(&delete(&mut world, &uid, "1")), (409, "Conflict"));
    let (code, gone) = delete(&mut world, &uid, &version(&made));
    assert_eq!((code, &gone["status"], &gone["details"]["uid"]), (200, &json!("Success"), &uid));
    assert_eq!(reason(&delete(&mut world, &uid, "1")), (404, "NotFound"));
}

#[test]
fn a_finalizer_holds_the_object_until_it_is_removed() {
    let mut world = World::new();
    let held = with(&lease("a", "x"), "/metadata/finalizers", json!(["example.com/hold"]));
    world.ok(Method::POST, LEASES, &held);
    let uri = format!("{LEASES}/a");
    let mut watch = world.watch(&format!("{LEASES}?watch=1&resourceVersion={}", world.server.version()));
    let going = world.ok(Method::DELETE, &uri, &Value::Null);
    assert_eq!(going["metadata"]["deletionTimestamp"], "2026-01-01T00:00:00Z");
    // An update can neither take the mark back nor be refused for it.
    let (_, kept) =
        world.patch(&uri, "merge", &json!({"metadata": {"deletionTimestamp": null, "labels": {"x": "y"}}}));
    assert!(kept["metadata"]["deletionTimestamp"].is_string());
    world.patch(&uri, "merge", &json!({"metadata": {"finalizers": null}}));
    assert_eq!(name_at(&mut world, &uri), 404);
    let kinds: Vec<_> =
        world.events(&mut watch).iter().map(|event| event.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["MODIFIED", "MODIFIED", "DELETED"]);
}

fn owned(name: &str, owners: &[&Value]) -> Value {
    let owners: Vec<Value> = owners
        .iter()
        .map(|owner| json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "name": "x", "uid": owner["metadata"]["uid"]}))
        .collect();
    with(&lease(name, "x"), "/metadata/ownerReferences", json!(owners))
}

#[test]
fn dependents_go_with_their_last_owner_when_garbage_is_collected() {
    let mut world = World::new();
    let one = world.ok(Method::POST, LEASES, &lease("one", "x"));
    let two = world.ok(Method::POST, LEASES, &lease("two", "x"));
    world.ok(Method::POST, LEASES, &owned("of-one", &[&one]));
    world.ok(Method::POST, LEASES, &owned("of-both", &[&one, &two]));
    assert_eq!(world.server.collect_garbage(), 0);
    world.ok(Method::DELETE, &format!("{LEASES}/one"), &Value::Null);
    assert_eq!(name_at(&mut world, &format!("{LEASES}/of-one")), 200);
    assert_eq!(world.server.collect_garbage(), 2);
    assert_eq!(name_at(&mut world, &format!("{LEASES}/of-one")), 404);
    let both = world.get(&format!("{LEASES}/of-both")).1;
    assert_eq!(both["metadata"]["ownerReferences"].as_array().unwrap().len(), 1);
}

#[test]
fn orphans_stay_and_foreground_waits_for_dependents() {
    let mut world = World::new();
    let one = world.ok(Method::POST, LEASES, &lease("one", "x"));
    world.ok(Method::POST, LEASES, &owned("of-one", &[&one]));
    world.ok(Method::DELETE, &format!("{LEASES}/one"), &json!({"propagationPolicy": "Orphan"}));
    world.server.collect_garbage();
    assert_eq!(name_at(&mut world, &format!("{LEASES}/one")), 404);
    assert!(world.get(&format!("{LEASES}/of-one")).1["metadata"].get("ownerReferences").is_none());

    let two = world.ok(Method::POST, LEASES, &lease("two", "x"));
    let held = with(&owned("of-two", &[&two]), "/metadata/finalizers", json!(["example.com/hold"]));
    world.ok(Method::POST, LEASES, &held);
    world.ok(Method::DELETE, &format!("{LEASES}/two"), &json!({"propagationPolicy": "Foreground"}));
    world.server.collect_garbage();
    assert_eq!(name_at(&mut world, &format!("{LEASES}/two")), 200);
    world.patch(&format!("{LEASES}/of-two"), "merge", &json!({"metadata": {"finalizers": []}}));
    world.server.collect_garbage();
    assert_eq!(name_at(&mut world, &format!("{LEASES}/two")), 404);
}

#[test]
fn a_namespace_goes_when_its_last_object_does() {
    let mut world = World::new();
    world.ok(Method::POST, PODS, &pod("a"));
    world.ok(Method::POST, LEASES, &lease("a", "x"));
    let going = world.ok(Method::DELETE, "/api/v1/namespaces/shop", &Value::Null);
    assert_eq!(going["status"]["phase"], "Terminating");
    world.server.collect_garbage();
    assert_eq!(name_at(&mut world, &format!("{LEASES}/a")), 404);
    assert_eq!(name_at(&mut world, "/api/v1/namespaces/shop"), 200);
    world.ok(Method::DELETE, &format!("{PODS}/a"), &json!({"gracePeriodSeconds": 0}));
    world.server.collect_garbage();
    assert_eq!(name_at(&mut world, "/api/v1/namespaces/shop"), 404);
}

#[test]
fn a_collection_is_deleted_by_its_selector() {
    let mut world = World::new();
    for name in ["a", "b"] {
        world.ok(Method::POST, LEASES, &lease(name, "x"));
    }
    let gone = world.ok(Method::DELETE, &format!("{LEASES}?fieldSelector=metadata.name%3Da"), &Value::Null);
    assert_eq!(gone["items"].as_array().unwrap().len(), 1);
    assert_eq!(world.get(LEASES).1["items"].as_array().unwrap().len(), 1);
}
