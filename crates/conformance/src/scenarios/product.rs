//! The product's own kind. Its API group is renamed for the suite, so that an installed CRD is not touched.

use super::{CRDS, at, with};
use crate::script::Scenario;
use serde_json::{Value, json};

const CRD: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/activestandbies.product.conformance.hotstandby.dev";
const GROUPS: &str = "/apis/product.conformance.hotstandby.dev/v1alpha1/namespaces/{ns}/activestandbies";
const INSTALLED: &str = include_str!("../../../../deploy/crd.yaml");

pub(super) fn all() -> Vec<Scenario> {
    vec![groups(), refused()]
}

/// Returns the CRD of the product with another API group.
fn crd() -> Value {
    let installed: Value = serde_norway::from_str(INSTALLED).unwrap_or_default();
    let renamed = with(&installed, "/spec/group", "product.conformance.hotstandby.dev");
    with(&renamed, "/metadata/name", "activestandbies.product.conformance.hotstandby.dev")
}

fn group(name: &str, spec: &Value) -> Value {
    let mut group = json!({
        "apiVersion": "product.conformance.hotstandby.dev/v1alpha1", "kind": "ActiveStandby",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "traffic": {"services": [{"name": "web"}]}},
    });
    for (key, value) in spec.as_object().into_iter().flatten() {
        crate::json::put(&mut group, &["spec", key.as_str()], value.clone());
    }
    group
}

fn with_groups(name: &'static str, about: &'static str) -> Scenario {
    let define = Scenario::new(name, about).leaving(CRD).post("define", CRDS, crd()).only(&["kind"]);
    define.served("served", GROUPS)
}

fn groups() -> Scenario {
    let one = at(GROUPS, "web");
    let status = json!({
        "active": {"pod": "web-1", "uid": "u", "ip": "10.88.1.9", "node": "n1"}, "term": 7, "standbys": 2,
        "since": "2020-01-02T03:04:05Z", "reason": "ProbeRefused", "observedGeneration": 1,
        "conditions": [{"type": "Ready", "status": "True", "reason": "Served", "message": "", "lastTransitionTime": "2020-01-02T03:04:05Z", "observedGeneration": 1}],
        "members": [{"name": "web-1", "role": "active", "verdict": "healthy"}],
    });
    with_groups("product_group", "an ActiveStandby from its creation to its deletion")
        .post("make", GROUPS, group("web", &json!({})))
        .table("table_before", GROUPS)
        .merge("annotate", &one, json!({"metadata": {"annotations": {"hotstandby.dev/switchover": "term=7,to=web-1"}}}))
        .merge("status", &at(GROUPS, "web/status"), json!({"status": status}))
        .table("table", GROUPS)
        .merge("pause", &one, json!({"spec": {"paused": true}}))
        .merge("status_stale", &at(GROUPS, "web/status"), json!({"metadata": {"resourceVersion": "{make:/metadata/resourceVersion}"}, "status": {"term": 8}}))
        .merge("odd_condition", &at(GROUPS, "web/status"), json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}))
        .post("full", GROUPS, group("full", &json!({
            "detect": {"probe": {"httpGet": {"port": "web", "host": "a.example"}}, "period": "200ms", "timeout": "150ms", "tripwire": {"mode": "Off"}, "criticalContainers": {"names": ["a"], "env": {"name": "X", "value": ""}}},
            "failback": {"policy": "AfterDelay", "delay": "60s"}, "candidates": {"preferNodes": {"matchLabels": {"zone": "a"}}, "order": ["Name"]},
            "traffic": {"services": [{"name": "a"}, {"name": "b"}], "whenNoCandidate": "Clear"}, "deletionPolicy": "Orphan",
            "selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]},
        })))
        .post("number_port", GROUPS, group("number", &json!({"detect": {"probe": {"tcpSocket": {"port": 8080}}}})))
        .post("nulls", GROUPS, group("nulls", &json!({"paused": null, "detect": null, "failback": {"policy": null, "delay": null}})))
        .apply("apply", &at(GROUPS, "applied?fieldManager=kubectl"), group("applied", &json!({})))
        .managed()
        .delete("delete", &one)
}

fn refused() -> Scenario {
    let cases = [
        ("empty_selector", json!({"selector": {}})),
        ("odd_expression", json!({"selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}})),
        ("odd_operator", json!({"selector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}})),
        ("no_services", json!({"traffic": {"services": []}})),
        ("same_service_twice", json!({"traffic": {"services": [{"name": "a"}, {"name": "a"}]}})),
        ("odd_service", json!({"traffic": {"services": [{"name": "A_b"}]}})),
        ("lease_missing", json!({"election": {"mode": "Pods"}})),
        ("lease_too_much", json!({"election": {"lease": {"name": "a"}}})),
        ("odd_mode", json!({"election": {"mode": "Dice"}})),
        ("two_probes", json!({"detect": {"probe": {"httpGet": {"port": 80}, "tcpSocket": {"port": 80}}}})),
        ("no_probe", json!({"detect": {"probe": {}}})),
        ("port_0", json!({"detect": {"probe": {"tcpSocket": {"port": 0}}}})),
        ("port_in_quotes", json!({"detect": {"probe": {"tcpSocket": {"port": "80"}}}})),
        ("port_true", json!({"detect": {"probe": {"tcpSocket": {"port": true}}}})),
        ("odd_path", json!({"detect": {"probe": {"httpGet": {"port": 80, "path": "health"}}}})),
        ("too_fast", json!({"detect": {"period": "10ms", "timeout": "10ms"}})),
        ("odd_period", json!({"detect": {"period": "soon"}})),
        ("timeout_above_period", json!({"detect": {"period": "200ms"}})),
        ("threshold_0", json!({"detect": {"failureThreshold": 0}})),
        ("tripwire_false", json!({"detect": {"tripwire": {"mode": false}}})),
        ("delay_missing", json!({"failback": {"policy": "AfterDelay"}})),
        ("delay_too_much", json!({"failback": {"delay": "60s"}})),
        ("delay_too_long", json!({"failback": {"policy": "AfterDelay", "delay": "25h"}})),
        ("order_twice", json!({"candidates": {"order": ["Name", "Name"]}})),
        ("paused_text", json!({"paused": "yes"})),
        ("selector_missing", json!({"selector": null})),
    ];
    let scenario = with_groups("product_refused", "groups that are refused, and the texts of the errors");
    let scenario = cases.into_iter().fold(scenario, |scenario, (label, spec)| {
        scenario.post(label, &at(GROUPS, "?dryRun=All"), group("web", &spec))
    });
    let several = json!({"paused": "yes", "oldActive": "Eat", "detect": {"failureThreshold": 1000}});
    let scenario =
        scenario.post("several", &at(GROUPS, "?dryRun=All"), group("web", &several)).in_any_order();
    scenario.post(
        "unknown_strict",
        &at(GROUPS, "?fieldValidation=Strict"),
        group("web", &json!({"colour": "red"})),
    )
}
