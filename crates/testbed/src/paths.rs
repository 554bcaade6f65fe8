//! Where a cluster keeps its things, and what they are called. Everything is derived from the cluster's
//! name, so that two clusters side by side share nothing.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// The control plane's address, in a network no cluster has a way out of.
pub const CONTROL_PLANE_IP: &str = "10.77.0.1";
/// The control plane's name where a machine is asked for by name.
pub const CONTROL_PLANE: &str = "cp";
/// Addresses given out to Services.
pub const SERVICE_CIDR: &str = "10.96.0.0/16";
/// Where the Service of the cluster's DNS is.
pub const DNS_IP: &str = "10.96.0.10";
/// The domain all its names end with.
pub const CLUSTER_DOMAIN: &str = "cluster.local";
/// Addresses given out to pods, a /24 of it for each node.
pub const POD_CIDR: &str = "10.88.0.0/16";
/// More nodes than this were never tried.
pub const MAX_NODES: u8 = 50;

/// The cgroup all clusters live under, in every hierarchy.
pub(crate) const CGROUP_PARENT: &str = "hotstandby-testbed";
const RUN_ROOT: &str = "/run/hotstandby-testbed";

/// The root of the workspace this crate was built in.
pub fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Where built Kubernetes binaries and images are kept between runs.
pub fn tools_cache() -> PathBuf {
    std::env::var_os("HOTSTANDBY_TESTBED_CACHE")
        .map_or_else(|| workspace_root().join(".cache/testbed"), PathBuf::from)
}

/// All paths and names of one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paths {
    name: String,
    state: PathBuf,
    run: PathBuf,
}

impl Paths {
    /// For a cluster of this name: 1 to 20 of `a-z`, `0-9` and `-`, not starting or ending with `-`.
    pub fn new(name: &str) -> Result<Self> {
        let fine = (1..=20).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && !name.starts_with('-')
            && !name.ends_with('-');
        if !fine {
            bail!("cluster name '{name}' is not usable: take 1 to 20 of a-z, 0-9 and '-', not at an end");
        }
        Ok(Self {
            name: name.to_owned(),
            state: Self::state_root().join(name),
            run: Path::new(RUN_ROOT).join(name),
        })
    }

    /// The folder that holds one folder per cluster.
    pub fn state_root() -> PathBuf {
        workspace_root().join(".cache/clusters")
    }

    /// The cluster's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Keys, kubeconfigs, logs, etcd's data and the nodes' disks.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Sockets and what a reboot would lose. Short, since a socket's path may have 107 bytes only.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// Held locked by the supervisor for as long as it lives. Outside [`Self::run`], which gets removed.
    pub(crate) fn lock(&self) -> PathBuf {
        Path::new(RUN_ROOT).join(format!("{}.lock", self.name))
    }

    pub(crate) fn control_socket(&self) -> PathBuf {
        self.run.join("control.sock")
    }

    /// Appears when the API server answers: node agents wait for it, as they back off for long otherwise.
    /// Not in [`Self::run`], which nodes do not see.
    pub(crate) fn api_ready(&self) -> PathBuf {
        self.state.join("api-ready")
    }

    pub(crate) fn spec(&self) -> PathBuf {
        self.state.join("spec.json")
    }

    /// One file per program; kept after `down`, removed by the next `up`.
    pub fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    pub(crate) fn log(&self, what: &str) -> PathBuf {
        self.logs().join(format!("{what}.log"))
    }

    /// The cluster's certificates and keys.
    pub fn pki(&self) -> PathBuf {
        self.state.join("pki")
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.state.join("images")
    }

    pub(crate) fn etcd_data(&self) -> PathBuf {
        self.state.join("etcd")
    }

    pub(crate) fn corefile(&self) -> PathBuf {
        self.state.join("Corefile")
    }

    /// For programs inside the cluster's network, of any user.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.state.join(format!("{user}.kubeconfig"))
    }

    /// For programs on the host, of any user.
    pub fn host_kubeconfig(&self, user: &str) -> PathBuf {
        if user == "admin" {
            self.state.join("host.kubeconfig")
        } else {
            self.state.join(format!("host-{user}.kubeconfig"))
        }
    }

    pub(crate) fn netns_name(&self, machine: &str) -> String {
        format!("hstb-{}-{machine}", self.name)
    }

    /// The network namespace of a node (`n1`…) or of the control plane (`cp`).
    pub fn netns(&self, machine: &str) -> PathBuf {
        Path::new("/run/netns").join(self.netns_name(machine))
    }

    /// The cgroup of the cluster, without any hierarchy's mount point.
    pub(crate) fn cgroup(&self) -> PathBuf {
        Path::new(CGROUP_PARENT).join(&self.name)
    }
}

/// One node's paths, names and addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePaths {
    paths: Paths,
    index: u8,
}

impl NodePaths {
    pub(crate) fn new(paths: &Paths, index: u8) -> Self {
        Self { paths: paths.clone(), index }
    }

    /// 1, 2, …
    pub fn index(&self) -> u8 {
        self.index
    }

    /// `n1`, `n2`, …
    pub fn name(&self) -> String {
        format!("n{}", self.index)
    }

    /// The node's address.
    pub fn ip(&self) -> String {
        format!("10.77.0.{}", u16::from(self.index) + 10)
    }

    /// The node's pods' addresses.
    pub fn pod_cidr(&self) -> String {
        format!("10.88.{}.0/24", self.index)
    }

    /// The control plane's end of the node's cable.
    pub(crate) fn link(&self) -> String {
        format!("hsv{}", self.index)
    }

    /// The node's disk: survives a power cut.
    pub(crate) fn disk(&self) -> PathBuf {
        self.paths.state.join("nodes").join(self.name())
    }

    /// The node's /run: lost in a power cut.
    pub(crate) fn run(&self) -> PathBuf {
        self.paths.run.join(self.name())
    }

    /// containerd's socket, seen from the host.
    pub(crate) fn containerd_socket(&self) -> PathBuf {
        self.run().join("containerd/containerd.sock")
    }

    /// The machine's number for the node's first process; not there while the node is off.
    pub(crate) fn pid_file(&self) -> PathBuf {
        self.disk().join("pid")
    }

    /// The network namespace.
    pub fn netns(&self) -> PathBuf {
        self.paths.netns(&self.name())
    }

    pub(crate) fn netns_name(&self) -> String {
        self.paths.netns_name(&self.name())
    }

    /// The cgroup of the node and all its containers.
    pub(crate) fn cgroup(&self) -> PathBuf {
        self.paths.cgroup().join(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["a", "e2e-1", "abcdefghij0123456789"] {
            assert!(Paths::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a/b", "..", "abcdefghij01234567890", "a b"] {
            assert!(Paths::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sockets_fit_even_for_the_longest_name() {
        let node = NodePaths::new(&Paths::new("abcdefghij0123456789").unwrap(), MAX_NODES);
        // containerd puts its task sockets deeper still, but those are under the node's own /run.
        assert!(node.containerd_socket().as_os_str().len() < 100);
    }

    #[test]
    fn two_clusters_share_no_name() {
        let (a, b) = (Paths::new("a").unwrap(), Paths::new("b").unwrap());
        assert_ne!(a.netns("n1"), b.netns("n1"));
        assert_ne!(a.cgroup(), b.cgroup());
        assert_ne!(a.lock(), b.lock());
        assert_ne!(a.state(), b.state());
    }
}
