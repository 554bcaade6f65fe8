//! What `kubectl` looks for before and beside objects.

use crate::support::{GROUPS, PODS, World, group, pod};
use hotstandby_sim::{Reply, Request};
use http::Method;
use serde_json::{Value, json};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

fn accept(uri: &str, accept: &str) -> Request {
    Request { accept: accept.to_owned(), ..Request::new(Method::GET, uri) }
}

#[test]
fn discovery_tells_built_in_and_custom_kinds() {
    let mut world = World::new();
    world.install_crd();
    let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let Reply::Json(answer) = world.server.handle(&accept("/apis", aggregated)) else { panic!("no JSON") };
    assert_eq!(answer.content_type, aggregated);
    let groups = answer.body["items"].as_array().unwrap();
    let ours = groups.iter().find(|group| group["metadata"]["name"] == "hotstandby.dev").unwrap();
    let resource = &ours["versions"][0]["resources"][0];
    assert_eq!(
        (&resource["resource"], &resource["shortNames"]),
        (&json!("activestandbies"), &json!(["astb"]))
    );
    assert_eq!(resource["subresources"][0]["subresource"], "status");
    let (_, legacy) = world.get("/apis/coordination.k8s.io/v1");
    assert_eq!(legacy["resources"][0]["name"], "leases");
    for path in
        ["/api", "/apis", "/api/v1", "/version", "/openapi/v3", "/openapi/v3/api/v1", "/readyz", "/livez"]
    {
        assert_eq!(world.get(path).0, 200, "{path}");
    }
}

#[test]
fn a_table_has_the_columns_of_the_crd() {
    let mut world = World::new();
    world.install_crd();
    let made = world.ok(Method::POST, GROUPS, &group("web"));
    let mut status = made.clone();
    status["status"] = json!({
        "term": 7, "since": "2025-12-31T23:58:00Z", "active": {"pod": "web-0"},
        "conditions": [{"type": "Ready", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    });
    world.ok(Method::PUT, &format!("{GROUPS}/web/status"), &status);
    world.clock.advance(90_000);
    let table = world.send(&accept(GROUPS, TABLE)).1;
    assert_eq!(table["kind"], "Table");
    let names: Vec<_> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Name", "READY", "ACTIVE", "TERM", "STANDBYS", "SINCE", "AGE", "REASON"]);
    assert_eq!(table["rows"][0]["cells"], json!(["web", "True", "web-0", 7, null, "3m30s", "90s", null]));
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
}

#[test]
fn a_watch_for_a_table_shows_rows() {
    let mut world = World::new();
    world.ok(Method::POST, PODS, &pod("a"));
    let Reply::Watch(mut watch) = world.server.handle(&accept(&format!("{PODS}?watch=1"), TABLE)) else {
        panic!("no watch")
    };
    let events = world.server.poll(&mut watch);
    assert_eq!(
        events[0]["object"]["rows"][0]["cells"],
        json!(["a", "0/1", "Pending", "0", "0s", "<none>", "n1", "<none>", "<none>"])
    );
}

#[test]
fn lists_of_built_in_kinds_do_not_repeat_the_kind() {
    let mut world = World::new();
    world.ok(Method::POST, PODS, &pod("a"));
    let (_, list) = world.get(PODS);
    assert_eq!((&list["kind"], list["items"][0].get("kind")), (&json!("PodList"), None::<&Value>));
    let partial =
        world.send(&accept(PODS, "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")).1;
    assert_eq!(partial["kind"], "PartialObjectMetadataList");
    assert_eq!(world.send(&accept(PODS, "application/vnd.kubernetes.protobuf")).0, 406);
}
