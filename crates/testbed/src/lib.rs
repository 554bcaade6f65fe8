//! A real Kubernetes cluster on one Linux machine, made of network namespaces.
//!
//! Every machine of the cluster is a network, PID, mount and UTS namespace of its own, so that killing its
//! first process is a power cut and setting its link down is a partition. The programs in it are the real
//! ones: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, and per node containerd, kubelet and
//! kube-proxy. No virtual machines, no container engine and no way out to any other network.
//!
//! What it is *not*: isolation. All nodes share one kernel, one disk and the machine's CPUs; a pod that is
//! privileged owns the machine. Clocks cannot drift apart, disks cannot fill apart.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! hotstandby_testbed::reexec_entry(); // first line of main
//! let cluster = hotstandby_testbed::Cluster::start(hotstandby_testbed::ClusterConfig::new("demo"))?;
//! cluster.faults().power_off("n1")?;
//! # Ok(()) }
//! ```

pub mod access;
pub mod client;
pub mod cluster;
pub mod commits;
pub mod dns;
pub mod draw;
pub mod faults;
pub mod image;
pub mod netns;
pub mod paths;
pub mod progress;
pub mod tools;
pub mod trace;
pub mod wait;

pub use cluster::{Cluster, ClusterConfig, reexec_entry};
