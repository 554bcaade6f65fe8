//! The replicas of hotstandby: the real controller, each in a process of its own.

use crate::addresses::Addresses;
use crate::roles;
use crate::scene::SYSTEM;
use anyhow::{Context as _, Result};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// Name, and the node it is said to run on.
const REPLICAS: [(&str, &str); 2] = [("hotstandby-a", "n1"), ("hotstandby-b", "n2")];

/// The replicas; dropping them kills them.
pub(crate) struct Replicas {
    children: Vec<Child>,
    logs: Vec<PathBuf>,
}

impl Replicas {
    /// Starts both, with the files of the demo in `folder`.
    pub(crate) fn start(folder: &Path, kubeconfig: &Path, addresses: Addresses) -> Result<Self> {
        let peers: Vec<String> = REPLICAS
            .iter()
            .zip(0..)
            .map(|((name, node), index)| format!("{name}={}@{node}", addresses.replica(index)))
            .collect();
        let (mut children, mut logs) = (Vec::new(), Vec::new());
        for ((name, node), index) in REPLICAS.iter().zip(0..) {
            let log = folder.join(format!("{name}.log"));
            let file = File::create(&log).with_context(|| format!("writing {}", log.display()))?;
            let mut command = Command::new(folder.join(roles::HOTSTANDBY));
            command.arg("controller").arg("--kubeconfig").arg(kubeconfig);
            command.args(["--identity", name, "--node", node, "--seat-namespace", SYSTEM]);
            command.arg("--admin-address").arg(addresses.replica(index).to_string());
            command.args(peers.iter().flat_map(|peer| ["--peer", peer.as_str()]));
            // What else the environment may say is not meant for these.
            for name in ["POD_NAME", "POD_NAMESPACE", "NODE_NAME", "KUBECONFIG"] {
                command.env_remove(name);
            }
            let child = command
                .env(roles::LIFELINE, "1")
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(file)
                .process_group(0)
                .kill_on_drop(true)
                .spawn()
                .with_context(|| format!("starting {name}"))?;
            children.push(child);
            logs.push(log);
        }
        Ok(Self { children, logs })
    }

    /// Says which one has ended, and what it said last.
    pub(crate) fn check(&mut self) -> Result<()> {
        for ((child, log), (name, _)) in self.children.iter_mut().zip(&self.logs).zip(REPLICAS) {
            if let Some(status) = child.try_wait().context("looking after the replicas")? {
                let text = std::fs::read_to_string(log).unwrap_or_default();
                let last: Vec<&str> = text.lines().rev().take(5).collect();
                let last: Vec<&str> = last.into_iter().rev().collect();
                anyhow::bail!("{name} ended ({status}); it said last:\n{}", last.join("\n"));
            }
        }
        Ok(())
    }

    /// Waits for one of them to end, which none should.
    pub(crate) async fn ended(&mut self) -> anyhow::Error {
        loop {
            if let Err(ended) = self.check() {
                return ended;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Ends them and waits for their ends.
    pub(crate) async fn end(&mut self) {
        for child in &mut self.children {
            // An error means that it has ended already.
            let _ = child.kill().await;
        }
    }
}
