//! The loop that checks health and toggles roles.
//!
//! Its faults: a check has no time-out; one bad answer switches; it demotes before it promotes and looks at the outcome of
//! neither; a pod that came later gets no role, except that the first pod by name without one is made active as at the start: so a
//! second active one can come to be, which it then never sees, as it looks at the first alone.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Said;

const ROLE: &str = "role";
const ACTIVE: &str = "active";
const PASSIVE: &str = "passive";
const PORT: u16 = 8080;
const PATH: &str = "/health";

pub(super) async fn run(
    client: Client,
    namespace: &str,
    app: &str,
    pause: Duration,
    said: Said,
) -> Result<()> {
    let api: Api<Pod> = Api::namespaced(client, namespace);
    let params = ListParams::default().labels(&format!("app={app}"));
    said.say(format!("looks at pods with app={app}"));
    loop {
        if let Ok(list) = api.list(&params).await {
            let mut pods = list.items;
            pods.sort_by_key(kube::ResourceExt::name_any);
            look(&api, &pods, &said).await;
        }
        tokio::time::sleep(pause).await;
    }
}

fn role(pod: &Pod) -> Option<&str> {
    pod.labels().get(ROLE).map(String::as_str)
}

async fn look(api: &Api<Pod>, pods: &[Pod], said: &Said) {
    let Some(first) = pods.first() else { return };
    if role(first).is_none() {
        set(api, first, ACTIVE, said).await;
        for pod in pods.iter().skip(1).filter(|pod| role(pod).is_none()) {
            set(api, pod, PASSIVE, said).await;
        }
        return;
    }
    let Some(active) = pods.iter().find(|pod| role(pod) == Some(ACTIVE)) else {
        set(api, first, ACTIVE, said).await;
        return;
    };
    if is_healthy(active).await {
        return;
    }
    for pod in pods.iter().filter(|pod| role(pod) == Some(PASSIVE)) {
        if is_healthy(pod).await {
            set(api, active, PASSIVE, said).await;
            set(api, pod, ACTIVE, said).await;
            return;
        }
    }
    said.say("leaves all as it is: no passive one is healthy");
}

async fn set(api: &Api<Pod>, pod: &Pod, role: &str, said: &Said) {
    let change = Patch::Merge(json!({"metadata": {"labels": {ROLE: role}}}));
    let name = pod.name_any();
    said.outcome(&format!("makes {name} {role}"), api.patch(&name, &PatchParams::default(), &change).await);
}

/// One request, for as long as it takes: only 200 is healthy.
async fn is_healthy(pod: &Pod) -> bool {
    let Some(ip) = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()) else { return false };
    let asked = async {
        let mut stream = TcpStream::connect((ip, PORT)).await?;
        let head = format!("GET {PATH} HTTP/1.1\r\nHost: {ip}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer.starts_with(b"HTTP/1.1 200 "))
    };
    asked.await.unwrap_or(false)
}
