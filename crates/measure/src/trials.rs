//! The trials that leave all nodes alone.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use nix::sys::signal::Signal;

use super::bench::{Attended, Bench};
use super::floor::Floor;
use super::group::Group;
use super::record::Outcome;
use super::row::Row;
use super::schedule::{Counts, phase};
use hotstandby_e2e::harness::blocking;
use hotstandby_e2e::objects::{Kind, Objects};
use hotstandby_e2e::scene::{GROUP, Scene};
use hotstandby_e2e::trial::Active;
use hotstandby_testbed::client::{ClientConfig, request};
use hotstandby_testbed::faults::Inflicted;
use hotstandby_testbed::netns::in_netns;
use hotstandby_testbed::paths::CONTROL_PLANE;

/// Groups of default timing, used in turns, so that none changes too often.
const POOL: usize = 3;
/// The same, for rows with fewer trials.
const PAIR: usize = 2;
/// How long all pods must have been ready before a trial.
const STEADY: Duration = Duration::from_millis(200);

/// The groups of all these trials.
pub(super) struct Trials {
    bench: Arc<Bench>,
    pool: Vec<Group>,
    linger: Option<Group>,
    hang: Option<Group>,
    /// Led by the selector pointer.
    pointers: Vec<Group>,
    /// Led by role labels.
    labels: Vec<Group>,
    /// UIDs of pods whose container was killed once.
    killed: Mutex<HashSet<String>>,
}

impl Trials {
    /// Puts the groups on the cluster that some row needs.
    pub(super) async fn create(bench: &Arc<Bench>, counts: &Counts) -> Result<Self> {
        let wanted = |rows: &[Row]| rows.iter().any(|row| counts.get(row).is_some_and(|count| *count > 0));
        let mut pool = Vec::new();
        if wanted(&[Row::Killed, Row::Switchover, Row::SwitchoverCli, Row::Delete]) {
            for number in 1..=POOL {
                pool.push(Group::create(bench, &format!("web{number}"), &Scene::default()).await?);
            }
        }
        let linger = if wanted(&[Row::DeleteLinger]) {
            Some(Group::create(bench, "linger", &Scene::default().linger("1100ms")).await?)
        } else {
            None
        };
        let hang = if wanted(&[Row::Hang]) {
            Some(Group::create(bench, "hang", &Scene::default().health("100ms", "100ms")).await?)
        } else {
            None
        };
        let (mut pointers, mut labels) = (Vec::new(), Vec::new());
        if wanted(&[Row::PointerKilled, Row::PointerSwitchover]) {
            bench.env.grant(&["selector-pointer"]).await?;
            for number in 1..=PAIR {
                let scene = Scene::default().by_pointer();
                pointers.push(Group::create(bench, &format!("pointer{number}"), &scene).await?);
            }
        }
        if wanted(&[Row::LabelKilled, Row::LabelSwitchover]) {
            bench.env.grant(&["role-labels"]).await?;
            for number in 1..=PAIR {
                labels.push(
                    Group::create(bench, &format!("label{number}"), &Scene::default().by_label()).await?,
                );
            }
        }
        Ok(Self { bench: bench.clone(), pool, linger, hang, pointers, labels, killed: Mutex::default() })
    }

    /// Removes them all.
    pub(super) async fn remove(self) -> Result<()> {
        let led = self.pointers.into_iter().chain(self.labels);
        let groups = self.pool.into_iter().chain(self.linger).chain(self.hang).chain(led);
        try_join_all(groups.map(Group::remove)).await.map(drop)
    }

    /// One trial; `turn` counts all trials, `number` those of this row.
    pub(super) async fn trial(&self, row: Row, floor: &Floor, turn: usize, number: usize) -> Outcome {
        if let Err(error) = self.bench.calm(STEADY).await {
            return Outcome::Invalid { reason: format!("{error:#}") };
        }
        if matches!(row, Row::Floor | Row::FloorKill) {
            return floor.trial(row, number).await;
        }
        match self.prepared(row, turn, number).await {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Invalid { reason: format!("could not be prepared: {error:#}") },
        }
    }

    fn group(&self, row: Row, turn: usize) -> Result<&Group> {
        match row {
            Row::DeleteLinger => self.linger.as_ref(),
            Row::Hang => self.hang.as_ref(),
            Row::PointerKilled | Row::PointerSwitchover => self.pointers.get(turn % PAIR),
            Row::LabelKilled | Row::LabelSwitchover => self.labels.get(turn % PAIR),
            _ => self.pool.get(turn % POOL),
        }
        .context("no group was made for this row")
    }

    async fn prepared(&self, row: Row, turn: usize, number: usize) -> Result<Outcome> {
        let (bench, group) = (&self.bench, self.group(row, turn)?);
        let attended = bench.attend(group, &[], number).await?;
        let active = attended.active.clone();
        let outcome = match row {
            Row::Killed | Row::PointerKilled | Row::LabelKilled => self.killed(row, attended, number).await?,
            Row::Switchover | Row::PointerSwitchover | Row::LabelSwitchover => {
                self.switchover(row, attended, number).await?
            }
            Row::SwitchoverCli => self.switchover_cli(attended, number).await?,
            Row::Hang => self.hang(attended, number).await?,
            _ => self.deleted(row, attended, number).await?,
        };
        self.mend(row, group, &active).await?;
        Ok(outcome)
    }

    /// Waits until kube-proxy is free, and for the moment that is this trial's turn.
    async fn ready(&self, row: Row, number: usize) -> Result<()> {
        self.bench.slots.rest().await?;
        tokio::time::sleep(phase(number, row.period())).await;
        Ok(())
    }

    async fn killed(&self, row: Row, attended: Attended<'_>, number: usize) -> Result<Outcome> {
        let (env, namespace) = (&self.bench.env, &attended.group.namespace);
        let faults = env.cluster.faults();
        let process =
            faults.find_container(env.objects.client(), namespace, &attended.active.pod, None).await?;
        self.ready(row, number).await?;
        let fault = process.signal(Signal::SIGKILL);
        Ok(self.bench.conclude(row, attended, fault).await)
    }

    async fn switchover(&self, row: Row, attended: Attended<'_>, number: usize) -> Result<Outcome> {
        let to = attended.group.standby(&attended.active, number).await?;
        let request = Group::request(&attended.active, &to.pod);
        let objects = Objects::new(self.bench.hands.client.clone());
        let namespace = attended.group.namespace.clone();
        self.ready(row, number).await?;
        let work = async move {
            let fault = Inflicted::now();
            objects.patch(Kind::ActiveStandby, &namespace, GROUP, &request).await?;
            Ok(fault)
        };
        let fault = self.bench.hands.run(work).await;
        Ok(self.bench.conclude(row, attended, fault).await)
    }

    async fn switchover_cli(&self, attended: Attended<'_>, number: usize) -> Result<Outcome> {
        let to = attended.group.standby(&attended.active, number).await?;
        let env = &self.bench.env;
        let mut command = std::process::Command::new(env.cli());
        command
            .args(["switchover", GROUP, "--to", &to.pod, "-n", &attended.group.namespace])
            .env("KUBECONFIG", env.cluster.inside_kubeconfig())
            .stdin(std::process::Stdio::null());
        let netns = env.cluster.netns(CONTROL_PLANE);
        self.ready(Row::SwitchoverCli, number).await?;
        let run = move || {
            let fault = Inflicted::now();
            let out = command.output().context("starting hotstandby")?;
            let said = String::from_utf8_lossy(&out.stderr).trim().to_owned();
            ensure!(out.status.success(), "'hotstandby switchover' failed: {said}");
            Ok(fault)
        };
        let fault = blocking(move || in_netns(&netns, run)?).await;
        Ok(self.bench.conclude(Row::SwitchoverCli, attended, fault).await)
    }

    async fn deleted(&self, row: Row, attended: Attended<'_>, number: usize) -> Result<Outcome> {
        let objects = Objects::new(self.bench.hands.client.clone());
        let (namespace, pod) = (attended.group.namespace.clone(), attended.active.pod.clone());
        self.ready(row, number).await?;
        let work = async move {
            let fault = Inflicted::now();
            objects.delete(Kind::Pod, &namespace, &pod).await?;
            Ok(fault)
        };
        let fault = self.bench.hands.run(work).await;
        Ok(self.bench.conclude(row, attended, fault).await)
    }

    async fn hang(&self, attended: Attended<'_>, number: usize) -> Result<Outcome> {
        self.ready(Row::Hang, number).await?;
        let fault = self.tell(&attended.active, "health=hang").await;
        Ok(self.bench.conclude(Row::Hang, attended, fault).await)
    }

    /// Tells a pod of the app something.
    async fn tell(&self, pod: &Active, what: &str) -> Result<Inflicted> {
        let target = format!("{}:8080", pod.ip).parse().context("reading a pod's address")?;
        let config = ClientConfig { path: format!("/ctl?{what}"), ..ClientConfig::new(target) };
        let asked = async move {
            let fault = Inflicted::now();
            Ok((fault, request(&config).await))
        };
        let (fault, answer) = self.bench.hands.run(asked).await?;
        ensure!(answer.who().is_some(), "the app did not take {what}: {:?}", answer.outcome);
        Ok(fault)
    }

    /// Undoes what a trial has done, as far as Kubernetes does not.
    async fn mend(&self, row: Row, group: &Group, old: &Active) -> Result<()> {
        match row {
            // A container is started again at once the first time, and after a back-off the second time: then a
            // new pod takes its place.
            Row::Killed | Row::PointerKilled | Row::LabelKilled if !self.first_kill(old) => {
                let objects = &self.bench.env.objects;
                objects.delete(Kind::Pod, &group.namespace, &old.pod).await
            }
            Row::Hang => self.tell(old, "health=good").await.map(drop),
            _ => Ok(()),
        }
    }

    fn first_kill(&self, pod: &Active) -> bool {
        self.killed.lock().unwrap_or_else(PoisonError::into_inner).insert(pod.uid.clone())
    }
}
