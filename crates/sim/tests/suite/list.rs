//! Lists: which state of the world they show.

use crate::support::{PODS, World, pod, reason, version, with};
use http::Method;
use serde_json::{Value, json};

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

fn filled() -> World {
    let mut world = World::new();
    for name in ["a", "b", "c", "d", "e"] {
        world.ok(Method::POST, PODS, &pod(name));
    }
    world
}

#[test]
fn pages_show_one_moment_although_the_world_moves_on() {
    let mut world = filled();
    let (_, first) = world.get(&format!("{PODS}?limit=2"));
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    world.ok(Method::DELETE, &format!("{PODS}/d"), &json!({"gracePeriodSeconds": 0}));
    world.ok(Method::POST, PODS, &pod("cc"));
    let token = first["metadata"]["continue"].as_str().unwrap();
    let (_, rest) = world.get(&format!("{PODS}?limit=9&continue={token}"));
    assert_eq!(names(&rest), ["c", "d", "e"]);
    assert_eq!(version(&rest), version(&first));
    assert!(rest["metadata"].get("continue").is_none());
    world.server.compact(world.server.version());
    assert_eq!(reason(&world.get(&format!("{PODS}?limit=9&continue={token}"))), (410, "Expired"));
}

#[test]
fn a_version_means_at_least_or_exactly() {
    let mut world = filled();
    let then = world.server.version();
    world.ok(Method::POST, PODS, &pod("f"));
    assert_eq!(names(&world.get(&format!("{PODS}?resourceVersion={then}")).1).len(), 6);
    let exact = world.get(&format!("{PODS}?resourceVersion={then}&resourceVersionMatch=Exact")).1;
    assert_eq!((names(&exact).len(), version(&exact)), (5, then.to_string()));
    assert_eq!(names(&world.get(&format!("{PODS}?resourceVersion=0")).1).len(), 6);
    let future = world.get(&format!("{PODS}?resourceVersion=999"));
    assert_eq!(reason(&future), (504, "Timeout"));
    assert_eq!(future.1["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    assert_eq!(world.get(&format!("{PODS}?resourceVersionMatch=Exact")).0, 422);
    assert_eq!(world.get(&format!("{PODS}?resourceVersion=x")).0, 400);
}

#[test]
fn selectors_choose_and_unknown_fields_are_refused() {
    let mut world = filled();
    world.ok(Method::POST, PODS, &with(&pod("x"), "/metadata/labels", json!({"app": "db"})));
    let list =
        |world: &mut World, query: &str| names(&world.get(&format!("/api/v1/pods?{query}")).1).join(" ");
    assert_eq!(list(&mut world, "labelSelector=app%20in%20(db)"), "x");
    assert_eq!(list(&mut world, "labelSelector=app!%3Ddb&limit=2"), "a b");
    assert_eq!(list(&mut world, "fieldSelector=metadata.name%3Dc"), "c");
    assert_eq!(world.get("/api/v1/pods?fieldSelector=spec.colour%3Dred").0, 400);
}

#[test]
fn unknown_paths_and_wrong_methods_are_told_apart() {
    let mut world = World::new();
    assert_eq!(world.get("/api/v1/namespaces/shop/doors").0, 404);
    assert_eq!(world.call(Method::POST, &format!("{PODS}/a"), &pod("a")).0, 405);
    let missing = world.get(&format!("{PODS}/a"));
    assert_eq!(missing.1["message"], "pods \"a\" not found");
    assert_eq!(missing.1["details"], json!({"name": "a", "kind": "pods"}));
}
