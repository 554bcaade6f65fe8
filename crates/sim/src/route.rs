//! From a path to what is meant.

use crate::kinds::{Kind, Kinds, Subresource};
use std::sync::Arc;

/// What a path names.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    /// `/version`, `/readyz`, `/api`, `/apis`, `/openapi/…` and the like.
    Other(Vec<String>),
    /// Objects.
    Objects(Target),
    /// No kind of a built-in group.
    Unknown,
    /// Nothing.
    Nowhere,
}

/// A kind's objects, or one of them.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) kind: Arc<Kind>,
    /// Empty: all namespaces, or the kind has none.
    pub(crate) namespace: String,
    /// Empty: the whole collection.
    pub(crate) name: String,
    pub(crate) subresource: Option<Subresource>,
    /// The deprecated `/watch/` prefix.
    pub(crate) watch: bool,
}

pub(crate) fn route(kinds: &Kinds, path: &str) -> Route {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        other => return Route::Other(other.iter().map(|part| (*part).to_owned()).collect()),
    };
    let (watch, rest) = match rest {
        ["watch", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    match target(kinds, group, version, rest) {
        Some(target) => Route::Objects(Target { watch, ..target }),
        None if kinds.has_built_in(group, version) => Route::Unknown,
        None => Route::Nowhere,
    }
}

fn target(kinds: &Kinds, group: &str, version: &str, rest: &[&str]) -> Option<Target> {
    let (namespace, plural, name, sub) = match rest {
        // A namespace is an object itself, with subresources of its own.
        ["namespaces"] => ("", "namespaces", "", ""),
        ["namespaces", name] => ("", "namespaces", *name, ""),
        ["namespaces", name, sub @ ("status" | "finalize")] => ("", "namespaces", *name, *sub),
        ["namespaces", namespace, plural] => (*namespace, *plural, "", ""),
        ["namespaces", namespace, plural, name] => (*namespace, *plural, *name, ""),
        ["namespaces", namespace, plural, name, sub] => (*namespace, *plural, *name, *sub),
        [plural] => ("", *plural, "", ""),
        [plural, name] => ("", *plural, *name, ""),
        [plural, name, sub] => ("", *plural, *name, *sub),
        _ => return None,
    };
    let kind = kinds.find(group, version, plural)?;
    // One object of a namespaced kind has its namespace in the path, one of a cluster-wide kind never has.
    let over_all = kind.namespaced && name.is_empty();
    if kind.namespaced == namespace.is_empty() && !over_all {
        return None;
    }
    let subresource = if sub.is_empty() { None } else { Some(kind.subresource(sub)?) };
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    Some(Target { kind, namespace, name, subresource, watch: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> String {
        match route(&Kinds::built_in(), path) {
            Route::Other(parts) => format!("other {}", parts.join(" ")),
            Route::Objects(target) => format!(
                "{} [{}] [{}] {:?}",
                target.kind.qualified(),
                target.namespace,
                target.name,
                target.subresource
            ),
            Route::Unknown => "unknown".to_owned(),
            Route::Nowhere => "nowhere".to_owned(),
        }
    }

    #[test]
    fn a_path_means_one_thing() {
        assert_eq!(read("/api/v1/namespaces/shop/pods/a/status"), "pods [shop] [a] Some(Status)");
        assert_eq!(read("/api/v1/namespaces/shop/status"), "namespaces [] [shop] Some(Status)");
        assert_eq!(read("/apis/coordination.k8s.io/v1/leases"), "leases.coordination.k8s.io [] [] None");
        assert_eq!(read("/api/v1/nodes/n1"), "nodes [] [n1] None");
        assert_eq!(read("/apis/apps/v1"), "other apis apps v1");
        for path in
            ["/api/v1/pods/a", "/api/v1/namespaces/shop/nodes/n", "/api/v1/doors", "/api/v1/nodes/n/eviction"]
        {
            assert_eq!(read(path), "unknown", "{path}");
        }
        assert_eq!(read("/apis/example.com/v1/doors"), "nowhere");
    }
}
