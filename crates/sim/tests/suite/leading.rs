//! The product's writers of labels, selectors and pod deletions, against the modelled API server.

use crate::support::START_MS;
use hotstandby_cluster::disposal::PodDeleter;
use hotstandby_cluster::pod::{Lens, Owners};
use hotstandby_cluster::pointer::ServiceAt;
use hotstandby_cluster::stores::Stores;
use hotstandby_core::action::{MarkedSeat, MarkedWrite, MarksWrite, MemberRef, ProjectionMarks};
use hotstandby_core::ids::{GroupKey, Rv, Term};
use hotstandby_core::observation::WriteError;
use hotstandby_core::reason::Reason;
use hotstandby_sim::{ApiServer, Handle, ManualClock};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const MEMBER: &str = "hotstandby.dev/member";

struct Scene {
    handle: Handle,
    stores: Stores,
}

impl Scene {
    fn new() -> Self {
        let mut server = ApiServer::new(Arc::new(ManualClock::new(START_MS)), 7);
        server.apply_object("", "v1", "namespaces", &json!({"metadata": {"name": "shop"}})).unwrap();
        let pod = json!({
            "metadata": {"name": "web-0", "namespace": "shop", "labels": {"app": "web", "role": "standby"}},
            "spec": {"nodeName": "n1", "containers": [{"name": "a", "image": "x:1"}]},
        });
        server.apply_object("", "v1", "pods", &pod).unwrap();
        let service = json!({
            "metadata": {"name": "web", "namespace": "shop", "annotations": {"example.com/note": "keep me"}},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
        });
        server.apply_object("", "v1", "services", &service).unwrap();
        let handle = Handle::new(server);
        let stores = Stores::new(&handle.client("shop"), "hs", &"one/controller".into());
        Self { handle, stores }
    }

    fn object(&self, kind: &str, name: &str) -> Value {
        let found = self.handle.with(|server| server.object("", kind, "shop", name)).unwrap();
        Value::clone(&found)
    }

    fn rv(&self, kind: &str, name: &str) -> Rv {
        self.object(kind, name)["metadata"]["resourceVersion"].as_str().unwrap().into()
    }

    fn pod(&self) -> MemberRef {
        let uid = self.object("pods", "web-0")["metadata"]["uid"].as_str().unwrap().into();
        MemberRef { name: "web-0".into(), uid }
    }

    fn service(&self) -> ServiceAt {
        let uid = self.object("services", "web")["metadata"]["uid"].as_str().unwrap().into();
        ServiceAt { name: "web".into(), uid, rv: self.rv("services", "web") }
    }
}

fn key() -> GroupKey {
    GroupKey::cr("shop", "web")
}

fn lens() -> Lens {
    Lens {
        selector: None,
        critical: Arc::default(),
        led: Arc::from(["role".into()]),
        owners: Owners::default(),
        rivals: Vec::new(),
    }
}

fn write(key: &str, value: &str, undo: Option<&str>) -> MarkedWrite {
    let seat = MarkedSeat { uid: "seat".into(), term: Term(7), reason: Reason::Initial, since_ms: START_MS };
    MarkedWrite {
        changes: BTreeMap::from([(key.into(), Some(value.into()))]),
        marks: MarksWrite::Set(Box::new(ProjectionMarks {
            seat: Some(seat),
            group_uid: "g1".into(),
            orphan: false,
            undo: BTreeMap::from([(key.into(), undo.map(Into::into))]),
        })),
    }
}

#[tokio::test]
async fn a_label_is_written_once_per_version_and_undone_without_a_trace() {
    let scene = Scene::new();
    let (before, pod, rv) = (scene.object("pods", "web-0"), scene.pod(), scene.rv("pods", "web-0"));
    let promote = write("role", "active", Some("standby"));
    let member = scene.stores.labels.write(&key(), &pod, &rv, &promote, &lens()).await.unwrap();
    assert_eq!(member.labels, BTreeMap::from([("role".into(), "active".into())]));
    let late = scene.stores.labels.write(&key(), &pod, &rv, &promote, &lens()).await;
    assert_eq!(late, Err(WriteError::Conflict), "its version was another");
    let stranger = MemberRef { uid: "another".into(), ..pod.clone() };
    let other = scene.stores.labels.write(&key(), &stranger, &member.rv, &promote, &lens()).await;
    assert!(other.is_err(), "a pod made anew is another");
    let undo = member.mark.unwrap().undo;
    assert_eq!(scene.stores.labels.undo("shop", &pod, &member.rv, &undo).await, Ok(()));
    let after = scene.object("pods", "web-0");
    assert_eq!(after["metadata"]["labels"], before["metadata"]["labels"]);
    assert_eq!(after["metadata"]["annotations"].as_object().map_or(0, serde_json::Map::len), 0);
    assert_eq!((&after["spec"], &after["status"]), (&before["spec"], &before["status"]));
}

#[tokio::test]
async fn a_selector_points_and_is_put_back() {
    let scene = Scene::new();
    let (before, at) = (scene.object("services", "web"), scene.service());
    let pointed = scene.stores.pointers.write(&key(), &at, &write(MEMBER, "p0", None)).await.unwrap();
    assert_eq!(pointed.selector.get(MEMBER).map(|uid| &**uid), Some("p0"));
    assert_eq!(pointed.selector.get("app").map(|app| &**app), Some("web"));
    let late = scene.stores.pointers.write(&key(), &at, &write(MEMBER, "p1", None)).await;
    assert_eq!(late, Err(WriteError::Conflict));
    let read = scene.stores.pointers.read("shop", "web").await.unwrap().unwrap();
    assert_eq!(read, pointed);
    let now = ServiceAt { rv: read.rv, ..at };
    assert_eq!(scene.stores.pointers.undo("shop", &now, &read.mark.unwrap().undo).await, Ok(()));
    let after = scene.object("services", "web");
    assert_eq!(after["spec"]["selector"], before["spec"]["selector"]);
    assert_eq!(after["metadata"]["annotations"], before["metadata"]["annotations"]);
}

#[tokio::test]
async fn a_pod_is_deleted_as_it_was_seen_or_not_at_all() {
    let scene = Scene::new();
    let deleter = PodDeleter::new(scene.handle.client("shop"));
    let (pod, rv) = (scene.pod(), scene.rv("pods", "web-0"));
    assert_eq!(deleter.delete("shop", &pod, &"1".into(), Some(0)).await, Err(WriteError::Conflict));
    let stranger = MemberRef { uid: "another".into(), ..pod.clone() };
    assert_eq!(deleter.delete("shop", &stranger, &rv, Some(0)).await, Err(WriteError::Conflict));
    assert_eq!(deleter.delete("shop", &pod, &rv, Some(0)).await, Ok(()));
    assert!(scene.handle.with(|server| server.object("", "pods", "shop", "web-0")).is_none());
    assert_eq!(deleter.delete("shop", &pod, &rv, None).await, Ok(()), "gone is as good");
}
