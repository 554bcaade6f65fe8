//! The cluster with hotstandby on it, that all tests share.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::audit::Audit;
use super::objects::{Kind, Objects, is_ready_pod, name_of, text};
use super::watchdog::pod_ip;
use hotstandby_testbed::cluster::Component;
use hotstandby_testbed::faults::Inflicted;
use hotstandby_testbed::netns::in_netns;
use hotstandby_testbed::paths::{CONTROL_PLANE, workspace_root};
use hotstandby_testbed::progress::{Progress, require_root};
use hotstandby_testbed::wait::until;
use hotstandby_testbed::{Cluster, ClusterConfig, image};

/// Where hotstandby lives and keeps its seats.
pub const SYSTEM: &str = "hotstandby-system";
/// What picks its replicas.
pub const REPLICAS: &str = "app.kubernetes.io/name=hotstandby";
/// The port of their admin servers.
const ADMIN_PORT: u16 = 8080;
/// How long a start of pods may take on a busy machine.
pub const START_LIMIT: Duration = Duration::from_secs(90);

/// One replica of hotstandby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Its pod.
    pub name: String,
    /// Its node.
    pub node: String,
    /// Its address.
    pub ip: String,
}

fn policies_file() -> PathBuf {
    workspace_root().join("deploy/with-policies.yaml")
}

/// What [`Env`] is made of, before anything asynchronous starts.
pub struct Prepared {
    cluster: Cluster,
    cli: PathBuf,
    archive: PathBuf,
    progress: Progress,
}

/// A name of a cluster, and whether it is somebody else's.
#[derive(Debug, Clone)]
pub enum Which {
    /// One of our own: made now, ended with us.
    Own(String),
    /// The same, but it stays up; one of that name that is up already serves as well.
    Kept(String),
    /// One that is up, and stays up.
    Existing(String),
}

/// Builds what is to be tested and brings the cluster up, or finds it. To be called before any runtime exists.
pub fn prepare(which: &Which) -> Result<Prepared> {
    require_root()?;
    let progress = Progress::stderr();
    hotstandby_testbed::tools::ensure(&progress)?;
    let archive = image::hotstandby_archive(&progress)?;
    let cli = image::build_static(&progress, "hotstandby", "hotstandby")?;
    let cluster = match which {
        Which::Existing(name) => Cluster::attach(name)?,
        Which::Own(name) => {
            let folder = workspace_root().join(".cache/e2e").join(name);
            let config = ClusterConfig {
                images: vec![archive.clone()],
                apiserver_args: Audit::prepare(&folder)?,
                ..ClusterConfig::new(name)
            };
            Cluster::start(config)?
        }
        Which::Kept(name) => match Cluster::attach(name) {
            Ok(cluster) => cluster,
            Err(_not_up) => {
                let config = ClusterConfig { images: vec![archive.clone()], ..ClusterConfig::new(name) };
                Cluster::start_detached(config)?
            }
        },
    };
    Ok(Prepared { cluster, cli, archive, progress })
}

impl Prepared {
    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }
}

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
    /// Whether that was since everything was last made whole.
    worn: AtomicBool,
    /// Whether the admission policies are up.
    guarded: AtomicBool,
    /// Whether all tests are run, and not some only.
    all: AtomicBool,
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

    /// Whether all tests are run, and not some only.
    pub fn runs_all(&self) -> bool {
        self.all.load(Ordering::Relaxed)
    }

    /// Says that all tests are run.
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

    /// Puts the admission policies up, until everything is made whole again.
    pub async fn put_policies(&self) -> Result<()> {
        self.guarded.store(true, Ordering::Relaxed);
        self.apply(&policies_file()).await.map(|_| ())
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

    /// The replicas that are ready, by name: the first one is the lead.
    pub async fn replicas(&self) -> Result<Vec<Replica>> {
        self.replicas_in(SYSTEM).await
    }

    async fn replicas_in(&self, namespace: &str) -> Result<Vec<Replica>> {
        let (pods, _) = self.objects.list(Kind::Pod, namespace, REPLICAS).await?;
        let mut ready: Vec<Replica> = pods.iter().filter(|pod| is_ready_pod(pod)).map(replica).collect();
        ready.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(ready)
    }

    /// Waits until exactly so many replicas are ready and no other is there.
    pub async fn wait_for_replicas(&self, count: usize, limit: Duration) -> Result<Vec<Replica>> {
        self.wait_for_replicas_in(SYSTEM, count, limit).await
    }

    /// The same for another install.
    pub async fn wait_for_replicas_in(
        &self,
        namespace: &str,
        count: usize,
        limit: Duration,
    ) -> Result<Vec<Replica>> {
        until(limit, &format!("{count} ready replicas of hotstandby"), async || {
            let (pods, _) = self.objects.list(Kind::Pod, namespace, REPLICAS).await?;
            let ready = self.replicas_in(namespace).await?;
            Ok((ready.len() == count && pods.len() == count).then_some(ready))
        })
        .await
    }

    /// Wants so many replicas, and waits until it is so.
    pub async fn scale(&self, count: usize) -> Result<Vec<Replica>> {
        let change = json!({"spec": {"replicas": count}});
        self.objects.patch(Kind::Deployment, SYSTEM, "hotstandby", &change).await?;
        self.wait_for_replicas(count, START_LIMIT).await
    }

    /// One metric of a replica, as the sum over its labels.
    pub async fn metric(&self, replica: &Replica, name: &str) -> Result<f64> {
        let (_, body) = self.get(&replica.ip, ADMIN_PORT, "/metrics").await?;
        let values = body
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.sum())
    }

    /// GET from inside the cluster's network, but from no node: status and body.
    pub async fn get(&self, ip: &str, port: u16, path: &str) -> Result<(u16, String)> {
        let address: SocketAddr =
            format!("{ip}:{port}").parse().with_context(|| format!("no address: {ip}"))?;
        let (netns, path) = (self.cluster.netns(CONTROL_PLANE), path.to_owned());
        blocking(move || in_netns(&netns, move || http_get(address, &path))?).await
    }

    /// Undoes every fault, and waits until cluster and hotstandby are whole again.
    pub async fn heal(&self) -> Result<()> {
        let faults = self.cluster.faults();
        let status = self.cluster.status()?;
        for component in Component::ALL {
            if !status.components.get(component.name()).copied().unwrap_or_default() {
                self.restart(component)?;
            }
        }
        if self.worn.swap(false, Ordering::Relaxed) {
            faults.restart_clients()?;
        }
        for (node, power) in &status.nodes {
            if !power {
                faults.power_on(node)?;
            }
            if faults.is_frozen(node)? {
                faults.thaw(node)?;
            }
            if !faults.has_link(node)? {
                faults.link_up(node)?;
            }
        }
        for (node, power) in &status.nodes {
            if !power {
                self.cluster.wait_node_ready(node, true, START_LIMIT).await?;
            }
        }
        if self.guarded.swap(false, Ordering::Relaxed) {
            let file = policies_file().display().to_string();
            self.kubectl(&["delete", "--ignore-not-found", "-f", &file]).await?;
        }
        let wanted = until(START_LIMIT, "hotstandby's Deployment", async || {
            let found = self.objects.get(Kind::Deployment, SYSTEM, "hotstandby").await?;
            Ok(found.pointer("/spec/replicas").and_then(Value::as_u64))
        })
        .await?;
        if wanted != 2 {
            let change = json!({"spec": {"replicas": 2}});
            self.objects.patch(Kind::Deployment, SYSTEM, "hotstandby", &change).await?;
        }
        self.wait_for_replicas(2, START_LIMIT).await?;
        Ok(())
    }

    /// The last lines of every replica's log, as far as it can still be had.
    pub async fn logs(&self, since: Duration) -> String {
        self.logs_by(SYSTEM, REPLICAS, since).await
    }

    /// The same of every pod of a namespace.
    pub async fn logs_of_all(&self, namespace: &str, since: Duration) -> String {
        self.logs_by(namespace, "!hotstandby.dev/none", since).await
    }

    async fn logs_by(&self, namespace: &str, selector: &str, since: Duration) -> String {
        let since = format!("--since={}s", since.as_secs() + 1);
        let which = ["logs", "-n", namespace, "-l", selector, &since];
        let how = ["--prefix", "--tail=60", "--ignore-errors=true", "--max-log-requests=20"];
        let words: Vec<&str> = which.into_iter().chain(how).collect();
        self.kubectl(&words).await.unwrap_or_else(|error| format!("no logs: {error:#}"))
    }
}

fn right_file(with: &str) -> PathBuf {
    workspace_root().join(format!("deploy/with-{with}.yaml"))
}

fn replica(pod: &Value) -> Replica {
    Replica { name: name_of(pod).to_owned(), node: text(pod, "/spec/nodeName").to_owned(), ip: pod_ip(pod) }
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
