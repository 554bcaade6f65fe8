//! Calls to the API server: what becomes of them, and what is told of it.

use super::history::FactKey;
use super::replica::{Api, Note, Reading};
use super::sim::{Event, Sim, Who};
use hotstandby_core::action::{MemberRef, Precondition, SeatWrite, Ticket};
use hotstandby_core::ids::Uid;
use hotstandby_core::observation::{Live, Observation, WriteError};
use hotstandby_core::view::{Family, SliceContent};
use std::sync::Arc;
use std::time::Duration;

/// Calls that are not answered end by then.
const CALL_LIMIT: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
pub(super) struct SliceCall {
    pub(super) ticket: Ticket,
    pub(super) service: Arc<str>,
    pub(super) service_uid: Uid,
    pub(super) family: Family,
    pub(super) pre: Precondition,
    pub(super) content: SliceContent,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Ok,
    Conflict,
    Refused,
    Lost,
    LostApplied,
}

impl Sim {
    /// What becomes of a call, and how long until the server sees it.
    pub(super) fn fate(&mut self, index: usize) -> (Fate, Duration) {
        let quick = self.rng.ms(0, 4);
        match self.replicas[index].api(self.world.now) {
            Api::Well => (Fate::Ok, quick),
            Api::Slow => (Fate::Ok, self.rng.ms(20, 900)),
            Api::Refuses => (Fate::Refused, quick),
            Api::Down => (Fate::Lost, quick),
            Api::Lossy => {
                let fate = self.rng.pick(&[
                    Fate::Ok,
                    Fate::Lost,
                    Fate::LostApplied,
                    Fate::LostApplied,
                    Fate::Conflict,
                ]);
                (fate, self.rng.ms(0, 300))
            }
        }
    }

    /// How long an answer takes back; a lost one is given up on.
    pub(super) fn way_back(&mut self, index: usize, lost: bool) -> Duration {
        let slow = matches!(self.replicas[index].api(self.world.now), Api::Slow | Api::Down);
        match (lost, slow) {
            (true, _) if self.rng.chance(60) => CALL_LIMIT,
            (true, _) => self.rng.ms(1, 500),
            (false, true) => self.rng.ms(20, 900),
            (false, false) => self.rng.ms(0, 4),
        }
    }

    pub(super) fn answer(&mut self, who: Who, observation: Observation, note: Note, lost: bool) {
        let wait = self.way_back(who.0, lost);
        self.after(wait, Event::Observe { who, observation: Box::new(observation), note });
    }

    pub(super) fn begin_read(
        &mut self,
        who: Who,
        ticket: Ticket,
        wanted: Vec<MemberRef>,
        named: Option<Arc<str>>,
    ) {
        let (fate, _) = self.fate(who.0);
        let fails = match fate {
            Fate::Ok | Fate::Conflict => None,
            Fate::Refused => Some(WriteError::Refused("forbidden".into())),
            Fate::Lost | Fate::LostApplied => Some(WriteError::Unknown("time-out".into())),
        };
        let parts = wanted.len();
        let reading = Reading { sent: self.world.now, wanted, named, seat: None, pods: Vec::new(), fails };
        self.replicas[who.0].reads.insert(ticket, reading);
        for part in 0..=parts {
            let (_, wait) = self.fate(who.0);
            self.after(wait, Event::ReadPart { who, ticket, part });
        }
    }

    pub(super) fn read_part(&mut self, who: Who, ticket: Ticket, part: usize) {
        if !self.lives(who) {
            return;
        }
        let version = self.world.snapshot_version();
        let Some(reading) = self.replicas[who.0].reads.get_mut(&ticket) else { return };
        match part.checked_sub(1).map(|at| reading.wanted[at].clone()) {
            None => reading.seat = Some(self.world.seat_state()),
            Some(wanted) => {
                let pod = self.world.pod_by_uid(&wanted.uid).map(|pod| pod.view.clone());
                reading.pods.push((wanted.uid, version, pod));
            }
        }
        if reading.seat.is_none() || reading.pods.len() < reading.wanted.len() {
            return;
        }
        let Some(Reading { sent, seat, named, mut pods, fails, .. }) =
            self.replicas[who.0].reads.remove(&ticket)
        else {
            return;
        };
        let Some(seat) = seat else { return };
        let lost = matches!(fails, Some(WriteError::Unknown(_)));
        let found = pods.iter().map(|(uid, _, pod)| (uid.clone(), pod.clone())).collect();
        let named = named.and_then(|name| self.world.pods.get(&name)).map(|pod| pod.view.clone());
        if let Some(pod) = &named {
            pods.push((pod.uid.clone(), version, Some(pod.clone())));
        }
        let live = fails.map_or(Ok(Live { seat, pods: found, named }), Err);
        let note = if live.is_ok() { Note::Read { sent, pods } } else { Note::Nothing };
        self.answer(who, Observation::Verified { ticket, live }, note, lost);
    }

    pub(super) fn apply_seat(
        &mut self,
        who: Who,
        ticket: Ticket,
        pre: &Precondition,
        seat: &SeatWrite,
        fact: Option<FactKey>,
        fate: Fate,
    ) {
        let process = who.0 + 10 * who.1;
        let outcome = match fate {
            Fate::Ok | Fate::LostApplied => self.world.write_seat(process, pre, seat),
            fate => Err(error(fate)),
        };
        self.tally.count(match &outcome {
            Ok(_) => seat.reason.as_str(),
            Err(WriteError::Conflict) => "(seat conflicts)",
            Err(_) => "(seat refused or lost)",
        });
        if let (Ok(_), Some(fact)) = (&outcome, fact) {
            self.world.history.fact_used(process, &fact);
        }
        self.say(|| {
            format!("r{} seat {fate:?} {:?}", who.0, outcome.as_ref().map(|record| record.rv.clone()))
        });
        let outcome = if fate == Fate::LostApplied { outcome.and(Err(error(fate))) } else { outcome };
        let lost = matches!(outcome, Err(WriteError::Unknown(_)));
        self.answer(who, Observation::SeatWritten { ticket, outcome }, Note::Nothing, lost);
    }

    pub(super) fn apply_slice(&mut self, who: Who, write: &SliceCall, fate: Fate) {
        let outcome = match fate {
            Fate::Ok | Fate::LostApplied => {
                self.world.write_slice(&write.service, &write.service_uid, &write.pre, &write.content)
            }
            fate => Err(error(fate)),
        };
        self.tally.count(if outcome.is_ok() { "(slices)" } else { "(slices not stored)" });
        self.say(|| {
            format!("r{} slice {fate:?} {:?}", who.0, outcome.as_ref().map(|slice| slice.rv.clone()))
        });
        let outcome = if fate == Fate::LostApplied { outcome.and(Err(error(fate))) } else { outcome };
        if let Err(error @ (WriteError::Conflict | WriteError::Unknown(_))) = outcome {
            let lost = matches!(error, WriteError::Unknown(_));
            let wait = self.way_back(who.0, lost);
            self.after(wait, Event::SliceReadBack { who, write: Box::new(write.clone()), error });
            return;
        }
        let (ticket, service, family) = (write.ticket, write.service.clone(), write.family);
        let written = Observation::SliceWritten { ticket, service, family, outcome };
        self.answer(who, written, Note::Nothing, false);
    }

    /// After a conflict or a lost answer the slice is read, if that can be done; then the outcome is told.
    pub(super) fn slice_read_back(&mut self, who: Who, write: &SliceCall, error: WriteError) {
        if !self.lives(who) {
            return;
        }
        let (ticket, service, family) = (write.ticket, write.service.clone(), write.family);
        if self.fate(who.0).0 == Fate::Ok {
            let slice = self.world.slice(&service).cloned();
            let read = Observation::SliceRead { service: service.clone(), family, slice };
            self.tell(who.0, read, Note::Nothing);
        }
        let written = Observation::SliceWritten { ticket, service, family, outcome: Err(error) };
        self.answer(who, written, Note::Nothing, false);
    }
}

pub(super) fn error(fate: Fate) -> WriteError {
    match fate {
        Fate::Ok | Fate::Lost | Fate::LostApplied => WriteError::Unknown("time-out".into()),
        Fate::Conflict => WriteError::Conflict,
        Fate::Refused => WriteError::Refused("forbidden".into()),
    }
}
