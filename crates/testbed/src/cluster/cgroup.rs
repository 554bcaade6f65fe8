//! The cluster's processes as cgroups: who belongs to which machine, freezing a machine as a whole, and
//! finding what a killed supervisor left behind. Only cgroups under [`crate::paths::CGROUP_PARENT`] are
//! ever touched, so only processes a cluster made can be hit.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::paths::CGROUP_PARENT;

/// Where cgroups are mounted.
pub(crate) const ROOT: &str = "/sys/fs/cgroup";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// A cgroup in the hierarchy that can freeze.
#[derive(Debug, Clone)]
pub(crate) struct Cgroup {
    dir: PathBuf,
    version: Version,
}

impl Cgroup {
    /// The cgroup of this relative path; it need not exist.
    pub(crate) fn new(relative: &Path) -> Result<Self> {
        let (root, version) = freezer_root()?;
        Ok(Self { dir: root.join(relative), version })
    }

    pub(crate) fn child(&self, name: &str) -> Self {
        Self { dir: self.dir.join(name), version: self.version }
    }

    /// The cgroups right below.
    pub(crate) fn children(&self) -> Vec<Self> {
        fs::read_dir(&self.dir)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| Self { dir: entry.path(), version: self.version })
            .collect()
    }

    pub(crate) fn create(&self) -> Result<()> {
        fs::create_dir_all(&self.dir).with_context(|| format!("making cgroup {}", self.dir.display()))
    }

    /// Moves the calling process in; processes it starts follow.
    pub(crate) fn join(&self) -> Result<()> {
        self.create()?;
        fs::write(self.dir.join("cgroup.procs"), "0")
            .with_context(|| format!("entering cgroup {}", self.dir.display()))
    }

    /// Moves the calling process out of all of our cgroups, so that they can be removed.
    pub(crate) fn leave() -> Result<()> {
        let (root, _) = freezer_root()?;
        fs::write(root.join("cgroup.procs"), "0").context("leaving the cluster's cgroup")
    }

    /// All processes in it and below, as the caller's PID namespace numbers them. A process the caller's
    /// PID namespace does not show is left out.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let mut found = Vec::new();
        collect_processes(&self.dir, &mut found);
        found
    }

    /// Stops or continues all processes in it and below, also those started later. Returns when done.
    pub(crate) fn set_frozen(&self, frozen: bool) -> Result<()> {
        let (file, value) = match (self.version, frozen) {
            (Version::V1, true) => ("freezer.state", "FROZEN"),
            (Version::V1, false) => ("freezer.state", "THAWED"),
            (Version::V2, true) => ("cgroup.freeze", "1"),
            (Version::V2, false) => ("cgroup.freeze", "0"),
        };
        let path = self.dir.join(file);
        fs::write(&path, value).with_context(|| format!("writing {value} to {}", path.display()))?;
        let limit = Instant::now() + Duration::from_secs(5);
        while self.is_frozen() != frozen {
            if Instant::now() > limit {
                bail!("cgroup {} did not become {value} within 5 s", self.dir.display());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Whether all processes in it are stopped.
    pub(crate) fn is_frozen(&self) -> bool {
        match self.version {
            Version::V1 => {
                fs::read_to_string(self.dir.join("freezer.state")).is_ok_and(|state| state.trim() == "FROZEN")
            }
            Version::V2 => fs::read_to_string(self.dir.join("cgroup.events"))
                .is_ok_and(|events| events.lines().any(|line| line == "frozen 1")),
        }
    }

    /// Kills everything in it and below and waits until all of it is gone.
    pub(crate) fn kill_all(&self) -> Result<()> {
        let limit = Instant::now() + Duration::from_secs(20);
        loop {
            let processes = self.processes();
            for pid in &processes {
                // A process that is gone already is what we want.
                let _gone = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
            // A frozen process of cgroup v1 dies only once thawed, also one that we cannot see.
            if self.is_frozen() {
                self.set_frozen(false)?;
            }
            if processes.is_empty() {
                return Ok(());
            }
            if Instant::now() > limit {
                bail!("processes {processes:?} in {} do not die", self.dir.display());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The memory that is charged to the cgroup of this relative path and those below, as `kubectl top` tells it: without the file
/// pages nobody has used of late.
pub(crate) fn working_set(relative: &Path) -> Result<u64> {
    let root = Path::new(ROOT);
    let (dir, used, inactive) = if v2_only() {
        (root.join(relative), "memory.current", "inactive_file")
    } else {
        (root.join("memory").join(relative), "memory.usage_in_bytes", "total_inactive_file")
    };
    let read = |file: &str| {
        let path = dir.join(file);
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    let used: u64 = read(used)?.trim().parse().context("reading a cgroup's use of memory")?;
    let stat = read("memory.stat")?;
    let inactive = stat.lines().filter_map(|line| line.split_once(' ')).find(|(name, _)| *name == inactive);
    let inactive: u64 = inactive.and_then(|(_, bytes)| bytes.parse().ok()).unwrap_or_default();
    Ok(used.saturating_sub(inactive))
}

/// A cgroup's folder in one hierarchy.
#[derive(Debug, Clone)]
pub(crate) struct Branch {
    /// The cgroup.
    pub(crate) dir: PathBuf,
    /// Where the hierarchy is mounted below [`ROOT`]; empty with cgroup v2, which has one only.
    pub(crate) hierarchy: PathBuf,
}

/// Makes the cgroup of this relative path in every hierarchy, fit to hold containers, and moves the calling
/// process in.
pub(crate) fn join_everywhere(relative: &Path) -> Result<Vec<Branch>> {
    let mut made = Vec::new();
    for root in hierarchies() {
        let mut dir = root.clone();
        for part in relative {
            let parent = dir.clone();
            dir.push(part);
            if root == Path::new(ROOT) {
                enable_controllers(&parent);
            }
            fs::create_dir_all(&dir).with_context(|| format!("making cgroup {}", dir.display()))?;
            inherit_cpuset(&parent, &dir)?;
        }
        weigh(&root.join(CGROUP_PARENT));
        fs::write(dir.join("cgroup.procs"), "0")
            .with_context(|| format!("entering cgroup {}", dir.display()))?;
        made.push(Branch { dir, hierarchy: root.strip_prefix(ROOT).unwrap_or(&root).to_path_buf() });
    }
    Ok(made)
}

/// All nodes together would weigh as much as one busy process of the machine otherwise.
fn weigh(dir: &Path) {
    for (file, weight) in [("cpu.shares", "16384"), ("cpu.weight", "1600")] {
        let path = dir.join(file);
        if path.exists() {
            let _without_it_things_are_slow = fs::write(path, weight);
        }
    }
}

/// cgroup v2 gives a cgroup only the controllers its parent passes on.
fn enable_controllers(parent: &Path) {
    let controllers = fs::read_to_string(parent.join("cgroup.controllers")).unwrap_or_default();
    for controller in controllers.split_whitespace() {
        // Some machines keep single ones for themselves; containers then do without.
        let _kept_back = fs::write(parent.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}

/// In cgroup v1 a new cpuset is empty, and nothing can run in it.
fn inherit_cpuset(parent: &Path, dir: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let path = dir.join(file);
        if fs::read_to_string(&path).is_ok_and(|text| text.trim().is_empty()) {
            let value = fs::read_to_string(parent.join(file)).unwrap_or_default();
            fs::write(&path, value.trim()).with_context(|| format!("writing {}", path.display()))?;
        }
    }
    Ok(())
}

/// Removes the (empty) cgroup of this relative path from every hierarchy, deepest first.
pub(crate) fn remove_everywhere(relative: &Path) -> Result<()> {
    if !relative.starts_with(CGROUP_PARENT) {
        bail!("refusing to remove cgroup {}: not one of the testbed's", relative.display());
    }
    for hierarchy in hierarchies() {
        remove_tree(&hierarchy.join(relative))?;
        // Fails while another cluster is there, as it should.
        let _in_use = fs::remove_dir(hierarchy.join(CGROUP_PARENT));
    }
    Ok(())
}

fn hierarchies() -> Vec<PathBuf> {
    let root = PathBuf::from(ROOT);
    let mut found: Vec<PathBuf> = fs::read_dir(&root)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect();
    found.push(root);
    // With cgroup v2 there is but one, the root itself: its folders are cgroups and no hierarchies.
    if v2_only() {
        found.retain(|path| path == Path::new(ROOT));
    }
    found.retain(|path| path.join("cgroup.procs").exists());
    found
}

fn remove_tree(dir: &Path) -> Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("reading cgroup {}", dir.display())),
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path())?;
        }
    }
    // The kernel may hold an emptied cgroup busy for some milliseconds.
    let limit = Instant::now() + Duration::from_secs(5);
    loop {
        match fs::remove_dir(dir) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if Instant::now() > limit => {
                return Err(error).with_context(|| format!("removing cgroup {}", dir.display()));
            }
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn collect_processes(dir: &Path, found: &mut Vec<i32>) {
    if let Ok(list) = fs::read_to_string(dir.join("cgroup.procs")) {
        // 0 stands for a process of a foreign PID namespace.
        found.extend(list.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
    }
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect_processes(&entry.path(), found);
        }
    }
}

fn v2_only() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

fn freezer_root() -> Result<(PathBuf, Version)> {
    let root = Path::new(ROOT);
    let v1 = root.join("freezer");
    if v1.join("cgroup.procs").exists() {
        return Ok((v1, Version::V1));
    }
    if v2_only() {
        return Ok((root.to_path_buf(), Version::V2));
    }
    bail!("no usable cgroups at {ROOT}: neither cgroup v2 nor the v1 hierarchy 'freezer' is mounted there")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_cgroups_are_never_removed() {
        assert!(remove_everywhere(Path::new("system.slice")).is_err());
        assert!(remove_everywhere(Path::new("")).is_err());
    }
}
