//! Custom kinds: how the server treats objects whose schema comes from a CRD.

use super::{CRDS, at, with};
use crate::script::{Body, Call, STRATEGIC, Scenario, Until, answer};
use http::Method;
use serde_json::{Value, json};

const CRD: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/doors.conformance.hotstandby.dev";
const DOORS: &str = "/apis/conformance.hotstandby.dev/v1/namespaces/{ns}/doors";

/// A token that continues a list after `a` at version 1.
const OLD_TOKEN: &str = "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJhXHUwMDAwIn0";

pub(super) fn all() -> Vec<Scenario> {
    vec![definition(), forgotten(), shapes(), nulls(), validation(), rules(), status(), definitions_refused()]
}

fn crd() -> Value {
    let text = json!({"type": "string"});
    let spec = json!({
        "type": "object",
        "required": ["colour"],
        "properties": {
            "colour": {"type": "string", "enum": ["red", "blue"], "maxLength": 10},
            "code": {"type": "string", "pattern": "^[a-z]{3}$", "minLength": 2, "maxLength": 5},
            "size": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 9, "default": 3},
            "ratio": {"type": "number", "exclusiveMinimum": true, "minimum": 0},
            "open": {"type": "boolean"},
            "opened": {"type": "string", "format": "date-time"},
            "lock": {"type": "object", "default": {}, "properties": {"kind": {"type": "string", "default": "bolt"}, "maker": text}},
            "maybe": {"type": "string", "nullable": true},
            "maybe_default": {"type": "string", "nullable": true, "default": "x"},
            "port": {"x-kubernetes-int-or-string": true},
            "labels": {"type": "object", "additionalProperties": text, "maxProperties": 2},
            "keys": {"type": "array", "items": text, "x-kubernetes-list-type": "set", "maxItems": 3},
            "hinges": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "required": ["name"], "properties": {"name": text, "kind": {"type": "string", "default": "plain"}}},
            },
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "low": {"type": "integer"},
            "high": {"type": "integer"},
        },
        "x-kubernetes-validations": [
            {"rule": "!has(self.low) || !has(self.high) || self.low <= self.high", "message": "low must not be above high"},
            {"rule": "!has(self.code) || self.colour == 'red'"},
        ],
    });
    let status = json!({"type": "object", "properties": {"state": text, "since": {"type": "string", "format": "date-time"}, "count": {"type": "integer", "format": "int64"}}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "doors.conformance.hotstandby.dev"},
        "spec": {
            "group": "conformance.hotstandby.dev", "scope": "Namespaced",
            "names": {"kind": "Door", "plural": "doors", "shortNames": ["dr"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": {"spec": spec, "status": status}}},
                "additionalPrinterColumns": [
                    {"name": "COLOUR", "type": "string", "jsonPath": ".spec.colour"},
                    {"name": "SIZE", "type": "integer", "jsonPath": ".spec.size", "description": "How large."},
                    {"name": "SINCE", "type": "date", "jsonPath": ".status.since"},
                    {"name": "KEYS", "type": "string", "jsonPath": ".spec.keys"},
                    {"name": "OPEN", "type": "boolean", "jsonPath": ".spec.open", "priority": 1},
                ],
            }],
        },
    })
}

fn door(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "conformance.hotstandby.dev/v1", "kind": "Door", "metadata": {"name": name}, "spec": spec})
}

/// Returns a scenario that begins with the CRD of doors.
fn with_doors(name: &'static str, about: &'static str) -> Scenario {
    Scenario::new(name, about)
        .leaving(CRD)
        .call("define", Call::new(Method::POST, CRDS, crd()))
        .only(&["kind"])
        .served("served", DOORS)
}

fn definition() -> Scenario {
    Scenario::new("crd", "a CRD, and its kind while the CRD exists")
        .leaving(CRD)
        .get("before", DOORS)
        .post("define", CRDS, crd())
        .post("define_again", CRDS, crd())
        .served("served", DOORS)
        .get("defined", CRD)
        .get("empty", DOORS)
        .table("empty_table", DOORS)
        .get("discovered", "/apis/conformance.hotstandby.dev/v1")
        .get("discovered_group", "/apis/conformance.hotstandby.dev")
        .post("make", DOORS, door("a", &json!({"colour": "red", "keys": ["k", "l"], "open": true})))
        .table("table", DOORS)
        .table("table_of_one", &at(DOORS, "a"))
        .watch("watch", &at(DOORS, "?watch=1&resourceVersion={make:/metadata/resourceVersion}"))
        .delete("undefine", CRD)
        .read("events", "watch", Until::Count(1))
        .gone("undefined", CRD)
        .gone("not_served", DOORS)
}

/// The kind was created a moment ago, so no server can still have old versions of it in a cache.
fn forgotten() -> Scenario {
    with_doors("forgotten_versions", "versions that were compacted")
        .post("make_a", DOORS, door("a", &json!({"colour": "red"})))
        .post("make_b", DOORS, door("b", &json!({"colour": "red"})))
        .compact()
        .get("exact", &at(DOORS, "?resourceVersion=1&resourceVersionMatch=Exact"))
        .get("token", &at(DOORS, &format!("?limit=1&continue={OLD_TOKEN}")))
        .get("not_older", &at(DOORS, "?resourceVersion=1&resourceVersionMatch=NotOlderThan"))
        .watch("watch", &at(DOORS, "?watch=1&resourceVersion=1"))
        .read("watch_said", "watch", Until::End)
}

fn shapes() -> Scenario {
    let one = at(DOORS, "a");
    with_doors("custom_shapes", "defaults and unknown fields")
        .post("defaults", DOORS, door("a", &json!({"colour": "red"})))
        .post("unknown", DOORS, with(&door("b", &json!({"colour": "red", "weight": 3, "lock": {"maker": "m", "age": 1}, "free": {"any": {"thing": [1]}}, "hinges": [{"name": "x", "odd": 1}]})), "/more", "x"))
        .post("unknown_strict", &at(DOORS, "?fieldValidation=Strict"), door("c", &json!({"colour": "red", "weight": 3})))
        .post("unknown_metadata", DOORS, with(&door("c", &json!({"colour": "red"})), "/metadata/shape", "round"))
        .post("empty", DOORS, door("d", &json!({"colour": "red", "labels": {}, "keys": [], "free": {}, "maybe": ""})))
        .merge("generation", &one, json!({"spec": {"size": 4}}))
        .merge("labels_only", &one, json!({"metadata": {"labels": {"a": "b"}}}))
        .merge("back_to_default", &one, json!({"spec": {"size": null, "lock": null}}))
        .merge("merge_strict", &at(DOORS, "a?fieldValidation=Strict"), json!({"spec": {"weight": 3}}))
        .json_patch("json_patch", &one, json!([{"op": "replace", "path": "/spec/colour", "value": "blue"}]))
        .call("strategic", Call::new(Method::PATCH, &one, json!({"spec": {"size": 5}})).typed(STRATEGIC))
        .put("put", &one, answer("json_patch").with("/spec/size", 7))
        .put("put_without_version", &one, door("a", &json!({"colour": "red"})))
        .put("put_missing", &at(DOORS, "z"), door("z", &json!({"colour": "red"})))
        .post("generated", DOORS, json!({"apiVersion": "conformance.hotstandby.dev/v1", "kind": "Door", "metadata": {"generateName": "door-"}, "spec": {"colour": "red"}}))
        .post("no_kind", DOORS, json!({"metadata": {"name": "e"}, "spec": {"colour": "red"}}))
        .post("other_kind", DOORS, with(&door("e", &json!({"colour": "red"})), "/kind", "Window"))
        .post("other_version", DOORS, with(&door("e", &json!({"colour": "red"})), "/apiVersion", "conformance.hotstandby.dev/v2"))
        .apply("apply", &at(DOORS, "f?fieldManager=one"), door("f", &json!({"colour": "red", "hinges": [{"name": "x"}], "keys": ["k"]})))
        .managed()
        .apply("apply_another", &at(DOORS, "f?fieldManager=two"), door("f", &json!({"hinges": [{"name": "y", "kind": "oak"}], "keys": ["l"]})))
        .managed()
        .apply("apply_conflict", &at(DOORS, "f?fieldManager=two"), door("f", &json!({"colour": "blue"})))
        .delete("delete", &one)
        .delete("delete_missing", &at(DOORS, "z"))
        .get("by_field", &at(DOORS, "?fieldSelector=metadata.name%3Db"))
        .get("by_own_field", &at(DOORS, "?fieldSelector=spec.colour%3Dred"))
}

fn nulls() -> Scenario {
    with_doors("custom_nulls", "null in fields that are nullable and in fields that are not")
        .post("nullable", DOORS, door("a", &json!({"colour": "red", "maybe": null})))
        .post("nullable_default", DOORS, door("b", &json!({"colour": "red", "maybe_default": null})))
        .post("not_nullable", DOORS, door("c", &json!({"colour": "red", "code": null, "open": null})))
        .post("not_nullable_default", DOORS, door("d", &json!({"colour": "red", "size": null, "lock": null})))
        .post("required", DOORS, door("e", &json!({"colour": null})))
        .post("in_lists", DOORS, door("f", &json!({"colour": "red", "keys": ["k", null]})))
        .post("in_maps", DOORS, door("g", &json!({"colour": "red", "labels": {"a": null}})))
        .post("in_free", DOORS, door("h", &json!({"colour": "red", "free": {"a": null}})))
        .post("spec", DOORS, door("i", &Value::Null))
        .post(
            "in_metadata",
            DOORS,
            with(&door("j", &json!({"colour": "red"})), "/metadata/labels", Value::Null),
        )
}

fn validation() -> Scenario {
    let post = |scenario: Scenario, label: &str, spec: Value| {
        scenario.post(label, &at(DOORS, "?dryRun=All"), door("a", &spec))
    };
    let cases = [
        ("missing", json!({})),
        ("enum", json!({"colour": "green"})),
        ("type", json!({"colour": 5})),
        ("pattern", json!({"colour": "red", "code": "ABC"})),
        ("too_short", json!({"colour": "red", "code": "a"})),
        ("too_long", json!({"colour": "red", "code": "abcdefgh"})),
        ("too_small", json!({"colour": "red", "size": 0})),
        ("too_large", json!({"colour": "red", "size": 10})),
        ("no_int32", json!({"colour": "red", "size": 3_000_000_000_u64})),
        ("fraction", json!({"colour": "red", "size": 1.5})),
        ("whole_fraction", json!({"colour": "red", "size": 2.0})),
        ("exclusive", json!({"colour": "red", "ratio": 0})),
        ("odd_time", json!({"colour": "red", "opened": "soon"})),
        ("odd_port", json!({"colour": "red", "port": true})),
        ("too_many", json!({"colour": "red", "labels": {"a": "1", "b": "2", "c": "3"}})),
        ("too_many_items", json!({"colour": "red", "keys": ["a", "b", "c", "d"]})),
        ("twice_in_set", json!({"colour": "red", "keys": ["a", "a"]})),
        ("twice_in_map", json!({"colour": "red", "hinges": [{"name": "x"}, {"name": "x", "kind": "oak"}]})),
        ("no_key_in_map", json!({"colour": "red", "hinges": [{"kind": "oak"}]})),
        ("map_for_list", json!({"colour": "red", "keys": {}})),
        ("list_for_spec", json!([])),
    ];
    let scenario = with_doors("custom_validation", "what the schema refuses, and the texts of the errors");
    let scenario = cases.into_iter().fold(scenario, |scenario, (label, spec)| post(scenario, label, spec));
    post(scenario, "several", json!({"colour": "green", "size": 0, "keys": ["a", "a"]})).in_any_order()
}

fn rules() -> Scenario {
    with_doors("custom_rules", "validation rules of the schema")
        .post("broken", DOORS, door("a", &json!({"colour": "red", "low": 5, "high": 4})))
        .post("broken_unworded", DOORS, door("a", &json!({"colour": "blue", "code": "abc"})))
        .post("both_broken", DOORS, door("a", &json!({"colour": "blue", "code": "abc", "low": 5, "high": 4})))
        .post("rule_and_schema", DOORS, door("a", &json!({"colour": "blue", "size": 0, "low": 5, "high": 4})))
        .post("rule_and_type", DOORS, door("a", &json!({"colour": "blue", "size": "x", "low": 5, "high": 4})))
        .post("kept", DOORS, door("a", &json!({"colour": "red", "low": 4, "high": 4})))
        .merge("broken_by_merge", &at(DOORS, "a"), json!({"spec": {"low": 5}}))
}

fn status() -> Scenario {
    let (one, status) = (at(DOORS, "a"), at(DOORS, "a/status"));
    with_doors("custom_status", "the status of a custom kind")
        .post("make", DOORS, with(&door("a", &json!({"colour": "red"})), "/status", json!({"state": "open"})))
        .put("put", &status, answer("make").with("/status", json!({"state": "open", "since": "2020-01-02T03:04:05Z", "count": 5})).with("/spec/colour", "blue").with("/metadata/labels", json!({"a": "b"})))
        .merge("merge", &status, json!({"status": {"count": 6}, "spec": {"size": 9}, "metadata": {"annotations": {"a": "b"}}}))
        .merge("main", &one, json!({"status": {"count": 7}, "spec": {"size": 9}}))
        .merge("invalid", &status, json!({"status": {"count": "many"}}))
        .merge("unknown", &status, json!({"status": {"colour": "red"}}))
        .apply("apply", &at(DOORS, "a/status?fieldManager=one&force=true"), json!({"apiVersion": "conformance.hotstandby.dev/v1", "kind": "Door", "metadata": {"name": "a"}, "status": {"state": "shut"}}))
        .managed()
        .get("get", &status)
        .table("table", DOORS)
        .call("delete", Call::new(Method::DELETE, &status, Body::None))
        .merge("missing", &at(DOORS, "z/status"), json!({"status": {"count": 6}}))
}

fn definitions_refused() -> Scenario {
    let scenario = Scenario::new("crd_refused", "CRDs that the server refuses").leaving(CRD);
    let version = "/spec/versions/0";
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    let place = |base: &str, rest: &str| format!("{base}{rest}");
    let cases = [
        ("other_name", "/metadata/name".to_owned(), json!("windows.conformance.hotstandby.dev")),
        ("no_versions", "/spec/versions".to_owned(), json!([])),
        ("no_storage", place(version, "/storage"), json!(false)),
        ("no_schema", place(version, "/schema"), Value::Null),
        ("odd_scope", "/spec/scope".to_owned(), json!("Everywhere")),
        ("no_kind", "/spec/names/kind".to_owned(), json!("")),
        ("odd_type", place(spec, "/type"), json!("thing")),
        ("no_type", place(spec, "/type"), Value::Null),
        ("odd_rule", place(spec, "/x-kubernetes-validations"), json!([{"rule": "self.nothing == 1"}])),
        ("half_rule", place(spec, "/x-kubernetes-validations"), json!([{"rule": "self.low <"}])),
        ("no_boolean", place(spec, "/x-kubernetes-validations"), json!([{"rule": "self.colour"}])),
        ("odd_default", place(spec, "/properties/size/default"), json!(99)),
        ("odd_path", place(version, "/additionalPrinterColumns/0/jsonPath"), json!("spec.colour")),
    ];
    cases.into_iter().fold(scenario, |scenario, (label, pointer, value)| {
        scenario.post(label, &at(CRDS, "?dryRun=All"), with(&crd(), &pointer, value))
    })
}
