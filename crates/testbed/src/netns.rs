//! Work inside another network namespace, on a thread of its own.

use std::fs::File;
use std::path::Path;
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use nix::sched::{CloneFlags, setns};

/// Moves the calling thread, and no other, into a network namespace for good.
pub fn enter_netns(netns: &Path) -> Result<()> {
    let file = File::open(netns)
        .with_context(|| format!("network namespace {} is not there: is the cluster up?", netns.display()))?;
    setns(&file, CloneFlags::CLONE_NEWNET)
        .with_context(|| format!("entering network namespace {} (this needs root)", netns.display()))
}

/// Starts a thread that lives in a network namespace. Every socket made on it, and on threads it starts,
/// belongs to that namespace: a tokio runtime made inside the closure serves as well.
///
/// Time stamps taken inside compare with those taken outside: it is one process with one clock.
pub fn spawn_in_netns<T, F>(netns: &Path, work: F) -> Result<thread::JoinHandle<Result<T>>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let netns = netns.to_path_buf();
    thread::Builder::new()
        .name("in-netns".to_owned())
        .spawn(move || {
            enter_netns(&netns)?;
            Ok(work())
        })
        .context("starting a thread for a network namespace")
}

/// Runs a closure inside a network namespace and waits for its result. Blocks: from async code call it
/// through `spawn_blocking`.
pub fn in_netns<T, F>(netns: &Path, work: F) -> Result<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    spawn_in_netns(netns, work)?
        .join()
        .map_err(|_| anyhow!("the work inside {} panicked", netns.display()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_namespace_is_named() {
        let error = in_netns(Path::new("/run/netns/never-made"), || ()).unwrap_err();
        assert!(error.to_string().contains("never-made"), "{error}");
    }
}
