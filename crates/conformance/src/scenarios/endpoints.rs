//! EndpointSlices and Endpoints.

use super::{ENDPOINTS, SLICES, at, slice, with};
use crate::script::{Scenario, answer};
use serde_json::{Value, json};

pub(super) fn all() -> Vec<Scenario> {
    vec![slices(), slices_refused(), endpoints()]
}

/// Returns a slice as the product writes it.
fn full() -> Value {
    json!({
        "metadata": {
            "name": "web-hotstandby-ipv4",
            "labels": {"kubernetes.io/service-name": "web", "endpointslice.kubernetes.io/managed-by": "hotstandby.dev"},
            "annotations": {"hotstandby.dev/term": "7"},
        },
        "addressType": "IPv4",
        "endpoints": [{
            "addresses": ["10.88.1.9"], "conditions": {"ready": true, "serving": true, "terminating": false}, "nodeName": "n1", "zone": "z",
            "targetRef": {"kind": "Pod", "name": "web-1", "namespace": "{ns}", "uid": "u"},
        }],
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP", "appProtocol": "example.com/dns"}],
    })
}

fn slices() -> Scenario {
    let one = at(SLICES, "web-hotstandby-ipv4");
    Scenario::new("slices", "EndpointSlices as the product writes them")
        .post("make", SLICES, full())
        .put("move", &one, answer("make").with("/endpoints/0/addresses", json!(["10.88.2.9"])))
        .put("stale", &one, answer("make"))
        .put("annotate", &one, answer("move").with("/metadata/annotations", json!({"hotstandby.dev/term": "8"})))
        .put("label", &one, answer("annotate").with("/metadata/labels/x", "y"))
        .put("clear", &one, answer("label").with("/endpoints", json!([])))
        .put("null", &one, answer("clear").with("/endpoints", Value::Null).with("/ports", Value::Null))
        .put("other_family", &one, answer("null").with("/addressType", "IPv6"))
        .put("missing", &at(SLICES, "other"), with(&full(), "/metadata/name", "other"))
        .put("without_version", &one, full())
        .post("plain", SLICES, slice("plain", "10.88.1.9"))
        .post("no_ports", SLICES, json!({"metadata": {"name": "no-ports"}, "addressType": "IPv4", "endpoints": []}))
        .post("six", SLICES, json!({"metadata": {"name": "six"}, "addressType": "IPv6", "endpoints": [{"addresses": ["fd00::1"], "conditions": {"ready": null}}], "ports": []}))
        .post("fqdn", SLICES, json!({"metadata": {"name": "fqdn"}, "addressType": "FQDN", "endpoints": [{"addresses": ["a.example.com"]}], "ports": []}))
        .post("hints", SLICES, json!({"metadata": {"name": "hints"}, "addressType": "IPv4", "endpoints": [{"addresses": ["10.88.1.9"], "hints": {"forZones": [{"name": "a"}]}, "hostname": "web-1", "deprecatedTopology": {"a": "b"}}], "ports": [{}]}))
        .get("by_service", &at(SLICES, "?labelSelector=kubernetes.io/service-name%3Dweb"))
        .delete_with("delete", &one, &json!({"preconditions": {"uid": "{make:/metadata/uid}"}}))
}

fn slices_refused() -> Scenario {
    let address = |address: &str| slice("a", address);
    let ports = |ports: Value| with(&slice("a", "10.88.1.9"), "/ports", ports);
    let endpoint = |endpoint: Value| with(&slice("a", "10.88.1.9"), "/endpoints", json!([endpoint]));
    let many: Vec<Value> =
        (0..1001).map(|at| json!({"addresses": [format!("10.88.{}.{}", at / 250, at % 250 + 1)]})).collect();
    let cases = [
        ("no_family", json!({"metadata": {"name": "a"}, "endpoints": [], "ports": []})),
        (
            "odd_family",
            json!({"metadata": {"name": "a"}, "addressType": "IPv5", "endpoints": [], "ports": []}),
        ),
        ("loopback", address("127.0.0.1")),
        ("unspecified", address("0.0.0.0")),
        ("link_local", address("169.254.1.1")),
        ("multicast", address("224.0.0.1")),
        ("no_address", address("web-1")),
        ("leading_zero", address("10.088.1.9")),
        ("other_family", address("fd00::1")),
        ("no_addresses", endpoint(json!({"addresses": []}))),
        (
            "six_loopback",
            json!({"metadata": {"name": "a"}, "addressType": "IPv6", "endpoints": [{"addresses": ["::1"]}], "ports": []}),
        ),
        (
            "six_mapped",
            json!({"metadata": {"name": "a"}, "addressType": "IPv6", "endpoints": [{"addresses": ["::ffff:10.88.1.9"]}], "ports": []}),
        ),
        ("same_twice", endpoint(json!({"addresses": ["10.88.1.9", "10.88.1.9"]}))),
        (
            "too_many_addresses",
            endpoint(json!({"addresses": (1..=101).map(|at| format!("10.88.1.{at}")).collect::<Vec<_>>()})),
        ),
        ("odd_node", endpoint(json!({"addresses": ["10.88.1.9"], "nodeName": "N 1"}))),
        ("odd_hostname", endpoint(json!({"addresses": ["10.88.1.9"], "hostname": "a.b"}))),
        ("port_0", ports(json!([{"port": 0}]))),
        ("port_70000", ports(json!([{"port": 70000}]))),
        ("same_port_name", ports(json!([{"port": 80}, {"port": 81}]))),
        ("odd_port_name", ports(json!([{"name": "Web_1", "port": 80}]))),
        ("odd_protocol", ports(json!([{"port": 80, "protocol": "ICMP"}]))),
        ("odd_app_protocol", ports(json!([{"port": 80, "appProtocol": "a b"}]))),
    ];
    let scenario = Scenario::new("slices_refused", "EndpointSlices that the server refuses");
    let scenario = cases
        .into_iter()
        .fold(scenario, |scenario, (label, body)| scenario.post(label, &at(SLICES, "?dryRun=All"), body));
    scenario
        .post("too_many", &at(SLICES, "?dryRun=All"), with(&slice("a", "10.88.1.9"), "/endpoints", many))
        .only(&["code", "reason", "message"])
}

fn endpoints() -> Scenario {
    let one = at(ENDPOINTS, "web");
    let subset = |ip: &str| json!([{"addresses": [{"ip": ip, "targetRef": {"kind": "Pod", "name": "web-1", "uid": "u"}}], "ports": [{"port": 8080}]}]);
    let full = |ip: &str| json!({"metadata": {"name": "web", "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}, "subsets": subset(ip)});
    Scenario::new("endpoints", "the older Endpoints API")
        .put("put_new", &one, full("10.88.1.9"))
        .put("put", &one, answer("put_new").with("/subsets", subset("10.88.1.10")))
        .put("put_stale", &one, answer("put_new"))
        .put("put_blind", &one, full("10.88.1.11"))
        .merge("empty", &one, json!({"subsets": null}))
        .post("loopback", &at(ENDPOINTS, "?dryRun=All"), with(&full("127.0.0.1"), "/metadata/name", "b"))
        .post("no_address", &at(ENDPOINTS, "?dryRun=All"), with(&full("web"), "/metadata/name", "b"))
        .post("odd_port", &at(ENDPOINTS, "?dryRun=All"), json!({"metadata": {"name": "b"}, "subsets": [{"addresses": [{"ip": "10.88.1.9"}], "ports": [{"port": 0}]}]}))
        .post("not_ready", ENDPOINTS, json!({"metadata": {"name": "c", "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}, "subsets": [{"notReadyAddresses": [{"ip": "10.88.1.9"}, {"ip": "10.88.1.8"}], "ports": [{"name": "b", "port": 81}, {"name": "a", "port": 80, "protocol": "UDP"}]}]}))
        .get("list", &at(ENDPOINTS, "?labelSelector=endpointslice.kubernetes.io/skip-mirror"))
        .delete("delete", &one)
}
