//! A group to be hurt: pods of the sample app, a Service without selector and an `ActiveStandby`.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::bench::{Bench, number, slowly};
use super::record::Stages;
use hotstandby_e2e::harness::START_LIMIT;
use hotstandby_e2e::objects::{Kind, Objects, condition, is_ready_pod, items, name_of, text, uid_of};
use hotstandby_e2e::scene::{GROUP, Scene};
use hotstandby_e2e::trial::Active;
use hotstandby_e2e::watchdog::pod_ip;
use hotstandby_testbed::faults::Inflicted;

/// Pods of a group.
const PODS: usize = 3;
/// hotstandby stops a group that changes more than three times in 10 s.
const BRAKE: (usize, Duration) = (3, Duration::from_millis(10_500));

/// A group.
pub(super) struct Group {
    /// Its namespace.
    pub(super) namespace: String,
    /// Its Service.
    pub(super) target: SocketAddr,
    bench: Arc<Bench>,
    changes: Mutex<VecDeque<Instant>>,
}

/// One entry of `status.history`.
#[derive(Debug, Clone, Default)]
pub(super) struct Change {
    /// The term that began.
    pub(super) term: i64,
    /// Who was active before.
    pub(super) from: String,
    /// Who is since.
    pub(super) to: String,
    /// Why.
    pub(super) reason: String,
    sent: Option<Timestamp>,
    micros: Option<[i64; 4]>,
}

impl Group {
    /// Puts a group on the cluster; [`Self::settled`] waits for it.
    pub(super) async fn create(bench: &Arc<Bench>, name: &str, scene: &Scene) -> Result<Self> {
        let objects = &bench.env.objects;
        let namespace = namespace(objects, name).await?;
        let service = scene.service_objects().first().context("a scene without a Service")?;
        let service = objects.create(Kind::Service, &namespace, service).await?;
        let ip = text(&service, "/spec/clusterIP");
        let target = format!("{ip}:80").parse().with_context(|| format!("no address: {ip}"))?;
        objects.create(Kind::Deployment, &namespace, &scene.workload_object()).await?;
        objects.create(Kind::ActiveStandby, &namespace, &scene.group()).await?;
        bench.expect_pods(PODS.cast_signed());
        Ok(Self { namespace, target, bench: bench.clone(), changes: Mutex::default() })
    }

    fn objects(&self) -> &Objects {
        &self.bench.env.objects
    }

    /// The beginning of its slices' names.
    pub(super) fn own_slices(&self) -> String {
        format!("{}/", self.namespace)
    }

    /// Waits until the group is served and every other pod could take over; tells who is active.
    pub(super) async fn settled(&self) -> Result<Active> {
        let what = format!("group {} to be served with {} standbys", self.namespace, PODS - 1);
        slowly(START_LIMIT, &what, async || {
            let group = self.objects().get(Kind::ActiveStandby, &self.namespace, GROUP).await?;
            Ok(is_settled(&group).then(|| active(&group)))
        })
        .await
    }

    /// Its pods.
    pub(super) async fn pods(&self) -> Result<Vec<Active>> {
        let (pods, _) = self.objects().list(Kind::Pod, &self.namespace, "").await?;
        Ok(pods
            .iter()
            .filter(|pod| is_ready_pod(pod))
            .map(|pod| Active {
                pod: name_of(pod).to_owned(),
                uid: uid_of(pod).to_owned(),
                node: text(pod, "/spec/nodeName").to_owned(),
                ip: pod_ip(pod),
                term: 0,
            })
            .collect())
    }

    /// Some pod other than the active; in turns, so that none is spared.
    pub(super) async fn standby(&self, active: &Active, turn: usize) -> Result<Active> {
        let mut others = self.pods().await?;
        others.retain(|pod| pod.uid != active.uid);
        let count = others.len().max(1);
        others.into_iter().nth(turn % count).context("there is no standby")
    }

    /// The change of the annotation that asks for a planned move.
    pub(super) fn request(active: &Active, to: &str) -> Value {
        let request = format!("term={},to={to}", active.term);
        json!({"metadata": {"annotations": {"hotstandby.dev/switchover": request}}})
    }

    /// Makes the pod active that is on this node.
    pub(super) async fn move_to_node(&self, node: &str) -> Result<Active> {
        let active = self.settled().await?;
        if active.node == node {
            return Ok(active);
        }
        let pods = self.pods().await?;
        let to = pods.iter().find(|pod| pod.node == node).with_context(|| format!("no pod is on {node}"))?;
        self.paced().await;
        let request = Self::request(&active, &to.pod);
        self.objects().patch(Kind::ActiveStandby, &self.namespace, GROUP, &request).await?;
        self.note_change();
        slowly(START_LIMIT, &format!("{} to be active", to.pod), async || {
            let active = self.settled().await?;
            Ok((active.pod == to.pod).then_some(active))
        })
        .await
    }

    /// Waits until one more change will not be stopped by the brake.
    pub(super) async fn paced(&self) {
        let due = {
            let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            while changes.len() > BRAKE.0 {
                changes.pop_front();
            }
            changes.front().filter(|_| changes.len() == BRAKE.0).map(|first| *first + BRAKE.1)
        };
        if let Some(due) = due {
            tokio::time::sleep_until(due.into()).await;
        }
    }

    /// The active changed.
    pub(super) fn note_change(&self) {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push_back(Instant::now());
    }

    /// Waits until the status tells of a term.
    pub(super) async fn change_told(&self, term: i64) -> Result<Change> {
        let what = format!("status.history to tell of term {term}");
        slowly(Duration::from_secs(10), &what, async || {
            let group = self.objects().get(Kind::ActiveStandby, &self.namespace, GROUP).await?;
            let entry = items(&group, "/status/history").iter().find(|entry| number(entry, "/term") == term);
            Ok(entry.map(Change::of))
        })
        .await
    }

    /// Removes it, and waits until its slices and pods are gone.
    pub(super) async fn remove(self) -> Result<()> {
        // The group first: were the pods to go first, the seat would move from one dying pod to the next.
        self.objects().delete(Kind::ActiveStandby, &self.namespace, GROUP).await?;
        self.bench.expect_pods(-PODS.cast_signed());
        remove_namespace(self.objects(), &self.namespace).await
    }
}

/// A namespace that no earlier run has used.
pub(super) async fn namespace(objects: &Objects, name: &str) -> Result<String> {
    let millis = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    let namespace = format!("measure-{name}-{}", millis % 10_000_000);
    objects.create(Kind::Namespace, "", &Kind::Namespace.object(&namespace, &json!({}))).await?;
    Ok(namespace)
}

/// Removes a namespace, and waits until no slice and no pod of it is left.
pub(super) async fn remove_namespace(objects: &Objects, namespace: &str) -> Result<()> {
    objects.delete(Kind::Namespace, "", namespace).await?;
    slowly(START_LIMIT, &format!("namespace {namespace} to be empty"), async || {
        let (slices, _) = objects.list(Kind::EndpointSlice, namespace, "").await?;
        let (pods, _) = objects.list(Kind::Pod, namespace, "").await?;
        Ok((slices.is_empty() && pods.is_empty()).then_some(()))
    })
    .await
}

fn is_settled(group: &Value) -> bool {
    let members = items(group, "/status/members");
    let whole = usize::try_from(number(group, "/status/standbys")).is_ok_and(|count| count + 1 == PODS)
        && members.len() == PODS;
    whole
        && condition(group, "Ready").0 == "True"
        && condition(group, "DetectionReady").0 == "True"
        && members.iter().all(|member| matches!(text(member, "/probe"), "Armed" | ""))
}

fn active(group: &Value) -> Active {
    let field = |name: &str| text(group, &format!("/status/active/{name}")).to_owned();
    Active {
        pod: field("pod"),
        uid: field("uid"),
        node: field("node"),
        ip: field("ip"),
        term: number(group, "/status/term"),
    }
}

impl Change {
    fn of(entry: &Value) -> Self {
        let micros = |stage: &str| number(entry, &format!("/stages/{stage}Micros"));
        Self {
            term: number(entry, "/term"),
            from: text(entry, "/from").to_owned(),
            to: text(entry, "/to").to_owned(),
            reason: text(entry, "/reason").to_owned(),
            sent: text(entry, "/at").parse().ok(),
            micros: entry.get("stages").map(|_| ["detect", "decide", "seat", "traffic"].map(micros)),
        }
    }

    /// Where the time of a gap went. The entry's time is that of the seat's write being sent, so that what was
    /// before the first sign and what came after the slice's write can be told apart.
    pub(super) fn stages(&self, fault: Inflicted, gap_ms: f64) -> Option<Stages> {
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
pub(super) fn millis(duration: Duration) -> f64 {
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
        let change = Change::of(&entry);
        let stages = change.stages(fault, 57.5).unwrap();
        let expected =
            Stages { notice: 2.0, detect: 6.0, decide: 4.0, seat: 5.0, traffic: 5.5, platform: 35.0 };
        for (is, wanted) in stages.all().iter().zip(expected.all()) {
            assert!((is - wanted).abs() < 1e-6, "{stages:?}");
        }
        assert!((stages.all().iter().sum::<f64>() - 57.5).abs() < 1e-6);
    }

    #[test]
    fn without_stage_times_there_is_no_breakdown() {
        let fault = Inflicted::now();
        assert_eq!(Change::of(&json!({"term": 7})).stages(fault, 50.0), None);
    }
}
