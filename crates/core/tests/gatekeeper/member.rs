//! One member: its machine with the shell around it, its killer and its command, as far as the rest must know them.

use crate::rng::Rng;
use hotstandby_core::action::Precondition;
use hotstandby_core::gatekeeper::{Config, Gatekeeper, Identity, LeaseRecord};
use hotstandby_core::ids::Term;
use std::sync::Arc;
use std::time::Duration;

/// What runs in a member's container.
#[derive(Debug)]
pub(super) enum Program {
    /// Ours.
    Await(Box<Gatekeeper>),
    /// By client-go's rules.
    Plain(super::plain::Plain),
    /// Nothing: it ended, and is started again later.
    Down,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: Arc<str>,
    pub(super) config: Config,
    pub(super) plain: bool,
    /// Replaced by a new pod: counts up.
    pub(super) pod: u64,
    /// Replaced by a new process: counts up.
    pub(super) process: u64,
    pub(super) program: Program,
    /// The elector is dead while the killer lives.
    pub(super) wrapper_dead: bool,
    /// Parts per million that its clock runs fast.
    ppm: i64,
    boot_offset_us: u64,
    /// Its wall clock, beside the true one.
    wall_skew_us: i64,
    /// What the machine's clock is set back by, where a rule is bent.
    pub(super) skip_us: i64,
    pub(super) wrapper_until: u64,
    pub(super) killer_until: u64,
    pub(super) cut_until: u64,
    pub(super) watch_until: u64,
    pub(super) watch_order: u64,
    /// Newest step that is queued.
    pub(super) step_at: Option<u64>,
    pub(super) killer: Killer,
    pub(super) command: Command,
    /// Orders to the killer arrive in order: when the last does.
    pub(super) order_at: u64,
    /// The last write, for rules that are bent.
    pub(super) last_write: Option<(u64, Precondition, LeaseRecord)>,
    pub(super) believed_us: Option<i64>,
    /// This process has stopped for good: the next is a new pod.
    pub(super) stopping: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Killer {
    pub(super) term_at: Option<Duration>,
    pub(super) kill_at: Option<Duration>,
    pub(super) patience: Option<Duration>,
    pub(super) termed: bool,
    pub(super) killed: bool,
    /// The elector knows that the command itself has ended.
    pub(super) reported: bool,
}

/// What a command does when it is told to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Manners {
    #[default]
    EndsOnTerm,
    IgnoresTerm,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Command {
    /// Counts starts, so that late events are told apart.
    pub(super) generation: u64,
    /// What it was told at its start.
    pub(super) term: Option<Term>,
    /// Something of it lives.
    pub(super) alive: bool,
    /// The process itself lives.
    pub(super) main_alive: bool,
    pub(super) manners: Manners,
    /// It leaves a child behind.
    pub(super) daemonises: bool,
}

/// 2026-11-21T00:00:00Z.
const WALL_US: i64 = 1_795_219_200_000_000;

impl Member {
    pub(super) fn new(rng: &mut Rng, name: Arc<str>, config: Config, plain: bool) -> Self {
        // Two clocks are never more than 1 % apart.
        let ppm = i64::try_from(rng.below(9_800)).expect("small") - 4_900;
        let wall_skew_us = i64::try_from(rng.below(7_200_000_000)).expect("small") - 3_600_000_000;
        Self {
            name,
            config,
            plain,
            pod: rng.next(),
            process: 0,
            program: Program::Down,
            wrapper_dead: false,
            ppm,
            boot_offset_us: rng.below(1_000_000_000),
            wall_skew_us,
            skip_us: 0,
            wrapper_until: 0,
            killer_until: 0,
            cut_until: 0,
            watch_until: 0,
            watch_order: 0,
            step_at: None,
            killer: Killer::default(),
            command: Command::default(),
            order_at: 0,
            last_write: None,
            believed_us: None,
            stopping: false,
        }
    }

    pub(super) fn identity(&self) -> Identity {
        Identity {
            name: self.name.clone(),
            pod_uid: Some(format!("pod-{}", self.pod).into()),
            container: Some("app".into()),
            instance: format!("{}-{}", self.pod, self.process).into(),
        }
    }

    /// Its `CLOCK_BOOTTIME`.
    pub(super) fn boot(&self, true_us: u64) -> Duration {
        let us = i128::from(true_us) * (1_000_000 + i128::from(self.ppm)) / 1_000_000;
        Duration::from_micros(self.boot_offset_us + u64::try_from(us).expect("after the start"))
    }

    /// When its `CLOCK_BOOTTIME` shows this; not before `now_us`.
    pub(super) fn true_us(&self, boot: Duration, now_us: u64) -> u64 {
        let us = i128::try_from(boot.as_micros()).expect("small") - i128::from(self.boot_offset_us);
        // Rounded up, so that the clock shows it by then.
        let true_us = us * 1_000_000 / (1_000_000 + i128::from(self.ppm)) + 2;
        u64::try_from(true_us).unwrap_or(0).max(now_us)
    }

    /// Whether the elector can do all killing by itself.
    pub(super) const fn can_do_without_killer(&self, now: u64) -> bool {
        self.wrapper_until <= now && !self.wrapper_dead
    }

    pub(super) fn wall_us(&self, true_us: u64) -> i64 {
        WALL_US + self.wall_skew_us + i64::try_from(true_us).expect("small")
    }
}
