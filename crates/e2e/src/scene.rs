//! What a test puts on the cluster: a sample app with its Services and its group.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::harness::START_LIMIT;
use super::objects::{Kind, condition, merge, text};
use super::trial::Trial;
use super::watchdog::World;
use hotstandby_testbed::image::SAMPLE_APP_IMAGE;

/// The group and the app of every test are called so.
pub const GROUP: &str = "web";
/// The Service of every test.
pub const SERVICE: &str = "web-active";

/// The Service's port on which connections last.
pub const ECHO_PORT: u16 = 7000;

/// What to put on the cluster.
#[derive(Debug, Clone)]
pub struct Scene {
    kind: Kind,
    replicas: usize,
    env: Vec<(String, String)>,
    spec: Value,
    services: Vec<Value>,
    workload: Value,
}

impl Default for Scene {
    /// Three pods of a Deployment, one Service, everything else by default.
    fn default() -> Self {
        let port = json!({"name": "http", "port": 80, "targetPort": "http"});
        Self {
            kind: Kind::Deployment,
            replicas: 3,
            env: Vec::new(),
            spec: json!({
                "selector": {"matchLabels": {"app": GROUP}},
                "traffic": {"services": [{"name": SERVICE}]},
            }),
            services: vec![Kind::Service.object(SERVICE, &json!({"spec": {"ports": [port]}}))],
            workload: json!({}),
        }
    }
}

impl Scene {
    /// A StatefulSet in place of the Deployment.
    #[must_use]
    pub fn stateful(mut self) -> Self {
        self.kind = Kind::StatefulSet;
        self
    }

    /// So many pods.
    #[must_use]
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// Serves on for so long after SIGTERM.
    #[must_use]
    pub fn linger(self, linger: &str) -> Self {
        self.env("LINGER", linger)
    }

    /// Gives the app a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Led by the Service's selector, which is made to name the active: needs the rights of `--with selector-pointer`.
    #[must_use]
    pub fn by_pointer(self) -> Self {
        self.selecting(&json!({"app": GROUP}))
            .spec(&json!({"traffic": {"services": [{"name": SERVICE, "mode": "SelectorPointer"}]}}))
    }

    /// Led by a label of the pods, which the Service's selector asks for: needs the rights of `--with role-labels`.
    #[must_use]
    pub fn by_label(self) -> Self {
        self.selecting(&json!({"app": GROUP, "role": "active"})).spec(&json!({"roleLabel": {"key": "role"}}))
    }

    fn selecting(mut self, selector: &Value) -> Self {
        for service in &mut self.services {
            merge(service, &json!({"spec": {"selector": selector}}));
        }
        self
    }

    /// With the port on which the app keeps connections open.
    #[must_use]
    pub fn with_echo(mut self) -> Self {
        let ports = json!([
            {"name": "http", "port": 80, "targetPort": "http"},
            {"name": "echo", "port": ECHO_PORT, "targetPort": "echo"},
        ]);
        for service in &mut self.services {
            merge(service, &json!({"spec": {"ports": ports}}));
        }
        self
    }

    /// Changes the group's spec.
    #[must_use]
    pub fn spec(mut self, change: &Value) -> Self {
        merge(&mut self.spec, change);
        self
    }

    /// Probes the app's health page at this pace.
    #[must_use]
    pub fn health(self, period: &str, timeout: &str) -> Self {
        let probe = json!({"httpGet": {"path": "/health", "port": "http"}});
        self.spec(
            &json!({"detect": {"probe": probe, "period": period, "timeout": timeout, "failureThreshold": 3}}),
        )
    }

    /// Other Services than the usual one.
    #[must_use]
    pub fn services(mut self, services: Vec<Value>) -> Self {
        self.services = services;
        self
    }

    /// Changes the Deployment or StatefulSet.
    #[must_use]
    pub fn workload(mut self, change: &Value) -> Self {
        merge(&mut self.workload, change);
        self
    }

    /// The group's object.
    pub fn group(&self) -> Value {
        Kind::ActiveStandby.object(GROUP, &json!({"spec": self.spec}))
    }

    /// The Services.
    pub fn service_objects(&self) -> &[Value] {
        &self.services
    }

    /// The Deployment or StatefulSet.
    pub fn workload_object(&self) -> Value {
        let env: Vec<Value> =
            self.env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        let mut object = self.kind.object(
            GROUP,
            &json!({"spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": {"app": GROUP}},
                "template": {
                    "metadata": {"labels": {"app": GROUP}},
                    "spec": {
                        "terminationGracePeriodSeconds": 5,
                        "containers": [{
                            "name": "app",
                            "image": SAMPLE_APP_IMAGE,
                            "imagePullPolicy": "IfNotPresent",
                            "env": env,
                            "ports": [
                                {"name": "http", "containerPort": 8080},
                                {"name": "echo", "containerPort": 7000},
                            ],
                            "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1},
                        }],
                        "topologySpreadConstraints": [{
                            "maxSkew": 1,
                            "topologyKey": "kubernetes.io/hostname",
                            "whenUnsatisfiable": "DoNotSchedule",
                            "labelSelector": {"matchLabels": {"app": GROUP}},
                            // A surge pod of a rolling update must not count against the new ones.
                            "matchLabelKeys": ["pod-template-hash"],
                        }],
                    },
                },
            }}),
        );
        if self.kind == Kind::StatefulSet {
            let change = json!({"spec": {"serviceName": "", "podManagementPolicy": "Parallel"}});
            merge(&mut object, &change);
            if let Some(spread) = object.pointer_mut("/spec/template/spec/topologySpreadConstraints/0") {
                merge(spread, &json!({"matchLabelKeys": null}));
            }
        }
        merge(&mut object, &self.workload);
        object
    }

    /// Puts everything on the cluster, and waits for nothing.
    pub async fn create(&self, trial: &Trial) -> Result<()> {
        let (objects, namespace) = (&trial.env.objects, trial.namespace.as_str());
        for service in &self.services {
            objects.create(Kind::Service, namespace, service).await?;
        }
        objects.create(self.kind, namespace, &self.workload_object()).await?;
        objects.create(Kind::ActiveStandby, namespace, &self.group()).await?;
        Ok(())
    }

    /// Puts everything on the cluster, and waits until it is as it should be and rests.
    pub async fn deploy(&self, trial: &Trial) -> Result<()> {
        self.create(trial).await?;
        trial.settled(self.replicas).await?;
        trial.rested().await
    }
}

/// Whether the group is served, with so many pods in all, each of which probes have seen.
pub fn is_settled(world: &World, replicas: usize) -> bool {
    let Some(group) = world.find(Kind::ActiveStandby, GROUP) else { return false };
    let standbys = group.pointer("/status/standbys").and_then(Value::as_u64).unwrap_or_default();
    let members = super::objects::items(group, "/status/members");
    let armed = members.iter().all(|member| matches!(text(member, "/probe"), "Armed" | ""));
    condition(group, "Ready").0 == "True"
        && condition(group, "DetectionReady").0 == "True"
        && usize::try_from(standbys).is_ok_and(|standbys| standbys + 1 == replicas)
        && members.len() == replicas
        && armed
}

impl Trial {
    /// Waits until the group is served and has all its standbys.
    pub async fn settled(&self, replicas: usize) -> Result<()> {
        let what = format!("group {GROUP} to be Ready with {} standbys", replicas.saturating_sub(1));
        let settled = |world: &World| is_settled(world, replicas).then_some(());
        self.dog.wait(START_LIMIT, &what, settled).await.with_context(|| self.group_text())
    }

    /// Waits until no slice has changed for a while: right after a change kube-proxy takes a second for the
    /// next one.
    pub async fn rested(&self) -> Result<()> {
        let rest = Duration::from_millis(1_300);
        let quiet = |world: &World| (world.quiet_for(Kind::EndpointSlice) > rest).then_some(());
        self.dog.wait(START_LIMIT, "the slices to rest", quiet).await
    }

    /// The group's conditions, for an error.
    pub fn group_text(&self) -> String {
        let world = self.dog.world();
        let Some(group) = world.find(Kind::ActiveStandby, GROUP) else {
            return "there is no group".to_owned();
        };
        let conditions: Vec<String> = super::objects::items(group, "/status/conditions")
            .iter()
            .map(|one| {
                format!(
                    "{}={} {}: {}",
                    text(one, "/type"),
                    text(one, "/status"),
                    text(one, "/reason"),
                    text(one, "/message")
                )
            })
            .collect();
        format!("group {GROUP}: [{}]", conditions.join("; "))
    }
}
