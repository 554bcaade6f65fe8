//! The second killer: what the keeper does at its deadlines, the elector does, too, in case the keeper is frozen.

use crate::keeper::processes;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::time::Duration;

/// Between two rounds.
const ROUND: Duration = Duration::from_millis(5);
/// How long the keeper may take to say that all is dead once we see that it is; then it is frozen.
const KEEPER_MAY_TAKE: Duration = Duration::from_secs(1);

/// What the second killer knows.
#[derive(Debug)]
pub(super) struct Guard {
    keeper: i32,
    me: i32,
    armed: Option<(Duration, Duration)>,
    stop_by: Option<Duration>,
    /// The command's process group, while it or something of it may live.
    command: Option<i32>,
    /// It may have been started; the keeper has not said yet.
    ordered: bool,
    termed: bool,
    killing: Option<Killing>,
}

#[derive(Clone, Copy, Debug)]
struct Killing {
    next: Duration,
    /// Since when nothing lives any more.
    dead_since: Option<Duration>,
}

/// What a look at the clock came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// Nothing special.
    Fine,
    /// Everything is dead by our hand, and the keeper does not say so: it is frozen.
    KeeperFrozen,
}

impl Guard {
    /// For the children of this keeper.
    pub(super) const fn new(keeper: i32, me: i32) -> Self {
        Self {
            keeper,
            me,
            armed: None,
            stop_by: None,
            command: None,
            ordered: false,
            termed: false,
            killing: None,
        }
    }

    /// New deadlines for SIGTERM and SIGKILL.
    pub(super) fn arm(&mut self, term_at: Duration, kill_at: Duration) {
        self.armed = Some((term_at, kill_at));
    }

    /// The keeper is told to start the command.
    pub(super) fn ordered(&mut self) {
        self.ordered = true;
    }

    /// It did.
    pub(super) fn started(&mut self, pid: i32) {
        self.ordered = true;
        self.command = Some(pid);
    }

    /// The command was told to end.
    pub(super) fn stop(&mut self, kill_at: Duration) {
        self.termed = true;
        self.stop_by = Some(self.stop_by.map_or(kill_at, |before| before.min(kill_at)));
    }

    /// Nothing of it lives any more: the keeper says so.
    pub(super) fn clear(&mut self) {
        (self.ordered, self.command, self.killing) = (false, None, None);
    }

    /// Whether something of the command may live.
    pub(super) const fn may_live(&self) -> bool {
        self.ordered
    }

    /// When to look again.
    pub(super) fn deadline(&self) -> Option<Duration> {
        if !self.ordered {
            return None;
        }
        if let Some(killing) = self.killing {
            return Some(killing.next);
        }
        let (term_at, kill_at) = self.armed.unzip();
        term_at.filter(|_| !self.termed).into_iter().chain(kill_at).chain(self.stop_by).min()
    }

    /// Kills from now on.
    pub(super) fn kill(&mut self, now: Duration) {
        if self.ordered && self.killing.is_none() {
            self.killing = Some(Killing { next: now, dead_since: None });
        }
    }

    /// Does what is due.
    pub(super) fn look(&mut self, now: Duration) -> Finding {
        let over = |at: Option<Duration>| at.is_some_and(|at| now >= at);
        let (term_at, kill_at) = self.armed.unzip();
        if over(kill_at) || over(self.stop_by) {
            self.kill(now);
        } else if self.ordered && !self.termed && over(term_at) {
            self.termed = true;
            self.signal_group(Signal::SIGTERM);
        }
        match self.killing {
            Some(killing) if self.ordered && now >= killing.next => self.round(now, killing),
            _ => Finding::Fine,
        }
    }

    fn round(&mut self, now: Duration, killing: Killing) -> Finding {
        self.signal_group(Signal::SIGKILL);
        let dead = processes::all().is_ok_and(|all| {
            let left = processes::descendants(&all, self.keeper, Some(self.me));
            processes::kill_each(&left);
            // A frozen keeper reaps nobody; what waits for that is dead.
            left.iter().all(|process| process.zombie)
        });
        let dead_since = dead.then(|| killing.dead_since.unwrap_or(now));
        self.killing = Some(Killing { next: now.saturating_add(ROUND), dead_since });
        match dead_since {
            Some(since) if now >= since.saturating_add(KEEPER_MAY_TAKE) => Finding::KeeperFrozen,
            _ => Finding::Fine,
        }
    }

    fn signal_group(&self, signal: Signal) {
        if let Some(pid) = self.command {
            // Gone is as good.
            let _ = killpg(Pid::from_raw(pid), signal);
        }
    }

    /// The keeper is dead and what descended from it is somebody else's: found by the mark in its environment, and killed.
    /// Whether nothing is left.
    pub(super) fn kill_orphans(&self, mark: &str) -> bool {
        self.signal_group(Signal::SIGKILL);
        let Ok(all) = processes::all() else { return false };
        let mut left = processes::marked(&all, mark, &[self.me]);
        left.retain(|process| !process.zombie);
        processes::kill_each(&left);
        left.is_empty()
    }
}
