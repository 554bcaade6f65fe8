//! The group machine: observations in, actions and the next deadline out.
//!
//! `observe` only notes; `step` decides on one snapshot. The parts: [`assess`] (facts and verdicts), [`decide`]
//! (who should hold the seat), [`change`] (how the seat gets there: re-read, peers, the lead's head start,
//! the write), [`follow`] (the seat of an election of others, in the place of those two), the projections ([`projected`]):
//! [`slices`], [`pointer`] and [`labels`] (traffic and labels follow), [`notices`] (members are told their role), [`disposal`]
//! (pods that are to go), [`tell`] (status and Events).

mod assess;
mod change;
mod decide;
mod disposal;
mod follow;
mod labels;
mod note;
mod notices;
mod pace;
mod pointer;
mod probes;
mod projected;
mod slices;
mod tell;

use crate::action::{Action, MarksWrite, ProbeTarget, Ticket};
use crate::brake::Brake;
use crate::health::Health;
use crate::ids::{GroupKey, Now, Rv, Term, Uid};
use crate::observation::{GroupView, Observation};
use crate::penalty::Penalty;
use crate::report::Report;
use crate::seat::{SeatMarks, SeatRecord, SeatState};
use crate::spec::{Election, FollowSpec, GroupSpec};
use crate::switchover::Answer;
use crate::view::{Mark, MemberView, NodesView, ServiceView, SliceView, UsableService};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// What a step asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// In the order they should be begun.
    pub actions: Vec<Action>,
    /// When to step again if nothing is observed before, as monotonic time.
    pub deadline: Option<Duration>,
}

/// One group's decision state.
#[derive(Debug)]
pub struct Group {
    key: GroupKey,
    controller: Arc<str>,
    lead: bool,
    /// `None` until first observed: nothing is decided before all four are there and the seat was read.
    view: Option<GroupView>,
    members: Option<BTreeMap<Uid, MemberView>>,
    nodes: Option<NodesView>,
    services: Option<Vec<ServiceView>>,
    seat: SeatKnowledge,
    /// Whose election `seat` is of.
    elected_by: Election,
    following: follow::Following,
    detection: Detection,
    penalties: BTreeMap<Uid, Penalty>,
    brake: Brake,
    used_facts: VecDeque<(Uid, Rv)>,
    change: change::Pipeline,
    slices: slices::Writes,
    pointers: pointer::Pointers,
    labels: labels::Labels,
    notices: notices::Notices,
    disposal: disposal::Disposal,
    answer: Option<Answer>,
    told: tell::Told,
    next_ticket: u64,
    wake: Option<Duration>,
}

/// What is known of the seat, and how well.
#[derive(Debug, Default)]
struct SeatKnowledge {
    state: SeatState,
    /// The watch contradicts what is known, or a write's outcome is open: a live read settles it, if it was asked for
    /// after this ticket. One asked for before may have missed what raised the doubt.
    doubt: Option<Ticket>,
    /// The newest live read that was taken in: answers to older questions say nothing new.
    read: Option<Ticket>,
    /// The newest resourceVersion seen: what a watch tells late is not a new seat.
    newest: Option<Rv>,
    /// resourceVersions of projections that claimed a newer term or another seat before the seat was last read live.
    settled: BTreeSet<Rv>,
    /// The last record that was sealed and ours, to put an edited or deleted one right.
    last_good: Option<(Uid, SeatMarks)>,
    /// The newest marks of any record of ours, believed or not.
    rumour: Option<SeatMarks>,
    /// The highest term seen anywhere, and within the present seat UID.
    highest: Option<Term>,
    highest_here: Option<Term>,
}

/// What the probes know.
#[derive(Debug, Default)]
struct Detection {
    health: BTreeMap<Uid, Health>,
    probing_since: Option<Duration>,
    probed_as: Option<crate::spec::ProbeKind>,
    tripwire_off: BTreeMap<Uid, &'static str>,
    vetoes_in_row: u32,
    /// Since when there is cause to leave the holder, and a fit member that must answer before it may follow.
    waiting_since: Option<Duration>,
    known_critical: BTreeMap<Uid, Arc<str>>,
    /// Since when each member has been fit without a doubt.
    fit_since: BTreeMap<Uid, Duration>,
    /// When each node was seen to have become Ready, and since when it says so itself.
    node_ready_seen: BTreeMap<Arc<str>, (Duration, Option<i64>)>,
    node_silent: BTreeSet<Arc<str>>,
    /// Read live as gone, though a watch that is behind may still list them. UIDs do not come back.
    gone: VecDeque<Uid>,
    /// Gone: the watch dropped them (and may list them again, if it was for their labels), or they were read live as gone.
    departed: VecDeque<Uid>,
    /// A holder that was read live before the watch told of it, and until when that is believed.
    unlisted: Option<(Uid, Duration)>,
}

impl Group {
    /// A group nothing is known of yet. `controller` is the install's name (`--controller-name`).
    pub fn new(key: GroupKey, controller: Arc<str>) -> Self {
        Self {
            key,
            controller,
            lead: false,
            view: None,
            members: None,
            nodes: None,
            services: None,
            seat: SeatKnowledge::default(),
            elected_by: Election::default(),
            following: follow::Following::default(),
            detection: Detection::default(),
            penalties: BTreeMap::new(),
            brake: Brake::default(),
            used_facts: VecDeque::new(),
            change: change::Pipeline::default(),
            slices: slices::Writes::default(),
            pointers: pointer::Pointers::default(),
            labels: labels::Labels::default(),
            notices: notices::Notices::default(),
            disposal: disposal::Disposal::default(),
            answer: None,
            told: tell::Told::default(),
            next_ticket: 0,
            wake: None,
        }
    }

    /// The group's key.
    pub fn key(&self) -> &GroupKey {
        &self.key
    }

    /// Takes an observation in. Nothing is decided until [`Group::step`].
    pub fn observe(&mut self, now: Now, observation: Observation) {
        note::note(self, now, observation);
    }

    /// Decides on what is known now.
    pub fn step(&mut self, now: Now) -> Step {
        self.wake = None;
        let mut actions = Vec::new();
        if let Some(spec) = self.ready_spec() {
            labels::refresh(self, &spec, now.mono);
            assess::refresh(self, &spec, now.mono);
            follow::refresh(self, &spec, now);
            notices::refresh(self, &spec);
            probes::forget_unprobed(self, &spec);
            let decision = decide::decide(self, &spec, now);
            change::drive(self, &spec, now, &decision, &mut actions);
            probes::confirm(self, now.mono, &mut actions);
            projected::project(self, &spec, now.mono, &decision, &mut actions);
            if self.seat_in_doubt() && decision != decide::Decision::ReadSeat {
                // A projection contradicts the seat: ask at once.
                change::drive(self, &spec, now, &decide::Decision::ReadSeat, &mut actions);
            }
            tell::finish_change(self, &spec, now.mono, &mut actions);
            tell::publish(self, &spec, now.mono, &decision, &mut actions);
        } else {
            tell::publish_unaccepted(self, &mut actions);
        }
        Step { actions, deadline: self.wake }
    }

    /// What this replica should probe now, and how.
    pub fn probe_plan(&self) -> Vec<ProbeTarget> {
        self.ready_spec().map_or_else(Vec::new, |spec| probes::plan(self, &spec))
    }

    /// The status as last published.
    pub fn last_report(&self) -> Option<&Report> {
        self.told.report.as_ref()
    }

    /// The spec, once everything is there to decide by.
    fn ready_spec(&self) -> Option<Arc<GroupSpec>> {
        let synced = self.members.is_some()
            && self.nodes.is_some()
            && self.services.is_some()
            && self.seat.state != SeatState::Unread;
        let view = self.view.as_ref().filter(|_| synced)?;
        view.spec.as_ref().ok().cloned()
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    /// What is known of the seat must be read live before anything is decided by it.
    fn doubt_seat(&mut self) {
        self.seat.doubt = Some(Ticket(self.next_ticket));
    }

    /// Whether the seat must be read live first.
    fn seat_in_doubt(&self) -> bool {
        self.seat.doubt.is_some()
    }

    /// Asks to be stepped at `at` at the latest.
    fn wake_at(&mut self, at: Duration) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// Whether it is a projection's turn to be written; if only later, the group is stepped then.
    fn takes(&mut self, turn: pace::Turn) -> bool {
        match turn {
            pace::Turn::Now => true,
            pace::Turn::Busy => false,
            pace::Turn::At(at) => {
                self.wake_at(at);
                false
            }
        }
    }

    fn member(&self, uid: &Uid) -> Option<&MemberView> {
        self.members.as_ref()?.get(uid)
    }

    /// Whether this replica writes projections at once: the lead, and whoever moved the seat last. The others leave them to
    /// these for a moment.
    fn writes_at_once(&self) -> bool {
        self.lead || self.valid_seat().is_some_and(|(_, marks)| self.slices.wrote(marks.term))
    }

    /// Whether an object carries another install's mark: then it is never written.
    fn is_marked_by_other(&self, mark: Option<&Mark>) -> bool {
        mark.is_some_and(|mark| mark.controller != self.controller)
    }

    /// Whether marks may be overwritten by these, see [`Self::is_forward`].
    fn is_forward_mark(&mut self, rv: &Rv, had: Option<&Mark>, differs: bool, write: &MarksWrite) -> bool {
        let Some(stamp) = had.and_then(|mark| mark.stamp.as_ref()) else { return true };
        let MarksWrite::Set(marks) = write else { return true };
        let Some(seat) = &marks.seat else { return true };
        self.is_forward(rv, stamp, differs, &seat.uid, seat.term)
    }

    /// An older term never overwrites a newer one. A projection that claims to be newer than the seat, or to follow another
    /// seat, puts what is known of the seat in doubt; once that was read live, the seat wins. So does one that `differs` from what
    /// would be written, at the same term, where others elect: programs that do not count their transitions rightly name two
    /// holders at one term.
    fn is_forward(&mut self, rv: &Rv, stamp: &(Uid, Term), differs: bool, seat: &Uid, term: Term) -> bool {
        let (stamped_seat, stamped) = stamp;
        let behind = stamped_seat == seat && *stamped > term;
        // Also where this seat was once read live: another may have been made since, and the watch lag behind.
        let other_seat = stamped_seat != seat;
        let contradicts = differs && self.follows().is_some() && *stamped == term;
        if !behind && !other_seat && !contradicts || note::claim_settled(self, rv) {
            return true;
        }
        self.doubt_seat();
        self.seat.settled.insert(rv.clone());
        false
    }

    /// The Services that this group may feed.
    fn usable_services(&self) -> impl Iterator<Item = &UsableService> {
        self.services.iter().flatten().filter_map(|service| service.found.usable())
    }

    /// The slices under our name, whoever wrote them last.
    fn own_slices(&self) -> impl Iterator<Item = &SliceView> {
        self.usable_services().flat_map(|usable| usable.own.values())
    }

    fn all_members(&self) -> impl Iterator<Item = &MemberView> {
        self.members.iter().flat_map(BTreeMap::values)
    }

    /// The Lease that is followed, where others elect.
    fn follows(&self) -> Option<&FollowSpec> {
        match &self.elected_by {
            Election::Controller => None,
            Election::Others(follow) => Some(follow),
        }
    }

    /// The seat's record, if it is sealed, ours and of this incarnation of the group; where others elect, if it names a member.
    fn valid_seat(&self) -> Option<(&SeatRecord, &SeatMarks)> {
        let record = self.seat.state.record()?;
        if self.follows().is_some() {
            return Some((record, self.following.marks()?));
        }
        let marks = record.sealed()?;
        let ours = record.controller.as_deref() == Some(&*self.controller);
        let here = self.view.as_ref().is_some_and(|view| view.uid == marks.group_uid);
        let forward = self.seat.highest_here.is_none_or(|highest| marks.term >= highest);
        (ours && here && forward).then_some((record, marks))
    }

    /// The seat carries another install's mark: it is not ours to write.
    fn seat_is_foreign(&self) -> bool {
        let mark = self.seat.state.record().and_then(|record| record.controller.as_deref());
        mark.is_some_and(|name| name != &*self.controller)
    }

    /// The holder's pod is not listed, and nobody knows yet whether it is gone or was not seen yet.
    fn holder_is_unknown(&self) -> bool {
        self.holder_uid()
            .is_some_and(|uid| self.member(uid).is_none() && !self.detection.departed.contains(uid))
    }

    /// The holder's UID by a valid seat.
    fn holder_uid(&self) -> Option<&Uid> {
        self.valid_seat().map(|(_, marks)| &marks.holder_uid)
    }
}
