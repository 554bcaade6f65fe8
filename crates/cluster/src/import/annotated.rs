//! System A: a Service with the annotation `qoqo.dev/service-mode`.

use super::{
    AnnotatedPlan, DESIGNATED, DESIGNATION, Finding, Import, Moved, Plan, Question, SERVICE_MODE, System,
};
use crate::names;
use crate::objects::{At, Objects, annotation, pairs_text, picks, selector_of};
use k8s_openapi::api::core::v1::Service;
use std::collections::BTreeSet;

/// Adds what there is of it.
pub(super) fn find(objects: &Objects, import: &mut Import) {
    let from = import.findings.len();
    for service in &objects.services {
        if annotation(&service.metadata, names::MODE) == Some(names::OFF) {
            // Somebody said that hotstandby shall leave it alone.
        } else if annotation(&service.metadata, SERVICE_MODE).is_some_and(|mode| !mode.is_empty()) {
            annotated(objects, service, import);
        } else if selector_of(service).get(DESIGNATION).is_some_and(|value| value == DESIGNATED) {
            left_narrowed(service, import);
        }
    }
    tell_of_shared_pods(objects, import.findings.get_mut(from..).unwrap_or_default());
}

fn annotated(objects: &Objects, service: &Service, import: &mut Import) {
    let at = At::of("Service", &service.metadata);
    let mut selector = selector_of(service);
    if selector.contains_key(names::MEMBER) {
        let group = format!("service/{}", at.name);
        import.moved.push(Moved { service: at, group });
        return;
    }
    let narrowed = selector.remove(DESIGNATION).is_some();
    if selector.is_empty() {
        import.questions.push(Question {
            object: at,
            question: format!(
                "it has the annotation {SERVICE_MODE} and no selector of its own, so the old controller does nothing for \
                 it: which pods are meant?"
            ),
            answers: vec![
                "some: give the Service a selector for them".to_owned(),
                format!("none: kubectl annotate service NAME {SERVICE_MODE}-"),
            ],
        });
        return;
    }
    let headless = service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None");
    let mut notes = Vec::new();
    let designated = objects
        .pods
        .iter()
        .filter(|pod| pod.metadata.namespace.as_deref() == Some(&at.namespace))
        .filter(|pod| picks(&selector, pod.metadata.labels.as_ref()))
        .filter(|pod| crate::objects::label(&pod.metadata, DESIGNATION) == Some(DESIGNATED))
        .count();
    if designated > 1 {
        notes.push(format!(
            "{designated} pods carry {DESIGNATION}={DESIGNATED} now, so traffic goes to all of them; hotstandby leaves it on \
             one"
        ));
    }
    if headless {
        notes.push(
            "headless: clients follow within the DNS time-to-live and their own caches, as before".to_owned(),
        );
    }
    let plan = AnnotatedPlan {
        namespace: at.namespace.clone(),
        service: at.name.clone(),
        selector,
        narrowed,
        headless,
    };
    import.findings.push(Finding {
        system: System::AnnotatedService,
        objects: vec![at],
        plan: Plan::Annotated(plan),
        with: vec!["selector-pointer"],
        notes,
    });
}

/// The old controller leaves the selector narrowed when the annotation goes.
fn left_narrowed(service: &Service, import: &mut Import) {
    let object = At::of("Service", &service.metadata);
    let command = format!(
        "no: kubectl -n {} patch service {} --type=json -p '[{{\"op\":\"remove\",\"path\":\"/spec/selector/{}\"}}]'",
        object.namespace,
        object.name,
        DESIGNATION.replace('/', "~1"),
    );
    import.questions.push(Question {
        object,
        question: format!(
            "its selector still asks for {DESIGNATION}={DESIGNATED}, but it is not annotated: shall it lead to one pod?"
        ),
        answers: vec![format!("yes: give it the annotation {SERVICE_MODE}: active-standby again"), command],
    });
}

/// Services over the same pods share the one label there is.
fn tell_of_shared_pods(objects: &Objects, findings: &mut [Finding]) {
    let pods: Vec<_> = findings.iter().map(|finding| pods_of(objects, finding)).collect();
    let plans: Vec<_> = findings.iter().map(|finding| plan(finding).cloned()).collect();
    for (index, finding) in findings.iter_mut().enumerate() {
        let Some(own) = plan(finding).cloned() else { continue };
        for (other_index, other) in plans.iter().enumerate() {
            let Some(other) = other.as_ref().filter(|_| other_index != index) else { continue };
            let shared = match (pods.get(index), pods.get(other_index)) {
                (Some(one), Some(two)) => one.intersection(two).next().is_some(),
                _ => false,
            };
            if other.namespace == own.namespace && (shared || other.selector == own.selector) {
                finding.notes.push(format!(
                    "Service {} is annotated, too, and selects the same pods ({}): both lead to the same active, or \
                     hotstandby refuses one of them and says why",
                    other.service,
                    pairs_text(&other.selector)
                ));
            }
        }
    }
}

fn plan(finding: &Finding) -> Option<&AnnotatedPlan> {
    match &finding.plan {
        Plan::Annotated(plan) => Some(plan),
        _ => None,
    }
}

fn pods_of(objects: &Objects, finding: &Finding) -> BTreeSet<Option<String>> {
    let Some(plan) = plan(finding) else { return BTreeSet::new() };
    let here = objects.pods.iter().filter(|pod| pod.metadata.namespace.as_deref() == Some(&plan.namespace));
    here.filter(|pod| picks(&plan.selector, pod.metadata.labels.as_ref()))
        .map(|pod| pod.metadata.name.clone())
        .collect()
}
