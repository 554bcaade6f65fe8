//! Repairs: every fault that a test made is undone before the next one starts.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::Result;
use serde_json::{Value, json};

use super::{Env, START_LIMIT, SYSTEM};
use crate::objects::Kind;
use hotstandby_testbed::cluster::Component;
use hotstandby_testbed::paths::workspace_root;
use hotstandby_testbed::wait::until;

impl Env {
    /// Undoes every fault, and waits until the cluster works and hotstandby has its two replicas.
    pub async fn heal(&self) -> Result<()> {
        let faults = self.cluster.faults();
        let status = self.cluster.status()?;
        for component in Component::ALL {
            if !status.components.get(component.name()).copied().unwrap_or_default() {
                self.restart(component)?;
            }
        }
        if self.worn.swap(false, Ordering::Relaxed) {
            faults.restart_clients()?;
        }
        for (node, power) in &status.nodes {
            if !power {
                faults.power_on(node)?;
            }
            if faults.is_frozen(node)? {
                faults.thaw(node)?;
            }
            if !faults.has_link(node)? {
                faults.link_up(node)?;
            }
        }
        for (node, power) in &status.nodes {
            if !power {
                self.cluster.wait_node_ready(node, true, START_LIMIT).await?;
            }
        }
        if self.guarded.swap(false, Ordering::Relaxed) {
            let file = policies_file().display().to_string();
            self.kubectl(&["delete", "--ignore-not-found", "-f", &file]).await?;
        }
        self.restore_replicas().await
    }

    /// Gives hotstandby's Deployment its two replicas again, and waits until they are ready.
    async fn restore_replicas(&self) -> Result<()> {
        let wanted = until(START_LIMIT, "hotstandby's Deployment", async || {
            let found = self.objects.get(Kind::Deployment, SYSTEM, "hotstandby").await?;
            Ok(found.pointer("/spec/replicas").and_then(Value::as_u64))
        })
        .await?;
        if wanted != 2 {
            let change = json!({"spec": {"replicas": 2}});
            self.objects.patch(Kind::Deployment, SYSTEM, "hotstandby", &change).await?;
        }
        self.wait_for_replicas(2, START_LIMIT).await?;
        Ok(())
    }

    /// Applies the admission policies, until the cluster is healed.
    pub async fn put_policies(&self) -> Result<()> {
        self.guarded.store(true, Ordering::Relaxed);
        self.apply(&policies_file()).await.map(|_| ())
    }
}

fn policies_file() -> PathBuf {
    workspace_root().join("deploy/with-policies.yaml")
}
