//! Patches of all kinds, as requests.

use crate::support::{GROUPS, PODS, World, group, pod, reason, version};
use http::Method;
use serde_json::json;

#[test]
fn a_patch_with_an_old_version_is_a_conflict() {
    let mut world = World::new();
    let made = world.ok(Method::POST, PODS, &pod("a"));
    let uri = format!("{PODS}/a");
    let patch = json!({"metadata": {"resourceVersion": version(&made), "labels": {"x": "1"}}});
    assert_eq!(world.patch(&uri, "merge", &patch).0, 200);
    let again = json!({"metadata": {"resourceVersion": version(&made), "labels": {"x": "2"}}});
    assert_eq!(reason(&world.patch(&uri, "merge", &again)), (409, "Conflict"));
    assert_eq!(world.patch(&uri, "merge", &json!({"metadata": {"uid": "other"}})).0, 422);
    assert_eq!(world.patch(&format!("{PODS}/nope"), "merge", &json!({})).0, 404);
}

#[test]
fn a_strategic_patch_of_the_status_keeps_other_conditions() {
    let mut world = World::new();
    world.ok(Method::POST, PODS, &pod("a"));
    let uri = format!("{PODS}/a/status");
    let ready = |status: &str| json!({"status": {"conditions": [{"type": "Ready", "status": status}]}});
    let other = json!({"status": {"conditions": [{"type": "Other", "status": "True"}]}});
    world.patch(&uri, "strategic-merge", &other);
    world.patch(&uri, "strategic-merge", &ready("True"));
    let (code, pod) = world.patch(&uri, "strategic-merge", &ready("False"));
    assert_eq!(code, 200);
    let conditions: Vec<_> = pod["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["type"].as_str().unwrap(), one["status"].as_str().unwrap()))
        .collect();
    assert_eq!(conditions, [("Ready", "False"), ("Other", "True")]);
}

#[test]
fn a_json_patch_is_all_or_nothing() {
    let mut world = World::new();
    world.ok(Method::POST, PODS, &pod("a"));
    let uri = format!("{PODS}/a");
    let patch = json!([{"op": "add", "path": "/metadata/labels/x", "value": "1"}, {"op": "test", "path": "/metadata/labels/app", "value": "no"}]);
    assert_eq!(world.patch(&uri, "json", &patch).0, 422);
    assert!(world.get(&uri).1["metadata"]["labels"].get("x").is_none());
    let patch = json!([{"op": "add", "path": "/metadata/labels/x", "value": "1"}]);
    assert_eq!(world.patch(&uri, "json", &patch).1["metadata"]["labels"]["x"], "1");
}

#[test]
fn custom_kinds_know_no_strategic_patch() {
    let mut world = World::new();
    world.install_crd();
    world.ok(Method::POST, GROUPS, &group("web"));
    let answer = world.patch(&format!("{GROUPS}/web"), "strategic-merge", &json!({}));
    assert_eq!(reason(&answer), (415, "UnsupportedMediaType"));
}

#[test]
fn an_apply_makes_updates_and_conflicts() {
    let mut world = World::new();
    world.install_crd();
    let uri = |manager: &str| format!("{GROUPS}/web?fieldManager={manager}");
    assert_eq!(world.patch(&format!("{GROUPS}/web"), "apply", &group("web")).0, 422);
    let (code, made) = world.patch(&uri("one"), "apply", &group("web"));
    assert_eq!((code, &made["metadata"]["generation"]), (201, &json!(1)));
    let (code, again) = world.patch(&uri("one"), "apply", &group("web"));
    assert_eq!((code, version(&again)), (200, version(&made)));
    let mut other = group("web");
    other["spec"]["selector"]["matchLabels"]["app"] = json!("db");
    let conflict = world.patch(&uri("two"), "apply", &other);
    assert_eq!(reason(&conflict), (409, "Conflict"));
    assert_eq!(conflict.1["details"]["causes"][0]["reason"], "FieldManagerConflict");
    let (code, forced) = world.patch(&format!("{}&force=true", uri("two")), "apply", &other);
    assert_eq!((code, &forced["metadata"]["generation"]), (200, &json!(2)));
    let added = json!({"apiVersion": "hotstandby.dev/v1alpha1", "kind": "ActiveStandby", "metadata": {"name": "web"}, "spec": {"traffic": {"services": [{"name": "more"}]}}});
    let (_, more) = world.patch(&uri("three"), "apply", &added);
    assert_eq!(more["spec"]["traffic"]["services"].as_array().unwrap().len(), 2);
}

#[test]
fn replicas_are_scaled_through_their_subresource() {
    let mut world = World::new();
    let uri = "/apis/apps/v1/namespaces/shop/deployments";
    let deployment = json!({"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "x"}]}}}});
    assert_eq!(world.ok(Method::POST, uri, &deployment)["spec"]["replicas"], 1);
    let (code, scale) = world.patch(&format!("{uri}/d/scale"), "merge", &json!({"spec": {"replicas": 3}}));
    assert_eq!((code, &scale["spec"]["replicas"]), (200, &json!(3)));
    let stored = world.get(&format!("{uri}/d")).1;
    assert_eq!((&stored["spec"]["replicas"], &stored["metadata"]["generation"]), (&json!(3), &json!(2)));
}
