//! What clients read before they ask for objects: versions, groups, kinds, health, and a minimal `OpenAPI`.

use crate::kinds::{Kind, Subresource};
use crate::message::{Answer, Reply, Request};
use crate::server::ApiServer;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The version the model follows.
const GIT_VERSION: &str = "v1.35.4";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

pub(crate) fn answer(server: &ApiServer, parts: &[String], request: &Request) -> Reply {
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let aggregated = request.accept.split(',').any(|media| {
        media.contains("as=APIGroupDiscoveryList") && media.contains("v=v2;") | media.ends_with("v=v2")
    });
    match parts.as_slice() {
        ["version"] => Reply::ok(version()),
        ["healthz" | "livez" | "readyz"] => Reply::Text { code: 200, body: "ok".to_owned() },
        ["api"] if aggregated => in_v2(&groups_in_v2(server, true)),
        ["apis"] if aggregated => in_v2(&groups_in_v2(server, false)),
        ["api"] => {
            Reply::ok(json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}))
        }
        ["apis"] => Reply::ok(group_list(server)),
        ["api", "v1"] => resources(server, "", "v1"),
        ["apis", group] => one_group(server, group),
        ["apis", group, version] => resources(server, group, version),
        ["api", _] => crate::failure::Failure::no_resource().into(),
        ["openapi", "v3"] => Reply::ok(openapi_index(server)),
        ["openapi", "v3", "api", version] => openapi(server, "", version),
        ["openapi", "v3", "apis", group, version] => openapi(server, group, version),
        _ => nothing(),
    }
}

fn nothing() -> Reply {
    Reply::Text { code: 404, body: "404 page not found\n".to_owned() }
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "35", "gitVersion": GIT_VERSION, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z", "goVersion": "go1.25.0", "compiler": "gc", "platform": "linux/amd64",
    })
}

fn in_v2(groups: &[Value]) -> Reply {
    let list = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": groups,
    });
    Reply::Json(Answer { content_type: AGGREGATED, ..Answer::new(200, list) })
}

/// The order in which groups are told: these, then all others.
const ORDER: [&str; 6] = [
    "apps",
    "events.k8s.io",
    "authorization.k8s.io",
    "apiextensions.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
];

fn place(group: &str) -> (usize, &str) {
    (ORDER.iter().position(|known| *known == group).unwrap_or(ORDER.len()), group)
}

/// By name, as they are told.
fn sorted(kinds: &[Arc<Kind>]) -> Vec<&Arc<Kind>> {
    let mut kinds: Vec<&Arc<Kind>> = kinds.iter().collect();
    kinds.sort_by(|one, other| one.plural.cmp(&other.plural));
    kinds
}

fn subresources(kind: &Kind) -> Vec<Subresource> {
    let mut listed = kind.subresources.clone();
    listed.sort_by_key(|sub| sub.as_str());
    listed
}

fn groups_in_v2(server: &ApiServer, core: bool) -> Vec<Value> {
    let mut groups: BTreeMap<(usize, &str), Vec<Value>> = BTreeMap::new();
    for (group, version, kinds) in server.kinds.versions().filter(|(group, ..)| group.is_empty() == core) {
        let resources: Vec<Value> = sorted(kinds).into_iter().map(|kind| resource_in_v2(kind)).collect();
        let version = json!({"version": version, "resources": resources, "freshness": "Current"});
        groups.entry(place(group)).or_default().push(version);
    }
    let item = |((_, name), versions)| {
        // The core group has no name, and no name is shown as none.
        let metadata = if core { json!({}) } else { json!({"name": name}) };
        json!({"metadata": metadata, "versions": versions})
    };
    groups.into_iter().map(item).collect()
}

fn resource_in_v2(kind: &Kind) -> Value {
    let subresources: Vec<Value> = subresources(kind)
        .into_iter()
        .map(|sub| {
            json!({
                "subresource": sub.as_str(), "verbs": sub_verbs(sub), "responseKind": sub_gvk(sub, kind),
            })
        })
        .collect();
    let mut resource = json!({
        "resource": kind.plural, "singularResource": kind.singular, "verbs": kind.verbs(),
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" }, "responseKind": own_gvk(kind, &kind.kind),
        "shortNames": kind.short_names, "categories": kind.categories, "subresources": subresources,
    });
    if let Some(map) = resource.as_object_mut() {
        map.retain(|_, value| !crate::json::is_empty(value));
    }
    resource
}

fn sub_verbs(sub: Subresource) -> &'static [&'static str] {
    match sub {
        Subresource::Eviction | Subresource::Binding => &["create"],
        Subresource::Finalize => &["update"],
        Subresource::Status | Subresource::Scale => &["get", "patch", "update"],
    }
}

/// Evictions and scales are kinds of other groups.
fn sub_gvk(sub: Subresource, kind: &Kind) -> Value {
    let (group, version) = match sub {
        Subresource::Eviction => ("policy", "v1"),
        Subresource::Scale => ("autoscaling", "v1"),
        _ => return own_gvk(kind, sub_kind(sub, kind)),
    };
    json!({"group": group, "version": version, "kind": sub_kind(sub, kind)})
}

/// A built-in kind's own group and version go without saying.
fn own_gvk(kind: &Kind, name: &str) -> Value {
    let (group, version) = if kind.is_custom() { (&*kind.group, &*kind.version) } else { ("", "") };
    json!({"group": group, "version": version, "kind": name})
}

/// By what clients tell whether two paths lead to the same objects.
fn storage_hash(kind: &Kind) -> String {
    // Both APIs of events show the same objects.
    let group = if kind.is("events") { "" } else { &*kind.group };
    // CRDs are stored in an older version.
    let version = if kind.is("customresourcedefinitions") { "v1beta1" } else { &*kind.version };
    let hash = Sha256::digest(format!("{group}/{version}/{}", kind.kind));
    BASE64_STANDARD.encode(hash.get(..8).unwrap_or_default())
}

fn sub_kind(sub: Subresource, kind: &Kind) -> &str {
    match sub {
        Subresource::Eviction => "Eviction",
        Subresource::Binding => "Binding",
        Subresource::Scale => "Scale",
        Subresource::Status | Subresource::Finalize => &kind.kind,
    }
}

fn group(server: &ApiServer, name: &str) -> Option<Value> {
    let versions: Vec<Value> = server
        .kinds
        .versions()
        .filter(|(group, ..)| *group == name)
        .map(|(group, version, _)| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
        .collect();
    let preferred = versions.first()?.clone();
    Some(json!({"name": name, "versions": versions, "preferredVersion": preferred}))
}

fn group_list(server: &ApiServer) -> Value {
    let mut names: Vec<&str> =
        server.kinds.versions().map(|(group, ..)| group).filter(|name| !name.is_empty()).collect();
    names.dedup();
    names.sort_by_key(|name| place(name));
    let groups: Vec<Value> = names.into_iter().filter_map(|name| group(server, name)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

fn one_group(server: &ApiServer, name: &str) -> Reply {
    let Some(mut group) = group(server, name) else { return nothing() };
    crate::json::put(&mut group, &["kind"], "APIGroup");
    crate::json::put(&mut group, &["apiVersion"], "v1");
    Reply::ok(group)
}

fn kinds_of<'a>(server: &'a ApiServer, group: &str, version: &str) -> Option<&'a [Arc<Kind>]> {
    server.kinds.versions().find(|(of, at, _)| *of == group && *at == version).map(|(_, _, kinds)| kinds)
}

fn resources(server: &ApiServer, group: &str, version: &str) -> Reply {
    let Some(kinds) = kinds_of(server, group, version) else {
        let known = server
            .kinds
            .versions()
            .any(|(of, _, kinds)| of == group && kinds.iter().any(|kind| !kind.is_custom()));
        return if known { crate::failure::Failure::no_resource().into() } else { nothing() };
    };
    let mut listed = Vec::new();
    for kind in sorted(kinds) {
        let mut resource = json!({
            "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.kind,
            "verbs": kind.verbs(), "shortNames": kind.short_names, "categories": kind.categories,
        });
        if !kind.create_only {
            crate::json::put(&mut resource, &["storageVersionHash"], storage_hash(kind));
        }
        if let Some(map) = resource.as_object_mut() {
            map.retain(|_, value| !crate::json::is_empty(value));
        }
        listed.push(resource);
        for sub in subresources(kind) {
            let mut resource = json!({
                "name": format!("{}/{}", kind.plural, sub.as_str()), "singularName": "",
                "namespaced": kind.namespaced, "kind": sub_kind(sub, kind), "verbs": sub_verbs(sub),
            });
            // `kubectl drain` looks here for a group before it evicts.
            if matches!(sub, Subresource::Eviction | Subresource::Scale) {
                let gvk = sub_gvk(sub, kind);
                for field in ["group", "version"] {
                    crate::json::put(&mut resource, &[field], crate::json::at(&gvk, &[field]).clone());
                }
            }
            listed.push(resource);
        }
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut list = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": listed});
    if !group.is_empty() {
        crate::json::put(&mut list, &["apiVersion"], "v1");
    }
    Reply::ok(list)
}

fn openapi_index(server: &ApiServer) -> Value {
    let mut paths = json!({});
    for (group, version, _) in server.kinds.versions() {
        let path =
            if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
        // The hash lets clients keep what they read; ours changes with nothing but the list of kinds.
        let url = format!("/openapi/v3/{path}?hash={}", server.kinds.all().count());
        crate::json::put(&mut paths, &[&path], json!({"serverRelativeURL": url}));
    }
    json!({"paths": paths})
}

/// As much as `kubectl` looks for: that PATCH takes `fieldValidation`, so that it leaves validation to the server.
fn openapi(server: &ApiServer, group: &str, version: &str) -> Reply {
    let Some(kinds) = kinds_of(server, group, version) else { return nothing() };
    let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    let mut paths = json!({});
    for kind in kinds.iter().filter(|kind| !kind.create_only) {
        let middle = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
        let path = format!("{root}{middle}/{}/{{name}}", kind.plural);
        let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
        let parameters = ["dryRun", "fieldManager", "fieldValidation", "force"].map(parameter);
        let operation = json!({
            "operationId": format!("patch{}", kind.kind), "x-kubernetes-action": "patch",
            "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind.kind},
            "parameters": parameters,
            "responses": {"200": {"description": "OK"}},
        });
        crate::json::put(&mut paths, &[&path, "patch"], operation);
    }
    Reply::ok(json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": GIT_VERSION}, "paths": paths,
        "components": {"schemas": {}},
    }))
}
