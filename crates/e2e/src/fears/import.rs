//! `hotstandby import` and `doctor` on a cluster: what they say is what happens.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::harness::START_LIMIT;
use crate::migration::{B, D, Users};
use crate::old::{Old, System};
use crate::trial::{PATIENT, Trial};
use crate::watchdog::World;

/// As long as nothing is to happen.
const LONG: Duration = Duration::from_secs(3);

/// It said that no traffic moves; what it printed is applied as it is while the old controller runs, and none moves.
pub(super) async fn b_import_says_what_the_move_does_not(trial: &mut Trial) -> Result<()> {
    // It takes no pods that were there before it.
    let old = trial.start_old(System::B).await?;
    trial.deploy_users(&B).await?;
    moved_by_import(trial, &B, old).await
}

/// The same for those who come from a health toggle.
pub(super) async fn d_import_says_what_the_move_does_not(trial: &mut Trial) -> Result<()> {
    trial.deploy_users(&D).await?;
    let old = trial.start_old(System::D { app: D.app.1.to_owned(), pause: Duration::from_secs(1) }).await?;
    moved_by_import(trial, &D, old).await
}

async fn moved_by_import(trial: &mut Trial, users: &Users, old: Old) -> Result<()> {
    let before = trial.led_by_old(users).await?;

    let said = trial.cli(&["import", "--check"]).await?;
    ensure!(said.contains(&before.pod), "{} is active today, and it says: {said}", before.pod);
    let yaml = trial.cli(&["import"]).await?;
    let group = group_name(&yaml).with_context(|| format!("no group in: {yaml}"))?.to_owned();
    trial.grant(users).await?;
    let file = trial.env.cluster.paths().logs().join(format!("{}.yaml", trial.namespace));
    std::fs::write(&file, &yaml).context("writing what import printed")?;
    let path = file.display().to_string();
    trial.env.kubectl(&["apply", "-n", &trial.namespace, "-f", &path]).await?;

    let seated = |world: &World| world.seat(&group);
    let seat = trial.dog.wait(START_LIMIT, &format!("the seat of group {group}"), seated).await?;
    ensure!(seat.holder_uid == before.uid, "{} was active, and {} holds the seat", before.pod, seat.holder);
    trial.roles_rest(users, LONG, 0).await?;
    trial.led_to(users, PATIENT, "the same pod", |now| now.uid == before.uid).await?;
    old.stop()?;
    trial.moved(0).await?;
    trial.nothing_failed()?;

    // And nothing is wrong with what was made so: errors would fail the command.
    let found = trial.cli(&["doctor"]).await?;
    trial.note(format!("doctor: {} lines", found.lines().count()));
    let why = trial.cli(&["why", &group]).await?;
    ensure!(why.contains(&before.pod), "{} is active, and 'why' says: {why}", before.pod);
    Ok(())
}

/// The name of the first `ActiveStandby` of a YAML text.
fn group_name(yaml: &str) -> Option<&str> {
    let (_, group) = yaml.split_once("kind: ActiveStandby")?;
    let name = group.lines().find_map(|line| line.trim().strip_prefix("name: "))?;
    name.split_whitespace().next()
}
