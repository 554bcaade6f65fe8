//! The command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use hotstandby_testbed::cluster::Component;

/// A real Kubernetes on this machine: every node is a set of namespaces of its own.
#[derive(Debug, Parser)]
#[command(name = "testbed", version)]
pub(crate) struct Args {
    /// Which cluster; several may run side by side.
    #[arg(long, global = true, default_value = "testbed", env = "HOTSTANDBY_TESTBED_NAME")]
    pub(crate) name: String,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a cluster and leave it running; builds Kubernetes the first time.
    Up(Up),
    /// End a cluster; keeps its logs. Also clears up after one that was killed.
    Down {
        /// All clusters of this workspace.
        #[arg(long)]
        all: bool,
    },
    /// Show what runs.
    Status,
    /// Run the cluster's kubectl as administrator.
    Kubectl {
        /// Its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run a command on a node (n1, n2, …) or in the control plane's network (cp).
    On {
        /// n1, n2, … or cp.
        machine: String,
        /// The command.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
    /// Hurt the cluster, or undo it.
    #[command(subcommand)]
    Fault(Fault),
    /// Load an image archive on all nodes, or `hotstandby` to build and load its own image.
    LoadImage {
        /// A `docker save` archive, or the word `hotstandby`.
        archive: PathBuf,
    },
    /// Open a new connection every few milliseconds and print who answered, and every gap.
    Client(Client),
    /// Ask the cluster's DNS for a name, and print each record with its time to live.
    Resolve(Resolve),
    /// Show the end of a program's log; without a name, list the logs.
    Logs {
        /// For example `apiserver` or `n1-kubelet`.
        log: Option<String>,
        /// How many lines.
        #[arg(long, default_value_t = 40)]
        lines: usize,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Up {
    /// How many nodes.
    #[arg(long, default_value_t = 3)]
    pub(crate) nodes: u8,
    /// Seconds of silence after which a node counts as not ready.
    #[arg(long, default_value_t = 50)]
    pub(crate) node_monitor_grace: u32,
    /// Seconds between a kubelet's looks at its own status.
    #[arg(long, default_value_t = 10)]
    pub(crate) kubelet_status_update: u32,
    /// Let etcd wait for the disk, as in production.
    #[arg(long)]
    pub(crate) etcd_fsync: bool,
    /// One more argument for kube-apiserver, for example `--apiserver-arg=--v=2`; may be repeated.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) apiserver_arg: Vec<String>,
    /// One more argument for kube-controller-manager; may be repeated.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) controller_manager_arg: Vec<String>,
    /// An image archive to load; may be repeated.
    #[arg(long)]
    pub(crate) image: Vec<PathBuf>,
    /// Stay in the foreground; the cluster ends with this program.
    #[arg(long)]
    pub(crate) foreground: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Fault {
    /// Cut a node's power.
    PowerOff {
        /// n1, n2, …
        node: String,
    },
    /// Give it power again.
    PowerOn {
        /// n1, n2, …
        node: String,
        /// Do not wait until it is Ready.
        #[arg(long)]
        no_wait: bool,
    },
    /// Pull a node's cable.
    LinkDown {
        /// n1, n2, …
        node: String,
    },
    /// Plug it in again.
    LinkUp {
        /// n1, n2, …
        node: String,
    },
    /// Stop every process of a node.
    Freeze {
        /// n1, n2, …
        node: String,
    },
    /// Let them go on.
    Thaw {
        /// n1, n2, …
        node: String,
    },
    /// Stop one process of the cluster.
    FreezeProcess {
        /// Its number on this machine.
        pid: i32,
    },
    /// Let it go on.
    ThawProcess {
        /// Its number on this machine.
        pid: i32,
    },
    /// Kill or restart the API server.
    Apiserver {
        /// What to do.
        action: Action,
    },
    /// Kill or restart etcd.
    Etcd {
        /// What to do.
        action: Action,
    },
    /// Kill or restart kube-controller-manager.
    ControllerManager {
        /// What to do.
        action: Action,
    },
    /// Kill or restart kube-scheduler.
    Scheduler {
        /// What to do.
        action: Action,
    },
    /// Kill or restart `CoreDNS`.
    Coredns {
        /// What to do.
        action: Action,
    },
    /// Kill the main process of a container.
    KillContainer {
        /// NAMESPACE/POD, or POD in the namespace `default`.
        pod: String,
        /// Which container; the first if left out.
        container: Option<String>,
        /// Which signal.
        #[arg(long, default_value = "KILL")]
        signal: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Action {
    Kill,
    Restart,
}

impl Fault {
    /// The fault's control plane program and action, if it is of that kind.
    pub(crate) fn component(&self) -> Option<(Component, Action)> {
        match self {
            Self::Apiserver { action } => Some((Component::Apiserver, *action)),
            Self::Etcd { action } => Some((Component::Etcd, *action)),
            Self::ControllerManager { action } => Some((Component::ControllerManager, *action)),
            Self::Scheduler { action } => Some((Component::Scheduler, *action)),
            Self::Coredns { action } => Some((Component::Coredns, *action)),
            _ => None,
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Client {
    /// For example `http://10.96.0.100:80/`.
    pub(crate) url: String,
    /// For how long.
    pub(crate) seconds: f64,
    /// From which machine: n1, n2, …, cp, or host.
    #[arg(long, default_value = "n1")]
    pub(crate) from: String,
    /// Milliseconds between connections.
    #[arg(long, default_value_t = 5)]
    pub(crate) period_ms: u64,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Resolve {
    /// The whole name, for example `web.default.svc.cluster.local`.
    pub(crate) host: String,
    /// Which records.
    #[arg(default_value = "a")]
    pub(crate) kind: RecordKind,
    /// From which machine: n1, n2, … or cp.
    #[arg(long, default_value = "n1")]
    pub(crate) from: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RecordKind {
    A,
    Aaaa,
    Srv,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn parse(line: &str) -> Args {
        Args::try_parse_from(line.split(' ')).unwrap()
    }

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn kubectls_own_flags_reach_kubectl() {
        let Command::Kubectl { arguments } = parse("testbed kubectl get pods -A -o wide").command else {
            panic!("not kubectl");
        };
        assert_eq!(arguments, ["get", "pods", "-A", "-o", "wide"]);
    }

    #[test]
    fn a_kubectl_flag_called_name_is_kubectls() {
        let args = parse("testbed --name x kubectl get pods --name y");
        let Command::Kubectl { arguments } = args.command else { panic!("not kubectl") };
        assert_eq!((args.name.as_str(), arguments.len()), ("x", 4));
    }

    #[test]
    fn commands_on_a_node_keep_their_flags() {
        let Command::On { machine, command } = parse("testbed on n1 ip -4 addr").command else {
            panic!("not on");
        };
        assert_eq!((machine.as_str(), command.len()), ("n1", 3));
    }

    #[test]
    fn defaults_are_upstreams() {
        let args = parse("testbed up");
        let Command::Up(up) = args.command else { panic!("not up") };
        assert_eq!((up.nodes, up.node_monitor_grace, up.kubelet_status_update), (3, 50, 10));
        assert_eq!(args.name, "testbed");
    }

    #[test]
    fn faults_of_the_control_plane_name_their_program() {
        let Command::Fault(fault) = parse("testbed fault etcd restart").command else { panic!("no fault") };
        assert_eq!(fault.component(), Some((Component::Etcd, Action::Restart)));
    }
}
