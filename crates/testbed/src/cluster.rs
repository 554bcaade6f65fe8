//! Starting, finding and ending clusters.

mod cgroup;
mod config;
mod control;
mod control_plane;
mod dns;
mod network;
mod node;
mod node_init;
mod pki;
mod process;
mod ready;
mod relay;
mod supervisor;
mod sweep;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

pub use config::ClusterConfig;
pub use control::Status;
pub use control_plane::Component;

pub(crate) use cgroup::{Cgroup, working_set};
pub(crate) use config::Spec;
pub(crate) use control::Request;
pub(crate) use network::{link_is_up, set_link};
pub(crate) use pki::{Authority, for_certificate, for_token, host_server, inside_server, write_kubeconfig};
pub(crate) use process::is_first_of_its_namespace;
pub(crate) use ready::is_ready;

use crate::faults::Faults;
use crate::image;
use crate::paths::{NodePaths, Paths};
use crate::progress::{Progress, require_root};
use crate::tools;
use control::{Answer, DETACH, Report};
use process::{NODE_INIT, Place, SUPERVISE};

/// To be called first in `main` of every binary that starts clusters, before any thread exists.
///
/// A cluster's supervisor and its nodes' first processes are this very program, started again with a hidden
/// first argument; for those, this does not return.
pub fn reexec_entry() {
    let mut arguments = std::env::args_os().skip(1);
    let Some(first) = arguments.next() else { return };
    let result = if first == SUPERVISE {
        supervisor::run()
    } else if first == NODE_INIT {
        let (spec, name) = (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default());
        node_init::run(Path::new(&spec), &name.to_string_lossy())
    } else {
        return;
    };
    if let Err(error) = &result {
        eprintln!("{error:#}");
    }
    std::process::exit(i32::from(result.is_err()));
}

/// A cluster that is up.
///
/// One made by [`Cluster::start`] is *owned*: it ends when this value is dropped and also when this process
/// dies, by whatever signal.
#[derive(Debug)]
pub struct Cluster {
    pub(crate) spec: Spec,
    owner: Option<Owner>,
}

/// The supervisor of a cluster we started, and the pipe whose end it takes for our death.
#[derive(Debug)]
struct Owner {
    child: Child,
    stdin: ChildStdin,
}

impl Cluster {
    /// Starts a cluster that ends with the returned value and with this process. Blocks until all nodes are
    /// Ready, so call it before or outside an async runtime. An earlier cluster's leftovers are removed.
    pub fn start(config: ClusterConfig) -> Result<Self> {
        let (spec, owner) = launch(config)?;
        Ok(Self { spec, owner: Some(owner) })
    }

    /// Like [`Self::start`], but the cluster stays up until [`Self::down_by_name`].
    pub fn start_detached(config: ClusterConfig) -> Result<Self> {
        let (spec, mut owner) = launch(config)?;
        writeln!(owner.stdin, "{DETACH}").context("letting the supervisor go")?;
        let limit = Instant::now() + Duration::from_secs(10);
        let cluster = Self { spec, owner: None };
        while cluster.status()?.owned {
            if Instant::now() > limit {
                bail!("the supervisor did not detach within 10 s");
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(cluster)
    }

    /// A cluster somebody else started.
    pub fn attach(name: &str) -> Result<Self> {
        let paths = Paths::new(name)?;
        control::ask(&paths, &Request::Status)?;
        Ok(Self { spec: read_spec(&paths.spec())?, owner: None })
    }

    /// The names of all clusters that are up, and of those that left something behind.
    pub fn names() -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(Paths::state_root())
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| Paths::new(name).is_ok_and(|paths| sweep::any_left(&paths)))
            .collect();
        names.sort();
        names
    }

    /// Ends the cluster, reporting what could not be removed.
    pub fn down(mut self) -> Result<()> {
        let result = down(&self.spec.paths);
        if let Some(mut owner) = self.owner.take() {
            owner.child.wait().context("waiting for the supervisor's end")?;
        }
        result
    }

    /// Ends a cluster by name; removes leftovers if its supervisor is dead. Says whether anything was there.
    pub fn down_by_name(name: &str) -> Result<bool> {
        require_root()?;
        let paths = Paths::new(name)?;
        if control::is_up(&paths) {
            down(&paths)?;
            return Ok(true);
        }
        let there = sweep::any_left(&paths);
        let _lock = sweep::lock(&paths)?.ok_or_else(|| {
            anyhow!("cluster '{name}' is just starting or ending: try again in some seconds")
        })?;
        sweep::leftovers(&paths)?;
        Ok(there)
    }

    /// The cluster's name.
    pub fn name(&self) -> &str {
        self.spec.paths.name()
    }

    /// What the cluster was started with.
    pub fn config(&self) -> &ClusterConfig {
        &self.spec.config
    }

    /// Its files and namespaces.
    pub fn paths(&self) -> &Paths {
        &self.spec.paths
    }

    /// Its nodes.
    pub fn nodes(&self) -> Vec<NodePaths> {
        self.spec.nodes()
    }

    /// One node by name.
    pub fn node(&self, name: &str) -> Result<NodePaths> {
        self.spec.node(name)
    }

    /// The network namespace of a node or of the control plane (`cp`), for [`crate::netns::in_netns`].
    pub fn netns(&self, machine: &str) -> PathBuf {
        self.spec.paths.netns(machine)
    }

    /// One of the Kubernetes programs the cluster was built from, for example `kubectl`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.spec.tools.kubernetes(name)
    }

    /// What runs and what does not.
    pub fn status(&self) -> Result<Status> {
        match control::ask(&self.spec.paths, &Request::Status)? {
            Answer::Status(status) => Ok(status),
            other => bail!("the supervisor answered a status request with {other:?}"),
        }
    }

    /// Ways to hurt it.
    pub fn faults(&self) -> Faults<'_> {
        Faults::new(self)
    }

    /// Loads an image archive on every node that has power; the others load it when they get power.
    pub fn load_image(&self, archive: &Path) -> Result<()> {
        let kept = add_image(&self.spec.paths, archive)?;
        let status = self.status()?;
        let mut imports = Vec::new();
        for node in self.nodes() {
            if status.nodes.get(&node.name()).copied().unwrap_or_default() {
                let child = image::import_command(Some(&node.containerd_socket()), &kept)
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::piped())
                    .spawn()
                    .context("starting 'ctr'")?;
                imports.push((node.name(), child));
            }
        }
        for (node, child) in imports {
            let out = child.wait_with_output().context("waiting for 'ctr'")?;
            if !out.status.success() {
                let why = String::from_utf8_lossy(&out.stderr);
                bail!("loading {} on {node} failed: {}", archive.display(), why.trim());
            }
        }
        Ok(())
    }

    pub(crate) fn ask(&self, request: &Request) -> Result<()> {
        control::ask(&self.spec.paths, request).map(drop)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(Owner { mut child, stdin }) = self.owner.take() {
            drop(stdin);
            let _ended = child.wait();
        }
    }
}

fn launch(config: ClusterConfig) -> Result<(Spec, Owner)> {
    let paths = config.check()?;
    let progress = if config.quiet { Progress::quiet() } else { Progress::stderr() };
    require_root()?;
    if control::is_up(&paths) {
        let name = paths.name();
        bail!(
            "cluster '{name}' is up already: 'cargo testbed down --name {name}' ends it, another --name avoids it"
        );
    }
    let tools = tools::ensure(&progress)?;
    let mut config = config;
    if config.sample_app {
        config.images.push(image::sample_app_archive(&progress)?);
    }
    let spec = Spec { config, paths, tools };

    let mut command = Command::new(process::this_program());
    command.arg(SUPERVISE).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = process::spawn(command, Place { netns: None, own_pids: true })?;
    let pipes = (child.stdin.take(), child.stdout.take());
    let (Some(mut stdin), Some(stdout)) = pipes else { bail!("the supervisor has no pipes") };
    writeln!(stdin, "{}", serde_json::to_string(&spec)?)
        .context("describing the cluster to its supervisor")?;
    let owner = Owner { child, stdin };
    for line in BufReader::new(stdout).lines() {
        let line = line.context("listening to the supervisor")?;
        match serde_json::from_str(&line) {
            Ok(Report::Progress(what)) => progress.say(what),
            Ok(Report::Ready) => {
                let nodes = spec.config.nodes;
                progress.say(format!("cluster '{}' is up, {nodes} nodes Ready", spec.paths.name()));
                return Ok((spec, owner));
            }
            Ok(Report::Failed(why)) => return fail(owner, &why),
            Err(_) => eprintln!("{line}"),
        }
    }
    let why = format!("the supervisor ended early: see {}", spec.paths.log("supervisor").display());
    fail(owner, &why)
}

fn fail<T>(owner: Owner, why: &str) -> Result<T> {
    let Owner { mut child, stdin } = owner;
    drop(stdin);
    child.wait().context("waiting for the supervisor's end")?;
    bail!("{why}")
}

fn down(paths: &Paths) -> Result<()> {
    control::ask(paths, &Request::Down)?;
    // It still holds the lock while it ends.
    let limit = Instant::now() + Duration::from_secs(10);
    while sweep::lock(paths)?.is_none() {
        if Instant::now() > limit {
            bail!("the supervisor of '{}' answered but does not end", paths.name());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn read_spec(path: &Path) -> Result<Spec> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("understanding {}", path.display()))
}

/// Keeps a copy of an image archive for nodes that start later.
fn add_image(paths: &Paths, archive: &Path) -> Result<PathBuf> {
    let name = archive.file_name().with_context(|| format!("{} is no file", archive.display()))?;
    let kept = paths.images().join(name);
    fs::copy(archive, &kept)
        .with_context(|| format!("copying {} to {}", archive.display(), kept.display()))?;
    Ok(kept)
}

/// Readers see the old content or the new one.
fn write_atomically(path: &Path, content: &str) -> Result<()> {
    let partial = path.with_extension("partial");
    fs::write(&partial, content)
        .and_then(|()| fs::rename(&partial, path))
        .with_context(|| format!("writing {}", path.display()))
}
