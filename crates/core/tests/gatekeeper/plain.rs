//! A member by client-go's rules, as k8s-await-election runs it: polls, does not release, kills when it gives up.

use crate::member::Program;
use crate::sim::{Event, Sim};
use hotstandby_core::action::Precondition;
use hotstandby_core::gatekeeper::{LeaseRecord, LeaseState, LeaseView};
use hotstandby_core::ids::Term;
use std::time::Duration;

#[derive(Clone, Debug, Default)]
pub(super) struct Plain {
    observed: Option<LeaseRecord>,
    observed_at: Duration,
    leads: bool,
    /// When it gives up: set when a renewal begins, cleared when one is stored.
    give_up_at: Option<Duration>,
    running: bool,
}

/// The stages of one attempt.
#[derive(Clone, Debug)]
pub(super) enum Tick {
    /// GET goes out.
    Try,
    /// The server reads.
    Read,
    /// Its answer is here.
    Got(Box<LeaseState>),
    /// The server writes.
    Write(Box<(Precondition, LeaseRecord)>),
    /// Its answer is here.
    Wrote(Box<Option<LeaseView>>),
    /// Time to give up?
    Deadline,
}

pub(super) fn start(sim: &mut Sim, member: usize) {
    sim.members[member].program = Program::Plain(Plain::default());
    later(sim, member, 0, Tick::Try);
}

fn later(sim: &mut Sim, member: usize, us: u64, tick: Tick) {
    let process = sim.members[member].process;
    sim.after(us, Event::Plain { member, process, tick });
}

/// After the retry period, with client-go's jitter.
fn try_again(sim: &mut Sim, member: usize) {
    let period = u64::try_from(sim.members[member].config.timing().retry_period.as_micros()).expect("small");
    let us = period + sim.rng.below(period / 5 + 1);
    later(sim, member, us, Tick::Try);
}

fn plain(sim: &mut Sim, member: usize) -> &mut Plain {
    match &mut sim.members[member].program {
        Program::Plain(plain) => plain,
        other => panic!("not plain: {other:?}"),
    }
}

pub(super) fn tick(sim: &mut Sim, member: usize, tick: Tick) {
    let boot = sim.members[member].boot(sim.now);
    let (there, back) = (sim.rng.between(500, 12_000), sim.rng.between(500, 12_000));
    // A call that is lost ends the attempt; the next comes after the retry period.
    let lost = sim.is_cut(member) || !sim.calm && sim.rng.chance(4);
    match tick {
        Tick::Try => {
            let timing = sim.members[member].config.timing();
            let it = plain(sim, member);
            if it.leads && it.give_up_at.is_none() {
                let at = boot + timing.renew_deadline;
                it.give_up_at = Some(at);
                let us = sim.members[member].true_us(at, sim.now) - sim.now;
                later(sim, member, us, Tick::Deadline);
            }
            later(sim, member, there, Tick::Read);
        }
        Tick::Read | Tick::Write(_) if lost => try_again(sim, member),
        Tick::Read => {
            let state = Box::new(sim.store.state.clone());
            later(sim, member, back, Tick::Got(state));
        }
        Tick::Got(state) => match attempt(sim, member, boot, &state) {
            Some(write) => later(sim, member, there, Tick::Write(Box::new(write))),
            None => try_again(sim, member),
        },
        Tick::Write(write) => {
            let stored = sim.store.write(&write.0, &write.1).ok();
            if let Some(view) = &stored {
                sim.note(|| format!("{member}: plain wrote term {}", view.record.term));
                sim.spread();
            }
            later(sim, member, back, Tick::Wrote(Box::new(stored)));
        }
        Tick::Wrote(stored) => {
            if let Some(view) = *stored {
                let it = plain(sim, member);
                it.observed = Some(view.record);
                it.observed_at = boot;
                it.leads = true;
                it.give_up_at = None;
                if !std::mem::replace(&mut it.running, true) {
                    sim.count("plain started");
                    sim.exec(member, None);
                }
            }
            try_again(sim, member);
        }
        Tick::Deadline => {
            if plain(sim, member).give_up_at.is_some_and(|at| boot >= at) {
                sim.count("plain gave up");
                sim.note(|| format!("{member}: plain gives up"));
                sim.container_ends(member);
            }
        }
    }
}

/// One attempt by client-go's rules: what to write, if anything.
fn attempt(
    sim: &mut Sim,
    member: usize,
    boot: Duration,
    state: &LeaseState,
) -> Option<(Precondition, LeaseRecord)> {
    let wall = sim.members[member].wall_us(sim.now);
    let name = sim.members[member].name.clone();
    let duration_seconds = sim.members[member].config.lease_seconds();
    let mut record = LeaseRecord {
        holder: Some(name.clone()),
        term: Term(0),
        duration_seconds,
        acquired_us: wall,
        renewed_us: wall,
        marks: None,
    };
    let it = plain(sim, member);
    let LeaseState::Present(view) = state else { return Some((Precondition::Absent, record)) };
    if it.observed.as_ref() != Some(&view.record) {
        it.observed = Some(view.record.clone());
        it.observed_at = boot;
    }
    let mine = view.record.holder.as_ref() == Some(&name);
    let valid = it.observed_at + Duration::from_secs(view.record.duration_seconds.into()) > boot;
    if view.record.holder.is_some() && valid && !mine {
        return None;
    }
    record.term = if mine { view.record.term } else { view.record.term.next() };
    if mine {
        record.acquired_us = view.record.acquired_us;
    }
    record.marks.clone_from(&view.record.marks);
    Some((Precondition::Unchanged { uid: view.uid.clone(), rv: view.rv.clone() }, record))
}
