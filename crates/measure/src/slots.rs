//! Notes every change of any EndpointSlice in the cluster.
//!
//! kube-proxy programs a change at once and then waits a second before the next one, over all Services. A trial
//! that begins, or whose write falls, within a second after another change measures that wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::StreamExt as _;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::{PartialObjectMeta, ResourceExt as _};
use kube::runtime::watcher::{Config, Event, watcher};
use tokio::task::JoinHandle;

use super::inside::Hands;
use hotstandby_testbed::wait::until;

/// kube-proxy's second, and how late a change may be heard of.
const SLOT: Duration = Duration::from_millis(1_050);
/// What rests before a fault.
const REST: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
struct Change {
    seen: Instant,
    /// Namespace and name of the slice.
    slice: String,
}

#[derive(Debug, Default)]
struct Log {
    changes: Vec<Change>,
    listed: bool,
}

/// The log of changes.
pub(super) struct Slots {
    log: Arc<Mutex<Log>>,
    task: JoinHandle<()>,
}

impl Drop for Slots {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Slots {
    /// Starts listening.
    pub(super) async fn start(hands: &Hands) -> Result<Self> {
        let log = Arc::new(Mutex::new(Log::default()));
        let task = hands.start(listen(Api::all(hands.client.clone()), log.clone()));
        let slots = Self { log, task };
        until(Duration::from_secs(10), "the watch of slices to start", async || {
            Ok(slots.log().listed.then_some(()))
        })
        .await?;
        Ok(slots)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no slice has changed for two seconds.
    pub(super) async fn rest(&self) -> Result<()> {
        loop {
            let quiet = self.log().changes.last().map_or(Duration::MAX, |change| change.seen.elapsed());
            let Some(more) = REST.checked_sub(quiet) else { return Ok(()) };
            tokio::time::sleep(more + Duration::from_millis(1)).await;
        }
    }

    /// Whether the slot was free for the write that followed a fault; `own` begins the names of the slices
    /// that the fault shall change.
    pub(super) fn judge(&self, own: &str, fault: Instant) -> Result<(), String> {
        judge(&self.log().changes, own, fault)
    }
}

fn judge(changes: &[Change], own: &str, fault: Instant) -> Result<(), String> {
    let Some(write) = changes.iter().find(|change| change.seen >= fault && change.slice.starts_with(own))
    else {
        return Ok(());
    };
    let earlier = changes.iter().rev().find(|change| change.seen < write.seen);
    match earlier {
        Some(other) if write.seen.duration_since(other.seen) < SLOT => Err(format!(
            "another change took kube-proxy's slot: {}",
            // Names with random parts would make every reason another one.
            if other.slice.starts_with(own) { "its own slice's" } else { other.slice.as_str() }
        )),
        _ => Ok(()),
    }
}

async fn listen(api: Api<PartialObjectMeta<EndpointSlice>>, log: Arc<Mutex<Log>>) {
    let mut events = std::pin::pin!(watcher(api, Config::default()));
    while let Some(event) = events.next().await {
        let seen = Instant::now();
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let slice = match event {
            Ok(Event::Apply(slice) | Event::Delete(slice)) => {
                format!("{}/{}", slice.namespace().unwrap_or_default(), slice.name_any())
            }
            Ok(Event::InitDone) if !log.listed => {
                log.listed = true;
                continue;
            }
            // What changed while nobody listened is not known: it counts as a change.
            Ok(Event::InitDone) => "(the watch was restarted)".to_owned(),
            Ok(Event::Init | Event::InitApply(_)) | Err(_) => continue,
        };
        log.changes.push(Change { seen, slice });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(zero: Instant, list: &[(u64, &str)]) -> Vec<Change> {
        let change = |&(ms, slice): &(u64, &str)| Change {
            seen: zero + Duration::from_millis(ms),
            slice: slice.to_owned(),
        };
        list.iter().map(change).collect()
    }

    #[test]
    fn a_write_long_after_any_other_has_its_slot() {
        let zero = Instant::now();
        let changes = at(zero, &[(0, "b/x"), (2_000, "a/x"), (2_500, "b/x")]);
        assert_eq!(judge(&changes, "a/", zero + Duration::from_millis(1_950)), Ok(()));
    }

    #[test]
    fn a_change_within_the_second_before_the_write_takes_it() {
        let zero = Instant::now();
        let changes = at(zero, &[(1_500, "b/x"), (2_000, "a/x")]);
        let error = judge(&changes, "a/", zero + Duration::from_millis(1_400)).unwrap_err();
        assert!(error.contains("b/x"), "{error}");
        let changes = at(zero, &[(1_500, "a/x"), (2_000, "a/x")]);
        assert!(judge(&changes, "a/", zero + Duration::from_millis(1_900)).is_err());
    }

    #[test]
    fn without_a_write_there_is_no_slot_to_judge() {
        let zero = Instant::now();
        assert_eq!(judge(&at(zero, &[(0, "b/x")]), "a/", zero), Ok(()));
    }
}
