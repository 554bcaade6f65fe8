//! What runs on a node, and its configuration files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::config::Spec;
use crate::image::PAUSE_IMAGE;
use crate::paths::{CLUSTER_DOMAIN, DNS_IP, NodePaths, POD_CIDR};

/// Folders every node has for itself: (place on the node's disk, where the node sees it).
///
/// A node looks like a usual one from inside, as some of these paths are fixed in the kubelet's source; two
/// kubelets that share them remove each other's files.
pub(crate) const BINDS: [(&str, &str); 5] = [
    ("kubelet", "/var/lib/kubelet"),
    ("containerd", "/var/lib/containerd"),
    ("cni", "/var/lib/cni"),
    ("pods", "/var/log/pods"),
    ("containers", "/var/log/containers"),
];

/// Writes a node's configuration files and makes its folders.
pub(crate) fn write_files(spec: &Spec, node: &NodePaths) -> Result<()> {
    let disk = node.disk();
    for (place, _) in BINDS {
        make_dir(&disk.join(place))?;
    }
    make_dir(&disk.join("net.d"))?;
    make_dir(&node.run())?;
    write(&disk.join("net.d/10-testbed.conflist"), &cni(node).to_string())?;
    write(&containerd_config(node), &containerd(node))?;
    write(&disk.join("kubelet.json"), &kubelet(spec, node).to_string())?;
    write(&disk.join("proxy.json"), &proxy(spec, node).to_string())
}

/// Empties the node's /run: what a reboot does.
pub(crate) fn clear_run(node: &NodePaths) -> Result<()> {
    let run = node.run();
    match fs::remove_dir_all(&run) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("emptying {}", run.display()));
        }
        _ => {}
    }
    make_dir(&run.join("lock"))?;
    // Some programs look for it there.
    symlink("/proc/self/mounts", run.join("mounts")).context("making a link in the node's /run")
}

/// The node's containerd.
pub(crate) fn containerd_command(node: &NodePaths) -> Command {
    let mut command = Command::new("containerd");
    command.arg("--config").arg(containerd_config(node));
    command
}

/// The node's kube-proxy.
pub(crate) fn proxy_command(spec: &Spec, node: &NodePaths) -> Command {
    let mut command = Command::new(spec.tools.kubernetes("kube-proxy"));
    command.arg("--config").arg(node.disk().join("proxy.json"));
    command
}

/// The node's kubelet.
pub(crate) fn kubelet_command(spec: &Spec, node: &NodePaths) -> Command {
    let mut command = Command::new(spec.tools.kubernetes("kubelet"));
    command
        .arg("--config")
        .arg(node.disk().join("kubelet.json"))
        .arg("--kubeconfig")
        .arg(spec.paths.kubeconfig(&node.name()))
        .arg(format!("--hostname-override={}", node.name()))
        .arg(format!("--node-ip={}", node.ip()));
    command
}

fn containerd_config(node: &NodePaths) -> PathBuf {
    node.disk().join("containerd.toml")
}

fn containerd(node: &NodePaths) -> String {
    format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[ttrpc]
  address = "/run/containerd/containerd.sock.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{}"
"#,
        node.disk().join("net.d").display()
    )
}

/// Each pod on a cable of its own: on a shared bridge, answers between two pods of a node would bypass the
/// node's address translation on machines without `br_netfilter`.
fn cni(node: &NodePaths) -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "testbed",
        "plugins": [{
            "type": "ptp",
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": node.pod_cidr()}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    })
}

fn kubelet(spec: &Spec, node: &NodePaths) -> Value {
    let pki = |file: String| spec.paths.pki().join(file).display().to_string();
    let name = node.name();
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": false},
            "x509": {"clientCAFile": pki("ca.crt".to_owned())},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "address": node.ip(),
        "tlsCertFile": pki(format!("{name}.crt")),
        "tlsPrivateKeyFile": pki(format!("{name}.key")),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        // The next lines let it run on machines with cgroup v1, v2 or both, systemd or not.
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": false,
        "enforceNodeAllocatable": [],
        "failCgroupV1": false,
        "failSwapOn": false,
        "localStorageCapacityIsolation": false,
        "makeIPTablesUtilChains": false,
        "resolvConf": "",
        "clusterDNS": [DNS_IP],
        "clusterDomain": CLUSTER_DOMAIN,
        // All nodes share the machine's disk: a full one must not make them evict pods and images.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "50Mi"},
        "nodeStatusUpdateFrequency": format!("{}s", spec.config.kubelet_status_update_s),
        "maxPods": 200,
    })
}

/// Deliberately without `minSyncPeriod` and the like: users have the defaults, so they are what is measured.
fn proxy(spec: &Spec, node: &NodePaths) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": POD_CIDR,
        "hostnameOverride": node.name(),
        "clientConnection": {"kubeconfig": spec.paths.kubeconfig("proxy")},
        // The kernel's limits are the machine's and not the node's to set.
        "conntrack": {"maxPerCore": 0},
        "bindAddress": node.ip(),
        "metricsBindAddress": "127.0.0.1:10249",
        "healthzBindAddress": "127.0.0.1:10256",
    })
}

fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))
}

fn write(path: &Path, content: &str) -> Result<()> {
    fs::write(path, content).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ClusterConfig;
    use crate::tools::Tools;

    fn spec() -> Spec {
        let config = ClusterConfig::new("t");
        Spec { paths: config.check().unwrap(), tools: Tools::cached(), config }
    }

    #[test]
    fn kube_proxy_keeps_its_default_sync_periods() {
        let spec = spec();
        let config = proxy(&spec, &spec.node("n1").unwrap());
        assert_eq!(config["mode"], "nftables");
        assert!(config.get("nftables").is_none(), "minSyncPeriod would be set there");
        assert!(config.get("configSyncPeriod").is_none());
    }

    #[test]
    fn the_kubelet_runs_on_machines_with_cgroup_v1() {
        let spec = spec();
        let node = spec.node("n2").unwrap();
        let config = kubelet(&spec, &node);
        assert_eq!(config["cgroupsPerQOS"], false);
        assert_eq!(config["failCgroupV1"], false);
        assert_eq!(config["nodeStatusUpdateFrequency"], "10s");
    }

    #[test]
    fn containerd_uses_what_works_without_a_kernel_feature() {
        let spec = spec();
        let config = containerd(&spec.node("n1").unwrap());
        for needed in ["snapshotter = \"native\"", "restrict_oom_score_adj = true", "disable_apparmor = true"]
        {
            assert!(config.contains(needed), "{needed}");
        }
    }

    #[test]
    fn pods_get_their_nodes_addresses() {
        let spec = spec();
        let config = cni(&spec.node("n3").unwrap());
        assert_eq!(config["plugins"][0]["ipam"]["ranges"][0][0]["subnet"], "10.88.3.0/24");
    }
}
