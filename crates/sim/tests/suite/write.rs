//! POST and PUT: who may write over what.

use crate::support::{LEASES, PODS, World, lease, pod, reason, version, with};
use hotstandby_sim::{Limits, Request};
use http::Method;
use serde_json::{Value, json};

#[test]
fn the_same_calls_give_the_same_cluster() {
    let run = || {
        let mut world = World::new();
        let generated = json!({"metadata": {"generateName": "web-"}, "spec": {"containers": [{"name": "a", "image": "x"}]}});
        (world.ok(Method::POST, PODS, &generated), world.ok(Method::POST, LEASES, &lease("a", "me")))
    };
    assert_eq!(run(), run());
}

#[test]
fn a_new_object_gets_what_only_the_server_gives() {
    let mut world = World::new();
    let sent = with(&pod("web-0"), "/metadata/uid", json!("forged"));
    let (code, made) = world.call(Method::POST, PODS, &sent);
    assert_eq!(code, 201);
    assert_ne!(made["metadata"]["uid"], "forged");
    assert_eq!(made["metadata"]["creationTimestamp"], "2026-01-01T00:00:00Z");
    assert_eq!(made["metadata"]["generation"], 1);
    assert_eq!(made["status"]["phase"], "Pending");
    assert_eq!(made["spec"]["terminationGracePeriodSeconds"], 30);
    let answer = world.call(Method::POST, PODS, &pod("web-0"));
    assert_eq!(reason(&answer), (409, "AlreadyExists"));
    assert_eq!(answer.1["message"], "pods \"web-0\" already exists");
}

#[test]
fn nothing_is_made_where_no_namespace_is_or_one_is_going() {
    let mut world = World::new();
    let missing = world.call(Method::POST, "/api/v1/namespaces/nowhere/pods", &pod("a"));
    assert_eq!(reason(&missing), (404, "NotFound"));
    assert_eq!(missing.1["message"], "namespaces \"nowhere\" not found");
    world.ok(Method::DELETE, "/api/v1/namespaces/shop", &Value::Null);
    let going = world.call(Method::POST, PODS, &pod("a"));
    assert_eq!(reason(&going), (403, "Forbidden"));
    assert_eq!(going.1["details"]["causes"][0]["reason"], "NamespaceTerminating");
}

#[test]
fn a_write_over_another_version_is_refused() {
    let mut world = World::new();
    let first = world.ok(Method::POST, LEASES, &lease("a", "one"));
    let uri = format!("{LEASES}/a");
    let second = world.ok(Method::PUT, &uri, &with(&first, "/spec/holderIdentity", json!("two")));
    assert_ne!(version(&first), version(&second));
    let stale = world.call(Method::PUT, &uri, &with(&first, "/spec/holderIdentity", json!("three")));
    assert_eq!(reason(&stale), (409, "Conflict"));
    assert_eq!(
        stale.1["message"],
        "Operation cannot be fulfilled on leases.coordination.k8s.io \"a\": the object has been modified; please apply your changes to the latest version and try again"
    );
    let blind = world.call(Method::PUT, &uri, &lease("a", "four"));
    assert_eq!(reason(&blind), (422, "Invalid"));
    // Pods may be overwritten blindly.
    world.ok(Method::POST, PODS, &pod("web-0"));
    let labelled = with(&pod("web-0"), "/metadata/labels", json!({"app": "other"}));
    assert_eq!(
        world.ok(Method::PUT, &format!("{PODS}/web-0"), &labelled)["metadata"]["labels"]["app"],
        "other"
    );
}

#[test]
fn a_put_over_a_deleted_lease_makes_it_anew_unless_it_names_a_uid() {
    let mut world = World::new();
    let first = world.ok(Method::POST, LEASES, &lease("a", "one"));
    let uri = format!("{LEASES}/a");
    world.ok(Method::DELETE, &uri, &Value::Null);
    let with_uid = world.call(Method::PUT, &uri, &first);
    assert_eq!(reason(&with_uid), (409, "Conflict"));
    assert!(with_uid.1["message"].as_str().unwrap().contains("UID in precondition"), "{}", with_uid.1);
    let mut without = first.clone();
    without["metadata"].as_object_mut().unwrap().remove("uid");
    let (code, made) = world.call(Method::PUT, &uri, &without);
    assert_eq!(code, 201);
    assert_ne!(made["metadata"]["uid"], first["metadata"]["uid"]);
    // Pods are never made by a PUT.
    assert_eq!(world.call(Method::PUT, &format!("{PODS}/a"), &pod("a")).0, 404);
}

#[test]
fn a_put_with_another_uid_is_a_conflict_although_the_version_fits() {
    let mut world = World::new();
    let first = world.ok(Method::POST, LEASES, &lease("a", "one"));
    let forged = with(&first, "/metadata/uid", json!("another"));
    assert_eq!(reason(&world.call(Method::PUT, &format!("{LEASES}/a"), &forged)), (409, "Conflict"));
}

#[test]
fn a_write_that_changes_nothing_is_no_event() {
    let mut world = World::new();
    let first = world.ok(Method::POST, LEASES, &lease("a", "one"));
    world.clock.advance(60_000);
    let again = world.ok(Method::PUT, &format!("{LEASES}/a"), &first);
    assert_eq!(version(&first), version(&again));
    assert_eq!(world.server.version().to_string(), version(&first));
}

#[test]
fn status_and_spec_are_written_apart() {
    let mut world = World::new();
    let made = world.ok(Method::POST, PODS, &pod("web-0"));
    let uri = format!("{PODS}/web-0");
    let both = with(&with(&made, "/status/phase", json!("Running")), "/metadata/labels/x", json!("y"));
    let main = world.ok(Method::PUT, &uri, &both);
    assert_eq!(
        (&main["status"]["phase"], &main["metadata"]["labels"]["x"]),
        (&json!("Pending"), &json!("y"))
    );
    let both = with(&with(&main, "/status/phase", json!("Running")), "/spec/nodeName", json!("n2"));
    let status = world.ok(Method::PUT, &format!("{uri}/status"), &both);
    assert_eq!((&status["status"]["phase"], &status["spec"]["nodeName"]), (&json!("Running"), &json!("n1")));
    assert_eq!(status["metadata"]["generation"], 1);
}

#[test]
fn invalid_objects_name_the_field() {
    let mut world = World::new();
    let endless = with(&lease("a", "one"), "/spec/leaseDurationSeconds", json!(0));
    let (code, answer) = world.call(Method::POST, LEASES, &endless);
    assert_eq!(code, 422);
    assert_eq!(
        answer["message"],
        "Lease.coordination.k8s.io \"a\" is invalid: spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"
    );
    let slice = json!({"metadata": {"name": "s"}, "addressType": "IPv4", "endpoints": [{"addresses": ["fd00::1"]}], "ports": []});
    assert_eq!(
        world.call(Method::POST, "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices", &slice).0,
        422
    );
    let upper = world.call(Method::POST, PODS, &pod("Web"));
    assert_eq!(reason(&upper), (422, "Invalid"));
}

#[test]
fn a_service_gets_an_address_and_keeps_it() {
    let mut world = World::new();
    let uri = "/api/v1/namespaces/shop/services";
    let service = |name: &str| json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}});
    let (one, other) =
        (world.ok(Method::POST, uri, &service("a")), world.ok(Method::POST, uri, &service("b")));
    assert_ne!(one["spec"]["clusterIP"], other["spec"]["clusterIP"]);
    assert_eq!(one["spec"]["ports"][0], json!({"port": 80, "protocol": "TCP", "targetPort": 80}));
    assert_eq!(one["spec"]["ipFamilies"], json!(["IPv4"]));
    let put = world.ok(Method::PUT, &format!("{uri}/a"), &service("a"));
    assert_eq!(put["spec"]["clusterIP"], one["spec"]["clusterIP"]);
    let headless = with(&service("c"), "/spec/clusterIP", json!("None"));
    assert_eq!(world.ok(Method::POST, uri, &headless)["spec"]["clusterIPs"], json!(["None"]));
    let moved = with(&one, "/spec/clusterIP", json!("10.96.9.9"));
    assert_eq!(world.call(Method::PUT, &format!("{uri}/a"), &moved).0, 422);
}

#[test]
fn events_are_the_same_objects_in_both_apis() {
    let mut world = World::new();
    let event = json!({
        "metadata": {"name": "e"}, "eventTime": "2026-01-01T00:00:00.000000Z", "reason": "R", "action": "A", "note": "text",
        "type": "Normal", "reportingController": "c", "reportingInstance": "i",
        "regarding": {"kind": "Pod", "name": "web-0", "namespace": "shop"},
    });
    world.ok(Method::POST, "/apis/events.k8s.io/v1/namespaces/shop/events", &event);
    let (_, old) = world.get("/api/v1/namespaces/shop/events/e");
    assert_eq!((&old["message"], &old["involvedObject"]["name"]), (&json!("text"), &json!("web-0")));
    assert_eq!(old["reportingComponent"], "c");
    // Each API selects in its own words.
    let by =
        |selector: &str| format!("/apis/events.k8s.io/v1/namespaces/shop/events?fieldSelector={selector}");
    assert_eq!(world.get(&by("regarding.name=web-0")).1["items"][0]["note"], "text");
    assert_eq!(world.get(&by("involvedObject.name=web-0")).0, 400);
    let nowhere = with(&with(&event, "/metadata/name", json!("f")), "/regarding/namespace", json!(""));
    assert_eq!(world.call(Method::POST, "/apis/events.k8s.io/v1/namespaces/shop/events", &nowhere).0, 422);
}

#[test]
fn a_dry_run_stores_nothing() {
    let mut world = World::new();
    let before = world.server.version();
    world.ok(Method::POST, &format!("{PODS}?dryRun=All"), &pod("a"));
    assert_eq!(world.server.version(), before);
    assert_eq!(world.get(&format!("{PODS}/a")).0, 404);
}

#[test]
fn everything_has_a_limit() {
    let mut world = World::with_limits(Limits { body_bytes: 1000, objects: 6, ..Limits::default() });
    let large = with(&pod("a"), "/metadata/annotations", json!({"x": "y".repeat(2000)}));
    assert_eq!(reason(&world.call(Method::POST, PODS, &large)), (413, "RequestEntityTooLarge"));
    world.ok(Method::POST, LEASES, &lease("a", "x"));
    assert_eq!(world.call(Method::POST, LEASES, &lease("b", "x")).0, 507);
}

#[test]
fn rights_are_asked_and_where_wanted_enforced() {
    let mut world = World::new();
    world.server.set_access(|question| question.verb != "delete", true);
    let review = |verb: &str| json!({"spec": {"resourceAttributes": {"verb": verb, "resource": "pods"}}});
    let uri = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    assert_eq!(world.ok(Method::POST, uri, &review("get"))["status"]["allowed"], true);
    assert_eq!(world.ok(Method::POST, uri, &review("delete"))["status"]["allowed"], false);
    world.ok(Method::POST, PODS, &pod("a"));
    let refused = world.call(Method::DELETE, &format!("{PODS}/a"), &Value::Null);
    assert_eq!(reason(&refused), (403, "Forbidden"));
}

#[test]
fn the_audit_log_says_who_did_what() {
    let mut world = World::new();
    world.server.clear_audit();
    let mut request = Request::new(Method::POST, PODS).with_body(&pod("a"));
    request.user_agent = "kubelet/1".to_owned();
    world.send(&request);
    world.get(&format!("{PODS}?watch=true"));
    world.get("/version");
    let log: Vec<_> = world.server.audit().cloned().collect();
    let said: Vec<_> =
        log.iter().map(|entry| (entry.request.verb, entry.request.resource.as_str(), entry.code)).collect();
    assert_eq!(said, [("create", "pods", 201), ("watch", "pods", 200), ("get", "", 200)]);
    assert_eq!(log[0].request.user_agent, "kubelet/1");
}
