//! What stands between the machine and the world: calls that get lost, a killer that may be late, and bent rules.

use crate::bend::Bend;
use crate::member::{Killer, Manners, Program};
use crate::sim::{Back, Event, Order, Request, Sim};
use hotstandby_core::action::Precondition;
use hotstandby_core::gatekeeper::{
    Action, Exit, Gatekeeper, LeaseRecord, LeaseState, LeaseView, Marks, Now, Observation,
};
use hotstandby_core::observation::WriteError;
use std::time::Duration;

/// A timer is not late by more than this, and a kill takes no longer: together well within the kill margin.
const LATE_US: u64 = 50_000;

impl Sim {
    pub(super) fn start_machine(&mut self, member: usize) {
        let it = &mut self.members[member];
        it.program = Program::Await(Box::new(Gatekeeper::new(it.config.clone(), it.identity())));
        it.step_at = None;
        self.step(member);
    }

    /// The time as the machine is told it.
    fn machine_now(&self, member: usize) -> Now {
        let it = &self.members[member];
        let us = i64::try_from(it.boot(self.now).as_micros()).expect("small") - it.skip_us;
        Now { boot: Duration::from_micros(u64::try_from(us).expect("small")), unix_us: it.wall_us(self.now) }
    }

    /// A time of the machine's as the clock shows it.
    fn clock(&self, member: usize, time: Duration) -> Duration {
        let us = i64::try_from(time.as_micros()).expect("small") + self.members[member].skip_us;
        Duration::from_micros(u64::try_from(us).unwrap_or(0))
    }

    pub(super) fn tell(&mut self, member: usize, observation: Observation) {
        let observation = self.bent(member, observation);
        let now = self.machine_now(member);
        if let Program::Await(machine) = &mut self.members[member].program {
            machine.observe(now, observation);
            self.step(member);
        }
    }

    pub(super) fn step(&mut self, member: usize) {
        let now = self.machine_now(member);
        let Program::Await(machine) = &mut self.members[member].program else { return };
        let step = machine.step(now);
        let again = machine.step(now);
        if !again.actions.is_empty() || again.deadline != step.deadline {
            self.wrong = Some(format!("a second step asks for more: {again:?}"));
        }
        if step.deadline.is_some_and(|at| at <= now.boot) {
            self.wrong = Some(format!("the deadline has passed already: {step:?} at {now:?}"));
        }
        if let Some(deadline) = step.deadline {
            let deadline = self.clock(member, deadline);
            let late = self.rng.between(0, 3_000);
            let at = self.members[member].true_us(deadline, self.now) + late;
            let process = self.members[member].process;
            self.members[member].step_at = Some(at);
            self.at(at, Event::Step { member, process });
        }
        for action in step.actions {
            self.act(member, action);
        }
    }

    fn act(&mut self, member: usize, action: Action) {
        let process = self.members[member].process;
        self.note(|| format!("{member}: {action:?}"));
        let order = match action {
            Action::ReadLease { ticket, timeout } => {
                let observation =
                    Observation::LeaseRead { ticket, outcome: Err(WriteError::Unknown("timeout".into())) };
                self.call(member, Request::Read { ticket }, timeout, observation);
                return;
            }
            Action::WriteLease { ticket, precondition, record, timeout } => {
                let late = Err(WriteError::Unknown("timeout".into()));
                let observation = Observation::LeaseWritten { ticket, outcome: late };
                self.sent(member, &precondition, &record);
                self.call(member, Request::Write { ticket, pre: precondition, record }, timeout, observation);
                return;
            }
            Action::PublishEndpoint { ticket, .. } => {
                let us = self.rng.between(1_000, 60_000);
                let observation = Box::new(Observation::EndpointPublished { ticket, outcome: Ok(()) });
                self.after(us, Event::Told { member, process, observation });
                return;
            }
            Action::RemoveEndpoint { ticket, .. } => {
                let observation = Box::new(Observation::EndpointRemoved { ticket, outcome: Ok(()) });
                self.after(2_000, Event::Told { member, process, observation });
                return;
            }
            Action::Arm { term_at, kill_at } => {
                Order::Arm { term_at: self.clock(member, term_at), kill_at: self.clock(member, kill_at) }
            }
            Action::StartCommand { term, not_after } => {
                Order::Start { term, not_after: self.clock(member, not_after) }
            }
            Action::TermCommand { kill_at } => {
                if self.bend == Bend::ReleaseBeforeReaped {
                    self.pretend_dead(member);
                }
                Order::Term { kill_at: self.clock(member, kill_at) }
            }
            Action::KillCommand => {
                if self.bend == Bend::NoKillByWrapper {
                    return;
                }
                self.count("killed by the elector");
                // Itself, in case that the killer stands still; and through the killer, which may still have to start it.
                self.kill(member);
                Order::Kill
            }
            Action::Exit(exit) => return self.exit(member, exit),
        };
        let us = self.rng.between(0, 3_000);
        // In order, as on a socket.
        self.members[member].order_at = self.members[member].order_at.max(self.now + us);
        let at = self.members[member].order_at;
        self.at(at, Event::Order { member, process, order });
    }

    fn exit(&mut self, member: usize, exit: Exit) {
        if self.members[member].command.alive && self.bend != Bend::ReleaseBeforeReaped {
            self.wrong = Some(format!("{member} ends with {exit:?} while its command lives"));
        }
        if self.members[member].command.alive {
            // The killer finds it alive when the elector is gone.
            self.members[member].wrapper_dead = true;
            self.kill(member);
        } else {
            self.container_ends(member);
        }
    }

    fn call(&mut self, member: usize, request: Request, timeout: Duration, late: Observation) {
        let process = self.members[member].process;
        let timeout_at =
            self.members[member].true_us(self.members[member].boot(self.now) + timeout, self.now);
        self.at(timeout_at, Event::Told { member, process, observation: Box::new(late) });
        let quick = |rng: &mut crate::rng::Rng| rng.between(500, 12_000);
        let (there, first) = (quick(&mut self.rng), quick(&mut self.rng));
        let slow = self.rng.between(50_000, 2_600_000);
        let kind = if self.calm { 0 } else { self.rng.below(100) };
        let (there, back) = match kind {
            0..72 => (there, Back::Answer { us: first }),
            72..80 => (there, Back::Answer { us: slow }),
            80..85 => (slow, Back::Answer { us: first }),
            85..88 => return,
            88..91 => (there, Back::Never),
            91..94 => (there, Back::Unknown { us: first }),
            // A 504 at once, and the write applied later all the same.
            94..96 => {
                let outcome = Err(WriteError::Unknown("504".into()));
                let observation = match &request {
                    Request::Read { ticket } => Observation::LeaseRead {
                        ticket: *ticket,
                        outcome: Err(WriteError::Unknown("504".into())),
                    },
                    Request::Write { ticket, .. } => Observation::LeaseWritten { ticket: *ticket, outcome },
                };
                self.after(there, Event::Told { member, process, observation: Box::new(observation) });
                (slow, Back::Never)
            }
            96..98 => (there, Back::Conflict { us: first }),
            _ => (there, Back::Unknown { us: slow }),
        };
        self.after(there, Event::Arrives { member, process, request: Box::new(request), back });
    }

    pub(super) fn order(&mut self, member: usize, order: &Order) {
        let process = self.members[member].process;
        match *order {
            Order::Arm { term_at, kill_at } => {
                let killer = &mut self.members[member].killer;
                killer.term_at = Some(term_at);
                killer.kill_at = Some(kill_at);
                self.wind(member);
            }
            Order::Start { term, not_after } => {
                let in_time = self.members[member].boot(self.now) <= not_after;
                if in_time || self.bend == Bend::LateStart {
                    self.members[member].killer.termed = false;
                    self.members[member].killer.killed = false;
                    self.members[member].killer.reported = false;
                    self.members[member].killer.patience = None;
                    self.exec(member, Some(term));
                    self.wind(member);
                } else {
                    self.count("start came too late");
                    let observation = Box::new(Observation::StartMissed);
                    self.after(500, Event::Told { member, process, observation });
                }
            }
            Order::Term { kill_at } => {
                let killer = &mut self.members[member].killer;
                killer.patience = Some(killer.patience.map_or(kill_at, |before| before.min(kill_at)));
                self.term(member);
                self.wind(member);
            }
            Order::Kill | Order::WrapperGone => self.kill(member),
        }
    }

    /// Sets the killer's timers.
    fn wind(&mut self, member: usize) {
        let Killer { term_at, kill_at, patience, .. } = self.members[member].killer.clone();
        let process = self.members[member].process;
        for at in [term_at, kill_at, patience].into_iter().flatten() {
            let late = self.rng.between(0, LATE_US);
            let at = self.members[member].true_us(at, self.now) + late;
            self.at(at, Event::KillerLooks { member, process });
        }
    }

    pub(super) fn killer_looks(&mut self, member: usize) {
        let it = &self.members[member];
        let boot = it.boot(self.now);
        let passed = |at: Option<Duration>| at.is_some_and(|at| boot >= at);
        let (term, kill) =
            (passed(it.killer.term_at), passed(it.killer.kill_at) || passed(it.killer.patience));
        if !it.command.alive || self.bend == Bend::NoKiller {
            return;
        }
        let process = it.process;
        let fires = if kill && !it.killer.killed {
            self.members[member].killer.killed = true;
            self.count("killed by the killer's deadline");
            self.kill(member);
            true
        } else if term && !it.killer.termed {
            self.count("TERM by the killer's deadline");
            self.term(member);
            true
        } else {
            false
        };
        if fires {
            self.after(500, Event::Told { member, process, observation: Box::new(Observation::KillerFired) });
        }
    }

    fn term(&mut self, member: usize) {
        let it = &mut self.members[member];
        if it.killer.termed || !it.command.main_alive {
            return;
        }
        it.killer.termed = true;
        if it.command.manners == Manners::EndsOnTerm {
            let generation = it.command.generation;
            let us = self.rng.between(1_000, 400_000);
            self.after(us, Event::Ends { member, generation, code: 143 });
        }
    }

    pub(super) fn kill(&mut self, member: usize) {
        let generation = self.members[member].command.generation;
        let us = self.rng.between(200, LATE_US);
        self.after(us, Event::Killed { member, generation });
    }

    pub(super) fn command_ends(&mut self, member: usize, generation: u64, _code: u8) {
        let it = &mut self.members[member];
        if it.command.generation != generation || !it.command.main_alive {
            return;
        }
        it.command.main_alive = false;
        it.command.alive = it.command.daemonises;
        let (plain, process) = (it.plain, it.process);
        self.note(|| format!("{member}: command ended"));
        if plain {
            self.container_ends(member);
        } else {
            self.after(500, Event::Reaps { member, process });
        }
    }

    pub(super) fn command_killed(&mut self, member: usize, generation: u64) {
        let it = &mut self.members[member];
        if it.command.generation != generation {
            return;
        }
        it.command.main_alive = false;
        it.command.alive = false;
        let process = it.process;
        self.note(|| format!("{member}: command and all of it dead"));
        if self.members[member].wrapper_dead {
            self.container_ends(member);
        } else {
            self.after(500, Event::Reaps { member, process });
        }
    }

    pub(super) fn reap(&mut self, member: usize) {
        let process = self.members[member].process;
        let it = &mut self.members[member];
        if it.command.main_alive || it.command.generation == 0 {
            return;
        }
        let tell_end = !std::mem::replace(&mut it.killer.reported, true);
        let all_dead = !it.command.alive || self.bend == Bend::DaemonsOverlooked;
        if tell_end {
            let observation = Box::new(Observation::CommandExited { code: 0 });
            self.after(300, Event::Told { member, process, observation });
        }
        if all_dead {
            self.after(600, Event::Told { member, process, observation: Box::new(Observation::AllDead) });
        }
    }

    fn pretend_dead(&mut self, member: usize) {
        let process = self.members[member].process;
        for observation in [Observation::CommandExited { code: 0 }, Observation::AllDead] {
            self.after(0, Event::Told { member, process, observation: Box::new(observation) });
        }
    }

    /// Notes what a bent rule needs to know of a write.
    fn sent(&mut self, member: usize, pre: &Precondition, record: &LeaseRecord) {
        let now = self.now;
        let it = &mut self.members[member];
        it.last_write = Some((now, pre.clone(), record.clone()));
    }

    /// The observation as the machine gets it, where a rule is bent.
    fn bent(&mut self, member: usize, mut observation: Observation) -> Observation {
        match self.bend {
            Bend::CountFromAnswer => self.forget_the_wait(member, &observation),
            Bend::UnknownIsStored => self.take_for_stored(member, &mut observation),
            Bend::NameIsEnough | Bend::OwnDurationOnly => {
                if let Some(view) = view_of(&mut observation) {
                    self.bend_view(member, view);
                }
            }
            Bend::TimestampsBelieved => self.believe(member, &mut observation),
            Bend::VanishedIsFree => self.forget_the_lease(member, &observation),
            _ => {}
        }
        observation
    }

    fn bend_view(&self, member: usize, view: &mut LeaseView) {
        let me = self.members[member].identity();
        if self.bend == Bend::OwnDurationOnly {
            // Not on one's own record, which would no longer be known.
            if view.record.holder.as_ref() != Some(&me.name) {
                view.record.duration_seconds = 0;
            }
            return;
        }
        let mine = view.record.sealed().is_some_and(|marks| marks.instance == me.instance);
        if view.record.holder.as_ref() == Some(&me.name) && !mine {
            view.record.marks = Some(Marks {
                holder_name: me.name,
                pod_uid: me.pod_uid,
                container: me.container,
                instance: "earlier".into(),
                term: view.record.term,
                renewed_us: view.record.renewed_us,
            });
        }
    }

    /// The clock that the machine sees did not go on between the send and the answer.
    fn forget_the_wait(&mut self, member: usize, observation: &Observation) {
        let now = self.now;
        let it = &mut self.members[member];
        if let (Observation::LeaseWritten { outcome: Ok(_), .. }, Some((sent, ..))) =
            (observation, &it.last_write)
        {
            it.skip_us += i64::try_from(now - sent).expect("small");
            it.last_write = None;
        }
    }

    fn take_for_stored(&mut self, member: usize, observation: &mut Observation) {
        let Some((_, Precondition::Unchanged { uid, rv }, record)) = self.members[member].last_write.clone()
        else {
            return;
        };
        if let Observation::LeaseWritten { outcome: outcome @ Err(WriteError::Unknown(_)), .. } = observation
        {
            *outcome = Ok(LeaseView { uid, rv, record });
        }
    }

    /// The machine's clock jumps to where the record would be as old as its writer's wall clock says.
    fn believe(&mut self, member: usize, observation: &mut Observation) {
        let wall = self.members[member].wall_us(self.now);
        let it = &mut self.members[member];
        let first =
            matches!(&it.program, Program::Await(machine) if machine.status(Duration::ZERO).term.is_none());
        if first && let Some(view) = view_of(observation) {
            let age = wall - view.record.renewed_us;
            it.believed_us = Some(age.clamp(0, 60_000_000));
        } else if let Some(age) = it.believed_us.take() {
            it.skip_us -= age;
        }
    }

    fn forget_the_lease(&mut self, member: usize, observation: &Observation) {
        let it = &mut self.members[member];
        let absent = matches!(observation, Observation::LeaseRead { outcome: Ok(LeaseState::Absent), .. });
        let knew =
            matches!(&it.program, Program::Await(machine) if machine.status(Duration::ZERO).term.is_some());
        if absent && knew && !it.command.alive {
            it.program = Program::Await(Box::new(Gatekeeper::new(it.config.clone(), it.identity())));
        }
    }
}

fn view_of(observation: &mut Observation) -> Option<&mut LeaseView> {
    match observation {
        Observation::LeaseSeen(LeaseState::Present(view))
        | Observation::LeaseRead { outcome: Ok(LeaseState::Present(view)), .. }
        | Observation::LeaseWritten { outcome: Ok(view), .. } => Some(view),
        _ => None,
    }
}
