//! `import --check`: what would change, and whether traffic would move.

use super::{AnnotatedPlan, DESIGNATED, DESIGNATION, Finding, GroupPlan, Import, Plan};
use crate::objects::{At, Objects, is_alive, is_fit, label, name_of, namespace_of, pairs_text, picks};
use k8s_openapi::api::core::v1::Pod;
use serde::Serialize;
use std::collections::BTreeMap;

/// Who is active by the old system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ActiveToday {
    /// This pod.
    One(String),
    /// Several at once: a fault of the old system.
    Several(Vec<String>),
    /// Nobody.
    Nobody,
    /// The input has no pods.
    Unknown,
}

/// What the move of one finding would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// What is moved.
    pub object: At,
    /// Who is active now.
    pub active_today: ActiveToday,
    /// What would be written, in order.
    pub changes: Vec<String>,
    /// Why traffic would move; `None`: it stays where it is.
    pub moves: Option<String>,
}

impl Import {
    /// What would happen to each finding.
    pub fn check(&self, objects: &Objects) -> Vec<Outcome> {
        self.findings.iter().map(|finding| outcome(finding, objects)).collect()
    }
}

fn outcome(finding: &Finding, objects: &Objects) -> Outcome {
    let object = finding.objects.first().cloned().unwrap_or_else(|| At::new("", "", ""));
    match &finding.plan {
        Plan::Annotated(plan) => annotated(object, plan, objects),
        Plan::Group(plan) => group(plan, objects),
        Plan::Binary(plan) => Outcome {
            object,
            active_today: plan
                .lease
                .as_deref()
                .map_or(ActiveToday::Unknown, |lease| holder(objects, &plan.namespace, lease)),
            changes: vec![
                "nothing by applying anything; the roll to the new binary moves the lease as any roll does"
                    .to_owned(),
            ],
            moves: None,
        },
    }
}

/// Who holds a Lease.
fn holder(objects: &Objects, namespace: &str, name: &str) -> ActiveToday {
    let found = objects
        .leases
        .iter()
        .find(|lease| namespace_of(&lease.metadata) == namespace && name_of(&lease.metadata) == name);
    match found.and_then(|lease| lease.spec.as_ref()?.holder_identity.clone()) {
        Some(holder) if !holder.is_empty() => ActiveToday::One(holder),
        Some(_) => ActiveToday::Nobody,
        None if objects.live => ActiveToday::Nobody,
        None => ActiveToday::Unknown,
    }
}

fn members<'a>(objects: &'a Objects, namespace: &str, selector: &BTreeMap<String, String>) -> Vec<&'a Pod> {
    let here = objects.pods.iter().filter(|pod| namespace_of(&pod.metadata) == namespace && is_alive(pod));
    here.filter(|pod| picks(selector, pod.metadata.labels.as_ref())).collect()
}

/// The pods that carry the active's label, and who is active by that.
fn labelled<'a>(members: &[&'a Pod], key: &str, value: &str, live: bool) -> (Vec<&'a Pod>, ActiveToday) {
    let pods: Vec<_> =
        members.iter().copied().filter(|pod| label(&pod.metadata, key) == Some(value)).collect();
    let names: Vec<_> = pods.iter().map(|pod| name_of(&pod.metadata).to_owned()).collect();
    let active = match names.as_slice() {
        _ if !live => ActiveToday::Unknown,
        [] => ActiveToday::Nobody,
        [one] => ActiveToday::One(one.clone()),
        _ => ActiveToday::Several(names),
    };
    (pods, active)
}

/// Why traffic would move where these pods are active now.
fn moves(active: &ActiveToday, pods: &[&Pod]) -> Option<String> {
    match active {
        ActiveToday::Unknown => Some(
            "the input has no pods with a status; look at the cluster (without -f) for an answer".to_owned(),
        ),
        ActiveToday::Nobody => Some("nobody is active now, so somebody becomes it".to_owned()),
        ActiveToday::Several(names) => Some(format!(
            "{} are active at once now: one of them stays, the label is taken from the others",
            names.join(" and ")
        )),
        ActiveToday::One(name) => pods.iter().any(|pod| !is_fit(pod)).then(|| {
            format!("{name} is not Running and Ready, so it is failed over from, as from any unfit active")
        }),
    }
}

fn annotated(object: At, plan: &AnnotatedPlan, objects: &Objects) -> Outcome {
    let members = members(objects, &plan.namespace, &plan.selector);
    let (pods, active) = labelled(&members, DESIGNATION, DESIGNATED, objects.live);
    let mut changes = Vec::new();
    for pod in &members {
        let name = name_of(&pod.metadata);
        if label(&pod.metadata, crate::names::MEMBER).is_none() {
            changes.push(format!(
                "Pod {name}: label {}=… of its own, which selects nothing yet",
                crate::names::MEMBER
            ));
        }
    }
    let with_key = if plan.narrowed { "" } else { "qoqo.dev/pod-designation=active and " };
    let staying = match &active {
        ActiveToday::One(name) => format!("which only {name} has"),
        _ => "of the active".to_owned(),
    };
    changes.push(format!(
        "Service {}: selector {} gets {with_key}{}=…, {staying}; its EndpointSlice stays Kubernetes' own",
        plan.service,
        pairs_text(&plan.selector),
        crate::names::MEMBER
    ));
    let mut moves = moves(&active, &pods);
    if moves.is_none() && !plan.narrowed {
        moves = Some(
            "its selector is not narrowed now, so traffic goes to all its pods; afterwards to one".to_owned(),
        );
    }
    Outcome { object, active_today: active, changes, moves }
}

fn group(plan: &GroupPlan, objects: &Objects) -> Outcome {
    let members = members(objects, &plan.namespace, &plan.selector);
    let role = &plan.role;
    let (pods, active) = labelled(&members, &role.key, &role.active, objects.live);
    let mut changes = vec![format!("ActiveStandby {}: made", plan.name)];
    for pod in &members {
        let have = label(&pod.metadata, &role.key);
        let wanted =
            if have == Some(role.active.as_str()) && pods.len() == 1 { &role.active } else { &role.standby };
        if have != Some(wanted.as_str()) && !(have == Some(role.active.as_str()) && pods.len() > 1) {
            let from = have.map_or_else(|| "no role".to_owned(), |have| format!("{}={have}", role.key));
            changes.push(format!("Pod {}: {}={wanted} instead of {from}", name_of(&pod.metadata), role.key));
        }
    }
    changes.push(format!(
        "Service {}: nothing; it keeps its selector, and Kubernetes its EndpointSlice",
        plan.services.join(", ")
    ));
    let moves = moves(&active, &pods);
    Outcome {
        object: At::new("ActiveStandby", &plan.namespace, &plan.name),
        active_today: active,
        changes,
        moves,
    }
}
