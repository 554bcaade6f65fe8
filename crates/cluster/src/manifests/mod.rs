//! The CRD and the install YAML, generated from Rust data. `deploy/` holds the output, and a check for drift
//! compares the two.

mod policies;
mod rbac;
pub mod rights;
mod workload;
pub(crate) mod yaml;

pub use yaml::{YamlError, to_yaml};

use crate::api;
use rights::Grant;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Name of the install: of its Deployment, service account and roles, and the value of `app.kubernetes.io/name`.
pub const NAME: &str = "hotstandby";
/// The namespace hotstandby lives in unless told otherwise.
pub const DEFAULT_NAMESPACE: &str = "hotstandby-system";
/// The image without its tag.
pub const IMAGE: &str = "hotstandby/hotstandby";

/// What to install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Install {
    /// The namespace hotstandby lives in, and keeps its seats in.
    pub namespace: String,
    /// The namespaces it works for; empty: all.
    pub watched: Vec<String>,
    /// The image.
    pub image: String,
    /// Rights beyond the default ones.
    pub with: BTreeSet<Grant>,
    /// With the admission policies.
    pub policies: bool,
    /// Users that the policies take for hotstandby, too: replicas outside the cluster, or another install.
    pub policy_users: Vec<String>,
}

impl Default for Install {
    fn default() -> Self {
        let image = format!("{IMAGE}:{}", env!("CARGO_PKG_VERSION"));
        Self {
            namespace: DEFAULT_NAMESPACE.to_owned(),
            watched: Vec::new(),
            image,
            with: BTreeSet::new(),
            policies: false,
            policy_users: Vec::new(),
        }
    }
}

/// A generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name in `deploy/`.
    pub name: &'static str,
    /// Its content.
    pub content: String,
}

/// All the files of `deploy/` that are generated.
pub fn files() -> Result<Vec<File>, YamlError> {
    let namespaced = Install { watched: vec!["default".to_owned()], ..Install::default() };
    let mut files = vec![
        File { name: "crd.yaml", content: crd()? },
        File { name: "install.yaml", content: install(&Install::default())? },
        File { name: "install-namespaced.yaml", content: install(&namespaced)? },
    ];
    for grant in Grant::ALL {
        let (name, note) = grant_file(grant);
        let note = format!("{note}#   kubectl apply --server-side -f {name}\n{GRANT_NOTE}");
        files.push(File { name, content: document(&note, &rbac::grant(&Install::default(), grant))? });
    }
    let policies = document(POLICIES_NOTE, &policies::objects(&Install::default()))?;
    files.push(File { name: "with-policies.yaml", content: policies });
    Ok(files)
}

/// The CRD as YAML.
pub fn crd() -> Result<String, YamlError> {
    let mut crd = serde_json::to_value(api::crd()).unwrap_or_default();
    if let Some(metadata) = crd.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("labels".into(), labels());
    }
    document(CRD_NOTE, &[crd])
}

/// Everything but the CRD as YAML.
pub fn install(install: &Install) -> Result<String, YamlError> {
    let mut objects =
        vec![workload::namespace(install), workload::quota(install), workload::service_account(install)];
    objects.extend(rbac::objects(install));
    objects.extend(install.with.iter().flat_map(|grant| rbac::grant(install, *grant)));
    if install.policies {
        objects.extend(policies::objects(install));
    }
    objects.push(workload::deployment(install));
    objects.push(workload::disruption_budget(install));
    let note = if install.watched.is_empty() { INSTALL_NOTE } else { NAMESPACED_NOTE };
    document(note, &objects)
}

const CRD_NOTE: &str = "\
# The kind ActiveStandby. Apart from the rest, because deleting it deletes every group of the cluster.
#   kubectl apply --server-side -f crd.yaml -f install.yaml
";
const INSTALL_NOTE: &str = "\
# hotstandby for the whole cluster; needs crd.yaml.
#   kubectl apply --server-side -f crd.yaml -f install.yaml
";
const NAMESPACED_NOTE: &str = "\
# hotstandby for the namespaces named in the controller's --namespace arguments, with Roles and without any
# ClusterRole; needs crd.yaml. It sees no nodes: a lost node is noticed by probes and by the pods' Ready
# condition, and preferNodes has no effect. Another choice of namespaces: hotstandby manifests --namespaced NS,NS
";

const GRANT_NOTE: &str = "\
# For some namespaces only: leave the ClusterRoleBinding out, and make a RoleBinding to the ClusterRole in each of them.
";

const POLICIES_NOTE: &str = "\
# Optional, for Kubernetes 1.30 or newer: only hotstandby, as the service account of install.yaml, writes what it leads by: the
# labels and marks it puts on pods, role labels of groups, seats, its EndpointSlices, and the pointer in a Service's selector.
#   kubectl apply --server-side -f with-policies.yaml
# Needs crd.yaml. Another namespace or further users: hotstandby manifests --with policies --policy-user NAME. To leave one out:
# delete its binding. Remove these before hotstandby, or before you go back to another controller. docs/operations.md, Protection.
";

/// The file of rights that are granted apart, and what its head says of them.
const fn grant_file(grant: Grant) -> (&'static str, &'static str) {
    match grant {
        Grant::FollowLeases => (
            "follow-leases.yaml",
            "# The right to read Leases in all namespaces, for groups with election.mode Pods or External; nothing else needs it.\n",
        ),
        Grant::RoleLabels => (
            "with-role-labels.yaml",
            "# The right to write labels to pods, for groups with roleLabel. It is one on pods/status, which cannot change what a pod
# runs, but can say of any pod that it is ready: guard hotstandby's ServiceAccount accordingly.\n",
        ),
        Grant::SelectorPointer => (
            "with-selector-pointer.yaml",
            "# The rights to write labels to pods (through pods/status) and selectors to Services, for Services with mode
# SelectorPointer and for annotated Services. Whoever may write selectors leads traffic: guard hotstandby's ServiceAccount
# accordingly.\n",
        ),
        Grant::DeletePods => (
            "with-delete-pods.yaml",
            "# The right to delete pods, for groups with oldActive: Delete or detect.criticalContainers.deletePod.\n",
        ),
    }
}

fn document(note: &str, objects: &[Value]) -> Result<String, YamlError> {
    let mut text =
        String::from("# Generated by `hotstandby manifests`; change the Rust data, not this file.\n");
    text.push_str(note);
    for object in objects {
        let yaml = to_yaml(object)?;
        // Writing to a String cannot fail.
        let _ = write!(text, "---\n{yaml}");
    }
    Ok(text)
}

fn labels() -> Value {
    json!({
        "app.kubernetes.io/name": NAME,
        "app.kubernetes.io/component": "controller",
        "app.kubernetes.io/part-of": NAME,
    })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
