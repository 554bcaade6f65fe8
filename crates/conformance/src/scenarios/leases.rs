//! Leases: which writes the server accepts. The seat depends on these rules.

use super::{LEASES, at, lease};
use crate::script::{Scenario, answer};
use serde_json::{Value, json};

pub(super) fn all() -> Vec<Scenario> {
    vec![versions(), deletion(), over_deleted(), fields(), refused()]
}

fn versions() -> Scenario {
    let one = at(LEASES, "a");
    Scenario::new("lease_versions", "a PUT with another version, UID, name or namespace")
        .post("make", LEASES, lease("a", "one"))
        .get("get", &one)
        .put("put", &one, answer("make").with("/spec/holderIdentity", "two"))
        .put("put_stale", &one, answer("make").with("/spec/holderIdentity", "three"))
        .put("put_stale_without_a_change", &one, answer("make"))
        .put("put_without_version", &one, lease("a", "four"))
        .put("put_odd_version", &one, answer("put").with("/metadata/resourceVersion", "abc"))
        .put("put_version_0", &one, answer("put").with("/metadata/resourceVersion", "0"))
        .put("put_future_version", &one, answer("put").with("/metadata/resourceVersion", "9999999999999"))
        .put("put_other_uid", &one, answer("put").with("/metadata/uid", "other"))
        .put("put_other_uid_stale", &one, answer("make").with("/metadata/uid", "other"))
        .put("put_without_uid", &one, answer("put").without("/metadata/uid").with("/spec/leaseTransitions", 1))
        .put("put_other_name", &one, answer("put_without_uid").with("/metadata/name", "b"))
        .put("put_other_namespace", &one, answer("put_without_uid").with("/metadata/namespace", "default"))
        .put("put_other_kind", &one, answer("put_without_uid").with("/kind", "Pod"))
        .put("put_other_group", &one, answer("put_without_uid").with("/apiVersion", "v1"))
        .put("put_unchanged", &one, answer("put_without_uid"))
        .merge("merge_stale", &one, json!({"metadata": {"resourceVersion": "{make:/metadata/resourceVersion}"}, "spec": {"leaseTransitions": 9}}))
        .merge("merge_with_version", &one, json!({"metadata": {"resourceVersion": "{put_without_uid:/metadata/resourceVersion}"}, "spec": {"leaseTransitions": 2}}))
        .merge("merge_other_uid", &one, json!({"metadata": {"uid": "other"}}))
        .post("make_again", LEASES, lease("a", "five"))
        .post("make_with_version", LEASES, answer("put").with("/metadata/name", "b"))
}

fn deletion() -> Scenario {
    let one = at(LEASES, "a");
    let conditions = |value: Value| json!({"preconditions": value});
    Scenario::new("lease_deletion", "a DELETE with preconditions")
        .post("make", LEASES, lease("a", "one"))
        .delete_with("other_uid", &one, &conditions(json!({"uid": "other"})))
        .merge("write", &one, json!({"spec": {"leaseTransitions": 1}}))
        .delete_with("stale", &one, &conditions(json!({"resourceVersion": "{make:/metadata/resourceVersion}"})))
        .delete_with("both", &one, &conditions(json!({"uid": "{make:/metadata/uid}", "resourceVersion": "{write:/metadata/resourceVersion}"})))
        .get("get", &one)
        .delete("again", &one)
        .delete_with("again_with_uid", &one, &conditions(json!({"uid": "{make:/metadata/uid}"})))
}

fn over_deleted() -> Scenario {
    let one = at(LEASES, "a");
    Scenario::new("lease_over_deleted", "a PUT creates a Lease that was deleted")
        .post("make", LEASES, lease("a", "one"))
        .delete("delete", &one)
        .put("put_with_uid", &one, answer("make"))
        .put("put_with_version", &one, answer("make").without("/metadata/uid"))
        .delete("delete_second", &one)
        .put("put_plain", &one, lease("a", "two"))
        .put("put_new", &at(LEASES, "b"), lease("b", "two"))
        .merge("merge_missing", &at(LEASES, "c"), json!({"spec": {"leaseTransitions": 1}}))
}

fn fields() -> Scenario {
    let spec = json!({
        "holderIdentity": "web-1", "leaseDurationSeconds": 15, "leaseTransitions": 7,
        "acquireTime": "2020-01-02T03:04:05.123456Z", "renewTime": "2020-01-02T03:04:05.000000Z",
    });
    let one = at(LEASES, "a");
    Scenario::new("lease_fields", "the fields of a Lease are stored as they were sent")
        .post("make", LEASES, json!({"metadata": {"name": "a", "labels": {"x": "y"}, "annotations": {"hotstandby.dev/term": "7"}}, "spec": spec}))
        .merge("release", &one, json!({"spec": {"holderIdentity": null, "renewTime": "2020-01-02T03:04:06.123456Z"}}))
        .merge("empty_holder", &one, json!({"spec": {"holderIdentity": ""}}))
        .merge("other_zone", &one, json!({"spec": {"renewTime": "2020-01-02T03:04:06.500000+02:00"}}))
        .merge("no_fraction", &one, json!({"spec": {"renewTime": "2020-01-02T03:04:05Z"}}))
        .merge("short_fraction", &one, json!({"spec": {"renewTime": "2020-01-02T03:04:05.123Z"}}))
        .merge("long_fraction", &one, json!({"spec": {"renewTime": "2020-01-02T03:04:05.123456789Z"}}))
        .post("nothing_in_it", LEASES, json!({"metadata": {"name": "b"}}))
        .post("null_in_it", LEASES, json!({"metadata": {"name": "c", "labels": null}, "spec": {"holderIdentity": null}}))
}

fn refused() -> Scenario {
    let odd = |spec: Value| json!({"metadata": {"name": "a"}, "spec": spec});
    Scenario::new("lease_refused", "Leases that the server refuses")
        .post("no_duration", LEASES, odd(json!({"holderIdentity": "x", "leaseDurationSeconds": 0})))
        .post("negative", LEASES, odd(json!({"leaseDurationSeconds": -1, "leaseTransitions": -1})))
        .post("text_for_number", LEASES, odd(json!({"leaseDurationSeconds": "15"})))
        .post("number_for_text", LEASES, odd(json!({"holderIdentity": 5})))
        .post("list_for_map", LEASES, json!({"metadata": {"name": "a"}, "spec": []}))
        .post("odd_time", LEASES, odd(json!({"renewTime": "yesterday"})))
        .post("large_number", LEASES, odd(json!({"leaseTransitions": 3_000_000_000_u64})))
        .post("preferred_holder", LEASES, odd(json!({"preferredHolder": "x"})))
        .post(
            "strategy",
            &at(LEASES, "?dryRun=All"),
            json!({"metadata": {"name": "b"}, "spec": {"strategy": "Odd"}}),
        )
}
