//! hotstandby has the rights it uses, and uses the rights it has.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::audit::{Right, granted};
use crate::harness::SYSTEM;
use crate::objects::Kind;
use crate::scene::Scene;
use crate::trial::Trial;

/// Granted, but not seen used by the end of the tests; each with the reason why it is kept.
const UNUSED: &[(&str, &str, &str, &str)] = &[(
    "discovery.k8s.io",
    "endpointslices",
    "get",
    "a slice is read after a conflict or an unanswered write, and not every run brings one about",
)];

/// What is granted apart from the install YAML, by `deploy/follow-leases.yaml` and `deploy/with-*.yaml`, which some tests apply;
/// groups ask for it before that, too.
const GRANTED_APART: &[(&str, &str, &[&str])] = &[
    ("coordination.k8s.io", "leases", &["get", "list", "watch"]),
    ("", "pods/status", &["patch"]),
    ("", "services", &["patch"]),
    ("", "pods", &["delete"]),
];

fn is_granted_apart(group: &str, resource: &str, verb: &str) -> bool {
    let mut all = GRANTED_APART.iter();
    all.any(|(of, kind, verbs)| *of == group && *kind == resource && verbs.contains(&verb))
}

/// An API server that was started a moment ago has not read all roles yet, and refuses what it would grant.
fn just_started(trial: &Trial, at: &str) -> bool {
    let Ok(at) = at.parse::<Timestamp>() else { return false };
    let soon = SignedDuration::from_secs(20);
    trial.env.restarts().iter().any(|start| *start <= at && at.duration_since(*start) < soon)
}

/// Compares what the API server logged of the whole run with what `deploy/install.yaml` grants.
pub(super) async fn granted_equals_used(trial: &mut Trial) -> Result<()> {
    let audit =
        trial.env.audit().context("this cluster's API server keeps no log: let the tests make their own")?;
    // Run alone, this test has to see some work being done.
    Scene::default().deploy(trial).await?;
    let everywhere = granted(&trial.env.objects.get(Kind::ClusterRole, "", "hotstandby").await?);
    let own = granted(&trial.env.objects.get(Kind::Role, SYSTEM, "hotstandby-own").await?);

    let entries = audit.all()?;
    ensure!(!entries.is_empty(), "the API server logged nothing of hotstandby's");
    let forbidden: BTreeSet<_> = entries
        .iter()
        .filter(|entry| entry.forbidden && !just_started(trial, &entry.at))
        .filter(|entry| {
            entry.namespace == SYSTEM || !is_granted_apart(&entry.group, &entry.resource, &entry.verb)
        })
        .collect();
    ensure!(forbidden.is_empty(), "hotstandby asked for what it may not: {forbidden:?}");

    let used = |own_namespace: bool| -> BTreeSet<Right> {
        entries
            .iter()
            .filter(|entry| {
                entry.group != "authorization.k8s.io" && (entry.namespace == SYSTEM) == own_namespace
            })
            .map(|entry| (entry.group.clone(), entry.resource.clone(), entry.verb.clone()))
            .collect()
    };
    // In its own namespace it may use what it may use everywhere, too.
    let (used_own, used_everywhere) = (used(true), used(false));
    let beyond: Vec<&Right> = used_everywhere
        .difference(&everywhere)
        .filter(|(group, resource, verb)| !is_granted_apart(group, resource, verb))
        .chain(used_own.iter().filter(|right| !own.contains(*right) && !everywhere.contains(*right)))
        .collect();
    ensure!(beyond.is_empty(), "used but not granted by the install YAML: {beyond:?}");
    trial.note(format!("{} rights, {} requests", everywhere.len() + own.len(), entries.len()));
    if !trial.env.runs_all() {
        trial.note("not all tests were run, so rights that were not used are not held against it");
        return Ok(());
    }
    let excepted = |right: &Right| {
        UNUSED
            .iter()
            .any(|(group, resource, verb, _)| (*group, *resource, *verb) == (&right.0, &right.1, &right.2))
    };
    let idle: Vec<&Right> = everywhere
        .difference(&used_everywhere)
        .chain(own.difference(&used_own))
        .filter(|right| !excepted(right))
        .collect();
    ensure!(idle.is_empty(), "granted by the install YAML but never used: {idle:?}");
    Ok(())
}
