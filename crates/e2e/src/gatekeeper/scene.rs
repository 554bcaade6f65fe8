//! Pods behind a gatekeeper, as users deploy them: a Deployment, a Lease, a Service without selector, and the rights for that.

use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::runtime::watcher::{Config, Event, watcher};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::ticks::{Life, Ticks};
use crate::harness::{Env, START_LIMIT};
use crate::objects::{Kind, merge, text};
use hotstandby_testbed::faults::ContainerProcess;
use hotstandby_testbed::image::{CLOCKED_IMAGE, CLOCKS, GATEKEEPER_IMAGE};
use hotstandby_testbed::paths::workspace_root;
use hotstandby_testbed::wait::until;

/// Deployment, Lease and Service are called so.
pub const NAME: &str = "db";
const ACCOUNT: &str = "await";

/// Which gatekeeper, and in whose words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gatekeeper {
    /// hotstandby-await under the old name, with the old variables, and with no right but to get, create and update.
    OldWords,
    /// hotstandby-await with its own flags, and with the rights to watch and to write slices.
    OwnWords,
    /// The same, below clocks that [`Members::set_clocks`] sets.
    Clocked,
    /// One made of client-go's leader election, with the old variables and rights.
    Elector,
    /// The same, which releases its Lease when it is told to stop.
    ReleasingElector,
}

impl Gatekeeper {
    fn command(self) -> &'static str {
        match self {
            Self::OldWords => "/k8s-await-election",
            Self::OwnWords | Self::Clocked => "/hotstandby-await",
            Self::Elector | Self::ReleasingElector => "/elector",
        }
    }

    fn in_own_words(self) -> bool {
        matches!(self, Self::OwnWords | Self::Clocked)
    }

    /// What it may do: to the Lease alone, where it leads no Service.
    fn rules(self, service: bool) -> Value {
        let rule = |group: &str, resource: &str, verbs: &[&str]| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
        let basic = ["get", "create", "update"];
        let all = ["get", "create", "update", "watch"];
        let lease = rule("coordination.k8s.io", "leases", if self.in_own_words() { &all } else { &basic });
        if !service {
            return json!([lease]);
        }
        if self.in_own_words() {
            return json!([
                lease,
                rule("discovery.k8s.io", "endpointslices", &all),
                rule("", "endpoints", &["get"]),
                rule("", "services", &["get"]),
                // Where owner references are guarded, a slice may only then name its Service as its owner.
                rule("", "services/finalizers", &["update"]),
            ]);
        }
        json!([lease, rule("", "endpoints", &basic)])
    }
}

/// Lease duration, renew deadline and retry period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing(pub Duration, pub Duration, pub Duration);

impl Timing {
    /// What client-go's users have.
    pub const USUAL: Self = Self(Duration::from_secs(15), Duration::from_secs(10), Duration::from_secs(2));
    /// As short as whole seconds allow for all three, so that a test takes seconds.
    pub const SHORT: Self = Self(Duration::from_secs(3), Duration::from_secs(2), Duration::from_secs(1));
    /// The fastest that hotstandby-await takes, in its own words.
    pub const FASTEST: Self =
        Self(Duration::from_secs(1), Duration::from_millis(600), Duration::from_millis(200));
}

/// What to deploy.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Which gatekeeper.
    pub gatekeeper: Gatekeeper,
    /// How many pods.
    pub replicas: usize,
    /// The lease's timing.
    pub timing: Timing,
    /// The Lease's name.
    pub lease: String,
    /// Whether the gatekeeper leads the Service.
    pub service: bool,
    /// Variables of the command.
    pub env: Vec<(&'static str, &'static str)>,
}

impl Plan {
    /// Three pods with a Service and short times.
    pub fn of(gatekeeper: Gatekeeper) -> Self {
        Self {
            gatekeeper,
            replicas: 3,
            timing: Timing::SHORT,
            lease: NAME.to_owned(),
            service: true,
            env: Vec::new(),
        }
    }

    fn variables(&self) -> Vec<Value> {
        let plain = |name: &str, value: &str| json!({"name": name, "value": value});
        let field =
            |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
        let mut all = vec![field("POD_NAME", "metadata.name"), field("POD_NAMESPACE", "metadata.namespace")];
        all.extend(self.env.iter().map(|(name, value)| plain(name, value)));
        all.extend([field("POD_IP", "status.podIP"), field("NODE_NAME", "spec.nodeName")]);
        if self.gatekeeper == Gatekeeper::Clocked {
            all.extend([plain("LD_PRELOAD", CLOCKS), plain("CLOCKS", "/ticks/clocks.$(POD_NAME)")]);
        }
        if self.gatekeeper.in_own_words() {
            return all;
        }
        let old = |name: &str| format!("K8S_AWAIT_ELECTION_{name}");
        let Timing(duration, deadline, period) = self.timing;
        let seconds = |duration: Duration| duration.as_secs().to_string();
        all.extend([
            plain(&old("ENABLED"), "1"),
            plain(&old("NAME"), NAME),
            plain(&old("LOCK_NAME"), &self.lease),
            field(&old("LOCK_NAMESPACE"), "metadata.namespace"),
            field(&old("IDENTITY"), "metadata.name"),
            plain(&old("STATUS_ENDPOINT"), ":9999"),
            plain(&old("LEASE_DURATION"), &seconds(duration)),
            plain(&old("RENEW_DEADLINE"), &seconds(deadline)),
            plain(&old("RETRY_PERIOD"), &seconds(period)),
        ]);
        if self.service {
            all.extend([
                plain(&old("SERVICE_NAME"), NAME),
                field(&old("SERVICE_NAMESPACE"), "metadata.namespace"),
                plain(&old("SERVICE_PORTS_JSON"), r#"[{"name":"http","port":8080}]"#),
                field(&old("POD_IP"), "status.podIP"),
                field(&old("NODE_NAME"), "spec.nodeName"),
            ]);
        }
        if self.gatekeeper == Gatekeeper::ReleasingElector {
            all.push(plain("ELECTOR_RELEASE", "true"));
        }
        all
    }

    fn command(&self) -> Vec<String> {
        let mut words = vec![self.gatekeeper.command().to_owned()];
        if self.gatekeeper.in_own_words() {
            let Timing(duration, deadline, period) = self.timing;
            words.extend([
                format!("--lease-name={}", self.lease),
                "--lease-namespace=$(POD_NAMESPACE)".to_owned(),
                "--identity=$(POD_NAME)".to_owned(),
                "--status-address=:9999".to_owned(),
                format!("--lease-duration={}ms", duration.as_millis()),
                format!("--renew-deadline={}ms", deadline.as_millis()),
                format!("--retry-period={}ms", period.as_millis()),
            ]);
            if self.service {
                words.extend([
                    format!("--service={NAME}"),
                    "--service-ports=http=8080".to_owned(),
                    "--pod-ip=$(POD_IP)".to_owned(),
                    "--node-name=$(NODE_NAME)".to_owned(),
                ]);
            }
            words.push("--".to_owned());
        }
        words.extend(["/testbed-app", "tick", "/ticks/log"].map(str::to_owned));
        words
    }

    fn template(&self, ticks: &str) -> Value {
        let image = if self.gatekeeper == Gatekeeper::Clocked { CLOCKED_IMAGE } else { GATEKEEPER_IMAGE };
        json!({
            "metadata": {"labels": {"app": NAME}},
            "spec": {
                "serviceAccountName": ACCOUNT,
                "terminationGracePeriodSeconds": 10,
                "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532},
                "containers": [{
                    "name": "app",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": self.command(),
                    "env": self.variables(),
                    "securityContext": {
                        "readOnlyRootFilesystem": true,
                        "allowPrivilegeEscalation": false,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "ticks", "mountPath": "/ticks"}],
                }],
                "volumes": [{"name": "ticks", "hostPath": {"path": ticks, "type": "Directory"}}],
                // A pod on a dead node shall be replaced neither soon nor late: the tests are short.
                "tolerations": [
                    {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"},
                    {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"},
                ],
                "topologySpreadConstraints": [{
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": {"app": NAME}},
                    "matchLabelKeys": ["pod-template-hash"],
                }],
            },
        })
    }

    /// All objects, of which those that are there already are changed.
    fn objects(&self, namespace: &str, ticks: &str) -> Value {
        let with = |mut object: Value| {
            merge(&mut object, &json!({"metadata": {"namespace": namespace}}));
            object
        };
        let rbac = "rbac.authorization.k8s.io/v1";
        json!({"apiVersion": "v1", "kind": "List", "items": [
            with(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}})),
            with(json!({"apiVersion": rbac, "kind": "Role", "metadata": {"name": ACCOUNT}, "rules": self.gatekeeper.rules(self.service)})),
            with(json!({
                "apiVersion": rbac, "kind": "RoleBinding", "metadata": {"name": ACCOUNT},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT},
                "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}],
            })),
            with(Kind::Service.object(NAME, &json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}))),
            with(Kind::Deployment.object(NAME, &json!({"spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": {"app": NAME}},
                "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}},
                "template": self.template(ticks),
            }}))),
        ]})
    }
}

/// The pods, once deployed.
pub struct Members {
    /// The cluster.
    pub env: Arc<Env>,
    /// Their namespace.
    pub namespace: String,
    folder: PathBuf,
    ticks: Ticks,
}

/// The processes of a pod's container.
#[derive(Debug, Clone)]
pub struct Processes {
    /// The first one.
    pub keeper: ContainerProcess,
    /// The gatekeeper's second process, if it is one of ours.
    pub elector: Option<i32>,
    /// All of them.
    pub all: Vec<i32>,
}

impl Members {
    /// Deploys, and waits until one runs its command and all pods are up.
    pub async fn deploy(env: &Arc<Env>, namespace: &str, plan: &Plan) -> Result<Self> {
        let mut members = Self::create(env, namespace, plan).await?;
        members.rolled_out().await?;
        members.running_since(Duration::ZERO, START_LIMIT).await?;
        Ok(members)
    }

    /// Deploys, and waits for nothing.
    pub async fn create(env: &Arc<Env>, namespace: &str, plan: &Plan) -> Result<Self> {
        super::load(env, plan.gatekeeper == Gatekeeper::Clocked).await?;
        let folder = workspace_root().join(".cache/gatekeeper").join(namespace);
        fs::create_dir_all(&folder)
            .and_then(|()| fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)))
            .with_context(|| format!("making {}", folder.display()))?;
        let ticks = Ticks::of(&folder.join("log"));
        let members = Self { env: env.clone(), namespace: namespace.to_owned(), folder, ticks };
        members.apply(plan).await?;
        Ok(members)
    }

    /// Changes what is deployed, and waits for nothing.
    pub async fn apply(&self, plan: &Plan) -> Result<()> {
        let file = self.folder.join("objects.json");
        let objects = plan.objects(&self.namespace, &self.folder.display().to_string());
        fs::write(&file, objects.to_string()).with_context(|| format!("writing {}", file.display()))?;
        self.env.apply(&file).await.map(drop)
    }

    /// Waits until every pod is of the newest template, and up.
    pub async fn rolled_out(&self) -> Result<()> {
        let name = format!("deployment/{NAME}");
        let arguments = ["rollout", "status", &name, "-n", &self.namespace, "--timeout=90s"];
        self.env.kubectl(&arguments).await.map(drop)
    }

    /// All lives of the command, in the order of their starts.
    pub fn lives(&mut self) -> Result<Vec<Life>> {
        self.ticks.lives()
    }

    /// Waits for the first life that starts after this moment.
    pub async fn running_since(&mut self, moment: Duration, limit: Duration) -> Result<Life> {
        until(limit, "the command to start", async || {
            Ok(self.lives()?.into_iter().find(|life| life.start > moment))
        })
        .await
    }

    /// The life under way: the newest.
    pub fn running(&mut self) -> Result<Life> {
        self.lives()?.pop().context("the command has not run yet")
    }

    /// The node of a pod.
    pub async fn node_of(&self, pod: &str) -> Result<String> {
        let pod = self.env.objects.get(Kind::Pod, &self.namespace, pod).await?;
        Ok(text(&pod, "/spec/nodeName").to_owned())
    }

    /// The processes of a pod's container.
    pub async fn processes(&self, pod: &str) -> Result<Processes> {
        let faults = self.env.cluster.faults();
        let client = self.env.objects.client();
        let keeper = faults.find_container(client, &self.namespace, pod, None).await?;
        let all = faults.container_processes(&keeper)?;
        let is_elector = |pid: &i32| {
            fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.starts_with(b"hotstandby-await:elector"))
        };
        let elector = all.iter().copied().find(is_elector);
        Ok(Processes { keeper, elector, all })
    }

    /// Sets the clocks of a pod's gatekeeper anew: its wall clock to so much more than the machine's (or less), and its
    /// monotonic clock to so much less.
    pub fn set_clocks(&self, pod: &str, wall_seconds: i64, slept: Duration) -> Result<()> {
        let path = self.folder.join(format!("clocks.{pod}"));
        let nanoseconds = [wall_seconds * 1_000_000_000, i64::try_from(slept.as_nanos())?];
        let bytes = nanoseconds.map(i64::to_ne_bytes).concat();
        // The processes have it mapped: it is neither cut nor replaced.
        let file = fs::File::options().write(true).open(&path);
        file.and_then(|file| file.write_all_at(&bytes, 0)).with_context(|| {
            format!("writing {}: is the pod's gatekeeper below these clocks?", path.display())
        })
    }

    /// Counts from now on how often the Lease is stored.
    pub fn writes_of_lease(&self) -> Stored {
        let api = Api::<Lease>::namespaced(self.env.objects.client().clone(), &self.namespace);
        let count = Arc::new(AtomicU32::new(0));
        let counter = count.clone();
        let task = tokio::spawn(async move {
            let mut events =
                Box::pin(watcher(api, Config::default().fields(&format!("metadata.name={NAME}"))));
            while let Some(event) = events.next().await {
                if matches!(event, Ok(Event::Apply(_))) {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Stored { count, task }
    }

    /// No two lives at one time, and rising terms; in the error all lives stand.
    pub fn judge(&mut self) -> Result<Vec<Life>> {
        let lives = self.lives()?;
        let wrong = [super::ticks::overlaps(&lives), super::ticks::falls(&lives)].concat();
        ensure!(
            wrong.is_empty(),
            "the command ran twice at one time, or at no higher term: {wrong:?}; {lives:#?}"
        );
        ensure!(!lives.is_empty(), "the command has not run at all");
        Ok(lives)
    }
}

/// A count that goes on until it is dropped.
#[derive(Debug)]
pub struct Stored {
    count: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Stored {
    /// How often until now.
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        // What cannot be removed is overwritten by nobody: namespaces have a number of their own.
        let _kept = fs::remove_dir_all(&self.folder);
    }
}
