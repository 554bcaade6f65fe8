//! The controller of role labels, critical containers and the datagram.
//!
//! It learns from a watch alone. Its faults: pods that were there before it are never made active; a role is changed by writing
//! back the whole pod, and a refused write is tried again only if some pod happens to change; readiness is never looked at; a
//! node's loss shows only when the pod's object goes; the datagram is sent once; after its own restart it knows of no active one,
//! and makes a second.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt as _};
use tokio::net::UdpSocket;

use super::Said;

const SELECTOR: &str = "app=hapod";
const ROLE: &str = "role";
const NOTICE: &[u8] = b"GoActiveDuringFailover";
const NOTICE_PORT: u16 = 10001;

struct Controller {
    api: Api<Pod>,
    said: Said,
    /// Pods that came while it was there.
    pods: BTreeMap<String, Pod>,
    active: Option<String>,
}

pub(super) async fn run(client: Client, namespace: &str, said: Said) -> Result<()> {
    let api: Api<Pod> = Api::namespaced(client, namespace);
    let list = api.list(&ListParams::default().labels(SELECTOR)).await.context("listing pods")?;
    let mut version = list.metadata.resource_version.unwrap_or_default();
    said.say(format!("leaves {} pods alone", list.items.len()));
    let mut controller = Controller { api, said, pods: BTreeMap::new(), active: None };
    loop {
        let params = WatchParams::default().labels(SELECTOR);
        let mut stream = controller.api.watch(&params, &version).await.context("watching pods")?.boxed();
        while let Some(event) = stream.try_next().await.context("watching pods")? {
            if let WatchEvent::Added(pod) | WatchEvent::Modified(pod) | WatchEvent::Deleted(pod) = &event {
                version = pod.resource_version().unwrap_or_default();
            }
            controller.take(event).await;
        }
    }
}

impl Controller {
    async fn take(&mut self, event: WatchEvent<Pod>) {
        match event {
            WatchEvent::Added(pod) => self.changed(pod).await,
            WatchEvent::Modified(pod) if self.pods.contains_key(&pod.name_any()) => self.changed(pod).await,
            WatchEvent::Deleted(pod) => {
                let name = pod.name_any();
                self.pods.remove(&name);
                if self.active.as_ref() == Some(&name) {
                    self.active = None;
                    self.promote().await;
                }
            }
            _ => {}
        }
    }

    async fn changed(&mut self, pod: Pod) {
        let name = pod.name_any();
        if critical_one_ended(&pod) && pod.metadata.deletion_timestamp.is_none() {
            let params = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
            self.said.outcome(&format!("deletes {name}"), self.api.delete(&name, &params).await);
        }
        self.pods.insert(name, pod);
        if self.active.is_none() {
            self.promote().await;
        }
    }

    async fn promote(&mut self) {
        let standbys = self.pods.values().filter(|pod| {
            let role = pod.labels().get(ROLE).map(String::as_str);
            role == Some("standby") && phase(pod) == Some("Running")
        });
        let oldest =
            standbys.min_by_key(|pod| pod.status.as_ref().and_then(|status| status.start_time.clone()));
        let Some(name) = oldest.map(kube::ResourceExt::name_any) else { return };
        let Ok(mut pod) = self.api.get(&name).await else { return };
        pod.labels_mut().insert(ROLE.to_owned(), "active".to_owned());
        let outcome = self.api.replace(&name, &PostParams::default(), &pod).await;
        let refused = outcome.is_err();
        self.said.outcome(&format!("makes {name} active"), outcome);
        if refused {
            return;
        }
        let ip = pod.status.as_ref().and_then(|status| status.pod_ip.clone()).unwrap_or_default();
        if let Ok(socket) = UdpSocket::bind("0.0.0.0:0").await {
            let _once_and_never_again = socket.send_to(NOTICE, (ip.as_str(), NOTICE_PORT)).await;
        }
        self.pods.insert(name.clone(), pod);
        self.active = Some(name);
    }
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}

/// Whether a container has terminated that its environment calls critical.
fn critical_one_ended(pod: &Pod) -> bool {
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref());
    statuses.unwrap_or_default().iter().any(|status| {
        let ended = status.state.as_ref().is_some_and(|state| state.terminated.is_some());
        let env = containers.iter().find(|one| one.name == status.name).and_then(|one| one.env.as_deref());
        let critical = env.unwrap_or_default().iter().any(|variable| {
            variable.name == "pwcriticality" && variable.value.as_deref() == Some("critical")
        });
        ended && critical
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(ended: &str) -> Pod {
        let status = |name: &str| {
            let state =
                if name == ended { json!({"terminated": {"exitCode": 1}}) } else { json!({"running": {}}) };
            json!({"name": name, "ready": true, "restartCount": 0, "image": "", "imageID": "", "state": state})
        };
        serde_json::from_value(json!({
            "metadata": {"name": "a"},
            "spec": {"containers": [
                {"name": "main", "env": [{"name": "pwcriticality", "value": "critical"}]},
                {"name": "helper"},
            ]},
            "status": {"containerStatuses": [status("main"), status("helper")]},
        }))
        .unwrap()
    }

    #[test]
    fn only_the_critical_containers_end_counts() {
        assert!(critical_one_ended(&pod("main")));
        assert!(!critical_one_ended(&pod("helper")));
        assert!(!critical_one_ended(&pod("")));
    }
}
