//! POST: names, namespaces, dry runs, unknown fields and bodies.

use super::{CONFIG_MAPS, LEASES, at, config_map, lease, with};
use crate::script::{Body, Call, Scenario, answer};
use http::Method;
use serde_json::json;

pub(super) fn all() -> Vec<Scenario> {
    vec![names(), namespaces(), dry_run(), field_validation(), bodies(), metadata()]
}

fn names() -> Scenario {
    let named = |name: &str| json!({"metadata": {"name": name}});
    let long = "x".repeat(254);
    let prefix = "p".repeat(70);
    Scenario::new("create_names", "names that are given and names that are generated")
        .post("generated", CONFIG_MAPS, json!({"metadata": {"generateName": "web-"}}))
        .post(
            "generated_and_named",
            CONFIG_MAPS,
            json!({"metadata": {"generateName": "web-", "name": "web"}}),
        )
        .post("long_prefix", CONFIG_MAPS, json!({"metadata": {"generateName": prefix}}))
        .post("no_name", CONFIG_MAPS, json!({"metadata": {}}))
        .post("upper_case", CONFIG_MAPS, named("Web"))
        .post("dots", CONFIG_MAPS, named("a.b-c.d"))
        .post("dot_at_end", CONFIG_MAPS, named("a."))
        .post("too_long", CONFIG_MAPS, named(&long))
        .post("slash", CONFIG_MAPS, named("a/b"))
        .post("odd_prefix", CONFIG_MAPS, json!({"metadata": {"generateName": "Web-"}}))
}

fn namespaces() -> Scenario {
    Scenario::new("create_namespaces", "objects and the namespaces in which they are created")
        .post("nowhere", "/api/v1/namespaces/conf-nowhere/configmaps", config_map("a"))
        .post("other", CONFIG_MAPS, with(&config_map("a"), "/metadata/namespace", "default"))
        .post("same", CONFIG_MAPS, with(&config_map("a"), "/metadata/namespace", "{ns}"))
        .post("over_all", "/api/v1/configmaps", config_map("a"))
        .get("one_over_all", "/api/v1/configmaps/a")
        .get("namespace", "/api/v1/namespaces/{ns}")
        .post("namespace_again", "/api/v1/namespaces", json!({"metadata": {"name": "{ns}"}}))
        .post("namespace_odd", "/api/v1/namespaces", json!({"metadata": {"name": "a.b"}}))
        .post(
            "namespace_in_namespace",
            "/api/v1/namespaces?dryRun=All",
            json!({"metadata": {"name": "conf-x", "namespace": "default"}}),
        )
        .get("in_nowhere", "/api/v1/namespaces/conf-nowhere/configmaps")
        .get("nothing", &at(CONFIG_MAPS, "nothing"))
        .get("nobodys_kind", "/api/v1/namespaces/{ns}/doors")
        .get("nobodys_group", "/apis/doors.example.com/v1/namespaces/{ns}/doors")
        .get("nobodys_subresource", &at(CONFIG_MAPS, "a/status"))
}

fn dry_run() -> Scenario {
    let one = at(LEASES, "a");
    Scenario::new("dry_run", "requests that do everything but store the object")
        .post("make", &at(LEASES, "?dryRun=All"), lease("a", "one"))
        .get("not_there", &one)
        .post(
            "invalid",
            &at(LEASES, "?dryRun=All"),
            with(&lease("a", "one"), "/spec/leaseDurationSeconds", 0),
        )
        .post("some", &at(LEASES, "?dryRun=Some"), lease("a", "one"))
        .post("really", LEASES, lease("a", "one"))
        .post("again", &at(LEASES, "?dryRun=All"), lease("a", "one"))
        .put("put", &at(LEASES, "a?dryRun=All"), answer("really").with("/spec/holderIdentity", "two"))
        .merge("merge", &at(LEASES, "a?dryRun=All"), json!({"spec": {"holderIdentity": "two"}}))
        .delete("delete", &at(LEASES, "a?dryRun=All"))
        .get("as_before", &one)
        .put("put_missing", &at(LEASES, "b?dryRun=All"), lease("b", "two"))
        .get("still_missing", &at(LEASES, "b"))
}

fn field_validation() -> Scenario {
    let odd = with(&with(&lease("a", "one"), "/spec/colour", "red"), "/metadata/shape", "round");
    let one = at(LEASES, "a");
    Scenario::new("field_validation", "unknown fields")
        .post("strict", &at(LEASES, "?fieldValidation=Strict"), odd.clone())
        .post("ignore", &at(LEASES, "?fieldValidation=Ignore&dryRun=All"), odd.clone())
        .post("odd", &at(LEASES, "?fieldValidation=Odd"), odd.clone())
        .post("warn", &at(LEASES, "?fieldValidation=Warn"), odd.clone())
        .post("unsaid", &at(LEASES, "?dryRun=All"), with(&odd, "/metadata/name", "b"))
        .put(
            "put_strict",
            &at(LEASES, "a?fieldValidation=Strict"),
            answer("warn").with("/spec/colour", "red"),
        )
        .merge("merge_strict", &at(LEASES, "a?fieldValidation=Strict"), json!({"spec": {"colour": "red"}}))
        .merge("merge_warn", &one, json!({"spec": {"colour": "red"}}))
        .strategic(
            "strategic_strict",
            &at(LEASES, "a?fieldValidation=Strict"),
            json!({"spec": {"colour": "red"}}),
        )
        .json_patch(
            "json_strict",
            &at(LEASES, "a?fieldValidation=Strict"),
            json!([{"op": "add", "path": "/spec/colour", "value": "red"}]),
        )
        .post("twice_strict", &at(LEASES, "?fieldValidation=Strict"), Body::Text(TWICE))
        .post("twice", &at(LEASES, "?dryRun=All"), Body::Text(TWICE))
}

const TWICE: &str = r#"{"metadata": {"name": "c"}, "spec": {"holderIdentity": "x", "holderIdentity": "y"}}"#;
const YAML: &str =
    "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata:\n  name: a\nspec:\n  holderIdentity: x\n";

fn bodies() -> Scenario {
    let post = |body: Body| Call::new(Method::POST, LEASES, body);
    Scenario::new("bodies", "bodies of various types")
        .post("empty", LEASES, Body::None)
        .post("half", LEASES, Body::Text("{\"metadata\": "))
        .post("list", LEASES, json!([]))
        .post("text", LEASES, json!("lease"))
        .post("nothing_in_it", LEASES, json!({}))
        .post("other_kind", LEASES, json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}))
        .post("kind_alone", LEASES, json!({"kind": "Lease", "metadata": {"name": "k"}}))
        .call("yaml", post(Body::Text(YAML)).typed("application/yaml"))
        .call("plain_text", post(Body::Text("lease")).typed("text/plain"))
        .call(
            "protobuf",
            Call::new(Method::POST, CONFIG_MAPS, Body::Bytes(protobuf_config_map()))
                .typed("application/vnd.kubernetes.protobuf"),
        )
        .call("wants_xml", Call::new(Method::GET, LEASES, Body::None).accepting("application/xml"))
        .call("wants_anything", Call::new(Method::GET, &at(LEASES, "nothing"), Body::None).accepting("*/*"))
        .call(
            "wants_yaml",
            Call::new(Method::GET, &at(LEASES, "nothing"), Body::None).accepting("application/yaml"),
        )
        .call("no_method", Call::new(Method::PUT, LEASES, lease("a", "x")))
        .call("post_to_one", Call::new(Method::POST, &at(LEASES, "a"), lease("a", "x")))
}

/// Returns a `ConfigMap` named `p` in protobuf, as clients that use client-go send it.
fn protobuf_config_map() -> Vec<u8> {
    let field = |number: u8, bytes: &[u8]| {
        let mut all = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap_or(0)];
        all.extend_from_slice(bytes);
        all
    };
    let kind = [field(1, b"v1"), field(2, b"ConfigMap")].concat();
    let object = field(1, &field(1, b"p"));
    [b"k8s\0".to_vec(), field(1, &kind), field(2, &object)].concat()
}

fn metadata() -> Scenario {
    let forged = json!({
        "name": "a", "uid": "forged", "generation": 7, "creationTimestamp": "2020-01-01T00:00:00Z",
        "deletionTimestamp": "2020-01-01T00:00:00Z", "deletionGracePeriodSeconds": 5, "selfLink": "/x",
    });
    let meta = |meta: serde_json::Value| json!({"metadata": meta});
    let owner = |more: serde_json::Value| {
        let mut owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u"});
        for (key, value) in more.as_object().into_iter().flatten() {
            crate::json::put(&mut owner, &[key.as_str()], value.clone());
        }
        owner
    };
    let post = |path: &str| at(CONFIG_MAPS, path);
    let dry = post("?dryRun=All");
    Scenario::new("metadata", "metadata that the server sets, and metadata that it refuses")
        .post("forged", CONFIG_MAPS, meta(forged))
        .merge("forge_later", &at(CONFIG_MAPS, "a"), meta(json!({"creationTimestamp": "2020-01-01T00:00:00Z", "generation": 9, "deletionTimestamp": "2020-01-01T00:00:00Z"})))
        .post("odd_labels", &dry, meta(json!({"name": "b", "labels": {"a b": "c", "d": "e f", "x/y/z": ""}})))
        .in_any_order()
        .post("odd_annotations", &dry, meta(json!({"name": "b", "annotations": {"a b": "anything goes here"}})))
        .post("number_as_label", &dry, meta(json!({"name": "b", "labels": {"a": 1}})))
        .post("odd_finalizers", &dry, meta(json!({"name": "b", "finalizers": ["plain", "example.com/fine", "a b/c"]})))
        .post("empty_owner", &dry, meta(json!({"name": "b", "ownerReferences": [{"apiVersion": "", "kind": "", "name": "", "uid": ""}]})))
        .post("half_owner", &dry, meta(json!({"name": "b", "ownerReferences": [{"kind": "ConfigMap", "name": "o"}]})))
        .post("two_controllers", &dry, meta(json!({"name": "b", "ownerReferences": [owner(json!({"controller": true})), owner(json!({"controller": true, "uid": "v"}))]})))
        .post("event_as_owner", &dry, meta(json!({"name": "b", "ownerReferences": [owner(json!({"kind": "Event"}))]})))
        .post("same_owner_twice", &dry, meta(json!({"name": "b", "ownerReferences": [owner(json!({})), owner(json!({}))]})))
        .post("empty_maps", &dry, meta(json!({"name": "b", "labels": {}, "annotations": {}, "finalizers": [], "ownerReferences": []})))
}
