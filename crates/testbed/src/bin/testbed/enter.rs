//! Running a command on a machine of the cluster: like a login there.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use hotstandby_testbed::netns::enter_netns;
use hotstandby_testbed::paths::CONTROL_PLANE;
use hotstandby_testbed::{Cluster, tools::Tools};
use nix::sched::{CloneFlags, setns};

/// Runs the command in all of the machine's namespaces. Must be called before any thread exists.
pub(crate) fn run(cluster: &Cluster, machine: &str, command: &[String]) -> Result<ExitCode> {
    let Some((program, arguments)) = command.split_first() else { bail!("which command?") };
    if machine == CONTROL_PLANE {
        enter_netns(&cluster.netns(CONTROL_PLANE))?;
    } else {
        enter_node(cluster, machine)?;
    }
    let tools = Tools::cached().kubernetes("");
    let path = std::env::var("PATH").unwrap_or_default();
    // A child and not an exec: a PID namespace is entered by children only.
    let status = Command::new(program)
        .args(arguments)
        .env("PATH", format!("{}:{path}:/usr/sbin:/sbin", tools.display()))
        .env("KUBECONFIG", cluster.inside_kubeconfig())
        .status()
        .with_context(|| format!("running '{program}' on {machine}"))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

fn enter_node(cluster: &Cluster, machine: &str) -> Result<()> {
    let pid = cluster.faults().first_process(machine)?;
    let folder = PathBuf::from(format!("/proc/{pid}/ns"));
    let here = fs::canonicalize(".").ok();
    let kinds = [
        ("net", CloneFlags::CLONE_NEWNET),
        ("uts", CloneFlags::CLONE_NEWUTS),
        ("pid", CloneFlags::CLONE_NEWPID),
        // Last, as /proc is another one from there on.
        ("mnt", CloneFlags::CLONE_NEWNS),
    ];
    for (kind, flag) in kinds {
        let path = folder.join(kind);
        let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        setns(&file, flag).with_context(|| format!("entering {}", path.display()))?;
    }
    if let Some(here) = here {
        // Entering a mount namespace leads to its root folder.
        let _not_visible_there = std::env::set_current_dir(here);
    }
    Ok(())
}
