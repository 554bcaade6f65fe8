//! The product's own stores, watches and questions against the model, unchanged.

use crate::support::START_MS;
use hotstandby_cluster::access::{Reach, missing_rights};
use hotstandby_cluster::api::ActiveStandby;
use hotstandby_cluster::extras::Extras;
use hotstandby_cluster::index::{Leftover, LeftoverKind};
use hotstandby_cluster::seat::{GroupKind, SeatStore, seat_name};
use hotstandby_cluster::slice::{SliceStore, SliceTarget};
use hotstandby_cluster::sweep::{Sweeper, Swept};
use hotstandby_cluster::watch::{Event, Relister, WatchAges, WatchSetup, run_watch};
use hotstandby_cluster::wire::WirePod;
use hotstandby_core::action::{MemberRef, Precondition, SeatWrite};
use hotstandby_core::ids::{GroupKey, Term};
use hotstandby_core::observation::WriteError;
use hotstandby_core::reason::Reason;
use hotstandby_core::seat::SeatState;
use hotstandby_core::view::{Endpoint, Family, Protocol, SliceContent, SlicePort};
use hotstandby_sim::{ApiServer, Handle, ManualClock};
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

fn handle() -> Handle {
    let mut server = ApiServer::new(Arc::new(ManualClock::new(START_MS)), 7);
    let crd = serde_json::to_value(hotstandby_cluster::api::crd()).unwrap();
    server.apply_object("apiextensions.k8s.io", "v1", "customresourcedefinitions", &crd).unwrap();
    for name in ["shop", "hs"] {
        server.apply_object("", "v1", "namespaces", &json!({"metadata": {"name": name}})).unwrap();
    }
    Handle::new(server)
}

fn key() -> GroupKey {
    GroupKey { namespace: "shop".into(), name: "web".into() }
}

fn seat(term: u64, group_uid: &str) -> SeatWrite {
    SeatWrite {
        holder: MemberRef { name: "web-1".into(), uid: "pod-1".into() },
        term: Term(term),
        reason: Reason::ProbeRefused,
        since_ms: START_MS + 123,
        group_uid: group_uid.into(),
        orphan: false,
    }
}

fn pod(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"nodeName": "n1", "containers": [{"name": "a", "image": "x:1"}]},
    })
}

#[tokio::test]
async fn a_seat_is_written_once_a_version_and_read_back_sealed() {
    let handle = handle();
    let store = SeatStore::new(handle.client("hs"), "hs", "one/controller".into());
    assert_eq!(store.read(&key()).await, Ok(SeatState::Absent));
    let first = store.write(&key(), &Precondition::Absent, &seat(7, "g")).await.unwrap();
    assert!(first.sealed().is_some());
    assert_eq!(store.write(&key(), &Precondition::Absent, &seat(8, "g")).await, Err(WriteError::Conflict));
    let at_first = Precondition::Unchanged { uid: first.uid.clone(), rv: first.rv.clone() };
    let second = store.write(&key(), &at_first, &seat(8, "g")).await.unwrap();
    let stale = SeatStore::new(handle.client("hs"), "hs", "one/controller".into());
    assert_eq!(stale.write(&key(), &at_first, &seat(9, "g")).await, Err(WriteError::Conflict));
    // Deleted under a writer that has it in mind: never made anew.
    store.delete(&key(), &second.uid, &second.rv).await.unwrap();
    let at_second = Precondition::Unchanged { uid: second.uid.clone(), rv: second.rv };
    assert_eq!(store.write(&key(), &at_second, &seat(9, "g")).await, Err(WriteError::Conflict));
    assert_eq!(store.read(&key()).await, Ok(SeatState::Absent));
}

#[tokio::test]
async fn a_slice_comes_back_as_it_was_sent() {
    let handle = handle();
    let store = SliceStore::new(handle.client("shop"), "one/controller".into());
    let target = SliceTarget {
        group: key(),
        service: "web".into(),
        service_uid: "service".into(),
        family: Family::Ipv4,
    };
    let content = |term: u64, ip: &str| SliceContent {
        endpoint: Some(Endpoint {
            ip: ip.parse().unwrap(),
            pod: "web-1".into(),
            uid: "pod-1".into(),
            node: Some("n1".into()),
        }),
        ports: vec![SlicePort { name: "".into(), protocol: Protocol::Tcp, port: 8080, app_protocol: None }],
        seat_uid: "seat".into(),
        term: Term(term),
        reason: Reason::ProbeRefused,
        since_ms: START_MS,
        group_uid: "g".into(),
        orphan: false,
    };
    let made = store
        .write(&target, &Precondition::Absent, &content(7, "10.1.1.1"), Extras::default())
        .await
        .unwrap();
    let unchanged = Precondition::Unchanged { uid: made.uid.clone(), rv: made.rv.clone() };
    let empty = SliceContent { endpoint: None, ..content(8, "10.1.1.2") };
    let cleared = store.write(&target, &unchanged, &empty, Extras::default()).await.unwrap();
    assert_eq!(cleared.content, Some(empty.clone()));
    let stale = store.write(&target, &unchanged, &content(9, "10.1.1.2"), Extras::default()).await;
    assert_eq!(stale.err(), Some(WriteError::Conflict));
    assert_eq!(store.read(&target).await.unwrap().unwrap().rv, cleared.rv);
}

#[tokio::test]
async fn a_sweep_takes_the_seat_of_a_group_that_is_gone_and_no_other() {
    let handle = handle();
    let client = handle.client("hs");
    let groups: Api<ActiveStandby> = Api::namespaced(client.clone(), "shop");
    let wanted = json!({
        "apiVersion": "hotstandby.dev/v1alpha1", "kind": "ActiveStandby", "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "traffic": {"services": [{"name": "web"}]}},
    });
    let made = groups.create(&PostParams::default(), &serde_json::from_value(wanted).unwrap()).await.unwrap();
    let uid = made.metadata.uid.unwrap();
    let seats = Arc::new(SeatStore::new(client.clone(), "hs", "one/controller".into()));
    let record = seats.write(&key(), &Precondition::Absent, &seat(7, &uid)).await.unwrap();
    let sweeper = Sweeper::new(client.clone(), seats, SliceStore::new(client, "one/controller".into()));
    let leftover = Leftover {
        kind: LeftoverKind::Seat,
        uid: record.uid,
        rv: record.rv,
        group: key(),
        group_uid: uid.as_str().into(),
    };
    assert_eq!(sweeper.sweep(&leftover).await, Ok(Swept::Kept));
    groups.delete("web", &kube::api::DeleteParams::default()).await.unwrap();
    assert_eq!(sweeper.sweep(&leftover).await, Ok(Swept::Gone));
    let name = seat_name(GroupKind::Cr, &key());
    assert!(handle.with(|server| server.object("coordination.k8s.io", "leases", "hs", &name)).is_none());
}

#[tokio::test]
async fn missing_rights_are_named() {
    let handle = handle();
    let reach = Reach { own_namespace: "hs".into(), watched: Vec::new() };
    let client = handle.client("hs");
    assert_eq!(missing_rights(&client, &reach).await.unwrap(), []);
    handle.with(|server| server.set_access(|question| question.resource != "pods", false));
    let missing = missing_rights(&client, &reach).await.unwrap();
    assert!(!missing.is_empty() && missing.iter().all(|one| one.right.resource == "pods"), "{missing:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_the_product_lists_follows_and_lists_anew_after_a_410() {
    let handle = handle();
    let put = |name: &str| handle.with(|server| server.apply_object("", "v1", "pods", &pod(name))).unwrap();
    put("a");
    let (sink, mut told) = mpsc::channel::<String>(100);
    let client = handle.client("shop");
    tokio::spawn(async move {
        let (relister, ages) = (Relister::default(), WatchAges::default());
        let say = |event: Event<WirePod>| {
            let of = |pod: &WirePod| pod.metadata.name.clone().unwrap();
            match event {
                Event::Begin => "begin".to_owned(),
                Event::Listed(pod) => format!("listed {}", of(&pod)),
                Event::Done(_) => "done".to_owned(),
                Event::Applied(pod) => format!("applied {}", of(&pod)),
                Event::Deleted(pod) => format!("deleted {}", of(&pod)),
            }
        };
        run_watch(Api::<WirePod>::all(client), WatchSetup::all("pods"), &relister, &ages, sink, say).await;
    });
    let mut expect = async |wanted: &[&str]| {
        for one in wanted {
            let said = tokio::time::timeout(Duration::from_mins(2), told.recv()).await.expect("told in time");
            assert_eq!(said.as_deref(), Some(*one));
        }
    };
    expect(&["begin", "listed a", "done"]).await;
    put("b");
    expect(&["applied b"]).await;
    // Cut off while the world moves on and its past is forgotten.
    handle.set_fault(Some(Arc::new(|_| hotstandby_sim::Fault::DropRequest)));
    tokio::time::sleep(Duration::from_secs(60)).await;
    put("c");
    handle.with(|server| server.compact(server.version()));
    put("d");
    handle.with(|server| server.compact(server.version()));
    handle.set_fault(None);
    expect(&["begin", "listed a", "listed b", "listed c", "listed d", "done"]).await;
}
