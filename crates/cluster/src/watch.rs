//! List and watch without end, so that no deletion is lost and a dead watch is known by its age.
//!
//! Not kube's `watcher`: that hides bookmarks and the times at which a watch was found alive, and its streaming list
//! starts at "any version", which behind a load balancer may be older than what this replica has already
//! seen. Here every list is a quorum read, and every sign of life is noted.

use crate::call::chain;
use crate::pause::{Pause, random_below};
use futures::{StreamExt, TryStreamExt};
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

/// The server ends a watch after this much and up to half as much again.
///
/// Resuming costs one request and no list. It bounds the age of a watch's newest sign of life, and how long a watch
/// that died without a word is believed where there are no HTTP/2 pings.
const WATCH_TIMEOUT_SECONDS: u64 = 20;
/// What the client adds to that before it gives the watch up by itself.
const WATCH_MARGIN: Duration = Duration::from_secs(5);
/// How long the start of a watch, or one page of a list, may take.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Objects a page.
const PAGE: u32 = 1000;
/// The longest pause while the server is away: it must be found again soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause while the server refuses: only a human helps.
const LONGEST_REFUSED_PAUSE: Duration = Duration::from_secs(10);
/// A watch that ended sooner was no success, whatever it said: else it would be started again and again.
const SHORTEST_WATCH: Duration = Duration::from_secs(1);

/// What a watch tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<K> {
    /// Everything will be told anew; what is not told before [`Event::Done`] is gone.
    Begin,
    /// An object of the list.
    Listed(K),
    /// The list is complete; it was asked for as this generation.
    Done(u64),
    /// An object was added or changed.
    Applied(K),
    /// An object was deleted, or no longer matches the watch's selector. Its last state.
    Deleted(K),
    /// The server refuses to let us list or watch, and why; `None`: not any more.
    Refused(Option<String>),
}

/// What to watch.
#[derive(Clone, Debug)]
pub struct WatchSetup {
    /// Name in metrics and `/ready`, for example `pods`.
    pub resource: &'static str,
    /// A label selector.
    pub labels: Option<String>,
    /// A field selector.
    pub fields: Option<String>,
}

impl WatchSetup {
    /// Everything of this resource.
    pub fn all(resource: &'static str) -> Self {
        Self { resource, labels: None, fields: None }
    }
}

/// Asks all watches to list anew.
#[derive(Clone, Debug)]
pub struct Relister(Arc<watch::Sender<u64>>);

impl Default for Relister {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(1)))
    }
}

impl Relister {
    /// Starts a new generation of lists and returns its number; [`Event::Done`] with it or a higher one
    /// from each watch says that it is complete.
    pub fn relist(&self) -> u64 {
        let mut generation = 0;
        self.0.send_modify(|current| {
            *current += 1;
            generation = *current;
        });
        generation
    }

    fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

/// How one watch does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchAge {
    /// The resource.
    pub resource: &'static str,
    /// Since its newest sign of life: an event, a bookmark, or a good start.
    pub age: Duration,
    /// Whether its first list is complete.
    pub synced: bool,
    /// Why it does not run, while it does not.
    pub error: Option<String>,
}

#[derive(Clone, Debug)]
struct Life {
    newest: Instant,
    synced: bool,
    error: Option<String>,
}

/// The signs of life of all watches, for `/ready` and metrics.
#[derive(Clone, Debug, Default)]
pub struct WatchAges(Arc<Mutex<BTreeMap<&'static str, Life>>>);

impl WatchAges {
    /// All watches, by resource.
    pub fn snapshot(&self) -> Vec<WatchAge> {
        let lives = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lives
            .iter()
            .map(|(resource, life)| WatchAge {
                resource,
                age: life.newest.elapsed(),
                synced: life.synced,
                error: life.error.clone(),
            })
            .collect()
    }

    fn note(&self, resource: &'static str, change: impl FnOnce(&mut Life)) {
        let mut lives = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Life { newest: Instant::now(), synced: false, error: None };
        change(lives.entry(resource).or_insert_with(fresh));
    }

    fn alive(&self, resource: &'static str) {
        self.note(resource, |life| {
            life.newest = Instant::now();
            life.error = None;
        });
    }
}

/// The receiver is gone: there is nobody to watch for.
struct Closed;

/// How a phase ended.
enum End {
    /// As it does: go on from this resourceVersion.
    Resume(String),
    /// The version is too old, or somebody asked: list anew.
    Relist,
}

/// One watch at work.
struct Watcher<'a, K, C, F> {
    api: Api<K>,
    setup: WatchSetup,
    relist: watch::Receiver<u64>,
    ages: &'a WatchAges,
    sink: mpsc::Sender<C>,
    wrap: F,
    pause: Pause,
    refused: bool,
}

/// Lists and watches until the receiver of `sink` is gone. `wrap` makes the receiver's type of an event.
///
/// Waits where the receiver is slow, so that nothing is dropped.
pub async fn run_watch<K, C>(
    api: Api<K>,
    setup: WatchSetup,
    relister: &Relister,
    ages: &WatchAges,
    sink: mpsc::Sender<C>,
    wrap: impl Fn(Event<K>) -> C + Send,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    C: Send,
{
    ages.note(setup.resource, |_| {});
    let relist = relister.subscribe();
    let mut watcher =
        Watcher { api, setup, relist, ages, sink, wrap, pause: Pause::default(), refused: false };
    while let Ok(version) = watcher.list().await {
        if watcher.watch(version).await.is_err() {
            return;
        }
    }
}

impl<K, C, F> Watcher<'_, K, C, F>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    C: Send,
    F: Fn(Event<K>) -> C + Send,
{
    async fn tell(&self, event: Event<K>) -> Result<(), Closed> {
        self.sink.send((self.wrap)(event)).await.map_err(|_| Closed)
    }

    /// Lists until it worked once; returns the version to watch from.
    async fn list(&mut self) -> Result<String, Closed> {
        loop {
            let generation = *self.relist.borrow_and_update();
            self.tell(Event::Begin).await?;
            match self.pages().await? {
                Ok(version) => {
                    self.tell(Event::Done(generation)).await?;
                    self.ages.note(self.setup.resource, |life| life.synced = true);
                    self.pause.reset();
                    self.refused = false; // a complete list says as much
                    return Ok(version);
                }
                Err(failure) => self.failed("list", &failure).await?,
            }
        }
    }

    async fn pages(&mut self) -> Result<Result<String, Failure>, Closed> {
        let mut params = ListParams {
            label_selector: self.setup.labels.clone(),
            field_selector: self.setup.fields.clone(),
            limit: Some(PAGE),
            ..ListParams::default()
        };
        loop {
            let page = match limited(self.api.list(&params)).await {
                Ok(page) => page,
                Err(failure) => return Ok(Err(failure)),
            };
            self.ages.alive(self.setup.resource);
            for object in page.items {
                self.tell(Event::Listed(object)).await?;
            }
            params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                let version = page.metadata.resource_version.filter(|version| !version.is_empty());
                return Ok(version.ok_or_else(|| Failure::transient("the list has no resourceVersion")));
            }
        }
    }

    /// Watches and resumes until a new list is due.
    async fn watch(&mut self, mut version: String) -> Result<(), Closed> {
        loop {
            let started = Instant::now();
            match self.watch_once(version.clone()).await? {
                (End::Relist, _) => return Ok(()),
                (End::Resume(newest), None) if started.elapsed() >= SHORTEST_WATCH => {
                    self.pause.reset();
                    version = newest;
                }
                (End::Resume(newest), failure) => {
                    version = newest;
                    let failure = failure.unwrap_or_else(|| Failure::transient("the watch ended at once"));
                    self.failed("watch", &failure).await?;
                }
            }
        }
    }

    /// One watch call to its end, with the newest version it told.
    async fn watch_once(&mut self, version: String) -> Result<(End, Option<Failure>), Closed> {
        let seconds = WATCH_TIMEOUT_SECONDS + random_below(WATCH_TIMEOUT_SECONDS / 2 + 1);
        let params = WatchParams {
            label_selector: self.setup.labels.clone(),
            field_selector: self.setup.fields.clone(),
            timeout: u32::try_from(seconds).ok(),
            bookmarks: true,
            send_initial_events: false,
        };
        let start = tokio::select! {
            start = limited(self.api.watch(&params, &version)) => start,
            Ok(()) = self.relist.changed() => return Ok((End::Relist, None)),
        };
        let mut stream = match start {
            Ok(stream) => stream.map_err(Failure::from).boxed(),
            Err(failure) if failure.expired => return Ok((End::Relist, None)),
            Err(failure) => return Ok((End::Resume(version), Some(failure))),
        };
        self.ages.alive(self.setup.resource);
        if std::mem::take(&mut self.refused) {
            self.tell(Event::Refused(None)).await?;
        }
        let idle = Duration::from_secs(seconds) + WATCH_MARGIN;
        let mut version = version;
        loop {
            let next = tokio::select! {
                next = timeout(idle, stream.next()) => next,
                Ok(()) = self.relist.changed() => return Ok((End::Relist, None)),
            };
            let event = match next {
                Err(_elapsed) => {
                    let failure = Failure::transient("nothing was heard, not even the end of the watch");
                    return Ok((End::Resume(version), Some(failure)));
                }
                Ok(None) => return Ok((End::Resume(version), None)),
                Ok(Some(Err(failure))) => return Ok((End::Resume(version), Some(failure))),
                Ok(Some(Ok(event))) => event,
            };
            self.ages.alive(self.setup.resource);
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    version = object.resource_version().unwrap_or(version);
                    self.tell(Event::Applied(object)).await?;
                }
                WatchEvent::Deleted(object) => {
                    version = object.resource_version().unwrap_or(version);
                    self.tell(Event::Deleted(object)).await?;
                }
                WatchEvent::Bookmark(mark) => version = mark.metadata.resource_version,
                WatchEvent::Error(status) if status.code == 410 => return Ok((End::Relist, None)),
                WatchEvent::Error(status) => {
                    let failure = Failure::from(kube::Error::Api(status));
                    return Ok((End::Resume(version), Some(failure)));
                }
            }
        }
    }

    async fn failed(&mut self, what: &str, failure: &Failure) -> Result<(), Closed> {
        let resource = self.setup.resource;
        let text = format!("{what} {resource}: {}", failure.text);
        if failure.refused {
            tracing::warn!(resource, "{text}");
            self.refused = true;
            self.tell(Event::Refused(Some(text.clone()))).await?;
        } else {
            tracing::debug!(resource, "{text}");
        }
        self.ages.note(resource, |life| life.error = Some(text));
        let longest = if failure.refused { LONGEST_REFUSED_PAUSE } else { LONGEST_PAUSE };
        sleep(self.pause.next(longest)).await;
        Ok(())
    }
}

/// Why a list or watch failed.
#[derive(Debug)]
struct Failure {
    text: String,
    /// The server answered, and said no.
    refused: bool,
    /// The version is too old to go on from.
    expired: bool,
}

impl Failure {
    fn transient(text: &str) -> Self {
        Self { text: text.to_owned(), refused: false, expired: false }
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) => Self {
                text: format!("{} ({})", status.message, status.code),
                refused: (400..500).contains(&status.code) && status.code != 429,
                expired: status.code == 410,
            },
            other => Self::transient(&chain(other)),
        }
    }
}

async fn limited<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Failure> {
    match timeout(START_TIMEOUT, call).await {
        Ok(outcome) => outcome.map_err(Failure::from),
        Err(_elapsed) => Err(Failure::transient("no answer within 30s")),
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
