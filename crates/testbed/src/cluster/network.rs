//! The cluster's network: a bridge in the control plane's namespace, one cable to each node, no uplink.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::netns::in_netns;
use crate::paths::{CONTROL_PLANE, CONTROL_PLANE_IP, NodePaths, Paths};

/// The bridge's hardware address, and the beginning of the nodes': locally administered ones.
const BRIDGE_MAC: &str = "02:00:0a:4d:00:01";
const NODE_MACS: &str = "02:00:0a:4d:01:";

/// Makes the control plane's namespace with its bridge, and plugs all nodes in.
pub(crate) fn create(paths: &Paths, nodes: &[NodePaths]) -> Result<()> {
    let cp = paths.netns_name(CONTROL_PLANE);
    ip(&["netns", "add", &cp])?;
    ip_batch(
        &cp,
        &format!(
            // Of its own accord a bridge takes an address of its ports', another one when a node is unplugged.
            "link set lo up\nlink add br0 address {BRIDGE_MAC} type bridge\n\
             addr add {CONTROL_PLANE_IP}/24 dev br0\nlink set br0 up\n"
        ),
    )?;
    forward(&paths.netns(CONTROL_PLANE))?;
    for node in nodes {
        plug_in(paths, node, nodes)?;
    }
    Ok(())
}

/// Makes a node's namespace and its cable to the bridge.
pub(crate) fn plug_in(paths: &Paths, node: &NodePaths, nodes: &[NodePaths]) -> Result<()> {
    let (cp, own, link) = (paths.netns_name(CONTROL_PLANE), node.netns_name(), node.link());
    ip(&["netns", "add", &own])?;
    ip(&["link", "add", &link, "netns", &cp, "type", "veth", "peer", "name", "eth0", "netns", &own])?;
    ip_batch(
        &cp,
        &format!(
            "link set {link} master br0 up\nroute replace {} via {} onlink dev br0\n",
            node.pod_cidr(),
            node.ip()
        ),
    )?;
    ip_batch(&own, &node_commands(node, nodes))?;
    forward(&node.netns())
}

/// Takes a node's namespace and cable away; what a reboot does to a machine's network state.
pub(crate) fn unplug(paths: &Paths, node: &NodePaths) -> Result<()> {
    // Without the cable first, a client still running in the old namespace would keep the link name taken.
    let _gone_already = ip(&["-n", &paths.netns_name(CONTROL_PLANE), "link", "del", &node.link()]);
    ip(&["netns", "del", &node.netns_name()])
}

/// Pulls a node's cable, or plugs it in again.
pub(crate) fn set_link(paths: &Paths, node: &NodePaths, up: bool) -> Result<()> {
    let state = if up { "up" } else { "down" };
    ip(&["-n", &paths.netns_name(CONTROL_PLANE), "link", "set", &node.link(), state])
}

/// Whether the node's cable is plugged in.
pub(crate) fn link_is_up(paths: &Paths, node: &NodePaths) -> bool {
    // Not from /sys, which shows the network namespace it was mounted in and not the thread's.
    Command::new("ip")
        .args(["-n", &paths.netns_name(CONTROL_PLANE), "-o", "link", "show", "up", "dev", &node.link()])
        .output()
        .is_ok_and(|out| out.status.success() && !out.stdout.is_empty())
}

fn node_commands(node: &NodePaths, nodes: &[NodePaths]) -> String {
    // A machine keeps its network card when it reboots. With another address the others would send into the
    // void for up to a minute, until their neighbour tables have forgotten the old one.
    let mut commands = format!(
        "link set lo up\nlink set eth0 address {NODE_MACS}{:02x}\naddr add {}/24 dev eth0\nlink set eth0 up\n\
         route add default via {CONTROL_PLANE_IP}\n",
        node.index(),
        node.ip()
    );
    for other in nodes.iter().filter(|other| other.index() != node.index()) {
        commands.push_str("route add ");
        commands.push_str(&other.pod_cidr());
        commands.push_str(" via ");
        commands.push_str(&other.ip());
        commands.push('\n');
    }
    commands
}

fn forward(netns: &Path) -> Result<()> {
    // /proc/sys/net shows the network namespace of the thread that looks.
    in_netns(netns, || fs::write("/proc/sys/net/ipv4/ip_forward", "1"))?.context("switching forwarding on")
}

/// Runs `ip` and reports what it said.
pub(crate) fn ip(arguments: &[&str]) -> Result<()> {
    let out = Command::new("ip").args(arguments).stdin(Stdio::null()).output().context("starting 'ip'")?;
    if !out.status.success() {
        bail!("'ip {}' failed: {}", arguments.join(" "), String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(())
}

fn ip_batch(netns: &str, commands: &str) -> Result<()> {
    let mut child = Command::new("ip")
        .args(["-n", netns, "-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting 'ip'")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(commands.as_bytes()).context("telling 'ip' what to do")?;
    }
    let out = child.wait_with_output().context("waiting for 'ip'")?;
    if !out.status.success() {
        bail!("setting up network {netns} failed: {}", String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_reaches_every_other_nodes_pods_and_not_its_own_through_others() {
        let paths = Paths::new("t").unwrap();
        let nodes: Vec<_> = (1..=3).map(|i| NodePaths::new(&paths, i)).collect();
        let commands = node_commands(&nodes[1], &nodes);
        assert!(commands.contains("addr add 10.77.0.12/24 dev eth0"));
        assert!(commands.contains("link set eth0 address 02:00:0a:4d:01:02"));
        assert!(commands.contains("route add 10.88.1.0/24 via 10.77.0.11"));
        assert!(commands.contains("route add 10.88.3.0/24 via 10.77.0.13"));
        assert!(!commands.contains("10.88.2.0/24"));
    }
}
