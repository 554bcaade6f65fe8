//! The second killer: what the keeper does at its deadlines, the elector does, too, in case the keeper is frozen.

use crate::keeper::processes;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::time::Duration;

/// Between two rounds.
const ROUND: Duration = Duration::from_millis(5);
/// The same once it takes long: something sleeps uninterruptibly.
const SLOW_ROUND: Duration = Duration::from_millis(100);
/// Rounds until that is so.
const FAST_ROUNDS: u32 = 200;
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
    rounds: u32,
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
            self.killing = Some(Killing { rounds: 0, next: now, dead_since: None });
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
        let rounds = killing.rounds.saturating_add(1);
        let pause = if rounds < FAST_ROUNDS { ROUND } else { SLOW_ROUND };
        self.killing = Some(Killing { rounds, next: now.saturating_add(pause), dead_since });
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
    use std::process::{Child, Command};

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A child deaf to TERM, once it is. This process plays the frozen keeper: it reaps nobody.
    fn deaf_child() -> Child {
        let mut child = Command::new("/bin/sh")
            .args(["-c", "trap '' TERM; echo; exec sleep 1000"])
            .stdout(std::process::Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut line = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        child
    }

    fn guard_of(child: &Child) -> Guard {
        let pid = i32::try_from(child.id()).unwrap();
        // Only the child descends from the child's parent, as far as this guard is concerned.
        let mut guard = Guard::new(pid, 0);
        guard.ordered();
        guard.started(pid);
        guard
    }

    #[test]
    fn deadlines_are_met_without_the_keeper_and_told_once_it_stays_silent() {
        let mut child = deaf_child();
        let mut guard = guard_of(&child);
        guard.arm(s(10), s(14));
        assert_eq!(guard.deadline(), Some(s(10)));
        assert_eq!(guard.look(s(10)), Finding::Fine);
        assert!(child.try_wait().unwrap().is_none(), "deaf to TERM");
        assert_eq!(guard.deadline(), Some(s(14)), "TERM is sent once");
        assert_eq!(guard.look(s(14)), Finding::Fine);
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        let moment = Duration::from_millis(14_900);
        assert_eq!(guard.look(moment), Finding::Fine, "the keeper has a moment to say so");
        assert_eq!(guard.look(s(15)), Finding::KeeperFrozen);
    }

    #[test]
    fn what_the_keeper_cleared_is_left_alone() {
        let mut child = deaf_child();
        let mut guard = guard_of(&child);
        guard.arm(s(10), s(14));
        guard.clear();
        assert_eq!((guard.look(s(20)), guard.deadline()), (Finding::Fine, None));
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn earlier_of_two_ends_counts() {
        let mut guard = Guard::new(1, 2);
        guard.ordered();
        guard.arm(s(10), s(14));
        guard.stop(s(12));
        guard.stop(s(30));
        assert_eq!(guard.deadline(), Some(s(12)), "TERM is the keeper's to send, and patience does not grow");
        guard.stop(s(11));
        assert_eq!(guard.deadline(), Some(s(11)));
    }
}
