//! Seeing the Lease change: by a watch of this one object, or where that is not granted by reading it now and then.

use super::lease::LeaseStore;
use crate::call::chain;
use crate::pause::{Pause, random_below};
use futures::{StreamExt, TryStreamExt};
use hotstandby_core::gatekeeper::LeaseState;
use hotstandby_core::observation::WriteError;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{WatchEvent, WatchParams};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// The server ends a watch after this much and up to half as much again; going on costs one request.
const WATCH_SECONDS: u64 = 60;
/// What is added to that before a watch is given up that says nothing at all. Pings find a dead connection long before.
const WATCH_MARGIN: Duration = Duration::from_secs(5);
/// How long the start of a watch, or a read, may take.
const CALL: Duration = Duration::from_secs(2);
/// The longest pause while the server is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long a refusal of the watch is believed: rights may be granted while we run.
const REFUSED_FOR: Duration = Duration::from_mins(1);
/// A watch that ended sooner did nobody any good.
const SHORTEST_WATCH: Duration = Duration::from_secs(1);

/// What is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The Lease; `None` until the first read.
    pub lease: Option<LeaseState>,
    /// Why it cannot be watched, where it is read now and then instead.
    pub refused: Option<String>,
}

impl Sight {
    /// Nothing yet.
    pub const fn nothing() -> Self {
        Self { lease: None, refused: None }
    }
}

enum End {
    /// Go on from this version; empty: from whatever is newest.
    Resume(String),
    /// Too old to go on from: read first.
    Anew,
    /// There is no right to watch.
    Refused(String),
}

/// Looks for ever and tells the newest state, until the receiver is gone.
///
/// `period` is how often it is read where it cannot be watched: the retry period, as client-go does, and never more often.
pub async fn look(store: &LeaseStore, period: Duration, sink: &watch::Sender<Sight>) {
    let mut pause = Pause::default();
    while !sink.is_closed() {
        let version = match store.read(CALL).await {
            Ok(state) => {
                let version = match &state {
                    LeaseState::Present(view) => view.rv.to_string(),
                    LeaseState::Absent => String::new(),
                };
                tell(sink, state);
                version
            }
            Err(WriteError::Refused(_) | WriteError::Conflict) => {
                // The machine's own read says so, too. Only a human helps.
                sleep(jittered(period.max(LONGEST_PAUSE))).await;
                continue;
            }
            Err(WriteError::Unknown(_)) => {
                sleep(pause.next(LONGEST_PAUSE)).await;
                continue;
            }
        };
        if let Some(refused) = follow(store, version, sink, &mut pause).await {
            read_now_and_then(store, period, refused, sink).await;
        }
    }
}

/// Watches and resumes until a read is due; the text where it is refused.
async fn follow(
    store: &LeaseStore,
    mut version: String,
    sink: &watch::Sender<Sight>,
    pause: &mut Pause,
) -> Option<String> {
    loop {
        let started = Instant::now();
        let end = tokio::select! {
            end = watch_once(store, version, sink) => end,
            () = sink.closed() => return None,
        };
        match end {
            End::Refused(text) => return Some(text),
            End::Anew => return None,
            End::Resume(newest) => version = newest,
        }
        if started.elapsed() >= SHORTEST_WATCH {
            pause.reset();
        } else {
            sleep(pause.next(LONGEST_PAUSE)).await;
        }
    }
}

async fn watch_once(store: &LeaseStore, version: String, sink: &watch::Sender<Sight>) -> End {
    let seconds = WATCH_SECONDS + random_below(WATCH_SECONDS / 2 + 1);
    let params = WatchParams {
        // With the name in it, a right that names this one Lease is enough.
        field_selector: Some(format!("metadata.name={}", store.name())),
        timeout: u32::try_from(seconds).ok(),
        bookmarks: true,
        ..WatchParams::default()
    };
    let api = store.api(store.link().for_watch());
    let stream = match timeout(CALL, api.watch(&params, &version)).await {
        Err(_elapsed) => return End::Resume(version),
        Ok(Err(error)) => return failed(&error, version),
        Ok(Ok(stream)) => stream,
    };
    sink.send_if_modified(|sight| std::mem::take(&mut sight.refused).is_some());
    let mut stream = stream.map_err(|error| error).boxed();
    let idle = Duration::from_secs(seconds) + WATCH_MARGIN;
    let mut version = version;
    loop {
        let event = match timeout(idle, stream.next()).await {
            Err(_) | Ok(None) => return End::Resume(version),
            Ok(Some(Err(error))) => return failed(&error, version),
            Ok(Some(Ok(event))) => event,
        };
        match event {
            WatchEvent::Added(lease) | WatchEvent::Modified(lease) => {
                version = newest(&lease, version);
                if let Ok(view) = store.seen(lease) {
                    tell(sink, LeaseState::Present(view));
                }
            }
            WatchEvent::Deleted(lease) => {
                version = newest(&lease, version);
                tell(sink, LeaseState::Absent);
            }
            WatchEvent::Bookmark(mark) => version = mark.metadata.resource_version,
            WatchEvent::Error(status) => return failed(&kube::Error::Api(status), version),
        }
    }
}

fn newest(lease: &Lease, before: String) -> String {
    lease.metadata.resource_version.clone().unwrap_or(before)
}

fn failed(error: &kube::Error, version: String) -> End {
    match error {
        kube::Error::Api(status) if status.code == 410 => End::Anew,
        kube::Error::Api(status) if status.code == 403 => End::Refused(chain(error)),
        _ => End::Resume(version),
    }
}

async fn read_now_and_then(
    store: &LeaseStore,
    period: Duration,
    refused: String,
    sink: &watch::Sender<Sight>,
) {
    let started = Instant::now();
    sink.send_modify(|sight| sight.refused = Some(refused));
    while started.elapsed() < REFUSED_FOR && !sink.is_closed() {
        sleep(jittered(period)).await;
        if let Ok(state) = store.read(CALL).await {
            tell(sink, state);
        }
    }
}

fn tell(sink: &watch::Sender<Sight>, state: LeaseState) {
    sink.send_modify(|sight| sight.lease = Some(state));
}

/// Up to a fifth more, as client-go does.
fn jittered(period: Duration) -> Duration {
    let fifth = u64::try_from((period / 5).as_micros()).unwrap_or(u64::MAX);
    period + Duration::from_micros(random_below(fifth.saturating_add(1)))
}
