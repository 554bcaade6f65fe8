//! The controller of annotated Services.
//!
//! Once a second it makes sure that one running and ready pod of each annotated Service carries the label, and that the
//! Service's selector wants it. Its faults: it never takes a label away; ready is what the containers' own status says, which stays
//! so on a dead node; without the annotation it does nothing, so also puts nothing back; two Services share the label.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Patch, PatchParams, WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Said;

const ANNOTATION: &str = "qoqo.dev/service-mode";
const KEY: &str = "qoqo.dev/pod-designation";
const ACTIVE: &str = "active";
const PERIOD: Duration = Duration::from_secs(1);

/// All objects of a kind, by namespace and name.
type Seen<K> = Arc<Mutex<BTreeMap<(String, String), K>>>;

pub(super) async fn run(client: Client, said: Said) -> Result<()> {
    let pods: Seen<Pod> = follow(Api::all(client.clone()));
    let services: Seen<Service> = follow(Api::all(client.clone()));
    said.say("looks at annotated Services");
    loop {
        tokio::time::sleep(PERIOD).await;
        let all: Vec<Service> = lock(&services).values().cloned().collect();
        for service in &all {
            let (namespace, members) = members(service, &pods);
            if let Some(members) = members {
                look_after(&client, &namespace, service, &members, &said).await;
            }
        }
    }
}

/// The pods that an annotated Service's own selector picks.
fn members(service: &Service, pods: &Seen<Pod>) -> (String, Option<Vec<Pod>>) {
    let namespace = service.namespace().unwrap_or_default();
    let annotated = service.annotations().get(ANNOTATION).is_some_and(|value| !value.is_empty());
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.clone()).unwrap_or_default();
    let own: BTreeMap<String, String> = selector.into_iter().filter(|(key, _)| key != KEY).collect();
    if !annotated || own.is_empty() {
        return (namespace, None);
    }
    let picked = lock(pods)
        .values()
        .filter(|pod| pod.namespace().as_deref() == Some(&namespace))
        .filter(|pod| own.iter().all(|(key, value)| pod.labels().get(key) == Some(value)))
        .cloned()
        .collect();
    (namespace, Some(picked))
}

async fn look_after(client: &Client, namespace: &str, service: &Service, members: &[Pod], said: &Said) {
    let params = PatchParams::default();
    let labelled = |pod: &&Pod| pod.labels().get(KEY).is_some_and(|value| value == ACTIVE);
    if !members.iter().filter(labelled).any(is_eligible) {
        let Some(next) = members.iter().find(|pod| is_eligible(pod)) else { return };
        let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let change = Patch::Merge(json!({"metadata": {"labels": {KEY: ACTIVE}}}));
        let name = next.name_any();
        said.outcome(&format!("labels {name}"), api.patch(&name, &params, &change).await);
    }
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    if selector.is_none_or(|selector| !selector.contains_key(KEY)) {
        let api: Api<Service> = Api::namespaced(client.clone(), namespace);
        let change = Patch::Merge(json!({"spec": {"selector": {KEY: ACTIVE}}}));
        let name = service.name_any();
        said.outcome(&format!("narrows {name}"), api.patch(&name, &params, &change).await);
    }
}

/// Running, and all containers say that they are ready.
fn is_eligible(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    status.phase.as_deref() == Some("Running")
        && !containers.is_empty()
        && containers.iter().all(|container| container.ready)
}

/// Follows all objects of a kind by a watch alone: it has no right to list.
fn follow<K>(api: Api<K>) -> Seen<K>
where
    K: Clone + std::fmt::Debug + DeserializeOwned + kube::Resource + Send + 'static,
{
    let seen: Seen<K> = Arc::default();
    let kept = seen.clone();
    tokio::spawn(async move {
        loop {
            lock(&kept).clear();
            // From 0 on, a watch begins with all that is there.
            if let Ok(stream) = api.watch(&WatchParams::default(), "0").await {
                let mut stream = stream.boxed();
                while let Ok(Some(event)) = stream.try_next().await {
                    take(&kept, event);
                }
            }
            tokio::time::sleep(PERIOD).await;
        }
    });
    seen
}

fn take<K: kube::Resource>(seen: &Seen<K>, event: WatchEvent<K>) {
    let key = |object: &K| (object.namespace().unwrap_or_default(), object.name_any());
    match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) => {
            lock(seen).insert(key(&object), object);
        }
        WatchEvent::Deleted(object) => {
            lock(seen).remove(&key(&object));
        }
        WatchEvent::Bookmark(_) | WatchEvent::Error(_) => {}
    }
}

fn lock<K>(seen: &Seen<K>) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), K>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, labels: &[(&str, &str)], ready: bool) -> Pod {
        let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "t", "labels": labels},
            "status": {"phase": "Running", "containerStatuses": [
                {"name": "c", "ready": ready, "restartCount": 0, "image": "", "imageID": ""},
            ]},
        }))
        .unwrap()
    }

    fn service(mode: &str, selector: &[(&str, &str)]) -> Service {
        let selector: BTreeMap<&str, &str> = selector.iter().copied().collect();
        serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "t", "annotations": {ANNOTATION: mode}},
            "spec": {"selector": selector},
        }))
        .unwrap()
    }

    #[test]
    fn any_value_but_an_empty_one_counts_and_its_own_key_does_not() {
        let pods: Seen<Pod> = Arc::default();
        for pod in [pod("a", &[("app", "web")], true), pod("b", &[("app", "db")], true)] {
            lock(&pods).insert(("t".into(), pod.name_any()), pod);
        }
        let narrowed = service("yes", &[("app", "web"), (KEY, ACTIVE)]);
        assert_eq!(members(&narrowed, &pods).1.map(|all| all.len()), Some(1));
        assert!(members(&service("", &[("app", "web")]), &pods).1.is_none());
        assert!(members(&service("yes", &[]), &pods).1.is_none());
    }

    #[test]
    fn only_what_its_containers_say_makes_a_pod_eligible() {
        assert!(is_eligible(&pod("a", &[], true)));
        assert!(!is_eligible(&pod("a", &[], false)));
    }
}
