//! The elector: the keeper's child that talks to the API server and decides, by the machine in the core.
//!
//! One task owns the machine. Calls run beside it and come back as observations. Nothing in that task waits for anybody: not for the
//! API server, not for the keeper, not for whoever reads stderr.

mod alarm;
mod guard;
mod link;
mod ready;
mod status;
mod tell;
mod whoami;

use crate::settings::Settings;
use crate::wire::{Order, Word};
use crate::{clock, log, roles};
use alarm::Alarm;
use guard::{Finding, Guard};
use hotstandby_cluster::connect::ConnectError;
use hotstandby_cluster::election::lease::LeaseStore;
use hotstandby_cluster::election::link::Link;
use hotstandby_cluster::election::sight::{self, Sight};
use hotstandby_cluster::election::traffic::{Kind, TrafficStore};
use hotstandby_core::gatekeeper::{Action, Exit, Gatekeeper, LeaseState, Now, Observation};
use hotstandby_core::ids::{Term, Uid};
use link::KeeperLink;
use nix::sys::signal::Signal;
use nix::unistd::{getpid, getppid};
use status::{Question, Told};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tell::Teller;
use tokio::sync::{mpsc, watch};

/// The exit code of a failure of our own.
const FAILED: u8 = 1;
/// Outcomes that may wait; the machine has only a few calls under way at once.
const OUTCOMES: usize = 64;
/// Questions for the status that may wait.
const QUESTIONS: usize = 8;
/// How long the orphans of a dead keeper may take to die.
const ORPHANS: Duration = Duration::from_secs(5);
/// How long the last write of the endpoint may take.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// The elector cannot do its work.
#[derive(Debug, thiserror::Error)]
enum ElectorError {
    /// No way to the API server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The status address cannot be had.
    #[error("serving the status at {0}: {1}; choose a free address with --status-address")]
    Status(String, io::Error),
    /// Something of the system failed.
    #[error("{0}: {1}")]
    System(&'static str, io::Error),
}

struct Elector {
    machine: Gatekeeper,
    keeper: KeeperLink,
    guard: Guard,
    alarm: Alarm,
    lease: Arc<LeaseStore>,
    traffic: Option<Arc<TrafficStore>>,
    sight: watch::Receiver<Sight>,
    outcomes: mpsc::Receiver<Observation>,
    outcome: mpsc::Sender<Observation>,
    questions: mpsc::Receiver<Question>,
    settings: Settings,
    identity: Arc<str>,
    teller: Teller,
    /// What the endpoint was published for.
    published: Option<(Uid, Term)>,
    asked: Option<i32>,
}

/// How the main loop goes on.
enum Next {
    Again,
    End(u8),
}

/// Elects until all is over; the exit code.
pub(crate) fn run(settings: Settings) -> u8 {
    log::start_writer();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(elect(settings)),
        Err(error) => Err(ElectorError::System("starting the async runtime", error)),
    };
    let code = outcome.unwrap_or_else(|error| {
        log::say(error.to_string());
        FAILED
    });
    log::flush();
    code
}

async fn elect(settings: Settings) -> Result<u8, ElectorError> {
    let link = Arc::new(Link::connect(settings.kubeconfig.as_deref().map(Path::new)).await?);
    let lease = Arc::new(LeaseStore::new(link.clone(), &settings.lease_namespace, &settings.lease_name));
    let keeper = getppid().as_raw();
    let me = whoami::identity(
        &settings.identity,
        settings.pod_uid.clone(),
        settings.container.clone(),
        keeper == 1,
    );
    let traffic = settings.service.clone().map(|service| {
        let pod_uid = me.pod_uid.as_ref().map(ToString::to_string);
        Arc::new(TrafficStore::new(link, service, pod_uid))
    });
    let questions = serve_status(&settings).await?;
    let (seen, sight) = watch::channel(Sight::nothing());
    let (looked, period) = (lease.clone(), settings.config.timing().retry_period);
    tokio::spawn(async move { sight::look(&looked, period, &seen).await });
    let (outcome, outcomes) = mpsc::channel(OUTCOMES);
    let system = |what| move |error| ElectorError::System(what, error);
    let elector = Elector {
        keeper: KeeperLink::from_stdin().map_err(system("taking the keeper's socket"))?,
        guard: Guard::new(keeper, getpid().as_raw()),
        alarm: Alarm::new().map_err(system("making a timer"))?,
        teller: Teller::new(&settings.name),
        identity: me.name.clone(),
        machine: Gatekeeper::new(settings.config.clone(), me),
        lease,
        traffic,
        sight,
        outcomes,
        outcome,
        questions,
        settings,
        published: None,
        asked: None,
    };
    elector.work().await
}

async fn serve_status(settings: &Settings) -> Result<mpsc::Receiver<Question>, ElectorError> {
    let (sender, receiver) = mpsc::channel(QUESTIONS);
    if let Some((host, port)) = &settings.status_address {
        let listener = status::listen(host, *port)
            .await
            .map_err(|error| ElectorError::Status(format!("{host}:{port}"), error))?;
        tokio::spawn(status::serve(listener, sender));
    }
    Ok(receiver)
}

fn now() -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { boot: clock::now(), unix_us: i64::try_from(unix.as_micros()).unwrap_or(i64::MAX) }
}

impl Elector {
    async fn work(mut self) -> Result<u8, ElectorError> {
        loop {
            if let Next::End(code) = self.step().await? {
                return Ok(code);
            }
            if let Next::End(code) = self.wait().await {
                return Ok(code);
            }
        }
    }

    /// One step of the machine, and what it asks for.
    async fn step(&mut self) -> Result<Next, ElectorError> {
        let now = now();
        let step = self.machine.step(now);
        for action in step.actions {
            if let Next::End(code) = self.act(now.boot, action).await {
                return Ok(Next::End(code));
            }
        }
        if self.guard.look(clock::now()) == Finding::KeeperFrozen {
            log::say("the keeper is frozen; the command was killed without it");
            return Ok(Next::End(FAILED));
        }
        let deadline = step.deadline.into_iter().chain(self.guard.deadline()).min();
        self.alarm.set(deadline).map_err(|error| ElectorError::System("setting the timer", error))?;
        let refused = self.sight.borrow().refused.clone();
        self.teller.tell(&self.machine.status(now.boot), refused);
        Ok(Next::Again)
    }

    async fn act(&mut self, now: Duration, action: Action) -> Next {
        match action {
            Action::ReadLease { ticket, timeout } => {
                let lease = self.lease.clone();
                self.beside(
                    async move { Observation::LeaseRead { ticket, outcome: lease.read(timeout).await } },
                );
            }
            Action::WriteLease { ticket, precondition, record, timeout } => {
                let lease = self.lease.clone();
                self.beside(async move {
                    let outcome = lease.write(&precondition, &record, timeout).await;
                    Observation::LeaseWritten { ticket, outcome }
                });
            }
            Action::PublishEndpoint { ticket, lease_uid, term, timeout } => {
                let Some(traffic) = self.traffic.clone() else { return Next::Again };
                self.published = Some((lease_uid.clone(), term));
                self.beside(async move {
                    let outcome = traffic.publish(&lease_uid, term, timeout).await;
                    Observation::EndpointPublished { ticket, outcome }
                });
            }
            Action::RemoveEndpoint { ticket, lease_uid, term, timeout } => {
                let Some(traffic) = self.traffic.clone() else { return Next::Again };
                self.beside(async move {
                    let outcome = traffic.remove(&lease_uid, term, timeout).await;
                    Observation::EndpointRemoved { ticket, outcome }
                });
            }
            Action::Arm { term_at, kill_at } => {
                self.guard.arm(term_at, kill_at);
                return self.order(&Order::Arm { term_at, kill_at });
            }
            Action::StartCommand { term, not_after } => {
                self.guard.ordered();
                return self.order(&Order::Start { term: term.0, not_after });
            }
            Action::TermCommand { kill_at } => {
                self.guard.stop(kill_at);
                return self.order(&Order::Stop { kill_at });
            }
            Action::KillCommand => {
                self.guard.kill(now);
                return self.order(&Order::Kill);
            }
            Action::Exit(exit) => return self.exit(exit).await,
        }
        Next::Again
    }

    /// Runs a call beside the machine and brings its outcome back.
    fn beside(&self, call: impl Future<Output = Observation> + Send + 'static) {
        let outcome = self.outcome.clone();
        tokio::spawn(async move {
            // Nobody waits for it any more once the machine has ended.
            let _ = outcome.send(call.await).await;
        });
    }

    fn order(&mut self, order: &Order) -> Next {
        if self.keeper.order(order) {
            return Next::Again;
        }
        // Dead, or frozen for so long that not a line fits any more. In both cases nobody but us guards the command.
        log::say("the keeper does not take orders any more; killing the command");
        self.guard.kill(clock::now());
        Next::Again
    }

    /// Until something happens.
    async fn wait(&mut self) -> Next {
        tokio::select! {
            biased;
            () = self.alarm.rings() => Next::Again,
            word = self.keeper.hear() => match word {
                Some(word) => {
                    self.heard(word);
                    Next::Again
                }
                None => Next::End(self.without_keeper().await),
            },
            Some(observation) = self.outcomes.recv() => {
                self.machine.observe(now(), observation);
                Next::Again
            }
            Ok(()) = self.sight.changed() => {
                let lease = self.sight.borrow_and_update().lease.clone();
                if let Some(lease) = lease {
                    self.machine.observe(now(), Observation::LeaseSeen(lease));
                }
                Next::Again
            }
            Some(question) = self.questions.recv() => {
                // Whoever asked may have gone.
                let _ = question.send(self.told());
                Next::Again
            }
        }
    }

    fn heard(&mut self, word: Word) {
        let observation = match word {
            Word::Asked { signal } => {
                self.asked = Some(signal);
                Observation::StopRequested
            }
            Word::Started { pid } => {
                self.guard.started(pid);
                self.check_readiness();
                return;
            }
            Word::Missed => {
                self.guard.clear();
                Observation::StartMissed
            }
            Word::Exited { code } => Observation::CommandExited { code },
            Word::Clear => {
                self.guard.clear();
                Observation::AllDead
            }
            Word::Fired => Observation::KillerFired,
            Word::Say(text) => return log::say(text),
        };
        self.machine.observe(now(), observation);
    }

    fn check_readiness(&self) {
        if let Some(check) = self.settings.ready.clone() {
            self.beside(async move {
                ready::passed(check).await;
                Observation::CommandReady
            });
        }
    }

    fn told(&self) -> Told {
        Told {
            status: self.machine.status(clock::now()),
            synced: self.sight.borrow().lease.is_some(),
            identity: self.identity.clone(),
        }
    }

    /// The machine is done: nothing of the command is left.
    async fn exit(&mut self, exit: Exit) -> Next {
        self.leave_no_slice_behind().await;
        let code = match (exit, self.asked.map(Signal::try_from)) {
            (Exit::Stopped, Some(Ok(signal))) => u8::try_from(128 + signal as i32).unwrap_or(FAILED),
            _ => exit.code(),
        };
        self.teller.ended(exit);
        // Whether or not it arrives: the keeper ends with us.
        let _ = self.keeper.order(&Order::Done { code });
        Next::End(code)
    }

    /// A successor of ours takes our slice over in place. One of an older kind writes the Endpoints, and our slice
    /// would stand beside them for good.
    async fn leave_no_slice_behind(&self) {
        let (Some(traffic), Some((lease_uid, term))) = (&self.traffic, &self.published) else { return };
        let seen = self.sight.borrow().lease.clone();
        let taken_by_another_kind = matches!(
            &seen,
            Some(LeaseState::Present(view)) if view.record.holder.is_some() && view.record.sealed().is_none()
        );
        if taken_by_another_kind
            && traffic.published() == Some(Kind::Slice)
            && let Err(error) = traffic.remove(lease_uid, *term, LAST_WRITE).await
        {
            log::say(format!("our slice stands beside the new holder's endpoint: {}", tell::text(&error)));
        }
    }

    /// The keeper is dead, and nothing it started may live on.
    async fn without_keeper(&mut self) -> u8 {
        if self.guard.may_live() {
            log::say("the keeper is dead; killing what it started");
            let mark = format!("{}={}", roles::RUN, std::env::var(roles::RUN).unwrap_or_default());
            let until = clock::now().saturating_add(ORPHANS);
            while !self.guard.kill_orphans(&mark) && clock::now() < until {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        FAILED
    }
}
