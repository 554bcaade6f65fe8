//! What all trials share, and one trial from the client's start to its verdict.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::group::{Group, millis};
use super::inside::Hands;
use super::record::{Outcome, Sample, Seen};
use super::row::Row;
use super::slots::Slots;
use hotstandby_e2e::harness::{Env, START_LIMIT, blocking};
use hotstandby_e2e::objects::{Kind, is_ready_pod};
use hotstandby_e2e::trial::Active;
use hotstandby_testbed::client::{Client, ClientConfig};
use hotstandby_testbed::faults::Inflicted;
use hotstandby_testbed::trace::Trace;
use hotstandby_testbed::wait::until;

/// How long the client goes on after the first answer by another pod: kube-proxy's slot and some more, so that
/// two pods that answer in turns are seen.
const AFTERWARDS: Duration = Duration::from_millis(1_100);
/// Between two looks at what is waited for: seldom, because looking takes CPU from what is measured.
const LOOK: Duration = Duration::from_millis(80);

/// What all trials share.
pub(super) struct Bench {
    /// Cluster and hotstandby.
    pub(super) env: Arc<Env>,
    /// Calls from inside the cluster's network.
    pub(super) hands: Hands,
    /// Changes of slices.
    pub(super) slots: Slots,
    start: Instant,
    pods: AtomicUsize,
}

/// A client at work on a group, before the fault.
pub(super) struct Attended<'g> {
    /// The group.
    pub(super) group: &'g Group,
    /// Who is active.
    pub(super) active: Active,
    client: Client,
    node: String,
}

impl Bench {
    /// Starts listening.
    pub(super) async fn start(env: Arc<Env>, hands: Hands) -> Result<Arc<Self>> {
        let slots = Slots::start(&hands).await?;
        Ok(Arc::new(Self { env, hands, slots, start: Instant::now(), pods: AtomicUsize::new(0) }))
    }

    /// So many pods of the app more, or fewer.
    pub(super) fn expect_pods(&self, change: isize) {
        let _before = self.pods.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |pods| {
            Some(pods.saturating_add_signed(change))
        });
    }

    /// Waits until all pods of the app are ready and none comes or goes, and so for a moment: pods that start
    /// take CPU from what is measured, and right after a power cut the API server tells what was true before.
    pub(super) async fn calm(&self, steady: Duration) -> Result<()> {
        let expected = self.pods.load(Ordering::Relaxed);
        let mut since: Option<Instant> = None;
        slowly(START_LIMIT, &format!("{expected} ready pods of the app"), async || {
            let (pods, _) = self.env.objects.list(Kind::Pod, "", "app").await?;
            if pods.len() != expected || !pods.iter().all(is_ready_pod) {
                since = None;
                return Ok(None);
            }
            Ok((since.get_or_insert_with(Instant::now).elapsed() >= steady).then_some(()))
        })
        .await
    }

    /// A client on a node other than these, answered without a break.
    pub(super) async fn client(
        &self,
        target: std::net::SocketAddr,
        not_on: &[&str],
        turn: usize,
    ) -> Result<(Client, String)> {
        let nodes: Vec<_> = self
            .env
            .cluster
            .nodes()
            .into_iter()
            .filter(|node| !not_on.contains(&node.name().as_str()))
            .collect();
        let node = nodes.get(turn % nodes.len().max(1)).context("no node is left for the client")?;
        let client = Client::start(Some(node.netns()), ClientConfig::new(target))?;
        until(START_LIMIT, "the client to be answered", async || {
            let trace = client.snapshot();
            let last = trace.samples().iter().rev().take(20);
            Ok((last.filter(|sample| sample.who().is_some()).count() == 20).then_some(()))
        })
        .await?;
        client.take();
        Ok((client, node.name()))
    }

    /// Sees that a group is whole, and starts a client on it.
    pub(super) async fn attend<'g>(
        &self,
        group: &'g Group,
        not_on: &[&str],
        turn: usize,
    ) -> Result<Attended<'g>> {
        let active = group.settled().await?;
        group.paced().await;
        let not_on: Vec<&str> = not_on.iter().copied().chain([active.node.as_str()]).collect();
        let (client, node) = self.client(group.target, &not_on, turn).await?;
        Ok(Attended { group, active, client, node })
    }

    /// A sample of this moment.
    pub(super) fn sample(&self, row: Row, outcome: Outcome) -> Sample {
        Sample { row, at_s: self.start.elapsed().as_secs_f64(), outcome }
    }

    /// Waits for another pod to answer and tells what happened; never fails, since a trial that went wrong is
    /// to be told too.
    pub(super) async fn conclude(
        &self,
        row: Row,
        attended: Attended<'_>,
        fault: Result<Inflicted>,
    ) -> Outcome {
        match self.try_conclude(row, attended, fault).await {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Invalid { reason: format!("{error:#}") },
        }
    }

    async fn try_conclude(
        &self,
        row: Row,
        attended: Attended<'_>,
        fault: Result<Inflicted>,
    ) -> Result<Outcome> {
        let Attended { group, active, client, node } = attended;
        let fault = fault.context("the fault could not be made")?;
        let trace = watch(client, fault.at, &active.pod, row.limit()).await?;
        let Some(mut seen) = describe(&trace, fault.at, &active.pod) else {
            let failed = failed_after(&trace, fault.at);
            return Ok(Outcome::NoAnswer { limit_ms: millis(row.limit()), failed });
        };
        group.note_change();
        let change = group.change_told(active.term + 1).await?;
        if change.from != active.pod {
            bail!("the active had changed before the fault");
        }
        if let Err(reason) = self.slots.judge(&group.own_slices(), fault.at) {
            return Ok(Outcome::Invalid { reason });
        }
        if *seen.to != change.to {
            bail!("another pod answered than the one that became active");
        }
        seen.client_node = node;
        seen.term = change.term;
        seen.stages = change.stages(fault, seen.gap_ms);
        seen.reason = change.reason;
        Ok(Outcome::Seen(Box::new(seen)))
    }
}

/// Lets the client go on until some time after another pod answered, and takes what it saw.
pub(super) async fn watch(client: Client, fault: Instant, old: &str, limit: Duration) -> Result<Trace> {
    let old = old.to_owned();
    blocking(move || {
        // Without an answer within the limit what was seen is told all the same.
        let _in_time = client.wait_until(limit, |trace| trace.failover_from(fault, &old).is_some());
        std::thread::sleep(AFTERWARDS);
        client.stop()
    })
    .await
}

/// What the client saw of a failover, as far as it can tell.
pub(super) fn describe(trace: &Trace, fault: Instant, old: &str) -> Option<Seen> {
    let failover = trace.failover_from(fault, old)?;
    let first_end = fault + failover.gap;
    let doubled =
        trace.samples().iter().filter(|sample| sample.start > first_end && sample.who() == Some(old)).count();
    let outages = trace.gaps().into_iter().filter(|gap| gap.recovered.is_none_or(|end| end > fault));
    let outage = outages.map(|gap| gap.duration).max().unwrap_or_default();
    Some(Seen {
        gap_ms: millis(failover.gap),
        open_ms: millis(failover.open),
        outage_ms: millis(outage),
        failed: failed_after(trace, fault),
        doubled: u64::try_from(doubled).unwrap_or(u64::MAX),
        from: old.to_owned(),
        to: failover.new.to_string(),
        ..Seen::default()
    })
}

fn failed_after(trace: &Trace, fault: Instant) -> u64 {
    let failed =
        trace.samples().iter().filter(|sample| sample.end > fault && sample.failure().is_some()).count();
    u64::try_from(failed).unwrap_or(u64::MAX)
}

/// Like [`until`], looking less often.
pub(super) async fn slowly<T>(
    limit: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    until(limit, what, async || {
        let found = look().await;
        if !matches!(found, Ok(Some(_))) {
            tokio::time::sleep(LOOK).await;
        }
        found
    })
    .await
}

/// The value at a JSON pointer as a whole number; 0 where there is none.
pub(super) fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotstandby_testbed::trace::{Failure, Outcome as Answer, Sample as Request};

    fn request(start: Instant, end_ms: u64, who: Option<&str>) -> Request {
        let outcome = who
            .map_or(Answer::Failed(Failure::Refused), |who| Answer::Answer { who: who.into(), start_id: 1 });
        Request { start, end: start + Duration::from_millis(end_ms), outcome }
    }

    #[test]
    fn only_requests_started_after_the_first_new_answer_are_doubled() {
        let zero = Instant::now();
        let ms = |ms| zero + Duration::from_millis(ms);
        let trace = Trace::new(vec![
            request(ms(0), 2, Some("a")),
            request(ms(10), 2, None),
            request(ms(20), 20, Some("a")), // answered late, asked early
            request(ms(25), 3, Some("b")),
            request(ms(35), 2, Some("a")), // asked after b had answered: two pods serve
            request(ms(45), 2, Some("b")),
        ]);
        let seen = describe(&trace, ms(5), "a").unwrap();
        assert_eq!((seen.failed, seen.doubled, seen.to.as_str()), (1, 1, "b"));
        assert!((seen.gap_ms - 23.0).abs() < 1e-6, "{seen:?}");
        assert!((seen.outage_ms - 30.0).abs() < 1e-6, "{seen:?}");
        assert!(describe(&trace, ms(5), "b").is_some_and(|seen| seen.to == "a"));
    }

    #[test]
    fn without_another_pod_there_is_nothing_to_describe() {
        let zero = Instant::now();
        assert!(describe(&Trace::new(vec![request(zero, 1, Some("a"))]), zero, "a").is_none());
    }
}
