//! `why` of a group.

use crate::support::{Cluster, group};
use serde_json::{Value, json};

async fn cluster() -> Cluster {
    let cluster = Cluster::start().await;
    let status = json!({
        "active": {"pod": "web-1", "uid": "p"}, "term": 8, "since": "2026-01-01T00:00:00.000000Z", "reason": "ProbeRefused",
        "history": [{"term": 8, "from": "web-0", "to": "web-1", "reason": "ProbeRefused", "at": "2026-01-01T00:00:00.000000Z"}],
    });
    cluster.put("hotstandby.dev", "v1alpha1", "activestandbies", &group(&status));
    for (name, group, reason, message) in [
        ("one", "web", "ProbeRefused", "web-1 is active at term 8, after web-0"),
        ("two", "web", "Holding", "web-1 looks bad"),
        ("three", "another", "Holding", "not of this group"),
    ] {
        let event = json!({
            "metadata": {"name": name, "namespace": "shop"}, "reason": reason, "note": message, "type": "Warning",
            "action": "a", "eventTime": "2026-01-01T00:00:01.000000Z",
            "reportingController": "hotstandby.dev/controller", "reportingInstance": "replica-a",
            "regarding": {"apiVersion": "hotstandby.dev/v1alpha1", "kind": "ActiveStandby", "namespace": "shop", "name": group},
        });
        cluster.put("events.k8s.io", "v1", "events", &event);
    }
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_tells_its_last_decisions() {
    let cluster = cluster().await;
    let ran = cluster.run(&["why", "web", "-n", "shop"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for text in ["shop/web: web-1 is active at term 8", "decided by replica replica-a", "web-1 looks bad"] {
        assert!(ran.out.contains(text), "{text}: {}", ran.out);
    }
    assert!(!ran.out.contains("not of this group"), "{}", ran.out);
    let ran = cluster.run(&["why", "web", "-n", "shop", "-o", "json"]).await;
    let why: Value = serde_json::from_str(&ran.out).unwrap();
    let kinds: Vec<_> = why["timeline"].as_array().unwrap().iter().map(|entry| &entry["kind"]).collect();
    assert_eq!(kinds, ["event", "change"], "the Event of the change is its evidence: {why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_events_the_rest_is_told() {
    let cluster = cluster().await;
    cluster.handle.with(|server| server.set_access(|question| question.resource != "events", true));
    let ran = cluster.run(&["why", "web", "-n", "shop"]).await;
    assert_eq!(ran.code, 0);
    assert!(ran.out.contains("events were not looked at"), "{}", ran.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_does_not_exist_is_told_from_those_that_do() {
    let ran = cluster().await.run(&["why", "wbe", "-n", "shop"]).await;
    assert_eq!((ran.code, ran.err.contains("there are: web")), (4, true), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_annotated_service_tells_what_it_can() {
    let cluster = Cluster::start().await;
    let service = json!({
        "metadata": {"name": "echo", "namespace": "shop", "annotations": {"hotstandby.dev/reason": "Initial", "hotstandby.dev/term": "3"}},
        "spec": {"selector": {"app": "echo"}, "ports": [{"port": 80}]},
    });
    cluster.put("", "v1", "services", &service);
    let ran = cluster.run(&["why", "service/echo", "-n", "shop"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.starts_with("shop/service/echo: nobody is active at term 3"), "{}", ran.out);
    let missing = cluster.run(&["why", "svc/ehco", "-n", "shop"]).await;
    assert_eq!((missing.code, missing.err.contains("no Service ehco")), (4, true), "{}", missing.err);
}
