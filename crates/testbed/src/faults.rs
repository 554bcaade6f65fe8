//! Ways to hurt a cluster, and how to undo each.
//!
//! Calls that matter for measuring return an [`Inflicted`] with the instant *just before* the deed, so that a
//! measured outage is never shorter than the real one.

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, anyhow, bail};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::{Api, Client};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cluster::{
    Cgroup, Cluster, Component, Request, is_first_of_its_namespace, link_is_up, set_link, working_set,
};
use crate::paths::NodePaths;

/// Where containerd puts containers below a node's cgroup: the name of its namespace for Kubernetes.
const CONTAINERS: &str = "k8s.io";

/// When a fault was made.
#[derive(Debug, Clone, Copy)]
pub struct Inflicted {
    /// On the clock that a [`crate::trace::Trace`] uses.
    pub at: Instant,
    /// On the wall clock, for comparing with objects' time stamps.
    pub wall: SystemTime,
}

impl Inflicted {
    /// Now.
    pub fn now() -> Self {
        Self { at: Instant::now(), wall: SystemTime::now() }
    }
}

/// The main process of a container, found ahead so that the signal itself takes no time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerProcess {
    /// The machine's number of the process.
    pub pid: i32,
    /// Where it runs.
    pub node: String,
    /// The container runtime's id of the container.
    pub container_id: String,
}

impl ContainerProcess {
    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<Inflicted> {
        send(self.pid, signal)
    }
}

/// See [`Cluster::faults`].
#[derive(Debug, Clone, Copy)]
pub struct Faults<'a> {
    cluster: &'a Cluster,
}

impl<'a> Faults<'a> {
    pub(crate) fn new(cluster: &'a Cluster) -> Self {
        Self { cluster }
    }

    /// Cuts a node's power: its link goes down and then all its processes die, so that nobody hears a last
    /// word of theirs. Returns when they are dead.
    pub fn power_off(&self, node: &str) -> Result<Inflicted> {
        let node = self.cluster.node(node)?;
        let pid = first_process(&node)?;
        let inflicted = Inflicted::now();
        set_link(self.cluster.paths(), &node, false)?;
        send(pid, Signal::SIGKILL)?;
        // What is frozen dies only once thawed.
        Cgroup::new(&node.cgroup())?.kill_all()?;
        self.wait_for_power(&node, false)?;
        Ok(inflicted)
    }

    /// Gives a node power again: same name, same disk, and everything a reboot clears is cleared. Returns
    /// when it has started to start; see [`Cluster::wait_node_ready`].
    pub fn power_on(&self, node: &str) -> Result<()> {
        self.cluster.node(node)?;
        self.cluster.ask(&Request::PowerOn { node: node.to_owned() })?;
        self.wait_for_power(&self.cluster.node(node)?, true)
    }

    /// Cuts a node off from all others. What runs on it goes on, also connections among its own pods.
    pub fn link_down(&self, node: &str) -> Result<Inflicted> {
        self.set_link(node, false)
    }

    /// Ends [`Self::link_down`].
    pub fn link_up(&self, node: &str) -> Result<Inflicted> {
        self.set_link(node, true)
    }

    fn set_link(self, node: &str, up: bool) -> Result<Inflicted> {
        let node = self.cluster.node(node)?;
        let inflicted = Inflicted::now();
        set_link(self.cluster.paths(), &node, up)?;
        Ok(inflicted)
    }

    /// Stops every process of a node, containers included, also those just being started. The kernel lives
    /// on: connections are accepted and pings answered, but nobody reads. Add [`Self::link_down`] for what a
    /// paused virtual machine looks like from outside.
    pub fn freeze(&self, node: &str) -> Result<Inflicted> {
        let node = self.cluster.node(node)?;
        first_process(&node)?;
        let inflicted = Inflicted::now();
        Cgroup::new(&node.cgroup())?.set_frozen(true)?;
        Ok(inflicted)
    }

    /// Ends [`Self::freeze`].
    pub fn thaw(&self, node: &str) -> Result<Inflicted> {
        let node = self.cluster.node(node)?;
        let inflicted = Inflicted::now();
        Cgroup::new(&node.cgroup())?.set_frozen(false)?;
        Ok(inflicted)
    }

    /// Stops one process.
    pub fn freeze_process(&self, pid: i32) -> Result<Inflicted> {
        self.own(pid)?;
        send(pid, Signal::SIGSTOP)
    }

    /// Lets it go on.
    pub fn thaw_process(&self, pid: i32) -> Result<Inflicted> {
        self.own(pid)?;
        send(pid, Signal::SIGCONT)
    }

    /// Kills a program of the control plane; it stays away until [`Self::restart`].
    pub fn kill(&self, component: Component) -> Result<Inflicted> {
        let inflicted = Inflicted::now();
        self.cluster.ask(&Request::Kill { component })?;
        Ok(inflicted)
    }

    /// Starts a program of the control plane, after killing it where it runs.
    pub fn restart(&self, component: Component) -> Result<Inflicted> {
        let inflicted = Inflicted::now();
        self.cluster.ask(&Request::Restart { component })?;
        Ok(inflicted)
    }

    /// Finds the main process of a pod's container; of its first one if no name is given.
    pub async fn find_container(
        &self,
        client: &Client,
        namespace: &str,
        pod: &str,
        container: Option<&str>,
    ) -> Result<ContainerProcess> {
        let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let found = api.get(pod).await.with_context(|| format!("reading pod {namespace}/{pod}"))?;
        let (node, id) = container_of(&found, container)?;
        let processes = self.container_cgroup(&node, &id)?.processes();
        let pid = processes
            .iter()
            .copied()
            .find(|pid| is_first_of_its_namespace(*pid))
            // With a shared PID namespace nobody is the first: the oldest is the best guess then.
            .or_else(|| processes.iter().copied().min())
            .with_context(|| format!("container {id} of pod {namespace}/{pod} on {node} has no process"))?;
        Ok(ContainerProcess { pid, node, container_id: id })
    }

    /// All processes of a container, by the machine's numbers.
    pub fn container_processes(&self, container: &ContainerProcess) -> Result<Vec<i32>> {
        Ok(self.container_cgroup(&container.node, &container.container_id)?.processes())
    }

    /// The memory of a container in bytes, as `kubectl top` shows it: its working set.
    pub fn container_memory(&self, container: &ContainerProcess) -> Result<u64> {
        let node = self.cluster.node(&container.node)?.cgroup();
        working_set(&node.join(CONTAINERS).join(&container.container_id))
    }

    fn container_cgroup(self, node: &str, container_id: &str) -> Result<Cgroup> {
        Ok(Cgroup::new(&self.cluster.node(node)?.cgroup())?.child(CONTAINERS).child(container_id))
    }

    /// Restarts Kubernetes' own clients of the API server: the controller manager, the scheduler, and each node's kubelet and
    /// kube-proxy. While the API server is away they wait longer and longer between two tries, and they keep that pace for
    /// minutes after it is back.
    pub fn restart_clients(&self) -> Result<()> {
        for component in [Component::ControllerManager, Component::Scheduler] {
            self.restart(component)?;
        }
        for node in self.cluster.nodes() {
            for pid in Cgroup::new(&node.cgroup())?.child("system").processes() {
                let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                if matches!(name.trim(), "kube-proxy" | "kubelet") {
                    // The node's first process starts it again.
                    let _gone_already = kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
            }
        }
        Ok(())
    }

    /// Sends a signal to the main process of a pod's container. To measure from the signal, take
    /// [`Self::find_container`] first and signal what it returns.
    pub async fn kill_container(
        &self,
        client: &Client,
        namespace: &str,
        pod: &str,
        container: Option<&str>,
        signal: Signal,
    ) -> Result<Inflicted> {
        self.find_container(client, namespace, pod, container).await?.signal(signal)
    }

    /// Whether a node's cable is plugged in.
    pub fn has_link(&self, node: &str) -> Result<bool> {
        Ok(link_is_up(self.cluster.paths(), &self.cluster.node(node)?))
    }

    /// Whether a node is frozen.
    pub fn is_frozen(&self, node: &str) -> Result<bool> {
        Ok(Cgroup::new(&self.cluster.node(node)?.cgroup())?.is_frozen())
    }

    /// The machine's number for a node's first process.
    pub fn first_process(&self, node: &str) -> Result<i32> {
        first_process(&self.cluster.node(node)?)
    }

    /// Refuses to touch a process that is not the cluster's.
    fn own(self, pid: i32) -> Result<()> {
        let all = Cgroup::new(&self.cluster.paths().cgroup())?.processes();
        if all.contains(&pid) {
            return Ok(());
        }
        bail!("process {pid} is not one of cluster '{}'", self.cluster.name())
    }

    fn wait_for_power(self, node: &NodePaths, on: bool) -> Result<()> {
        let limit = Instant::now() + Duration::from_secs(20);
        loop {
            let status = self.cluster.status()?;
            let runs = status.nodes.get(&node.name()).copied().unwrap_or_default();
            // Only with its pid file is a node up enough to be cut off again.
            if runs == on && node.pid_file().exists() == on {
                return Ok(());
            }
            if Instant::now() > limit {
                let wanted = if on { "start" } else { "die" };
                bail!("node {} did not {wanted} within 20 s: see its log", node.name());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn first_process(node: &NodePaths) -> Result<i32> {
    let text = fs::read_to_string(node.pid_file())
        .map_err(|_| anyhow!("node {} has no power: 'fault power-on {0}' gives it some", node.name()))?;
    text.trim().parse().with_context(|| format!("reading {}", node.pid_file().display()))
}

fn send(pid: i32, signal: Signal) -> Result<Inflicted> {
    let inflicted = Inflicted::now();
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) => Ok(inflicted),
        Err(Errno::ESRCH) => bail!("process {pid} has ended already"),
        Err(errno) => Err(errno).with_context(|| format!("sending {signal} to process {pid}")),
    }
}

/// The node and the container's id, from a pod's status.
fn container_of(pod: &Pod, container: Option<&str>) -> Result<(String, String)> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let node = node.with_context(|| format!("pod {name} is on no node yet"))?;
    let status = pod.status.as_ref();
    let own = status.and_then(|s| s.container_statuses.as_ref()).into_iter().flatten();
    let init = status.and_then(|s| s.init_container_statuses.as_ref()).into_iter().flatten();
    let all: Vec<&ContainerStatus> = own.chain(init).collect();
    let found = match container {
        Some(wanted) => all.iter().find(|status| status.name == wanted),
        None => all.first(),
    };
    let Some(found) = found else {
        let names: Vec<&str> = all.iter().map(|status| status.name.as_str()).collect();
        bail!("pod {name} has no running container '{}': it has {names:?}", container.unwrap_or("(first)"));
    };
    let running = found.state.as_ref().is_some_and(|state| state.running.is_some());
    let id = found.container_id.as_deref().and_then(|id| id.split_once("://")).map(|(_, id)| id.to_owned());
    match id {
        Some(id) if running => Ok((node, id)),
        _ => bail!("container '{}' of pod {name} does not run", found.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(containers: &serde_json::Value) -> Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": "web-1"},
            "spec": {"nodeName": "n2", "containers": []},
            "status": {"containerStatuses": containers},
        }))
        .unwrap()
    }

    fn status(name: &str, running: bool) -> serde_json::Value {
        let state = if running { "running" } else { "waiting" };
        serde_json::json!({
            "name": name, "containerID": format!("containerd://id-{name}"), "image": "", "imageID": "",
            "ready": true, "restartCount": 0, "state": {state: {}},
        })
    }

    #[test]
    fn a_container_is_found_by_name_or_as_the_first() {
        let pod = pod(&serde_json::json!([status("app", true), status("sidecar", true)]));
        assert_eq!(container_of(&pod, None).unwrap(), ("n2".into(), "id-app".into()));
        assert_eq!(container_of(&pod, Some("sidecar")).unwrap().1, "id-sidecar");
        let error = container_of(&pod, Some("x")).unwrap_err().to_string();
        assert!(error.contains("sidecar"), "{error}");
    }

    #[test]
    fn a_container_that_does_not_run_has_nothing_to_kill() {
        let pod = pod(&serde_json::json!([status("app", false)]));
        assert!(container_of(&pod, None).unwrap_err().to_string().contains("does not run"));
    }
}
