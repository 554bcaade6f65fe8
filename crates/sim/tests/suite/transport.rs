//! The async layer: clients, faults, streams, loopback HTTP.

use crate::support::{START_MS, group};
use futures::{StreamExt, TryStreamExt};
use hotstandby_cluster::api::ActiveStandby;
use hotstandby_sim::{ApiServer, Fault, Handle, ManualClock, ServeError, serve};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{ListParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, Client, Config};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

fn handle() -> Handle {
    Handle::new(ApiServer::new(Arc::new(ManualClock::new(START_MS)), 7))
}

fn config_map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}})).unwrap()
}

async fn create(client: &Client, name: &str) -> Result<ConfigMap, kube::Error> {
    Api::<ConfigMap>::default_namespaced(client.clone())
        .create(&PostParams::default(), &config_map(name))
        .await
}

#[tokio::test]
async fn a_lost_answer_hides_a_write_that_happened() {
    let handle = handle();
    let client = handle.client("default");
    handle.set_fault(Some(Arc::new(|info| match info.verb {
        "create" => Fault::DropAnswerAfterApplying,
        _ => Fault::None,
    })));
    assert!(matches!(create(&client, "a").await, Err(kube::Error::Service(_))));
    assert!(Api::<ConfigMap>::default_namespaced(client.clone()).get("a").await.is_ok());
    handle.set_fault(Some(Arc::new(|_| Fault::DropRequest)));
    assert!(create(&client, "b").await.is_err());
    handle.set_fault(Some(Arc::new(|_| Fault::Fail(504))));
    assert!(matches!(create(&client, "b").await, Err(kube::Error::Api(status)) if status.code == 504));
    handle.set_fault(None);
    assert!(create(&client, "b").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_waited_for_and_a_watch_ends_on_time_with_a_bookmark() {
    let handle = handle();
    let client = handle.client("default");
    handle.set_fault(Some(Arc::new(|info| match info.verb {
        "create" => Fault::Delay(Duration::from_secs(3)),
        _ => Fault::None,
    })));
    let started = tokio::time::Instant::now();
    create(&client, "a").await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(3));
    let maps: Api<ConfigMap> = Api::all(client);
    let started = tokio::time::Instant::now();
    let events = maps.watch(&WatchParams::default().timeout(90), "0").await.unwrap();
    // News of another kind, which a bookmark tells of once.
    let lease = serde_json::json!({"metadata": {"name": "x", "namespace": "default"}});
    handle.with(|server| server.apply_object("coordination.k8s.io", "v1", "leases", &lease)).unwrap();
    let events: Vec<_> = events.try_collect().await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(90));
    let kinds: Vec<_> = events
        .iter()
        .map(|event| match event {
            WatchEvent::Added(_) => "added",
            WatchEvent::Bookmark(_) => "bookmark",
            _ => "other",
        })
        .collect();
    assert_eq!(kinds, ["added", "bookmark"]);
    assert_eq!(handle.open_watches(), 0);
}

#[tokio::test]
async fn loopback_http_serves_lists_and_watches_in_both_versions() {
    let handle = handle();
    let crd = serde_json::to_value(hotstandby_cluster::api::crd()).unwrap();
    handle
        .with(|server| server.apply_object("apiextensions.k8s.io", "v1", "customresourcedefinitions", &crd))
        .unwrap();
    let serving = serve(&handle, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let config = Config::new(format!("http://{}", serving.address()).parse().unwrap());
    let client = Client::try_from(config).unwrap();
    let spaces: Api<Namespace> = Api::all(client.clone());
    assert_eq!(spaces.list(&ListParams::default()).await.unwrap().items.len(), 4);
    let groups: Api<ActiveStandby> = Api::namespaced(client, "default");
    let mut watch = groups.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    let wanted: ActiveStandby = serde_json::from_value(group("web")).unwrap();
    groups.create(&PostParams::default(), &wanted).await.unwrap();
    let event = tokio::time::timeout(Duration::from_secs(10), watch.next()).await.unwrap().unwrap().unwrap();
    assert!(matches!(event, WatchEvent::Added(_)), "{event:?}");
    let outside = serve(&handle, "0.0.0.0:0".parse().unwrap()).await;
    assert!(matches!(outside, Err(ServeError::NotLoopback(_))));
}
