//! Follows all objects of one test, keeps every version it was told, and holds them against the invariants.
//!
//! Each kind is watched on its own; what they tell is put into one order by resourceVersion, which the whole
//! cluster counts in one sequence. While the API server is away nothing can change; what a watch missed
//! because the server could not resume it is taken from a list.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::StreamExt as _;
use kube::api::DynamicObject;
use kube::core::WatchEvent;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::judge::{self, Excused, Record, Violation};
use super::led::is_living;
use super::led::{self, Asked, Rule};
use super::objects::{Kind, Objects, items, label, name_of, text, uid_of, version_of};
use super::view::{Seat, Slice};

/// Between two tries to reach an API server that is away.
const RETRY: Duration = Duration::from_millis(10);
/// What is watched.
const WATCHED: [Kind; 6] =
    [Kind::Pod, Kind::Service, Kind::EndpointSlice, Kind::Lease, Kind::ActiveStandby, Kind::Event];

/// All that is known of a test's objects.
#[derive(Debug, Default)]
pub struct World {
    objects: BTreeMap<(Kind, String), Arc<Value>>,
    records: Vec<Record>,
    listed: BTreeSet<Kind>,
    excused: Excused,
    asked: Vec<Asked>,
    seat_prefix: String,
    service_seat_prefix: String,
}

impl World {
    /// The objects of a kind as they are now.
    pub fn all(&self, kind: Kind) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |((of, _), _)| *of == kind).map(|(_, object)| &**object)
    }

    /// One object as it is now.
    pub fn find(&self, kind: Kind, name: &str) -> Option<&Value> {
        self.objects.get(&(kind, name.to_owned())).map(|object| &**object)
    }

    /// The seat of a group.
    pub fn seat(&self, group: &str) -> Option<Seat> {
        self.find(Kind::Lease, &format!("{}{group}", self.seat_prefix)).map(Seat::of)
    }

    /// The seat of the group that an annotated Service makes.
    pub fn service_seat(&self, service: &str) -> Option<Seat> {
        self.find(Kind::Lease, &format!("{}{service}", self.service_seat_prefix)).map(Seat::of)
    }

    /// The living pods that carry all these labels.
    pub fn picked(&self, labels: &[(&str, &str)]) -> Vec<&Value> {
        self.all(Kind::Pod)
            .filter(|pod| is_living(pod) && labels.iter().all(|(key, value)| label(pod, key) == Some(value)))
            .collect()
    }

    /// The living pods that a Service's selector picks; none where it has no selector.
    pub fn selected(&self, service: &str) -> Vec<&Value> {
        let Some(service) = self.find(Kind::Service, service) else { return Vec::new() };
        self.all(Kind::Pod).filter(|pod| is_living(pod) && led::is_selected(service, pod)).collect()
    }

    /// All slices of a Service.
    pub fn slices(&self, service: &str) -> Vec<Slice> {
        self.all(Kind::EndpointSlice).map(Slice::of).filter(|slice| slice.service == service).collect()
    }

    /// The pod of this UID.
    pub fn pod_by_uid(&self, uid: &str) -> Option<&Value> {
        self.all(Kind::Pod).find(|pod| uid_of(pod) == uid)
    }

    /// Everything that was told, in the order it came.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Moves of the seat from pod to pod: term, from, to, reason.
    pub fn moves(&self) -> Vec<(i64, String, String, String)> {
        judge::moves(&self.records, &self.excused)
    }

    /// The time since anything of a kind changed.
    pub fn quiet_for(&self, kind: Kind) -> Duration {
        let newest = self.records.iter().rev().find(|record| record.kind == kind);
        newest.map_or(Duration::MAX, |record| record.seen.elapsed())
    }

    /// The highest resourceVersion told so far.
    pub fn newest_version(&self) -> u64 {
        self.records.iter().map(|record| record.version).max().unwrap_or_default()
    }

    fn take(&mut self, kind: Kind, object: DynamicObject, deleted: bool, version: Option<u64>) {
        let Ok(mut object) = serde_json::to_value(object) else { return };
        if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            meta.remove("managedFields");
        }
        let is_ours =
            |name: &str| name.starts_with(&self.seat_prefix) || name.starts_with(&self.service_seat_prefix);
        if kind == Kind::Lease && !is_ours(name_of(&object)) {
            return;
        }
        let key = (kind, name_of(&object).to_owned());
        let version = version.unwrap_or_else(|| version_of(&object));
        let object = Arc::new(object);
        if deleted {
            self.objects.remove(&key);
        } else if let Some(known) = self.objects.insert(key, object.clone())
            && version_of(&known) == version
            && uid_of(&known) == uid_of(&object)
        {
            return; // a list after a broken watch tells it again
        }
        self.records.push(Record { seen: Instant::now(), version, kind, deleted, object });
    }

    fn take_list(&mut self, kind: Kind, list: Vec<DynamicObject>, version: u64) {
        let names: BTreeSet<String> = list.iter().filter_map(|object| object.metadata.name.clone()).collect();
        let gone: Vec<Arc<Value>> = self
            .objects
            .iter()
            .filter(|((of, name), _)| *of == kind && !names.contains(name))
            .map(|(_, object)| object.clone())
            .collect();
        for object in gone {
            self.objects.remove(&(kind, name_of(&object).to_owned()));
            self.records.push(Record { seen: Instant::now(), version, kind, deleted: true, object });
        }
        for object in list {
            self.take(kind, object, false, None);
        }
        self.listed.insert(kind);
    }
}

/// Watches one namespace, and the seats of its groups.
pub struct Watchdog {
    objects: Objects,
    namespace: String,
    seats: String,
    world: Arc<Mutex<World>>,
    told: watch::Receiver<u64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Watchdog {
    /// Starts watching, and waits until all that exists was seen.
    pub async fn start(objects: Objects, namespace: &str, seats: &str) -> Result<Self> {
        let world = World {
            seat_prefix: format!("cr.{namespace}."),
            service_seat_prefix: format!("svc.{namespace}."),
            ..World::default()
        };
        let world = Arc::new(Mutex::new(world));
        let (tell, told) = watch::channel(0);
        let tell = Arc::new(tell);
        let tasks = WATCHED
            .into_iter()
            .map(|kind| {
                let place = if kind == Kind::Lease { seats } else { namespace }.to_owned();
                tokio::spawn(follow(objects.clone(), kind, place, world.clone(), tell.clone()))
            })
            .collect();
        let dog =
            Self { objects, namespace: namespace.to_owned(), seats: seats.to_owned(), world, told, tasks };
        let all = |world: &World| (world.listed.len() == WATCHED.len()).then_some(());
        dog.wait(Duration::from_secs(10), "the watches to start", all).await?;
        Ok(dog)
    }

    /// What is known now.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something can be said of the world; looks at every change, and every 10 ms for what only
    /// time brings.
    pub async fn wait<T>(
        &self,
        limit: Duration,
        what: &str,
        mut found: impl FnMut(&World) -> Option<T>,
    ) -> Result<T> {
        let until = tokio::time::Instant::now() + limit;
        let mut told = self.told.clone();
        loop {
            told.borrow_and_update();
            if let Some(value) = found(&self.world()) {
                return Ok(value);
            }
            if tokio::time::Instant::now() > until {
                bail!("waited {limit:?} in vain for {what}");
            }
            let _changed_or_not = tokio::time::timeout(RETRY, told.changed()).await;
        }
    }

    /// Notes a write of the test's own.
    pub fn excuse(&self, written: &Value) {
        self.world().excused.versions.insert(version_of(written));
    }

    /// Notes a slice of the test's own.
    pub fn excuse_slice(&self, made: &Value) {
        self.world().excused.slices.insert(uid_of(made).to_owned());
    }

    /// Waits until the watches have told all that is stored now.
    pub async fn catch_up(&self) -> Result<()> {
        for kind in [Kind::Lease, Kind::EndpointSlice, Kind::Service, Kind::Pod] {
            let place = if kind == Kind::Lease { &self.seats } else { &self.namespace };
            let (stored, _) = self.objects.list(kind, place, "").await?;
            let prefixes = ["cr", "svc"].map(|made_by| format!("{made_by}.{}.", self.namespace));
            self.wait(
                Duration::from_secs(5),
                &format!("the watch of {} to catch up", kind.name()),
                |world| {
                    stored
                        .iter()
                        .filter(|object| {
                            let name = name_of(object);
                            kind != Kind::Lease || prefixes.iter().any(|prefix| name.starts_with(prefix))
                        })
                        .all(|object| {
                            world.records.iter().any(|record| {
                                record.kind == kind
                                    && uid_of(&record.object) == uid_of(object)
                                    && record.version >= version_of(object)
                            })
                        })
                        .then_some(())
                },
            )
            .await?;
        }
        Ok(())
    }

    /// Judges all that was told, after catching up.
    pub async fn judge(&self) -> Result<Vec<Violation>> {
        self.catch_up().await?;
        let world = self.world();
        let mut found = judge::judge(&world.records, &world.excused);
        found.extend(led::judge(&world.records, &world.excused, &world.asked));
        Ok(found)
    }

    /// Says of which Services no slice of ours is expected: the endpoint controller feeds them, by labels and selectors.
    pub fn fed_by_selector(&self, services: &[&str]) {
        self.world().excused.services.extend(services.iter().map(|service| (*service).to_owned()));
    }

    /// From now on a rule has to hold.
    pub fn ask(&self, rule: Rule) {
        let mut world = self.world();
        let from = world.newest_version() + 1;
        world.asked.push(Asked { rule, from, until: None });
    }

    /// From now on no rule has to hold any more; what was broken before stays broken.
    pub fn ask_no_more(&self) {
        let mut world = self.world();
        let until = world.newest_version();
        for asked in &mut world.asked {
            asked.until.get_or_insert(until);
        }
    }

    /// How the rules that were asked for have been broken, and from now on none of them is held against anybody: for tests
    /// of what is known to break them.
    pub async fn take_broken(&self) -> Result<Vec<Violation>> {
        self.catch_up().await?;
        let mut world = self.world();
        let asked = std::mem::take(&mut world.asked);
        Ok(led::judge(&world.records, &world.excused, &asked))
    }

    /// How many objects hotstandby stored since a resourceVersion: seats, its slices, status.
    pub fn writes_since(&self, version: u64) -> Vec<String> {
        let world = self.world();
        world
            .records
            .iter()
            .filter(|record| record.version > version)
            .filter(|record| match record.kind {
                Kind::Lease | Kind::ActiveStandby => true,
                Kind::EndpointSlice => Slice::of(&record.object).ours,
                Kind::Event => text(&record.object, "/reportingController").contains("hotstandby"),
                _ => false,
            })
            .map(judge::describe)
            .collect()
    }
}

async fn follow(
    objects: Objects,
    kind: Kind,
    namespace: String,
    world: Arc<Mutex<World>>,
    tell: Arc<watch::Sender<u64>>,
) {
    loop {
        if let Err(error) = follow_once(&objects, kind, &namespace, &world, &tell).await {
            // The reason is of interest only to who debugs the tests themselves.
            if std::env::var_os("E2E_DEBUG").is_some() {
                eprintln!("watch of {}: {error:#}", kind.name());
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// A list, and then watches from it on until one cannot be resumed.
async fn follow_once(
    objects: &Objects,
    kind: Kind,
    namespace: &str,
    world: &Mutex<World>,
    tell: &watch::Sender<u64>,
) -> Result<()> {
    let (list, mut version) = objects.list_raw(kind, namespace).await?;
    world.lock().unwrap_or_else(PoisonError::into_inner).take_list(kind, list, version);
    tell.send_modify(|count| *count += 1);
    loop {
        let Ok(stream) = objects.watch(kind, namespace, version).await else {
            tokio::time::sleep(RETRY).await;
            continue;
        };
        let mut stream = std::pin::pin!(stream);
        while let Some(event) = stream.next().await {
            let (object, deleted) = match event {
                Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => (object, false),
                Ok(WatchEvent::Deleted(object)) => (object, true),
                Ok(WatchEvent::Bookmark(_)) => continue,
                Ok(WatchEvent::Error(status)) => bail!("the watch ended: {}", status.message),
                Err(_broken) => break,
            };
            let at = object.metadata.resource_version.as_deref().and_then(|text| text.parse().ok());
            version = at.unwrap_or(version).max(version);
            world.lock().unwrap_or_else(PoisonError::into_inner).take(kind, object, deleted, at);
            tell.send_modify(|count| *count += 1);
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Addresses of a pod.
pub fn pod_ip(pod: &Value) -> String {
    items(pod, "/status/podIPs").first().map(|ip| text(ip, "/ip").to_owned()).unwrap_or_default()
}
