//! One run: members by seed, their trouble, its end, and what must follow. A failing one is made small.

use crate::bend::Bend;
use crate::member::Member;
use crate::op::{Op, What, schedule};
use crate::rng::Rng;
use crate::sim::{Sim, Tally};
use hotstandby_core::gatekeeper::{Config, DEFAULT_KILL_MARGIN, Timing, Traffic};
use hotstandby_core::ids::Term;
use hotstandby_invariants::Invariant::Converges;
use std::time::Duration;

/// Leases and trouble of a seed.
struct World {
    members: Vec<Member>,
    lease_us: u64,
    span_us: u64,
}

fn timing(lease_ms: u64, renew_ms: u64, retry_ms: u64) -> Timing {
    Timing {
        lease_duration: Duration::from_millis(lease_ms),
        renew_deadline: Duration::from_millis(renew_ms),
        retry_period: Duration::from_millis(retry_ms),
    }
}

fn world_of(seed: u64, bend: Bend) -> World {
    let margin = if bend == Bend::NoMargin { Duration::ZERO } else { DEFAULT_KILL_MARGIN };
    let mut rng = Rng::new(seed ^ 0x6a7e_0000_0000_0001);
    let count = rng.pick(&[2, 2, 3]);
    let mixed = rng.chance(25);
    let slow = [Timing::DEFAULT, timing(6_000, 4_000, 1_000), timing(3_000, 2_000, 500)];
    let fast = [Timing::FASTEST, timing(2_000, 1_500, 300), timing(3_000, 2_000, 500)];
    let common = if mixed { rng.pick(&slow) } else { rng.pick(&fast) };
    let differ = rng.chance(35);
    let same_name = rng.chance(25) && !mixed;
    let members: Vec<Member> = (0..count)
        .map(|index| {
            let other = if mixed { rng.pick(&slow) } else { rng.pick(&fast) };
            let timing = if differ { other } else { common };
            let traffic = rng.pick(&[Traffic::None, Traffic::BeforeStart]);
            let config = Config::new(timing, margin).expect("good durations");
            let config = config.with_traffic(traffic).with_grace(rng.ms(300, 4_000));
            let name = if same_name { "db-0".to_owned() } else { format!("db-{index}") };
            // At least one of ours is there.
            let plain = mixed && index != 0 && rng.chance(70);
            Member::new(&mut rng, name.into(), config, plain)
        })
        .collect();
    let longest = members.iter().map(|it| it.config.timing().lease_duration).max().expect("some");
    let lease_us = u64::try_from(longest.as_micros()).expect("small");
    World { members, lease_us, span_us: lease_us * 12 }
}

pub(super) fn schedule_of(seed: u64) -> Vec<Op> {
    let world = world_of(seed, Bend::Nothing);
    schedule(&mut Rng::new(seed), world.members.len(), world.span_us, world.lease_us)
}

/// Runs a schedule; answers what happened.
pub(super) fn run(seed: u64, ops: &[Op], bend: Bend, trace: bool) -> Result<Tally, String> {
    let world = world_of(seed, bend);
    let rng = Rng::new(seed ^ 0x0bad_cafe);
    let mut sim = Sim::new(rng, world.members, ops.to_vec(), bend, trace);
    sim.run_until(world.span_us + world.lease_us);
    sim.heal();
    // I4: what is still under way ends, a lease is waited out (or two), and the command runs.
    let end = sim.now + world.lease_us * 6 + 12_000_000;
    let mut lives = false;
    while sim.now < end && sim.wrong.is_none() && !lives {
        sim.run_until(sim.now + 100_000);
        lives = sim.members.iter().any(|it| it.command.main_alive);
    }
    match sim.wrong {
        Some(wrong) => Err(wrong),
        None if !lives => Err(Converges.broken("no command runs after all trouble has ended")),
        None => Ok(sim.tally),
    }
}

/// Freezes a whole machine for three leases: the terms of two commands that then ran at once, the older one's first.
pub(super) fn freeze_a_machine(seed: u64) -> Option<(Term, Term)> {
    let world = world_of(seed, Bend::Nothing);
    let what = What::FreezeMachine { us: world.lease_us * 3 };
    let ops = (0..world.members.len()).map(|member| {
        // One after the other, so that the one that holds the lease is among them.
        let turn = u64::try_from(member).expect("few");
        Op { at_us: world.lease_us * (2 + turn * 4), member, what }
    });
    let rng = Rng::new(seed ^ 0x0bad_cafe);
    let mut sim = Sim::new(rng, world.members, ops.collect(), Bend::Nothing, false);
    sim.run_until(world.span_us + world.lease_us * 4);
    sim.overlap
}

/// The smallest schedule found that breaks the same rule.
pub(super) fn shrink(seed: u64, ops: &[Op], bend: Bend, message: &str) -> Vec<Op> {
    let rule = message.split(':').next().unwrap_or_default();
    let fails = |ops: &[Op]| {
        run(seed, ops, bend, false).is_err_and(|other| other.split(':').next().unwrap_or_default() == rule)
    };
    let mut best = ops.to_vec();
    let mut index = 0;
    while index < best.len() {
        let mut without = best.clone();
        without.remove(index);
        if fails(&without) {
            best = without;
            index = 0;
        } else {
            index += 1;
        }
    }
    best
}
