//! The product's own stores, watches and questions against the model, unchanged.

use crate::support::START_MS;
use futures::StreamExt;
use hotstandby_cluster::access::{Reach, missing_rights};
use hotstandby_cluster::api::ActiveStandby;
use hotstandby_cluster::connect::ConnectOptions;
use hotstandby_cluster::events::EventSink;
use hotstandby_cluster::extras::Extras;
use hotstandby_cluster::index::{Leftover, LeftoverKind};
use hotstandby_cluster::seat::{SeatStore, seat_name};
use hotstandby_cluster::slice::{SliceStore, SliceTarget};
use hotstandby_cluster::status::{ObservedStatus, Published, StatusStore};
use hotstandby_cluster::stores::Stores;
use hotstandby_cluster::sweep::{Sweeper, Swept};
use hotstandby_cluster::user::{Change, Groups, UserError};
use hotstandby_cluster::watch::{Event, Relister, WatchAges, WatchSetup, run_watch};
use hotstandby_cluster::wire::WirePod;
use hotstandby_core::action::{MemberRef, Notice, Precondition, SeatWrite};
use hotstandby_core::conditions::{Condition, ConditionType, Status};
use hotstandby_core::ids::{GroupKey, Term};
use hotstandby_core::observation::WriteError;
use hotstandby_core::reason::Reason;
use hotstandby_core::report::Report;
use hotstandby_core::seat::SeatState;
use hotstandby_core::view::{Endpoint, Family, Protocol, SliceContent, SlicePort};
use hotstandby_sim::{ApiServer, Handle, ManualClock, serve};
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
    GroupKey::cr("shop", "web")
}

fn seat(term: u64, group_uid: &str) -> SeatWrite {
    SeatWrite {
        holder: MemberRef { name: "web-1".into(), uid: "pod-1".into() },
        term: Term(term),
        reason: Reason::ProbeRefused,
        since_ms: START_MS + 123,
        group_uid: group_uid.into(),
        orphan: false,
        previous: Vec::new(),
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
    let made = make_group(&handle).await;
    let uid = made.metadata.uid.unwrap();
    let me: Arc<str> = "one/controller".into();
    let stores = Stores::new(&client, "hs", &me);
    let record = stores.seats.write(&key(), &Precondition::Absent, &seat(7, &uid)).await.unwrap();
    let sweeper = Sweeper::new(client, me, stores);
    let leftover = Leftover {
        kind: LeftoverKind::Seat,
        uid: record.uid,
        rv: record.rv,
        group: key(),
        group_uid: uid.as_str().into(),
        group_rv: None,
        superseded: false,
    };
    assert_eq!(sweeper.sweep(&leftover).await, Ok(Swept::Kept));
    groups.delete("web", &kube::api::DeleteParams::default()).await.unwrap();
    assert_eq!(sweeper.sweep(&leftover).await, Ok(Swept::Gone));
    let name = seat_name(&key());
    assert!(handle.with(|server| server.object("coordination.k8s.io", "leases", "hs", &name)).is_none());
}

async fn make_group(handle: &Handle) -> ActiveStandby {
    let groups: Api<ActiveStandby> = Api::namespaced(handle.client("shop"), "shop");
    let wanted = json!({
        "apiVersion": "hotstandby.dev/v1alpha1", "kind": "ActiveStandby", "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "traffic": {"services": [{"name": "web"}]}},
    });
    groups.create(&PostParams::default(), &serde_json::from_value(wanted).unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_status_is_written_once_and_read_back_as_it_was() {
    let handle = handle();
    let group = make_group(&handle).await;
    let store = StatusStore::new(handle.client("shop"));
    let report = Report {
        generation: 1,
        active: None,
        term: Some(Term(9)),
        term_is_no_token: false,
        reason: Some(Reason::Initial),
        since_ms: Some(START_MS + 7),
        members: Vec::new(),
        switchover: None,
        conditions: vec![Condition::new(ConditionType::Ready, Status::True, "Served", "web-1 is served")],
        standbys: 1,
    };
    let observed = |group: &ActiveStandby| ObservedStatus {
        uid: group.metadata.uid.as_deref().unwrap().into(),
        rv: group.metadata.resource_version.as_deref().unwrap().into(),
        json: group.status.as_ref().map(|status| serde_json::to_vec(status).unwrap().into()),
    };
    let before = observed(&group);
    let written = store.publish(&key(), &before, &report, &[], START_MS).await.unwrap();
    assert!(matches!(written, Published::Written(_)));
    assert_eq!(store.publish(&key(), &before, &report, &[], START_MS).await, Err(WriteError::Conflict));
    let groups: Api<ActiveStandby> = Api::namespaced(handle.client("shop"), "shop");
    let after = observed(&groups.get("web").await.unwrap());
    let later = store.publish(&key(), &after, &report, &[], START_MS + 60_000).await;
    assert_eq!(later, Ok(Published::Unchanged));
}

#[tokio::test]
async fn events_are_recorded_and_counted_up() {
    let handle = handle();
    let group = make_group(&handle).await;
    let sink = EventSink::new();
    let uid = group.metadata.uid.as_deref().unwrap().into();
    let notice = |message: &str| Notice { warning: false, reason: "Switchover", message: message.to_owned() };
    let client = handle.client("shop");
    tokio::spawn(sink.clone().run(client, "hotstandby.dev/controller", "replica-0"));
    let told = |handle: &Handle| handle.with(|server| server.objects("", "events"));
    for (message, events) in [("to web-1", 1), ("to web-1", 1), ("to web-0", 2)] {
        let before = handle.with(|server| server.version());
        sink.record(&key(), &uid, notice(message));
        tokio::time::timeout(Duration::from_secs(10), handle.changed_after(before)).await.unwrap();
        assert_eq!(told(&handle).len(), events, "{message}");
    }
    let counted = told(&handle).into_iter().find(|event| event["message"] == "to web-1").unwrap();
    assert_eq!(counted["series"]["count"], 2);
    assert_eq!(counted["involvedObject"]["kind"], "ActiveStandby");
}

#[tokio::test]
async fn the_command_line_finds_annotates_and_watches_groups_over_http() {
    let handle = handle();
    make_group(&handle).await;
    let serving = serve(&handle, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let path = std::env::temp_dir().join(format!("hotstandby-sim-{}", serving.address().port()));
    std::fs::write(&path, serving.kubeconfig()).unwrap();
    let options = ConnectOptions { kubeconfig: Some(path.clone()), context: None };
    let groups = Groups::connect(&options, Some("shop")).await.unwrap();
    std::fs::remove_file(path).unwrap();
    assert_eq!(groups.list(true).await.unwrap().len(), 1);
    let Err(UserError::NoSuchGroup { others, .. }) = groups.get("wbe").await else { panic!("found") };
    assert!(others.contains("web"));
    let seen = groups.get("web").await.unwrap();
    let mut changes = Box::pin(groups.watch(Some("web"), false, |_| {}));
    assert!(matches!(changes.next().await, Some(Ok(Change::All(all))) if all.len() == 1));
    groups.annotate(&seen, "hotstandby.dev/paused", Some("true"), true).await.unwrap();
    let stale = groups.annotate(&seen, "hotstandby.dev/paused", None, true).await;
    assert!(matches!(stale, Err(UserError::Overtaken)), "{stale:?}");
    let next = tokio::time::timeout(Duration::from_secs(10), changes.next()).await.unwrap();
    assert!(matches!(next, Some(Ok(Change::Changed(group))) if group.is_paused()));
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
                Event::Refused(_) => "refused".to_owned(),
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
    tokio::time::sleep(Duration::from_mins(1)).await;
    put("c");
    handle.with(|server| server.compact(server.version()));
    put("d");
    handle.with(|server| server.compact(server.version()));
    handle.set_fault(None);
    expect(&["begin", "listed a", "listed b", "listed c", "listed d", "done"]).await;
}
