//! The controller's flags: as typed, and as meant.

use super::{CliError, KubeFlags, object_name};
use clap::{Args, ValueEnum};
use hotstandby_cluster::connect::ConnectOptions;
use hotstandby_cluster::manifests::DEFAULT_NAMESPACE;
use hotstandby_cluster::names;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use tracing_subscriber::EnvFilter;

/// What picks the replicas of hotstandby among the pods of their namespace.
const PEER_SELECTOR: &str = "app.kubernetes.io/name=hotstandby";

/// The flags as typed.
#[derive(Clone, Debug, Args)]
pub(crate) struct ControllerFlags {
    /// Name of this install: it goes into every object written, and what carries another name is left alone.
    #[arg(long, value_name = "NAME", default_value = names::DEFAULT_CONTROLLER)]
    controller_name: String,
    /// Work for this namespace only; may be repeated. Nodes are not looked at then. All namespaces if not given.
    #[arg(short, long, value_name = "NS", value_parser = object_name)]
    namespace: Vec<String>,
    /// Namespace the seats are kept in: the pod's own, or hotstandby-system outside a cluster.
    #[arg(long, value_name = "NS", value_parser = object_name)]
    seat_namespace: Option<String>,
    /// Name of this replica; the host's name if not given. The first by name among the living is the lead.
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    identity: Option<String>,
    /// The node this replica runs on: a success there proves nothing about other nodes.
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    node: Option<String>,
    /// Namespace of this replica's pod, where the other replicas are looked for.
    #[arg(long, value_name = "NS", env = "POD_NAMESPACE", value_parser = object_name)]
    pod_namespace: Option<String>,
    /// Where probes of the kubelet, metrics and the other replicas' questions are answered.
    #[arg(long, value_name = "IP:PORT", default_value = "0.0.0.0:8080")]
    admin_address: SocketAddr,
    /// Another replica outside a cluster; may be repeated. This replica's own entry is left out, so all may be
    /// given the same.
    #[arg(long, value_name = "NAME=HOST:PORT[@NODE]")]
    peer: Vec<Peer>,
    /// Labels of the pods that are replicas.
    #[arg(long, value_name = "SELECTOR", default_value = PEER_SELECTOR)]
    peer_selector: String,
    /// Form of the log.
    #[arg(long, value_enum, value_name = "FORM", default_value_t)]
    log_format: LogFormat,
    /// What is logged, for example info, debug, or info,kube=debug.
    #[arg(long, value_name = "FILTER", env = "HOTSTANDBY_LOG", default_value = "info")]
    log_level: String,
    /// Context of the kubeconfig to use.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Kubeconfig file to use; else $KUBECONFIG, ~/.kube/config, or the pod's service account.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Another replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its identity.
    pub(crate) name: String,
    /// Host name or address of its admin server.
    pub(crate) host: String,
    /// Port of its admin server.
    pub(crate) port: u16,
    /// The node it runs on.
    pub(crate) node: Option<String>,
}

/// Where the other replicas are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Peers {
    /// These; none: this replica is alone.
    Fixed(Vec<Peer>),
    /// Pods of a namespace.
    Pods {
        /// The namespace.
        namespace: String,
        /// Their label selector.
        selector: String,
    },
}

/// The flags as meant.
#[derive(Clone, Debug)]
pub(crate) struct ControllerConfig {
    /// Name of this install.
    pub(crate) controller_name: String,
    /// The namespaces it works for; empty: all, and nodes are looked at.
    pub(crate) namespaces: Vec<String>,
    /// Where the seats are.
    pub(crate) seat_namespace: String,
    /// Name of this replica.
    pub(crate) identity: String,
    /// Its node.
    pub(crate) node: Option<String>,
    /// Its admin server.
    pub(crate) admin_address: SocketAddr,
    /// The other replicas.
    pub(crate) peers: Peers,
    /// Form of the log.
    pub(crate) log_format: LogFormat,
    /// What is logged: checked to be a filter.
    pub(crate) log_filter: String,
    /// How to find the API server.
    pub(crate) connect: ConnectOptions,
}

impl ControllerFlags {
    /// What the flags mean, `before` being those before the command; or which of them do not go together.
    pub(crate) fn config(self, before: &KubeFlags) -> Result<ControllerConfig, CliError> {
        self.config_on(before, host_name)
    }

    fn config_on(
        self,
        before: &KubeFlags,
        host_name: impl FnOnce() -> Option<String>,
    ) -> Result<ControllerConfig, CliError> {
        check_controller_name(&self.controller_name)?;
        EnvFilter::try_new(&self.log_level).map_err(|error| {
            CliError::Usage(format!("--log-level {:?}: {error}; write for example info", self.log_level))
        })?;
        let identity = self.identity.filter(|name| !name.is_empty()).or_else(host_name).ok_or_else(|| {
            CliError::Usage("--identity is not given, and the host has no name; give --identity".to_owned())
        })?;
        let pod_namespace = self.pod_namespace.clone();
        Ok(ControllerConfig {
            peers: find_peers(self.peer, self.peer_selector, pod_namespace.clone(), &identity)?,
            controller_name: self.controller_name,
            namespaces: self
                .namespace
                .into_iter()
                .chain(before.namespace.clone())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            seat_namespace: self
                .seat_namespace
                .or(pod_namespace)
                .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
            identity,
            node: self.node.filter(|node| !node.is_empty()),
            admin_address: self.admin_address,
            log_format: self.log_format,
            log_filter: self.log_level,
            connect: ConnectOptions {
                kubeconfig: self.kubeconfig.or_else(|| before.kubeconfig.clone()),
                context: self.context.or_else(|| before.context.clone()),
            },
        })
    }
}

/// It is the value of an annotation and a label's prefix and name: keep to what both can hold.
fn check_controller_name(name: &str) -> Result<(), CliError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    if (1..=253).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    Err(CliError::Usage(format!("--controller-name {name:?}: write a name such as example.com/hotstandby")))
}

fn find_peers(
    given: Vec<Peer>,
    selector: String,
    pod_namespace: Option<String>,
    identity: &str,
) -> Result<Peers, CliError> {
    if given.is_empty() {
        return Ok(match pod_namespace {
            Some(namespace) => Peers::Pods { namespace, selector },
            None => Peers::Fixed(Vec::new()),
        });
    }
    if selector != PEER_SELECTOR {
        let text = "--peer and --peer-selector both say who the replicas are; give one of them";
        return Err(CliError::Usage(text.to_owned()));
    }
    let mut names = BTreeSet::new();
    if let Some(twice) = given.iter().find(|peer| !names.insert(peer.name.as_str())) {
        return Err(CliError::Usage(format!(
            "--peer names {} twice; every replica needs a name of its own",
            twice.name
        )));
    }
    Ok(Peers::Fixed(given.into_iter().filter(|peer| peer.name != identity).collect()))
}

impl std::str::FromStr for Peer {
    type Err = String;

    /// `NAME=HOST:PORT[@NODE]`, an IPv6 address in brackets.
    fn from_str(text: &str) -> Result<Self, String> {
        let form =
            || "write NAME=HOST:PORT or NAME=HOST:PORT@NODE, for example b=10.0.0.2:8080@node2".to_owned();
        let (name, rest) = text.split_once('=').ok_or_else(form)?;
        let (address, node) = match rest.rsplit_once('@') {
            Some((address, node)) if !node.is_empty() => (address, Some(node.to_owned())),
            Some(_) => return Err(form()),
            None => (rest, None),
        };
        let (host, port) = address.rsplit_once(':').ok_or_else(form)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(form)?;
        if name.is_empty() || bare.is_empty() || (bare.contains(':') && bare.len() == host.len()) {
            return Err(form());
        }
        Ok(Self { name: name.to_owned(), host: bare.to_owned(), port, node })
    }
}

/// The host's name as the kernel has it.
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok())?.trim().to_owned();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
#[path = "controller_flags_tests.rs"]
mod tests;
