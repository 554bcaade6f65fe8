//! A holder: renews, runs the command, and sees to it that it is dead in time.

use super::action::{Action, Exit, Loss, Now};
use super::config::Traffic;
use super::endpoint::{ENDPOINT_TIMEOUT, Endpoint};
use super::status::Role;
use super::waiting::Waiting;
use super::{Gatekeeper, Phase};
use crate::action::Precondition;
use crate::ids::{Rv, Term, Uid};
use std::time::Duration;

/// Tries at the endpoint before the holder makes room for others.
const ENDPOINT_TRIES: u32 = 3;

/// The Lease as this process holds it.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    pub(super) uid: Uid,
    pub(super) rv: Rv,
    pub(super) term: Term,
    pub(super) acquired_us: i64,
    /// When the last write that is known to be stored was sent.
    pub(super) good_at: Duration,
}

impl Hold {
    /// The write that changes exactly what is held.
    pub(super) fn unchanged(&self) -> Precondition {
        Precondition::Unchanged { uid: self.uid.clone(), rv: self.rv.clone() }
    }
}

/// From winning the Lease to the command's death.
#[derive(Debug)]
pub(super) struct Tenure {
    pub(super) hold: Hold,
    pub(super) endpoint: Endpoint,
    command: Command,
    ready: bool,
    stop: Option<Stop>,
    /// `not_after` of a start that came too late: the next must have more time, or it would be asked for without end.
    missed: Duration,
    asked_not_after: Duration,
    /// The record is another's: nothing to renew or to release.
    lost: bool,
    kill_sent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    NotStarted,
    /// From the moment that its start was asked for.
    Running,
    /// Ended; what it started may still run.
    Exited(u8),
}

#[derive(Clone, Copy, Debug)]
struct Stop {
    why: Why,
    kill_at: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Asked,
    Ended,
    Lost(Loss),
    NoEndpoint,
}

impl Tenure {
    pub(super) const fn new(hold: Hold) -> Self {
        Self {
            hold,
            endpoint: Endpoint::new(),
            command: Command::NotStarted,
            ready: false,
            stop: None,
            missed: Duration::ZERO,
            asked_not_after: Duration::ZERO,
            lost: false,
            kill_sent: false,
        }
    }

    pub(super) fn role(&self) -> Role {
        match (self.command, &self.stop) {
            (Command::NotStarted, _) => Role::Starting,
            (Command::Running, None) => Role::Active,
            (Command::Running | Command::Exited(_), _) => Role::Stopping,
        }
    }

    fn exit(&self) -> Exit {
        match (self.stop.map(|stop| stop.why), self.command) {
            (Some(Why::Lost(loss)), _) => Exit::Lost(loss),
            (Some(Why::NoEndpoint), _) => Exit::NoEndpoint,
            (_, Command::Exited(code)) => Exit::Command(code),
            (_, Command::NotStarted | Command::Running) => Exit::Stopped,
        }
    }

    /// Whether the lease is still to be kept: until it is lost, or was not renewed in time.
    fn renews(&self) -> bool {
        !self.lost && !matches!(self.stop, Some(Stop { why: Why::Lost(_), .. }))
    }

    fn wants_endpoint(&self, traffic: Traffic) -> bool {
        self.stop.is_none()
            && match traffic {
                Traffic::None => false,
                Traffic::BeforeStart => self.command == Command::NotStarted,
                Traffic::WhenReady => self.command == Command::Running && self.ready,
            }
    }
}

impl Gatekeeper {
    fn term_at(&self, hold: &Hold) -> Duration {
        hold.good_at.saturating_add(self.config.timing().renew_deadline)
    }

    fn kill_at(&self, hold: &Hold) -> Duration {
        hold.good_at.saturating_add(self.config.kill_after())
    }

    fn endpoint_patience(&self) -> Duration {
        match self.config.traffic() {
            // A running command is not ended for the endpoint's sake.
            Traffic::WhenReady | Traffic::None => Duration::MAX,
            Traffic::BeforeStart => ENDPOINT_TIMEOUT * ENDPOINT_TRIES,
        }
    }

    /// Tells the killer the deadlines of what is held.
    pub(super) fn arm(&mut self) {
        let Phase::Holding(tenure) = &self.phase else { return };
        let (term_at, kill_at) = (self.term_at(&tenure.hold), self.kill_at(&tenure.hold));
        self.outbox.push(Action::Arm { term_at, kill_at });
    }

    pub(super) fn meet_command_deadlines(&mut self, now: Duration) {
        let Phase::Holding(tenure) = &self.phase else { return };
        let (term_at, lease_kill_at) = (self.term_at(&tenure.hold), self.kill_at(&tenure.hold));
        let Phase::Holding(tenure) = &mut self.phase else { return };
        tenure.endpoint.give_up(now);
        if tenure.command != Command::Running {
            return;
        }
        if tenure.stop.is_none() && now >= term_at {
            tenure.stop = Some(Stop { why: Why::Lost(Loss::NotRenewed), kill_at: lease_kill_at });
            self.outbox.push(Action::TermCommand { kill_at: lease_kill_at });
        }
        let kill_at = tenure.stop.map_or(lease_kill_at, |stop| stop.kill_at.min(lease_kill_at));
        if now >= kill_at && !tenure.kill_sent {
            tenure.kill_sent = true;
            self.outbox.push(Action::KillCommand);
        }
    }

    pub(super) fn act_holding(&mut self, now: Now) {
        let patience = self.endpoint_patience();
        let traffic = self.config.traffic();
        let Phase::Holding(tenure) = &mut self.phase else { return };
        if tenure.stop.is_none()
            && tenure.command == Command::NotStarted
            && traffic == Traffic::BeforeStart
            && tenure.endpoint.is_hopeless(now.boot, patience)
        {
            tenure.stop = Some(Stop { why: Why::NoEndpoint, kill_at: now.boot });
        }
        if tenure.stop.is_some() && tenure.command == Command::NotStarted {
            self.leave(now.boot);
            return;
        }
        // The start first: it is what all are waiting for.
        self.start(now.boot);
        self.publish(now.boot);
        self.renew(now);
    }

    fn renew(&mut self, now: Now) {
        let Phase::Holding(tenure) = &self.phase else { return };
        if tenure.lost || !self.calls.may_call(now.boot) {
            return;
        }
        if self.calls.doubt {
            self.read_lease(now.boot);
        } else if tenure.renews() && now.boot >= self.renew_at(&tenure.hold) {
            let precondition = tenure.hold.unchanged();
            let (term, acquired_us) = (tenure.hold.term, tenure.hold.acquired_us);
            let stamp = self.calls.stamp(now.unix_us);
            let record = self.held_record(term, acquired_us, stamp);
            self.write_lease(now.boot, precondition, record);
        }
    }

    fn renew_at(&self, hold: &Hold) -> Duration {
        hold.good_at.saturating_add(self.config.timing().retry_period)
    }

    fn publish(&mut self, now: Duration) {
        let traffic = self.config.traffic();
        let waits = self.waits_for_the_vanished(now);
        let Phase::Holding(tenure) = &mut self.phase else { return };
        // An endpoint that is written at the end of a lease could come after the next holder's.
        if now >= tenure.hold.good_at.saturating_add(self.config.timing().renew_deadline)
            || waits
            || !tenure.wants_endpoint(traffic)
        {
            return;
        }
        if let Some(ticket) = tenure.endpoint.ask(now, || self.calls.ticket()) {
            let (lease_uid, term) = (tenure.hold.uid.clone(), tenure.hold.term);
            self.outbox.push(Action::PublishEndpoint { ticket, lease_uid, term, timeout: ENDPOINT_TIMEOUT });
        }
    }

    /// A create of ours that came late can make a Lease in the place of one that was deleted meanwhile, whose holder may still
    /// run: then the new one is kept, but nothing starts yet.
    fn waits_for_the_vanished(&self, now: Duration) -> bool {
        now < self.lease.not_before
    }

    fn start(&mut self, now: Duration) {
        let wanted = self.config.traffic() != Traffic::BeforeStart;
        let Phase::Holding(tenure) = &self.phase else { return };
        let not_after = self.term_at(&tenure.hold);
        let due = tenure.command == Command::NotStarted
            && tenure.stop.is_none()
            && (wanted || tenure.endpoint.is_stored())
            && !self.waits_for_the_vanished(now)
            // Else a renewal comes first.
            && now < not_after
            && not_after > tenure.missed;
        let Phase::Holding(tenure) = &mut self.phase else { return };
        if due {
            tenure.command = Command::Running;
            tenure.asked_not_after = not_after;
            self.outbox.push(Action::StartCommand { term: tenure.hold.term, not_after });
        }
    }

    pub(super) fn holding_deadline(&self, tenure: &Tenure, now: Duration) -> Option<Duration> {
        let wanted = match tenure {
            tenure if tenure.lost => None,
            _ if self.calls.doubt => Some(Duration::ZERO),
            tenure => tenure.renews().then(|| self.renew_at(&tenure.hold)),
        };
        let running = tenure.command == Command::Running;
        let kill_at = (running && !tenure.kill_sent).then(|| {
            let lease_kill_at = self.kill_at(&tenure.hold);
            tenure.stop.map_or(lease_kill_at, |stop| stop.kill_at.min(lease_kill_at))
        });
        let term_at = (running && tenure.stop.is_none()).then(|| self.term_at(&tenure.hold));
        let vanished =
            Some(self.lease.not_before).filter(|at| tenure.command == Command::NotStarted && *at > now);
        let fresh = now < self.term_at(&tenure.hold);
        let endpoint = (fresh && vanished.is_none() && tenure.wants_endpoint(self.config.traffic()))
            .then(|| tenure.endpoint.deadline(self.endpoint_patience()))
            .flatten();
        [self.calls.deadline(wanted), kill_at, term_at, endpoint, vanished].into_iter().flatten().min()
    }

    pub(super) fn judge_holding(&mut self, now: Duration) {
        let Phase::Holding(tenure) = &mut self.phase else { return };
        if tenure.lost {
            return;
        }
        let own = self.lease.present().filter(|view| view.uid == tenure.hold.uid);
        let Some(view) = own else { return self.lose(now, Loss::Deleted) };
        let Some(sent_at) = self.calls.sent_at(&view.record) else { return self.lose(now, Loss::Taken) };
        tenure.hold.rv = view.rv.clone();
        if sent_at > tenure.hold.good_at {
            tenure.hold.good_at = sent_at;
            self.calls.did_well();
            self.arm();
        }
    }

    fn lose(&mut self, now: Duration, loss: Loss) {
        let Phase::Holding(tenure) = &mut self.phase else { return };
        tenure.lost = true;
        match tenure.command {
            Command::Running => {
                tenure.stop = Some(Stop { why: Why::Lost(loss), kill_at: now });
                if !tenure.kill_sent {
                    tenure.kill_sent = true;
                    self.outbox.push(Action::KillCommand);
                }
            }
            // It ended by itself: the loss changes nothing but that there is nothing to release.
            Command::Exited(_) => {}
            Command::NotStarted if tenure.stop.is_some() => self.end(Exit::Stopped),
            // Nothing ran at this term: a candidate again.
            Command::NotStarted => self.phase = Phase::Waiting(Waiting::default()),
        }
    }

    pub(super) fn note_start_missed(&mut self) {
        let Phase::Holding(tenure) = &mut self.phase else { return };
        if tenure.command != Command::Running {
            return;
        }
        tenure.command = Command::NotStarted;
        tenure.missed = tenure.asked_not_after;
        tenure.kill_sent = false;
        match tenure.stop {
            // Overslept: as long as nobody else took the lease, it is renewed and the start asked for again.
            Some(Stop { why: Why::Lost(Loss::NotRenewed), .. }) => tenure.stop = None,
            Some(Stop { why: Why::Lost(_), .. }) => self.phase = Phase::Waiting(Waiting::default()),
            _ => {}
        }
    }

    pub(super) fn note_ready(&mut self) {
        if let Phase::Holding(tenure) = &mut self.phase {
            tenure.ready = true;
        }
    }

    pub(super) fn note_exited(&mut self, now: Duration, code: u8) {
        let Phase::Holding(tenure) = &mut self.phase else { return };
        if tenure.command == Command::Running {
            tenure.command = Command::Exited(code);
            tenure.stop = tenure.stop.or(Some(Stop { why: Why::Ended, kill_at: now }));
            // As with any container: when its first process ends, the rest ends with it.
            self.outbox.push(Action::KillCommand);
        }
    }

    pub(super) fn note_all_dead(&mut self, now: Duration) {
        if matches!(&self.phase, Phase::Holding(tenure) if matches!(tenure.command, Command::Exited(_))) {
            self.leave(now);
        }
    }

    pub(super) fn note_killer_fired(&mut self, now: Duration) {
        let Phase::Holding(tenure) = &self.phase else { return };
        let kill_at = self.kill_at(&tenure.hold).max(now);
        let Phase::Holding(tenure) = &mut self.phase else { return };
        if tenure.command == Command::Running && tenure.stop.is_none() {
            tenure.stop = Some(Stop { why: Why::Lost(Loss::NotRenewed), kill_at });
            self.outbox.push(Action::TermCommand { kill_at });
        }
    }

    pub(super) fn note_stop_requested(&mut self, now: Duration) {
        let kill_at = now.saturating_add(self.config.grace());
        match &mut self.phase {
            Phase::Waiting(_) => self.stop_waiting(now),
            Phase::Holding(tenure) if tenure.stop.is_none() => {
                tenure.stop = Some(Stop { why: Why::Asked, kill_at });
                if tenure.command == Command::Running {
                    self.outbox.push(Action::TermCommand { kill_at });
                }
            }
            Phase::Holding(_) | Phase::Leaving(_) | Phase::Ended => {}
        }
    }

    /// Nothing of the command is alive, or it was never started.
    fn leave(&mut self, now: Duration) {
        let Phase::Holding(tenure) = &self.phase else { return };
        let exit = tenure.exit();
        if tenure.lost {
            self.end(exit);
        } else {
            let (hold, endpoint) = (tenure.hold.clone(), tenure.endpoint.may_stand());
            self.release(now, exit, hold, endpoint);
        }
    }
}
