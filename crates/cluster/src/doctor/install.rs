//! hotstandby itself: the kind, the controller, and whether the two fit.

use super::{Finding, Known, Severity, Snapshot, known};
use crate::manifests::{DEFAULT_NAMESPACE, NAME};
use crate::objects::{At, name_of, namespace_of};
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::Value;
use std::collections::BTreeSet;

/// The CRD, and whether it has the fields that this version knows.
pub(super) fn crd(snapshot: &Snapshot) -> Known<Vec<Finding>> {
    let own = crate::api::crd();
    let at = At::new("CustomResourceDefinition", "", name_of(&own.metadata));
    let Some(found) = known(&snapshot.crd)? else {
        return Ok(vec![Finding {
            id: "CrdMissing",
            severity: Severity::Error,
            object: at,
            what: "the cluster does not know the kind ActiveStandby".to_owned(),
            why: "Without it no group can be made.",
            remedy: "hotstandby manifests --only crd | kubectl apply --server-side -f -".to_owned(),
        }]);
    };
    let (here, there) = (fields(&own), fields(found));
    let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| -> Vec<String> {
        one.difference(other).filter(|field| !other.is_empty() && parent_in(field, other)).cloned().collect()
    };
    let (missing, unknown) = (only(&here, &there), only(&there, &here));
    let mut findings = Vec::new();
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(String::as_str).collect();
        findings.push(Finding {
            id: "CrdOlder",
            severity: Severity::Error,
            object: at.clone(),
            what: format!("it lacks fields that this version has: {}", super::traffic::list(&names)),
            why: "The API server drops fields that the schema does not know, or refuses them: what you write there is not stored.",
            remedy: "hotstandby manifests --only crd | kubectl apply --server-side -f -".to_owned(),
        });
    }
    if !unknown.is_empty() {
        let names: Vec<_> = unknown.iter().map(String::as_str).collect();
        findings.push(Finding {
            id: "CrdNewer",
            severity: Severity::Warning,
            object: at,
            what: format!("it has fields that this version does not know: {}", super::traffic::list(&names)),
            why: "A controller of this version ignores them, so a group may do less than it says.",
            remedy: "use the hotstandby of the version that the CRD comes from".to_owned(),
        });
    }
    Ok(findings)
}

/// Whether what a field stands in is known: one finding for a block, not one for each field in it.
fn parent_in(field: &str, known: &BTreeSet<String>) -> bool {
    field.rsplit_once('.').is_none_or(|(parent, _)| known.contains(parent))
}

/// The paths of all fields of a CRD's schemas.
fn fields(
    crd: &k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for version in &crd.spec.versions {
        let schema =
            version.schema.as_ref().and_then(|schema| serde_json::to_value(&schema.open_api_v3_schema).ok());
        for part in ["spec", "status"] {
            if let Some(schema) =
                schema.as_ref().and_then(|schema| schema.pointer(&format!("/properties/{part}")))
            {
                all.insert(part.to_owned());
                walk(schema, part, &mut all);
            }
        }
    }
    all
}

fn walk(schema: &Value, path: &str, all: &mut BTreeSet<String>) {
    let items = schema.get("items").unwrap_or(schema);
    for (name, inner) in items.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = format!("{path}.{name}");
        walk(inner, &path, all);
        all.insert(path);
    }
}

/// The controller: there, ready, and of this version.
pub(super) fn controller(snapshot: &Snapshot) -> Known<Vec<Finding>> {
    let installs = known(&snapshot.installs)?;
    if installs.is_empty() {
        return Ok(vec![Finding {
            id: "ControllerMissing",
            severity: Severity::Error,
            object: At::new("Deployment", DEFAULT_NAMESPACE, NAME),
            what: "no Deployment of hotstandby was found".to_owned(),
            why: "Nothing fails over while no controller runs; traffic stays as it is.",
            remedy: "hotstandby manifests | kubectl apply --server-side -f - (nothing to do where it runs outside the cluster)"
                .to_owned(),
        }]);
    }
    Ok(installs.iter().flat_map(|install| one(snapshot, install)).collect())
}

fn one(snapshot: &Snapshot, install: &Deployment) -> Vec<Finding> {
    let at = At::of("Deployment", &install.metadata);
    let wanted = install.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let ready = install.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
    let mut findings = Vec::new();
    if ready < wanted || ready == 0 {
        findings.push(Finding {
            id: "ControllerNotReady",
            severity: if ready == 0 { Severity::Error } else { Severity::Warning },
            object: at.clone(),
            what: format!("{ready} of {wanted} replicas are ready"),
            why: "A replica is not ready while it lacks a right, an initial list or the API server; with none ready nothing fails over.",
            remedy: format!(
                "kubectl -n {} logs deploy/{}; /ready on its admin port lists what is missing",
                at.namespace, at.name
            ),
        });
    } else if wanted == 1 {
        findings.push(Finding {
            id: "ControllerAlone",
            severity: Severity::Warning,
            object: at.clone(),
            what: "only one replica is asked for".to_owned(),
            why: "If it dies together with an active, nothing fails over until Kubernetes has replaced it elsewhere.",
            remedy: format!("kubectl -n {} scale deployment {} --replicas=2", at.namespace, at.name),
        });
    }
    let images =
        install.spec.iter().flat_map(|spec| spec.template.spec.iter()).flat_map(|spec| &spec.containers);
    let tag = images.filter_map(|container| container.image.as_deref()).find_map(tag);
    if let Some(tag) = tag.filter(|tag| *tag != snapshot.version && is_version(tag)) {
        findings.push(Finding {
            id: "VersionSkew",
            severity: Severity::Warning,
            object: at.clone(),
            what: format!("it is of version {tag}, and this program of {}", snapshot.version),
            why: "What one of them knows the other may not: fields of the kind, annotations, rights.",
            remedy: "use the same version: hotstandby manifests prints the YAML of this one".to_owned(),
        });
    }
    let replicas = snapshot.replicas.as_deref().unwrap_or_default();
    let versions: BTreeSet<_> = replicas
        .iter()
        .filter(|pod| namespace_of(&pod.metadata) == at.namespace)
        .flat_map(|pod| pod.spec.iter().flat_map(|spec| &spec.containers))
        .filter_map(|container| container.image.as_deref())
        .collect();
    if versions.len() > 1 {
        let versions: Vec<_> = versions.into_iter().collect();
        findings.push(Finding {
            id: "ReplicasDiffer",
            severity: Severity::Warning,
            object: at,
            what: format!("its replicas run different images: {}", versions.join(", ")),
            why: "All replicas decide; two versions may decide differently. It is normal for a minute during an update.",
            remedy: "wait for the roll-out: kubectl rollout status".to_owned(),
        });
    }
    findings
}

fn tag(image: &str) -> Option<&str> {
    let last = image.rsplit('/').next()?;
    last.split('@').next()?.split_once(':').map(|(_, tag)| tag)
}

/// A tag that says a version; any other, such as `latest`, tells nothing.
fn is_version(tag: &str) -> bool {
    tag.trim_start_matches('v').split('.').take(2).all(|part| part.parse::<u32>().is_ok())
        && tag.contains('.')
}
