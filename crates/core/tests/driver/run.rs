//! One run: a world by seed, its schedule, then the end of all trouble, and what must follow.

use super::election::Electing;
use super::faults::SLOTS;
use super::marked;
use super::op::{Op, schedule};
use super::replica::Replica;
use super::rng::Rng;
use super::sim::{Sim, Tally};
use super::world::{App, Pod, World, first_spec};
use hotstandby_core::reason::Reason;
use hotstandby_core::spec::{Failback, Timing};
use hotstandby_invariants::Invariant::{Converges, Silent};
use std::sync::Arc;
use std::time::Duration;

/// I4: once trouble is over and a candidate exists, exactly one active is served within this.
const SERVED_WITHIN: Duration = Duration::from_secs(40);
/// More than half of the nodes turned: nothing soft counts for a minute.
const ILL_FOR: Duration = Duration::from_secs(61);
/// I5: for so long nothing may be asked for.
const QUIET_FOR: Duration = Duration::from_secs(40);

/// A run that broke a rule.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// The op it showed after; the schedule's length: after trouble had ended.
    pub(super) step: usize,
    pub(super) message: String,
}

impl Failure {
    /// Which rule.
    pub(super) fn rule(&self) -> &str {
        self.message.split(':').next().unwrap_or_default()
    }
}

pub(super) fn schedule_of(seed: u64) -> Vec<Op> {
    schedule(&mut Rng::new(seed))
}

/// Runs a schedule in the world of this seed; answers what it was made of.
pub(super) fn run(seed: u64, ops: &[Op], trace: bool) -> Result<Tally, Failure> {
    let mut sim = world_of(seed, trace);
    let failed = |sim: &Sim, step: usize| {
        sim.wrong.first().map(|message| Failure { step, message: message.clone() }).map_or(Ok(()), Err)
    };
    for (step, op) in ops.iter().enumerate() {
        sim.apply(op);
        failed(&sim, step)?;
    }
    sim.heal();
    converge(&mut sim);
    failed(&sim, ops.len())?;
    be_quiet(&mut sim);
    failed(&sim, ops.len())?;
    Ok(sim.tally)
}

fn world_of(seed: u64, trace: bool) -> Sim {
    // Other numbers than the schedule's, so that leaving ops out changes as little as can be.
    let mut rng = Rng::new(seed ^ 0x5eed_0fa1_1000_0001);
    let services: Vec<Arc<str>> =
        ["web", "web-admin"].into_iter().take(if rng.chance(70) { 1 } else { 2 }).map(Into::into).collect();
    let mut spec = first_spec(&services);
    if rng.chance(50) {
        let (period, timeout) = (Duration::from_millis(200), Duration::from_millis(150));
        spec.timing = Timing { period, timeout, failure_threshold: 3 };
    }
    if rng.chance(20) {
        spec.failback = Failback::AfterDelay(Duration::from_secs(3));
    }
    let electing = Electing::of(seed);
    if let Some(electing) = &electing {
        (spec.election, spec.failback) = (electing.spec(), Failback::Never);
    }
    let nodes = rng.pick(&[1, 2, 3, 3, 4]);
    let mut world = World::new(&services, spec.clone(), nodes);
    marked::follows(&mut rng, &mut spec, &mut world);
    world.group.spec = Ok(Arc::new(spec.clone()));
    world.electing = electing;
    let pods = u8::try_from(rng.between(1, u64::from(SLOTS))).expect("few");
    for slot in 0..pods {
        world.new_pod(format!("web-{slot}").into(), format!("n{}", slot % nodes).into(), None);
    }
    let count = rng.pick(&[1, 1, 2, 2, 2, 3]);
    let replicas = (0..count)
        .map(|index| {
            let node = rng.chance(60).then(|| format!("n{}", rng.below(u64::from(nodes))).into());
            let node = node.or_else(|| Some(format!("r{index}").into()));
            let skew = i64::try_from(rng.below(7_200_000)).expect("small") - 3_600_000;
            let mut replica = Replica::new(index, node, world.now - rng.ms(0, 900), skew);
            replica.lead = index == 0;
            replica
        })
        .collect();
    Sim::new(world, replicas, rng, spec, trace)
}

fn converge(sim: &mut Sim) {
    let now = sim.world.now;
    let turned = sim.world.nodes.values().filter_map(|node| node.turned).filter(|at| *at + ILL_FOR > now);
    let ill = turned.count() * 2 > sim.world.nodes.len();
    let bound = if ill { SERVED_WITHIN + ILL_FOR } else { SERVED_WITHIN };
    sim.run_until(now + bound);
    if sim.wrong.is_empty()
        && let Err(why) = served(sim)
    {
        sim.wrong.push(Converges.broken(format!("{why} {bound:?} after all trouble")));
    }
}

/// Whether exactly one good member is served, by every Service.
fn served(sim: &Sim) -> Result<(), String> {
    let world = &sim.world;
    if !world.pods.values().any(Replica::could_serve) {
        return Ok(()); // the last ones were deleted, as the group asks
    }
    if world.electing.is_some() {
        return sim.follows_the_leader();
    }
    let record = world.seat.as_ref().ok_or("there is no seat")?;
    let marks = record.sealed().ok_or("the seat is not sealed")?;
    let pod = world.pod_by_uid(&marks.holder_uid).ok_or_else(|| format!("{} is gone", marks.holder_name))?;
    if !Replica::could_serve(pod) && !is_beyond_proof(sim, pod) {
        return Err(format!("{} holds the seat and cannot serve ({:?})", marks.holder_name, pod.app));
    }
    if sim.waits_for_the_deaf() {
        return Ok(());
    }
    sim.marked_follow(&marks.holder_uid)?;
    for service in world.services.iter().filter(|service| service.found.selecting().is_none()) {
        let slice = world.slice(&service.name).ok_or_else(|| format!("{} has no slice", service.name))?;
        let content = slice.content.as_ref().ok_or_else(|| format!("{} is edited", slice.name))?;
        let endpoint = content.endpoint.as_ref().ok_or_else(|| format!("{} is empty", slice.name))?;
        let follows = content.seat_uid == record.uid && content.term == marks.term;
        if !follows || endpoint.uid != marks.holder_uid || !pod.view.ips.contains(&endpoint.ip) {
            return Err(format!("{} does not follow the seat", slice.name));
        }
    }
    Ok(())
}

/// A hung pod that no replica has a vantage point against (ADR 2), and whose node is well.
fn is_beyond_proof(sim: &Sim, holder: &Pod) -> bool {
    let good = || sim.world.pods.values().filter(|pod| Replica::could_serve(pod));
    let proves = |replica: &Replica| {
        good().any(|pod| pod.view.node != replica.node || holder.view.node == replica.node)
    };
    holder.app == App::Hangs && holder.app_ready && !sim.replicas.iter().any(proves)
}

fn be_quiet(sim: &mut Sim) {
    if sim.waits_for_the_deaf() {
        return; // asked on and on
    }
    let failback = Reason::Failback.as_str();
    for _ in 0..4 {
        sim.noise = Some(Vec::new());
        sim.run_until(sim.world.now + QUIET_FOR);
        let noise = sim.noise.take().unwrap_or_default();
        // A return that waited for a penalty to end is no restlessness; but it must end.
        if !noise.iter().any(|line| line.contains(failback)) {
            sim.wrong.extend(noise.first().map(|line| Silent.broken(format!("{line} in the quiet"))));
            return;
        }
    }
    sim.wrong.push(Silent.broken("the seat goes back for ever"));
}

impl Replica {
    /// Whether this pod is one that a converged group could have as its active.
    pub(super) fn could_serve(pod: &Pod) -> bool {
        let view = &pod.view;
        let fit = view.selected && !view.terminating && !view.phase.is_finished() && !view.ips.is_empty();
        fit && pod.app_ready && pod.app == App::Ok
    }
}
