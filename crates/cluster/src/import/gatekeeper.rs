//! System C: `k8s-await-election` before the command.

use super::{BinaryPlan, Finding, Import, Plan, Question, System};
use crate::objects::{Objects, Workload};
use k8s_openapi::api::core::v1::{Container, EnvVar};

/// What all of its variables begin with.
const PREFIX: &str = "K8S_AWAIT_ELECTION_";
/// Its file name.
const FILE: &str = "k8s-await-election";

/// Adds what there is of it.
pub(super) fn find(objects: &Objects, import: &mut Import) {
    for workload in &objects.workloads {
        let Some(container) = workload.containers().find(|container| is_behind(container)) else { continue };
        if is_off(container) {
            import.questions.push(Question {
                object: workload.at.clone(),
                question: format!(
                    "container {} has variables of {FILE}, but {PREFIX}ENABLED is empty, so it runs the command at once: \
                     shall it take part?",
                    container.name
                ),
                answers: vec![
                    format!("yes: set {PREFIX}ENABLED"),
                    "no: nothing to do; hotstandby-await does the same".to_owned(),
                ],
            });
            continue;
        }
        import.findings.push(finding(workload, container, &mut import.questions));
    }
}

fn is_behind(container: &Container) -> bool {
    let file = |word: &String| word.rsplit('/').next() == Some(FILE);
    container.command.iter().flatten().chain(container.args.iter().flatten()).any(file)
        || container.env.iter().flatten().any(|var| var.name.starts_with(PREFIX))
}

/// Empty counts as not set there.
fn is_off(container: &Container) -> bool {
    let enabled = var(container, "ENABLED");
    // Where it comes from elsewhere, or all variables do, nobody can tell from here.
    let from_elsewhere = container.env_from.as_ref().is_some_and(|from| !from.is_empty());
    match enabled {
        Some(var) => var.value_from.is_none() && var.value.as_deref().unwrap_or_default().is_empty(),
        None => !from_elsewhere,
    }
}

fn var<'a>(container: &'a Container, name: &str) -> Option<&'a EnvVar> {
    container.env.iter().flatten().find(|var| var.name.strip_prefix(PREFIX) == Some(name))
}

/// A value as far as the manifests say it.
enum Said<'a> {
    Nothing,
    Text(&'a str),
    /// The pod's own namespace.
    OwnNamespace,
    Elsewhere,
}

fn said<'a>(container: &'a Container, name: &str) -> Said<'a> {
    let Some(var) = var(container, name) else { return Said::Nothing };
    if let Some(from) = &var.value_from {
        let field = from.field_ref.as_ref().map(|field| field.field_path.as_str());
        return if field == Some("metadata.namespace") { Said::OwnNamespace } else { Said::Elsewhere };
    }
    match var.value.as_deref() {
        None | Some("") => Said::Nothing,
        // `$(OTHER)` is filled in by the kubelet.
        Some(text) if text.contains("$(") => Said::Elsewhere,
        Some(text) => Said::Text(text),
    }
}

fn finding(workload: &Workload, container: &Container, questions: &mut Vec<Question>) -> Finding {
    let lease = match said(container, "LOCK_NAME") {
        Said::Text(name) => Some(name.to_owned()),
        Said::Nothing | Said::OwnNamespace | Said::Elsewhere => {
            questions.push(Question {
                object: workload.at.clone(),
                question: format!("{PREFIX}LOCK_NAME is not written in container {}: which Lease is it?", container.name),
                answers: vec![
                    "hotstandby-await reads the same variable, so it needs no answer; a group that follows the Lease does"
                        .to_owned(),
                ],
            });
            None
        }
    };
    let lease_is_here = match said(container, "LOCK_NAMESPACE") {
        Said::OwnNamespace => true,
        Said::Text(namespace) => namespace == workload.at.namespace,
        Said::Nothing | Said::Elsewhere => false,
    };
    let service = match said(container, "SERVICE_NAME") {
        Said::Text(name) => Some(name.to_owned()),
        _ => None,
    };
    let plan = BinaryPlan {
        namespace: workload.at.namespace.clone(),
        name: workload.at.name.clone(),
        selector: workload.labels.clone(),
        lease,
        lease_is_here,
        service,
    };
    Finding {
        system: System::Gatekeeper,
        objects: vec![workload.at.clone()],
        plan: Plan::Binary(plan),
        with: Vec::new(),
        notes: Vec::new(),
    }
}
