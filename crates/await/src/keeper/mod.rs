//! The keeper: the process that was started. Parent of the command, killer, reaper, forwarder of signals.
//!
//! One thread, no runtime, no TLS, and nothing in it waits for anybody: it sleeps in one `poll` and only there. It knows
//! nothing of Leases. What it knows is by when the command must be dead unless it hears otherwise.

pub(crate) mod processes;
mod watchman;

use crate::settings::Start;
use crate::wire::{Lines, Order, Word};
use crate::{clock, log, roles, trampoline};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::time::Duration;
use watchman::{Deed, Event, FAILED, Watchman};

/// Between two rounds of killing: what was killed needs a moment to die.
const KILL_ROUND: Duration = Duration::from_millis(5);
/// The same once it takes long: something sleeps uninterruptibly.
const SLOW_KILL_ROUND: Duration = Duration::from_millis(100);
/// Rounds until that is so, and until, as a container's first process, we kill without looking.
const FAST_ROUNDS: u32 = 40;

/// The keeper cannot do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeeperError {
    /// No boot clock.
    #[error("the kernel has no CLOCK_BOOTTIME, so that no lease can be guarded; use Linux 3.15 or newer")]
    NoClock,
    /// No `/proc`.
    #[error("/proc is not mounted, so that the command's children could not be found; mount it")]
    NoProc,
    /// A system call failed.
    #[error("{0}: {1}; check the container's seccomp profile")]
    Call(&'static str, Errno),
    /// The elector did not start.
    #[error("starting the elector from /proc/self/exe: {0}; check the container's process limit")]
    Elector(io::Error),
}

struct Keeper {
    watchman: Watchman,
    start: Start,
    me: Pid,
    mark: String,
    elector: Pid,
    link: Option<UnixStream>,
    lines: Lines,
    signals: SignalFd,
    timer: TimerFd,
    command: Option<Pid>,
    rounds: u32,
    last_words: Vec<String>,
}

/// Keeps until all is over; the exit code.
pub(crate) fn run(start: Start) -> u8 {
    let keeper = match Keeper::new(start) {
        Ok(keeper) => keeper,
        Err(error) => {
            log::line(&error.to_string());
            return FAILED;
        }
    };
    keeper.keep().unwrap_or_else(|error| {
        // The end of this process is the command's, and must not wait for a reader.
        log::line_if_read(&error.to_string());
        FAILED
    })
}

fn call<T>(what: &'static str, outcome: nix::Result<T>) -> Result<T, KeeperError> {
    outcome.map_err(|errno| KeeperError::Call(what, errno))
}

impl Keeper {
    fn new(start: Start) -> Result<Self, KeeperError> {
        if !clock::works() {
            return Err(KeeperError::NoClock);
        }
        if !processes::visible() {
            return Err(KeeperError::NoProc);
        }
        call("becoming the reaper of orphans", prctl::set_child_subreaper(true))?;
        let all = SigSet::all();
        call("blocking signals", all.thread_block())?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let signals = call("taking signals", SignalFd::with_flags(&all, flags))?;
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = call("making a timer", TimerFd::new(ClockId::CLOCK_BOOTTIME, flags))?;
        let (ours, theirs) = UnixStream::pair().map_err(KeeperError::Elector)?;
        ours.set_nonblocking(true).map_err(KeeperError::Elector)?;
        let me = getpid();
        // No other keeper of this boot had this number at this time.
        let mark = format!("{}-{}", me, clock::now().as_nanos());
        let elector = start_elector(&start, &mark, theirs.into())?;
        Ok(Self {
            watchman: Watchman::new(start.farewell),
            start,
            me,
            mark,
            elector,
            link: Some(ours),
            lines: Lines::default(),
            signals,
            timer,
            command: None,
            rounds: 0,
            last_words: Vec::new(),
        })
    }

    fn keep(mut self) -> Result<u8, KeeperError> {
        loop {
            self.sleep()?;
            // Newer deadlines may lie in the socket: they are read before the old ones are judged.
            for event in self.gather()? {
                if let Some(code) = self.handle(&event) {
                    self.speak_last();
                    return Ok(code);
                }
            }
        }
    }

    /// Everything that happened, the passing of time last.
    fn gather(&mut self) -> Result<Vec<Event>, KeeperError> {
        let mut events = self.hear();
        while let Some(info) = call("reading signals", self.signals.read_signal())? {
            let number = i32::try_from(info.ssi_signo).unwrap_or_default();
            match Signal::try_from(number) {
                Ok(Signal::SIGCHLD) => {}
                Ok(signal) => events.push(Event::Signal(signal)),
                Err(_) => self.tell(&Word::Say(format!("real-time signal {number} is not passed on"))),
            }
        }
        events.extend(self.reap());
        if self.watchman.is_killing() && self.kill_round() {
            events.push(Event::Clear);
        }
        events.push(Event::Tick);
        Ok(events)
    }

    /// Until something happens or is due.
    fn sleep(&mut self) -> Result<(), KeeperError> {
        let due = if self.watchman.is_killing() {
            let pause = if self.rounds < FAST_ROUNDS { KILL_ROUND } else { SLOW_KILL_ROUND };
            Some(clock::now().saturating_add(pause))
        } else {
            self.watchman.deadline()
        };
        match due {
            // Zero would switch the timer off.
            Some(at) => {
                let at = Expiration::OneShot(TimeSpec::from(at.max(Duration::from_nanos(1))));
                call("setting the timer", self.timer.set(at, TimerSetTimeFlags::TFD_TIMER_ABSTIME))?;
            }
            None => call("stopping the timer", self.timer.unset())?,
        }
        let mut fds = vec![
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.timer.as_fd(), PollFlags::POLLIN),
        ];
        fds.extend(self.link.as_ref().map(|link| PollFd::new(link.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(KeeperError::Call("waiting", errno)),
        }
    }

    /// Reads what the elector sent.
    fn hear(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let mut buffer = [0; 4096];
        while let Some(link) = &mut self.link {
            match link.read(&mut buffer) {
                Ok(0) => {
                    self.link = None;
                    events.push(Event::ElectorGone);
                }
                Ok(length) => {
                    let lines = self.lines.feed(buffer.get(..length).unwrap_or_default());
                    events.extend(lines.iter().filter_map(|line| Order::parse(line)).map(Event::Order));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_broken) => {
                    self.link = None;
                    events.push(Event::ElectorGone);
                }
            }
        }
        events
    }

    /// Takes the exit status of every child that died: ours, and the orphans that became ours.
    fn reap(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let (pid, code) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, u8::try_from(code).unwrap_or(FAILED)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, by_signal(signal as i32)),
                Err(Errno::EINTR) => continue,
                // Reaped, but by a real-time signal, which has no name here: find out who is missing.
                Err(Errno::EINVAL) => {
                    match [self.command, Some(self.elector)].into_iter().flatten().find(|pid| is_gone(*pid)) {
                        Some(pid) => (pid, u8::MAX),
                        None => continue,
                    }
                }
                // Nothing died, or there is nothing that could.
                Ok(_) | Err(_) => return events,
            };
            if Some(pid) == self.command {
                events.push(Event::Ended { code });
            } else if pid == self.elector {
                // What it sent last is read first.
                events.splice(0..0, self.hear());
                events.push(Event::ElectorGone);
            }
        }
    }

    fn handle(&mut self, event: &Event) -> Option<u8> {
        if matches!(event, Event::Ended { .. }) {
            // Not before: until it is told, what is left of the command is not "nothing".
            self.command = None;
        }
        for deed in self.watchman.on(clock::now(), event) {
            match deed {
                Deed::Start { term, not_after } => {
                    let outcome = self.start_command(term, not_after);
                    if let Some(code) = self.handle(&outcome) {
                        return Some(code);
                    }
                }
                Deed::Forward(signal) => self.forward(signal),
                Deed::KillAll => {
                    self.rounds = 0;
                    // Usually nothing is left of a command that ended by itself, and the lease can be given back at once.
                    if self.kill_once()
                        && let Some(code) = self.handle(&Event::Clear)
                    {
                        return Some(code);
                    }
                }
                Deed::Tell(word) => self.tell(&word),
                Deed::Exit(code) => return Some(code),
            }
        }
        None
    }

    fn start_command(&mut self, term: u64, not_after: Duration) -> Event {
        let mut command = roles::again_as(roles::TRAMPOLINE);
        command
            .args(trampoline::arguments(self.me.as_raw(), not_after))
            .arg(&self.start.command)
            .args(&self.start.args)
            .env(roles::TERM, term.to_string())
            .env(roles::RUN, &self.mark)
            .process_group(0);
        match command.spawn().map(|child| i32::try_from(child.id())) {
            Ok(Ok(pid)) => {
                self.command = Some(Pid::from_raw(pid));
                Event::Started { pid }
            }
            Ok(Err(_)) => Event::Ended { code: FAILED },
            Err(error) => {
                self.tell(&Word::Say(format!("starting the command: {error}; check the process limit")));
                Event::Ended { code: FAILED }
            }
        }
    }

    fn forward(&self, signal: Signal) {
        if let Some(pid) = self.command
            // It may have moved to another group. Gone is as good: its end will be seen.
            && killpg(pid, signal) == Err(Errno::ESRCH)
        {
            let _ = kill(pid, signal);
        }
    }

    /// One round of killing; whether nothing is left.
    fn kill_round(&mut self) -> bool {
        self.rounds = self.rounds.saturating_add(1);
        if self.rounds > FAST_ROUNDS && self.me.as_raw() == 1 {
            // Something forks faster than we look. This takes the elector along, which ends the container.
            processes::kill_everything();
        }
        self.kill_once()
    }

    fn kill_once(&mut self) -> bool {
        self.forward(Signal::SIGKILL);
        let Ok(all) = processes::all() else { return false };
        let left = processes::descendants(&all, self.me.as_raw(), Some(self.elector.as_raw()));
        processes::kill_each(&left);
        left.is_empty() && self.command.is_none()
    }

    /// Never waits: an elector that does not read is frozen, and what it misses it will find out by itself.
    fn tell(&mut self, word: &Word) {
        let sent = self.link.as_mut().is_some_and(|link| link.write_all(word.to_string().as_bytes()).is_ok());
        if let (false, Word::Say(text)) = (sent, word) {
            self.last_words.push(text.clone());
        }
    }

    fn speak_last(&self) {
        for text in &self.last_words {
            log::line_if_read(text);
        }
    }
}

/// The exit code of a process that a signal ended.
fn by_signal(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

fn is_gone(pid: Pid) -> bool {
    kill(pid, None) == Err(Errno::ESRCH)
}

fn start_elector(start: &Start, mark: &str, link: OwnedFd) -> Result<Pid, KeeperError> {
    let mut command = roles::again_as(roles::ELECTOR);
    command
        // The settings again, by the same way they came here.
        .args(&start.whole_line)
        .env(roles::RUN, mark)
        // The command's stdin is not the elector's business, and this hands the socket over without a loose descriptor.
        .stdin(Stdio::from(link))
        .stdout(Stdio::null())
        // What the terminal sends to its foreground group is not for the elector.
        .process_group(0);
    let child = command.spawn().map_err(KeeperError::Elector)?;
    let pid =
        i32::try_from(child.id()).map_err(|_| KeeperError::Elector(io::Error::other("no process ID")))?;
    Ok(Pid::from_raw(pid))
}
