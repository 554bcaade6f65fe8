//! What happens on the API server, every single change of it, and when.

use crate::judge::Judge;
use crate::scene::{GROUP, NAMESPACE, PODS, SERVICE, SYSTEM};
use anyhow::{Context as _, Result, bail};
use hotstandby_sim::{Handle, Reply, Request, Watch};
use http::Method;
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// A change of the seat or of what the Service's slices name.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// When the server stored it.
    pub(crate) at: Instant,
    /// The seat's term.
    pub(crate) term: i64,
    /// The pod it names; none where it names nobody.
    pub(crate) pod: Option<String>,
}

/// One entry of the group's history.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// Why.
    pub(crate) reason: String,
    /// Milliseconds of detect, decide, seat and traffic.
    pub(crate) stages: [f64; 4],
}

/// The active pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Active {
    pub(crate) pod: String,
    pub(crate) uid: String,
    pub(crate) node: String,
    pub(crate) term: i64,
}

/// What has been seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) seats: Vec<Change>,
    pub(crate) slices: Vec<Change>,
    group: Value,
    /// What must never be, in words.
    pub(crate) wrong: Vec<String>,
}

impl Seen {
    /// Who is active, as the group says.
    pub(crate) fn active(&self) -> Option<Active> {
        let text = |pointer: &str| self.group.pointer(pointer)?.as_str().map(str::to_owned);
        Some(Active {
            pod: text("/status/active/pod")?,
            uid: text("/status/active/uid")?,
            node: text("/status/active/node")?,
            term: self.group.pointer("/status/term")?.as_i64()?,
        })
    }

    /// Whether the group is served and every other pod could take over at once.
    pub(crate) fn is_settled(&self) -> bool {
        let is_true = |kind: &str| {
            self.list("/status/conditions")
                .iter()
                .any(|one| text(one, "/type") == Some(kind) && text(one, "/status") == Some("True"))
        };
        let members = self.list("/status/members");
        let standbys = self.group.pointer("/status/standbys").and_then(Value::as_u64);
        is_true("Ready")
            && is_true("DetectionReady")
            && members.len() == PODS
            && members.iter().all(|member| text(member, "/probe") == Some("Armed"))
            && standbys.and_then(|count| usize::try_from(count).ok()) == Some(PODS - 1)
    }

    /// Changes of the seat since an instant.
    pub(crate) fn seats_since(&self, instant: Instant) -> usize {
        self.seats.iter().filter(|change| change.at > instant).count()
    }

    /// The first change of the seat to a later term.
    pub(crate) fn seat_after(&self, term: i64) -> Option<&Change> {
        self.seats.iter().find(|change| change.term > term)
    }

    /// The first change of a slice to a later term that names somebody.
    pub(crate) fn slice_after(&self, term: i64) -> Option<&Change> {
        self.slices.iter().find(|change| change.term > term && change.pod.is_some())
    }

    /// What the group tells of the change to a term, once its times are all there.
    pub(crate) fn told(&self, term: i64) -> Option<Told> {
        let entry = self
            .list("/status/history")
            .iter()
            .find(|entry| entry.pointer("/term").and_then(Value::as_i64) == Some(term))?;
        let ms = |stage: &str| {
            let micros = entry
                .pointer(&format!("/stages/{stage}"))?
                .as_i64()
                .and_then(|micros| i32::try_from(micros).ok())?;
            Some(f64::from(micros) / 1000.0)
        };
        let stages = [ms("detectMicros")?, ms("decideMicros")?, ms("seatMicros")?, ms("trafficMicros")?];
        Some(Told { reason: text(entry, "/reason")?.to_owned(), stages })
    }

    fn list(&self, pointer: &str) -> &[Value] {
        self.group.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn state(&self) -> String {
        let conditions: Vec<String> = self
            .list("/status/conditions")
            .iter()
            .map(|one| {
                let [kind, status, reason, message] = ["/type", "/status", "/reason", "/message"]
                    .map(|field| text(one, field).unwrap_or_default());
                format!("{kind}={status} ({reason}: {message})")
            })
            .collect();
        if conditions.is_empty() { "it says nothing yet".to_owned() } else { conditions.join(", ") }
    }
}

/// Watches the server from inside.
pub(crate) struct Observer {
    seen: Arc<Mutex<Seen>>,
    news: tokio::sync::watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl Observer {
    pub(crate) fn start(handle: &Handle) -> Result<Self> {
        let pods = watch(handle, &format!("/api/v1/namespaces/{NAMESPACE}/pods"))?;
        let seats = watch(handle, &format!("/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases"))?;
        let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices");
        let slices = watch(handle, &slices)?;
        let groups = format!("/apis/hotstandby.dev/v1alpha1/namespaces/{NAMESPACE}/activestandbies");
        let groups = watch(handle, &groups)?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (tell, news) = tokio::sync::watch::channel(0);
        let task =
            tokio::spawn(observe(handle.clone(), [pods, seats, slices, groups], Arc::clone(&seen), tell));
        Ok(Self { seen, news, task })
    }

    /// What has been seen so far.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until what has been seen has something.
    pub(crate) async fn until<T>(
        &self,
        limit: Duration,
        what: &str,
        mut find: impl FnMut(&Seen) -> Option<T>,
    ) -> Result<T> {
        let mut news = self.news.clone();
        let search = async {
            loop {
                if let Some(found) = find(&self.seen()) {
                    return Some(found);
                }
                // Some things only come with time: a look now and then without any news.
                let _ = tokio::time::timeout(Duration::from_millis(50), news.changed()).await;
            }
        };
        match tokio::time::timeout(limit, search).await {
            Ok(Some(found)) => Ok(found),
            _ => bail!("waited {limit:?} in vain for {what}; the group: {}", self.seen().state()),
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn watch(handle: &Handle, path: &str) -> Result<Watch> {
    let request = Request::new(Method::GET, &format!("{path}?watch=true&resourceVersion=0"));
    match handle.with(|server| server.handle(&request)) {
        Reply::Watch(watch) => Ok(*watch),
        other => bail!("watching {path}: {}", other.code()),
    }
}

async fn observe(
    handle: Handle,
    mut watches: [Watch; 4],
    seen: Arc<Mutex<Seen>>,
    news: tokio::sync::watch::Sender<u64>,
) {
    let mut version = 0;
    let mut judge = Judge::new();
    loop {
        version = handle.changed_after(version).await;
        let events = handle.with(|server| watches.each_mut().map(|watch| server.poll(watch)));
        let at = Instant::now();
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Pods before what names them, and the seat before the slices that follow it.
        let [pods, seats, slices, groups] = events;
        for event in &pods {
            seen.wrong.extend(judge.tell_pod(event, at));
        }
        for event in &seats {
            seen.wrong.extend(judge.tell_seat(event, at));
            note_seat(&mut seen, event, at);
        }
        for event in slices.iter().filter(|event| is_of_service(event)) {
            seen.wrong.extend(judge.tell_slice(event, at));
            note_slice(&mut seen, event, at);
        }
        for event in groups {
            if text(&event, "/object/metadata/name") == Some(GROUP) {
                seen.group = event.pointer("/object").cloned().unwrap_or_default();
            }
        }
        drop(seen);
        news.send_replace(version);
    }
}

fn note_seat(seen: &mut Seen, event: &Value, at: Instant) {
    let holder = text(event, "/object/spec/holderIdentity").filter(|holder| !holder.is_empty());
    let term = event.pointer("/object/spec/leaseTransitions").and_then(Value::as_i64);
    let Some(term) = term else { return };
    if seen.seats.last().is_some_and(|last| last.term == term && last.pod.as_deref() == holder) {
        return;
    }
    seen.seats.push(Change { at, term, pod: holder.map(str::to_owned) });
}

/// Whether a slice feeds the demo's Service.
fn is_of_service(event: &Value) -> bool {
    // In a JSON pointer `~1` is a slash.
    text(event, "/object/metadata/labels/kubernetes.io~1service-name") == Some(SERVICE)
}

fn note_slice(seen: &mut Seen, event: &Value, at: Instant) {
    let endpoints = event.pointer("/object/endpoints").and_then(Value::as_array);
    let first = endpoints.and_then(|endpoints| endpoints.first());
    let pod = first.and_then(|one| text(one, "/targetRef/name")).map(str::to_owned);
    let term = text(event, "/object/metadata/annotations/hotstandby.dev~1term");
    let term = term.and_then(|term| term.parse().ok()).unwrap_or_default();
    if seen.slices.last().is_some_and(|last| last.term == term && last.pod == pod) {
        return;
    }
    seen.slices.push(Change { at, term, pod });
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

/// The instant so long ago.
pub(crate) fn ago(time: Duration) -> Result<Instant> {
    Instant::now().checked_sub(time).context("the machine has just been started")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, address: &str) -> Value {
        json!({"type": "ADDED", "object": {
            "metadata": {"name": name, "uid": name}, "status": {"podIPs": [{"ip": address}]},
        }})
    }

    fn seat(term: i64, holder: &str) -> Value {
        json!({"type": "MODIFIED", "object": {
            "metadata": {"name": "cr.web", "uid": "s", "annotations": {"hotstandby.dev/holder-uid": holder}},
            "spec": {"leaseTransitions": term, "holderIdentity": holder},
        }})
    }

    fn slice(term: i64, pods: &[&str]) -> Value {
        let endpoints: Vec<Value> = pods
            .iter()
            .map(|pod| json!({"addresses": ["127.0.0.2"], "targetRef": {"name": pod, "uid": pod}}))
            .collect();
        json!({"type": "MODIFIED", "object": {
            "metadata": {
                "name": "slice", "uid": "e",
                "labels": {"kubernetes.io/service-name": SERVICE},
                "annotations": {"hotstandby.dev/seat-uid": "s", "hotstandby.dev/term": term.to_string()},
            },
            "addressType": "IPv4",
            "endpoints": endpoints,
        }})
    }

    #[test]
    fn two_addresses_a_stranger_and_a_term_that_goes_back_are_seen() {
        let now = Instant::now();
        let (mut seen, mut judge) = (Seen::default(), Judge::new());
        let mut wrong = Vec::new();
        wrong.extend(judge.tell_pod(&pod("a", "127.0.0.2"), now));
        wrong.extend(judge.tell_pod(&pod("b", "127.0.0.2"), now));
        wrong.extend(judge.tell_seat(&seat(7, "a"), now));
        let told = [slice(7, &["a"]), slice(8, &[]), slice(8, &["b"])];
        wrong.extend(judge.tell_slice(&told[0], now));
        wrong.extend(judge.tell_seat(&seat(8, "b"), now));
        wrong.extend(judge.tell_slice(&told[1], now));
        wrong.extend(judge.tell_slice(&told[2], now));
        for event in &told {
            assert!(is_of_service(event));
            note_slice(&mut seen, event, now);
        }
        assert_eq!(wrong, Vec::<String>::new());
        assert_eq!(seen.slice_after(7).and_then(|change| change.pod.as_deref()), Some("b"));
        let two = judge.tell_slice(&slice(8, &["b", "a"]), now);
        assert!(two.iter().any(|wrong| wrong.contains("has 2 IPv4 endpoints")), "{two:?}");
        assert!(two.iter().any(|wrong| wrong.contains("names a (127.0.0.2), which did not hold")), "{two:?}");
        let stranger = judge.tell_slice(&slice(8, &["a"]), now);
        assert_eq!(stranger.len(), 1, "{stranger:?}");
        let unknown = judge.tell_slice(&slice(8, &["c"]), now);
        assert!(unknown.iter().all(|wrong| wrong.contains("a pod that never was")), "{unknown:?}");
        let back = judge.tell_seat(&seat(6, "b"), now);
        assert_eq!(back.len(), 1, "{back:?}");
        assert!(back.iter().all(|wrong| wrong.starts_with("I3: ")), "{back:?}");
    }
}
