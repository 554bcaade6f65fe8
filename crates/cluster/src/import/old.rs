//! The old systems' own controllers: they are to be stopped once hotstandby has taken over.

use super::System;
use crate::objects::{At, Objects, Workload, name_of};
use serde::Serialize;

/// A controller of an old system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OldController {
    /// Of which system.
    pub system: System,
    /// What runs it.
    pub at: At,
    /// Replicas asked for, where it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// By what it was recognised.
    pub because: String,
}

/// The old controllers among the workloads.
pub(super) fn controllers(objects: &Objects) -> Vec<OldController> {
    let mut found: Vec<_> = objects.workloads.iter().filter_map(|workload| one(objects, workload)).collect();
    found.sort_by(|one, other| one.at.cmp(&other.at));
    found
}

/// Whether this is one, and of which system.
pub(crate) fn one(objects: &Objects, workload: &Workload) -> Option<OldController> {
    let (system, because) = if let Some(image) = image_named(workload, "active-standby-controller") {
        (System::AnnotatedService, format!("image {image}"))
    } else if workload.labels.get("app").is_some_and(|app| app == "icr") && knows_its_own_name(workload) {
        (System::RoleLabels, "label app=icr and MY_POD_NAME".to_owned())
    } else if patchers(objects, &workload.at.namespace).iter().any(|one| one.at == workload.at) {
        let account = workload.spec.service_account_name.as_deref().unwrap_or("default");
        (System::HealthToggle, format!("its ServiceAccount {account} may patch pods"))
    } else {
        return None;
    };
    Some(OldController { system, at: workload.at.clone(), replicas: workload.replicas, because })
}

/// The image without registry and tag.
fn image_named<'a>(workload: &'a Workload, name: &str) -> Option<&'a str> {
    let images = workload.spec.containers.iter().filter_map(|container| container.image.as_deref());
    let base = |image: &str| {
        let last = image.rsplit('/').next().unwrap_or(image);
        last.split([':', '@']).next().unwrap_or(last) == name
    };
    images.into_iter().find(|image| base(image))
}

fn knows_its_own_name(workload: &Workload) -> bool {
    workload.containers().any(|one| one.env.iter().flatten().any(|var| var.name == "MY_POD_NAME"))
}

/// Workloads whose ServiceAccount has a Role of this namespace that lets it patch pods: what system D needs, and
/// all it has.
pub(super) fn patchers<'a>(objects: &'a Objects, namespace: &str) -> Vec<&'a Workload> {
    let patches = |name: &str| {
        objects.roles.iter().filter(|role| role.metadata.namespace.as_deref() == Some(namespace)).any(
            |role| {
                name_of(&role.metadata) == name
                    && role.rules.iter().flatten().any(|rule| {
                        rule.resources.iter().flatten().any(|one| one == "pods")
                            && rule.verbs.iter().any(|verb| verb == "patch")
                    })
            },
        )
    };
    let accounts: Vec<&str> = objects
        .role_bindings
        .iter()
        .filter(|binding| binding.metadata.namespace.as_deref() == Some(namespace))
        .filter(|binding| binding.role_ref.kind == "Role" && patches(&binding.role_ref.name))
        .flat_map(|binding| binding.subjects.iter().flatten())
        .filter(|subject| subject.kind == "ServiceAccount")
        .map(|subject| subject.name.as_str())
        .collect();
    let of = |workload: &&Workload| {
        let account = workload.spec.service_account_name.as_deref().unwrap_or("default");
        workload.at.namespace == namespace && accounts.contains(&account)
    };
    objects.workloads.iter().filter(of).collect()
}
