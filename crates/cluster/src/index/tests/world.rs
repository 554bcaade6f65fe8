//! An index with its clock, small objects to feed it, and questions to what it told.

use super::super::*;
use crate::testing::stored;
use hotstandby_core::observation::GroupView;
use hotstandby_core::seat::SeatState;
use hotstandby_core::view::{MemberView, NodesView, ServiceFound, ServiceView};
use serde_json::{Value, json};

pub(super) const ME: &str = "hotstandby.dev/controller";
pub(super) const T: fn(u64) -> Duration = Duration::from_secs;

/// An index with its clock.
pub(super) struct World {
    pub(super) index: Index,
    pub(super) now: Duration,
}

pub(super) fn from<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

pub(super) fn meta(name: &str, uid: &str, rv: u64) -> Value {
    json!({"name": name, "namespace": "shop", "uid": uid, "resourceVersion": rv.to_string(), "creationTimestamp": "2026-11-21T00:00:00Z"})
}

pub(super) fn group(name: &str, uid: &str, app: &str, services: &[&str]) -> Value {
    let services: Vec<_> = services.iter().map(|name| json!({"name": name})).collect();
    json!({
        "apiVersion": "hotstandby.dev/v1alpha1", "kind": "ActiveStandby", "metadata": meta(name, uid, 1),
        "spec": {"selector": {"matchLabels": {"app": app}}, "traffic": {"services": services}},
    })
}

pub(super) fn pod(name: &str, uid: &str, app: &str, rv: u64) -> Value {
    let mut pod = json!({
        "metadata": meta(name, uid, rv), "spec": {"nodeName": "n1", "containers": []},
        "status": {"phase": "Running", "podIP": "10.0.0.1"},
    });
    pod["metadata"]["labels"] = json!({"app": app});
    pod
}

pub(super) fn node(name: &str, ready: &str) -> Value {
    json!({"metadata": {"name": name, "uid": name, "resourceVersion": "1", "labels": {"zone": name}},
        "status": {"conditions": [{"type": "Ready", "status": ready}]}})
}

pub(super) fn service(name: &str, selector: &Value) -> Value {
    json!({"metadata": meta(name, name, 1), "spec": {
        "ipFamilies": ["IPv4"], "ports": [{"port": 80, "targetPort": "http"}], "selector": selector,
    }})
}

pub(super) fn seat(group: &str, group_uid: &str, holder: &str, holder_uid: &str, rv: u64) -> Value {
    json!({
        "metadata": {"name": format!("cr.shop.{group}"), "namespace": "hs", "uid": "seat", "resourceVersion": rv.to_string(),
            "annotations": {
                "hotstandby.dev/controller": ME, "hotstandby.dev/group-uid": group_uid,
                "hotstandby.dev/group-namespace": "shop", "hotstandby.dev/group-name": group,
                "hotstandby.dev/holder-uid": holder_uid, "hotstandby.dev/holder-name": holder,
                "hotstandby.dev/term": "7", "hotstandby.dev/reason": "Initial",
                "hotstandby.dev/since": "2026-11-21T00:00:00.000Z",
            }},
        "spec": {"holderIdentity": holder, "leaseTransitions": 7},
    })
}

pub(super) fn slice(name: &str, service: &str, group: Option<(&str, &str)>) -> Value {
    let mut slice = json!({"addressType": "IPv4", "endpoints": [], "metadata": {
        "name": name, "namespace": "shop", "labels": {"kubernetes.io/service-name": service}}});
    if let Some((group, uid)) = group {
        slice["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] = json!("hotstandby.dev");
        slice["metadata"]["annotations"] = json!({
            "hotstandby.dev/controller": ME, "hotstandby.dev/group-uid": uid,
            "hotstandby.dev/group-namespace": "shop", "hotstandby.dev/group-name": group,
        });
    }
    stored(&slice, name, "1")
}

/// Wraps an event of a kind for the index.
pub(super) fn change(kind: &str, event: Event<Value>) -> Change {
    fn of<K: serde::de::DeserializeOwned>(event: Event<Value>) -> Event<K> {
        match event {
            Event::Begin => Event::Begin,
            Event::Listed(value) => Event::Listed(from(value)),
            Event::Done(generation) => Event::Done(generation),
            Event::Applied(value) => Event::Applied(from(value)),
            Event::Deleted(value) => Event::Deleted(from(value)),
            Event::Refused(why) => Event::Refused(why),
        }
    }
    match kind {
        "group" => Change::Group(Box::new(of(event))),
        "pod" => Change::Pod(Box::new(of(event))),
        "node" => Change::Node(Box::new(of(event))),
        "service" => Change::Service(Box::new(of(event))),
        "slice" => Change::Slice(Box::new(of(event))),
        "seat" => Change::Seat(Box::new(of(event))),
        "replicaset" => Change::ReplicaSet(Box::new(of(event))),
        "statefulset" => Change::StatefulSet(Box::new(of(event))),
        other => panic!("{other}"),
    }
}

impl World {
    pub(super) fn empty() -> Self {
        Self { index: Index::new(ME.into(), Watched::ALL), now: T(100) }
    }

    /// One group `web` over pods `web-0` and `web-1`, which names the Service `web-active`.
    pub(super) fn usual() -> Self {
        let mut world = Self::empty();
        world.list("group", &[group("web", "g1", "web", &["web-active"])]);
        world.list("pod", &[pod("web-0", "p0", "web", 10), pod("web-1", "p1", "web", 11)]);
        world.list("node", &[node("n1", "True"), node("n2", "True"), node("n3", "True")]);
        world.list("service", &[service("web-active", &Value::Null)]);
        world.list("slice", &[]);
        world.list("seat", &[]);
        world.list("replicaset", &[]);
        world.list("statefulset", &[]);
        world
    }

    /// The usual world after everything was told, `web-0` holding the seat.
    pub(super) fn settled() -> Self {
        let mut world = Self::usual();
        world.applied("seat", seat("web", "g1", "web-0", "p0", 20));
        world.drain();
        world
    }

    pub(super) fn event(&mut self, kind: &str, event: Event<Value>) {
        self.index.apply(change(kind, event), self.now);
    }

    pub(super) fn list(&mut self, kind: &str, objects: &[Value]) {
        self.event(kind, Event::Begin);
        for object in objects {
            self.event(kind, Event::Listed(object.clone()));
        }
        self.event(kind, Event::Done(1));
    }

    pub(super) fn applied(&mut self, kind: &str, object: Value) {
        self.event(kind, Event::Applied(object));
    }

    pub(super) fn deleted(&mut self, kind: &str, object: Value) {
        self.event(kind, Event::Deleted(object));
    }

    pub(super) fn drain(&mut self) -> Told {
        let Drained { removed, observations, more } = self.index.drain(self.now);
        assert!(!more);
        Told { removed, observations }
    }
}

/// What was told, easily asked.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) removed: Vec<RemovedGroup>,
    pub(super) observations: Vec<(GroupKey, Observation)>,
}

impl Told {
    pub(super) fn of<T>(&self, group: &str, pick: impl Fn(&Observation) -> Option<T>) -> Option<T> {
        let of_group = self.observations.iter().filter(|(key, _)| &*key.name == group);
        of_group.filter_map(|(_, observation)| pick(observation)).next_back()
    }

    pub(super) fn members(&self, group: &str) -> Option<Vec<MemberView>> {
        self.of(
            group,
            |seen| if let Observation::Members(members) = seen { Some(members.clone()) } else { None },
        )
    }

    pub(super) fn names(&self, group: &str) -> Option<Vec<String>> {
        let members = self.members(group)?;
        Some(members.iter().map(|member| member.name.to_string()).collect())
    }

    pub(super) fn nodes(&self, group: &str) -> Option<NodesView> {
        self.of(group, |seen| if let Observation::Nodes(nodes) = seen { Some(nodes.clone()) } else { None })
    }

    pub(super) fn services(&self, group: &str) -> Option<Vec<ServiceView>> {
        self.of(group, |seen| if let Observation::Services(all) = seen { Some(all.clone()) } else { None })
    }

    pub(super) fn found(&self, group: &str) -> Option<ServiceFound> {
        self.services(group).map(|mut all| all.remove(0).found)
    }

    pub(super) fn seat(&self, group: &str) -> Option<SeatState> {
        self.of(group, |seen| if let Observation::Seat(seat) = seen { Some(seat.clone()) } else { None })
    }

    pub(super) fn group(&self, group: &str) -> Option<GroupView> {
        self.of(group, |seen| if let Observation::Group(view) = seen { Some((**view).clone()) } else { None })
    }
}

pub(super) fn key(name: &str) -> GroupKey {
    GroupKey::cr("shop", name)
}
