//! What bites people, looked for in a snapshot of the cluster: each finding with its cause and a remedy.
//!
//! Each check is a pure function of the [`Snapshot`]. One that lacks something it must see is skipped, and the report
//! says so: "nothing found" never means "not looked".

mod budgets;
mod gitops;
mod group;
mod install;
mod leftovers;
mod policies;
mod probes;
mod proxy;
mod read;
mod rights;
mod traffic;

pub use rights::{Answered, Ask};

use crate::api::ActiveStandby;
use crate::objects::{At, Objects, Unread};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::Serialize;

/// Something read, or why it was not.
pub type Known<T> = Result<T, Unread>;

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The version of this program.
    pub version: String,
    /// The groups.
    pub groups: Known<Vec<ActiveStandby>>,
    /// Services, pods, slices, Endpoints and workloads.
    pub objects: Objects,
    /// Network policies.
    pub policies: Known<Vec<NetworkPolicy>>,
    /// Disruption budgets.
    pub budgets: Known<Vec<PodDisruptionBudget>>,
    /// Namespaces, for their labels.
    pub namespaces: Known<Vec<Namespace>>,
    /// The Deployments of hotstandby.
    pub installs: Known<Vec<Deployment>>,
    /// Its replicas.
    pub replicas: Known<Vec<Pod>>,
    /// The kind.
    pub crd: Known<Option<CustomResourceDefinition>>,
    /// kube-proxy's configuration.
    pub kube_proxy: Known<Option<ConfigMap>>,
    /// What hotstandby's ServiceAccount may do.
    pub rights: Known<Vec<Answered>>,
    /// Whether Argo CD is there.
    pub argo: Known<bool>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A failover will not happen, or traffic goes wrong.
    Error,
    /// It will bite one day.
    Warning,
    /// Worth knowing.
    Info,
}

impl Severity {
    /// The fixed text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// Something that bites.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of finding.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// About which object.
    pub object: At,
    /// What was found.
    pub what: String,
    /// Which behaviour makes it bite.
    pub why: &'static str,
    /// What to do.
    pub remedy: String,
}

/// A check that could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Which.
    pub check: &'static str,
    /// For lack of what.
    pub lacks: String,
    /// Why that is lacking.
    pub why: String,
}

/// What the doctor says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The findings, the worst first.
    pub findings: Vec<Finding>,
    /// Checks that could not be made.
    pub skipped: Vec<Skipped>,
    /// Checks that were made.
    pub checked: Vec<&'static str>,
}

type Check = fn(&Snapshot) -> Known<Vec<Finding>>;

/// Every check, in the order of a walk from the install to the traffic.
const CHECKS: [(&str, Check); 16] = [
    ("crd", install::crd),
    ("controller", install::controller),
    ("rights", rights::check),
    ("group-selectors", traffic::group_selectors),
    ("services", traffic::services),
    ("foreign-endpoints", traffic::foreign_endpoints),
    ("probe-ports", probes::ports),
    ("service-meshes", probes::meshes),
    ("network-policies", policies::check),
    ("stale-labels", leftovers::stale_labels),
    ("old-controllers", leftovers::old_controllers),
    ("narrowed-selectors", leftovers::narrowed_selectors),
    ("gitops", gitops::check),
    ("disruption-budgets", budgets::check),
    ("kube-proxy", proxy::check),
    ("conditions", group::conditions),
];

impl Report {
    /// Makes every check.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut report = Self::default();
        for (name, check) in CHECKS {
            match check(snapshot) {
                Ok(findings) => {
                    report.findings.extend(findings);
                    report.checked.push(name);
                }
                Err(unread) => {
                    report.skipped.push(Skipped { check: name, lacks: unread.what, why: unread.why });
                }
            }
        }
        report.findings.sort_by(|one, other| {
            (one.severity, one.id, &one.object, &one.what).cmp(&(
                other.severity,
                other.id,
                &other.object,
                &other.what,
            ))
        });
        report
    }

    /// How many findings are of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

impl Snapshot {
    /// The groups, or why a check cannot be made.
    fn groups(&self) -> Known<&[ActiveStandby]> {
        known(&self.groups).map(Vec::as_slice)
    }

    /// That this kind of objects was read.
    fn needs(&self, what: &str) -> Known<()> {
        self.objects
            .unread
            .iter()
            .find(|unread| unread.what == what)
            .map_or(Ok(()), |unread| Err(unread.clone()))
    }
}

/// What was read, or why a check cannot be made.
fn known<T>(read: &Known<T>) -> Known<&T> {
    read.as_ref().map_err(Clone::clone)
}

#[cfg(test)]
mod tests;
