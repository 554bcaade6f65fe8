//! Watching a starting cluster for the API server and the nodes to get ready.

use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, Client};

use super::config::Spec;
use super::supervisor::Event;
use crate::access;

const PERIOD: Duration = Duration::from_millis(100);

/// Reports [`Event::ApiReady`], [`Event::DnsIntroduced`] and [`Event::NodesReady`], from a thread of its own.
pub(super) fn watch(spec: &Spec, sender: Sender<Event>) -> Result<()> {
    let (kubeconfig, nodes) = (spec.paths.host_kubeconfig("admin"), usize::from(spec.config.nodes));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("making a runtime for the readiness check")?;
    thread::spawn(move || {
        let event = match runtime.block_on(wait(&kubeconfig, nodes, &sender)) {
            Ok(()) => Event::NodesReady,
            Err(error) => Event::NotReady(format!("{error:#}")),
        };
        let _ending = sender.send(event);
    });
    Ok(())
}

async fn wait(kubeconfig: &std::path::Path, nodes: usize, sender: &Sender<Event>) -> Result<()> {
    let client = access::client_from(kubeconfig).await?;
    while !api_is_ready(&client).await {
        tokio::time::sleep(PERIOD).await;
    }
    let _ending = sender.send(Event::ApiReady);
    // The namespace it is for comes some moments after the server says that it is ready.
    while let Err(error) = super::dns::introduce(&client).await {
        eprintln!("introducing the cluster's DNS: {error:#}");
        tokio::time::sleep(PERIOD).await;
    }
    let _ending = sender.send(Event::DnsIntroduced);
    let api: Api<Node> = Api::all(client);
    loop {
        // An API server that is slow at the start is no failure: the limit is the supervisor's.
        if let Ok(list) = api.list(&ListParams::default()).await
            && list.items.iter().filter(|node| is_ready(node)).count() >= nodes
        {
            return Ok(());
        }
        tokio::time::sleep(PERIOD).await;
    }
}

async fn api_is_ready(client: &Client) -> bool {
    let Ok(request) = http::Request::get("/readyz").body(Vec::new()) else { return false };
    client.request_text(request).await.is_ok()
}

/// Whether a node's Ready condition is True.
pub(crate) fn is_ready(node: &Node) -> bool {
    node.status
        .as_ref()
        .and_then(|status| status.conditions.as_ref())
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
