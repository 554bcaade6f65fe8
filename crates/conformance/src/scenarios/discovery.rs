//! Discovery: what clients read before they ask for objects. Only the kinds that the model has are compared.

use crate::script::{Body, Call, Scenario};
use http::Method;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
const GROUPS: &[&str] = &[
    "apps",
    "authorization.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "apiextensions.k8s.io",
];
const CORE: &[&str] = &["pods", "nodes", "namespaces", "services", "endpoints", "events", "configmaps"];
const CORE_AND_BELOW: &[&str] = &[
    "pods",
    "pods/status",
    "pods/eviction",
    "pods/binding",
    "nodes",
    "nodes/status",
    "namespaces",
    "namespaces/status",
    "namespaces/finalize",
    "services",
    "services/status",
    "endpoints",
    "events",
    "serviceaccounts",
    "configmaps",
];
const SUBRESOURCES: &[&str] = &["status", "eviction", "binding", "finalize", "scale"];
const APPS: &[&str] = &[
    "deployments",
    "deployments/status",
    "deployments/scale",
    "replicasets",
    "replicasets/status",
    "replicasets/scale",
    "statefulsets",
    "statefulsets/status",
    "statefulsets/scale",
];

pub(super) fn all() -> Vec<Scenario> {
    vec![legacy(), aggregated()]
}

fn legacy() -> Scenario {
    Scenario::new("discovery", "groups, versions and kinds, each with its own request")
        .get("versions", "/api")
        .only(&["kind", "versions"])
        .get("groups", "/apis")
        .few("/groups", "name", GROUPS)
        .get("core", "/api/v1")
        .few("/resources", "name", CORE_AND_BELOW)
        .get("apps", "/apis/apps/v1")
        .few("/resources", "name", APPS)
        .get("apps_group", "/apis/apps")
        .get("leases", "/apis/coordination.k8s.io/v1")
        .get("slices", "/apis/discovery.k8s.io/v1")
        .get("events", "/apis/events.k8s.io/v1")
        .get("crds", "/apis/apiextensions.k8s.io/v1")
        .get("reviews", "/apis/authorization.k8s.io/v1")
        .few("/resources", "name", &["selfsubjectaccessreviews"])
        .get("no_group", "/apis/doors.example.com")
        .get("no_version", "/apis/apps/v7")
        .get("no_core_version", "/api/v7")
        .get("no_path", "/doors")
        .get("version", "/version")
        .only(&["major", "minor"])
        .get("live", "/livez")
        .get("ready", "/readyz")
}

fn aggregated() -> Scenario {
    let get = |path: &str| Call::new(Method::GET, path, Body::None).accepting(AGGREGATED);
    let kinds = [
        CORE,
        &[
            "deployments",
            "replicasets",
            "statefulsets",
            "leases",
            "endpointslices",
            "customresourcedefinitions",
            "selfsubjectaccessreviews",
        ],
    ]
    .concat();
    Scenario::new("discovery_aggregated", "all groups in two requests")
        .call("core", get("/api"))
        .few("/items/*/versions/*/resources", "resource", CORE)
        .few("/items/*/versions/*/resources/*/subresources", "subresource", SUBRESOURCES)
        .call("groups", get("/apis"))
        .few("/items", "/metadata/name", GROUPS)
        .few("/items/*/versions", "version", &["v1"])
        .few("/items/*/versions/*/resources", "resource", &kinds)
}
