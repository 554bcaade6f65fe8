//! What people ask for, by hotstandby's own commands.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::objects::{Kind, text};
use crate::scene::{GROUP, Scene};
use crate::trial::{GENEROUS, PATIENT, Trial};
use crate::watchdog::World;
use hotstandby_testbed::faults::Inflicted;

/// A planned move: no request fails.
pub(super) async fn switchover(trial: &mut Trial) -> Result<()> {
    Scene::default().deploy(trial).await?;
    let active = trial.active()?;
    trial.start_client(&[&active.node]).await?;
    let to = trial.standbys()?.into_iter().next().context("there is no standby")?;

    let fault = trial.hurt(Inflicted::now());
    let said = trial.cli(&["switchover", GROUP, "--to", &to.pod]).await?;
    let seen = trial.failover(fault, &active, GENEROUS).await?;
    ensure!(*seen.new == *to.pod, "{} answers, not {}", seen.new, to.pod);
    ensure!(said.contains(&to.pod), "the command said: {said}");

    let change = trial.change_told(active.term + 1).await?;
    trial.note_stages(&change);
    ensure!(change.reason == "Switchover", "the reason was {}", change.reason);
    let status: Value = serde_json::from_str(&trial.cli(&["status", GROUP, "-o", "json"]).await?)
        .context("reading 'hotstandby status -o json'")?;
    ensure!(status.to_string().contains(&to.pod), "status: {status}");
    let table = trial.env.kubectl(&["get", "astb", "-n", &trial.namespace]).await?;
    ensure!(table.contains("ACTIVE") && table.contains(&to.pod), "kubectl get astb: {table}");
    trial.moved(1).await?;
    trial.nothing_failed()
}

/// A request that names another term is void: whoever asked had seen something else.
pub(super) async fn switchover_void_term(trial: &mut Trial) -> Result<()> {
    Scene::default().deploy(trial).await?;
    let active = trial.active()?;
    let to = trial.standbys()?.into_iter().next().context("there is no standby")?;

    let request = format!("term={},to={}", active.term - 1, to.pod);
    let change = json!({"metadata": {"annotations": {"hotstandby.dev/switchover": request}}});
    trial.patch(Kind::ActiveStandby, GROUP, &change).await?;
    let answered = |world: &World| {
        let answer = world.find(Kind::ActiveStandby, GROUP)?.pointer("/status/switchover")?;
        (text(answer, "/request") == request).then(|| answer.clone())
    };
    let answer = trial.dog.wait(PATIENT, "an answer to the request", answered).await?;
    ensure!(text(&answer, "/phase") == "Void", "{answer}");
    ensure!(!text(&answer, "/message").is_empty(), "the answer says not why");
    ensure!(trial.seat()?.term == active.term, "the seat moved");

    // Nonsense is refused, and says so.
    let change = json!({"metadata": {"annotations": {"hotstandby.dev/switchover": "somewhere else"}}});
    trial.patch(Kind::ActiveStandby, GROUP, &change).await?;
    let answered = |world: &World| {
        let answer = world.find(Kind::ActiveStandby, GROUP)?.pointer("/status/switchover")?;
        (text(answer, "/request") == "somewhere else").then(|| text(answer, "/phase").to_owned())
    };
    let phase = trial.dog.wait(PATIENT, "an answer to nonsense", answered).await?;
    ensure!(phase == "Refused", "nonsense was answered with {phase}");
    trial.moved(0).await
}

/// While a group is paused nobody is moved, whatever happens; after that what is due is done.
pub(super) async fn pause_and_resume(trial: &mut Trial) -> Result<()> {
    Scene::default().deploy(trial).await?;
    let active = trial.active()?;
    trial.start_client(&[&active.node]).await?;

    trial.cli(&["pause", GROUP]).await?;
    let fault = trial.tell(&active.ip, "ready=bad").await?;
    trial.hurt(fault);
    // It is seen …
    let seen = |world: &World| {
        let members = world.find(Kind::ActiveStandby, GROUP)?.pointer("/status/members")?.as_array()?.clone();
        members
            .iter()
            .any(|member| text(member, "/name") == active.pod && text(member, "/unfit") == "NotReady")
            .then_some(())
    };
    trial.dog.wait(PATIENT, "the active to be seen as unfit", seen).await?;
    // … and a switchover is not done either.
    let to = trial.standbys()?.into_iter().next().context("there is no standby")?;
    let request =
        ["switchover", GROUP, "--to", &to.pod, "--timeout", "2s", "-n", &trial.namespace].map(str::to_owned);
    let request: Vec<&str> = request.iter().map(String::as_str).collect();
    let (ok, said) = trial.env.hotstandby(&request).await?;
    ensure!(!ok, "a paused group was switched over: {said}");
    trial.moved(0).await?;
    trial.nothing_failed()?;

    let resumed = Inflicted::now();
    trial.cli(&["resume", GROUP]).await?;
    trial.failover(resumed, &active, 2 * GENEROUS).await?;
    let change = trial.change_told(active.term + 1).await?;
    ensure!(change.reason == "NotReady", "the reason was {}", change.reason);
    trial.tell(&active.ip, "ready=good").await?;
    trial.settled(3).await?;
    trial.moved(1).await?;
    trial.nothing_failed()
}
