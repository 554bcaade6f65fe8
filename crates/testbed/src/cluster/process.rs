//! Starting programs in the cluster's namespaces, and the process ids of both sides of a PID namespace.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use nix::sched::{CloneFlags, unshare};

use crate::netns::enter_netns;

/// First argument of this program when it is started as a supervisor.
pub(crate) const SUPERVISE: &str = "__hotstandby-testbed-supervise";
/// First argument of this program when it is started as a node's first process.
pub(crate) const NODE_INIT: &str = "__hotstandby-testbed-node-init";

/// Where a started program lives.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    /// The network namespace, if another than ours.
    pub(crate) netns: Option<PathBuf>,
    /// Whether it becomes the first process of a PID namespace of its own.
    pub(crate) own_pids: bool,
}

/// Starts a program somewhere else. Namespaces belong to threads, so a short-lived one does it.
pub(crate) fn spawn(mut command: Command, place: Place) -> Result<Child> {
    let what = format!("{}", command.get_program().display());
    thread::spawn(move || -> Result<Child> {
        if let Some(netns) = &place.netns {
            enter_netns(netns)?;
        }
        if place.own_pids {
            unshare(CloneFlags::CLONE_NEWPID).context("making a PID namespace (this needs root)")?;
        }
        command.spawn().map_err(Into::into)
    })
    .join()
    .map_err(|_| anyhow!("the starting thread panicked"))?
    .with_context(|| format!("starting {what}"))
}

/// This very program, for starting it again; stays valid when cargo replaces the file.
pub(crate) fn this_program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

/// Sends a program's output to the end of a log file, and gives it nothing to read.
pub(crate) fn log_to(command: &mut Command, path: &Path) -> Result<()> {
    let file = open_log(path)?;
    let second = file.try_clone().context("duplicating a log file")?;
    command.stdin(Stdio::null()).stdout(file).stderr(second);
    Ok(())
}

/// Opens a log file for appending.
pub(crate) fn open_log(path: &Path) -> Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .with_context(|| format!("opening log {}", path.display()))
}

/// The last lines of a log, for an error message.
pub(crate) fn log_tail(path: &Path, lines: usize) -> String {
    let text = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all.iter().skip(all.len().saturating_sub(lines)).copied().collect::<Vec<_>>().join("\n")
}

/// This process's id as the machine numbers it. Works inside a PID namespace as long as the machine's /proc
/// is still mounted.
pub(crate) fn host_pid() -> Result<i32> {
    let target = fs::read_link("/proc/self").context("reading /proc/self")?;
    target.to_string_lossy().parse().with_context(|| format!("/proc/self leads to {}", target.display()))
}

/// Whether a process of this id is its PID namespace's first one.
pub(crate) fn is_first_of_its_namespace(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| innermost_pid(&status) == Some(1))
}

fn innermost_pid(status: &str) -> Option<i32> {
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_pid_is_the_last_one_listed() {
        assert_eq!(innermost_pid("Name:\tx\nNSpid:\t812\t40\t1\nNSpgid:\t1\n"), Some(1));
        assert_eq!(innermost_pid("NSpid:\t812\n"), Some(812));
        assert_eq!(innermost_pid("Name:\tx\n"), None);
    }

    #[test]
    fn our_own_host_pid_is_found() {
        assert!(host_pid().unwrap() > 0);
    }

    #[test]
    fn a_log_tail_is_the_end_of_it() {
        let path = std::env::temp_dir().join(format!("hstb-tail-{}", std::process::id()));
        fs::write(&path, "a\nb\nc\n").unwrap();
        assert_eq!(log_tail(&path, 2), "b\nc");
        assert_eq!(log_tail(Path::new("/nowhere"), 2), "");
        fs::remove_file(&path).unwrap();
    }
}
