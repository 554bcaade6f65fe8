//! The control plane's programs and their arguments.

use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::config::Spec;
use crate::paths::{CONTROL_PLANE_IP, POD_CIDR, SERVICE_CIDR};

/// A program of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// The store.
    Etcd,
    /// kube-apiserver.
    Apiserver,
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// `CoreDNS`.
    Coredns,
}

impl Component {
    /// All of them, in the order they are started.
    pub const ALL: [Self; 5] =
        [Self::Etcd, Self::Apiserver, Self::ControllerManager, Self::Scheduler, Self::Coredns];

    /// Its name in logs and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Apiserver => "apiserver",
            Self::ControllerManager => "controller-manager",
            Self::Scheduler => "scheduler",
            Self::Coredns => "coredns",
        }
    }

    /// The command that runs it.
    pub(crate) fn command(self, spec: &Spec) -> Command {
        let (program, arguments) = self.invocation(spec);
        let mut command = Command::new(program);
        command.args(arguments).env("PATH", spec.tools.search_path());
        command
    }

    fn invocation(self, spec: &Spec) -> (PathBuf, Vec<String>) {
        match self {
            Self::Etcd => (spec.tools.etcd(), etcd(spec)),
            Self::Apiserver => (spec.tools.kubernetes("kube-apiserver"), apiserver(spec)),
            Self::ControllerManager => {
                (spec.tools.kubernetes("kube-controller-manager"), controller_manager(spec))
            }
            Self::Scheduler => (spec.tools.kubernetes("kube-scheduler"), scheduler(spec)),
            Self::Coredns => {
                (spec.tools.coredns(), vec![format!("-conf={}", spec.paths.corefile().display())])
            }
        }
    }
}

fn etcd(spec: &Spec) -> Vec<String> {
    let (client, peer) = ("http://127.0.0.1:2379", "http://127.0.0.1:2380");
    let mut arguments = vec![
        format!("--data-dir={}", spec.paths.etcd_data().display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
    ];
    if spec.config.etcd_no_fsync {
        arguments.push("--unsafe-no-fsync".to_owned());
    }
    arguments
}

fn apiserver(spec: &Spec) -> Vec<String> {
    let pki = |file: &str| spec.paths.pki().join(file).display().to_string();
    let mut arguments = vec![
        "--etcd-servers=http://127.0.0.1:2379".to_owned(),
        format!("--advertise-address={CONTROL_PLANE_IP}"),
        "--secure-port=6443".to_owned(),
        format!("--client-ca-file={}", pki("ca.crt")),
        format!("--tls-cert-file={}", pki("apiserver.crt")),
        format!("--tls-private-key-file={}", pki("apiserver.key")),
        format!("--service-account-key-file={}", pki("sa.pub")),
        format!("--service-account-signing-key-file={}", pki("sa.key")),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-cluster-ip-range={SERVICE_CIDR}"),
        // So that rights are tested for real.
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged=true".to_owned(),
        format!("--kubelet-client-certificate={}", pki("admin.crt")),
        format!("--kubelet-client-key={}", pki("admin.key")),
        // Node names do not resolve: without this 'kubectl logs' fails.
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
    ];
    arguments.extend(spec.config.apiserver_args.iter().cloned());
    arguments
}

fn controller_manager(spec: &Spec) -> Vec<String> {
    let pki = |file: &str| spec.paths.pki().join(file).display().to_string();
    let mut arguments = vec![
        format!("--kubeconfig={}", spec.paths.kubeconfig("controller-manager").display()),
        format!("--service-account-private-key-file={}", pki("sa.key")),
        format!("--root-ca-file={}", pki("ca.crt")),
        "--use-service-account-credentials=true".to_owned(),
        // One of each runs, so a lease would only cost writes and time.
        "--leader-elect=false".to_owned(),
        format!("--node-monitor-grace-period={}s", spec.config.node_monitor_grace_s),
        format!("--cluster-cidr={POD_CIDR}"),
        "--allocate-node-cidrs=false".to_owned(),
    ];
    arguments.extend(spec.config.controller_manager_args.iter().cloned());
    arguments
}

fn scheduler(spec: &Spec) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", spec.paths.kubeconfig("scheduler").display()),
        "--leader-elect=false".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ClusterConfig;
    use crate::tools::Tools;

    fn spec(config: ClusterConfig) -> Spec {
        Spec { paths: config.check().unwrap(), tools: Tools::cached(), config }
    }

    #[test]
    fn rights_are_tested_for_real() {
        let (program, arguments) = Component::Apiserver.invocation(&spec(ClusterConfig::new("t")));
        assert!(program.ends_with("kube-apiserver"));
        assert!(arguments.contains(&"--authorization-mode=Node,RBAC".to_owned()));
        assert!(arguments.contains(&"--enable-admission-plugins=NodeRestriction".to_owned()));
    }

    #[test]
    fn the_callers_arguments_come_last_and_so_win() {
        let config = ClusterConfig {
            apiserver_args: vec!["--max-requests-inflight=9".into()],
            node_monitor_grace_s: 16,
            ..ClusterConfig::new("t")
        };
        let spec = spec(config);
        let (_, arguments) = Component::Apiserver.invocation(&spec);
        assert_eq!(arguments.last().map(String::as_str), Some("--max-requests-inflight=9"));
        let (_, arguments) = Component::ControllerManager.invocation(&spec);
        assert!(arguments.contains(&"--node-monitor-grace-period=16s".to_owned()));
    }

    #[test]
    fn etcd_syncs_when_asked() {
        let config = ClusterConfig { etcd_no_fsync: false, ..ClusterConfig::new("t") };
        let (_, arguments) = Component::Etcd.invocation(&spec(config));
        assert!(!arguments.iter().any(|a| a.contains("fsync")));
    }
}
