//! Systems B and D: a Service that selects on a role label which no template gives.
//!
//! That is the mark of both, whatever the label is called: somebody must write it to pods. Where the template gives the
//! label another value it is B, where it gives none it is D.

use super::{Finding, GroupPlan, Import, Moved, Plan, Question, RoleKey, System, health, leader, words};
use crate::objects::{At, Objects, Workload, annotation, label, picks, selector_of};
use k8s_openapi::api::core::v1::Service;
use std::collections::{BTreeMap, BTreeSet};

/// The variable of system B that marks critical containers, and its value.
const CRITICAL: (&str, &str) = ("pwcriticality", "critical");
/// Port and content of its datagram.
const DATAGRAM: (u16, &str) = (10001, "GoActiveDuringFailover");
/// What D calls those that stand by.
const PASSIVE: &str = "passive";

/// Adds what there is of both.
pub(super) fn find(objects: &Objects, import: &mut Import) {
    let mut groups: BTreeMap<(String, BTreeMap<String, String>, String, String), Finding> = BTreeMap::new();
    for service in &objects.services {
        let Some(split) = Split::of(objects, service) else { continue };
        let at = At::of("Service", &service.metadata);
        if let Some(group) = leader(objects, &at) {
            import.moved.push(Moved { service: at, group });
            continue;
        }
        match judge(objects, &split) {
            Judged::Found(standby, system) => {
                let key = (at.namespace.clone(), split.rest.clone(), split.key.clone(), split.value.clone());
                let finding = groups
                    .entry(key)
                    .or_insert_with(|| finding(objects, import, &split, &at.namespace, standby, system));
                finding.objects.push(at.clone());
                if let Plan::Group(plan) = &mut finding.plan {
                    plan.services.push(at.name);
                }
            }
            Judged::Asked(question, answers) => {
                import.questions.push(Question { object: at, question, answers });
            }
            Judged::PassedBy => {}
        }
    }
    import.findings.extend(groups.into_values());
}

/// A Service's selector, as a role and the rest.
struct Split<'a> {
    key: String,
    value: String,
    /// What picks the pods.
    rest: BTreeMap<String, String>,
    /// The workloads whose pods the rest picks.
    workloads: Vec<&'a Workload>,
}

impl<'a> Split<'a> {
    /// `None`: its pods come with all it selects, or nobody makes them.
    fn of(objects: &'a Objects, service: &Service) -> Option<Self> {
        let selector = selector_of(service);
        let annotated = annotation(&service.metadata, super::SERVICE_MODE).is_some();
        if annotated || selector.contains_key(super::DESIGNATION) || selector.len() < 2 {
            return None;
        }
        let namespace = service.metadata.namespace.as_deref()?;
        let here: Vec<_> = objects
            .workloads
            .iter()
            .filter(|workload| workload.at.namespace == namespace && workload.at.kind != "Pod")
            .collect();
        // Somebody makes pods that are selected as they are: an ordinary Service.
        if here.iter().any(|workload| picks(&selector, Some(&workload.labels))) {
            return None;
        }
        let splits = selector.iter().filter_map(|(key, value)| {
            let mut rest = selector.clone();
            rest.remove(key);
            let workloads: Vec<_> =
                here.iter().copied().filter(|workload| picks(&rest, Some(&workload.labels))).collect();
            (!workloads.is_empty()).then(|| Self { key: key.clone(), value: value.clone(), rest, workloads })
        });
        // Two such keys would be two labels that nobody gives; the one that looks like a role is meant.
        splits.max_by_key(|split| (words::is_active(&split.value), words::is_role_key(&split.key)))
    }

    /// The values that templates and pods give the label, other than the active's.
    fn others(&self, objects: &Objects) -> BTreeSet<String> {
        let from_templates =
            self.workloads.iter().filter_map(|workload| workload.labels.get(&self.key).cloned());
        let namespace = self.workloads.first().map(|workload| workload.at.namespace.as_str());
        let here = objects.pods.iter().filter(|pod| pod.metadata.namespace.as_deref() == namespace);
        let from_pods = here
            .filter(|pod| picks(&self.rest, pod.metadata.labels.as_ref()))
            .filter_map(|pod| label(&pod.metadata, &self.key).map(str::to_owned));
        from_templates.chain(from_pods).filter(|value| *value != self.value).collect()
    }
}

enum Judged {
    /// The standbys' value, and the system.
    Found(String, System),
    /// The question, and what to do for each answer.
    Asked(String, Vec<String>),
    /// Nothing that looks like a role.
    PassedBy,
}

fn judge(objects: &Objects, split: &Split<'_>) -> Judged {
    let templated = split.workloads.iter().any(|workload| workload.labels.contains_key(&split.key));
    let others = split.others(objects);
    let is_role = words::is_active(&split.value) || words::is_role_key(&split.key);
    let label = format!("{}={}", split.key, split.value);
    if let Some(owner) = split.workloads.iter().find_map(|workload| workload.owner.as_ref()) {
        return if is_role {
            let question =
                format!("it selects {label}, and {owner} manages the pods: is it that who sets the label?");
            Judged::Asked(question, ask_who(split))
        } else {
            Judged::PassedBy
        };
    }
    let critical = split.workloads.iter().any(|workload| marks_critical(workload));
    let words_fit = words::is_active(&split.value) && others.iter().all(|other| words::is_standby(other));
    let standby = match others.iter().collect::<Vec<_>>().as_slice() {
        [] => PASSIVE.to_owned(),
        [one] => (*one).clone(),
        several if is_role => {
            let several: Vec<_> = several.iter().map(|value| value.as_str()).collect();
            let question = format!(
                "it selects {label}, and others have {} there: which of them is a standby's value?",
                several.join(" and ")
            );
            return Judged::Asked(
                question,
                vec!["write it as roleLabel.standby of a group, as docs/api.md shows".to_owned()],
            );
        }
        _ => return Judged::PassedBy,
    };
    if templated && (critical || words_fit) {
        return Judged::Found(standby, System::RoleLabels);
    }
    // `active` is what D writes. Other words are what databases and their operators write.
    if !templated && words_fit && (split.value == "active" || others.contains(PASSIVE)) {
        return Judged::Found(standby, System::HealthToggle);
    }
    if !is_role {
        return Judged::PassedBy;
    }
    let question = if templated {
        format!("it selects {label}, but its pods' template says {}={standby}: who changes that?", split.key)
    } else {
        format!("it selects {label}, and no template gives its pods that label: who sets it?")
    };
    Judged::Asked(question, ask_who(split))
}

fn ask_who(split: &Split<'_>) -> Vec<String> {
    vec![
        "the app itself, or its operator: keep it; where it elects through a Lease, a group with election.mode External can \
         follow that (docs/guide.md)"
            .to_owned(),
        format!(
            "a script or controller that shall go: a group with roleLabel {{key: {}, active: {}}} takes its place (docs/api.md)",
            split.key, split.value
        ),
        "nobody: the Service has no endpoints; correct its selector".to_owned(),
    ]
}

/// Whether a container has the mark of critical ones.
fn marks_critical(workload: &Workload) -> bool {
    workload
        .containers()
        .flat_map(|container| container.env.iter().flatten())
        .any(|var| var.name == CRITICAL.0 && var.value.as_deref().is_some_and(|value| value == CRITICAL.1))
}

fn finding(
    objects: &Objects,
    import: &mut Import,
    split: &Split<'_>,
    namespace: &str,
    standby: String,
    system: System,
) -> Finding {
    let name = split.workloads.first().map(|workload| workload.at.name.clone()).unwrap_or_default();
    let critical = split.workloads.iter().any(|workload| marks_critical(workload));
    let is_b = system == System::RoleLabels;
    let mut notes = Vec::new();
    let probe = if is_b { None } else { health::probe(objects, split.workloads.as_slice(), namespace) };
    if !is_b && probe.is_none() {
        import.questions.push(Question {
            object: split
                .workloads
                .first()
                .map_or_else(|| At::new("Pod", namespace, ""), |one| one.at.clone()),
            question: "which path and port does the health check ask? Nothing here says it".to_owned(),
            answers: vec![
                "HTTP: put them into detect.probe.httpGet of the group".to_owned(),
                "none: without detect.probe a TCP connect to the Service's target port is the check"
                    .to_owned(),
            ],
        });
    }
    if split.workloads.len() > 1 {
        let all: Vec<_> = split.workloads.iter().map(|workload| workload.at.to_string()).collect();
        notes.push(format!("one group over the pods of {}: one of them all is active", all.join(" and ")));
    }
    let single = split.workloads.iter().filter_map(|workload| workload.replicas).sum::<i32>();
    if split.workloads.iter().all(|workload| workload.replicas.is_some()) && single < 2 {
        notes.push(format!("{single} replica: nobody stands by; a failover needs at least 2"));
    }
    let mut with = vec!["role-labels"];
    if is_b && critical {
        with.push("delete-pods");
    }
    let plan = GroupPlan {
        namespace: namespace.to_owned(),
        name,
        selector: split.rest.clone(),
        services: Vec::new(),
        role: RoleKey { key: split.key.clone(), active: split.value.clone(), standby },
        probe,
        critical: (is_b && critical).then(|| (CRITICAL.0.to_owned(), CRITICAL.1.to_owned())),
        oldest_first: is_b,
        datagram: is_b.then(|| (DATAGRAM.0, DATAGRAM.1.to_owned())),
    };
    let workloads = split.workloads.iter().map(|workload| workload.at.clone()).collect();
    Finding { system, objects: workloads, plan: Plan::Group(Box::new(plan)), with, notes }
}
