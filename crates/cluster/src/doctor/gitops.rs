//! Tools that apply a Service again without what hotstandby put into its selector.

use super::group::{annotated, views};
use super::{Finding, Known, Severity, Snapshot};
use crate::objects::{At, annotation, label, selector_of};
use k8s_openapi::api::core::v1::Service;

/// kubectl's own note of what was applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Argo CD's two ways to mark what it manages.
const ARGO_ID: &str = "argocd.argoproj.io/tracking-id";
const ARGO_LABEL: &str = "app.kubernetes.io/instance";
/// Flux' marks.
const FLUX_KUSTOMIZE: &str = "kustomize.toolkit.fluxcd.io/name";
const FLUX_HELM: &str = "helm.toolkit.fluxcd.io/name";

/// Services whose selector hotstandby writes, and somebody else may write back.
pub(super) fn check(snapshot: &Snapshot) -> Known<Vec<Finding>> {
    let mut written: Vec<&Service> = annotated(snapshot).map(|(service, _)| service).collect();
    for view in views(snapshot)? {
        written.extend(view.existing().filter(|service| {
            let name = service.metadata.name.as_deref().unwrap_or_default();
            view.points(name) && !selector_of(service).is_empty()
        }));
    }
    Ok(written.into_iter().filter_map(|service| finding(snapshot, service)).collect())
}

fn finding(snapshot: &Snapshot, service: &Service) -> Option<Finding> {
    let meta = &service.metadata;
    let (severity, who, remedy) = if let Some(manager) = applier(service) {
        (
            Severity::Warning,
            format!("{manager} owns spec.selector by server-side apply"),
            remedy_for(&manager),
        )
    } else if label(meta, FLUX_KUSTOMIZE).is_some() {
        (
            Severity::Warning,
            "Flux applies it at each interval (label kustomize.toolkit.fluxcd.io/name)".to_owned(),
            remedy_for("flux"),
        )
    } else if annotation(meta, ARGO_ID).is_some() {
        (
            Severity::Warning,
            "Argo CD manages it (annotation argocd.argoproj.io/tracking-id)".to_owned(),
            remedy_for("argocd"),
        )
    } else if label(meta, ARGO_LABEL).is_some() && snapshot.argo.as_ref().is_ok_and(|argo| *argo) {
        let who = "Argo CD is installed, and may manage it (label app.kubernetes.io/instance)".to_owned();
        (Severity::Warning, who, remedy_for("argocd"))
    } else if label(meta, FLUX_HELM).is_some() {
        (
            Severity::Warning,
            "Flux' Helm controller manages it (label helm.toolkit.fluxcd.io/name)".to_owned(),
            remedy_for("helm"),
        )
    } else if annotation(meta, LAST_APPLIED).is_some() {
        (Severity::Info, "kubectl apply made it".to_owned(), remedy_for("kubectl"))
    } else {
        return None;
    };
    Some(Finding {
        id: "SelectorMayBeReverted",
        severity,
        object: At::of("Service", meta),
        what: format!("hotstandby writes its selector, and {who}"),
        why: "spec.selector is one field to server-side apply: whoever applies the Service takes the keys of others out, and until \
              hotstandby has repaired it traffic goes to all pods.",
        remedy,
    })
}

/// Who applies the selector by server-side apply, from the server's own books.
fn applier(service: &Service) -> Option<String> {
    let all = service.metadata.managed_fields.iter().flatten();
    let mut owners = all.filter(|entry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        entry.operation.as_deref() == Some("Apply")
            && fields.is_some_and(|fields| fields.pointer("/f:spec/f:selector").is_some())
    });
    let manager = owners.find_map(|entry| entry.manager.clone())?;
    (!manager.starts_with("hotstandby")).then_some(manager)
}

fn remedy_for(tool: &str) -> String {
    let tool = tool.to_ascii_lowercase();
    if tool.contains("argo") {
        "let Argo CD ignore it: ignoreDifferences on /spec/selector of the Service, and syncOptions \
         RespectIgnoreDifferences=true (docs/gitops.md)"
    } else if tool.contains("helm") {
        "where drift detection is on, add /spec/selector of the Service to its ignore rules (docs/gitops.md)"
    } else if tool.contains("flux") || tool.contains("kustomize") {
        "give the Service the annotation kustomize.toolkit.fluxcd.io/ssa: IfNotPresent, or lead it by role labels or a Service \
         without selector instead (docs/gitops.md)"
    } else {
        "plain kubectl apply keeps keys that it did not set; do not use --server-side --force-conflicts, replace or edit on it, or \
         lead a Service without selector instead (docs/gitops.md)"
    }
    .to_owned()
}
