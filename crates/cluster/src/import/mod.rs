//! What users of other systems have, recognised, and what hotstandby needs of them: mostly nothing, else one object.
//!
//! Pure functions from objects to findings. What may mean two things is asked, never guessed: a group that is made for
//! the wrong pods would move their traffic.

mod annotated;
mod check;
mod emit;
mod gatekeeper;
mod health;
mod old;
mod roles;
mod words;

pub use check::{ActiveToday, Outcome};
pub use emit::to_text;
pub use old::OldController;

use crate::names::{POD_DESIGNATION as DESIGNATION, POD_DESIGNATION_ACTIVE as DESIGNATED, SERVICE_MODE};
use crate::objects::{At, Objects, Unread};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A system that people have today.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum System {
    /// A: an annotated Service whose selector and one pod's label are written.
    AnnotatedService,
    /// B: a role label that the template starts with, critical containers, a datagram.
    RoleLabels,
    /// C: a gatekeeper before the command.
    Gatekeeper,
    /// D: a role label that only pods have, and an HTTP check.
    HealthToggle,
}

impl System {
    /// What it is called for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::AnnotatedService => "annotated Service (active-standby-controller)",
            Self::RoleLabels => "role labels (ActiveStandbySingletonPod)",
            Self::Gatekeeper => "gatekeeper in the pod (k8s-await-election)",
            Self::HealthToggle => "health-check toggle of role labels",
        }
    }
}

/// Something recognised.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// As which system.
    pub system: System,
    /// By what: Services and workloads.
    pub objects: Vec<At>,
    /// What to do.
    pub plan: Plan,
    /// Rights beyond the default install: values of `--with`.
    pub with: Vec<&'static str>,
    /// What else to know.
    pub notes: Vec<String>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Plan {
    /// A: nothing; the annotation is honoured.
    Annotated(AnnotatedPlan),
    /// B and D: one object.
    Group(Box<GroupPlan>),
    /// C: another binary; the group is for who wants to see who is active.
    Binary(BinaryPlan),
}

/// A Service that says itself what it wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AnnotatedPlan {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub service: String,
    /// Its own selector, without the key that was added.
    pub selector: BTreeMap<String, String>,
    /// Whether the key is in its selector now.
    pub narrowed: bool,
    /// Whether it has no cluster address.
    pub headless: bool,
}

/// An `ActiveStandby` to apply.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupPlan {
    /// Its namespace.
    pub namespace: String,
    /// Its name: the workload's.
    pub name: String,
    /// What picks the pods.
    pub selector: BTreeMap<String, String>,
    /// The Services that select on the role.
    pub services: Vec<String>,
    /// The role label.
    pub role: RoleKey,
    /// What is asked of the pods; `None`: TCP to the Service's port.
    pub probe: Option<HttpPlan>,
    /// The mark of critical containers, where a container has it.
    pub critical: Option<(String, String)>,
    /// Whether the oldest standby is next.
    pub oldest_first: bool,
    /// The datagram to a new active: port and message.
    pub datagram: Option<(u16, String)>,
}

/// A role label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RoleKey {
    /// Its key.
    pub key: String,
    /// The active's value.
    pub active: String,
    /// The standbys' value.
    pub standby: String,
}

/// An HTTP probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HttpPlan {
    /// Path.
    pub path: String,
    /// Port: a number or a container port's name.
    pub port: String,
    /// HTTPS.
    pub tls: bool,
    /// The only status that is healthy, if not 200 to 399.
    pub expected_status: Option<u16>,
    /// Where this was found.
    pub from: String,
}

/// A workload behind the old gatekeeper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BinaryPlan {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What picks its pods.
    pub selector: BTreeMap<String, String>,
    /// The Lease; `None`: the manifests do not say.
    pub lease: Option<String>,
    /// Whether the Lease is in the workload's namespace, where a group can follow it.
    pub lease_is_here: bool,
    /// The Service whose endpoints the gatekeeper writes.
    pub service: Option<String>,
}

/// What only a human can say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Question {
    /// About what.
    pub object: At,
    /// What is unclear.
    pub question: String,
    /// What to do for each answer.
    pub answers: Vec<String>,
}

/// All that was recognised.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Import {
    /// What was recognised.
    pub findings: Vec<Finding>,
    /// What is unclear.
    pub questions: Vec<Question>,
    /// Old controllers that were found.
    pub old_controllers: Vec<OldController>,
    /// Services that a group leads already.
    pub moved: Vec<Moved>,
    /// Kinds that could not be read, and why not.
    pub unread: Vec<Unread>,
}

/// A Service that a group leads already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// The Service.
    pub service: At,
    /// The group.
    pub group: String,
}

impl Import {
    /// Recognises what there is.
    pub fn of(objects: &Objects) -> Self {
        let mut import = Self { unread: objects.unread.clone(), ..Self::default() };
        import.old_controllers = old::controllers(objects);
        annotated::find(objects, &mut import);
        roles::find(objects, &mut import);
        gatekeeper::find(objects, &mut import);
        import.findings.sort_by(|one, other| (one.system, &one.objects).cmp(&(other.system, &other.objects)));
        import.questions.sort_by(|one, other| one.object.cmp(&other.object));
        import
    }

    /// The rights beyond the default install that all of it needs: values of `--with`.
    pub fn with(&self) -> BTreeSet<&'static str> {
        self.findings.iter().flat_map(|finding| finding.with.iter().copied()).collect()
    }

    /// Nothing was recognised, and nothing is unclear.
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty() && self.questions.is_empty() && self.moved.is_empty()
    }
}

/// The group that leads a Service, if any.
fn leader(objects: &Objects, service: &At) -> Option<String> {
    let leads = |group: &&crate::api::ActiveStandby| {
        group.metadata.namespace.as_deref() == Some(&service.namespace)
            && group.spec.traffic.services.iter().any(|one| one.name == service.name)
    };
    objects.groups.iter().find(leads).and_then(|group| group.metadata.name.clone())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
