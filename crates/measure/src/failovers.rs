//! Failovers and switchovers while all nodes stay up.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use nix::sys::signal::Signal;

use crate::bench::{Attended, Bench, KilledOnce};
use crate::experiment::{Experiment, Fault, Procedure, SharedGroups};
use crate::floor::Floor;
use crate::group::Group;
use crate::record::Outcome;
use crate::schedule::{Plan, phase};
use hotstandby_e2e::harness::blocking;
use hotstandby_e2e::objects::{Kind, Objects};
use hotstandby_e2e::scene::GROUP;
use hotstandby_e2e::trial::Active;
use hotstandby_testbed::client::{ClientConfig, request};
use hotstandby_testbed::faults::Inflicted;
use hotstandby_testbed::netns::in_netns;
use hotstandby_testbed::paths::CONTROL_PLANE;

/// A trial without an answer by another pod ends after this time.
const LIMIT: Duration = Duration::from_secs(10);
/// How long all pods must have been ready before a trial.
const STEADY: Duration = Duration::from_millis(200);
/// The period of the client, which bounds how evenly faults without a probe's period can be spread.
const CLIENT_PERIOD: Duration = Duration::from_millis(5);
/// The probe's period of the groups whose health page hangs.
const HEALTH_PERIOD: Duration = Duration::from_millis(100);

/// The groups of all these trials.
pub(crate) struct Failovers {
    bench: Arc<Bench>,
    groups: Vec<(SharedGroups, Vec<Group>)>,
    killed: KilledOnce,
}

impl Failovers {
    /// Puts the groups on the cluster that a plan needs.
    pub(crate) async fn create(bench: &Arc<Bench>, plan: &Plan) -> Result<Self> {
        let mut all: Vec<(SharedGroups, Vec<Group>)> = Vec::new();
        for (experiment, count) in plan {
            let Procedure::Failover { groups, .. } = experiment.procedure else { continue };
            if *count > 0 && all.iter().all(|(created, _)| *created != groups) {
                all.push((groups, create_groups(bench, groups).await?));
            }
        }
        Ok(Self { bench: bench.clone(), groups: all, killed: KilledOnce::default() })
    }

    /// Removes them all.
    pub(crate) async fn remove(self) -> Result<()> {
        let groups = self.groups.into_iter().flat_map(|(_, groups)| groups);
        try_join_all(groups.map(Group::remove)).await.map(drop)
    }

    /// Runs one trial. `turn` counts all trials, `number` those of this experiment.
    pub(crate) async fn run_trial(
        &self,
        experiment: &Experiment,
        floor: &Floor,
        turn: usize,
        number: usize,
    ) -> Outcome {
        if let Err(error) = self.bench.wait_until_calm(STEADY).await {
            return Outcome::from_result(Err(error));
        }
        let Procedure::Failover { fault, groups } = experiment.procedure else {
            let after_kill = experiment.procedure == Procedure::Floor { after_kill: true };
            return floor.run_trial(after_kill, number).await;
        };
        let result = match self.find_group(groups, turn) {
            Ok(group) => self.fail_over(fault, group, number).await,
            Err(error) => Err(error),
        };
        Outcome::from_result(result.context("could not be prepared"))
    }

    fn find_group(&self, wanted: SharedGroups, turn: usize) -> Result<&Group> {
        let found = self.groups.iter().find(|(groups, _)| *groups == wanted);
        let (groups, all) = found.context("no group was created for this experiment")?;
        all.get(turn % groups.count).context("no group was created for this turn")
    }

    async fn fail_over(&self, fault: Fault, group: &Group, number: usize) -> Result<Outcome> {
        let attended = self.bench.attend(group, &[], number).await?;
        let active = attended.active.clone();
        let outcome = match fault {
            Fault::Kill => self.kill(attended, number).await?,
            Fault::Switchover => self.switch_over(attended, number).await?,
            Fault::SwitchoverCommand => self.run_switchover_command(attended, number).await?,
            Fault::Delete => self.delete(attended, number).await?,
            Fault::Hang => self.hang(attended, number).await?,
        };
        self.mend(fault, group, &active).await?;
        Ok(outcome)
    }

    /// Waits until kube-proxy is free, and for the moment that is this trial's turn.
    async fn wait_for_turn(&self, period: Duration, number: usize) -> Result<()> {
        self.bench.slots.wait_until_free().await?;
        tokio::time::sleep(phase(number, period)).await;
        Ok(())
    }

    async fn kill(&self, attended: Attended<'_>, number: usize) -> Result<Outcome> {
        let (env, namespace) = (&self.bench.env, &attended.group.namespace);
        let faults = env.cluster.faults();
        let process =
            faults.find_container(env.objects.client(), namespace, &attended.active.pod, None).await?;
        self.wait_for_turn(CLIENT_PERIOD, number).await?;
        let fault = process.signal(Signal::SIGKILL);
        Ok(self.bench.conclude(LIMIT, attended, fault).await)
    }

    async fn switch_over(&self, attended: Attended<'_>, number: usize) -> Result<Outcome> {
        let to = attended.group.choose_standby(&attended.active, number).await?;
        let request = Group::make_switchover_request(&attended.active, &to.pod);
        let objects = Objects::new(self.bench.hands.client.clone());
        let namespace = attended.group.namespace.clone();
        self.wait_for_turn(CLIENT_PERIOD, number).await?;
        let patch =
            async move { objects.patch(Kind::ActiveStandby, &namespace, GROUP, &request).await.map(drop) };
        let fault = self.bench.hands.inflict(patch).await;
        Ok(self.bench.conclude(LIMIT, attended, fault).await)
    }

    async fn run_switchover_command(&self, attended: Attended<'_>, number: usize) -> Result<Outcome> {
        let to = attended.group.choose_standby(&attended.active, number).await?;
        let env = &self.bench.env;
        let mut command = std::process::Command::new(env.cli());
        command
            .args(["switchover", GROUP, "--to", &to.pod, "-n", &attended.group.namespace])
            .env("KUBECONFIG", env.cluster.inside_kubeconfig())
            .stdin(std::process::Stdio::null());
        let netns = env.cluster.netns(CONTROL_PLANE);
        self.wait_for_turn(CLIENT_PERIOD, number).await?;
        let run = move || {
            let fault = Inflicted::now();
            let out = command.output().context("starting hotstandby")?;
            let said = String::from_utf8_lossy(&out.stderr).trim().to_owned();
            ensure!(out.status.success(), "'hotstandby switchover' failed: {said}");
            Ok(fault)
        };
        let fault = blocking(move || in_netns(&netns, run)?).await;
        Ok(self.bench.conclude(LIMIT, attended, fault).await)
    }

    async fn delete(&self, attended: Attended<'_>, number: usize) -> Result<Outcome> {
        let objects = Objects::new(self.bench.hands.client.clone());
        let (namespace, pod) = (attended.group.namespace.clone(), attended.active.pod.clone());
        self.wait_for_turn(CLIENT_PERIOD, number).await?;
        let delete = async move { objects.delete(Kind::Pod, &namespace, &pod).await };
        let fault = self.bench.hands.inflict(delete).await;
        Ok(self.bench.conclude(LIMIT, attended, fault).await)
    }

    async fn hang(&self, attended: Attended<'_>, number: usize) -> Result<Outcome> {
        self.wait_for_turn(HEALTH_PERIOD, number).await?;
        let fault = self.control_app(&attended.active, "health=hang").await;
        Ok(self.bench.conclude(LIMIT, attended, fault).await)
    }

    /// Controls a pod of the app.
    async fn control_app(&self, pod: &Active, what: &str) -> Result<Inflicted> {
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
    async fn mend(&self, fault: Fault, group: &Group, old: &Active) -> Result<()> {
        match fault {
            Fault::Kill => {
                let objects = &self.bench.env.objects;
                self.killed.replace_if_killed_before(objects, &group.namespace, old).await
            }
            Fault::Hang => self.control_app(old, "health=good").await.map(drop),
            Fault::Switchover | Fault::SwitchoverCommand | Fault::Delete => Ok(()),
        }
    }
}

async fn create_groups(bench: &Arc<Bench>, groups: SharedGroups) -> Result<Vec<Group>> {
    if !groups.rights.is_empty() {
        bench.env.grant(groups.rights).await?;
    }
    let mut created = Vec::new();
    for number in 1..=groups.count {
        let name = format!("{}{number}", groups.name);
        created.push(Group::create(bench, &name, &(groups.scene)()).await?);
    }
    Ok(created)
}
