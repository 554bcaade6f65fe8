//! hotstandby itself dies, or is installed otherwise.

use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;

use crate::harness::{START_LIMIT, SYSTEM};
use crate::objects::{Kind, name_of};
use crate::scene::{GROUP, Scene};
use crate::trial::{GENEROUS, Trial};
use crate::view::Slice;
use crate::watchdog::World;
use hotstandby_testbed::cluster::Cluster;
use hotstandby_testbed::image::HOTSTANDBY_IMAGE;
use hotstandby_testbed::netns::in_netns;
use hotstandby_testbed::paths::CONTROL_PLANE;
use hotstandby_testbed::wait::until;

/// The lead is killed: nobody fails over, the other replica takes the lead, and the active's death right after
/// that is met as fast as ever.
pub(super) async fn controller_replica_killed(trial: &mut Trial) -> Result<()> {
    Scene::default().deploy(trial).await?;
    let active = trial.active()?;
    trial.start_client(&[&active.node]).await?;
    let replicas = trial.env.replicas().await?;
    let (lead, other) = replicas.first().zip(replicas.last()).context("no replicas")?;
    ensure!(trial.env.metric(lead, "hotstandby_lead").await? > 0.5, "{} does not say it leads", lead.name);
    ensure!(trial.env.metric(other, "hotstandby_lead").await? < 0.5, "{} says it leads", other.name);
    let client = trial.env.objects.client().clone();
    let faults = trial.env.cluster.faults();
    let doomed = faults.find_container(&client, SYSTEM, &lead.name, None).await?;
    let process = trial.process_of(&active.pod).await?;

    // The kubelet starts a killed container again at once: frozen it stays away until it is killed.
    let fault = faults.freeze_process(doomed.pid)?;
    trial.hurt(fault);
    until(GENEROUS, "the other replica to take the lead", async || {
        Ok((trial.env.metric(other, "hotstandby_lead").await? > 0.5).then_some(()))
    })
    .await?;
    trial.moved(0).await?;
    trial.nothing_failed()?;
    let killed = process.signal(Signal::SIGKILL)?;
    trial.failover(killed, &active, GENEROUS).await?;
    let change = trial.change_told(active.term + 1).await?;
    trial.note_stages(&change);
    // Thawed and killed in one: the lead comes back, and finds all done.
    doomed.signal(Signal::SIGKILL)?;
    let restarted = format!("a new process of {}", lead.name);
    until(START_LIMIT, &restarted, async || {
        let found = trial.env.cluster.faults().find_container(&client, SYSTEM, &lead.name, None).await?;
        Ok((found.pid != doomed.pid).then_some(()))
    })
    .await?;
    trial.env.wait_for_replicas(2, START_LIMIT).await?;
    trial.settled(3).await?;
    trial.moved(1).await
}

/// Both replicas are replaced at once: traffic stays where it is.
pub(super) async fn both_replicas_restarted(trial: &mut Trial) -> Result<()> {
    Scene::default().deploy(trial).await?;
    let active = trial.active()?;
    trial.start_client(&[&active.node]).await?;

    let old = trial.env.replicas().await?;
    trial.hurt(hotstandby_testbed::faults::Inflicted::now());
    for replica in &old {
        trial.env.objects.delete(Kind::Pod, SYSTEM, &replica.name).await?;
    }
    until(START_LIMIT, "two new replicas", async || {
        let new = trial.env.replicas().await?;
        Ok((new.len() == 2 && new.iter().all(|one| old.iter().all(|other| other.name != one.name)))
            .then_some(()))
    })
    .await?;
    trial.env.wait_for_replicas(2, START_LIMIT).await?;
    trial.settled(3).await?;
    ensure!(trial.seat()?.term == active.term, "the term changed");
    trial.moved(0).await?;
    trial.nothing_failed()
}

/// The group is deleted while no replica runs: the next one to start cleans up.
pub(super) async fn group_deleted_while_nobody_watches(trial: &mut Trial) -> Result<()> {
    Scene::default().deploy(trial).await?;
    trial.env.scale(0).await?;
    trial.hurt(hotstandby_testbed::faults::Inflicted::now());
    trial.env.objects.delete(Kind::ActiveStandby, &trial.namespace, GROUP).await?;
    let there = trial.dog.world().seat(GROUP);
    ensure!(there.is_some(), "the seat went although nobody was there");
    trial.env.scale(2).await?;
    let gone = |world: &World| {
        let slices = world.all(Kind::EndpointSlice).filter(|slice| Slice::of(slice).ours).count();
        (world.seat(GROUP).is_none() && slices == 0).then_some(())
    };
    trial.dog.wait(START_LIMIT, "seat and slices to be swept", gone).await
}

/// An install for one namespace, with Roles only, in a namespace of its own.
pub(super) async fn namespaced_variant_works(trial: &mut Trial) -> Result<()> {
    const OWN: &str = "hotstandby-narrow";
    trial.env.scale(0).await?;
    trial.watch_seats_in(OWN).await?;
    let namespace = trial.namespace.clone();
    let image = HOTSTANDBY_IMAGE.trim_start_matches("docker.io/");
    let arguments = ["manifests", "--namespaced", &namespace, "--install-namespace", OWN, "--image", image];
    let (ok, yaml) = trial.env.hotstandby(&arguments).await?;
    ensure!(ok, "'hotstandby manifests' failed: {yaml}");
    ensure!(!yaml.contains("kind: ClusterRole"), "it asks for cluster rights");
    let file = trial.env.cluster.paths().state().join("narrow.yaml");
    std::fs::write(&file, &yaml).with_context(|| format!("writing {}", file.display()))?;
    trial.env.apply(&file).await?;
    let outcome = narrow(trial, OWN).await;
    if outcome.is_err() {
        let said = trial.env.kubectl(&["logs", "-n", OWN, "-l", crate::harness::REPLICAS, "--tail=30"]).await;
        trial.note(said.unwrap_or_default());
    }
    trial.env.objects.delete(Kind::Namespace, "", OWN).await?;
    outcome
}

async fn narrow(trial: &mut Trial, own: &str) -> Result<()> {
    trial.env.wait_for_replicas_in(own, 2, START_LIMIT).await?;
    Scene::default().deploy(trial).await?;
    let active = trial.active()?;
    trial.start_client(&[&active.node]).await?;
    let process = trial.process_of(&active.pod).await?;
    let fault = trial.hurt(process.signal(Signal::SIGKILL)?);
    trial.failover(fault, &active, GENEROUS).await?;
    let change = trial.change_told(active.term + 1).await?;
    trial.note_stages(&change);
    trial.settled(3).await?;
    trial.moved(1).await?;
    // Left in peace: nothing of another namespace's is touched by it, and it goes without a trace.
    trial.end_client();
    trial.env.objects.delete(Kind::ActiveStandby, &trial.namespace, GROUP).await?;
    let gone = |world: &World| world.seat(GROUP).is_none().then_some(());
    trial.dog.wait(GENEROUS * 5, "the seat to go", gone).await
}

/// A process of ours that ends with the test.
struct Outside(Child);

impl Drop for Outside {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A replica that runs on a machine outside the cluster, with a kubeconfig.
pub(super) async fn runs_outside_the_cluster(trial: &mut Trial) -> Result<()> {
    trial.env.scale(0).await?;
    let kubeconfig = trial.env.cluster.service_account_kubeconfig(SYSTEM, "hotstandby").await?.inside;
    let log = trial.env.cluster.paths().logs().join("hotstandby-outside.log");
    let outside = start_outside(&trial.env.cluster, trial.env.cli(), &kubeconfig, &log)?;
    let outcome = outside_works(trial).await;
    drop(outside);
    outcome.with_context(|| {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!(
            "the log of the outside replica ends with:\n{}",
            lines.iter().rev().take(30).rev().copied().collect::<Vec<_>>().join("\n")
        )
    })
}

/// A replica without rights is not ready, and lists what it lacks; nothing is touched.
pub(super) async fn missing_rights_are_listed(trial: &mut Trial) -> Result<()> {
    let kubeconfig = trial.env.cluster.user_kubeconfig("nobody", None)?.inside;
    let log = trial.env.cluster.paths().logs().join("hotstandby-nobody.log");
    let outside = start_outside(&trial.env.cluster, trial.env.cli(), &kubeconfig, &log)?;
    let missing = until(START_LIMIT, "the replica without rights to say what it lacks", async || {
        let (status, body) = trial.env.get("127.0.0.1", 8080, "/ready").await?;
        ensure!(status == 503, "/ready says {status}: {body}");
        Ok((body.contains("activestandbies") && body.contains("leases")).then_some(body))
    })
    .await;
    drop(outside);
    let missing = missing.with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
    ensure!(missing.contains("endpointslices"), "not all is listed: {missing}");
    Ok(())
}

/// Starts it in the control plane's network, where no pod is.
fn start_outside(
    cluster: &Cluster,
    program: &std::path::Path,
    kubeconfig: &std::path::Path,
    log: &std::path::Path,
) -> Result<Outside> {
    let file = std::fs::File::create(log).with_context(|| format!("making {}", log.display()))?;
    let mut command = Command::new(program);
    command
        .args(["controller", "--identity", "outside", "--seat-namespace", SYSTEM])
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .env_remove("KUBECONFIG")
        .stdin(Stdio::null())
        .stdout(file.try_clone().context("duplicating a log file")?)
        .stderr(file);
    let child = in_netns(&cluster.netns(CONTROL_PLANE), move || command.spawn())?;
    Ok(Outside(child.context("starting hotstandby outside the cluster")?))
}

async fn outside_works(trial: &mut Trial) -> Result<()> {
    // Its admin server is on the control plane's own address.
    until(START_LIMIT, "the outside replica to be ready", async || {
        let (status, body) = trial.env.get("127.0.0.1", 8080, "/ready").await?;
        ensure!(status == 200, "/ready says {status}: {body}");
        Ok(Some(()))
    })
    .await?;
    Scene::default().deploy(trial).await?;
    let active = trial.active()?;
    trial.start_client(&[&active.node]).await?;
    let process = trial.process_of(&active.pod).await?;
    let fault = trial.hurt(process.signal(Signal::SIGKILL)?);
    trial.failover(fault, &active, GENEROUS).await?;
    let change = trial.change_told(active.term + 1).await?;
    trial.note_stages(&change);
    trial.settled(3).await?;
    trial.moved(1).await?;
    let pods = trial.env.objects.list(Kind::Pod, SYSTEM, "").await?.0;
    let names: Vec<&str> = pods.iter().map(name_of).collect();
    ensure!(names.is_empty(), "it was not alone: {names:?}");
    Ok(())
}
