//! An election of others: pods that take, renew, release and lose a Lease, each by programs of one kind, and what is truly so.

use super::op::SeatOp;
use super::replica::{Note, Replica};
use super::rng::Rng;
use super::sim::{Event, Sim};
use super::world::{Kind, World};
use hotstandby_core::follow::{FollowedLease, HolderNames};
use hotstandby_core::ids::{Term, Uid};
use hotstandby_core::observation::Observation;
use hotstandby_core::seat::SeatRecord;
use hotstandby_core::spec::{Election, Electors, FollowSpec};
use std::sync::Arc;
use std::time::Duration;

/// Between two looks of the pods at their Lease.
pub(super) const TICK: Duration = Duration::from_secs(1);
/// A Lease that was not renewed for so long is another's to take.
const LASTS: Duration = Duration::from_secs(4);
const LEASE: &str = "lock";

/// How the programs keep `leaseTransitions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counts {
    Well,
    Never,
    /// The same number at every change.
    Same,
}

/// The programs of one run, and who truly leads.
#[derive(Clone, Debug)]
pub(super) struct Electing {
    by: Electors,
    counts: Counts,
    /// The text names the pod and the process; else the pod alone, and a new pod of the name takes the Lease for its own.
    tails: bool,
    /// Marks name the pod's UID.
    marks: bool,
    /// The server notes the times of writes.
    times: bool,
    pub(super) leader: Option<Uid>,
    written: Duration,
    serial: u64,
}

impl Electing {
    /// What elects in the run of this seed, if others do.
    pub(super) fn of(seed: u64) -> Option<Self> {
        let mut rng = Rng::new(seed ^ 0xe1ec_7104);
        rng.chance(35).then(|| Self {
            by: rng.pick(&[Electors::Pods, Electors::External]),
            counts: rng.pick(&[Counts::Well, Counts::Well, Counts::Never, Counts::Same]),
            tails: rng.chance(60),
            marks: rng.chance(40),
            times: rng.chance(80),
            leader: None,
            written: Duration::ZERO,
            serial: 0,
        })
    }

    pub(super) fn spec(&self) -> Election {
        Election::Others(FollowSpec { by: self.by, lease: LEASE.into(), holder: HolderNames::default() })
    }
}

impl World {
    /// Somebody writes the Lease, as far as it says who: its rv and the time of the write move.
    fn write_lease(&mut self, edit: impl FnOnce(&mut SeatRecord)) {
        let (rv, seconds, now) = (self.next_rv(), self.unix_seconds_ms(), self.now);
        let uid = self.seat.is_none().then(|| self.next_uid("l"));
        let Some(electing) = &mut self.electing else { return };
        electing.written = now;
        let mut record = self.seat.take().unwrap_or_else(|| SeatRecord {
            uid: uid.unwrap_or_else(|| "l".into()),
            rv: rv.clone(),
            holder: None,
            term: (electing.counts != Counts::Never).then_some(Term(0)),
            marks: None,
            controller: None,
            followed: Some(Box::new(FollowedLease {
                name: LEASE.into(),
                holder_uid: None,
                acquired_ms: None,
                written_ms: None,
                duration: Some(LASTS),
            })),
        });
        record.rv = rv;
        if let Some(lease) = record.followed.as_mut() {
            lease.written_ms = electing.times.then_some(seconds);
        }
        edit(&mut record);
        if let (Some(leader), Some(_)) = (&electing.leader, &record.holder) {
            self.history.elected(&record.uid, record.term, leader);
        }
        self.store_seat(record);
    }

    fn take_lease(&mut self, pod: &Uid) {
        let Some(name) = self.pod_by_uid(pod).map(|pod| pod.view.name.clone()) else { return };
        let acquired = self.unix_ms();
        let Some(electing) = &mut self.electing else { return };
        electing.serial += 1;
        electing.leader = Some(pod.clone());
        let text: Arc<str> = if electing.tails { format!("{name}_{}", electing.serial).into() } else { name };
        let (counts, marks) = (electing.counts, electing.marks);
        self.write_lease(|record| {
            // As client-go does: one's own name is no transition.
            if counts == Counts::Well && record.holder.as_ref() != Some(&text) {
                record.term = record.term.map(Term::next);
            }
            record.holder = Some(text);
            if let Some(lease) = record.followed.as_mut() {
                (lease.acquired_ms, lease.holder_uid) = (Some(acquired), marks.then(|| pod.clone()));
            }
        });
    }

    fn name_somebody_unknown(&mut self, serial: u8) {
        if let Some(electing) = &mut self.electing {
            electing.leader = None;
        }
        self.write_lease(|record| {
            record.holder = Some(format!("stranger_{serial}").into());
            record.term = record.term.map(Term::next);
            if let Some(lease) = record.followed.as_mut() {
                lease.holder_uid = None;
            }
        });
    }

    /// The leader, while its process runs.
    fn living_leader(&self) -> Option<Uid> {
        let leader = self.electing.as_ref()?.leader.as_ref()?;
        let pod = self.pod_by_uid(leader)?;
        let node = pod.view.node.as_ref().and_then(|node| self.nodes.get(node));
        // Who has no address reaches no API server, and renews nothing.
        let reaches = !pod.view.ips.is_empty() && node.is_none_or(|node| node.alive);
        let runs = reaches && !pod.view.phase.is_finished() && pod.view.selected;
        runs.then(|| leader.clone())
    }
}

impl Sim {
    /// The pods look at their Lease: the leader renews, another takes it once it ran out. What was not renewed is told.
    pub(super) fn elect(&mut self) {
        let Some(electing) = self.world.electing.clone() else { return };
        let over = self.world.now >= electing.written + LASTS;
        let text = self.world.seat.as_ref().and_then(|seat| seat.holder.clone());
        if let Some(leader) = self.world.living_leader().filter(|_| text.is_some()) {
            self.world.write_lease(|record| {
                if let Some(lease) = record.followed.as_mut() {
                    lease.holder_uid = electing.marks.then(|| leader.clone());
                }
            });
        } else if text.is_none() || over || self.heir(text.as_deref()).is_some() {
            let heir = self.heir(text.as_deref()).or_else(|| self.fit());
            if let Some(heir) = heir {
                self.world.take_lease(&heir);
            }
        }
        let rv = self.world.seat.as_ref().map(|seat| seat.rv.clone());
        let lapsed = rv.filter(|_| {
            self.world.electing.as_ref().is_some_and(|all| self.world.now >= all.written + LASTS)
        });
        for index in 0..self.replicas.len() {
            self.tell(index, Observation::SeatLapsed(lapsed.clone()), Note::Nothing);
        }
        self.publish_changes();
        self.after(TICK, Event::Elect);
    }

    /// A new pod of the very name that the Lease names: its program takes it for its own.
    fn heir(&self, text: Option<&str>) -> Option<Uid> {
        let electing = self.world.electing.as_ref().filter(|electing| !electing.tails && !electing.marks)?;
        let pod = self.world.pods.get(text?).filter(|pod| Replica::could_serve(pod))?;
        (electing.leader.as_ref() != Some(&pod.view.uid)).then(|| pod.view.uid.clone())
    }

    fn fit(&mut self) -> Option<Uid> {
        let fit: Vec<Uid> = self
            .world
            .pods
            .values()
            .filter(|pod| Replica::could_serve(pod))
            .map(|pod| pod.view.uid.clone())
            .collect();
        let at = self.rng.below(u64::try_from(fit.len().max(1)).expect("few"));
        fit.get(usize::try_from(at).expect("few")).cloned()
    }

    /// What somebody does to the Lease; whether others elect in this run.
    pub(super) fn lease(&mut self, what: SeatOp) -> bool {
        if self.world.electing.is_none() {
            return false;
        }
        match what {
            SeatOp::Delete => {
                self.world.next_rv();
                self.world.seat = None;
                self.world.dirty.insert(Kind::Seat);
            }
            SeatOp::EditHolder(_) => {
                if let Some(pod) = self.fit() {
                    self.world.take_lease(&pod);
                }
            }
            SeatOp::DropMarks if self.world.seat.is_some() => {
                if let Some(electing) = &mut self.world.electing {
                    electing.leader = None;
                }
                self.world.write_lease(|record| record.holder = None);
            }
            SeatOp::Foreign => self.world.name_somebody_unknown(self.rng.byte()),
            SeatOp::EditTerm(_) | SeatOp::DropMarks | SeatOp::Ours => {}
        }
        true
    }

    /// Whether exactly the leader is served, by every Service.
    pub(super) fn follows_the_leader(&self) -> Result<(), String> {
        let world = &self.world;
        let leader = world.living_leader().ok_or("nobody leads")?;
        let record = world.seat.as_ref().ok_or("there is no Lease")?;
        self.marked_follow(&leader)?;
        for service in world.services.iter().filter(|service| service.found.selecting().is_none()) {
            let slice = world.slice(&service.name).ok_or_else(|| format!("{} has no slice", service.name))?;
            let content = slice.content.as_ref().ok_or_else(|| format!("{} is edited", slice.name))?;
            let endpoint = content.endpoint.as_ref().ok_or_else(|| format!("{} is empty", slice.name))?;
            let follows =
                content.seat_uid == record.uid && record.term.is_none_or(|term| content.term == term);
            if !follows || endpoint.uid != leader {
                return Err(format!("{} does not follow the Lease", slice.name));
            }
        }
        Ok(())
    }
}
