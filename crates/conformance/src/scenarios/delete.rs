//! DELETE: grace periods, finalizers and owners.

use super::{CONFIG_MAPS, LEASES, PODS, at, config_map, lease, pod, waiting_pod, with};
use crate::script::{Body, Call, Scenario, Until, answer};
use http::Method;
use serde_json::{Value, json};

pub(super) fn all() -> Vec<Scenario> {
    vec![graceful(), finalizers(), background(), foreground(), orphan(), collection(), namespace()]
}

fn graceful() -> Scenario {
    let one = at(PODS, "a");
    Scenario::new("delete_gracefully", "a pod is terminating before it is removed")
        .post("make", PODS, pod("a"))
        .watch("watch", &at(PODS, "?watch=1&resourceVersion={make:/metadata/resourceVersion}"))
        .delete("delete", &one)
        .delete("again", &one)
        .delete("longer", &at(PODS, "a?gracePeriodSeconds=60"))
        .delete("shorter", &at(PODS, "a?gracePeriodSeconds=5"))
        .merge("write_while_going", &one, json!({"metadata": {"labels": {"x": "y"}}}))
        .delete_with("at_once", &one, &json!({"gracePeriodSeconds": 0}))
        .get("gone", &one)
        .post("make_b", PODS, waiting_pod("b"))
        .delete("waiting", &at(PODS, "b"))
        .post("make_c", PODS, pod("c"))
        .merge("end_c", &at(PODS, "c/status"), json!({"status": {"phase": "Succeeded"}}))
        .delete("ended", &at(PODS, "c"))
        .post("make_d", PODS, with(&pod("d"), "/metadata/finalizers", json!(["example.com/x"])))
        .delete("at_once_held", &at(PODS, "d?gracePeriodSeconds=0"))
        .merge("let_go", &at(PODS, "d"), json!({"metadata": {"finalizers": null}}))
        .post("last", PODS, waiting_pod("last"))
        .read("events", "watch", Until::Name("last"))
        .delete("odd_grace", &at(PODS, "last?gracePeriodSeconds=soon"))
        .delete("negative_grace", &at(PODS, "last?gracePeriodSeconds=-1"))
}

fn finalizers() -> Scenario {
    let held = with(&lease("a", "x"), "/metadata/finalizers", json!(["example.com/a", "example.com/b"]));
    let one = at(LEASES, "a");
    Scenario::new("delete_finalizers", "an object is removed after its last finalizer")
        .post("make", LEASES, held)
        .watch("watch", &at(LEASES, "?watch=1&resourceVersion={make:/metadata/resourceVersion}"))
        .delete("delete", &one)
        .delete("again", &one)
        .merge(
            "add_one",
            &one,
            json!({"metadata": {"finalizers": ["example.com/a", "example.com/b", "example.com/c"]}}),
        )
        .put("write", &one, answer("delete").with("/spec/holderIdentity", "y"))
        .post("make_again", LEASES, lease("a", "z"))
        .json_patch("remove_one", &one, json!([{"op": "remove", "path": "/metadata/finalizers/0"}]))
        .json_patch("remove_last", &one, json!([{"op": "remove", "path": "/metadata/finalizers"}]))
        .get("gone", &one)
        .post("last", LEASES, lease("last", "x"))
        .read("events", "watch", Until::Name("last"))
}

fn child(name: &str, more: &Value) -> Value {
    let mut owner =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "{owner:/metadata/uid}"});
    for (key, value) in more.as_object().into_iter().flatten() {
        crate::json::put(&mut owner, &[key.as_str()], value.clone());
    }
    with(&config_map(name), "/metadata/ownerReferences", json!([owner]))
}

fn background() -> Scenario {
    let child_path = at(CONFIG_MAPS, "child");
    Scenario::new("delete_owner", "the dependents of a deleted owner are deleted")
        .post("owner", CONFIG_MAPS, config_map("owner"))
        .post("child", CONFIG_MAPS, child("child", &json!({})))
        .post("of_nobody", CONFIG_MAPS, with(&config_map("of-nobody"), "/metadata/ownerReferences", json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": "none"}])))
        .post("of_both", CONFIG_MAPS, with(&config_map("of-both"), "/metadata/ownerReferences", json!([
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "{owner:/metadata/uid}"},
            {"apiVersion": "v1", "kind": "Namespace", "name": "{ns}", "uid": "none"},
        ])))
        .gone("of_nobody_gone", &at(CONFIG_MAPS, "of-nobody"))
        .get("child_stays", &child_path)
        .delete("delete", &at(CONFIG_MAPS, "owner"))
        .gone("child_gone", &child_path)
}

fn foreground() -> Scenario {
    Scenario::new("delete_foreground", "an owner is removed after its dependents")
        .post("owner", CONFIG_MAPS, config_map("owner"))
        .post("child", CONFIG_MAPS, child("child", &json!({"blockOwnerDeletion": true})))
        .watch(
            "watch",
            &at(
                CONFIG_MAPS,
                "?watch=1&labelSelector=of%3Dsuite&resourceVersion={child:/metadata/resourceVersion}",
            ),
        )
        .delete_with("delete", &at(CONFIG_MAPS, "owner"), &json!({"propagationPolicy": "Foreground"}))
        .gone("owner_gone", &at(CONFIG_MAPS, "owner"))
        .read("events", "watch", Until::Count(3))
}

fn orphan() -> Scenario {
    Scenario::new("delete_orphan", "the dependents of a deleted owner stay")
        .post("owner", CONFIG_MAPS, config_map("owner"))
        .post("child", CONFIG_MAPS, child("child", &json!({})))
        .delete_with("delete", &at(CONFIG_MAPS, "owner"), &json!({"propagationPolicy": "Orphan"}))
        .gone("owner_gone", &at(CONFIG_MAPS, "owner"))
        .get("child_stays", &at(CONFIG_MAPS, "child"))
        .delete_with("odd_policy", &at(CONFIG_MAPS, "child"), &json!({"propagationPolicy": "Perhaps"}))
        .delete_with(
            "both_ways",
            &at(CONFIG_MAPS, "child"),
            &json!({"propagationPolicy": "Orphan", "orphanDependents": true}),
        )
        .delete("by_query", &at(CONFIG_MAPS, "child?propagationPolicy=Background"))
}

fn collection() -> Scenario {
    let delete = |path: &str| Call::new(Method::DELETE, path, Body::None);
    Scenario::new("delete_collection", "many objects in one request")
        .post("make_a", LEASES, lease("a", "x"))
        .post("make_b", LEASES, with(&lease("b", "x"), "/metadata/labels", json!({"x": "y"})))
        .post("make_pod", PODS, pod("a"))
        .call("dry_run", delete(&at(LEASES, "?dryRun=All")))
        .call("selected", delete(&at(LEASES, "?labelSelector=x%3Dy")))
        .get("left", LEASES)
        .call("all", delete(LEASES))
        .get("empty", LEASES)
        .call("pods", delete(PODS))
        .call("pods_at_once", delete(&at(PODS, "?gracePeriodSeconds=0")))
        .call("services", delete("/api/v1/services?labelSelector=none%3Dsuch"))
}

fn namespace() -> Scenario {
    let path = "/api/v1/namespaces/{ns}";
    let held = with(&config_map("held"), "/metadata/finalizers", json!(["example.com/x"]));
    Scenario::new("delete_namespace", "a terminating namespace accepts no new objects")
        .post("make", CONFIG_MAPS, config_map("a"))
        .post("make_held", CONFIG_MAPS, held)
        .delete("delete", path)
        .post("too_late", LEASES, lease("a", "x"))
        .apply(
            "too_late_to_apply",
            &at(LEASES, "a?fieldManager=x"),
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"}}),
        )
        .put("too_late_to_put", &at(LEASES, "a"), lease("a", "x"))
        .gone("emptied", &at(CONFIG_MAPS, "a"))
        .merge("write", &at(CONFIG_MAPS, "held"), json!({"data": {"a": "2"}}))
        .merge("let_go", &at(CONFIG_MAPS, "held"), json!({"metadata": {"finalizers": null}}))
        .gone("gone", path)
        .delete("again", path)
}
