//! The first process of a node: makes the node's view of the file system, runs its programs and restarts
//! them as a service manager would. When it dies, the kernel kills everything on the node.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, sethostname};

use super::cgroup::{self, Branch, Cgroup};
use super::config::Spec;
use super::{node, process};
use crate::paths::NodePaths;

const NOTHING: Option<&str> = None;
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// Runs a node until it is killed.
pub(crate) fn run(spec_path: &Path, name: &str) -> Result<()> {
    let spec: Spec = super::read_spec(spec_path)?;
    let node = spec.node(name)?;
    // Before /proc shows this namespace's numbers only.
    let pid = process::host_pid()?;
    let branches = cgroup::join_everywhere(&node.cgroup())?;
    // From here on the node's cgroup is the root of all cgroups it is shown.
    unshare(CloneFlags::CLONE_NEWCGROUP).context("making a cgroup namespace")?;
    // With cgroup v2 only leaves may hold processes.
    Cgroup::new(&node.cgroup())?.child("system").join()?;
    make_own_view(&node, &branches)?;
    sethostname(node.name()).context("setting the host name")?;
    // Last, as it says: this node can be killed and frozen now.
    super::write_atomically(&node.pid_file(), &pid.to_string())?;

    let mut services = Services { spec: &spec, node: &node, running: BTreeMap::new() };
    services.start(Service::Containerd)?;
    wait_for_containerd()?;
    import_images(&spec, &node)?;
    wait_for_api(&spec)?;
    services.start(Service::Proxy)?;
    services.start(Service::Kubelet)?;
    services.tend()
}

fn make_own_view(node: &NodePaths, branches: &[Branch]) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS).context("making namespaces")?;
    mount(NOTHING, "/", NOTHING, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NOTHING)
        .context("cutting the node's mounts off from the machine's")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, NOTHING).context("mounting /proc")?;
    for (place, target) in node::BINDS {
        fs::create_dir_all(target).with_context(|| format!("making {target}"))?;
        bind(&node.disk().join(place), Path::new(target))?;
    }
    show_own_cgroups(node, branches)?;
    // Not a mount of /sys: the kubelet would find no cgroups there.
    bind(&node.run(), Path::new("/run"))
}

/// Lets the node see its own cgroup as the root of each hierarchy: so all containers are below it, and can
/// be frozen and found, whatever path the runtime chooses. Without `QoS` cgroups, which not every machine can
/// have, the kubelet does not pass its `cgroupRoot` on.
fn show_own_cgroups(node: &NodePaths, branches: &[Branch]) -> Result<()> {
    let (stage, root) = (node.disk().join("cgroup"), Path::new(cgroup::ROOT));
    fs::create_dir_all(&stage).with_context(|| format!("making {}", stage.display()))?;
    match branches {
        [only] if only.hierarchy.as_os_str().is_empty() => bind(&only.dir, &stage)?,
        several => {
            mount(Some("cgroups"), &stage, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
                .with_context(|| format!("mounting {}", stage.display()))?;
            for branch in several {
                let target = stage.join(&branch.hierarchy);
                fs::create_dir_all(&target).with_context(|| format!("making {}", target.display()))?;
                bind(&branch.dir, &target)?;
            }
            copy_links(root, &stage)?;
        }
    }
    // Away and not only covered: the container runtime believes the first mount it finds listed.
    umount2(root, MntFlags::MNT_DETACH).with_context(|| format!("unmounting {}", root.display()))?;
    mount(Some(&stage), root, NOTHING, MsFlags::MS_MOVE, NOTHING)
        .with_context(|| format!("moving {} to {}", stage.display(), root.display()))
}

/// Names like `cpu` for what is mounted as `cpu,cpuacct`.
fn copy_links(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))?.flatten() {
        if let Ok(target) = fs::read_link(entry.path()) {
            symlink(target, to.join(entry.file_name())).context("making a link among cgroups")?;
        }
    }
    Ok(())
}

fn bind(from: &Path, to: &Path) -> Result<()> {
    mount(Some(from), to, NOTHING, MsFlags::MS_BIND | MsFlags::MS_REC, NOTHING)
        .with_context(|| format!("binding {} to {}", from.display(), to.display()))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Containerd,
    Kubelet,
    Proxy,
}

struct Services<'a> {
    spec: &'a Spec,
    node: &'a NodePaths,
    running: BTreeMap<i32, Service>,
}

impl Services<'_> {
    fn start(&mut self, service: Service) -> Result<()> {
        let (mut command, name) = match service {
            Service::Containerd => (node::containerd_command(self.node), "containerd"),
            Service::Kubelet => (node::kubelet_command(self.spec, self.node), "kubelet"),
            Service::Proxy => (node::proxy_command(self.spec, self.node), "kube-proxy"),
        };
        let log = self.spec.paths.log(&format!("{}-{name}", self.node.name()));
        process::log_to(&mut command, &log)?;
        let child = command
            .env("PATH", self.spec.tools.search_path())
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let pid = i32::try_from(child.id()).context("a process id beyond all limits")?;
        self.running.insert(pid, service);
        Ok(())
    }

    /// Buries the dead and restarts the node's own programs; never returns while it works.
    fn tend(&mut self) -> Result<()> {
        loop {
            let status = match waitpid(Pid::from_raw(-1), None) {
                Ok(status) => status,
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno).context("waiting for the node's processes"),
            };
            let (WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) = status else { continue };
            if let Some(service) = self.running.remove(&pid.as_raw()) {
                println!("{service:?} ended: {status:?}; starting it again in {RESTART_DELAY:?}");
                thread::sleep(RESTART_DELAY);
                self.start(service)?;
            }
        }
    }
}

fn wait_for_containerd() -> Result<()> {
    let limit = Instant::now() + Duration::from_mins(1);
    loop {
        let answered = Command::new("ctr")
            .arg("version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .context("starting 'ctr'")?;
        if answered.success() {
            return Ok(());
        }
        if Instant::now() > limit {
            bail!("containerd did not answer within 60 s: see its log");
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn import_images(spec: &Spec, node: &NodePaths) -> Result<()> {
    let images = spec.paths.images();
    for entry in fs::read_dir(&images).with_context(|| format!("reading {}", images.display()))? {
        let archive = entry.context("reading the images folder")?.path();
        let status = crate::image::import_command(None, &archive)
            .stdin(Stdio::null())
            .status()
            .with_context(|| format!("importing {}", archive.display()))?;
        if !status.success() {
            bail!("importing {} on {} failed: {status}", archive.display(), node.name());
        }
    }
    Ok(())
}

fn wait_for_api(spec: &Spec) -> Result<()> {
    let limit = Instant::now() + Duration::from_mins(5);
    while !spec.paths.api_ready().exists() {
        if Instant::now() > limit {
            bail!("the API server did not get ready");
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
