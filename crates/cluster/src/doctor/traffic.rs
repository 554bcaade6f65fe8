//! Selectors, labels and slices: what leads traffic, and what leads it elsewhere.

use super::group::{View, views};
use super::{Finding, Known, Severity, Snapshot};
use crate::names;
use crate::objects::{At, annotation, label, name_of, namespace_of, pairs_text, picks, selector_of};
use k8s_openapi::api::core::v1::Service;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A label with which v1 Endpoints are not mirrored to slices.
const SKIP_MIRROR: &str = "endpointslice.kubernetes.io/skip-mirror";

/// Groups that pick no pod, or pick by what changes with the role.
pub(super) fn group_selectors(snapshot: &Snapshot) -> Known<Vec<Finding>> {
    let mut findings = Vec::new();
    for view in views(snapshot)? {
        if view.members.is_empty() && view.selector.is_some() {
            findings.push(Finding {
                id: "SelectorPicksNoPod",
                severity: Severity::Error,
                object: view.at.clone(),
                what: "spec.selector picks no pod of the namespace".to_owned(),
                why: "Members are the pods whose labels match; with none there is nobody to lead to.",
                remedy: format!(
                    "compare it with: kubectl -n {} get pods --show-labels; or scale the workload up",
                    view.at.namespace
                ),
            });
        }
        if let (Some((key, _)), Some(selector)) = (view.role(), &view.selector)
            && selector.keys().any(|one| one == key)
        {
            findings.push(Finding {
                id: "SelectorHasRole",
                severity: Severity::Error,
                object: view.at.clone(),
                what: format!("spec.selector asks for {key}, which is also roleLabel.key"),
                why: "hotstandby changes that label at each switch, so a member would leave the group by becoming active.",
                remedy: format!("take {key} out of spec.selector"),
            });
        }
    }
    Ok(findings)
}

/// Services that are missing, or select otherwise than the group does.
pub(super) fn services(snapshot: &Snapshot) -> Known<Vec<Finding>> {
    let mut findings = Vec::new();
    for view in views(snapshot)? {
        for (name, service) in &view.services {
            let at = At::new("Service", &view.at.namespace, name);
            let Some(service) = service else {
                findings.push(Finding {
                    id: "ServiceNotFound",
                    severity: Severity::Error,
                    object: at,
                    what: format!("{} names it in traffic.services, and it does not exist", view.at),
                    why: "A Service is a user's own object; hotstandby makes none.",
                    remedy: "create it, or correct the name".to_owned(),
                });
                continue;
            };
            let selector = selector_of(service);
            if !selector.is_empty() && !view.points(name) {
                findings.extend(by_role(snapshot, &view, at, &selector));
            }
        }
    }
    Ok(findings)
}

/// A Service with a selector, led by role labels.
fn by_role(
    snapshot: &Snapshot,
    view: &View<'_>,
    at: At,
    selector: &BTreeMap<String, String>,
) -> Vec<Finding> {
    let Some((key, active)) = view.role() else {
        return vec![Finding {
            id: "ServiceHasSelector",
            severity: Severity::Error,
            object: at,
            what: format!("it selects {}, and {} has no roleLabel for it", pairs_text(selector), view.at),
            why: "Kubernetes fills a Service that has a selector with all pods that match, so traffic goes to all members.",
            remedy: "remove spec.selector from the Service and the slices it leaves behind, or set mode: SelectorPointer for it"
                .to_owned(),
        }];
    };
    if selector.get(key).map(String::as_str) != Some(active) {
        let has = selector
            .get(key)
            .map_or_else(|| format!("does not ask for {key}"), |has| format!("asks for {key}={has}"));
        return vec![Finding {
            id: "RoleLabelMismatch",
            severity: Severity::Error,
            object: at,
            what: format!("its selector {has}, and roleLabel of {} gives the active {key}={active}", view.at),
            why: "The Service leads to the pods that have what it asks for, which is not what the active gets.",
            remedy: format!(
                "make roleLabel.active and the Service's selector the same, such as {key}: {active}"
            ),
        }];
    }
    let mut rest = selector.clone();
    rest.remove(key);
    let mut findings = Vec::new();
    let without: Vec<_> = view
        .members
        .iter()
        .filter(|pod| !rest.is_empty() && !picks(&rest, pod.metadata.labels.as_ref()))
        .map(|pod| name_of(&pod.metadata))
        .collect();
    if !without.is_empty() {
        findings.push(Finding {
            id: "ServiceMissesMembers",
            severity: Severity::Error,
            object: at.clone(),
            what: format!(
                "it asks for {}, which these members of {} lack: {}",
                pairs_text(&rest),
                view.at,
                list(&without)
            ),
            why: "If one of them becomes active, the Service leads nowhere.",
            remedy: format!(
                "add {} to spec.selector of the group, or to the pods' template",
                pairs_text(&rest)
            ),
        });
    }
    let members: Vec<_> = view.members.iter().map(|pod| name_of(&pod.metadata)).collect();
    let strangers: Vec<_> = snapshot
        .objects
        .pods
        .iter()
        .filter(|pod| namespace_of(&pod.metadata) == at.namespace && crate::objects::is_alive(pod))
        .filter(|pod| {
            picks(selector, pod.metadata.labels.as_ref()) && !members.contains(&name_of(&pod.metadata))
        })
        .map(|pod| name_of(&pod.metadata))
        .collect();
    if !strangers.is_empty() {
        findings.push(Finding {
            id: "ServicePicksStrangers",
            severity: Severity::Error,
            object: at,
            what: format!("it picks {}, which {} does not", list(&strangers), view.at),
            why: "hotstandby never touches a pod that is no member, so its role label stays and it gets traffic beside the active.",
            remedy: format!("widen spec.selector of the group, or take {key}={active} off these pods"),
        });
    }
    findings
}

/// Endpoints of others beside ours.
pub(super) fn foreign_endpoints(snapshot: &Snapshot) -> Known<Vec<Finding>> {
    snapshot.needs("endpointslices")?;
    let mut findings = Vec::new();
    for view in views(snapshot)? {
        for service in view.existing().filter(|service| selector_of(service).is_empty()) {
            findings.extend(of_service(snapshot, &view.at.to_string(), service));
        }
    }
    let by_annotation = snapshot.objects.services.iter().filter(|service| {
        annotation(&service.metadata, names::MODE) == Some(names::ACTIVE_STANDBY)
            && selector_of(service).is_empty()
    });
    for service in by_annotation {
        findings.extend(of_service(snapshot, "its own group", service));
    }
    Ok(findings)
}

fn of_service(snapshot: &Snapshot, group: &str, service: &Service) -> Vec<Finding> {
    const WHY: &str = "Users see the union of all slices of a Service, so these addresses get traffic beside the active's; \
                       Kubernetes leaves them behind when a selector is removed.";
    let at = At::of("Service", &service.metadata);
    let foreign: Vec<_> = snapshot
        .objects
        .slices
        .iter()
        .filter(|slice| namespace_of(&slice.metadata) == at.namespace)
        .filter(|slice| label(&slice.metadata, names::SERVICE_NAME_LABEL) == Some(&at.name))
        .filter(|slice| label(&slice.metadata, names::MANAGED_BY_LABEL) != Some(names::GROUP))
        .map(|slice| name_of(&slice.metadata))
        .collect();
    let mut findings = Vec::new();
    if !foreign.is_empty() {
        findings.push(Finding {
            id: "ForeignEndpoints",
            severity: Severity::Error,
            object: at.clone(),
            what: format!("EndpointSlices that are not hotstandby's feed it beside {group}: {}", list(&foreign)),
            why: WHY,
            remedy: format!(
                "kubectl -n {} delete endpoints {} --ignore-not-found; kubectl -n {} delete endpointslices {}",
                at.namespace,
                at.name,
                at.namespace,
                foreign.join(" ")
            ),
        });
    }
    let mirrored = snapshot.objects.endpoints.iter().find(|one| {
        namespace_of(&one.metadata) == at.namespace
            && name_of(&one.metadata) == at.name
            && label(&one.metadata, SKIP_MIRROR) != Some("true")
            && one.subsets.as_ref().is_some_and(|subsets| !subsets.is_empty())
    });
    if mirrored.is_some() && foreign.is_empty() {
        findings.push(Finding {
            id: "MirroredEndpoints",
            severity: Severity::Warning,
            object: At::new("Endpoints", &at.namespace, &at.name),
            what: "it has addresses, and Kubernetes copies them into a slice of the Service".to_owned(),
            why: WHY,
            remedy: format!("kubectl -n {} delete endpoints {}", at.namespace, at.name),
        });
    }
    findings
}

/// Some names, and how many more.
pub(super) fn list(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    let mut text = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        // Writing to a String cannot fail.
        let _ = write!(text, " and {} more", names.len() - SHOWN);
    }
    text
}
