//! One machine beside a modelled Lease that answers at once, or as a case wants it: what it asks for is written down.

use crate::store::Store;
use hotstandby_core::action::{Precondition, Ticket};
use hotstandby_core::gatekeeper::{
    Action, Config, DEFAULT_KILL_MARGIN, Gatekeeper, Identity, LeaseRecord, LeaseState, Marks, Now,
    Observation, Timing, Traffic,
};
use hotstandby_core::ids::Term;
use hotstandby_core::observation::WriteError;
use std::collections::VecDeque;
use std::time::Duration;

/// How the next call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Done, and said so after this.
    Slow(Duration),
    /// Done, and nobody says so.
    Silent,
    /// Not done, and nobody says so.
    Lost,
    /// 504, done.
    OpenDone,
    /// 504, not done.
    Open,
    /// 403.
    Refused,
}

pub(crate) const WALL_US: i64 = 1_795_219_200_000_000;

pub(crate) struct Bench {
    pub(crate) now: Duration,
    pub(crate) machine: Gatekeeper,
    pub(crate) store: Store,
    pub(crate) log: Vec<String>,
    /// How the next calls to the Lease end; then they end well.
    pub(crate) fates: VecDeque<Fate>,
    /// How all calls end that `fates` says nothing of.
    pub(crate) always: Option<Fate>,
    pub(crate) publish: Result<(), WriteError>,
    /// Whether a watch tells of changes at once.
    pub(crate) watch: bool,
    /// The records that were sent.
    pub(crate) sent: Vec<LeaseRecord>,
    deadline: Option<Duration>,
    answers: Vec<(Duration, Observation)>,
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn usual() -> Config {
    Config::new(Timing::DEFAULT, DEFAULT_KILL_MARGIN).expect("the default")
}

pub(crate) fn me() -> Identity {
    Identity {
        name: "db-0".into(),
        pod_uid: Some("pod-a".into()),
        container: Some("db".into()),
        instance: "this".into(),
    }
}

/// A record that another wrote, long ago by its timestamps.
pub(crate) fn held_by(name: &str, term: u64, duration_seconds: u32) -> LeaseRecord {
    LeaseRecord {
        holder: (!name.is_empty()).then(|| name.into()),
        term: Term(term),
        duration_seconds,
        acquired_us: 1_000_000,
        renewed_us: 1_000_000,
        marks: None,
    }
}

/// A record that a gatekeeper of ours wrote.
pub(crate) fn sealed_by(who: &Identity, term: u64, duration_seconds: u32) -> LeaseRecord {
    let record = held_by(&who.name, term, duration_seconds);
    let marks = Marks {
        holder_name: who.name.clone(),
        pod_uid: who.pod_uid.clone(),
        container: who.container.clone(),
        instance: who.instance.clone(),
        term: record.term,
        renewed_us: record.renewed_us,
    };
    LeaseRecord { marks: Some(marks), ..record }
}

impl Bench {
    /// A process that is about to start, beside a Lease that says this; `None`: there is none.
    pub(crate) fn before_start(config: Config, lease: Option<LeaseRecord>) -> Self {
        let mut store = Store::new();
        if let Some(record) = lease {
            store.write(&Precondition::Absent, &record).expect("there was none");
        }
        Self {
            now: secs(1_000),
            machine: Gatekeeper::new(config, me()),
            store,
            log: Vec::new(),
            fates: VecDeque::new(),
            always: None,
            publish: Ok(()),
            watch: true,
            sent: Vec::new(),
            deadline: None,
            answers: Vec::new(),
        }
    }

    /// One that has started.
    pub(crate) fn new(config: Config, lease: Option<LeaseRecord>) -> Self {
        let mut bench = Self::before_start(config, lease);
        bench.settle();
        bench
    }

    /// One whose command runs, with nothing in the log: it took a released Lease of term 7.
    pub(crate) fn active(config: Config) -> Self {
        let mut bench = Self::new(config, Some(held_by("", 7, 1)));
        assert!(bench.log.iter().any(|line| line.starts_with("start term=8")), "{:?}", bench.log);
        bench.log.clear();
        bench
    }

    pub(crate) fn active_with(traffic: Traffic) -> Self {
        Self::active(usual().with_traffic(traffic))
    }

    /// What was asked for since the last look.
    pub(crate) fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    pub(crate) fn calls(&mut self) -> usize {
        self.said().iter().filter(|line| line.starts_with("read") || line.starts_with("write")).count()
    }

    fn moment(&self) -> Now {
        let wall = WALL_US + i64::try_from(self.now.as_micros()).expect("small");
        Now { boot: self.now, unix_us: wall }
    }

    pub(crate) fn tell(&mut self, observation: Observation) {
        let now = self.moment();
        self.machine.observe(now, observation);
        self.settle();
    }

    /// Somebody else writes the Lease.
    pub(crate) fn other_writes(&mut self, record: &LeaseRecord) {
        let pre = self.store.view().map_or(Precondition::Absent, |view| Precondition::Unchanged {
            uid: view.uid.clone(),
            rv: view.rv.clone(),
        });
        self.store.write(&pre, record).expect("as it is");
        self.store.wrong = None;
        self.tell_watch();
    }

    /// The present holder, another, renews.
    pub(crate) fn other_renews(&mut self) {
        let mut record = self.record();
        record.renewed_us += 1;
        self.other_writes(&record);
    }

    pub(crate) fn delete(&mut self) {
        self.store.delete();
        self.tell_watch();
    }

    pub(crate) fn annotate(&mut self) {
        self.store.annotate();
        self.tell_watch();
    }

    pub(crate) fn tell_watch(&mut self) {
        if self.watch {
            self.tell(Observation::LeaseSeen(self.store.state.clone()));
        }
    }

    pub(crate) fn record(&self) -> LeaseRecord {
        self.store.view().expect("a Lease").record.clone()
    }

    /// Lets time pass, with a step at each deadline and answers as they come.
    pub(crate) fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let answer = self.answers.iter().map(|(at, _)| *at).min();
            let next = [self.deadline, answer].into_iter().flatten().min().filter(|at| *at <= end);
            let Some(next) = next else { break };
            self.now = self.now.max(next);
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    /// Time passes and nothing runs: the machine sleeps.
    pub(crate) fn sleep(&mut self, time: Duration) {
        self.now += time;
    }

    /// Steps until nothing more is asked for at this moment.
    pub(crate) fn settle(&mut self) {
        for _ in 0..50 {
            let (due, later) =
                std::mem::take(&mut self.answers).into_iter().partition(|(at, _)| *at <= self.now);
            self.answers = later;
            let due: Vec<(Duration, Observation)> = due;
            let now = self.moment();
            for (_, observation) in due {
                self.machine.observe(now, observation);
            }
            let step = self.machine.step(now);
            self.deadline = step.deadline;
            if step.actions.is_empty() {
                assert!(step.deadline.is_none_or(|at| at > self.now), "the deadline has passed: {step:?}");
                return;
            }
            for action in step.actions {
                self.act(action);
            }
        }
        panic!("never at rest: {:?}", self.log);
    }

    fn answer(&mut self, at: Duration, observation: Observation) {
        self.answers.push((at, observation));
    }

    /// Milliseconds from now, which may lie in the past.
    fn ahead(&self, at: Duration) -> String {
        if at >= self.now { format!("+{:?}", at - self.now) } else { format!("-{:?}", self.now - at) }
    }

    fn act(&mut self, action: Action) {
        let line = match action {
            Action::ReadLease { ticket, timeout } => {
                let fate = self.fates.pop_front().or(self.always);
                let state = self.store.state.clone();
                let (at, outcome, word) = self.fate(fate, timeout, |_| Ok(state));
                self.answer(at, Observation::LeaseRead { ticket, outcome });
                format!("read{word}")
            }
            Action::WriteLease { ticket, precondition, record, timeout } => {
                self.sent.push(record.clone());
                let fate = self.fates.pop_front().or(self.always);
                let (at, outcome, word) =
                    self.fate(fate, timeout, |store| store.write(&precondition, &record));
                if outcome.is_ok() {
                    assert!(self.store.wrong.is_none(), "{:?}", self.store.wrong);
                }
                self.answer(at, Observation::LeaseWritten { ticket, outcome });
                let create = if precondition == Precondition::Absent { "create" } else { "write" };
                format!(
                    "{create} {} term={}{word}",
                    record.holder.as_deref().unwrap_or("nobody"),
                    record.term
                )
            }
            Action::PublishEndpoint { ticket, term, .. } => {
                self.answer_endpoint(ticket, true);
                format!("publish term={term}")
            }
            Action::RemoveEndpoint { ticket, term, .. } => {
                self.answer_endpoint(ticket, false);
                format!("remove term={term}")
            }
            Action::Arm { term_at, kill_at } => {
                format!("arm term{} kill{}", self.ahead(term_at), self.ahead(kill_at))
            }
            Action::StartCommand { term, not_after } => {
                format!("start term={term} not-after{}", self.ahead(not_after))
            }
            Action::TermCommand { kill_at } => format!("TERM kill{}", self.ahead(kill_at)),
            Action::KillCommand => "KILL".to_owned(),
            Action::Exit(exit) => format!("exit {exit:?} ({})", exit.code()),
        };
        self.log.push(line);
    }

    fn answer_endpoint(&mut self, ticket: Ticket, publish: bool) {
        let observation = if publish {
            Observation::EndpointPublished { ticket, outcome: self.publish.clone() }
        } else {
            Observation::EndpointRemoved { ticket, outcome: Ok(()) }
        };
        self.answer(self.now, observation);
    }

    /// Does a call as its fate wants it: when the answer comes, the answer, and a word for the log.
    fn fate<T>(
        &mut self,
        fate: Option<Fate>,
        timeout: Duration,
        call: impl FnOnce(&mut Store) -> Result<T, WriteError>,
    ) -> (Duration, Result<T, WriteError>, &'static str) {
        let open = || Err(WriteError::Unknown("504".into()));
        match fate {
            None => {
                let outcome = call(&mut self.store);
                let word = if outcome.is_ok() { "" } else { " conflict" };
                (self.now, outcome, word)
            }
            Some(Fate::Slow(after)) => (self.now + after, call(&mut self.store), " slow"),
            Some(Fate::Silent) => {
                let _ = call(&mut self.store);
                (self.now + timeout, open(), " silent")
            }
            Some(Fate::Lost) => (self.now + timeout, open(), " lost"),
            Some(Fate::OpenDone) => {
                let _ = call(&mut self.store);
                (self.now, open(), " 504")
            }
            Some(Fate::Open) => (self.now, open(), " 504"),
            Some(Fate::Refused) => (self.now, Err(WriteError::Refused("403".into())), " 403"),
        }
    }

    /// The command and all of it end.
    pub(crate) fn all_dies(&mut self, code: u8) {
        self.tell(Observation::CommandExited { code });
        self.tell(Observation::AllDead);
    }

    pub(crate) fn see(&mut self, state: LeaseState) {
        self.tell(Observation::LeaseSeen(state));
    }
}
