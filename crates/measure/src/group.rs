//! A group whose active is hurt: pods of the sample app, a Service without selector and an `ActiveStandby`.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::bench::{Bench, read_number, wait_slowly};
use crate::record::Stages;
use hotstandby_e2e::harness::START_LIMIT;
use hotstandby_e2e::objects::{Kind, Objects, condition, is_ready_pod, items, name_of, text, uid_of};
use hotstandby_e2e::scene::{GROUP, Scene};
use hotstandby_e2e::trial::Active;
use hotstandby_e2e::watchdog::pod_ip;
use hotstandby_testbed::faults::Inflicted;

/// Pods of a group.
const PODS: usize = 3;
/// hotstandby stops a group that changes more than three times in 10 s.
const CHANGE_LIMIT: (usize, Duration) = (3, Duration::from_millis(10_500));

/// A group.
pub(crate) struct Group {
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its Service.
    pub(crate) target: SocketAddr,
    bench: Arc<Bench>,
    changes: Mutex<VecDeque<Instant>>,
}

/// One entry of `status.history`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Change {
    /// The term that began.
    pub(crate) term: i64,
    /// The active before.
    pub(crate) from: String,
    /// The active since.
    pub(crate) to: String,
    /// Why.
    pub(crate) reason: String,
    sent: Option<Timestamp>,
    micros: Option<[i64; 4]>,
}

impl Group {
    /// Puts a group on the cluster; [`Self::wait_until_settled`] waits for it.
    pub(crate) async fn create(bench: &Arc<Bench>, name: &str, scene: &Scene) -> Result<Self> {
        let service = scene.service_objects().first().context("a scene without a Service")?;
        let (namespace, target) = deploy_app(bench, name, service, &scene.workload_object(), PODS).await?;
        bench.env.objects.create(Kind::ActiveStandby, &namespace, &scene.group()).await?;
        Ok(Self { namespace, target, bench: bench.clone(), changes: Mutex::default() })
    }

    fn objects(&self) -> &Objects {
        &self.bench.env.objects
    }

    /// The beginning of its slices' names.
    pub(crate) fn own_slices(&self) -> String {
        format!("{}/", self.namespace)
    }

    /// Waits until the group is served and every other pod could take over; returns the active.
    pub(crate) async fn wait_until_settled(&self) -> Result<Active> {
        let what = format!("group {} to be served with {} standbys", self.namespace, PODS - 1);
        wait_slowly(START_LIMIT, &what, async || {
            let group = self.objects().get(Kind::ActiveStandby, &self.namespace, GROUP).await?;
            Ok(is_settled(&group).then(|| read_active(&group)))
        })
        .await
    }

    /// Its ready pods.
    pub(crate) async fn list_pods(&self) -> Result<Vec<Active>> {
        list_ready_pods(self.objects(), &self.namespace).await
    }

    /// Chooses a pod other than the active. All of them take turns.
    pub(crate) async fn choose_standby(&self, active: &Active, turn: usize) -> Result<Active> {
        let mut others = self.list_pods().await?;
        others.retain(|pod| pod.uid != active.uid);
        let count = others.len().max(1);
        others.into_iter().nth(turn % count).context("there is no standby")
    }

    /// The patch of the annotation that requests a switchover.
    pub(crate) fn make_switchover_request(active: &Active, to: &str) -> Value {
        let request = format!("term={},to={to}", active.term);
        json!({"metadata": {"annotations": {"hotstandby.dev/switchover": request}}})
    }

    /// Makes the pod active that is on this node.
    pub(crate) async fn move_to_node(&self, node: &str) -> Result<Active> {
        let active = self.wait_until_settled().await?;
        if active.node == node {
            return Ok(active);
        }
        let pods = self.list_pods().await?;
        let to = pods.iter().find(|pod| pod.node == node).with_context(|| format!("no pod is on {node}"))?;
        self.wait_for_change_limit().await;
        let request = Self::make_switchover_request(&active, &to.pod);
        self.objects().patch(Kind::ActiveStandby, &self.namespace, GROUP, &request).await?;
        self.record_change();
        wait_slowly(START_LIMIT, &format!("{} to be active", to.pod), async || {
            let active = self.wait_until_settled().await?;
            Ok((active.pod == to.pod).then_some(active))
        })
        .await
    }

    /// Waits until one more change will not exceed hotstandby's limit.
    pub(crate) async fn wait_for_change_limit(&self) {
        let due = {
            let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            while changes.len() > CHANGE_LIMIT.0 {
                changes.pop_front();
            }
            changes.front().filter(|_| changes.len() == CHANGE_LIMIT.0).map(|first| *first + CHANGE_LIMIT.1)
        };
        if let Some(due) = due {
            tokio::time::sleep_until(due.into()).await;
        }
    }

    /// Records that the active changed.
    pub(crate) fn record_change(&self) {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push_back(Instant::now());
    }

    /// Waits until the status reports a term.
    pub(crate) async fn wait_for_history(&self, term: i64) -> Result<Change> {
        let what = format!("status.history to report term {term}");
        wait_slowly(Duration::from_secs(10), &what, async || {
            let group = self.objects().get(Kind::ActiveStandby, &self.namespace, GROUP).await?;
            let entry =
                items(&group, "/status/history").iter().find(|entry| read_number(entry, "/term") == term);
            Ok(entry.map(Change::read))
        })
        .await
    }

    /// Removes it, and waits until its slices and pods are gone.
    pub(crate) async fn remove(self) -> Result<()> {
        // The group is removed first. Otherwise the seat would move from one terminating pod to the next.
        self.objects().delete(Kind::ActiveStandby, &self.namespace, GROUP).await?;
        self.bench.expect_pods(-PODS.cast_signed());
        remove_namespace(self.objects(), &self.namespace).await
    }
}

/// Deploys a Service and pods of the app in a namespace that no earlier run has used. Returns the namespace and the
/// Service's address.
pub(crate) async fn deploy_app(
    bench: &Bench,
    name: &str,
    service: &Value,
    workload: &Value,
    pods: usize,
) -> Result<(String, SocketAddr)> {
    let objects = &bench.env.objects;
    let millis = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    let namespace = format!("measure-{name}-{}", millis % 10_000_000);
    objects.create(Kind::Namespace, "", &Kind::Namespace.object(&namespace, &json!({}))).await?;
    let service = objects.create(Kind::Service, &namespace, service).await?;
    let ip = text(&service, "/spec/clusterIP");
    let target = format!("{ip}:80").parse().with_context(|| format!("no address: {ip}"))?;
    objects.create(Kind::Deployment, &namespace, workload).await?;
    bench.expect_pods(pods.cast_signed());
    Ok((namespace, target))
}

/// The ready pods of a namespace.
pub(crate) async fn list_ready_pods(objects: &Objects, namespace: &str) -> Result<Vec<Active>> {
    let (pods, _) = objects.list(Kind::Pod, namespace, "").await?;
    let ready = pods.iter().filter(|pod| is_ready_pod(pod));
    let read = |pod: &Value| Active {
        pod: name_of(pod).to_owned(),
        uid: uid_of(pod).to_owned(),
        node: text(pod, "/spec/nodeName").to_owned(),
        ip: pod_ip(pod),
        term: 0,
    };
    Ok(ready.map(read).collect())
}

/// Removes a namespace, and waits until no slice and no pod of it is left.
pub(crate) async fn remove_namespace(objects: &Objects, namespace: &str) -> Result<()> {
    objects.delete(Kind::Namespace, "", namespace).await?;
    wait_slowly(START_LIMIT, &format!("namespace {namespace} to be empty"), async || {
        let (slices, _) = objects.list(Kind::EndpointSlice, namespace, "").await?;
        let (pods, _) = objects.list(Kind::Pod, namespace, "").await?;
        Ok((slices.is_empty() && pods.is_empty()).then_some(()))
    })
    .await
}

fn is_settled(group: &Value) -> bool {
    let members = items(group, "/status/members");
    let whole = usize::try_from(read_number(group, "/status/standbys")).is_ok_and(|count| count + 1 == PODS)
        && members.len() == PODS;
    whole
        && condition(group, "Ready").0 == "True"
        && condition(group, "DetectionReady").0 == "True"
        && members.iter().all(|member| matches!(text(member, "/probe"), "Armed" | ""))
}

fn read_active(group: &Value) -> Active {
    let field = |name: &str| text(group, &format!("/status/active/{name}")).to_owned();
    Active {
        pod: field("pod"),
        uid: field("uid"),
        node: field("node"),
        ip: field("ip"),
        term: read_number(group, "/status/term"),
    }
}

impl Change {
    fn read(entry: &Value) -> Self {
        let micros = |stage: &str| read_number(entry, &format!("/stages/{stage}Micros"));
        Self {
            term: read_number(entry, "/term"),
            from: text(entry, "/from").to_owned(),
            to: text(entry, "/to").to_owned(),
            reason: text(entry, "/reason").to_owned(),
            sent: text(entry, "/at").parse().ok(),
            micros: entry.get("stages").map(|_| ["detect", "decide", "seat", "traffic"].map(micros)),
        }
    }

    /// Where the time of a gap went. The entry's time is that of the seat's write being sent, so that what was
    /// before the first sign and what came after the slice's write can be separated.
    pub(crate) fn split_gap(&self, fault: Inflicted, gap_ms: f64) -> Option<Stages> {
        #[allow(clippy::cast_precision_loss)] // hours of microseconds fit
        let [detect, decide, seat, traffic] = self.micros?.map(|micros| micros as f64 / 1000.0);
        let wall = Timestamp::try_from(fault.wall).ok()?;
        let sent = self.sent?.duration_since(wall).as_secs_f64() * 1000.0;
        Some(Stages {
            notice: sent - detect - decide,
            detect,
            decide,
            seat,
            traffic,
            platform: gap_ms - sent - seat - traffic,
        })
    }
}

/// A duration in milliseconds.
pub(crate) fn to_millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_add_up_to_the_gap() {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
        let fault = Inflicted { at: Instant::now(), wall };
        let entry = json!({
            "term": 7, "from": "a", "to": "b", "reason": "ProbeRefused", "at": "2027-01-15T08:00:00.012000Z",
            "stages": {"detectMicros": 6000, "decideMicros": 4000, "seatMicros": 5000, "trafficMicros": 5500},
        });
        let change = Change::read(&entry);
        let stages = change.split_gap(fault, 57.5).unwrap();
        let expected =
            Stages { notice: 2.0, detect: 6.0, decide: 4.0, seat: 5.0, traffic: 5.5, platform: 35.0 };
        for (is, wanted) in stages.to_array().iter().zip(expected.to_array()) {
            assert!((is - wanted).abs() < 1e-6, "{stages:?}");
        }
        assert!((stages.to_array().iter().sum::<f64>() - 57.5).abs() < 1e-6);
    }

    #[test]
    fn without_stage_times_there_is_no_breakdown() {
        let fault = Inflicted::now();
        assert_eq!(Change::read(&json!({"term": 7})).split_gap(fault, 50.0), None);
    }
}
