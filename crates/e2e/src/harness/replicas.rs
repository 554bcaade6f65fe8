//! hotstandby's own Deployment on the cluster: its replicas and what their admin servers say.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::{Env, REPLICAS, START_LIMIT, SYSTEM};
use crate::objects::{Kind, is_ready_pod, name_of, text};
use crate::watchdog::pod_ip;
use hotstandby_testbed::wait::until;

/// The port of their admin servers.
const ADMIN_PORT: u16 = 8080;

/// One replica of hotstandby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Its pod.
    pub name: String,
    /// Its node.
    pub node: String,
    /// Its address.
    pub ip: String,
}

impl Env {
    /// The replicas that are ready, by name: the first one is the lead.
    pub async fn replicas(&self) -> Result<Vec<Replica>> {
        self.replicas_in(SYSTEM).await
    }

    async fn replicas_in(&self, namespace: &str) -> Result<Vec<Replica>> {
        let (pods, _) = self.objects.list(Kind::Pod, namespace, REPLICAS).await?;
        let mut ready: Vec<Replica> = pods.iter().filter(|pod| is_ready_pod(pod)).map(replica).collect();
        ready.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(ready)
    }

    /// Waits until exactly so many replicas are ready and no other is there.
    pub async fn wait_for_replicas(&self, count: usize, limit: Duration) -> Result<Vec<Replica>> {
        self.wait_for_replicas_in(SYSTEM, count, limit).await
    }

    /// The same for another install.
    pub async fn wait_for_replicas_in(
        &self,
        namespace: &str,
        count: usize,
        limit: Duration,
    ) -> Result<Vec<Replica>> {
        until(limit, &format!("{count} ready replicas of hotstandby"), async || {
            let (pods, _) = self.objects.list(Kind::Pod, namespace, REPLICAS).await?;
            let ready = self.replicas_in(namespace).await?;
            Ok((ready.len() == count && pods.len() == count).then_some(ready))
        })
        .await
    }

    /// Wants so many replicas, and waits until it is so.
    pub async fn scale(&self, count: usize) -> Result<Vec<Replica>> {
        let change = json!({"spec": {"replicas": count}});
        self.objects.patch(Kind::Deployment, SYSTEM, "hotstandby", &change).await?;
        self.wait_for_replicas(count, START_LIMIT).await
    }

    /// One metric of a replica, as the sum over its labels.
    pub async fn metric(&self, replica: &Replica, name: &str) -> Result<f64> {
        let (_, body) = self.get(&replica.ip, ADMIN_PORT, "/metrics").await?;
        let values = body
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.sum())
    }
}

fn replica(pod: &Value) -> Replica {
    Replica { name: name_of(pod).to_owned(), node: text(pod, "/spec/nodeName").to_owned(), ip: pod_ip(pod) }
}
