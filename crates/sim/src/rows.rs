//! The built-in kinds, all of version v1: one row each.

use crate::failure::qualified;
use crate::kinds::{Kind, Subresource, Ways};
use crate::table::columns;
use crate::typed::{self, Typed};

const CREATES: Ways = Ways {
    create_on_update: true,
    unconditional_update: false,
    returns_deleted: false,
    generation: false,
    graceful: false,
};
const PLAIN: Ways = Ways { create_on_update: false, unconditional_update: true, ..CREATES };
const BOTH: Ways = Ways { unconditional_update: true, ..CREATES };
const RETURNED: Ways = Ways { returns_deleted: true, ..PLAIN };
const COUNTED: Ways = Ways { generation: true, ..PLAIN };
const POD: Ways = Ways { returns_deleted: true, graceful: true, ..COUNTED };
const SERVICE: Ways = Ways { returns_deleted: true, ..BOTH };
/// Of kinds made by a CRD, and of CRDs.
pub(crate) const CUSTOM: Ways = Ways { create_on_update: false, generation: true, ..CREATES };

struct Row {
    group: &'static str,
    plural: &'static str,
    kind: &'static str,
    short: &'static [&'static str],
    /// Whether `kubectl get all` shows it.
    in_all: bool,
    namespaced: bool,
    subresources: &'static [Subresource],
    ways: Ways,
    create_only: bool,
    typed: Typed,
}

/// A namespaced kind without subresources.
const fn row(group: &'static str, plural: &'static str, kind: &'static str, typed: Typed) -> Row {
    let (short, subresources): (&[&str], &[Subresource]) = (&[], &[]);
    Row {
        group,
        plural,
        kind,
        short,
        in_all: false,
        namespaced: true,
        subresources,
        ways: PLAIN,
        create_only: false,
        typed,
    }
}

const STATUS: &[Subresource] = &[Subresource::Status];
const SCALED: &[Subresource] = &[Subresource::Status, Subresource::Scale];
const OF_PODS: &[Subresource] = &[Subresource::Status, Subresource::Eviction, Subresource::Binding];
const OF_NAMESPACES: &[Subresource] = &[Subresource::Status, Subresource::Finalize];

/// A workload.
const fn app(plural: &'static str, kind: &'static str, typed: Typed) -> Row {
    Row { in_all: true, subresources: SCALED, ways: COUNTED, ..row("apps", plural, kind, typed) }
}

const ROWS: [Row; 16] = [
    Row {
        short: &["po"],
        in_all: true,
        subresources: OF_PODS,
        ways: POD,
        ..row("", "pods", "Pod", typed::POD)
    },
    Row { short: &["no"], namespaced: false, subresources: STATUS, ..row("", "nodes", "Node", typed::NODE) },
    Row {
        short: &["ns"],
        namespaced: false,
        subresources: OF_NAMESPACES,
        ways: RETURNED,
        ..row("", "namespaces", "Namespace", typed::NAMESPACE)
    },
    Row {
        short: &["svc"],
        in_all: true,
        subresources: STATUS,
        ways: SERVICE,
        ..row("", "services", "Service", typed::SERVICE)
    },
    Row { short: &["ep"], ways: BOTH, ..row("", "endpoints", "Endpoints", typed::ENDPOINTS) },
    Row { short: &["ev"], ways: BOTH, ..row("", "events", "Event", typed::EVENT) },
    Row { short: &["ev"], ways: BOTH, ..row("events.k8s.io", "events", "Event", typed::NEW_EVENT) },
    Row {
        short: &["sa"],
        ways: RETURNED,
        ..row("", "serviceaccounts", "ServiceAccount", typed::SERVICE_ACCOUNT)
    },
    Row { short: &["cm"], ..row("", "configmaps", "ConfigMap", typed::CONFIG_MAP) },
    Row {
        ways: COUNTED,
        ..row("discovery.k8s.io", "endpointslices", "EndpointSlice", typed::ENDPOINT_SLICE)
    },
    Row { ways: CREATES, ..row("coordination.k8s.io", "leases", "Lease", typed::LEASE) },
    Row { short: &["deploy"], ..app("deployments", "Deployment", typed::DEPLOYMENT) },
    Row { short: &["rs"], ..app("replicasets", "ReplicaSet", typed::REPLICA_SET) },
    Row { short: &["sts"], ..app("statefulsets", "StatefulSet", typed::STATEFUL_SET) },
    Row {
        short: &["crd", "crds"],
        namespaced: false,
        subresources: STATUS,
        ways: CUSTOM,
        ..row("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition", typed::CRD)
    },
    Row {
        namespaced: false,
        create_only: true,
        ..row(
            "authorization.k8s.io",
            "selfsubjectaccessreviews",
            "SelfSubjectAccessReview",
            typed::ACCESS_REVIEW,
        )
    },
];

/// The built-in kinds.
pub(crate) fn kinds() -> impl Iterator<Item = Kind> {
    ROWS.iter().map(kind)
}

fn kind(row: &Row) -> Kind {
    let Row { group, plural, kind, short, in_all, namespaced, subresources, ways, create_only, typed } = *row;
    // Both APIs of events show the same objects.
    let storage = if plural == "events" { plural.to_owned() } else { qualified(plural, group) };
    Kind {
        group: group.into(),
        version: "v1".into(),
        plural: plural.into(),
        singular: kind.to_lowercase().into(),
        kind: kind.into(),
        list_kind: format!("{kind}List").into(),
        short_names: short.iter().map(|name| (*name).into()).collect(),
        categories: match plural {
            "customresourcedefinitions" => vec!["api-extensions".into()],
            _ if in_all => vec!["all".into()],
            _ => Vec::new(),
        },
        namespaced,
        subresources: subresources.to_vec(),
        ways,
        typed: Some(typed),
        custom: None,
        columns: columns(plural),
        storage: storage.as_str().into(),
        create_only,
    }
}
