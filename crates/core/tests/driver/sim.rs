//! Time, events, and the replicas' calls: what was asked for is done, late, twice, or not at all.

use super::calls::{Fate, SliceCall};
use super::check::Asker;
use super::history::FactKey;
use super::marked::MarkedCall;
use super::replica::{Note, Replica};
use super::rng::Rng;
use super::truth;
use super::world::{KINDS, Kind, World};
use hotstandby_core::action::{Action, Precondition, ProbeTarget, SeatWrite, Ticket};
use hotstandby_core::health::Outcome;
use hotstandby_core::ids::Uid;
use hotstandby_core::observation::{Observation, WriteError};
use hotstandby_core::spec::GroupSpec;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A group that is not at rest after as many steps at one moment never will be.
const MOST_ROUNDS: usize = 30;
/// Levels are sent again: what a watch dropped comes in the end.
const RESEND: Duration = Duration::from_secs(3);

/// A process that an event belongs to: one that ended gets no answers.
pub(super) type Who = (usize, usize);

#[derive(Clone, Debug)]
pub(super) enum Event {
    View {
        who: Who,
        kind: Kind,
        version: u64,
    },
    Resend {
        who: Who,
    },
    Step {
        who: Who,
    },
    Observe {
        who: Who,
        observation: Box<Observation>,
        note: Note,
    },
    ReadPart {
        who: Who,
        ticket: Ticket,
        part: usize,
    },
    Seat {
        who: Who,
        ticket: Ticket,
        pre: Precondition,
        seat: Box<SeatWrite>,
        fact: Option<FactKey>,
        fate: Fate,
    },
    Slice {
        who: Who,
        write: Box<SliceCall>,
        fate: Fate,
    },
    SliceReadBack {
        who: Who,
        write: Box<SliceCall>,
        error: WriteError,
    },
    Marked {
        who: Who,
        call: Box<MarkedCall>,
        fate: Fate,
    },
    Peers {
        who: Who,
        ticket: Ticket,
        uid: Uid,
        node: Option<Arc<str>>,
        since: Duration,
    },
    Relist {
        who: Who,
    },
    ProbeEnd {
        who: Who,
        target: Box<ProbeTarget>,
        outcome: Outcome,
        sent: Duration,
    },
    Status {
        answered: Option<hotstandby_core::switchover::Answer>,
        term: Option<hotstandby_core::ids::Term>,
        delivered: Vec<hotstandby_core::notice::Delivered>,
    },
    Thaw {
        index: usize,
    },
    Elect,
    PodGone(Uid),
    NodeNoticed(Arc<str>),
    NodeWell(Arc<str>),
    NodeRestored(Arc<str>),
}

/// What a run was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) steps: u64,
    /// Stored changes of the seat by reason; and live reads, writes of slices, vetoes, conflicts, lost answers.
    pub(super) counts: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub(super) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        for (what, count) in &other.counts {
            *self.counts.entry(what).or_default() += count;
        }
    }
}

pub(super) struct Sim {
    pub(super) world: World,
    pub(super) replicas: Vec<Replica>,
    pub(super) rng: Rng,
    events: BTreeMap<(Duration, u64), Event>,
    serial: u64,
    /// Trouble is over: calls are quick, nothing is dropped.
    pub(super) healed: bool,
    /// What was asked for while there should be silence.
    pub(super) noise: Option<Vec<String>>,
    pub(super) trace: bool,
    pub(super) tally: Tally,
    pub(super) wrong: Vec<String>,
    /// The first spec, to come back to.
    pub(super) spec: GroupSpec,
}

impl Sim {
    pub(super) fn new(world: World, replicas: Vec<Replica>, rng: Rng, spec: GroupSpec, trace: bool) -> Self {
        let mut sim = Self {
            world,
            replicas,
            rng,
            events: BTreeMap::new(),
            serial: 0,
            healed: false,
            noise: None,
            trace,
            tally: Tally::default(),
            wrong: Vec::new(),
            spec,
        };
        sim.world.snapshot();
        for index in 0..sim.replicas.len() {
            sim.begin(index);
        }
        if sim.world.electing.is_some() {
            sim.after(super::election::TICK, Event::Elect);
        }
        sim
    }

    /// A process starts: it learns of everything some time.
    pub(super) fn begin(&mut self, index: usize) {
        let who = self.who(index);
        let lead = Observation::Lead(self.replicas[index].lead);
        self.tell(index, lead, Note::Nothing);
        let version = self.world.snapshot().0;
        for kind in KINDS {
            let wait = self.rng.ms(1, 60);
            self.after(wait, Event::View { who, kind, version });
        }
        self.after(RESEND, Event::Resend { who });
    }

    pub(super) fn who(&self, index: usize) -> Who {
        (index, self.replicas[index].life)
    }

    pub(super) fn after(&mut self, wait: Duration, event: Event) {
        self.serial += 1;
        self.events.insert((self.world.now + wait, self.serial), event);
    }

    pub(super) fn say(&self, line: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{:>10.3} {}", self.world.now.as_secs_f64(), line());
        }
    }

    /// When something happens next.
    pub(super) fn next(&self) -> Option<Duration> {
        let event = self.events.first_key_value().map(|((at, _), _)| *at);
        self.replicas.iter().filter_map(Replica::next_due).chain(event).min()
    }

    /// When a replica next wants to be stepped, or a probe is due.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.replicas.iter().filter_map(|replica| Some(replica.deadline? + replica.started)).min()
    }

    /// Lets the world run by itself, until a fault shows.
    pub(super) fn run_until(&mut self, end: Duration) {
        while self.wrong.is_empty() {
            let Some(at) = self.next().filter(|at| *at <= end) else { break };
            self.world.now = self.world.now.max(at);
            let now = self.world.now;
            if let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= now) {
                let event = entry.remove();
                self.happen(event);
            } else {
                for index in 0..self.replicas.len() {
                    if self.replicas[index].next_due().is_some_and(|due| due <= now) {
                        self.send_probes(index);
                        self.step(index);
                    }
                }
            }
            self.publish_changes();
        }
        self.world.now = self.world.now.max(end);
    }

    /// What changed reaches the watches.
    pub(super) fn publish_changes(&mut self) {
        let cuts = self.cuts();
        truth::note(&mut self.world, &cuts);
        let (version, dirty) = self.world.snapshot();
        for kind in dirty {
            for index in 0..self.replicas.len() {
                let who = self.who(index);
                let dropped =
                    self.world.now < self.replicas[index].drops_until && self.rng.chance(60) && !self.healed;
                let wait = if self.rng.chance(90) { self.rng.ms(0, 12) } else { self.rng.ms(5, 150) };
                if !dropped {
                    self.after(wait, Event::View { who, kind, version });
                }
            }
        }
        self.wrong.append(&mut self.world.history.wrong);
    }

    /// Which replica is cut from which node, though not from all.
    pub(super) fn cuts(&self) -> Vec<(usize, Arc<str>)> {
        let now = self.world.now;
        let cut = |replica: &Replica| -> Vec<(usize, Arc<str>)> {
            let nodes = replica.cut.iter().filter(|(_, until)| now < **until);
            nodes.map(|(node, _)| (replica.index, node.clone())).collect()
        };
        self.replicas.iter().filter(|replica| now >= replica.cut_off_until).flat_map(cut).collect()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::View { who, kind, version } => self.view(who, kind, version),
            Event::Resend { who } => self.resend(who),
            Event::Step { who } => {
                if self.lives(who) {
                    self.step(who.0);
                }
            }
            Event::Observe { who, observation, note } => {
                if self.lives(who) {
                    self.tell(who.0, *observation, note);
                }
            }
            Event::ReadPart { who, ticket, part } => self.read_part(who, ticket, part),
            Event::Seat { who, ticket, pre, seat, fact, fate } => {
                self.apply_seat(who, ticket, &pre, &seat, fact, fate);
            }
            Event::Slice { who, write, fate } => self.apply_slice(who, &write, fate),
            Event::SliceReadBack { who, write, error } => self.slice_read_back(who, &write, error),
            Event::Peers { who, ticket, uid, node, since } => {
                let vetoed = self.peers_veto(who.0, &uid, node.as_ref(), since);
                let veto = vetoed.then(|| "peer".into());
                self.tally.count(if vetoed { "(vetoes)" } else { "(no veto)" });
                if self.lives(who) {
                    self.tell(who.0, Observation::Peers { ticket, veto }, Note::Peers { uid, vetoed });
                }
            }
            Event::Relist { who } => self.relist(who),
            Event::ProbeEnd { who, target, outcome, sent } => self.probe_end(who, &target, outcome, sent),
            Event::Marked { who, call, fate } => self.apply_marked(who, *call, fate),
            Event::Status { answered, term, delivered } => {
                self.world.group.delivered = delivered;
                self.world.group.rv = self.world.next_rv();
                self.world.group.answered = answered;
                self.world.group.status_term = term.or(self.world.group.status_term);
                self.world.dirty.insert(Kind::Group);
            }
            Event::Thaw { index } => self.thaw(index),
            Event::Elect => self.elect(),
            Event::PodGone(uid) => self.world.remove_pod(&uid),
            Event::NodeNoticed(node) => self.node_noticed(&node),
            Event::NodeWell(node) => self.node_well(&node),
            Event::NodeRestored(node) => {
                if let Some(node) = self.world.nodes.get_mut(&node) {
                    node.unrestored = false;
                }
                self.world.settle_readiness();
            }
        }
    }

    pub(super) fn lives(&self, who: Who) -> bool {
        self.replicas[who.0].life == who.1
    }

    fn view(&mut self, who: Who, kind: Kind, version: u64) {
        if !self.lives(who) {
            return;
        }
        let (now, replica) = (self.world.now, &mut self.replicas[who.0]);
        if let Some(until) = replica.stalled_until(kind, now) {
            let version = self.world.snap(u64::MAX).version;
            self.after(until - now, Event::View { who, kind, version });
            return;
        }
        let snap = self.world.snap(version);
        if replica.seen.get(&kind).is_some_and(|seen| snap.version < *seen) {
            return;
        }
        replica.seen.insert(kind, snap.version);
        self.say(|| format!("r{} sees {kind:?} of {}", who.0, snap.version));
        self.tell(who.0, snap.observation(kind, now), Note::View(kind, snap.version));
    }

    fn resend(&mut self, who: Who) {
        if !self.lives(who) {
            return;
        }
        let version = self.world.snap(u64::MAX).version;
        for kind in KINDS {
            let wait = self.rng.ms(0, 50);
            self.after(wait, Event::View { who, kind, version });
        }
        self.after(RESEND, Event::Resend { who });
    }

    /// An observation arrives; one that is frozen takes it in when it thaws.
    pub(super) fn tell(&mut self, index: usize, observation: Observation, note: Note) {
        if self.replicas[index].frozen_until.is_some() {
            self.replicas[index].waiting.push((observation, note));
            return;
        }
        self.observe(index, observation, note);
        if self.healed || self.rng.chance(75) {
            self.step(index);
        } else {
            let (who, wait) = (self.who(index), self.rng.ms(0, 2));
            self.after(wait, Event::Step { who });
        }
    }

    pub(super) fn observe(&mut self, index: usize, observation: Observation, note: Note) {
        let snap = match &note {
            Note::View(_, version) => Some(self.world.snap(*version)),
            _ => None,
        };
        let (now, unix_ms) = (self.world.now, self.world.unix_ms());
        let replica = &mut self.replicas[index];
        match (note, snap) {
            (Note::View(Kind::Members, _), Some(snap)) => replica.knows.note_members(&snap),
            (Note::View(Kind::Group, _), Some(snap)) => replica.note_group(&snap.group),
            (Note::Read { sent, pods }, _) => replica.note_read(now, sent, &pods),
            (Note::Peers { uid, vetoed }, _) => replica.knows.note_peers(&uid, vetoed),
            _ => {}
        }
        match &observation {
            Observation::Seat(state) => replica.knows.note_seat(state.record()),
            Observation::Verified { live: Ok(live), .. } => replica.knows.note_seat(live.seat.record()),
            Observation::SeatWritten { outcome: Ok(record), .. } => replica.knows.note_seat(Some(record)),
            Observation::Probe(report) => replica.knows.note_probe(report),
            _ => {}
        }
        if self.trace
            && !matches!(
                observation,
                Observation::Members(_)
                    | Observation::Services(_)
                    | Observation::Nodes(_)
                    | Observation::Group(_)
            )
        {
            eprintln!("{:>10.3} r{index} <- {observation:?}", now.as_secs_f64());
        }
        let replica = &mut self.replicas[index];
        replica.group.observe(replica.now(now, unix_ms), observation);
    }

    /// Steps a replica until it rests; a second step with the same input must ask for nothing.
    pub(super) fn step(&mut self, index: usize) {
        let (now, unix_ms) = (self.world.now, self.world.unix_ms());
        if self.replicas[index].frozen_until.is_some() {
            return;
        }
        for _ in 0..MOST_ROUNDS {
            self.tally.steps += 1;
            let replica = &mut self.replicas[index];
            let at = replica.now(now, unix_ms);
            let step = replica.group.step(at);
            replica.follow_plan(now);
            for action in step.actions {
                self.take(index, action);
            }
            let replica = &mut self.replicas[index];
            let again = replica.group.step(at);
            replica.deadline = again.deadline;
            if let Some(action) = again.actions.first() {
                self.wrong.push(format!("REPEAT: a second step with the same input asks for {action:?}"));
            }
            if again.deadline.is_none_or(|deadline| deadline > at.mono) {
                return;
            }
        }
        self.wrong.push("SETTLE: a group does not come to rest".into());
    }

    fn take(&mut self, index: usize, action: Action) {
        self.say(|| format!("r{index} asks {action:?}"));
        if let Some(noise) = &mut self.noise {
            noise.push(format!("r{index} asks {action:?}"));
        }
        let who = self.who(index);
        match action {
            Action::ProbeAt { uid, at } => {
                let at = at + self.replicas[index].started;
                self.replicas[index].extra.insert((at, uid));
            }
            Action::Verify { ticket, pods, named } => self.begin_read(who, ticket, pods, named),
            Action::WriteSeat { ticket, precondition, seat } => {
                let cuts = self.cuts();
                truth::note(&mut self.world, &cuts);
                let (wrong, fact) =
                    self.with_asker(index, |asker| (asker.seat(&precondition, &seat), asker.fact(&seat)));
                self.wrong.extend(wrong);
                let (fate, wait) = self.fate(index);
                let (pre, seat) = (precondition, Box::new(seat));
                self.after(wait, Event::Seat { who, ticket, pre, seat, fact, fate });
            }
            Action::WriteSlice { ticket, service, service_uid, family, precondition, content } => {
                let stored = self.world.slice(&service).filter(|slice| match &precondition {
                    Precondition::Unchanged { rv, .. } => slice.rv == *rv,
                    Precondition::Absent => false,
                });
                let mark = stored.and_then(|slice| slice.controller.as_deref());
                let wrong = self.with_asker(index, |asker| asker.slice(&precondition, &content, mark));
                self.wrong.extend(wrong);
                let (fate, wait) = self.fate(index);
                let write = SliceCall { ticket, service, service_uid, family, pre: precondition, content };
                self.after(wait, Event::Slice { who, write: Box::new(write), fate });
            }
            Action::AskPeers { ticket, uid, node, failing_since } => {
                let since = failing_since + self.replicas[index].started;
                let wait = self.rng.ms(1, 100);
                self.after(wait, Event::Peers { who, ticket, uid, node, since });
            }
            Action::Relist => {
                let wait = self.rng.ms(5, 400);
                self.after(wait, Event::Relist { who });
            }
            Action::Publish(report) => {
                let heard = self.replicas[index].lead && (self.healed || self.rng.chance(85));
                if heard {
                    let wait = self.rng.ms(3, 60);
                    let delivered =
                        report.members.into_iter().filter_map(|member| member.delivered).collect();
                    let (answered, term) = (report.switchover, report.term);
                    self.after(wait, Event::Status { answered, term, delivered });
                }
            }
            Action::LabelPod { .. }
            | Action::PointService { .. }
            | Action::DeletePod { .. }
            | Action::Notify { .. } => self.begin_marked(who, action),
            Action::Tell(_) | Action::Completed(_) => {}
        }
    }

    fn with_asker<T>(&self, index: usize, ask: impl FnOnce(&Asker<'_>) -> T) -> T {
        let replica = &self.replicas[index];
        let told = self.world.snap(replica.seen.get(&Kind::Nodes).copied().unwrap_or_default());
        ask(&Asker {
            world: &self.world,
            knows: &replica.knows,
            replica: replica.index,
            group: replica.view.as_ref(),
            probes: &|uid| replica.probed.contains_key(uid),
            nodes: &told.nodes,
        })
    }

    fn relist(&mut self, who: Who) {
        if !self.lives(who) {
            return;
        }
        let now = self.world.now;
        let stalled = KINDS.iter().filter_map(|kind| self.replicas[who.0].stalled_until(*kind, now)).max();
        if let Some(until) = stalled {
            self.after(until - now, Event::Relist { who });
            return;
        }
        let version = self.world.snap(u64::MAX).version;
        for kind in KINDS {
            self.view(who, kind, version);
        }
        self.tell(who.0, Observation::Relisted, Note::Nothing);
    }
}
