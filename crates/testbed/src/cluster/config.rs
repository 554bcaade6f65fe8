//! What a cluster shall be like.

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::paths::{MAX_NODES, NodePaths, Paths};
use crate::tools::Tools;

/// What a cluster shall be like. Defaults are those of Kubernetes wherever a failover could feel them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClusterConfig {
    /// The cluster's name; two clusters of different names may run side by side.
    pub name: String,
    /// How many nodes: `n1`, `n2`, …
    pub nodes: u8,
    /// How long a node may be silent before it counts as not ready (50 s is upstream's default), in seconds.
    pub node_monitor_grace_s: u32,
    /// How often a kubelet looks at its own status (10 s is upstream's default), in seconds.
    pub kubelet_status_update_s: u32,
    /// Lets etcd skip fsync. All nodes share one disk here, so its waits would say little anyway.
    pub etcd_no_fsync: bool,
    /// More arguments for kube-apiserver.
    pub apiserver_args: Vec<String>,
    /// More arguments for kube-controller-manager.
    pub controller_manager_args: Vec<String>,
    /// Image archives to load on every node, beside the sample app and the pause image.
    pub images: Vec<PathBuf>,
    /// Whether to build and load the sample app; without it the caller's archives must bring
    /// [`crate::image::PAUSE_IMAGE`].
    pub sample_app: bool,
    /// Prints no progress.
    pub quiet: bool,
}

impl ClusterConfig {
    /// Three nodes and upstream's timings.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            nodes: 3,
            node_monitor_grace_s: 50,
            kubelet_status_update_s: 10,
            etcd_no_fsync: true,
            apiserver_args: Vec::new(),
            controller_manager_args: Vec::new(),
            images: Vec::new(),
            sample_app: true,
            quiet: false,
        }
    }

    pub(crate) fn check(&self) -> Result<Paths> {
        if !(1..=MAX_NODES).contains(&self.nodes) {
            bail!("{} nodes are not possible: take 1 to {MAX_NODES}", self.nodes);
        }
        if self.node_monitor_grace_s <= self.kubelet_status_update_s {
            bail!(
                "node monitor grace ({} s) must be larger than the kubelet's status period ({} s): nodes would flap",
                self.node_monitor_grace_s,
                self.kubelet_status_update_s
            );
        }
        Paths::new(&self.name)
    }
}

/// The configuration as the supervisor and the nodes read it from the state folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) config: ClusterConfig,
    pub(crate) paths: Paths,
    pub(crate) tools: Tools,
}

impl Spec {
    pub(crate) fn nodes(&self) -> Vec<NodePaths> {
        (1..=self.config.nodes).map(|i| NodePaths::new(&self.paths, i)).collect()
    }

    pub(crate) fn node(&self, name: &str) -> Result<NodePaths> {
        let nodes = self.nodes();
        if let Some(node) = nodes.iter().find(|node| node.name() == name) {
            return Ok(node.clone());
        }
        let names: Vec<String> = nodes.iter().map(NodePaths::name).collect();
        bail!("cluster '{}' has no node '{name}': it has {}", self.paths.name(), names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_checked_before_anything_is_started() {
        assert!(ClusterConfig::new("t").check().is_ok());
        assert!(ClusterConfig { nodes: 0, ..ClusterConfig::new("t") }.check().is_err());
        assert!(ClusterConfig { nodes: 51, ..ClusterConfig::new("t") }.check().is_err());
        assert!(ClusterConfig { node_monitor_grace_s: 10, ..ClusterConfig::new("t") }.check().is_err());
    }

    #[test]
    fn an_unknown_node_is_answered_with_the_known_ones() {
        let config = ClusterConfig::new("t");
        let spec = Spec { paths: config.check().unwrap(), tools: Tools::cached(), config };
        assert_eq!(spec.node("n2").unwrap().ip(), "10.77.0.12");
        let error = spec.node("n9").unwrap_err().to_string();
        assert!(error.contains("n1, n2, n3"), "{error}");
    }
}
