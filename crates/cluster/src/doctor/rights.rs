//! What hotstandby's ServiceAccount must be allowed for these groups, and what of it is missing.

use super::{Finding, Known, Severity, Snapshot, group, known};
use crate::manifests::rights::{Grant, RIGHTS, Scope};
use crate::manifests::{DEFAULT_NAMESPACE, NAME};
use crate::objects::{At, namespace_of};
use std::collections::{BTreeMap, BTreeSet};

/// A question of rights.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ask {
    /// Verb.
    pub verb: &'static str,
    /// API group.
    pub api_group: &'static str,
    /// Resource, with its subresource.
    pub resource: &'static str,
    /// Namespace.
    pub namespace: String,
    /// The `--with` that grants it; `None`: the default install does.
    pub with: Option<&'static str>,
    /// Who needs it.
    pub needed_by: At,
}

/// A question and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The question.
    pub ask: Ask,
    /// The answer.
    pub allowed: bool,
}

/// Namespaces asked for: a cluster with more of them has cluster roles, and what holds in these holds in all.
const MOST_NAMESPACES: usize = 10;

/// What the groups of a snapshot need, beside what hotstandby needs in its own namespace.
pub(super) fn needed(snapshot: &Snapshot, own: &str) -> Vec<Ask> {
    let mut all = BTreeMap::new();
    let mut add = |verbs: &[&'static str], api_group, resource, namespace: &str, with, needed_by: &At| {
        for verb in verbs {
            let key = (*verb, api_group, resource, namespace.to_owned());
            all.entry(key).or_insert_with(|| Ask {
                verb,
                api_group,
                resource,
                namespace: namespace.to_owned(),
                with,
                needed_by: needed_by.clone(),
            });
        }
    };
    let install = At::new("ServiceAccount", own, NAME);
    for right in RIGHTS.iter().filter(|right| right.scope == Scope::Own) {
        add(right.verbs, right.api_group, right.resource, own, None, &install);
    }
    let mut namespaces = BTreeSet::new();
    for view in group::views(snapshot).unwrap_or_default() {
        let namespace = view.at.namespace.clone();
        if namespaces.len() >= MOST_NAMESPACES && !namespaces.contains(&namespace) {
            continue;
        }
        namespaces.insert(namespace.clone());
        for right in RIGHTS.iter().filter(|right| right.scope == Scope::Watched) {
            add(right.verbs, right.api_group, right.resource, &namespace, None, &view.at);
        }
        for grant in extra(&view) {
            for right in grant.rights() {
                let with = Some(grant.as_str());
                add(right.verbs, right.api_group, right.resource, &namespace, with, &view.at);
            }
        }
    }
    for (service, _) in group::annotated(snapshot) {
        let (at, namespace) = (At::of("Service", &service.metadata), namespace_of(&service.metadata));
        for right in Grant::SelectorPointer.rights() {
            let with = Some(Grant::SelectorPointer.as_str());
            add(right.verbs, right.api_group, right.resource, namespace, with, &at);
        }
    }
    all.into_values().collect()
}

/// What a group's spec asks for beyond the default.
fn extra(view: &group::View<'_>) -> Vec<Grant> {
    use crate::api::spec::{ElectionMode, OldActive};
    let spec = &view.group.spec;
    let deletes = spec.old_active == OldActive::Delete || spec.detect.critical_containers.delete_pod;
    let wanted = [
        (Grant::FollowLeases, spec.election.mode != ElectionMode::Controller),
        (Grant::RoleLabels, spec.role_label.is_some()),
        (Grant::SelectorPointer, spec.traffic.services.iter().any(|service| view.points(&service.name))),
        (Grant::DeletePods, deletes),
    ];
    wanted.into_iter().filter(|(_, wanted)| *wanted).map(|(grant, _)| grant).collect()
}

/// Rights that are missing, one finding for each thing that needs them.
pub(super) fn check(snapshot: &Snapshot) -> Known<Vec<Finding>> {
    let mut missing: BTreeMap<(&At, Option<&'static str>), Vec<String>> = BTreeMap::new();
    for Answered { ask, .. } in known(&snapshot.rights)?.iter().filter(|answered| !answered.allowed) {
        let group = if ask.api_group.is_empty() { String::new() } else { format!(".{}", ask.api_group) };
        let text = format!("{} {}{group} in {}", ask.verb, ask.resource, ask.namespace);
        missing.entry((&ask.needed_by, ask.with)).or_default().push(text);
    }
    let findings = missing.into_iter().map(|((needed_by, with), rights)| {
        let rights: Vec<_> = rights.iter().map(String::as_str).collect();
        Finding {
            id: "MissingRight",
            severity: Severity::Error,
            object: needed_by.clone(),
            what: format!("hotstandby's ServiceAccount may not {}", super::traffic::list(&rights)),
            why: "The API server refuses each such call, so what the group asks for is not done.",
            remedy: match with {
                Some(with) => format!("hotstandby manifests --with {with} | kubectl apply --server-side -f -"),
                None => "apply the install YAML of this version again: hotstandby manifests | kubectl apply --server-side -f -"
                    .to_owned(),
            },
        }
    });
    Ok(findings.collect())
}

/// The namespace and name of hotstandby's ServiceAccount.
pub(super) fn account(snapshot: &Snapshot) -> (String, String) {
    let install = snapshot.installs.as_deref().unwrap_or_default().first();
    let namespace = install.map_or(DEFAULT_NAMESPACE, |install| namespace_of(&install.metadata));
    let name = install
        .and_then(|install| install.spec.as_ref()?.template.spec.as_ref()?.service_account_name.as_deref())
        .unwrap_or(NAME);
    (namespace.to_owned(), name.to_owned())
}
