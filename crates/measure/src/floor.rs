//! What the platform itself needs: one slice, written by hand, from one pod to another.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::PostParams;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::bench::{self, Bench, KilledOnce, wait_slowly};
use crate::group::{create_namespace, remove_namespace, to_millis};
use crate::record::{Outcome, Stages};
use hotstandby_e2e::harness::START_LIMIT;
use hotstandby_e2e::objects::{Kind, is_ready_pod, items, name_of, text, uid_of};
use hotstandby_e2e::scene::Scene;
use hotstandby_e2e::watchdog::pod_ip;
use hotstandby_testbed::client::{ClientConfig, request};
use hotstandby_testbed::faults::{ContainerProcess, Inflicted};

/// A trial without an answer by another pod ends after this time.
const LIMIT: Duration = Duration::from_secs(10);
const PODS: usize = 2;
const SERVICE: &str = "raw";
const PORT: u16 = 8080;
/// From a kill to the write: about what hotstandby takes to prove the death and to write the seat.
const PROOF: Duration = Duration::from_millis(15);

/// A Service whose slice we write ourselves.
pub(crate) struct Floor {
    bench: Arc<Bench>,
    namespace: String,
    target: SocketAddr,
    slice: Mutex<Option<EndpointSlice>>,
    killed: KilledOnce,
}

struct Pod {
    name: String,
    uid: String,
    ip: String,
    node: String,
}

impl Floor {
    /// Puts two pods and the Service on the cluster.
    pub(crate) async fn create(bench: &Arc<Bench>) -> Result<Self> {
        let objects = &bench.env.objects;
        let namespace = create_namespace(objects, "floor").await?;
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
            killed: KilledOnce::default(),
        })
    }

    /// Removes it all.
    pub(crate) async fn remove(self) -> Result<()> {
        self.bench.expect_pods(-PODS.cast_signed());
        remove_namespace(&self.bench.env.objects, &self.namespace).await
    }

    /// Runs one trial, after a kill or without one.
    pub(crate) async fn run_trial(&self, after_kill: bool, turn: usize) -> Outcome {
        Outcome::from_result(self.try_trial(after_kill, turn).await)
    }

    async fn try_trial(&self, after_kill: bool, turn: usize) -> Result<Outcome> {
        let pods = self.wait_for_pods().await?;
        let now = self.read_address();
        let (from, to) = match pods.iter().position(|pod| Some(&pod.ip) == now.as_ref()) {
            Some(0) => (0, 1),
            Some(_) => (1, 0),
            None => {
                let first = pods.first().context("no pod")?;
                self.write_slice(first).await?;
                (0, 1)
            }
        };
        let (Some(from), Some(to)) = (pods.get(from), pods.get(to)) else {
            anyhow::bail!("two pods are needed")
        };
        let (client, node) = self.bench.start_client(self.target, &[&from.node], turn).await?;
        let victim = if after_kill { Some(self.find_container(from).await?) } else { None };
        self.bench.slots.wait_until_free().await?;

        if let Some(process) = victim {
            process.signal(Signal::SIGKILL)?;
            tokio::time::sleep(PROOF).await;
        }
        let (fault, write) = self.write_slice(to).await?;
        let trace = bench::watch_client(client, fault.at, &from.name, LIMIT).await?;
        let Some(mut seen) = bench::describe_failover(&trace, fault.at, &from.name) else {
            let failed = trace.failed().try_into().unwrap_or(u64::MAX);
            return Ok(Outcome::TimedOut { limit_ms: to_millis(LIMIT), failed });
        };
        if let Err(reason) = self.bench.slots.judge(&format!("{}/", self.namespace), fault.at) {
            return Ok(Outcome::Invalid { reason });
        }
        ensure!(seen.to == to.name, "another pod answered than the one that was written");
        seen.client_node = node;
        if after_kill {
            let objects = &self.bench.env.objects;
            self.killed.replace_if_killed_before(objects, &self.namespace, &from.name, &from.uid).await?;
        }
        let (traffic, gap) = (to_millis(write), seen.gap_ms);
        seen.stages = Some(Stages { traffic, platform: gap - traffic, ..Stages::default() });
        Ok(Outcome::Failover(Box::new(seen)))
    }

    async fn find_container(&self, pod: &Pod) -> Result<ContainerProcess> {
        let env = &self.bench.env;
        env.cluster.faults().find_container(env.objects.client(), &self.namespace, &pod.name, None).await
    }

    /// Waits until both pods answer: after a power cut the API server shows old addresses for a while.
    async fn wait_for_pods(&self) -> Result<Vec<Pod>> {
        wait_slowly(START_LIMIT, "both pods of the floor to answer", async || {
            let (found, _) = self.bench.env.objects.list(Kind::Pod, &self.namespace, "").await?;
            let mut pods: Vec<Pod> = found.iter().filter(|pod| is_ready_pod(pod)).map(Pod::read).collect();
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

    /// Reads the address in the slice.
    fn read_address(&self) -> Option<String> {
        let slice = self.slice.lock().unwrap_or_else(PoisonError::into_inner);
        let slice = serde_json::to_value(slice.as_ref()?).ok()?;
        let first = items(&slice, "/endpoints").first()?;
        items(first, "/addresses").first()?.as_str().map(str::to_owned)
    }

    /// Writes the slice; returns when that began and how long it took.
    async fn write_slice(&self, to: &Pod) -> Result<(Inflicted, Duration)> {
        let known = self.slice.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let version = known.as_ref().and_then(|slice| slice.metadata.resource_version.clone());
        let slice: EndpointSlice =
            serde_json::from_value(self.make_slice(to, version.as_deref())).context("making a slice")?;
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

    fn make_slice(&self, to: &Pod, version: Option<&str>) -> Value {
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
    fn read(pod: &Value) -> Self {
        Self {
            name: name_of(pod).to_owned(),
            uid: uid_of(pod).to_owned(),
            ip: pod_ip(pod),
            node: text(pod, "/spec/nodeName").to_owned(),
        }
    }
}
