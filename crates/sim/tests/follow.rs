//! An election of others on the model: watches, index, machine and stores of the product, joined as the controller joins them.

// Helpers of tests may fail as tests do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use hotstandby_cluster::api::ActiveStandby;
use hotstandby_cluster::extras::Extras;
use hotstandby_cluster::index::{Change, Index, Watched};
use hotstandby_cluster::live::LiveReader;
use hotstandby_cluster::seat::SeatStore;
use hotstandby_cluster::slice::{SliceStore, SliceTarget};
use hotstandby_cluster::watch::{Relister, WatchAges, WatchSetup, run_watch};
use hotstandby_cluster::wire::{WirePod, WireService};
use hotstandby_core::action::Action;
use hotstandby_core::group::Group;
use hotstandby_core::ids::{GroupKey, Now};
use hotstandby_core::observation::Observation;
use hotstandby_sim::{ApiServer, Handle, ManualClock};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::core::DeserializeGuard;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// When tests begin: 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;
const ME: &str = "one/controller";

/// A controller of one group, as small as can be.
struct Follower {
    handle: Handle,
    index: Index,
    group: Group,
    slices: SliceStore,
    live: LiveReader,
    changes: mpsc::Receiver<Change>,
    sink: mpsc::Sender<Change>,
    began: Instant,
    deadline: Option<Duration>,
    conditions: Vec<String>,
}

fn put(handle: &Handle, group: &str, plural: &str, object: &Value) {
    handle.with(|server| server.apply_object(group, "v1", plural, object)).unwrap();
}

fn pod(name: &str, ip: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"nodeName": "n1", "containers": [{"name": "a", "image": "x:1"}]},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

fn lease(holder: &str, term: u32, second: u32) -> Value {
    json!({"metadata": {"name": "lock", "namespace": "shop"}, "spec": {
        "holderIdentity": holder, "leaseTransitions": term, "leaseDurationSeconds": 15,
        "renewTime": format!("2026-01-01T00:00:{second:02}.000000Z"),
    }})
}

fn server() -> Handle {
    let mut server = ApiServer::new(Arc::new(ManualClock::new(START_MS)), 7);
    let crd = serde_json::to_value(hotstandby_cluster::api::crd()).unwrap();
    server.apply_object("apiextensions.k8s.io", "v1", "customresourcedefinitions", &crd).unwrap();
    for name in ["shop", "hs"] {
        server.apply_object("", "v1", "namespaces", &json!({"metadata": {"name": name}})).unwrap();
    }
    let handle = Handle::new(server);
    put(&handle, "", "pods", &pod("web-0", "10.0.0.1"));
    put(&handle, "", "pods", &pod("web-1", "10.0.0.2"));
    let service = json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"ports": [{"port": 80, "targetPort": 8080}]}});
    put(&handle, "", "services", &service);
    let group = json!({
        "apiVersion": "hotstandby.dev/v1alpha1", "kind": "ActiveStandby", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}}, "traffic": {"services": [{"name": "web"}]},
            "election": {"mode": "External", "lease": {"name": "lock"}},
        },
    });
    handle
        .with(|server| server.apply_object("hotstandby.dev", "v1alpha1", "activestandbies", &group))
        .unwrap();
    handle
}

macro_rules! follow {
    ($follower:expr, $kind:ty, $setup:expr, $wrap:expr) => {{
        let (sink, client) = ($follower.sink.clone(), $follower.handle.client("shop"));
        tokio::spawn(async move {
            let (relister, ages) = (Relister::default(), WatchAges::default());
            let api: Api<$kind> = Api::namespaced(client, "shop");
            run_watch(api, $setup, &relister, &ages, sink, $wrap).await;
        });
    }};
}

impl Follower {
    fn start(handle: Handle) -> Self {
        let client = handle.client("hs");
        let (sink, changes) = mpsc::channel(1000);
        let seats = Arc::new(SeatStore::new(client.clone(), "hs", ME.into()));
        let watched = Watched { nodes: false, replica_sets: false, stateful_sets: false };
        let key = GroupKey::cr("shop", "web");
        let follower = Self {
            index: Index::new(ME.into(), watched),
            group: Group::new(key, ME.into()),
            slices: SliceStore::new(client.clone(), ME.into()),
            live: LiveReader::new(client, seats),
            handle,
            changes,
            sink,
            began: Instant::now(),
            deadline: None,
            conditions: Vec::new(),
        };
        follow!(follower, DeserializeGuard<ActiveStandby>, WatchSetup::all("groups"), |event| Change::Group(
            Box::new(event)
        ));
        follow!(follower, WirePod, WatchSetup::all("pods"), |event| Change::Pod(Box::new(event)));
        follow!(follower, WireService, WatchSetup::all("services"), |event| Change::Service(Box::new(event)));
        follow!(follower, EndpointSlice, WatchSetup::all("slices"), |event| Change::Slice(Box::new(event)));
        let (sink, seats) = (follower.sink.clone(), follower.handle.client("hs"));
        tokio::spawn(async move {
            let (relister, ages) = (Relister::default(), WatchAges::default());
            let api: Api<Lease> = Api::namespaced(seats, "hs");
            run_watch(api, WatchSetup::all("leases"), &relister, &ages, sink, |event| {
                Change::Seat(Box::new(event))
            })
            .await;
        });
        follower
    }

    fn mono(&self) -> Duration {
        self.began.elapsed()
    }

    fn now(&self) -> Now {
        Now { mono: self.mono(), unix_ms: START_MS }
    }

    /// Runs until that is so, or too long.
    async fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let limit = Instant::now() + Duration::from_mins(2);
        while !is_so(self) {
            assert!(Instant::now() < limit, "waited in vain for {what}: {:?}", self.conditions);
            self.turn().await;
        }
    }

    /// Runs for so long.
    async fn run_for(&mut self, long: Duration) {
        let until = Instant::now() + long;
        while Instant::now() < until {
            self.turn().await;
        }
    }

    async fn turn(&mut self) {
        let lapse = self.index.next_tick(self.mono());
        let soon = [self.deadline, lapse].into_iter().flatten().min().unwrap_or(Duration::MAX);
        let wait =
            soon.saturating_sub(self.mono()).clamp(Duration::from_millis(1), Duration::from_millis(500));
        if let Ok(Some(change)) = tokio::time::timeout(wait, self.changes.recv()).await {
            self.index.apply(change, self.mono());
        }
        for watch in self.index.lease_watches().unwrap_or_default() {
            let setup = WatchSetup {
                fields: watch.name.as_ref().map(|name| format!("metadata.name={name}")),
                ..WatchSetup::all("followed")
            };
            let watch = Arc::new(watch);
            follow!(self, Lease, setup, |event| Change::Lease(Arc::clone(&watch), Box::new(event)));
        }
        let drained = self.index.drain(self.mono());
        let now = self.now();
        self.group.observe(now, Observation::Lead(true));
        for (_, observation) in drained.observations {
            self.group.observe(now, observation);
        }
        self.settle().await;
    }

    async fn settle(&mut self) {
        for _ in 0..20 {
            let step = self.group.step(self.now());
            self.deadline = step.deadline;
            let asked: Vec<Action> = step
                .actions
                .into_iter()
                .filter(|action| !matches!(action, Action::Tell(_) | Action::Completed(_)))
                .collect();
            if asked.is_empty() {
                return;
            }
            for action in asked {
                self.carry_out(action).await;
            }
        }
        panic!("the group does not come to rest");
    }

    async fn carry_out(&mut self, action: Action) {
        let key = self.group.key().clone();
        let outcome = match action {
            Action::Verify { ticket, pods, named } => {
                let sight = self.index.sight(&key).unwrap();
                let live = self.live.verify(&key, &sight, &pods, named.as_deref()).await;
                Observation::Verified { ticket, live }
            }
            Action::WriteSlice { ticket, service, service_uid, family, precondition, content } => {
                let target = SliceTarget { group: key, service: service.clone(), service_uid, family };
                let outcome = self.slices.write(&target, &precondition, &content, Extras::default()).await;
                Observation::SliceWritten { ticket, service, family, outcome }
            }
            Action::Publish(report) => {
                let line = |one: &hotstandby_core::conditions::Condition| {
                    format!("{}={}/{}", one.kind.as_str(), one.status.as_str(), one.reason)
                };
                self.conditions = report.conditions.iter().map(line).collect();
                return;
            }
            other => panic!("a follower asks for {other:?}"),
        };
        self.group.observe(self.now(), outcome);
    }

    fn says(&self, condition: &str) -> bool {
        self.conditions.iter().any(|one| one == condition)
    }

    /// Whom the Service leads to.
    fn served(&self) -> Vec<String> {
        let slices = self.handle.with(|server| server.objects("discovery.k8s.io", "endpointslices"));
        let endpoints =
            slices.iter().flat_map(|slice| slice["endpoints"].as_array().cloned().unwrap_or_default());
        endpoints
            .map(|endpoint| endpoint["targetRef"]["name"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    fn elect(&self, holder: &str, term: u32, second: u32) {
        put(&self.handle, "coordination.k8s.io", "leases", &lease(holder, term, second));
    }

    fn writes(&self) -> usize {
        self.handle
            .audit()
            .iter()
            .filter(|entry| !["get", "list", "watch"].contains(&entry.request.verb))
            .count()
    }
}

#[tokio::test(start_paused = true)]
async fn any_leaders_lease_leads_a_service_and_is_never_written() {
    let mut follower = Follower::start(server());
    follower.until("no Lease", |follower| follower.says("Ready=False/LeaseNotFound")).await;
    follower.elect("web-0_a", 1, 0);
    // Written in the second in which the pod was made: the first renewal after a live read tells that this very pod is meant.
    follower.until("a doubt about the name", |follower| follower.says("Ready=False/HolderUnknown")).await;
    follower.elect("web-0_a", 1, 2);
    follower.until("web-0", |follower| follower.served() == ["web-0"]).await;
    follower.elect("web-1_b", 2, 4);
    follower
        .until("web-1", |follower| follower.served() == ["web-1"] && follower.says("Ready=True/Serving"))
        .await;
    let writes = follower
        .handle
        .audit()
        .into_iter()
        .filter(|entry| !["get", "list", "watch"].contains(&entry.request.verb));
    assert!(writes.map(|entry| entry.request.resource).all(|resource| resource == "endpointslices"));
}

#[tokio::test(start_paused = true)]
async fn renewals_cost_no_request_and_a_lease_that_runs_out_is_said_to_have() {
    let mut follower = Follower::start(server());
    follower.elect("web-0_a", 1, 0);
    follower.until("a doubt about the name", |follower| follower.says("Ready=False/HolderUnknown")).await;
    follower.elect("web-0_a", 1, 2);
    follower.until("web-0", |follower| follower.says("Ready=True/Serving")).await;
    let writes = follower.writes();
    for second in 3..30 {
        follower.elect("web-0_a", 1, second);
        follower.run_for(Duration::from_secs(2)).await;
    }
    assert!(follower.says("Ready=True/Serving"), "{:?}", follower.conditions);
    assert_eq!(follower.writes(), writes, "renewals are nobody's business");
    follower.until("the end of the lease", |follower| follower.says("Ready=False/LeaseExpired")).await;
    assert_eq!(follower.served(), ["web-0"], "and the record is followed");
    follower.elect("web-0_a", 1, 40);
    follower.until("a renewal after all", |follower| follower.says("Ready=True/Serving")).await;
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_missing_is_said_and_taken_up_once_it_is_there() {
    let handle = server();
    handle.with(|server| {
        server.set_access(|question| question.resource != "leases" || question.namespace != "shop", true);
    });
    let mut follower = Follower::start(handle);
    follower.until("the missing right", |follower| follower.says("Accepted=False/LeaseNotGranted")).await;
    follower.handle.with(|server| server.set_access(|_| true, false));
    follower.until("the right", |follower| follower.says("Accepted=True/Accepted")).await;
}
