//! Removing what a cluster left behind: after its own end, and after a supervisor that was killed.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, umount2};

use super::cgroup::{self, Cgroup};
use super::network::ip;
use crate::paths::Paths;

/// Takes the cluster's lock, or returns `None` if a living supervisor holds it.
pub(crate) fn lock(paths: &Paths) -> Result<Option<Flock<File>>> {
    let path = paths.lock();
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    }
    let file = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno).with_context(|| format!("locking {}", path.display())),
    }
}

/// Whether anything but logs is left of a cluster.
pub(crate) fn any_left(paths: &Paths) -> bool {
    paths.run().exists() || paths.spec().exists() || !network_namespaces(paths).is_empty()
}

/// Removes everything but the logs. The caller holds the lock, or is the supervisor at its end.
///
/// The kernel kills a cluster's processes together with its supervisor, except those frozen by cgroup v1.
pub(crate) fn leftovers(paths: &Paths) -> Result<()> {
    let group = Cgroup::new(&paths.cgroup())?;
    for machine in group.children() {
        machine.kill_all()?;
    }
    cgroup::remove_everywhere(&paths.cgroup())?;
    for name in network_namespaces(paths) {
        ip(&["netns", "del", &name])?;
    }
    unmount_under(paths.run())?;
    unmount_under(paths.state())?;
    remove(paths.run())?;
    let logs = paths.logs();
    for entry in fs::read_dir(paths.state()).into_iter().flatten().flatten() {
        if entry.path() != logs {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes the logs of an earlier cluster of this name.
pub(crate) fn logs(paths: &Paths) -> Result<()> {
    remove(&paths.logs())
}

fn network_namespaces(paths: &Paths) -> Vec<String> {
    let prefix = paths.netns_name("");
    fs::read_dir("/run/netns")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.strip_prefix(&prefix).is_some_and(is_machine))
        .collect()
}

/// Keeps cluster `a` from taking `hstb-a-b-n1` of cluster `a-b` for one of its own.
fn is_machine(name: &str) -> bool {
    name == "cp" || name.strip_prefix('n').is_some_and(|number| number.parse::<u8>().is_ok())
}

/// A node's mounts live and die with its mount namespace; this is for what leaked all the same.
fn unmount_under(dir: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("reading the list of mounts")?;
    for target in mounts_under(&mounts, dir) {
        umount2(Path::new(&target), MntFlags::MNT_DETACH).with_context(|| format!("unmounting {target}"))?;
    }
    Ok(())
}

/// The mount points below a folder, deepest first.
fn mounts_under(mounts: &str, dir: &Path) -> Vec<String> {
    let mut targets: Vec<String> = mounts
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1))
        .map(|target| target.replace("\\040", " "))
        .filter(|target| Path::new(target).starts_with(dir))
        .collect();
    targets.sort_by_key(|target| std::cmp::Reverse(target.len()));
    targets
}

fn remove(path: &Path) -> Result<()> {
    let result = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match result {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_below_are_found_and_the_deepest_come_first() {
        let mounts =
            "a /x/y ext4 rw 0 0\nb /x/y/z\\0401 tmpfs rw 0 0\nc /x/yy tmpfs rw 0 0\nd / ext4 rw 0 0\n";
        assert_eq!(mounts_under(mounts, Path::new("/x/y")), ["/x/y/z 1", "/x/y"]);
    }

    #[test]
    fn a_longer_named_clusters_namespaces_are_not_ours() {
        assert!(is_machine("cp") && is_machine("n12"));
        assert!(!is_machine("b-n1") && !is_machine("b-cp") && !is_machine("n") && !is_machine("nx"));
    }
}
