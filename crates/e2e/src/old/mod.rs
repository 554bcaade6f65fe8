//! Stand-ins for the controllers that people have today: what they do to pods and Services, and what they do wrong.
//!
//! The tests run them for two things: a controller at work is what somebody who moves over starts from, and a test that
//! finds nothing wrong in hotstandby must find it here. They are written from a description of the older systems' behaviour
//! and hold none of their code; what is not said of a system is left out, and none is better than it is said to be.

mod a;
mod b;
mod d;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use kube::Client;
use tokio::sync::oneshot;

use hotstandby_testbed::Cluster;
use hotstandby_testbed::access::client_from;
use hotstandby_testbed::netns::spawn_in_netns;
use hotstandby_testbed::paths::CONTROL_PLANE;
use hotstandby_testbed::wait::until;

/// How long one may take to begin.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Which of them.
#[derive(Debug, Clone)]
pub enum System {
    /// Follows annotated Services in all namespaces, once a second.
    A,
    /// Follows pods with `app: hapod` in one namespace, by a watch.
    B,
    /// Checks the health of pods in one namespace, between pauses.
    D {
        /// Which pods: the value of their label `app`.
        app: String,
        /// How long it pauses. Its users have 10 s or a minute; tests that are not about that take less.
        pause: Duration,
    },
}

impl System {
    /// The namespace and name of the account it runs as; see `manifests/*/rights.yaml`.
    fn account<'a>(&self, namespace: &'a str) -> (&'a str, &'static str) {
        match self {
            Self::A => ("kube-system", "old-a"),
            Self::B => (namespace, "old-b"),
            Self::D { .. } => (namespace, "old-d"),
        }
    }
}

/// What one did, in words.
#[derive(Debug, Clone, Default)]
struct Said(Arc<Mutex<Vec<String>>>);

impl Said {
    fn say(&self, what: impl Into<String>) {
        let what = what.into();
        if std::env::var_os("E2E_DEBUG").is_some() {
            eprintln!("old controller: {what}");
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// Says what came of a write and forgets about it, as they all do.
    fn outcome<T>(&self, what: &str, outcome: kube::Result<T>) {
        match outcome {
            Ok(_) => self.say(what),
            Err(error) => self.say(format!("{what}: {error}")),
        }
    }
}

/// One at work, in the control plane's network; it ends with this value.
#[derive(Debug)]
pub struct Old {
    said: Said,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<Result<()>>>,
}

impl Old {
    /// Starts one, for the pods of a namespace where it is not for all, and waits until it is at work. Its rights must have been
    /// granted.
    pub async fn start(cluster: &Cluster, namespace: &str, system: System) -> Result<Self> {
        let (place, account) = system.account(namespace);
        let kubeconfig = cluster.service_account_kubeconfig(place, account).await?.inside;
        let said = Said::default();
        let (stop, stopped) = oneshot::channel();
        let (hers, namespace) = (said.clone(), namespace.to_owned());
        let work = move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("making a runtime for an old controller")?;
            runtime.block_on(async {
                tokio::select! {
                    _told_or_dropped = stopped => Ok(()),
                    outcome = run(&kubeconfig, system, &namespace, hers) => outcome,
                }
            })
        };
        let inner = spawn_in_netns(&cluster.netns(CONTROL_PLANE), work)?;
        let thread =
            thread::spawn(move || inner.join().map_err(|_| anyhow!("an old controller panicked"))??);
        let old = Self { said, stop: Some(stop), thread: Some(thread) };
        let what = "an old controller to be at work";
        until(START_LIMIT, what, async || Ok((!old.deeds().is_empty() || !old.is_running()).then_some(())))
            .await?;
        Ok(old)
    }

    /// All that it has done so far, in words.
    pub fn deeds(&self) -> Vec<String> {
        self.said.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it has not ended by itself.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Stops it; it does nothing more afterwards. Fails if it had ended by itself. Blocks for some milliseconds.
    pub fn stop(mut self) -> Result<()> {
        drop(self.stop.take());
        match self.thread.take() {
            Some(thread) => thread.join().map_err(|_| anyhow!("an old controller panicked"))?,
            None => Ok(()),
        }
    }
}

async fn run(kubeconfig: &Path, system: System, namespace: &str, said: Said) -> Result<()> {
    let client: Client = client_from(kubeconfig).await?;
    match system {
        System::A => a::run(client, said).await,
        System::B => Box::pin(b::run(client, namespace, said)).await,
        System::D { app, pause } => d::run(client, namespace, &app, pause, said).await,
    }
}

/// Runs one on a cluster that is up until Enter is pressed, and prints each thing it does.
pub(crate) fn run_until_enter(cluster: &str, namespace: &str, system: System) -> Result<()> {
    let cluster = Cluster::attach(cluster)?;
    let runtime = crate::runtime()?;
    let old = runtime.block_on(Old::start(&cluster, namespace, system))?;
    let ended = thread::spawn(|| std::io::stdin().read_line(&mut String::new()));
    let mut printed = 0;
    while !ended.is_finished() && old.is_running() {
        let deeds = old.deeds();
        for deed in deeds.iter().skip(printed) {
            println!("{deed}");
        }
        printed = deeds.len();
        thread::sleep(Duration::from_millis(50));
    }
    old.stop()
}
