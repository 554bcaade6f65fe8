//! Leases of others: what is watched, what is told, and what is not.

use super::super::*;
use super::world::*;
use hotstandby_core::seat::SeatState;
use serde_json::{Value, json};

/// The usual group, which follows this Lease.
fn following(lease: &str) -> Value {
    let mut group = group("web", "g1", "web", &["web-active"]);
    group["spec"]["election"] = json!({"mode": "External", "lease": {"name": lease}});
    group
}

fn lease(name: &str, holder: &str, rv: u64, second: u64) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": name, "resourceVersion": rv.to_string(),
            "managedFields": [{"operation": "Update", "time": format!("2026-11-21T00:00:{second:02}Z")}],
        },
        "spec": {"holderIdentity": holder, "leaseTransitions": 3, "leaseDurationSeconds": 15},
    })
}

struct Scene {
    world: World,
    watch: Arc<LeaseWatch>,
}

impl Scene {
    /// Everything was told, and the watch of the one Lease is to be started.
    fn new() -> Self {
        let mut world = World::usual();
        world.applied("group", following("lock"));
        let watches = world.index.lease_watches().unwrap();
        world.drain();
        Self { world, watch: Arc::new(watches[0].clone()) }
    }

    fn event(&mut self, event: Event<Value>) {
        let event = match event {
            Event::Begin => Event::Begin,
            Event::Listed(value) => Event::Listed(from(value)),
            Event::Done(generation) => Event::Done(generation),
            Event::Applied(value) => Event::Applied(from(value)),
            Event::Deleted(value) => Event::Deleted(from(value)),
            Event::Refused(why) => Event::Refused(why),
        };
        let (change, now) = (Change::Lease(self.watch.clone(), Box::new(event)), self.world.now);
        self.world.index.apply(change, now);
    }

    fn list(&mut self, leases: &[Value]) {
        self.event(Event::Begin);
        for lease in leases {
            self.event(Event::Listed(lease.clone()));
        }
        self.event(Event::Done(1));
    }
}

/// The version that was told to have lapsed, or `none`.
fn lapsed(told: &Told) -> Option<String> {
    told.of("web", |seen| match seen {
        Observation::SeatLapsed(lapsed) => {
            Some(lapsed.as_ref().map_or("none".to_owned(), ToString::to_string))
        }
        _ => None,
    })
}

#[test]
fn only_the_followed_lease_is_watched_and_nothing_is_said_before_it_was_listed() {
    let mut scene = Scene::new();
    assert_eq!((&*scene.watch.namespace, scene.watch.name.as_deref()), ("shop", Some("lock")));
    assert!(scene.world.index.lease_watches().is_none(), "told once");
    scene.list(&[]);
    assert_eq!(scene.world.drain().seat("web"), Some(SeatState::Absent));
}

#[test]
fn a_seat_of_ours_says_nothing_to_a_group_that_follows_others() {
    let mut world = World::settled();
    world.applied("group", following("lock"));
    let told = world.drain();
    assert_eq!(told.seat("web"), Some(SeatState::Unread));
    assert_eq!(world.index.stale(&key("web")).len(), 1, "and it is removed");
}

#[test]
fn renewals_are_not_told() {
    let mut scene = Scene::new();
    scene.list(&[lease("lock", "web-0", 30, 5)]);
    assert!(matches!(scene.world.drain().seat("web"), Some(SeatState::Present(_))));
    for (rv, second) in [(31, 7), (32, 9)] {
        scene.event(Event::Applied(lease("lock", "web-0", rv, second)));
        assert!(scene.world.drain().observations.is_empty());
    }
    scene.event(Event::Applied(lease("lock", "web-1", 33, 11)));
    let told = scene.world.drain().seat("web").unwrap();
    assert_eq!(told.record().unwrap().holder.as_deref(), Some("web-1"));
}

#[test]
fn a_renewal_is_told_as_long_as_a_pod_is_as_young_as_the_record() {
    let mut scene = Scene::new();
    scene.list(&[lease("lock", "web-0", 30, 5)]);
    scene.world.drain();
    let mut young = pod("web-0", "p9", "web", 40);
    young["metadata"]["creationTimestamp"] = json!("2026-11-21T00:00:08Z");
    scene.world.applied("pod", young);
    scene.world.drain();
    scene.event(Event::Applied(lease("lock", "web-0", 31, 9)));
    assert!(scene.world.drain().seat("web").is_some(), "it may settle who is meant");
    scene.event(Event::Applied(lease("lock", "web-0", 32, 11)));
    assert!(scene.world.drain().seat("web").is_none());
}

#[test]
fn a_lease_that_is_not_renewed_in_time_lapses_once_and_a_renewal_ends_that() {
    let mut scene = Scene::new();
    scene.list(&[lease("lock", "web-0", 30, 5)]);
    scene.world.drain();
    scene.world.now += T(10);
    scene.event(Event::Applied(lease("lock", "web-0", 31, 15)));
    scene.world.now += T(10);
    assert!(scene.world.drain().observations.is_empty(), "renewed meanwhile");
    scene.world.now = scene.world.index.next_tick(scene.world.now).unwrap();
    assert_eq!(lapsed(&scene.world.drain()), Some("31".to_owned()));
    assert_eq!(scene.world.index.next_tick(scene.world.now), None, "nothing more to look for");
    scene.event(Event::Applied(lease("lock", "web-0", 32, 40)));
    assert_eq!(lapsed(&scene.world.drain()), Some("none".to_owned()));
    assert!(scene.world.index.next_tick(scene.world.now).is_some());
}

#[test]
fn a_missing_right_is_told_and_so_is_its_end() {
    let mut scene = Scene::new();
    scene.event(Event::Refused(Some("forbidden".into())));
    assert_eq!(scene.world.drain().seat("web"), Some(SeatState::Refused("forbidden".into())));
    scene.list(&[lease("lock", "web-0", 30, 5)]);
    assert!(matches!(scene.world.drain().seat("web"), Some(SeatState::Present(_))));
    scene.event(Event::Refused(Some("forbidden".into())));
    scene.event(Event::Refused(None));
    assert!(scene.world.drain().seat("web").is_none(), "as it was before");
}

#[test]
fn a_second_lease_in_the_namespace_is_watched_with_the_first_and_an_old_watch_counts_no_more() {
    let mut scene = Scene::new();
    scene.list(&[lease("lock", "web-0", 30, 5)]);
    let mut other = group("db", "g2", "db", &["db-active"]);
    other["spec"]["election"] = json!({"mode": "Pods", "lease": {"name": "db-lock"}});
    scene.world.applied("group", other);
    let watches = scene.world.index.lease_watches().unwrap();
    assert_eq!((watches.len(), watches[0].name.clone()), (1, None));
    let told = scene.world.drain();
    assert_eq!(told.seat("db"), Some(SeatState::Unread));
    scene.list(&[]); // by the old watch
    assert!(scene.world.drain().observations.is_empty());
    scene.watch = Arc::new(watches[0].clone());
    scene.list(&[
        lease("lock", "web-0", 30, 5),
        lease("db-lock", "db-0", 31, 5),
        lease("unrelated", "x", 32, 5),
    ]);
    assert_eq!(scene.world.drain().seat("db").unwrap().record().unwrap().holder.as_deref(), Some("db-0"));
    scene.world.deleted("group", json!({
        "apiVersion": "hotstandby.dev/v1alpha1", "kind": "ActiveStandby", "metadata": meta("db", "g2", 2),
        "spec": {"selector": {"matchLabels": {"app": "db"}}, "traffic": {"services": [{"name": "db-active"}]}},
    }));
    let watches = scene.world.index.lease_watches().unwrap();
    assert_eq!(watches[0].name.as_deref(), Some("lock"));
    scene.world.deleted("group", following("lock"));
    assert_eq!(scene.world.index.lease_watches(), Some(Vec::new()));
}

#[test]
fn the_name_of_the_lease_is_for_live_reads() {
    let scene = Scene::new();
    assert_eq!(scene.world.index.sight(&key("web")).unwrap().lease.as_deref(), Some("lock"));
}
