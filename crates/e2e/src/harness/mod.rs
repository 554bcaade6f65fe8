//! The cluster with hotstandby on it, which all tests share.
//!
//! [`bring_up`] builds and starts it, [`heal`] repairs it after a test, [`replicas`] is hotstandby's own Deployment.

mod bring_up;
mod heal;
mod logs;
mod replicas;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::jiff::Timestamp;

use crate::audit::Audit;
use crate::objects::Objects;
use hotstandby_testbed::Cluster;
use hotstandby_testbed::cluster::Component;
use hotstandby_testbed::faults::Inflicted;
use hotstandby_testbed::netns::in_netns;
use hotstandby_testbed::paths::{CONTROL_PLANE, NodePaths, workspace_root};
use hotstandby_testbed::progress::Progress;

pub use bring_up::{Prepared, Which, prepare};
pub use replicas::Replica;

/// Where hotstandby lives and keeps its seats.
pub const SYSTEM: &str = "hotstandby-system";
/// What picks its replicas.
pub const REPLICAS: &str = "app.kubernetes.io/name=hotstandby";
/// How long a start of pods may take on a busy machine.
pub const START_LIMIT: Duration = Duration::from_secs(90);

/// The cluster, a client, and hotstandby's own program.
pub struct Env {
    /// The cluster.
    pub cluster: Cluster,
    /// Its API.
    pub objects: Objects,
    /// Progress lines.
    pub progress: Progress,
    cli: PathBuf,
    /// When programs of the control plane were started again.
    restarts: Mutex<Vec<Timestamp>>,
    /// Whether a program of the control plane was killed since the cluster was last healed.
    worn: AtomicBool,
    /// Whether the admission policies are applied.
    guarded: AtomicBool,
    /// Whether this run includes every test.
    all: AtomicBool,
    /// How many clients were started, so that they are spread over the nodes.
    clients: AtomicUsize,
}

impl Env {
    /// Installs hotstandby by the YAML users apply, and waits until both replicas are ready.
    pub async fn install(prepared: Prepared) -> Result<Arc<Self>> {
        let Prepared { cluster, cli, archive, progress } = prepared;
        let attached = cluster.status()?;
        if !attached.owned {
            cluster.load_image(&archive)?;
        }
        let objects = Objects::new(cluster.client().await?);
        let env = Self {
            cluster,
            objects,
            progress,
            cli,
            restarts: Mutex::default(),
            worn: AtomicBool::default(),
            guarded: AtomicBool::default(),
            all: AtomicBool::default(),
            clients: AtomicUsize::default(),
        };
        let deploy = workspace_root().join("deploy");
        for file in ["crd.yaml", "install.yaml"] {
            env.apply(&deploy.join(file)).await?;
        }
        if !attached.owned {
            // Of the same version, but maybe of another build.
            env.kubectl(&["rollout", "restart", "deployment/hotstandby", "-n", SYSTEM]).await?;
            env.kubectl(&["rollout", "status", "deployment/hotstandby", "-n", SYSTEM, "--timeout=90s"])
                .await?;
        }
        env.wait_for_replicas(2, START_LIMIT).await?;
        env.progress.say("hotstandby is installed, two replicas ready");
        Ok(Arc::new(env))
    }

    /// The API server's log of what hotstandby asked for, if it keeps one.
    pub fn audit(&self) -> Option<Audit> {
        Audit::of(&self.cluster.config().apiserver_args)
    }

    /// The node for the next client: one that is none of `not_on`, each in its turn.
    pub fn node_for_client(&self, not_on: &[&str]) -> Result<NodePaths> {
        let mut nodes = self.cluster.nodes();
        nodes.retain(|node| !not_on.contains(&node.name().as_str()));
        ensure!(!nodes.is_empty(), "no node is left for the client: it must not run on {not_on:?}");
        let turn = self.clients.fetch_add(1, Ordering::Relaxed) % nodes.len();
        nodes.into_iter().nth(turn).context("the turn is below the number of nodes")
    }

    /// Whether this run includes every test.
    pub fn runs_all(&self) -> bool {
        self.all.load(Ordering::Relaxed)
    }

    /// Notes whether this run includes every test.
    pub fn set_runs_all(&self, all: bool) {
        self.all.store(all, Ordering::Relaxed);
    }

    /// Kills a program of the control plane.
    pub fn kill(&self, component: Component) -> Result<Inflicted> {
        self.worn.store(true, Ordering::Relaxed);
        self.cluster.faults().kill(component)
    }

    /// Starts it again.
    pub fn restart(&self, component: Component) -> Result<Inflicted> {
        self.restarts.lock().unwrap_or_else(PoisonError::into_inner).push(Timestamp::now());
        self.cluster.faults().restart(component)
    }

    /// When programs of the control plane were started again.
    pub fn restarts(&self) -> Vec<Timestamp> {
        self.restarts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// hotstandby's own program.
    pub fn cli(&self) -> &Path {
        &self.cli
    }

    /// `kubectl apply --server-side`.
    pub async fn apply(&self, file: &Path) -> Result<String> {
        let file = file.display().to_string();
        self.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &file]).await
    }

    /// Grants hotstandby rights beyond its own, by the YAML that users apply.
    pub async fn grant(&self, with: &[&str]) -> Result<()> {
        for with in with {
            self.apply(&right_file(with)).await?;
        }
        Ok(())
    }

    /// Takes such a right away, if it was granted.
    pub async fn take_back(&self, with: &str) -> Result<()> {
        let file = right_file(with).display().to_string();
        self.kubectl(&["delete", "--ignore-not-found", "-f", &file]).await.map(drop)
    }

    /// Runs kubectl as administrator.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(self.cluster.program("kubectl"));
        command.arg(format!("--kubeconfig={}", self.cluster.host_kubeconfig().display())).args(arguments);
        let (ok, output) = run(command).await?;
        if !ok {
            bail!("'kubectl {}' failed: {output}", arguments.join(" "));
        }
        Ok(output)
    }

    /// Runs hotstandby's own program as administrator: whether it succeeded, and what it said.
    pub async fn hotstandby(&self, arguments: &[&str]) -> Result<(bool, String)> {
        let mut command = Command::new(&self.cli);
        command.args(arguments).env("KUBECONFIG", self.cluster.host_kubeconfig());
        run(command).await
    }

    /// GET from inside the cluster's network, but from no node: status and body.
    pub async fn get(&self, ip: &str, port: u16, path: &str) -> Result<(u16, String)> {
        let address: SocketAddr =
            format!("{ip}:{port}").parse().with_context(|| format!("no address: {ip}"))?;
        let (netns, path) = (self.cluster.netns(CONTROL_PLANE), path.to_owned());
        blocking(move || in_netns(&netns, move || http_get(address, &path))?).await
    }
}

fn right_file(with: &str) -> PathBuf {
    workspace_root().join(format!("deploy/with-{with}.yaml"))
}

/// Blocking work on a thread of its own.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.context("a blocking part ended early")?
}

/// Runs a program to its end: whether it succeeded, and all it said.
async fn run(mut command: Command) -> Result<(bool, String)> {
    blocking(move || {
        let out = command
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("starting {}", command.get_program().display()))?;
        let said = [out.stdout, out.stderr].concat();
        Ok((out.status.success(), String::from_utf8_lossy(&said).trim().to_owned()))
    })
    .await
}

fn http_get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let limit = Duration::from_secs(3);
    let mut stream =
        TcpStream::connect_timeout(&address, limit).with_context(|| format!("connecting to {address}"))?;
    stream.set_read_timeout(Some(limit)).context("limiting a read")?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).with_context(|| format!("asking {address}"))?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).with_context(|| format!("reading {address}{path}"))?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Ok((status, body.to_owned()))
}
