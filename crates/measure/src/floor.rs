//! What the platform itself needs: one slice, written by hand, from one pod to another.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::PostParams;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::bench::{self, Bench, KilledOnce, wait_slowly};
use crate::group::{deploy_app, list_ready_pods, remove_namespace, to_millis};
use crate::record::{Outcome, Stages};
use hotstandby_e2e::harness::START_LIMIT;
use hotstandby_e2e::objects::Kind;
use hotstandby_e2e::scene::Scene;
use hotstandby_e2e::trial::Active;
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

impl Floor {
    /// Puts two pods and the Service on the cluster.
    pub(crate) async fn create(bench: &Arc<Bench>) -> Result<Self> {
        let service = Kind::Service
            .object(SERVICE, &json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": PORT}]}}));
        let workload = Scene::default().replicas(PODS).workload_object();
        let (namespace, target) = deploy_app(bench, "floor", &service, &workload, PODS).await?;
        let (slice, killed) = (Mutex::default(), KilledOnce::default());
        Ok(Self { bench: bench.clone(), namespace, target, slice, killed })
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
        let (from, to) = self.choose_pods().await?;
        let (client, node) = self.bench.start_client(self.target, &[&from.node], turn).await?;
        let victim = if after_kill { Some(self.find_container(&from).await?) } else { None };
        self.bench.slots.wait_until_free().await?;

        if let Some(process) = victim {
            process.signal(Signal::SIGKILL)?;
            tokio::time::sleep(PROOF).await;
        }
        let (fault, write) = self.write_slice(&to).await?;
        let trace = bench::watch_client(client, fault.at, &from.pod, LIMIT).await?;
        let Some(mut seen) = bench::describe_failover(&trace, fault.at, &from.pod) else {
            let failed = trace.failed().try_into().unwrap_or(u64::MAX);
            return Ok(Outcome::TimedOut { limit_ms: to_millis(LIMIT), failed });
        };
        if let Err(reason) = self.bench.slots.judge(&format!("{}/", self.namespace), fault.at) {
            return Ok(Outcome::Invalid { reason });
        }
        ensure!(seen.to == to.pod, "another pod answered than the one that was written");
        seen.client_node = node;
        if after_kill {
            let objects = &self.bench.env.objects;
            self.killed.replace_if_killed_before(objects, &self.namespace, &from).await?;
        }
        let (traffic, gap) = (to_millis(write), seen.gap_ms);
        seen.stages = Some(Stages { traffic, platform: gap - traffic, ..Stages::default() });
        Ok(Outcome::Failover(Box::new(seen)))
    }

    async fn find_container(&self, pod: &Active) -> Result<ContainerProcess> {
        let env = &self.bench.env;
        env.cluster.faults().find_container(env.objects.client(), &self.namespace, &pod.pod, None).await
    }

    /// The pod that the slice names, and the other one.
    async fn choose_pods(&self) -> Result<(Active, Active)> {
        let pods: Result<[Active; PODS], _> = self.wait_for_pods().await?.try_into();
        let Ok([first, second]) = pods else { bail!("two pods are needed") };
        match self.read_address() {
            Some(ip) if ip == first.ip => Ok((first, second)),
            Some(ip) if ip == second.ip => Ok((second, first)),
            _ => {
                self.write_slice(&first).await?;
                Ok((first, second))
            }
        }
    }

    /// Waits until both pods answer: after a power cut the API server shows old addresses for a while.
    async fn wait_for_pods(&self) -> Result<Vec<Active>> {
        wait_slowly(START_LIMIT, "both pods of the floor to answer", async || {
            let mut pods = list_ready_pods(&self.bench.env.objects, &self.namespace).await?;
            pods.sort_by(|a, b| a.pod.cmp(&b.pod));
            for pod in &pods {
                let address = format!("{}:{PORT}", pod.ip).parse().context("reading a pod's address")?;
                let asked = async move { Ok(request(&ClientConfig::new(address)).await) };
                if self.bench.hands.run(asked).await?.who() != Some(pod.pod.as_str()) {
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
        slice.as_ref()?.endpoints.first()?.addresses.first().cloned()
    }

    /// Writes the slice; returns when that began and how long it took.
    async fn write_slice(&self, to: &Active) -> Result<(Inflicted, Duration)> {
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

    fn make_slice(&self, to: &Active, version: Option<&str>) -> Value {
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
                "targetRef": {"kind": "Pod", "name": to.pod, "namespace": self.namespace, "uid": to.uid},
            }],
        })
    }
}
