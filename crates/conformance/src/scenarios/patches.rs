//! JSON, merge and strategic merge patches.

use super::{CONFIG_MAPS, LEASES, PODS, SERVICES, at, config_map, pod, service, with};
use crate::script::{Body, Call, MERGE, Scenario};
use http::Method;
use serde_json::json;

pub(super) fn all() -> Vec<Scenario> {
    vec![json_patches(), merges(), strategic(), odd()]
}

fn json_patches() -> Scenario {
    let one = at(CONFIG_MAPS, "a");
    let op = |op: &str, path: &str, value: &str| json!([{"op": op, "path": path, "value": value}]);
    Scenario::new("patch_json", "JSON patches")
        .post("make", CONFIG_MAPS, config_map("a"))
        .json_patch("add", &one, op("add", "/data/b", "2"))
        .json_patch("replace", &one, op("replace", "/data/b", "3"))
        .json_patch("tests_and_more", &one, json!([
            {"op": "test", "path": "/data/b", "value": "3"}, {"op": "copy", "from": "/data/b", "path": "/data/c"},
            {"op": "move", "from": "/data/b", "path": "/data/d"}, {"op": "remove", "path": "/data/a"},
        ]))
        .json_patch("test_fails", &one, json!([{"op": "test", "path": "/data/c", "value": "4"}, {"op": "remove", "path": "/data/c"}]))
        .json_patch("remove_missing", &one, json!([{"op": "remove", "path": "/data/missing"}]))
        .json_patch("replace_missing", &one, op("replace", "/data/missing", "1"))
        .json_patch("below_missing", &one, op("add", "/none/such", "1"))
        .json_patch("odd_op", &one, op("paint", "/data/c", "1"))
        .json_patch("no_list", &one, json!({"op": "remove", "path": "/data/c"}))
        .json_patch("escaped", &one, json!([{"op": "add", "path": "/metadata/annotations", "value": {}}, {"op": "add", "path": "/metadata/annotations/hotstandby.dev~1paused", "value": "true"}]))
        .json_patch("wrong_type", &one, json!([{"op": "add", "path": "/data/c", "value": 1}]))
        .json_patch("stale", &one, json!([{"op": "replace", "path": "/metadata/resourceVersion", "value": "{make:/metadata/resourceVersion}"}]))
        .json_patch("other_name", &one, op("replace", "/metadata/name", "b"))
        .json_patch("nothing", &one, json!([]))
}

fn merges() -> Scenario {
    let one = at(CONFIG_MAPS, "a");
    Scenario::new("patch_merge", "merge patches")
        .post(
            "make",
            CONFIG_MAPS,
            with(&config_map("a"), "/metadata/finalizers", json!(["example.com/a", "example.com/b"])),
        )
        .merge("merge", &one, json!({"data": {"b": "2"}, "metadata": {"annotations": {"x": "y"}}}))
        .merge(
            "null",
            &one,
            json!({"data": {"a": null, "none": null}, "metadata": {"annotations": {"x": null}}}),
        )
        .merge("lists_are_replaced", &one, json!({"metadata": {"finalizers": ["example.com/b"]}}))
        .merge("whole_map", &one, json!({"data": null, "metadata": {"finalizers": null}}))
        .merge("nothing", &one, json!({}))
        .merge("list", &one, json!([]))
        .merge("wrong_type", &one, json!({"data": "text"}))
        .merge("other_namespace", &one, json!({"metadata": {"namespace": "default"}}))
        .merge("other_kind", &one, json!({"kind": "Secret"}))
        .merge("missing", &at(CONFIG_MAPS, "missing"), json!({"data": {"a": "1"}}))
        .merge("immutable", &one, json!({"immutable": true, "data": {"a": "1"}}))
        .merge("data_of_immutable", &one, json!({"data": {"a": "2"}}))
}

fn strategic() -> Scenario {
    let one = at(PODS, "a");
    let mut two = pod("a");
    crate::json::put(
        &mut two,
        &["spec", "containers"],
        json!([
            {"name": "a", "image": "x:1", "env": [{"name": "A", "value": "1"}], "ports": [{"containerPort": 80}]},
            {"name": "b", "image": "y:1"},
        ]),
    );
    let web = at(SERVICES, "web");
    Scenario::new("patch_strategic", "strategic merge patches")
        .post("make", PODS, two)
        .strategic("one_container", &one, json!({"spec": {"containers": [{"name": "b", "image": "y:2"}]}}))
        .strategic("labels", &one, json!({"metadata": {"labels": {"role": "active", "app": null}}}))
        .strategic("finalizers", &one, json!({"metadata": {"finalizers": ["example.com/a"]}}))
        .strategic("more_finalizers", &one, json!({"metadata": {"finalizers": ["example.com/b"]}}))
        .strategic("fewer_finalizers", &one, json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/a", "example.com/b"]}}))
        .strategic("without_key", &one, json!({"spec": {"containers": [{"image": "y:3"}]}}))
        .strategic("odd_directive", &one, json!({"metadata": {"labels": {"$patch": "paint"}}}))
        .strategic("replace_labels", &one, json!({"metadata": {"labels": {"$patch": "replace", "only": "this"}}}))
        .strategic("conditions", &at(PODS, "a/status"), json!({"status": {"conditions": [{"type": "Ready", "status": "False"}, {"type": "example.com/x", "status": "True"}]}}))
        .strategic("one_condition", &at(PODS, "a/status"), json!({"status": {"conditions": [{"type": "example.com/x", "status": "False"}], "$setElementOrder/conditions": [{"type": "Ready"}, {"type": "example.com/x"}]}}))
        .strategic("drop_condition", &at(PODS, "a/status"), json!({"status": {"conditions": [{"type": "example.com/x", "$patch": "delete"}]}}))
        .post("make_service", SERVICES, service("web"))
        .strategic("another_port", &web, json!({"spec": {"ports": [{"port": 81, "name": "b"}, {"port": 80, "name": "a"}]}}))
        .strategic("selector", &web, json!({"spec": {"selector": {"app": "nobody"}}}))
        .strategic("drop_port", &web, json!({"spec": {"ports": [{"port": 81, "$patch": "delete"}]}}))
}

fn odd() -> Scenario {
    let one = at(LEASES, "a");
    let patch = |media: &'static str, body: Body| Call::new(Method::PATCH, &one, body).typed(media);
    Scenario::new("patch_odd", "patches that the server does not understand")
        .post("make", LEASES, super::lease("a", "x"))
        .call("no_type", patch("application/json", Body::Json(json!({}))))
        .call("odd_type", patch("application/paint+json", Body::Json(json!({}))))
        .call("half", patch(MERGE, Body::Text("{\"spec\": ")))
        .call("empty", patch(MERGE, Body::None))
        .call("text", patch(MERGE, Body::Text("\"spec\"")))
        .merge("nobodys_subresource", &at(LEASES, "a/status"), json!({}))
        .merge("collection", LEASES, json!({}))
}
