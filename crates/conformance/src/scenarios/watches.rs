//! Watches: where they begin, which events they send, and how they end.

use super::{CONFIG_MAPS, LEASES, PODS, at, config_map, lease, pod};
use crate::script::{Scenario, Until, answer};
use serde_json::json;

pub(super) fn all() -> Vec<Scenario> {
    vec![from_version(), from_zero(), selected(), by_field(), streamed(), bookmarks(), refused()]
}

fn from_version() -> Scenario {
    let one = at(LEASES, "a");
    Scenario::new("watch_from_version", "every event after a version, each exactly once")
        .post("make_a", LEASES, lease("a", "one"))
        .watch("watch", &at(LEASES, "?watch=1&resourceVersion={make_a:/metadata/resourceVersion}"))
        .watch("watch_old_path", "/apis/coordination.k8s.io/v1/watch/namespaces/{ns}/leases?resourceVersion={make_a:/metadata/resourceVersion}")
        .post("make_b", LEASES, lease("b", "one"))
        .put("change", &one, answer("make_a").with("/spec/holderIdentity", "two"))
        .put("change_nothing", &one, answer("change"))
        .delete("delete", &one)
        .put("again", &one, lease("a", "three"))
        .post("last", LEASES, lease("last", "x"))
        .read("events", "watch", Until::Name("last"))
        .read("events_old_path", "watch_old_path", Until::Name("last"))
        .watch("past", &at(LEASES, "?watch=1&resourceVersion={change:/metadata/resourceVersion}"))
        .read("events_of_the_past", "past", Until::Name("last"))
}

fn from_zero() -> Scenario {
    Scenario::new("watch_from_now", "a watch without a version, or from 0, begins with the existing objects")
        .post("make_b", LEASES, lease("b", "one"))
        .post("make_a", LEASES, lease("a", "one"))
        .get("list", LEASES)
        .watch("zero", &at(LEASES, "?watch=1&resourceVersion=0"))
        .watch("none", &at(LEASES, "?watch=true"))
        .post("last", LEASES, lease("last", "x"))
        .read("zero_events", "zero", Until::Name("last"))
        .read("none_events", "none", Until::Name("last"))
}

fn selected() -> Scenario {
    let labels = |app: &str| json!({"metadata": {"labels": {"app": app}}});
    let one = at(CONFIG_MAPS, "a");
    Scenario::new("watch_selected", "an object that begins to match a selector and ceases to match it")
        .post("make_first", CONFIG_MAPS, config_map("first"))
        .watch(
            "watch",
            &at(
                CONFIG_MAPS,
                "?watch=1&labelSelector=app%3Dweb&resourceVersion={make_first:/metadata/resourceVersion}",
            ),
        )
        .post("make", CONFIG_MAPS, config_map("a"))
        .merge("match", &one, labels("web"))
        .merge("stay", &one, json!({"data": {"a": "2"}}))
        .merge("leave", &one, labels("db"))
        .merge("unseen", &one, json!({"data": {"a": "3"}}))
        .merge("return", &one, labels("web"))
        .delete("delete", &one)
        .post("last", CONFIG_MAPS, json!({"metadata": {"name": "last", "labels": {"app": "web"}}}))
        .read("events", "watch", Until::Name("last"))
}

fn by_field() -> Scenario {
    Scenario::new("watch_one", "a watch of one object by name, and of pods by node")
        .post("make_a", PODS, pod("a"))
        .watch("by_name", &at(PODS, "?watch=1&fieldSelector=metadata.name%3Da&resourceVersion={make_a:/metadata/resourceVersion}"))
        .watch("by_node", &at(PODS, "?watch=1&fieldSelector=spec.nodeName%3Dnowhere&resourceVersion={make_a:/metadata/resourceVersion}"))
        .post("make_b", PODS, super::waiting_pod("b"))
        .post("bind_b", &at(PODS, "b/binding"), json!({"metadata": {"name": "b"}, "target": {"kind": "Node", "name": "nowhere"}}))
        .delete("delete_b", &at(PODS, "b?gracePeriodSeconds=0"))
        .merge("label_a", &at(PODS, "a"), json!({"metadata": {"labels": {"x": "y"}}}))
        .delete("delete_a", &at(PODS, "a?gracePeriodSeconds=0"))
        .read("events_by_name", "by_name", Until::Count(3))
        .read("events_by_node", "by_node", Until::Count(6))
}

fn streamed() -> Scenario {
    let streamed = "?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    Scenario::new("watch_streamed_list", "a list in the form of a watch, and the bookmark that ends it")
        .post("make_b", LEASES, lease("b", "one"))
        .post("make_a", LEASES, lease("a", "one"))
        .get("list", LEASES)
        .watch("with_mark", &at(LEASES, &format!("{streamed}&allowWatchBookmarks=true")))
        .read("first", "with_mark", Until::Count(3))
        .watch("without_mark", &at(LEASES, streamed))
        .watch(
            "from_version",
            &at(
                LEASES,
                &format!(
                    "{streamed}&allowWatchBookmarks=true&resourceVersion={{make_b:/metadata/resourceVersion}}"
                ),
            ),
        )
        .read("first_from_version", "from_version", Until::Count(3))
        .watch(
            "none_wanted",
            &at(LEASES, "?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan"),
        )
        .watch("pods", &at(PODS, &format!("{streamed}&allowWatchBookmarks=true")))
        .read("no_pods", "pods", Until::Count(1))
        .watch("slices", &at(super::SLICES, &format!("{streamed}&allowWatchBookmarks=true")))
        .read("no_slices", "slices", Until::Count(1))
        .watch("services", &at(super::SERVICES, &format!("{streamed}&allowWatchBookmarks=true")))
        .read("no_services", "services", Until::Count(1))
        .watch(
            "nodes",
            &format!("/api/v1/nodes{streamed}&allowWatchBookmarks=true&labelSelector=none%3Dsuch"),
        )
        .read("no_nodes", "nodes", Until::Count(1))
        .post("last", LEASES, lease("last", "x"))
        .read("then", "with_mark", Until::Name("last"))
        .read("all_without_mark", "without_mark", Until::Name("last"))
        .read("none_of_the_first", "none_wanted", Until::Name("last"))
}

fn bookmarks() -> Scenario {
    Scenario::new("watch_ends", "a bookmark shortly before the end if there were changes, and the end")
        .post("make_a", LEASES, lease("a", "one"))
        .watch("watch", &at(LEASES, "?watch=1&allowWatchBookmarks=true&timeoutSeconds=5&labelSelector=none%3Dsuch&resourceVersion={make_a:/metadata/resourceVersion}"))
        .post("make_b", LEASES, lease("b", "one"))
        .watch("without", &at(LEASES, "?watch=1&timeoutSeconds=1&resourceVersion={make_a:/metadata/resourceVersion}"))
        .read("until_the_end", "watch", Until::End)
        .read("nothing", "without", Until::End)
}

fn refused() -> Scenario {
    let watch = |query: &str| at(LEASES, &format!("?watch=1&{query}"));
    Scenario::new("watch_refused", "watches that the server refuses")
        .watch("initial_alone", &watch("sendInitialEvents=true"))
        .watch("match_alone", &watch("resourceVersionMatch=NotOlderThan"))
        .watch("initial_exact", &watch("sendInitialEvents=true&resourceVersionMatch=Exact&resourceVersion=5"))
        .watch("odd_version", &watch("resourceVersion=abc"))
        .watch("odd_selector", &watch("labelSelector=a+b"))
        .watch("odd_field", &watch("fieldSelector=spec.x%3Dy"))
        .watch("nobodys_kind", "/api/v1/namespaces/{ns}/doors?watch=1")
}
