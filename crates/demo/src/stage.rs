//! Everything a demo needs, up and running; all of it ends with it.

use crate::addresses::{Addresses, MOST_PODS};
use crate::client_view::ClientView;
use crate::forwarder::Forwarder;
use crate::observer::Observer;
use crate::processes::{ProcessBackend, Processes};
use crate::replicas::Replicas;
use crate::roles;
use crate::scene;
use crate::screen::{Screen, entry};
use anyhow::{Context as _, Result};
use hotstandby_cluster::connect::{Clients, ConnectOptions};
use hotstandby_sim::world::{ContainerKey, Driver, Nudge, Pace, World, WorldConfig};
use hotstandby_sim::{ApiServer, Handle, Serving, SystemClock, serve};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Pods start faster than in a cluster; what a kubelet notices, it notices as late as there.
const PACE: Pace = Pace {
    start: Duration::from_millis(200),
    notice: Duration::from_secs(1),
    restart: Duration::from_secs(2),
    heartbeat: Duration::from_secs(10),
    node_grace: Duration::from_secs(40),
};

/// A folder that goes when it is dropped.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn make(seed: u32) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("hotstandby-demo-{}-{seed}", std::process::id()));
        // The kubeconfig is no secret, but nobody else need write here.
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| format!("making the folder {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nobody is left who could be told.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What runs. The order of the fields is the order in which they end.
pub(crate) struct Stage {
    pub(crate) client: Option<ClientView>,
    pub(crate) replicas: Replicas,
    _forwarder: Forwarder,
    pub(crate) observer: Observer,
    pub(crate) processes: Processes,
    pub(crate) driver: Driver,
    _serving: Serving,
    pub(crate) addresses: Addresses,
    folder: Folder,
}

impl Stage {
    /// Brings everything up, and says so on the way.
    pub(crate) async fn build(screen: &mut Screen) -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = now.subsec_micros() ^ std::process::id();
        let addresses = Addresses::find(seed)?;
        let folder = Folder::make(seed)?;
        let handle = Handle::new(ApiServer::new(Arc::new(SystemClock), u64::from(seed)));
        let serving = serve(&handle, addresses.api()).await?;
        let kubeconfig = folder.0.join("kubeconfig");
        std::fs::write(&kubeconfig, serving.kubeconfig())
            .with_context(|| format!("writing {}", kubeconfig.display()))?;
        screen.say(&entry("API server", &serving.address().to_string(), "modelled, with nodes n1, n2, n3"));
        let own = std::env::current_exe().context("finding this program's own file")?;
        for name in [roles::HOTSTANDBY, roles::POD] {
            let link = folder.0.join(name);
            std::os::unix::fs::symlink(&own, &link).with_context(|| format!("making {}", link.display()))?;
        }
        let (processes, nudge) = (Processes::default(), Nudge::default());
        let backend = ProcessBackend::new(folder.0.join(roles::POD), processes.clone(), nudge.clone());
        let config = WorldConfig {
            first_pod_ip: addresses.first_pod(),
            pod_ips: MOST_PODS,
            pace: PACE,
            ..WorldConfig::default()
        };
        handle.with(|server| {
            server.allow_loopback();
            scene::build(server, addresses)
        })?;
        let observer = Observer::start(&handle)?;
        let driver = Driver::start(&handle, World::new(config, Box::new(backend)), nudge);
        let options = ConnectOptions { kubeconfig: Some(kubeconfig.clone()), context: None };
        let forwarder =
            Forwarder::start(addresses.service(), Clients::connect(&options).await?.watch).await?;
        let replicas = Replicas::start(&folder.0, &kubeconfig, addresses)?;
        Ok(Self {
            client: None,
            replicas,
            _forwarder: forwarder,
            observer,
            processes,
            driver,
            _serving: serving,
            addresses,
            folder,
        })
    }

    /// Where kubeconfig and programs are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// The container of a pod.
    pub(crate) fn container(uid: &str) -> ContainerKey {
        ContainerKey { uid: uid.to_owned(), container: scene::CONTAINER.to_owned() }
    }

    /// Starts the client.
    pub(crate) fn start_client(&mut self) -> Result<()> {
        self.client = Some(ClientView::start(self.addresses.service())?);
        Ok(())
    }

    /// Ends everything that is a process, and waits for it.
    pub(crate) async fn end(mut self) {
        self.client = None;
        self.replicas.end().await;
        self.processes.end().await;
    }
}
