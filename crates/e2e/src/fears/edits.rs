//! Somebody else writes what is ours.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::harness::SYSTEM;
use crate::objects::{Kind, condition, items, merge, name_of, uid_of, version_of};
use crate::scene::{GROUP, SERVICE, Scene};
use crate::trial::{Active, GENEROUS, PATIENT, Trial};
use crate::view::{Seat, Slice};
use crate::watchdog::World;
use hotstandby_testbed::faults::Inflicted;
use hotstandby_testbed::wait::until;

/// Repairs are pushed by a watch; a contested slice is put right once a second.
const REPAIR: Duration = Duration::from_secs(5);

fn our_slice(trial: &Trial) -> Result<(Slice, Value)> {
    let world = trial.dog.world();
    let all: Vec<&Value> = world.all(Kind::EndpointSlice).collect();
    let one = all.into_iter().find(|slice| Slice::of(slice).ours).context("there is no slice")?;
    Ok((Slice::of(one), one.clone()))
}

/// Waits until the Service has exactly the slice it should have, written after `version`.
async fn repaired(trial: &Trial, active: &Active, version: u64, what: &str) -> Result<()> {
    let right = |world: &World| {
        let slices = world.slices(SERVICE);
        let [slice] = slices.as_slice() else { return None };
        let [endpoint] = slice.endpoints.as_slice() else { return None };
        (slice.version > version
            && slice.ours
            && endpoint.ip == active.ip
            && endpoint.uid == active.uid
            && slice.stamp.as_ref().is_some_and(|(_, term)| *term == active.term))
        .then_some(())
    };
    trial.dog.wait(REPAIR, &format!("the slice to be put right after {what}"), right).await
}

/// The slice is edited and deleted: it is put right each time, and the seat stays where it is.
pub(super) async fn slice_edited(trial: &mut Trial) -> Result<()> {
    Scene::default().deploy(trial).await?;
    let active = trial.active()?;
    let standby = trial.standbys()?.into_iter().next().context("there is no standby")?;
    let (slice, object) = our_slice(trial)?;
    let endpoint = items(&object, "/endpoints").first().context("the slice is empty")?.clone();
    let mut other = endpoint.clone();
    merge(
        &mut other,
        &json!({"addresses": [standby.ip], "targetRef": {"name": standby.pod, "uid": standby.uid}}),
    );
    let mut not_ready = endpoint.clone();
    merge(&mut not_ready, &json!({"conditions": {"ready": false}}));
    trial.hurt(Inflicted::now());

    let edits = [
        ("its address was replaced", json!({"endpoints": [other]})),
        ("a second endpoint was added", json!({"endpoints": [endpoint, other]})),
        ("its endpoint was said to be not ready", json!({"endpoints": [not_ready]})),
        ("its ports were changed", json!({"ports": [{"name": "http", "port": 9, "protocol": "TCP"}]})),
        (
            "the label of its manager was removed",
            json!({"metadata": {"labels": {
                "endpointslice.kubernetes.io/managed-by": null,
            }}}),
        ),
        (
            "the label of its Service was removed",
            json!({"metadata": {"labels": {
                "kubernetes.io/service-name": null,
            }}}),
        ),
    ];
    for (what, change) in edits {
        let written = trial.patch(Kind::EndpointSlice, &slice.name, &change).await?;
        trial.dog.excuse(&written);
        let version = version_of(&written);
        repaired(trial, &active, version, what).await?;
        let (now, _) = our_slice(trial)?;
        ensure!(now.ports == slice.ports, "after {what} the ports are {:?}", now.ports);
    }
    let version = trial.dog.world().newest_version();
    trial.env.objects.delete(Kind::EndpointSlice, &trial.namespace, &slice.name).await?;
    repaired(trial, &active, version, "it was deleted").await?;

    trial.moved(0).await?;
    ensure!(trial.seat()?.term == active.term, "the term changed");
    // Traffic is where it was.
    trial.start_client(&[]).await?;
    let who = trial
        .until_seen(GENEROUS, "an answer", |trace| trace.samples().last()?.who().map(str::to_owned))
        .await?;
    ensure!(who == active.pod, "{who} answers");
    Ok(())
}

/// Somebody else keeps undoing what hotstandby writes: it goes on, but slowly, and says so.
pub(super) async fn slice_contested(trial: &mut Trial) -> Result<()> {
    Scene::default().deploy(trial).await?;
    let active = trial.active()?;
    let (slice, _) = our_slice(trial)?;
    trial.hurt(Inflicted::now());

    let change = json!({"ports": [{"name": "http", "port": 9, "protocol": "TCP"}]});
    let begin = trial.dog.world().newest_version();
    let start = Instant::now();
    let mut version = 0;
    until(PATIENT, "hotstandby to say that the slice is contested", async || {
        let written = trial.patch(Kind::EndpointSlice, &slice.name, &change).await?;
        trial.dog.excuse(&written);
        version = version_of(&written);
        let world = trial.dog.world();
        let (status, reason, _) =
            condition(world.find(Kind::ActiveStandby, GROUP).context("no group")?, "Stalled");
        let said = status == "True" && reason == "SliceContested";
        Ok((said && start.elapsed() > Duration::from_secs(4)).then_some(()))
    })
    .await?;
    let seconds = usize::try_from(start.elapsed().as_secs()).unwrap_or_default();
    let repairs = trial
        .dog
        .world()
        .records()
        .iter()
        .filter(|one| one.kind == Kind::EndpointSlice && one.version > begin)
        .filter(|one| Slice::of(&one.object).ports == slice.ports)
        .count();
    trial.note(format!("{repairs} repairs in {seconds} s"));
    // Two replicas may each write eight times before they slow down to once a second.
    ensure!(repairs <= 2 * (8 + seconds), "{repairs} repairs in {seconds} s");

    repaired(trial, &active, version, "the other one gave up").await?;
    let calm = |world: &World| {
        let group = world.find(Kind::ActiveStandby, GROUP)?;
        condition(group, "Stalled").0.is_empty().then_some(())
    };
    trial.dog.wait(PATIENT, "the group not to be stalled any more", calm).await?;
    trial.settled(3).await?;
    trial.moved(0).await
}

/// More changes of a seat than the brake lets pass make it wait for ten seconds.
const BRAKED: Duration = Duration::from_secs(20);

/// Waits for a seat other than the edited one, held by the same pod.
async fn reseated(trial: &Trial, active: &Active, version: u64, what: &str) -> Result<Seat> {
    let right = |world: &World| {
        let seat = world.seat(GROUP)?;
        (seat.version > version && seat.holder_uid == active.uid && seat.holder == active.pod).then_some(seat)
    };
    let seat = trial.dog.wait(BRAKED, &format!("the seat to be put right after {what}"), right).await?;
    let follows = |world: &World| {
        let slices = world.slices(SERVICE);
        let [slice] = slices.as_slice() else { return None };
        (slice.stamp == Some((seat.uid.clone(), seat.term))).then_some(())
    };
    trial.dog.wait(REPAIR, &format!("the slice to follow the seat after {what}"), follows).await?;
    Ok(seat)
}

/// The seat is edited and deleted: traffic stays with the active, and the record is put right with a higher
/// term than any that was ever seen. So many edits meet the brake, which leaves traffic as it is and goes off by
/// itself.
pub(super) async fn seat_edited(trial: &mut Trial) -> Result<()> {
    Scene::default().deploy(trial).await?;
    let active = trial.active()?;
    let standby = trial.standbys()?.into_iter().next().context("there is no standby")?;
    trial.start_client(&[]).await?;
    let name = Seat::name(&trial.namespace, GROUP);
    let mut highest = active.term;
    trial.hurt(Inflicted::now());

    let edits = [
        ("its holder was replaced", json!({"spec": {"holderIdentity": standby.pod}})),
        ("its term was lowered", json!({"spec": {"leaseTransitions": 3}})),
        ("its holder was removed", json!({"spec": {"holderIdentity": null}})),
    ];
    for (what, change) in edits {
        let written = trial.env.objects.patch(Kind::Lease, SYSTEM, &name, &change).await?;
        trial.dog.excuse(&written);
        let version = version_of(&written);
        let seat = reseated(trial, &active, version, what).await?;
        ensure!(seat.term > highest, "after {what} the term is {}, not above {highest}", seat.term);
        ensure!(seat.reason == "SeatRepaired", "after {what} the reason is {}", seat.reason);
        highest = seat.term;
    }
    let version = trial.dog.world().newest_version();
    trial.env.objects.delete(Kind::Lease, SYSTEM, &name).await?;
    let seat = reseated(trial, &active, version, "it was deleted").await?;
    ensure!(seat.term > highest, "after its deletion the term is {}, not above {highest}", seat.term);
    ensure!(seat.reason == "SeatRecreated", "after its deletion the reason is {}", seat.reason);

    trial.settled(3).await?;
    trial.moved(0).await?;
    trial.nothing_failed()
}

/// Somebody else's slice feeds the Service, too: users see the union, so the group is not Ready and says why.
pub(super) async fn foreign_slice(trial: &mut Trial) -> Result<()> {
    Scene::default().deploy(trial).await?;
    let active = trial.active()?;
    let standby = trial.standbys()?.into_iter().next().context("there is no standby")?;

    trial.hurt(Inflicted::now());
    let foreign = Kind::EndpointSlice.object(
        "left-behind",
        &json!({
            "metadata": {"labels": {"kubernetes.io/service-name": SERVICE}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": [standby.ip], "conditions": {"ready": true}}],
        }),
    );
    let made = trial.env.objects.create(Kind::EndpointSlice, &trial.namespace, &foreign).await?;
    trial.dog.excuse_slice(&made);
    let message = trial.condition("Ready", "False", "ForeignEndpoints", GENEROUS).await?;
    ensure!(message.contains("left-behind"), "the message names it not: {message}");
    // It is not ours to delete.
    let there = trial.env.objects.get(Kind::EndpointSlice, &trial.namespace, "left-behind").await?;
    ensure!(uid_of(&there) == uid_of(&made), "{} was replaced", name_of(&there));

    trial.env.objects.delete(Kind::EndpointSlice, &trial.namespace, "left-behind").await?;
    trial.settled(3).await?;
    ensure!(trial.seat()?.term == active.term, "the term changed");
    trial.moved(0).await
}
