//! Events: two APIs for the same objects.

use super::at;
use crate::script::{Scenario, answer};
use serde_json::{Value, json};

const OLD: &str = "/api/v1/namespaces/{ns}/events";
const NEW: &str = "/apis/events.k8s.io/v1/namespaces/{ns}/events";

pub(super) fn all() -> Vec<Scenario> {
    vec![events(), refused()]
}

fn new_event(name: &str) -> Value {
    json!({
        "metadata": {"name": name}, "eventTime": "2020-01-02T03:04:05.000006Z", "type": "Normal", "reason": "Switchover",
        "action": "Move", "note": "to web-1", "reportingController": "hotstandby.dev/controller", "reportingInstance": "one",
        "regarding": {"apiVersion": "hotstandby.dev/v1alpha1", "kind": "ActiveStandby", "name": "web", "namespace": "{ns}", "uid": "u"},
    })
}

fn old_event(name: &str) -> Value {
    json!({
        "metadata": {"name": name}, "type": "Warning", "reason": "Failed", "message": "text", "count": 2,
        "firstTimestamp": "2020-01-02T03:04:05Z", "lastTimestamp": "2020-01-02T03:04:06Z", "source": {"component": "old", "host": "n1"},
        "involvedObject": {"kind": "Pod", "name": "web-0", "namespace": "{ns}"},
    })
}

fn events() -> Scenario {
    let series = json!({"series": {"count": 2, "lastObservedTime": "2020-01-02T03:05:05.000006Z"}});
    Scenario::new("events", "Events that are created in one API and read in the other")
        .post("make_new", NEW, new_event("a"))
        .get("read_as_old", &at(OLD, "a"))
        .post("make_old", OLD, old_event("b"))
        .get("read_as_new", &at(NEW, "b"))
        .merge("count_up", &at(NEW, "a"), series)
        .put("put", &at(NEW, "a"), answer("count_up").with("/series/count", 3))
        .put("put_stale", &at(NEW, "a"), answer("make_new"))
        .put("put_missing", &at(NEW, "c"), new_event("c"))
        .merge("change_old", &at(OLD, "b"), json!({"count": 3, "lastTimestamp": "2020-01-02T03:04:07Z"}))
        .merge("change_regarding", &at(NEW, "a"), json!({"regarding": {"name": "other"}}))
        .get("list_new", NEW)
        .get("list_old", OLD)
        .get(
            "about_old",
            &at(OLD, "?fieldSelector=involvedObject.name%3Dweb,involvedObject.kind%3DActiveStandby"),
        )
        .get("about_new", &at(NEW, "?fieldSelector=regarding.name%3Dweb"))
        .get("about_in_the_others_words", &at(NEW, "?fieldSelector=involvedObject.name%3Dweb"))
        .get("by_type", &at(OLD, "?fieldSelector=type%3DWarning"))
        .get("by_reporter", &at(OLD, "?fieldSelector=reportingComponent%3Dhotstandby.dev/controller"))
        .get("by_colour", &at(OLD, "?fieldSelector=colour%3Dred"))
        .table("table", OLD)
        .delete("delete", &at(OLD, "a"))
        .get("deleted_there_too", &at(NEW, "a"))
}

fn refused() -> Scenario {
    let without = |field: &str| {
        let mut event = new_event("a");
        crate::json::remove(&mut event, field);
        event
    };
    let changed = |field: &str, value: Value| {
        let mut event = new_event("a");
        crate::json::put(&mut event, &[field], value);
        event
    };
    let cases = [
        ("no_time", without("eventTime")),
        ("no_reason", without("reason")),
        ("no_action", without("action")),
        ("no_controller", without("reportingController")),
        ("no_instance", without("reportingInstance")),
        ("no_type", without("type")),
        ("odd_type", changed("type", json!("Odd"))),
        ("no_note", without("note")),
        ("long_note", changed("note", json!("x".repeat(1025)))),
        ("odd_controller", changed("reportingController", json!("a b"))),
        ("long_action", changed("action", json!("x".repeat(129)))),
        (
            "other_namespace",
            changed("regarding", json!({"kind": "Pod", "name": "a", "namespace": "default"})),
        ),
        ("no_regarding", without("regarding")),
        (
            "series_of_one",
            changed("series", json!({"count": 1, "lastObservedTime": "2020-01-02T03:05:05.000006Z"})),
        ),
        ("deprecated_count", changed("deprecatedCount", json!(2))),
    ];
    let scenario = Scenario::new("events_refused", "Events that the newer API refuses");
    let scenario = cases
        .into_iter()
        .fold(scenario, |scenario, (label, body)| scenario.post(label, &at(NEW, "?dryRun=All"), body));
    scenario
        .post(
            "old_plain",
            &at(OLD, "?dryRun=All"),
            json!({"metadata": {"name": "a"}, "involvedObject": {"namespace": "{ns}"}}),
        )
        .post(
            "old_other_namespace",
            &at(OLD, "?dryRun=All"),
            json!({"metadata": {"name": "a"}, "involvedObject": {"namespace": "default"}}),
        )
        .post("old_nothing", &at(OLD, "?dryRun=All"), json!({"metadata": {"name": "a"}}))
}
