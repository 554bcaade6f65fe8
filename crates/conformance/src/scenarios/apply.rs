//! Server-side apply: which manager owns which field.

use super::{CONFIG_MAPS, PODS, SERVICES, at, pod};
use crate::script::{Scenario, answer};
use serde_json::{Value, json};

pub(super) fn all() -> Vec<Scenario> {
    vec![owners(), lists(), odd(), status()]
}

fn config(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
}

fn owners() -> Scenario {
    let by = |who: &str| at(CONFIG_MAPS, &format!("a?fieldManager={who}"));
    Scenario::new("apply_owners", "the managers of fields, conflicts and force")
        .apply("create", &by("one"), config(&json!({"a": "1", "b": "1"})))
        .managed()
        .apply("again", &by("one"), config(&json!({"a": "1", "b": "1"})))
        .apply("same_by_another", &by("two"), config(&json!({"a": "1"})))
        .managed()
        .apply("conflict", &by("two"), config(&json!({"a": "2"})))
        .apply("two_conflicts", &by("three"), config(&json!({"a": "2", "b": "2"})))
        .in_any_order()
        .apply("forced", &by("two&force=true"), config(&json!({"a": "2"})))
        .managed()
        .apply("given_up", &by("one"), config(&json!({})))
        .managed()
        .merge("by_update", &at(CONFIG_MAPS, "a"), json!({"data": {"a": "3", "c": "3"}, "metadata": {"labels": {"x": "y"}, "annotations": {"k": "v"}}}))
        .managed()
        .apply("conflict_with_update", &by("two"), config(&json!({"a": "4"})))
        .put("put_by_name", &by("four"), answer("by_update").with("/data/d", "4"))
        .managed()
        .apply("dropped", &by("two&force=true"), config(&json!({})))
        .managed()
        .apply("dry_run", &by("five&dryRun=All"), config(&json!({"e": "5"})))
        .get("as_before", &at(CONFIG_MAPS, "a"))
        .managed()
}

fn lists() -> Scenario {
    let by = |who: &str| at(SERVICES, &format!("web?fieldManager={who}"));
    let ports = |ports: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": ports}});
    Scenario::new("apply_lists", "each item of a list has its own managers")
        .apply("create", &by("one"), ports(json!([{"name": "a", "port": 80}])))
        .managed()
        .apply("another_item", &by("two"), ports(json!([{"name": "b", "port": 81, "protocol": "TCP"}])))
        .managed()
        .apply(
            "item_conflict",
            &by("two"),
            ports(json!([{"name": "c", "port": 80, "protocol": "TCP"}, {"name": "b", "port": 81}])),
        )
        .apply("item_dropped", &by("one"), ports(json!([])))
        .apply(
            "item_dropped_without_list",
            &by("one"),
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}),
        )
        .managed()
        .apply(
            "owners",
            &at(CONFIG_MAPS, "o?fieldManager=one"),
            json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "o", "finalizers": ["example.com/x"], "labels": {"a": "b"}},
            }),
        )
        .managed()
        .apply(
            "owners_emptied",
            &at(CONFIG_MAPS, "o?fieldManager=one"),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "o"}}),
        )
        .managed()
}

fn odd() -> Scenario {
    let by = |rest: &str| at(CONFIG_MAPS, rest);
    Scenario::new("apply_odd", "applies that the server refuses")
        .apply("no_manager", &by("a"), config(&json!({})))
        .apply("no_kind", &by("a?fieldManager=one"), json!({"metadata": {"name": "a"}}))
        .apply("other_kind", &by("a?fieldManager=one"), json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}))
        .apply("other_name", &by("b?fieldManager=one"), config(&json!({})))
        .apply("no_name", &by("c?fieldManager=one"), json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"}}))
        .apply("managed_fields", &by("a?fieldManager=one"), json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "managedFields": [{"manager": "x"}]}}))
        .apply("uid_of_nothing", &by("a?fieldManager=one"), json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "uid": "x"}}))
        .apply("version_of_nothing", &by("a?fieldManager=one"), json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "resourceVersion": "1"}}))
        .apply("unknown_field", &by("a?fieldManager=one"), json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "colour": "red"}))
        .apply("unknown_field_strict", &by("a?fieldManager=one&fieldValidation=Strict"), json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "colour": "red"}))
        .apply("create", &by("a?fieldManager=one"), config(&json!({"a": "1"})))
        .apply("stale", &by("a?fieldManager=one"), json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "resourceVersion": "1"}, "data": {"a": "2"}}))
        .apply("with_version", &by("a?fieldManager=one"), json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "resourceVersion": "{create:/metadata/resourceVersion}"}, "data": {"a": "2"}}))
        .apply("other_uid", &by("a?fieldManager=one"), json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "uid": "x"}, "data": {"a": "2"}}))
        .merge("force_a_merge", &by("a?force=true"), json!({"data": {"a": "3"}}))
        .apply("wrong_type", &by("a?fieldManager=one"), json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": 1}}))
}

fn status() -> Scenario {
    let status = |status: Value| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "status": status});
    Scenario::new("apply_status", "an apply of the status")
        .post("make", PODS, pod("a"))
        .managed()
        .apply("apply", &at(PODS, "a/status?fieldManager=one"), status(json!({"conditions": [{"type": "example.com/x", "status": "True"}]})))
        .managed()
        .apply("conflict", &at(PODS, "a/status?fieldManager=two"), status(json!({"conditions": [{"type": "example.com/x", "status": "False"}]})))
        .apply("label", &at(PODS, "a/status?fieldManager=three"), json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"role": "active"}}}))
        .managed()
        .apply("missing", &at(PODS, "b/status?fieldManager=one"), json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "b"}}))
}
