//! What the keeper does about what it hears and sees: pure, so that every fear has a test.
//!
//! One command per gatekeeper: once it ended, or was refused, nothing starts any more.

use crate::wire::{Order, Word};
use nix::sys::signal::Signal;
use std::time::Duration;

/// The exit code after a lost elector, and of whatever else is a failure of the gatekeeper.
pub(crate) const FAILED: u8 = 1;

/// Something the keeper does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Start the command, and say [`Event::Started`] or [`Event::Ended`].
    Start {
        /// Passed to it.
        term: u64,
        /// It must not be executed after this.
        not_after: Duration,
    },
    /// Send this to the command's process group.
    Forward(Signal),
    /// Kill the command and its descendants, again and again until none is left; then say [`Event::Clear`].
    KillAll,
    /// Tell the elector.
    Tell(Word),
    /// End with this code.
    Exit(u8),
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// From the elector.
    Order(Order),
    /// The elector is dead, or closed its end.
    ElectorGone,
    /// The keeper got a signal.
    Signal(Signal),
    /// The command was started.
    Started {
        /// Its process ID.
        pid: i32,
    },
    /// The command itself ended; descendants may be left.
    Ended {
        /// Its exit code, or 128 + signal.
        code: u8,
    },
    /// Nothing is left of the command and its descendants.
    Clear,
    /// Time has passed.
    Tick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No command yet.
    Waiting,
    /// It runs.
    Running,
    /// It, or what is left of it, is being killed.
    Killing {
        /// The command's own end was told.
        told: bool,
    },
    /// It is dead, or may not start any more. The elector finishes.
    Over {
        /// The elector's time is up.
        until: Duration,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Armed {
    term_at: Duration,
    kill_at: Duration,
}

/// The keeper's memory.
#[derive(Clone, Debug)]
pub(crate) struct Watchman {
    state: State,
    farewell: Duration,
    armed: Option<Armed>,
    stop_by: Option<Duration>,
    /// The command has got a signal to end, for whatever reason.
    termed: bool,
    asked: Option<Signal>,
    elector_gone: bool,
    done: Option<u8>,
}

impl Watchman {
    /// Waits for orders. Once nothing runs any more, the elector may take this long to finish: a frozen one must not keep
    /// the container from being started again.
    pub(crate) const fn new(farewell: Duration) -> Self {
        Self {
            state: State::Waiting,
            farewell,
            armed: None,
            stop_by: None,
            termed: false,
            asked: None,
            elector_gone: false,
            done: None,
        }
    }

    /// Whether killing goes on.
    pub(crate) const fn is_killing(&self) -> bool {
        matches!(self.state, State::Killing { .. })
    }

    /// When to tick next at the latest.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::Waiting | State::Killing { .. } => None,
            State::Running => self.next_signal_at().into_iter().chain(self.stop_by).min(),
            State::Over { until } => Some(until),
        }
    }

    fn next_signal_at(&self) -> Option<Duration> {
        self.armed.map(|armed| if self.termed { armed.kill_at } else { armed.term_at.min(armed.kill_at) })
    }

    /// Takes an event in and says what to do.
    pub(crate) fn on(&mut self, now: Duration, event: &Event) -> Vec<Deed> {
        let mut deeds = Vec::new();
        match event {
            Event::Order(order) => self.obey(now, order, &mut deeds),
            Event::ElectorGone => self.elector_gone(&mut deeds),
            Event::Signal(signal) => self.signalled(now, *signal, &mut deeds),
            Event::Started { pid } => deeds.push(Deed::Tell(Word::Started { pid: *pid })),
            Event::Ended { code } => self.ended(*code, &mut deeds),
            Event::Clear => self.cleared(now, &mut deeds),
            // Not at each event: a keeper that stood still finds old deadlines before the newest.
            Event::Tick => self.look_at_the_clock(now, &mut deeds),
        }
        deeds
    }

    fn obey(&mut self, now: Duration, order: &Order, deeds: &mut Vec<Deed>) {
        match *order {
            Order::Arm { term_at, kill_at } => self.armed = Some(Armed { term_at, kill_at }),
            Order::Start { term, not_after } => self.start(now, term, not_after, deeds),
            Order::Stop { kill_at } => {
                self.stop_by = Some(self.stop_by.map_or(kill_at, |before| before.min(kill_at)));
                if self.state == State::Running && !self.termed {
                    self.termed = true;
                    deeds.push(Deed::Forward(Signal::SIGTERM));
                }
            }
            Order::Kill => self.kill(deeds),
            Order::Done { code } => {
                self.done = Some(code);
                match self.state {
                    // Only a bug says so, and it must not leave a command without a guard.
                    State::Running => self.kill(deeds),
                    State::Killing { .. } => {}
                    State::Waiting | State::Over { .. } => deeds.push(Deed::Exit(code)),
                }
            }
        }
    }

    fn start(&mut self, now: Duration, term: u64, not_after: Duration, deeds: &mut Vec<Deed>) {
        let guarded = self.armed.is_some_and(|armed| now < armed.kill_at && not_after <= armed.kill_at);
        if self.state == State::Waiting && guarded && now < not_after && !self.elector_gone {
            self.state = State::Running;
            deeds.push(Deed::Start { term, not_after });
            return;
        }
        if matches!(self.state, State::Running | State::Killing { .. }) {
            return; // "Missed" would say that nothing runs
        }
        // Too late, so that the elector renews the lease and asks again; or it crossed with a request to end.
        deeds.push(Deed::Tell(Word::Missed));
    }

    fn signalled(&mut self, now: Duration, signal: Signal, deeds: &mut Vec<Deed>) {
        let running = self.state == State::Running;
        let to_end = match signal {
            Signal::SIGTERM | Signal::SIGINT => true,
            // To a Java program it means "tell what you are doing".
            Signal::SIGQUIT => !running,
            _ => false,
        };
        if running {
            deeds.push(Deed::Forward(signal));
            self.termed |= to_end;
        }
        if !to_end || self.asked.is_some() {
            return;
        }
        self.asked = Some(signal);
        deeds.push(Deed::Tell(Word::Asked { signal: signal as i32 }));
        if self.state == State::Waiting {
            // Nothing will start any more; the elector has a while to say good-bye.
            self.state = State::Over { until: now.saturating_add(self.farewell) };
        }
    }

    fn ended(&mut self, code: u8, deeds: &mut Vec<Deed>) {
        match self.state {
            // What it leaves behind ends with it, as it would with the container.
            State::Running => {
                deeds.extend([Deed::Tell(Word::Exited { code }), Deed::KillAll]);
            }
            State::Killing { told: false } => deeds.push(Deed::Tell(Word::Exited { code })),
            State::Killing { told: true } | State::Waiting | State::Over { .. } => return,
        }
        self.state = State::Killing { told: true };
    }

    fn kill(&mut self, deeds: &mut Vec<Deed>) {
        if self.state == State::Running {
            self.state = State::Killing { told: false };
            deeds.push(Deed::KillAll);
        }
    }

    fn cleared(&mut self, now: Duration, deeds: &mut Vec<Deed>) {
        let State::Killing { told } = self.state else { return };
        if !told {
            // The elector takes nothing for dead whose end it has not heard of.
            deeds.push(Deed::Tell(Word::Exited { code: FAILED }));
        }
        self.state = State::Over { until: now.saturating_add(self.farewell) };
        deeds.push(Deed::Tell(Word::Clear));
        if self.elector_gone || self.done.is_some() {
            deeds.push(Deed::Exit(self.done.unwrap_or(FAILED)));
        }
    }

    fn elector_gone(&mut self, deeds: &mut Vec<Deed>) {
        self.elector_gone = true;
        match self.state {
            // Nobody renews the lease any more, so nothing may run.
            State::Running => self.kill(deeds),
            State::Killing { .. } => {}
            State::Waiting | State::Over { .. } => deeds.push(Deed::Exit(self.done.unwrap_or(FAILED))),
        }
    }

    fn look_at_the_clock(&mut self, now: Duration, deeds: &mut Vec<Deed>) {
        let over = |at: Option<Duration>| at.is_some_and(|at| now >= at);
        match self.state {
            State::Running if over(self.armed.map(|armed| armed.kill_at)) => {
                deeds.push(Deed::Tell(Word::Fired));
                self.kill(deeds);
            }
            State::Running if over(self.stop_by) => {
                deeds.push(Deed::Tell(Word::Say("the command did not end in time: killing it".to_owned())));
                self.kill(deeds);
            }
            State::Running if !self.termed && over(self.armed.map(|armed| armed.term_at)) => {
                self.termed = true;
                deeds.push(Deed::Tell(Word::Fired));
                deeds.push(Deed::Forward(Signal::SIGTERM));
            }
            State::Over { until } if now >= until => deeds.push(Deed::Exit(FAILED)),
            State::Waiting | State::Running | State::Killing { .. } | State::Over { .. } => {}
        }
    }
}

#[cfg(test)]
#[path = "watchman_tests.rs"]
mod tests;
