//! What must hold of everything a replica asks for, at the moment it asks.

use super::history::{FactKey, decided_seat, is_of_node};
use super::knowledge::Knowledge;
use super::truth::LATELY;
use super::world::{CONTROLLER, Node, World};
use hotstandby_core::action::{Precondition, SeatWrite};
use hotstandby_core::ids::Uid;
use hotstandby_core::observation::GroupView;
use hotstandby_core::reason::Reason;
use hotstandby_core::view::{MemberView, Phase, SliceContent};
use hotstandby_invariants::Invariant::{OneActive, RecordedReason, TermsGrow};
use hotstandby_invariants::{Fact, Owner};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long an answered read may be used, and how long ago it may have been sent.
const READ_LASTS: Duration = Duration::from_secs(1);
const READ_SENT: Duration = Duration::from_millis(3_100);
/// How long a live read of the holder is believed before the watch must list it.
const UNLISTED_LASTS: Duration = Duration::from_secs(2);
/// Answers of peers that veto are heeded this often in a row.
const MOST_VETOES: u32 = 3;

/// One replica at the moment it asks.
pub(super) struct Asker<'a> {
    pub(super) world: &'a World,
    pub(super) knows: &'a Knowledge,
    pub(super) replica: usize,
    /// The group as it was told of it.
    pub(super) group: Option<&'a GroupView>,
    /// Whom it probes.
    pub(super) probes: &'a dyn Fn(&Uid) -> bool,
    /// The nodes as it was told of them.
    pub(super) nodes: &'a BTreeMap<Arc<str>, Node>,
}

impl Asker<'_> {
    /// Everything wrong with writing this to the seat.
    pub(super) fn seat(&self, pre: &Precondition, seat: &SeatWrite) -> Vec<String> {
        let owner = if self.world.electing.is_some() { Owner::Election } else { Owner::Nobody };
        let mut wrong = self.world.history.judge(&Fact::WriteAsked { object: "the seat", owner });
        self.precondition(pre, seat, &mut wrong);
        self.live_read(seat, &mut wrong);
        self.successor(seat, &mut wrong);
        self.reason(seat, &mut wrong);
        if let Err(why) = self.peers(seat) {
            wrong.push(why);
        }
        wrong
    }

    fn precondition(&self, pre: &Precondition, seat: &SeatWrite, wrong: &mut Vec<String>) {
        let Precondition::Unchanged { uid, rv } = pre else { return };
        if self.world.seat.as_ref().is_some_and(|now| now.rv == *rv) {
            let decided = decided_seat(uid, seat.term, &seat.holder.uid);
            wrong.extend(self.world.history.judge(&decided));
        }
        let Some(record) = self.world.history.record(rv) else {
            wrong.push(TermsGrow.broken("the precondition names a version that never was"));
            return;
        };
        wrong.extend(self.world.history.judge_owner("the seat", record.controller.as_deref()));
        let intact = record.sealed().filter(|marks| {
            record.controller.as_deref() == Some(CONTROLLER)
                && !self.world.history.is_blurred(uid)
                && self.group.is_some_and(|group| group.uid == marks.group_uid)
        });
        let Some(marks) = intact else { return };
        if matches!(seat.reason, Reason::SeatRepaired | Reason::SeatRecreated | Reason::Initial) {
            wrong.push(RecordedReason.broken(format!("{} though the seat is intact", seat.reason)));
        }
        if marks.holder_uid == seat.holder.uid {
            wrong.push(RecordedReason.broken(format!("{} holds the seat already", seat.holder.name)));
        }
    }

    fn live_read(&self, seat: &SeatWrite, wrong: &mut Vec<String>) {
        let now = self.world.now;
        let holder = self.leaves(seat);
        let read = self.knows.reads.iter().rev().find(|read| {
            let covers = |uid: &Uid| read.pods.iter().any(|(other, _)| other == uid);
            now <= read.delivered + READ_LASTS && covers(&seat.holder.uid) && holder.is_none_or(covers)
        });
        let Some(read) = read else {
            wrong.push("READ: seat, holder and successor were not read live within a second".into());
            return;
        };
        if read.sent + READ_SENT < now {
            wrong.push(format!("READ: the live read was sent {:?} ago", now.saturating_sub(read.sent)));
        }
        // Newer evidence may say that it can serve again; but a pod that was not there never comes back.
        if !read.pods.iter().any(|(uid, pod)| *uid == seat.holder.uid && pod.is_some()) {
            wrong.push(OneActive.broken(format!("{} was gone when it was read live", seat.holder.name)));
        }
    }

    fn successor(&self, seat: &SeatWrite, wrong: &mut Vec<String>) {
        let known = self.knows.pod(&seat.holder.uid).and_then(|(_, view)| view.as_ref());
        if !known.is_some_and(can_serve) {
            wrong.push(
                OneActive.broken(format!("{} cannot serve, and the replica was told so", seat.holder.name)),
            );
        }
        if seat.reason.is_judgement() && !self.knows.answers(&seat.holder.uid) {
            wrong.push(
                RecordedReason.broken(format!("{} without an answer of {}", seat.reason, seat.holder.name)),
            );
        }
    }

    /// Whom a write leaves that is no mere repair.
    fn leaves(&self, seat: &SeatWrite) -> Option<&Uid> {
        let repairs = matches!(seat.reason, Reason::Initial | Reason::SeatRepaired | Reason::SeatRecreated);
        let sealed = self.knows.sealed.as_ref().filter(|_| !repairs)?;
        Some(&sealed.holder_uid)
    }

    fn reason(&self, seat: &SeatWrite, wrong: &mut Vec<String>) {
        let now = self.world.now;
        if let Some(sealed) = &self.knows.sealed
            && matches!(seat.reason, Reason::SeatRepaired | Reason::SeatRecreated)
            && sealed.holder_uid != seat.holder.uid
        {
            let gone = self.world.pod_by_uid(&sealed.holder_uid).is_none();
            // What probes said long ago stands until the next one: a period and a time-out more.
            let within = LATELY + Duration::from_secs(2);
            if !gone && !self.world.truths.anything(&sealed.holder_uid, now, within) {
                wrong.push(
                    RecordedReason.broken(format!("{} takes the seat from a good holder", seat.reason)),
                );
            }
        }
        let Some(holder) = self.leaves(seat) else { return };
        let gone = self.world.pod_by_uid(holder).is_none();
        let supported = self.world.truths.supports(seat.reason, holder, (now, self.replica, gone));
        if !(supported || seat.reason == Reason::NotReady && self.was_misled(holder)) {
            wrong.push(RecordedReason.broken(format!("{} of {holder} was not so lately", seat.reason)));
        }
        if seat.reason == Reason::NodeNotReady && self.knows.ever_answered && (self.probes)(holder) {
            wrong.push(RecordedReason.broken("a node's silence alone, though probes can tell"));
        }
        let request = self.group.and_then(|group| group.switchover.as_deref());
        if seat.reason == Reason::Switchover && request.is_none() {
            wrong.push(RecordedReason.broken("a switchover nobody asked for"));
        }
        if self.group.is_some_and(|group| group.paused) {
            let living = self.knows.pod(holder).and_then(|(_, view)| view.as_ref());
            if living.is_some_and(MemberView::owns_address) {
                wrong.push(RecordedReason.broken("a move while the group is paused"));
            }
        }
    }

    /// The node controller's Ready=False gives no reason, the kubelet's does. Where no probe can tell more, the fact stands alone, and
    /// a watch of nodes that is behind the watch of pods hides that it is only the node's.
    fn was_misled(&self, holder: &Uid) -> bool {
        if self.knows.ever_answered && (self.probes)(holder) {
            return false;
        }
        let pod = self.knows.pod(holder).and_then(|(_, view)| view.as_ref()).filter(|pod| !pod.ready);
        let Some(name) = pod.and_then(|pod| pod.node.as_ref()) else { return false };
        let told = self.nodes.get(name).is_some_and(|node| !node.marked && !node.unrestored);
        let truly = self.world.nodes.get(name).is_some_and(|node| {
            node.marked
                || node.unrestored
                || node.turned.is_some_and(|at| at + Duration::from_secs(5) >= self.world.now)
        });
        told && truly
    }

    fn peers(&self, seat: &SeatWrite) -> Result<(), String> {
        let Some(holder) = self.leaves(seat).filter(|_| seat.reason.needs_peers()) else { return Ok(()) };
        match self.knows.vetoes.get(holder) {
            None => Err(format!("PEERS: {} and no peer was asked", seat.reason)),
            Some((true, vetoes)) if *vetoes <= MOST_VETOES => {
                Err(format!("PEERS: {} against the {vetoes}. veto", seat.reason))
            }
            Some(_) => Ok(()),
        }
    }

    fn was_read_alive(&self, uid: &Uid) -> bool {
        let newest = self.knows.reads.iter().rev().find_map(|read| {
            let (_, pod) = read.pods.iter().find(|(other, _)| other == uid)?;
            Some((read.delivered, pod.is_some()))
        });
        newest.is_some_and(|(at, alive)| alive && self.world.now <= at + UNLISTED_LASTS)
    }

    /// The fact this write uses up.
    pub(super) fn fact(&self, seat: &SeatWrite) -> Option<FactKey> {
        let holder = self.leaves(seat)?;
        let known = self.knows.pod(holder).and_then(|(_, view)| view.as_ref());
        let mark = match seat.reason {
            Reason::PodDeleted => "gone".to_owned(),
            reason if is_of_node(reason) => String::new(),
            Reason::CriticalContainerTerminated => known?.critical_terminated.as_ref()?.to_string(),
            Reason::PodTerminating
            | Reason::PodFinished
            | Reason::AddressLost
            | Reason::LeftGroup
            | Reason::NotReady => known?.rv.to_string(),
            _ => return None,
        };
        Some((holder.clone(), seat.reason, mark))
    }

    /// Everything wrong with writing this slice.
    pub(super) fn slice(
        &self,
        pre: &Precondition,
        content: &SliceContent,
        mark: Option<&str>,
    ) -> Vec<String> {
        let owner = mark.filter(|_| matches!(pre, Precondition::Unchanged { .. }));
        let mut wrong = self.world.history.judge_owner("the slice", owner);
        let Some(endpoint) = &content.endpoint else { return wrong };
        if !self.world.history.did_hold(&content.seat_uid, content.term, &endpoint.uid) {
            wrong.push(
                OneActive.broken(format!("{} did not hold the seat at term {}", endpoint.pod, content.term)),
            );
        }
        match self.knows.pod(&endpoint.uid) {
            Some((_, Some(pod))) if !pod.owns_address() => {
                wrong.push(
                    OneActive.broken(format!("{} has finished, and the replica was told so", endpoint.pod)),
                );
            }
            Some((_, Some(pod))) if !pod.ips.contains(&endpoint.ip) => {
                wrong
                    .push(OneActive.broken(format!("{} is not an address of {}", endpoint.ip, endpoint.pod)));
            }
            Some((_, Some(_))) => {}
            // A list without a pod that was just read live may be older than that read; for two seconds that is believed.
            Some((_, None)) | None if self.was_read_alive(&endpoint.uid) => {}
            Some((_, None)) | None => {
                wrong
                    .push(OneActive.broken(format!("{} is gone, and the replica was told so", endpoint.pod)));
            }
        }
        wrong
    }
}

fn can_serve(pod: &MemberView) -> bool {
    pod.ready && pod.selected && !pod.terminating && pod.phase == Phase::Running && !pod.ips.is_empty()
}
