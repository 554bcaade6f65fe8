//! Tables, which `kubectl get` prints.

use super::{
    CONFIG_MAPS, ENDPOINTS, LEASES, PODS, SERVICES, SLICES, at, config_map, lease, pod, service, slice,
    waiting_pod,
};
use crate::script::{Scenario, Until};
use serde_json::{Value, json};

pub(super) fn all() -> Vec<Scenario> {
    vec![pods(), others(), watched()]
}

fn statuses(state: &Value, ready: bool) -> Value {
    json!({"status": {"containerStatuses": [{"name": "a", "image": "x:1", "imageID": "", "ready": ready, "restartCount": 2, "state": state}]}})
}

fn pods() -> Scenario {
    let status = |name: &str| at(PODS, &format!("{name}/status"));
    Scenario::new("table_pods", "pods as kubectl prints them")
        .post("make_a", PODS, pod("a"))
        .post("make_b", PODS, pod("b"))
        .post("make_c", PODS, pod("c"))
        .post("make_d", PODS, waiting_pod("d"))
        .merge("a_runs", &status("a"), json!({"status": {
            "phase": "Running", "podIP": "10.88.1.9", "podIPs": [{"ip": "10.88.1.9"}], "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "a", "image": "x:1", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {"startedAt": "2020-01-02T03:04:05Z"}}}],
        }}))
        .merge("b_crashes", &status("b"), statuses(&json!({"waiting": {"reason": "CrashLoopBackOff"}}), false))
        .merge("c_ended", &status("c"), statuses(&json!({"terminated": {"exitCode": 3}}), false))
        .delete("c_goes", &at(PODS, "c"))
        .table("table", PODS)
        .table("one", &at(PODS, "a"))
        .table("with_objects", &at(PODS, "?includeObject=Object&fieldSelector=metadata.name%3Dd"))
        .table("without_objects", &at(PODS, "?includeObject=None&fieldSelector=metadata.name%3Dd"))
        .table("empty", &at(PODS, "?fieldSelector=metadata.name%3Dz"))
        .table("missing", &at(PODS, "z"))
        .table("page", &at(PODS, "?limit=1"))
}

fn others() -> Scenario {
    Scenario::new("table_others", "other kinds as kubectl prints them")
        .post("make_lease", LEASES, lease("a", "web-1"))
        .post("make_free_lease", LEASES, json!({"metadata": {"name": "b"}}))
        .post("make_slice", SLICES, slice("a", "10.88.1.9"))
        .post("make_wide_slice", SLICES, json!({"metadata": {"name": "b"}, "addressType": "IPv4", "endpoints": (1..6).map(|at| json!({"addresses": [format!("10.88.1.{at}")]})).collect::<Vec<_>>(), "ports": (1..6).map(|at| json!({"port": at, "name": format!("p{at}")})).collect::<Vec<_>>()}))
        .post("make_empty_slice", SLICES, json!({"metadata": {"name": "c"}, "addressType": "IPv4", "endpoints": [], "ports": []}))
        .post("make_service", SERVICES, service("a"))
        .post("make_headless", SERVICES, json!({"metadata": {"name": "b"}, "spec": {"clusterIP": "None", "ports": [{"name": "a", "port": 80}, {"name": "b", "port": 53, "protocol": "UDP"}]}}))
        .post("make_external", SERVICES, json!({"metadata": {"name": "c"}, "spec": {"type": "ExternalName", "externalName": "x.example.com"}}))
        .put("make_endpoints", &at(ENDPOINTS, "x"), json!({"metadata": {"name": "x"}, "subsets": [{"addresses": [{"ip": "10.88.1.9"}, {"ip": "10.88.1.8"}], "ports": [{"port": 80}]}]}))
        .post("make_config", CONFIG_MAPS, config_map("a"))
        .table("leases", LEASES)
        .table("slices", SLICES)
        .table("services", SERVICES)
        .table("endpoints", ENDPOINTS)
        .table("config_maps", &at(CONFIG_MAPS, "?labelSelector=of%3Dsuite"))
        .table("namespace", "/api/v1/namespaces/{ns}")
        .table("accounts", "/api/v1/namespaces/{ns}/serviceaccounts")
        .table("no_events", "/api/v1/namespaces/{ns}/events")
        .table("no_replica_sets", "/apis/apps/v1/namespaces/{ns}/replicasets")
        .table("no_stateful_sets", "/apis/apps/v1/namespaces/{ns}/statefulsets")
        .table("no_nodes", "/api/v1/nodes?labelSelector=none%3Dsuch")
}

fn watched() -> Scenario {
    Scenario::new("table_watched", "a watch of Tables: the columns come once, then only rows")
        .post("make_a", LEASES, lease("a", "one"))
        .watch_table("watch", &at(LEASES, "?watch=1&resourceVersion={make_a:/metadata/resourceVersion}"))
        .post("make_b", LEASES, lease("b", "two"))
        .delete("delete_a", &at(LEASES, "a"))
        .read("events", "watch", Until::Count(2))
        .watch_table(
            "streamed",
            &at(
                LEASES,
                "?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
            ),
        )
        .read("streamed_events", "streamed", Until::Count(2))
}
