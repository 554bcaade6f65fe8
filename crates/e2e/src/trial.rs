//! One test: its namespace, its watchdog, its client, and what it has to say.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::harness::{Env, SYSTEM};
use super::objects::{Kind, condition, name_of, text, uid_of};
use super::scene::{GROUP, SERVICE};
use super::view::{Change, Seat, history};
use super::watchdog::{Watchdog, World, pod_ip};
use hotstandby_testbed::client::{Client, ClientConfig};
use hotstandby_testbed::commits::Commits;
use hotstandby_testbed::faults::{ContainerProcess, Inflicted};
use hotstandby_testbed::trace::{Failover, Trace};
use hotstandby_testbed::wait::until;

/// A limit so generous that only a real fault misses it, however noisy the machine.
pub const GENEROUS: Duration = Duration::from_secs(2);
/// How many answers in a row show that a client is settled: half a second of them.
const IN_A_ROW: usize = 100;
/// For what takes Kubernetes itself a while.
pub const PATIENT: Duration = Duration::from_secs(30);

/// The active pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    /// Its name.
    pub pod: String,
    /// Its UID.
    pub uid: String,
    /// Its node.
    pub node: String,
    /// Its address.
    pub ip: String,
    /// Since which term.
    pub term: i64,
}

/// One test while it runs.
pub struct Trial {
    /// What all tests share.
    pub env: Arc<Env>,
    /// The test's own namespace.
    pub namespace: String,
    /// What is watched.
    pub dog: Watchdog,
    /// When it began.
    pub zero: Instant,
    /// The same on the wall clock.
    pub zero_wall: SystemTime,
    /// When it hurt something, first.
    pub fault: Option<Inflicted>,
    client: Option<Watched>,
    notes: Vec<String>,
}

/// A client, and when the packet filter of its node was changed.
struct Watched {
    client: Client,
    commits: Commits,
}

impl Trial {
    /// Makes the namespace and starts watching it.
    pub async fn begin(env: Arc<Env>, name: &str) -> Result<Self> {
        Self::begin_with_seats(env, name, SYSTEM).await
    }

    async fn begin_with_seats(env: Arc<Env>, name: &str, seats: &str) -> Result<Self> {
        let millis = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let namespace = format!("{}-{}", name.replace('_', "-"), millis % 1_000_000);
        env.objects.create(Kind::Namespace, "", &Kind::Namespace.object(&namespace, &json!({}))).await?;
        let dog = Watchdog::start(env.objects.clone(), &namespace, seats).await?;
        Ok(Self {
            env,
            namespace,
            dog,
            zero: Instant::now(),
            zero_wall: SystemTime::now(),
            fault: None,
            client: None,
            notes: Vec::new(),
        })
    }

    /// From now on the seats are looked for in another namespace.
    pub async fn watch_seats_in(&mut self, seats: &str) -> Result<()> {
        self.dog = Watchdog::start(self.env.objects.clone(), &self.namespace, seats).await?;
        Ok(())
    }

    /// Something to print beside the test's name.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// All notes.
    pub fn notes(&self) -> String {
        self.notes.join(", ")
    }

    /// Who holds the seat.
    pub fn active(&self) -> Result<Active> {
        let world = self.dog.world();
        let seat = world.seat(GROUP).context("the group has no seat")?;
        let pod = world.pod_by_uid(&seat.holder_uid).with_context(|| format!("no pod {}", seat.holder))?;
        Ok(Active {
            // A followed Lease may say more than the pod's name.
            pod: name_of(pod).to_owned(),
            uid: seat.holder_uid,
            node: text(pod, "/spec/nodeName").to_owned(),
            ip: pod_ip(pod),
            term: seat.term,
        })
    }

    /// The group's pods other than the active: name, node, address.
    pub fn standbys(&self) -> Result<Vec<Active>> {
        let active = self.active()?;
        let world = self.dog.world();
        Ok(world
            .all(Kind::Pod)
            .filter(|pod| uid_of(pod) != active.uid)
            .map(|pod| Active {
                pod: text(pod, "/metadata/name").to_owned(),
                uid: uid_of(pod).to_owned(),
                node: text(pod, "/spec/nodeName").to_owned(),
                ip: pod_ip(pod),
                term: active.term,
            })
            .collect())
    }

    /// The seat as it is.
    pub fn seat(&self) -> Result<Seat> {
        self.dog.world().seat(GROUP).context("the group has no seat")
    }

    /// Where a Service is reached.
    pub async fn address(&self, service: &str, port: u16) -> Result<SocketAddr> {
        let service = self.env.objects.get(Kind::Service, &self.namespace, service).await?;
        let ip = text(&service, "/spec/clusterIP");
        format!("{ip}:{port}").parse().with_context(|| format!("no address: {ip}:{port}"))
    }

    /// Starts a client with a new connection every 5 ms, on a node that is none of these; waits until it is
    /// answered by the active without a break.
    pub async fn start_client(&mut self, not_on: &[&str]) -> Result<()> {
        let active = self.active()?.pod;
        self.start_client_of(SERVICE, &active, not_on).await
    }

    /// The same for any Service, of whose pods this one is to answer.
    pub async fn start_client_of(&mut self, service: &str, active: &str, not_on: &[&str]) -> Result<()> {
        let target = self.address(service, 80).await?;
        let node = self.env.node_for_client(not_on)?;
        let netns = node.netns();
        let commits = tokio::task::spawn_blocking(move || Commits::watch(&netns)).await??;
        let client = Client::start(Some(node.netns()), ClientConfig::new(target))?;
        until(PATIENT, &format!("the client on {} to be answered by {active}", node.name()), async || {
            let trace = client.snapshot();
            // For more than a request's whole time-out: none that goes elsewhere or fails is still under way.
            let newest = trace.samples().iter().rev().take(IN_A_ROW);
            let answered = newest.filter(|sample| sample.who() == Some(active)).count();
            Ok((answered == IN_A_ROW).then_some(()))
        })
        .await?;
        client.take();
        self.client = Some(Watched { client, commits });
        Ok(())
    }

    /// What the client has seen.
    pub fn trace(&self) -> Trace {
        self.client.as_ref().map(|watched| watched.client.snapshot()).unwrap_or_default()
    }

    /// Waits for something in what the client sees.
    pub async fn until_seen<T>(
        &self,
        limit: Duration,
        what: &str,
        found: impl Fn(&Trace) -> Option<T>,
    ) -> Result<T> {
        until(limit, what, async || Ok(found(&self.trace()))).await
    }

    /// The process of a pod's first container, found ahead of the fault.
    pub async fn process_of(&self, pod: &str) -> Result<ContainerProcess> {
        self.container_of(pod, None).await
    }

    /// The process of a container of a pod; of the first, if none is named.
    pub async fn container_of(&self, pod: &str, container: Option<&str>) -> Result<ContainerProcess> {
        let client = self.env.objects.client();
        self.env.cluster.faults().find_container(client, &self.namespace, pod, container).await
    }

    /// Notes when the fault was made.
    pub fn hurt(&mut self, inflicted: Inflicted) -> Inflicted {
        self.fault.get_or_insert(inflicted);
        inflicted
    }

    /// Waits until another pod answers after a fault, checks how long that took, and notes it.
    pub async fn failover(&mut self, fault: Inflicted, old: &Active, limit: Duration) -> Result<Failover> {
        let patience = limit + Duration::from_secs(8);
        let what = format!("an answer by another pod than {}", old.pod);
        let seen = self.until_seen(patience, &what, |trace| trace.failover_from(fault.at, &old.pod)).await?;
        self.note(format!("gap {:.1} ms", seen.gap.as_secs_f64() * 1000.0));
        ensure!(seen.gap <= limit, "the gap was {:?}, more than {limit:?}", seen.gap);
        Ok(seen)
    }

    /// Waits until the status tells of a term, and returns that change.
    pub async fn change_told(&self, term: i64) -> Result<Change> {
        let told = |world: &World| {
            let group = world.find(Kind::ActiveStandby, GROUP)?;
            history(group).into_iter().find(|change| change.term == term)
        };
        self.dog.wait(Duration::from_secs(10), &format!("status.history to have term {term}"), told).await
    }

    /// Notes the stages of a change.
    pub fn note_stages(&mut self, change: &Change) {
        if let Some(stages) = change.stages {
            let [detect, decide, seat, traffic] =
                stages.map(|micros| f64::from(i32::try_from(micros).unwrap_or(i32::MAX)) / 1000.0);
            self.note(format!(
                "{} (detect {detect:.1}, decide {decide:.1}, seat {seat:.1}, traffic {traffic:.1} ms)",
                change.reason
            ));
        }
    }

    /// Checks that the seat moved as often as expected and that no client was sent back and forth.
    pub async fn moved(&self, times: usize) -> Result<()> {
        self.dog.catch_up().await?;
        let moves = self.dog.world().moves();
        ensure!(moves.len() == times, "the seat moved {} times, not {times}: {moves:?}", moves.len());
        let changes = self.trace().changes();
        ensure!(changes <= times, "{changes} changes of who answers for {times} moves of the seat");
        Ok(())
    }

    /// Checks that no request has failed.
    pub fn nothing_failed(&mut self) -> Result<()> {
        let trace = self.trace();
        ensure!(!trace.samples().is_empty(), "the client has seen nothing");
        let commits = self.client.as_ref().map(|watched| watched.commits.seen()).unwrap_or_default();
        if trace.failed_outside(&commits) > 0 {
            bail!("requests failed: {}", hotstandby_testbed::client::summary(&trace));
        }
        if trace.failed() > 0 {
            self.note(format!("{} requests failed when the packet filter was changed", trace.failed()));
        }
        Ok(())
    }

    /// Waits for a condition of the group: status and reason; returns its message.
    pub async fn condition(&self, kind: &str, status: &str, reason: &str, limit: Duration) -> Result<String> {
        let found = |world: &World| {
            let group = world.find(Kind::ActiveStandby, GROUP)?;
            let (is, why, message) = condition(group, kind);
            (is == status && (reason.is_empty() || why == reason)).then(|| message.to_owned())
        };
        let what = format!("condition {kind}={status} {reason}");
        self.dog.wait(limit, &what, found).await.with_context(|| self.group_text())
    }

    /// Tells a pod of the app something, such as `health=hang`.
    pub async fn tell(&self, ip: &str, what: &str) -> Result<Inflicted> {
        let now = Inflicted::now();
        let (status, body) = self.env.get(ip, 8080, &format!("/ctl?{what}")).await?;
        ensure!(status == 200, "the app answered {status} to {what}: {body}");
        Ok(now)
    }

    /// Runs hotstandby's program in this namespace; it must succeed.
    pub async fn cli(&self, arguments: &[&str]) -> Result<String> {
        let all: Vec<&str> = arguments.iter().copied().chain(["-n", self.namespace.as_str()]).collect();
        let (ok, said) = self.env.hotstandby(&all).await?;
        ensure!(ok, "'hotstandby {}' failed: {said}", all.join(" "));
        Ok(said)
    }

    /// Moves the seat to a pod by command and waits until it rests there.
    pub async fn switch_to(&self, pod: &str) -> Result<()> {
        if self.active()?.pod != pod {
            self.cli(&["switchover", GROUP, "--to", pod]).await?;
        }
        let there = |world: &World| (world.seat(GROUP)?.holder == pod).then_some(());
        self.dog.wait(PATIENT, &format!("{pod} to be active"), there).await?;
        self.rested().await
    }

    /// A merge patch on an object of this namespace.
    pub async fn patch(&self, kind: Kind, name: &str, change: &Value) -> Result<Value> {
        self.env.objects.patch(kind, &self.namespace, name, change).await
    }

    /// Deletes a test's groups and then its namespace, and waits until its Services and slices have gone.
    pub async fn remove_objects(&self) -> Result<()> {
        let env = &self.env;
        // The groups first: were the pods to go first, the seats would move from one terminating pod to the next.
        // Then the Services: the namespace would delete them late, and the next test waits for them.
        for kind in [Kind::ActiveStandby, Kind::Service] {
            let (objects, _) = env.objects.list(kind, &self.namespace, "").await?;
            for object in &objects {
                env.objects.delete(kind, &self.namespace, name_of(object)).await?;
            }
        }
        env.objects.delete(Kind::Namespace, "", &self.namespace).await?;
        // Changes of endpoints would delay the next test's own. The rest of the namespace may take its time.
        until(Duration::from_secs(30), "the test's Services and slices to go", async || {
            let (slices, _) = env.objects.list(Kind::EndpointSlice, &self.namespace, "").await?;
            let (services, _) = env.objects.list(Kind::Service, &self.namespace, "").await?;
            Ok((slices.is_empty() && services.is_empty()).then_some(()))
        })
        .await
        .context("deleting the test's namespace")
    }

    /// Stops the client.
    pub fn end_client(&mut self) {
        self.client = None;
    }
}
