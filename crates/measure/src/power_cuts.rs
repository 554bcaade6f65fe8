//! The trials that cut a node's power.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::future::{join_all, try_join};
use serde_json::json;

use crate::bench::{Attended, Bench, wait_slowly};
use crate::experiment::{Experiment, ProbeTiming, Procedure, Victim};
use crate::group::Group;
use crate::record::Outcome;
use crate::schedule::{Cut, phase};
use hotstandby_e2e::harness::{START_LIMIT, blocking};
use hotstandby_e2e::scene::Scene;

/// A trial without an answer by another pod ends after this time.
const LIMIT: Duration = Duration::from_secs(20);
/// Faults are spread over this period, which is that of the default probe.
const PERIOD: Duration = Duration::from_secs(1);
/// How long all pods must have been ready before a trial. After a node's return the API server shows its earlier state
/// until the node's kubelet reports.
pub(crate) const STEADY: Duration = Duration::from_secs(1);

/// Two groups, of default and of fast timing.
pub(crate) struct PowerCuts {
    bench: Arc<Bench>,
    usual: Group,
    fast: Group,
}

/// The outcomes of the experiments that one power cut serves.
type Outcomes = Vec<(&'static Experiment, Outcome)>;

impl PowerCuts {
    /// Puts them on the cluster.
    pub(crate) async fn create(bench: &Arc<Bench>) -> Result<Self> {
        let fast = json!({"detect": {"period": "200ms", "timeout": "150ms", "failureThreshold": 3}});
        Ok(Self {
            bench: bench.clone(),
            usual: Group::create(bench, "usual", &Scene::default()).await?,
            fast: Group::create(bench, "fast", &Scene::default().spec(&fast)).await?,
        })
    }

    /// Removes them.
    pub(crate) async fn remove(self) -> Result<()> {
        try_join(self.usual.remove(), self.fast.remove()).await.map(drop)
    }

    fn find_group(&self, experiment: &Experiment) -> &Group {
        match experiment.procedure {
            Procedure::PowerCut { timing: ProbeTiming::Fast, .. } => &self.fast,
            _ => &self.usual,
        }
    }

    /// Cuts power once, for one or two experiments; then restores the state before.
    pub(crate) async fn run_cut(&self, cut: &Cut, turn: usize) -> Result<Outcomes> {
        let victim = match self.choose_node(cut.victim).await {
            Ok(victim) => victim,
            Err(error) => return Ok(mark_invalid(cut, &error)),
        };
        let outcomes = self.power_off(&victim, cut, turn).await;
        let outcomes = outcomes.unwrap_or_else(|error| mark_invalid(cut, &error));
        self.mend(&victim).await.with_context(|| format!("bringing {victim} back"))?;
        Ok(outcomes)
    }

    /// The lead's node, or one without any replica.
    async fn choose_node(&self, victim: Victim) -> Result<String> {
        self.bench.wait_until_calm(STEADY).await?;
        let replicas = self.bench.env.replicas().await?;
        if victim == Victim::Lead {
            return Ok(replicas.into_iter().next().context("hotstandby has no replica")?.node);
        }
        let mut nodes = self.bench.env.cluster.nodes().into_iter().map(|node| node.name());
        nodes
            .find(|node| replicas.iter().all(|replica| replica.node != *node))
            .context("every node has a replica of hotstandby")
    }

    async fn power_off(&self, victim: &str, cut: &Cut, turn: usize) -> Result<Outcomes> {
        // The group that is not measured must not be hurt either: its failover would take kube-proxy's slot.
        for group in [&self.usual, &self.fast] {
            if cut.experiments.iter().any(|experiment| std::ptr::eq(self.find_group(experiment), group)) {
                group.move_to_node(victim).await?;
            } else {
                self.move_away(group, victim).await?;
            }
        }
        let mut all: Vec<(&'static Experiment, Attended<'_>)> = Vec::new();
        for (place, experiment) in cut.experiments.iter().enumerate() {
            let group = self.find_group(experiment);
            all.push((experiment, self.bench.attend(group, &[victim], turn + place).await?));
        }
        self.bench.slots.wait_until_free().await?;
        if let Some((_, one)) = all.iter().find(|(_, one)| one.active.node != victim) {
            bail!("{} moved to {} meanwhile", one.group.namespace, one.active.node);
        }
        tokio::time::sleep(phase(turn, PERIOD)).await;
        let (env, node) = (self.bench.env.clone(), victim.to_owned());
        let fault = blocking(move || env.cluster.faults().power_off(&node)).await?;
        let conclude = async |(experiment, attended)| {
            (experiment, self.bench.conclude(LIMIT, attended, Ok(fault)).await)
        };
        Ok(join_all(all.into_iter().map(conclude)).await)
    }

    async fn move_away(&self, group: &Group, victim: &str) -> Result<()> {
        let pods = group.list_pods().await?;
        let other = pods.iter().find(|pod| pod.node != victim).context("no pod is on another node")?;
        if group.wait_until_settled().await?.node == victim {
            group.move_to_node(&other.node).await?;
        }
        Ok(())
    }

    /// Restores power if it was cut, and waits until pods and replicas are back.
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
        wait_slowly(START_LIMIT, "both replicas of hotstandby to answer", async || {
            let replicas = env.replicas().await?;
            for replica in &replicas {
                if !env.get(&replica.ip, 8080, "/ready").await.is_ok_and(|(status, _)| status == 200) {
                    return Ok(None);
                }
            }
            Ok((replicas.len() == 2).then_some(()))
        })
        .await?;
        self.bench.wait_until_calm(STEADY).await?;
        self.usual.wait_until_settled().await?;
        self.fast.wait_until_settled().await.map(drop)
    }
}

fn mark_invalid(cut: &Cut, error: &anyhow::Error) -> Outcomes {
    let reason = format!("could not be prepared: {error:#}");
    let invalid =
        |experiment: &&'static Experiment| (*experiment, Outcome::Invalid { reason: reason.clone() });
    cut.experiments.iter().map(invalid).collect()
}
