//! True time, the queue of events, and what each of them does. I2 is checked at each start of a command.

use crate::bend::Bend;
use crate::member::{Command, Killer, Manners, Member, Program};
use crate::op::Op;
use crate::plain;
use crate::rng::Rng;
use crate::store::Store;
use hotstandby_core::action::{Precondition, Ticket};
use hotstandby_core::gatekeeper::{LeaseRecord, LeaseState, Observation};
use hotstandby_core::ids::{Term, Uid};
use hotstandby_core::observation::WriteError;
use hotstandby_invariants::Invariant::{OneProcess, TermsGrow};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often what happened: a schedule in which nothing happens tests nothing.
pub(super) type Tally = BTreeMap<&'static str, u64>;

/// To the killer: deadlines, and what to do with the command.
#[derive(Clone, Debug)]
pub(super) enum Order {
    Arm { term_at: Duration, kill_at: Duration },
    Start { term: Term, not_after: Duration },
    Term { kill_at: Duration },
    Kill,
    WrapperGone,
}

/// What a request wants of the store.
#[derive(Clone, Debug)]
pub(super) enum Request {
    Read { ticket: Ticket },
    Write { ticket: Ticket, pre: Precondition, record: LeaseRecord },
}

/// How an answer comes, if it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Back {
    Answer {
        us: u64,
    },
    /// As if another had been faster, although it was applied: a repeated request met its own write.
    Conflict {
        us: u64,
    },
    /// 504.
    Unknown {
        us: u64,
    },
    Never,
}

#[derive(Clone, Debug)]
pub(super) enum Event {
    Op(usize),
    Start {
        member: usize,
    },
    Step {
        member: usize,
        process: u64,
    },
    Told {
        member: usize,
        process: u64,
        observation: Box<Observation>,
    },
    Order {
        member: usize,
        process: u64,
        order: Order,
    },
    KillerLooks {
        member: usize,
        process: u64,
    },
    /// The command itself ends.
    Ends {
        member: usize,
        generation: u64,
        code: u8,
    },
    /// All of it ends.
    Killed {
        member: usize,
        generation: u64,
    },
    /// The killer sees that.
    Reaps {
        member: usize,
        process: u64,
    },
    Arrives {
        member: usize,
        process: u64,
        request: Box<Request>,
        back: Back,
    },
    Watch {
        member: usize,
        process: u64,
        order: u64,
        state: Box<LeaseState>,
    },
    Plain {
        member: usize,
        process: u64,
        tick: plain::Tick,
    },
}

pub(super) struct Sim {
    pub(super) now: u64,
    pub(super) rng: Rng,
    pub(super) store: Store,
    pub(super) members: Vec<Member>,
    pub(super) bend: Bend,
    pub(super) ops: Vec<Op>,
    pub(super) calm: bool,
    pub(super) api_until: u64,
    /// No process starts before this: one that never saw a deleted Lease cannot know that it was there.
    pub(super) no_start_until: u64,
    pub(super) last_term: Option<(Uid, Term)>,
    pub(super) tally: Tally,
    pub(super) wrong: Option<String>,
    /// The terms of the two commands that broke I2: the one that ran, the one that started.
    pub(super) overlap: Option<(Term, Term)>,
    pub(super) trace: bool,
    queue: BTreeMap<(u64, u64), Event>,
    pub(super) sequence: u64,
}

impl Sim {
    pub(super) fn new(rng: Rng, members: Vec<Member>, ops: Vec<Op>, bend: Bend, trace: bool) -> Self {
        let mut store = Store::new();
        store.careless = bend == Bend::NoVersion;
        let mut sim = Self {
            now: 0,
            rng,
            store,
            members,
            bend,
            ops,
            calm: false,
            api_until: 0,
            no_start_until: 0,
            last_term: None,
            tally: Tally::new(),
            wrong: None,
            overlap: None,
            trace,
            queue: BTreeMap::new(),
            sequence: 0,
        };
        for index in 0..sim.ops.len() {
            sim.at(sim.ops[index].at_us, Event::Op(index));
        }
        for member in 0..sim.members.len() {
            let after = sim.rng.between(0, 300_000);
            sim.at(after, Event::Start { member });
        }
        sim
    }

    pub(super) fn at(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((at.max(self.now), self.sequence), event);
    }

    pub(super) fn after(&mut self, us: u64, event: Event) {
        self.at(self.now + us, event);
    }

    pub(super) fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    pub(super) fn note(&self, text: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{:>12?}  {}", Duration::from_micros(self.now), text());
        }
    }

    pub(super) fn run_until(&mut self, end: u64) {
        while self.wrong.is_none() {
            let Some((&(at, sequence), _)) = self.queue.first_key_value() else { break };
            if at > end {
                break;
            }
            let event = self.queue.remove(&(at, sequence)).expect("just seen");
            self.now = at;
            self.handle(event);
            self.wrong = self.wrong.take().or(self.store.wrong.take());
        }
        self.now = end;
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Op(index) => self.apply(index),
            Event::Start { member } => self.start_process(member),
            Event::Step { member, process } => {
                if self.wrapper_is_there(member, process, || Event::Step { member, process })
                    && self.members[member].step_at.is_some_and(|at| at <= self.now)
                {
                    self.members[member].step_at = None;
                    self.step(member);
                }
            }
            Event::Told { member, process, observation } => {
                let again = observation.clone();
                if self.wrapper_is_there(member, process, || Event::Told {
                    member,
                    process,
                    observation: again,
                }) {
                    self.tell(member, *observation);
                }
            }
            Event::Watch { member, process, order, state } => {
                let again = state.clone();
                let retry = || Event::Watch { member, process, order, state: again };
                if self.wrapper_is_there(member, process, retry) && self.members[member].watch_order <= order
                {
                    self.members[member].watch_order = order;
                    self.tell(member, Observation::LeaseSeen(*state));
                }
            }
            Event::Order { member, process, order } => {
                if self.killer_is_there(
                    member,
                    process,
                    Event::Order { member, process, order: order.clone() },
                ) {
                    self.order(member, &order);
                }
            }
            Event::KillerLooks { member, process } => {
                if self.killer_is_there(member, process, Event::KillerLooks { member, process }) {
                    self.killer_looks(member);
                }
            }
            Event::Reaps { member, process } => {
                if self.killer_is_there(member, process, Event::Reaps { member, process }) {
                    self.reap(member);
                }
            }
            Event::Ends { member, generation, code } => self.command_ends(member, generation, code),
            Event::Killed { member, generation } => self.command_killed(member, generation),
            Event::Arrives { member, process, request, back } => self.arrive(member, process, &request, back),
            Event::Plain { member, process, tick } => {
                if self.members[member].process == process {
                    plain::tick(self, member, tick);
                }
            }
        }
    }

    /// Whether the elector can act; where it stands still, the event waits.
    fn wrapper_is_there(&mut self, member: usize, process: u64, again: impl FnOnce() -> Event) -> bool {
        let it = &self.members[member];
        if it.process != process || it.wrapper_dead || !matches!(it.program, Program::Await(_)) {
            return false;
        }
        let until = it.wrapper_until;
        if until > self.now {
            self.at(until, again());
            return false;
        }
        true
    }

    fn killer_is_there(&mut self, member: usize, process: u64, again: Event) -> bool {
        let it = &self.members[member];
        if it.process != process {
            return false;
        }
        let until = it.killer_until;
        if until > self.now {
            self.at(until, again);
            return false;
        }
        true
    }

    fn start_process(&mut self, member: usize) {
        if self.now < self.no_start_until {
            self.at(self.no_start_until, Event::Start { member });
            return;
        }
        let it = &mut self.members[member];
        if !matches!(it.program, Program::Down) || it.command.alive {
            return;
        }
        if it.stopping {
            it.stopping = false;
            it.pod += 1;
        }
        it.process += 1;
        it.wrapper_dead = false;
        it.killer = Killer::default();
        it.step_at = None;
        it.skip_us = 0;
        let process = it.process;
        self.note(|| format!("{member}: process {process} starts"));
        if self.members[member].plain {
            plain::start(self, member);
        } else {
            self.start_machine(member);
        }
    }

    /// All processes of the container are dead; it is started again later.
    pub(super) fn container_ends(&mut self, member: usize) {
        let it = &mut self.members[member];
        it.program = Program::Down;
        it.wrapper_dead = true;
        it.process += 1;
        it.command.alive = false;
        it.command.main_alive = false;
        it.command.generation += 1;
        // A frozen process that is killed is not frozen any more.
        it.wrapper_until = 0;
        it.killer_until = 0;
        let after = self.rng.between(20_000, 2_500_000);
        self.after(after, Event::Start { member });
    }

    /// I2, at the moment the command is executed.
    pub(super) fn exec(&mut self, member: usize, term: Option<Term>) {
        for (other, it) in self.members.iter().enumerate() {
            if it.command.alive {
                self.wrong = Some(
                    OneProcess.broken(format!("the command starts at {member} while it runs at {other}")),
                );
                self.overlap = it.command.term.zip(term);
            }
        }
        if let Some(term) = term {
            // Terms compare only within one Lease.
            let uid = self.store.view().map_or_else(|| "none".into(), |view| view.uid.clone());
            if self.last_term.as_ref().is_some_and(|(last_uid, last)| *last_uid == uid && term <= *last) {
                self.wrong = Some(
                    TermsGrow
                        .broken(format!("a command starts at term {term} after one at {:?}", self.last_term)),
                );
            }
            self.last_term = Some((uid, term));
        }
        self.count("command started");
        let manners = if self.rng.chance(40) { Manners::IgnoresTerm } else { Manners::EndsOnTerm };
        let daemonises = self.rng.chance(20);
        let it = &mut self.members[member];
        let generation = it.command.generation + 1;
        it.command = Command { generation, term, alive: true, main_alive: true, manners, daemonises };
        self.note(|| format!("{member}: command runs at term {term:?} ({manners:?}, daemon: {daemonises})"));
    }

    fn arrive(&mut self, member: usize, process: u64, request: &Request, back: Back) {
        let cut = self.is_cut(member);
        let outcome = match request {
            _ if cut => return,
            Request::Read { ticket } => {
                Observation::LeaseRead { ticket: *ticket, outcome: Ok(self.store.state.clone()) }
            }
            Request::Write { ticket, pre, record } => {
                let holder = self.store.view().and_then(|view| view.record.holder.clone());
                let outcome = self.store.write(pre, record);
                self.count_write(holder.as_deref(), record, outcome.is_ok(), back);
                self.note(|| {
                    let stored = if outcome.is_ok() { "stored" } else { "conflict" };
                    format!(
                        "{member}: write {:?} term {} {stored}, back {back:?}",
                        record.holder, record.term
                    )
                });
                if outcome.is_ok() {
                    self.spread();
                }
                Observation::LeaseWritten { ticket: *ticket, outcome }
            }
        };
        let (us, observation) = match back {
            Back::Answer { us } => (us, outcome),
            Back::Conflict { us } => (us, failed(&outcome, WriteError::Conflict)),
            Back::Unknown { us } => (us, failed(&outcome, WriteError::Unknown("504".into()))),
            Back::Never => return,
        };
        if !matches!(self.members[member].program, Program::Plain(_)) {
            let observation = Box::new(observation);
            self.after(us, Event::Told { member, process, observation });
        }
    }

    fn count_write(&mut self, before: Option<&str>, record: &LeaseRecord, stored: bool, back: Back) {
        let open = !matches!(back, Back::Answer { .. });
        self.count(match (before, record.holder.as_deref()) {
            _ if !stored => "write in vain",
            _ if open => "stored without an answer",
            (Some(before), Some(now)) if before != now => "taken from another",
            (None, Some(_)) => "taken when free",
            (_, None) => "released",
            (Some(_), Some(_)) => "renewed, or taken from an earlier process",
        });
    }

    pub(super) fn is_cut(&self, member: usize) -> bool {
        self.now < self.api_until || self.now < self.members[member].cut_until
    }

    /// Tells all watches of a change.
    pub(super) fn spread(&mut self) {
        for member in 0..self.members.len() {
            let us = if self.rng.chance(8) && !self.calm {
                self.rng.between(50_000, 700_000)
            } else {
                self.rng.between(500, 15_000)
            };
            let it = &self.members[member];
            let clear = it.cut_until.max(it.watch_until).max(self.api_until).max(self.now);
            let (process, order) = (it.process, self.sequence);
            let state = Box::new(self.store.state.clone());
            self.at(clear + us, Event::Watch { member, process, order, state });
        }
    }
}

fn failed(answer: &Observation, error: WriteError) -> Observation {
    match answer {
        Observation::LeaseRead { ticket, .. } => {
            Observation::LeaseRead { ticket: *ticket, outcome: Err(error) }
        }
        Observation::LeaseWritten { ticket, .. } => {
            Observation::LeaseWritten { ticket: *ticket, outcome: Err(error) }
        }
        other => other.clone(),
    }
}
