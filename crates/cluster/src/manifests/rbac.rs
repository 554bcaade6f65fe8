//! Roles and bindings, from the table of rights.

use super::rights::{self, Grant, Right, Scope};
use super::{Install, NAME, labels};
use serde_json::{Value, json};

const RBAC: &str = "rbac.authorization.k8s.io";

/// The objects that give the controller its rights.
pub(super) fn objects(install: &Install) -> Vec<Value> {
    let mut objects = Vec::new();
    if install.watched.is_empty() {
        let rights: Vec<_> = rights::of(Scope::Watched).chain(rights::of(Scope::Cluster)).collect();
        objects.push(role("ClusterRole", NAME, None, &rights));
        objects.push(binding("ClusterRoleBinding", "ClusterRole", NAME, None, &install.namespace));
    }
    for namespace in &install.watched {
        let rights: Vec<_> = rights::of(Scope::Watched).collect();
        objects.push(role("Role", NAME, Some(namespace), &rights));
        objects.push(binding("RoleBinding", "Role", NAME, Some(namespace), &install.namespace));
    }
    let own = format!("{NAME}-own");
    objects.push(role("Role", &own, Some(&install.namespace), &rights::of(Scope::Own).collect::<Vec<_>>()));
    objects.push(binding("RoleBinding", "Role", &own, Some(&install.namespace), &install.namespace));
    if install.watched.is_empty() {
        objects.extend(for_users());
    }
    objects
}

/// The objects that give the controller rights beyond the default ones.
pub(super) fn grant(install: &Install, grant: Grant) -> Vec<Value> {
    let name = format!("{NAME}-{}", grant.as_str());
    let rights: Vec<_> = grant.rights().iter().collect();
    if install.watched.is_empty() {
        let binding = binding("ClusterRoleBinding", "ClusterRole", &name, None, &install.namespace);
        return vec![role("ClusterRole", &name, None, &rights), binding];
    }
    let of = |namespace: &String| {
        let binding = binding("RoleBinding", "Role", &name, Some(namespace), &install.namespace);
        [role("Role", &name, Some(namespace), &rights), binding]
    };
    install.watched.iter().flat_map(of).collect()
}

fn role(kind: &str, name: &str, namespace: Option<&str>, rights: &[&Right]) -> Value {
    let rules: Vec<_> = rights
        .iter()
        .map(|right| json!({"apiGroups": [right.api_group], "resources": [right.resource], "verbs": right.verbs}))
        .collect();
    json!({"apiVersion": format!("{RBAC}/v1"), "kind": kind, "metadata": metadata(name, namespace), "rules": rules})
}

fn binding(kind: &str, role_kind: &str, name: &str, namespace: Option<&str>, subject: &str) -> Value {
    json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": kind,
        "metadata": metadata(name, namespace),
        "roleRef": {"apiGroup": RBAC, "kind": role_kind, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": subject}],
    })
}

fn metadata(name: &str, namespace: Option<&str>) -> Value {
    let mut metadata = json!({"name": name, "labels": labels()});
    if let (Some(map), Some(namespace)) = (metadata.as_object_mut(), namespace) {
        map.insert("namespace".into(), namespace.into());
    }
    metadata
}

/// Whoever may view or edit a namespace may view or edit its groups: roles that add themselves to the
/// built-in ones. The CLI needs no more than these.
fn for_users() -> [Value; 2] {
    let aggregated = |name: &str, into: &[&str], verbs: &[&str]| {
        let mut labels = labels();
        for role in into {
            if let Some(map) = labels.as_object_mut() {
                map.insert(format!("{RBAC}/aggregate-to-{role}"), "true".into());
            }
        }
        json!({
            "apiVersion": format!("{RBAC}/v1"),
            "kind": "ClusterRole",
            "metadata": {"name": name, "labels": labels},
            "rules": [{"apiGroups": ["hotstandby.dev"], "resources": ["activestandbies"], "verbs": verbs}],
        })
    };
    [
        aggregated("hotstandby-view", &["view", "edit", "admin"], &["get", "list", "watch"]),
        aggregated(
            "hotstandby-edit",
            &["edit", "admin"],
            &["create", "update", "patch", "delete", "deletecollection"],
        ),
    ]
}
