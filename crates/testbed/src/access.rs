//! Ways to reach the API server, as anybody.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use crate::cluster::{
    Authority, Cluster, for_certificate, for_token, host_server, inside_server, is_ready, write_kubeconfig,
};
use crate::paths::NodePaths;

/// How long tokens made here are valid.
const TOKEN_LIFE_S: i64 = 24 * 3600;

/// The two kubeconfigs of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubeconfigs {
    /// For programs inside the cluster's network.
    pub inside: PathBuf,
    /// For programs on the host; goes through the supervisor's relay.
    pub host: PathBuf,
}

impl Cluster {
    /// A client with all rights, usable from anywhere on the host, through the supervisor's relay.
    pub async fn client(&self) -> Result<Client> {
        client_from(&self.host_kubeconfig()).await
    }

    /// The administrator's kubeconfig for programs on the host.
    pub fn host_kubeconfig(&self) -> PathBuf {
        self.paths().host_kubeconfig("admin")
    }

    /// The administrator's kubeconfig for programs inside the cluster's network, without the relay's detour:
    /// for measuring, in a thread of [`crate::netns::spawn_in_netns`].
    pub fn inside_kubeconfig(&self) -> PathBuf {
        self.paths().kubeconfig("admin")
    }

    /// Makes kubeconfigs for a made-up user, who is in one group or in none.
    pub fn user_kubeconfig(&self, user: &str, group: Option<&str>) -> Result<Kubeconfigs> {
        let authority = Authority::load(self.paths())?;
        let signed = authority.sign(user, group, &[])?;
        let port = self.status()?.host_port;
        self.write_both(user, |server| for_certificate(&authority, server, &signed), port)
    }

    /// Makes kubeconfigs that act as a service account, with a token valid for a day.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<Kubeconfigs> {
        let authority = Authority::load(self.paths())?;
        let port = self.status()?.host_port;
        let api: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        let wanted = TokenRequest {
            spec: TokenRequestSpec { expiration_seconds: Some(TOKEN_LIFE_S), ..Default::default() },
            ..Default::default()
        };
        let answer: TokenRequest = api
            .create_subresource("token", name, &PostParams::default(), &wanted)
            .await
            .with_context(|| format!("asking for a token of service account {namespace}/{name}"))?;
        let token = answer.status.context("the API server answered a token request without a token")?.token;
        self.write_both(&format!("{namespace}-{name}"), |server| for_token(&authority, server, &token), port)
    }

    fn write_both(
        &self,
        user: &str,
        make: impl Fn(&str) -> serde_json::Value,
        host_port: u16,
    ) -> Result<Kubeconfigs> {
        // User names may be like `system:node:n1`.
        let file: String =
            user.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
        let file = format!("user-{file}");
        let made =
            Kubeconfigs { inside: self.paths().kubeconfig(&file), host: self.paths().host_kubeconfig(&file) };
        write_kubeconfig(&made.inside, &make(&inside_server()))?;
        write_kubeconfig(&made.host, &make(&host_server(host_port)))?;
        Ok(made)
    }

    /// Waits until a node is Ready or not, and tells how long that took. Ready is believed only once the
    /// node's present life has renewed its lease: for a while the API server shows what a dead node said last.
    pub async fn wait_node_ready(&self, name: &str, ready: bool, limit: Duration) -> Result<Duration> {
        let start = Instant::now();
        let paths = self.node(name)?;
        let client = self.client().await?;
        let nodes: Api<Node> = Api::all(client.clone());
        let leases: Api<Lease> = Api::namespaced(client, "kube-node-lease");
        loop {
            if let (Ok(node), Ok(lease)) = (nodes.get(name).await, leases.get(name).await)
                && is_ready(&node) == ready
                && (!ready || renewed_since_start(&lease, &paths))
            {
                return Ok(start.elapsed());
            }
            if start.elapsed() > limit {
                let wanted = if ready { "Ready" } else { "NotReady" };
                bail!("node {name} did not become {wanted} within {limit:?}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Whether a node's lease was renewed after its first process had started.
fn renewed_since_start(lease: &Lease, node: &NodePaths) -> bool {
    let started = std::fs::metadata(node.pid_file())
        .and_then(|metadata| metadata.modified())
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .and_then(|since| i128::try_from(since.as_nanos()).ok());
    let renewed =
        lease.spec.as_ref().and_then(|spec| spec.renew_time.as_ref()).map(|time| time.0.as_nanosecond());
    matches!((started, renewed), (Some(started), Some(renewed)) if renewed > started)
}

/// A client from a kubeconfig file.
pub async fn client_from(kubeconfig: &Path) -> Result<Client> {
    let read = Kubeconfig::read_from(kubeconfig)
        .with_context(|| format!("reading kubeconfig {}", kubeconfig.display()))?;
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .with_context(|| format!("using kubeconfig {}", kubeconfig.display()))?;
    Client::try_from(config).context("making a client for the API server")
}
