//! What the platform itself needs: one slice, written by hand, from one pod to another.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::PostParams;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::bench::{self, Bench, slowly};
use super::group::{millis, namespace, remove_namespace};
use super::record::{Outcome, Stages};
use super::row::Row;
use hotstandby_e2e::harness::START_LIMIT;
use hotstandby_e2e::objects::{Kind, is_ready_pod, items, name_of, text, uid_of};
use hotstandby_e2e::scene::Scene;
use hotstandby_e2e::watchdog::pod_ip;
use hotstandby_testbed::client::{ClientConfig, request};
use hotstandby_testbed::faults::{ContainerProcess, Inflicted};

const PODS: usize = 2;
const SERVICE: &str = "raw";
const PORT: u16 = 8080;
/// From a kill to the write: about what hotstandby takes to prove the death and to write the seat.
const PROOF: Duration = Duration::from_millis(15);

/// A Service whose slice we write ourselves.
pub(super) struct Floor {
    bench: Arc<Bench>,
    namespace: String,
    target: SocketAddr,
    slice: Mutex<Option<EndpointSlice>>,
    /// UIDs of pods whose container was killed once.
    killed: Mutex<HashSet<String>>,
}

struct Pod {
    name: String,
    uid: String,
    ip: String,
    node: String,
}

impl Floor {
    /// Puts two pods and the Service on the cluster.
    pub(super) async fn create(bench: &Arc<Bench>) -> Result<Self> {
        let objects = &bench.env.objects;
        let namespace = namespace(objects, "floor").await?;
        let service = Kind::Service
            .object(SERVICE, &json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": PORT}]}}));
        let service = objects.create(Kind::Service, &namespace, &service).await?;
        let ip = text(&service, "/spec/clusterIP");
        let target = format!("{ip}:80").parse().with_context(|| format!("no address: {ip}"))?;
        let workload = Scene::default().replicas(PODS).workload_object();
        objects.create(Kind::Deployment, &namespace, &workload).await?;
        bench.expect_pods(PODS.cast_signed());
        Ok(Self {
            bench: bench.clone(),
            namespace,
            target,
            slice: Mutex::default(),
            killed: Mutex::default(),
        })
    }

    /// Removes it all.
    pub(super) async fn remove(self) -> Result<()> {
        self.bench.expect_pods(-PODS.cast_signed());
        remove_namespace(&self.bench.env.objects, &self.namespace).await
    }

    /// One trial; never fails, since a trial that went wrong is to be told too.
    pub(super) async fn trial(&self, row: Row, turn: usize) -> Outcome {
        match self.try_trial(row, turn).await {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Invalid { reason: format!("{error:#}") },
        }
    }

    async fn try_trial(&self, row: Row, turn: usize) -> Result<Outcome> {
        let pods = self.living_pods().await?;
        let now = self.address();
        let (from, to) = match pods.iter().position(|pod| Some(&pod.ip) == now.as_ref()) {
            Some(0) => (0, 1),
            Some(_) => (1, 0),
            None => {
                let first = pods.first().context("no pod")?;
                self.write(first).await?;
                (0, 1)
            }
        };
        let (Some(from), Some(to)) = (pods.get(from), pods.get(to)) else {
            anyhow::bail!("two pods are needed")
        };
        let (client, node) = self.bench.client(self.target, &[&from.node], turn).await?;
        let victim = if row == Row::FloorKill { Some(self.container(from).await?) } else { None };
        self.bench.slots.rest().await?;

        if let Some(process) = victim {
            process.signal(Signal::SIGKILL)?;
            tokio::time::sleep(PROOF).await;
        }
        let (fault, write) = self.write(to).await?;
        let trace = bench::watch(client, fault.at, &from.name, row.limit()).await?;
        let Some(mut seen) = bench::describe(&trace, fault.at, &from.name) else {
            let failed = trace.failed().try_into().unwrap_or(u64::MAX);
            return Ok(Outcome::NoAnswer { limit_ms: millis(row.limit()), failed });
        };
        if let Err(reason) = self.bench.slots.judge(&format!("{}/", self.namespace), fault.at) {
            return Ok(Outcome::Invalid { reason });
        }
        ensure!(seen.to == to.name, "another pod answered than the one that was written");
        seen.client_node = node;
        if row == Row::FloorKill {
            self.mend(from).await?;
        }
        let (traffic, gap) = (millis(write), seen.gap_ms);
        seen.stages = Some(Stages { traffic, platform: gap - traffic, ..Stages::default() });
        Ok(Outcome::Seen(Box::new(seen)))
    }

    async fn container(&self, pod: &Pod) -> Result<ContainerProcess> {
        let env = &self.bench.env;
        env.cluster.faults().find_container(env.objects.client(), &self.namespace, &pod.name, None).await
    }

    /// A container killed for the second time goes into back-off: then a new pod takes its place.
    async fn mend(&self, pod: &Pod) -> Result<()> {
        if self.killed.lock().unwrap_or_else(PoisonError::into_inner).insert(pod.uid.clone()) {
            return Ok(());
        }
        self.bench.env.objects.delete(Kind::Pod, &self.namespace, &pod.name).await
    }

    /// The pods, each of which answers now: after a power cut the API server tells old addresses for a while.
    async fn living_pods(&self) -> Result<Vec<Pod>> {
        slowly(START_LIMIT, "both pods of the floor to answer", async || {
            let (found, _) = self.bench.env.objects.list(Kind::Pod, &self.namespace, "").await?;
            let mut pods: Vec<Pod> = found.iter().filter(|pod| is_ready_pod(pod)).map(Pod::of).collect();
            pods.sort_by(|a, b| a.name.cmp(&b.name));
            for pod in &pods {
                let address = format!("{}:{PORT}", pod.ip).parse().context("reading a pod's address")?;
                let asked = async move { Ok(request(&ClientConfig::new(address)).await) };
                if self.bench.hands.run(asked).await?.who() != Some(pod.name.as_str()) {
                    return Ok(None);
                }
            }
            Ok((pods.len() == PODS).then_some(pods))
        })
        .await
    }

    /// The address in the slice.
    fn address(&self) -> Option<String> {
        let slice = self.slice.lock().unwrap_or_else(PoisonError::into_inner);
        let slice = serde_json::to_value(slice.as_ref()?).ok()?;
        let first = items(&slice, "/endpoints").first()?;
        items(first, "/addresses").first()?.as_str().map(str::to_owned)
    }

    /// Writes the slice, and tells when that began and how long it took.
    async fn write(&self, to: &Pod) -> Result<(Inflicted, Duration)> {
        let known = self.slice.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let version = known.as_ref().and_then(|slice| slice.metadata.resource_version.clone());
        let slice: EndpointSlice =
            serde_json::from_value(self.slice_to(to, version.as_deref())).context("making a slice")?;
        let api: Api<EndpointSlice> = Api::namespaced(self.bench.hands.client.clone(), &self.namespace);
        let (fault, took, written) = self
            .bench
            .hands
            .run(async move {
                let (params, name) = (PostParams::default(), "raw-by-hand");
                let fault = Inflicted::now();
                let start = Instant::now();
                let written = match known {
                    Some(_) => api.replace(name, &params, &slice).await,
                    None => api.create(&params, &slice).await,
                };
                let took = start.elapsed();
                Ok((fault, took, written.context("writing the floor's slice")?))
            })
            .await?;
        *self.slice.lock().unwrap_or_else(PoisonError::into_inner) = Some(written);
        Ok((fault, took))
    }

    fn slice_to(&self, to: &Pod, version: Option<&str>) -> Value {
        json!({
            "metadata": {
                "name": "raw-by-hand",
                "resourceVersion": version,
                "labels": {
                    "kubernetes.io/service-name": SERVICE,
                    "endpointslice.kubernetes.io/managed-by": "measure.hotstandby.dev",
                },
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
            "endpoints": [{
                "addresses": [to.ip],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "nodeName": to.node,
                "targetRef": {"kind": "Pod", "name": to.name, "namespace": self.namespace, "uid": to.uid},
            }],
        })
    }
}

impl Pod {
    fn of(pod: &Value) -> Self {
        Self {
            name: name_of(pod).to_owned(),
            uid: uid_of(pod).to_owned(),
            ip: pod_ip(pod),
            node: text(pod, "/spec/nodeName").to_owned(),
        }
    }
}
