//! The conformance suite of `hotstandby-conformance` on a real API server.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use futures::FutureExt as _;
use hotstandby_conformance::{self as conformance, Comparison, Recorded, Server};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use hotstandby_testbed::netns::in_netns;
use hotstandby_testbed::paths::CONTROL_PLANE;
use hotstandby_testbed::progress::{Progress, require_root};
use hotstandby_testbed::{Cluster, ClusterConfig};

/// Where etcd listens, in the control plane's network.
const ETCD: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 2379);
/// How long it may take.
const ETCD_LIMIT: Duration = Duration::from_secs(10);

/// The command: on a cluster that is up, or on one made for it.
pub(crate) fn run(existing: Option<String>, name: &str, update: bool) -> Result<ExitCode> {
    require_root()?;
    let progress = Progress::stderr();
    hotstandby_testbed::tools::ensure(&progress)?;
    let cluster = match existing {
        Some(name) => Cluster::attach(&name)?,
        None => Cluster::start(ClusterConfig::new(name))?,
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("making a runtime")?;
    let recorded = if update { Recorded::Update } else { Recorded::Compare };
    let comparison = runtime.block_on(compare(&cluster, recorded))?;
    println!("{comparison}");
    Ok(ExitCode::from(u8::from(!comparison.is_fine())))
}

/// Plays the suite and compares; a real server has no known differences.
pub async fn compare(cluster: &Cluster, recorded: Recorded) -> Result<Comparison> {
    let millis = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    let netns = cluster.netns(CONTROL_PLANE);
    let server = Server {
        client: client(&cluster.host_kubeconfig()).await?,
        run: (millis % 1_000_000).to_string(),
        settle: Box::new(|| ()),
        compact: Box::new(move |version| forget(netns.clone(), version).boxed()),
    };
    conformance::run(&server, recorded, &[]).await.context("playing the conformance suite")
}

/// A client that asks once: an answer is what is looked at, also where it asks for another try.
async fn client(kubeconfig: &Path) -> Result<Client> {
    let read = Kubeconfig::read_from(kubeconfig)
        .with_context(|| format!("reading kubeconfig {}", kubeconfig.display()))?;
    let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .with_context(|| format!("using kubeconfig {}", kubeconfig.display()))?;
    config.default_retry = false;
    Client::try_from(config).context("making a client for the API server")
}

/// Lets etcd forget the versions before one, as the API server does by itself every five minutes.
async fn forget(netns: PathBuf, version: u64) -> Result<(), String> {
    let work = move || in_netns(&netns, move || compact(version))?;
    let done = tokio::task::spawn_blocking(work).await.map_err(|why| why.to_string())?;
    done.map_err(|why| format!("{why:#}"))
}

fn compact(version: u64) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&ETCD, ETCD_LIMIT).context("connecting to etcd")?;
    stream.set_read_timeout(Some(ETCD_LIMIT)).context("limiting a read")?;
    let body = format!("{{\"revision\": \"{version}\", \"physical\": true}}");
    let head = format!(
        "POST /v3/kv/compaction HTTP/1.1\r\nHost: {ETCD}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).context("asking etcd")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("reading etcd's answer")?;
    // That somebody else was faster is fine.
    if answer.starts_with("HTTP/1.1 200") || answer.contains("has been compacted") {
        return Ok(());
    }
    bail!("etcd would not forget versions before {version}: {answer}")
}
