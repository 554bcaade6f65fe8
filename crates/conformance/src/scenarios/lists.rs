//! Lists: pages, versions, selectors and metadata alone.

use super::{CONFIG_MAPS, LEASES, PODS, at, config_map, lease, pod};
use crate::script::{Body, Call, Scenario};
use http::Method;
use serde_json::json;

pub(super) fn all() -> Vec<Scenario> {
    vec![pages(), versions(), label_selectors(), field_selectors(), partial()]
}

fn pages() -> Scenario {
    let list = |query: &str| at(LEASES, query);
    Scenario::new("list_pages", "limit and continue")
        .get("empty", LEASES)
        .post("make_a", LEASES, lease("a", "x"))
        .post("make_b", LEASES, lease("b", "x"))
        .post("make_c", LEASES, lease("c", "x"))
        .get("first", &list("?limit=2"))
        .post("make_d", LEASES, lease("d", "x"))
        .get("second", &list("?limit=2&continue={first:/metadata/continue}"))
        .get("no_limit", &list("?continue={first:/metadata/continue}"))
        .get("exactly_all", &list("?limit=4"))
        .get("selected", &list("?limit=1&labelSelector=!x"))
        .get("with_version", &list("?limit=1&resourceVersion=0"))
        .get("odd_token", &list("?limit=1&continue=abc"))
        .get("token_and_version", &list("?limit=1&continue={first:/metadata/continue}&resourceVersion={make_a:/metadata/resourceVersion}"))
        .get("token_and_0", &list("?limit=1&continue={first:/metadata/continue}&resourceVersion=0"))
        .get("token_and_match", &list("?limit=1&continue={first:/metadata/continue}&resourceVersion=0&resourceVersionMatch=NotOlderThan"))
        .get("odd_limit", &list("?limit=many"))
}

fn versions() -> Scenario {
    let list = |query: &str| at(LEASES, query);
    let first = "resourceVersion={make_a:/metadata/resourceVersion}";
    Scenario::new(
        "list_versions",
        "the newest list, a list not older than a version, and the list at exactly a version",
    )
    .post("make_a", LEASES, lease("a", "x"))
    .post("make_b", LEASES, lease("b", "x"))
    .merge("change_a", &at(LEASES, "a"), json!({"spec": {"holderIdentity": "y"}}))
    .get("newest", LEASES)
    .get("any", &list("?resourceVersion=0"))
    .get("any_not_older", &list("?resourceVersion=0&resourceVersionMatch=NotOlderThan"))
    .get("not_older", &list(&format!("?{first}&resourceVersionMatch=NotOlderThan")))
    .get("unsaid", &list(&format!("?{first}")))
    .get("exact", &list(&format!("?{first}&resourceVersionMatch=Exact")))
    .get("exact_by_limit", &list(&format!("?{first}&limit=1")))
    .get("exact_any", &list("?resourceVersion=0&resourceVersionMatch=Exact"))
    .get("match_alone", &list("?resourceVersionMatch=Exact"))
    .get("odd_match", &list(&format!("?{first}&resourceVersionMatch=Roughly")))
    .get("odd_version", &list("?resourceVersion=abc"))
    .get("future", &list("?resourceVersion=9999999999999&resourceVersionMatch=NotOlderThan"))
    .get("future_exact", &list("?resourceVersion=9999999999999&resourceVersionMatch=Exact"))
    .get("initial_events", &list("?sendInitialEvents=true&resourceVersionMatch=NotOlderThan"))
    .get("one_any", &at(LEASES, "a?resourceVersion=0"))
    .get("one_not_older", &at(LEASES, &format!("a?{first}")))
    .get("one_future", &at(LEASES, "a?resourceVersion=9999999999999"))
}

fn label_selectors() -> Scenario {
    let labelled =
        |name: &str, tier: &str| json!({"metadata": {"name": name, "labels": {"of": "suite", "tier": tier}}});
    let by = |selector: &str| at(CONFIG_MAPS, &format!("?labelSelector=of%3Dsuite{selector}"));
    let odd = |selector: &str| at(CONFIG_MAPS, &format!("?labelSelector={selector}"));
    Scenario::new("label_selectors", "label selectors, and selectors that the server refuses")
        .post("make_a", CONFIG_MAPS, labelled("a", "front"))
        .post("make_b", CONFIG_MAPS, labelled("b", "back"))
        .post("make_c", CONFIG_MAPS, config_map("c"))
        .get("all", &by(""))
        .get("equal", &by(",tier%3Dfront"))
        .get("not_equal", &by(",tier!%3Dfront"))
        .get("in", &by(",tier+in+(front,back)"))
        .get("not_in", &by(",tier+notin+(front)"))
        .get("exists", &by(",tier"))
        .get("missing", &by(",!tier"))
        .get("odd_key", &odd("a+b"))
        .get("odd_value", &odd("a%3Db%20c"))
        .get("odd_set", &odd("a+in+b"))
        .get("odd_comma", &odd(",,"))
        .call("delete_some", Call::new(Method::DELETE, &by(",tier"), Body::None))
        .get("left", &by(""))
}

fn field_selectors() -> Scenario {
    let by = |selector: &str| at(PODS, &format!("?fieldSelector={selector}"));
    Scenario::new("field_selectors", "field selectors, and selectors that the server refuses")
        .post("make_a", PODS, pod("a"))
        .post("make_b", PODS, super::waiting_pod("b"))
        .get("name", &by("metadata.name%3Da"))
        .get("node", &by("spec.nodeName%3Dnowhere"))
        .get("no_node", &by("spec.nodeName%3D"))
        .get("phase", &by("status.phase!%3DPending"))
        .get("namespace", &by("metadata.namespace%3D{ns},metadata.name!%3Da"))
        .get("unknown", &by("spec.colour%3Dred"))
        .get("odd", &by("metadata.name"))
        .get("of_leases", &at(LEASES, "?fieldSelector=metadata.name%3Da"))
        .get("unknown_of_leases", &at(LEASES, "?fieldSelector=spec.holderIdentity%3Da"))
}

fn partial() -> Scenario {
    const ONE: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
    const LIST: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let get = |path: &str, accept: &'static str| Call::new(Method::GET, path, Body::None).accepting(accept);
    Scenario::new("partial_metadata", "objects of which only the metadata is requested")
        .post("make_a", LEASES, lease("a", "x"))
        .call("one", get(&at(LEASES, "a"), ONE))
        .call("list", get(LEASES, LIST))
        .call("list_as_one", get(LEASES, ONE))
}
