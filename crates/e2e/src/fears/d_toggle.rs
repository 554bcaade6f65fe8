//! D: the health toggle, as its users have it, led by hotstandby.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::migration::{D, D_DEPLOYMENT, Users};
use crate::objects::{Kind, label, uid_of};
use crate::old::System;
use crate::trial::{Active, PATIENT, Trial};
use crate::watchdog::World;
use hotstandby_testbed::faults::Inflicted;
use hotstandby_testbed::wait::fault_lasts;

const ROLE: &str = "role";
/// Repairs are pushed by a watch.
const REPAIR: Duration = Duration::from_secs(5);
/// As long as nothing is to happen: more than three checks take.
const LONG: Duration = Duration::from_secs(5);
/// A label pair costs kube-proxy's second, whoever writes it.
const LABELS: Duration = Duration::from_secs(4);
/// Three checks, a second apart, and the labels.
const CHECKS: Duration = Duration::from_secs(8);

/// Takes over, and lets a client and the judge look on.
async fn led(trial: &mut Trial) -> Result<Active> {
    trial.deploy_users(&D).await?;
    trial.one_active(&D);
    let active = trial.take_over(&D).await?;
    trial.rested().await?;
    trial.start_users_client(&D, &[&active.node]).await?;
    Ok(active)
}

/// Waits until exactly one pod is active and all the others, so many, are passive by their labels.
async fn roles_are_whole(trial: &Trial, users: &Users, limit: Duration) -> Result<Active> {
    let active = trial.led_to(users, limit, "one pod", |_| true).await?;
    let whole = |world: &World| {
        let others: Vec<_> =
            world.picked(&[users.app]).into_iter().filter(|pod| uid_of(pod) != active.uid).collect();
        (others.len() + 1 == users.pods && others.iter().all(|pod| label(pod, ROLE) == Some("passive")))
            .then_some(())
    };
    trial.dog.wait(limit, "all others to be passive", whole).await?;
    Ok(active)
}

/// A loop at work is taken over from: traffic stays where it is, and while both run they do not undo each other's work.
pub(super) async fn d_running_old_loop_is_taken_over(trial: &mut Trial) -> Result<()> {
    trial.deploy_users(&D).await?;
    let old = trial.start_old(System::D { app: D.app.1.to_owned(), pause: Duration::from_secs(1) }).await?;
    let before = trial.led_by_old(&D).await?;

    let active = trial.take_over(&D).await?;
    ensure!(active.uid == before.uid, "traffic went from {} to {}", before.pod, active.pod);
    trial.roles_rest(&D, LONG, 0).await?;
    old.stop()?;
    trial.moved(0).await?;
    trial.nothing_failed()?;

    let process = trial.process_of(&active.pod).await?;
    let fault = process.signal(Signal::SIGKILL)?;
    trial.hurt(fault);
    trial.failover(fault, &active, LABELS).await?;
    roles_are_whole(trial, &D, PATIENT).await?;
    trial.moved(1).await
}

/// The active is deleted: its successor of the same name is passive, and failover goes on working with it.
pub(super) async fn d_deleted_pods_successor_gets_a_role(trial: &mut Trial) -> Result<()> {
    let first = led(trial).await?;
    let fault = trial.hurt(Inflicted::now());
    trial.env.objects.delete(Kind::Pod, &trial.namespace, &first.pod).await?;
    trial.failover(fault, &first, LABELS).await?;
    trial.pods_ready(&D, 3).await?;
    let second = roles_are_whole(trial, &D, PATIENT).await?;
    ensure!(second.pod != first.pod, "{} is active again", first.pod);
    trial.rested().await?;

    // Only the successor is left to take over.
    let standbys = D.standbys(&trial.dog.world());
    for pod in standbys.iter().filter(|pod| pod.pod != first.pod) {
        trial.tell(&pod.ip, "health=bad").await?;
    }
    fault_lasts(LONG).await;
    let fault = trial.tell(&second.ip, "health=bad").await?;
    trial.failover(fault, &second, CHECKS).await?;
    trial.led_to(&D, PATIENT, "the successor", |now| now.pod == first.pod).await.map(drop)
}

/// The health page of the active hangs: that is a bad answer, and the checks of others go on.
pub(super) async fn d_a_hung_health_check_does_not_hang_us(trial: &mut Trial) -> Result<()> {
    let first = led(trial).await?;
    // A standby that hangs as well is no candidate, and holds nobody up.
    let standby = D.standbys(&trial.dog.world()).into_iter().next().context("no standby")?;
    trial.tell(&standby.ip, "health=hang").await?;
    fault_lasts(LONG).await;
    trial.moved(0).await?;
    let fault = trial.tell(&first.ip, "health=hang").await?;
    trial.hurt(fault);
    trial.failover(fault, &first, CHECKS).await?;
    let now = roles_are_whole(trial, &D, PATIENT).await?;
    ensure!(now.uid != standby.uid, "the one that hangs was made active");
    trial.moved(1).await
}

/// A single bad answer is no failover.
pub(super) async fn d_one_bad_check_does_not_switch(trial: &mut Trial) -> Result<()> {
    let active = led(trial).await?;
    trial.tell(&active.ip, "health=bad").await?;
    // One check at least falls into it, and at most two.
    fault_lasts(Duration::from_millis(1_200)).await;
    trial.tell(&active.ip, "health=good").await?;
    fault_lasts(LONG).await;
    trial.moved(0).await?;
    trial.nothing_failed()
}

/// No pod is healthy: the active one is left enabled, and the first that recovers takes over.
pub(super) async fn d_all_bad_leaves_the_active(trial: &mut Trial) -> Result<()> {
    let active = led(trial).await?;
    let standbys = D.standbys(&trial.dog.world());
    for pod in standbys.iter().chain([&active]) {
        trial.tell(&pod.ip, "health=bad").await?;
    }
    fault_lasts(LONG + LONG).await;
    trial.moved(0).await?;
    trial.nothing_failed()?;
    let well = standbys.last().context("no standby")?;
    let fault = trial.tell(&well.ip, "health=good").await?;
    trial.failover(fault, &active, CHECKS).await?;
    trial.led_to(&D, PATIENT, &well.pod, |now| now.uid == well.uid).await?;
    trial.moved(1).await
}

/// The successor's label is refused: there are never two active ones, and once it may be written the role is where the seat is.
pub(super) async fn d_a_refused_label_makes_no_second_active(trial: &mut Trial) -> Result<()> {
    let active = led(trial).await?;
    let policy = format!("only-{}", trial.namespace);
    let expression = format!(
        "object.metadata.name == '{}' || !has(object.metadata.labels.role) || object.metadata.labels.role != 'active'",
        active.pod
    );
    let rules = json!([{
        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["pods", "pods/status"],
    }]);
    let namespaces = json!({"matchLabels": {"kubernetes.io/metadata.name": trial.namespace}});
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": policy},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"namespaceSelector": namespaces, "resourceRules": rules},
                "validations": [{"expression": expression}],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": policy},
            "spec": {"policyName": policy, "validationActions": ["Deny"]},
        },
    ]});
    let path = trial.env.cluster.paths().state().join("refuse.yaml");
    std::fs::write(&path, objects.to_string()).with_context(|| format!("writing {}", path.display()))?;
    let path = path.display().to_string();
    trial.env.kubectl(&["apply", "-f", &path]).await?;
    let outcome = refused(trial, &active).await;
    trial.env.kubectl(&["delete", "-f", &path]).await?;
    outcome?;
    let now = roles_are_whole(trial, &D, PATIENT).await?;
    let seat = trial.seat()?;
    ensure!(now.uid == seat.holder_uid, "the seat is {}'s, and {} is active", seat.holder, now.pod);
    Ok(())
}

async fn refused(trial: &mut Trial, active: &Active) -> Result<()> {
    // The policy works some moments after it was stored: then a standby's label is refused to an administrator, too.
    let standby = D.standbys(&trial.dog.world()).into_iter().next().context("no standby")?;
    hotstandby_testbed::wait::until(PATIENT, "the policy to be in force", async || {
        let label = format!("{ROLE}=active");
        let arguments =
            ["label", "pod", &standby.pod, &label, "--overwrite", "--dry-run=server", "-n", &trial.namespace];
        Ok(trial.env.kubectl(&arguments).await.is_err().then_some(()))
    })
    .await?;
    let fault = trial.tell(&active.ip, "health=bad").await?;
    trial.hurt(fault);
    fault_lasts(CHECKS).await;
    let actives = D.actives(&trial.dog.world());
    ensure!(actives.len() <= 1, "two are active: {actives:?}");
    Ok(())
}

/// A Deployment of four behind a headless Service: the name means the active one, and the next one after it.
pub(super) async fn d_more_than_two_replicas_of_a_deployment(trial: &mut Trial) -> Result<()> {
    let users = &D_DEPLOYMENT;
    trial.deploy_users(users).await?;
    trial.one_active(users);
    let mut active = trial.take_over(users).await?;
    for _ in 0..2 {
        trial.resolves_to(users.service, &[&active.ip], REPAIR).await?;
        trial.env.objects.delete(Kind::Pod, &trial.namespace, &active.pod).await?;
        let next = trial.led_to(users, PATIENT, "another pod", |now| now.uid != active.uid).await?;
        trial.resolves_to(users.service, &[&next.ip], REPAIR).await?;
        trial.pods_ready(users, 4).await?;
        active = roles_are_whole(trial, users, PATIENT).await?;
    }
    trial.moved(2).await
}
