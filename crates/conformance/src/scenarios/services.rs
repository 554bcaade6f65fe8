//! Services. They have no selector, except in dry runs.

use super::{SERVICES, at, service, with};
use crate::script::{Scenario, answer};
use serde_json::{Value, json};

pub(super) fn all() -> Vec<Scenario> {
    vec![services(), refused()]
}

fn of(name: &str, spec: &Value) -> Value {
    json!({"metadata": {"name": name}, "spec": spec})
}

fn services() -> Scenario {
    let one = at(SERVICES, "web");
    Scenario::new("services", "the defaults of a Service, and the fields that an update keeps")
        .post("make", SERVICES, service("web"))
        .put("put_blind", &one, with(&service("web"), "/metadata/labels", json!({"a": "b"})))
        .put("put", &one, answer("put_blind").with("/spec/ports/0/targetPort", "http"))
        .put("put_stale", &one, answer("make"))
        .put("other_address", &one, answer("put").with("/spec/clusterIP", "10.96.77.77").with("/spec/clusterIPs", json!(["10.96.77.77"])))
        .merge("no_address", &one, json!({"spec": {"clusterIP": null, "clusterIPs": null}}))
        .merge("annotate", &one, json!({"metadata": {"annotations": {"hotstandby.dev/mode": "active-standby"}}}))
        .put("put_new", &at(SERVICES, "new"), service("new"))
        .post("same_address", SERVICES, of("other", &json!({"ports": [{"port": 80}], "clusterIP": "{make:/spec/clusterIP}"})))
        .post("headless", SERVICES, of("headless", &json!({"clusterIP": "None", "ports": [{"port": 80}]})))
        .post("headless_without_ports", SERVICES, of("headless2", &json!({"clusterIP": "None"})))
        .post("external_name", SERVICES, of("external", &json!({"type": "ExternalName", "externalName": "a.example.com"})))
        .post("two_ports", SERVICES, of("two", &json!({"ports": [{"name": "a", "port": 80, "targetPort": "http"}, {"name": "b", "port": 53, "protocol": "UDP"}]})))
        .post("sticky", SERVICES, of("sticky", &json!({"ports": [{"port": 80}], "sessionAffinity": "ClientIP", "publishNotReadyAddresses": true, "internalTrafficPolicy": "Local"})))
        .post("with_selector", &at(SERVICES, "?dryRun=All"), of("selecting", &json!({"ports": [{"port": 80}], "selector": {"app": "web"}})))
        .merge("to_external", &at(SERVICES, "two"), json!({"spec": {"type": "ExternalName", "externalName": "b.example.com", "clusterIP": "", "clusterIPs": null}}))
        .get("by_type", &at(SERVICES, "?fieldSelector=spec.type%3DExternalName"))
        .delete("delete", &one)
        .delete_with("delete_with_uid", &at(SERVICES, "sticky"), &json!({"preconditions": {"uid": "other"}}))
}

fn refused() -> Scenario {
    let cases = [
        ("no_spec", json!({"metadata": {"name": "a"}})),
        ("no_ports", of("a", &json!({}))),
        ("odd_type", of("a", &json!({"type": "Odd", "ports": [{"port": 80}]}))),
        ("unnamed_ports", of("a", &json!({"ports": [{"port": 80}, {"port": 81}]}))),
        ("same_names", of("a", &json!({"ports": [{"name": "a", "port": 80}, {"name": "a", "port": 81}]}))),
        (
            "same_port_twice",
            of("a", &json!({"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80}]})),
        ),
        ("port_0", of("a", &json!({"ports": [{"port": 0}]}))),
        ("odd_port_name", of("a", &json!({"ports": [{"name": "A", "port": 80}]}))),
        ("odd_target", of("a", &json!({"ports": [{"port": 80, "targetPort": "no_such_name_allowed"}]}))),
        ("odd_protocol", of("a", &json!({"ports": [{"port": 80, "protocol": "ICMP"}]}))),
        ("odd_affinity", of("a", &json!({"ports": [{"port": 80}], "sessionAffinity": "Odd"}))),
        ("no_external_name", of("a", &json!({"type": "ExternalName"}))),
        ("odd_address", of("a", &json!({"ports": [{"port": 80}], "clusterIP": "x"}))),
        ("address_out_of_range", of("a", &json!({"ports": [{"port": 80}], "clusterIP": "10.1.1.1"}))),
        ("odd_name", of("1a", &json!({"ports": [{"port": 80}]}))),
        ("dotted_name", of("a.b", &json!({"ports": [{"port": 80}]}))),
        ("odd_selector", of("a", &json!({"ports": [{"port": 80}], "selector": {"a b": "c"}}))),
    ];
    let scenario = Scenario::new("services_refused", "Services that the server refuses");
    cases
        .into_iter()
        .fold(scenario, |scenario, (label, body)| scenario.post(label, &at(SERVICES, "?dryRun=All"), body))
}
