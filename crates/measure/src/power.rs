//! The trials that cut a node's power.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::future::{join_all, try_join};
use serde_json::json;

use super::bench::{Bench, slowly};
use super::group::Group;
use super::record::Outcome;
use super::row::Row;
use super::schedule::phase;
use hotstandby_e2e::harness::{START_LIMIT, blocking};
use hotstandby_e2e::scene::Scene;

/// How long all pods must have been ready before a trial: after a node's return the API server tells what was
/// true before, until the node's kubelet has spoken.
pub(super) const STEADY: Duration = Duration::from_secs(1);

/// Two groups, of default and of fast timing.
pub(super) struct Power {
    bench: Arc<Bench>,
    usual: Group,
    fast: Group,
}

impl Power {
    /// Puts them on the cluster.
    pub(super) async fn create(bench: &Arc<Bench>) -> Result<Self> {
        let fast = json!({"detect": {"period": "200ms", "timeout": "150ms", "failureThreshold": 3}});
        Ok(Self {
            bench: bench.clone(),
            usual: Group::create(bench, "usual", &Scene::default()).await?,
            fast: Group::create(bench, "fast", &Scene::default().spec(&fast)).await?,
        })
    }

    /// Removes them.
    pub(super) async fn remove(self) -> Result<()> {
        try_join(self.usual.remove(), self.fast.remove()).await.map(drop)
    }

    fn group(&self, row: Row) -> &Group {
        if matches!(row, Row::NodeOffFast | Row::LeadOffFast) { &self.fast } else { &self.usual }
    }

    /// One power cut, for one or two rows; then everything is as before.
    pub(super) async fn cut(&self, lead: bool, rows: &[Row], turn: usize) -> Result<Vec<(Row, Outcome)>> {
        let invalid = |error: anyhow::Error| -> Vec<(Row, Outcome)> {
            let reason = format!("could not be prepared: {error:#}");
            rows.iter().map(|row| (*row, Outcome::Invalid { reason: reason.clone() })).collect()
        };
        let victim = match self.victim(lead).await {
            Ok(victim) => victim,
            Err(error) => return Ok(invalid(error)),
        };
        let outcomes = self.hurt(&victim, rows, turn).await.unwrap_or_else(invalid);
        self.mend(&victim).await.with_context(|| format!("bringing {victim} back"))?;
        Ok(outcomes)
    }

    /// The lead's node, or one without any replica.
    async fn victim(&self, lead: bool) -> Result<String> {
        self.bench.calm(STEADY).await?;
        let replicas = self.bench.env.replicas().await?;
        if lead {
            return Ok(replicas.into_iter().next().context("hotstandby has no replica")?.node);
        }
        let mut nodes = self.bench.env.cluster.nodes().into_iter().map(|node| node.name());
        nodes
            .find(|node| replicas.iter().all(|replica| replica.node != *node))
            .context("every node has a replica of hotstandby")
    }

    async fn hurt(&self, victim: &str, rows: &[Row], turn: usize) -> Result<Vec<(Row, Outcome)>> {
        // Also the group that is not measured: its failover would take the slot.
        for group in [&self.usual, &self.fast] {
            let measured = rows.iter().any(|row| std::ptr::eq(self.group(*row), group));
            if measured {
                group.move_to_node(victim).await?;
            } else {
                self.move_away(group, victim).await?;
            }
        }
        let mut attended = Vec::new();
        for (place, row) in rows.iter().enumerate() {
            attended.push((*row, self.bench.attend(self.group(*row), &[victim], turn + place).await?));
        }
        self.bench.slots.rest().await?;
        if let Some((_, one)) = attended.iter().find(|(_, one)| one.active.node != victim) {
            bail!("{} moved to {} meanwhile", one.group.namespace, one.active.node);
        }
        tokio::time::sleep(phase(turn, Duration::from_secs(1))).await;
        let (env, node) = (self.bench.env.clone(), victim.to_owned());
        let fault = blocking(move || env.cluster.faults().power_off(&node)).await?;
        let ends = attended
            .into_iter()
            .map(|(row, one)| async move { (row, self.bench.conclude(row, one, Ok(fault)).await) });
        Ok(join_all(ends).await)
    }

    async fn move_away(&self, group: &Group, victim: &str) -> Result<()> {
        let pods = group.pods().await?;
        let other = pods.iter().find(|pod| pod.node != victim).context("no pod is on another node")?;
        if group.settled().await?.node == victim {
            group.move_to_node(&other.node).await?;
        }
        Ok(())
    }

    /// Power again, if it was cut; waits until pods and replicas are back.
    async fn mend(&self, victim: &str) -> Result<()> {
        let env = &self.bench.env;
        let (cutter, node) = (env.clone(), victim.to_owned());
        let was_off = blocking(move || {
            let off = !cutter.cluster.status()?.nodes.get(&node).copied().unwrap_or_default();
            if off {
                cutter.cluster.faults().power_on(&node)?;
            }
            Ok(off)
        })
        .await?;
        if was_off {
            env.cluster.wait_node_ready(victim, true, START_LIMIT).await?;
        }
        slowly(START_LIMIT, "both replicas of hotstandby to answer", async || {
            let replicas = env.replicas().await?;
            for replica in &replicas {
                if !env.get(&replica.ip, 8080, "/ready").await.is_ok_and(|(status, _)| status == 200) {
                    return Ok(None);
                }
            }
            Ok((replicas.len() == 2).then_some(()))
        })
        .await?;
        self.bench.calm(STEADY).await?;
        self.usual.settled().await?;
        self.fast.settled().await.map(drop)
    }
}
