//! What old systems leave behind, and old systems that still run.

use super::group::{annotated, designated, views};
use super::traffic::list;
use super::{Finding, Known, Severity, Snapshot};
use crate::import::{Import, OldController, System};
use crate::names::{
    MODE, POD_DESIGNATION as DESIGNATION, POD_DESIGNATION_ACTIVE as DESIGNATED, SERVICE_MODE,
};
use crate::objects::{At, annotation, label, name_of, namespace_of, selector_of};

/// The active's label on more than one pod.
pub(super) fn stale_labels(snapshot: &Snapshot) -> Known<Vec<Finding>> {
    const WHY: &str = "Services select by label, so every pod that carries it gets traffic; the old controllers never take it \
                       from a pod that comes back.";
    let mut findings = Vec::new();
    for (service, selector) in annotated(snapshot) {
        let pods = designated(snapshot, namespace_of(&service.metadata), &selector);
        if pods.len() > 1 {
            findings.push(Finding {
                id: "DesignatedTwice",
                severity: Severity::Error,
                object: At::of("Service", &service.metadata),
                what: format!("{DESIGNATION}={DESIGNATED} is on {}", list(&pods)),
                why: WHY,
                remedy: "let hotstandby run with --with selector-pointer: it takes the label from all but the active; and stop the \
                         old controller"
                    .to_owned(),
            });
        }
    }
    for view in views(snapshot)? {
        let Some((key, active)) = view.role() else { continue };
        let pods: Vec<_> = view
            .members
            .iter()
            .filter(|pod| label(&pod.metadata, key) == Some(active))
            .map(|pod| name_of(&pod.metadata))
            .collect();
        if pods.len() > 1 {
            findings.push(Finding {
                id: "RoleLabelTwice",
                severity: Severity::Error,
                object: view.at.clone(),
                what: format!("{key}={active} is on {}", list(&pods)),
                why: WHY,
                remedy: "hotstandby repairs this at once where it runs and has --with role-labels; if it stays, somebody writes the \
                         label back: kubectl get pod NAME -o yaml --show-managed-fields"
                    .to_owned(),
            });
        }
    }
    Ok(findings)
}

/// Old controllers that run.
pub(super) fn old_controllers(snapshot: &Snapshot) -> Known<Vec<Finding>> {
    for kind in ["deployments", "replicasets", "statefulsets"] {
        snapshot.needs(kind)?;
    }
    let all = Import::of(&snapshot.objects).old_controllers;
    let running: Vec<_> = all.into_iter().filter(|old| old.replicas != Some(0)).collect();
    let mut findings: Vec<_> = running.iter().map(|old| still_running(snapshot, old)).collect();
    let of_a: Vec<_> = running.iter().filter(|old| old.system == System::AnnotatedService).collect();
    let replicas: i32 = of_a.iter().map(|old| old.replicas.unwrap_or(1)).sum();
    if let (Some(first), true) = (of_a.first(), replicas > 1) {
        findings.push(Finding {
            id: "OldControllersFight",
            severity: Severity::Error,
            object: first.at.clone(),
            what: format!("{replicas} replicas of the old controller run"),
            why: "It has no lock between its replicas: each elects for itself, and labels another pod.",
            remedy: "scale all but one to 0, or all of them once hotstandby serves".to_owned(),
        });
    }
    Ok(findings)
}

fn still_running(snapshot: &Snapshot, old: &OldController) -> Finding {
    let has_groups = snapshot.groups.as_ref().is_ok_and(|groups| !groups.is_empty());
    let has_replicas = snapshot.replicas.as_ref().is_ok_and(|replicas| !replicas.is_empty());
    let beside = has_groups || has_replicas;
    let (kind, At { namespace, name, .. }) = (old.at.kind.to_lowercase(), &old.at);
    Finding {
        id: "OldControllerRuns",
        severity: if beside { Severity::Warning } else { Severity::Info },
        object: old.at.clone(),
        what: format!("it is a controller of the {}, by its {}", old.system.title(), old.because),
        why: "It writes the labels that hotstandby writes, by rules of its own.",
        remedy: if beside {
            format!(
                "once READY is True for the groups: kubectl -n {namespace} scale {kind} {name} --replicas=0"
            )
        } else {
            "hotstandby import shows what to apply to take over from it".to_owned()
        },
    }
}

/// Selectors that the old controller narrowed and nobody widens again.
#[allow(clippy::unnecessary_wraps)] // one of a table of checks, some of which cannot be made
pub(super) fn narrowed_selectors(snapshot: &Snapshot) -> Known<Vec<Finding>> {
    let left = snapshot.objects.services.iter().filter(|service| {
        selector_of(service).contains_key(DESIGNATION)
            && annotation(&service.metadata, SERVICE_MODE).is_none_or(str::is_empty)
            && annotation(&service.metadata, MODE).is_none()
    });
    Ok(left
        .map(|service| Finding {
            id: "SelectorLeftNarrowed",
            severity: Severity::Warning,
            object: At::of("Service", &service.metadata),
            what: format!("its selector asks for {DESIGNATION}, and it is not annotated any more"),
            why: "The old controller does not take its key out of the selector when the annotation goes: the Service stays on a pod \
                  that nobody moves.",
            remedy: format!(
                "kubectl -n {} patch service {} --type=json -p '[{{\"op\":\"remove\",\"path\":\"/spec/selector/{}\"}}]', or annotate it \
                 again",
                namespace_of(&service.metadata),
                name_of(&service.metadata),
                DESIGNATION.replace('/', "~1")
            ),
        })
        .collect())
}
