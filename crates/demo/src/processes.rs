//! Containers as processes of this machine: the world's backend.

use crate::roles;
use hotstandby_sim::world::{Backend, ContainerKey, Launch, Nudge};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Exit code of a container that could not be started.
const NOT_STARTED: i32 = 128;
/// For processes that were killed to be gone.
const END_LIMIT: Duration = Duration::from_secs(2);

/// A signal for a process; the answer says when it was sent, as of just before.
struct Order {
    signal: Signal,
    sent: Option<oneshot::Sender<Instant>>,
}

enum Life {
    Runs { pid: u32, orders: mpsc::UnboundedSender<Order> },
    Ended(i32),
}

type Lives = Arc<Mutex<BTreeMap<ContainerKey, Life>>>;

/// What runs, for those who want to hurt it.
#[derive(Clone, Default)]
pub(crate) struct Processes {
    lives: Lives,
}

impl Processes {
    /// Sends a signal to a container's process; `None`: it does not run.
    pub(crate) async fn signal(&self, key: &ContainerKey, signal: Signal) -> Option<Instant> {
        let (sent, answer) = oneshot::channel();
        self.order(key, Order { signal, sent: Some(sent) });
        answer.await.ok()
    }

    /// The process of a container.
    pub(crate) fn pid(&self, key: &ContainerKey) -> Option<u32> {
        match self.lives.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
            Some(Life::Runs { pid, .. }) => Some(*pid),
            _ => None,
        }
    }

    /// Kills everything, and waits until it is gone.
    pub(crate) async fn end(&self) {
        let runs = || -> Vec<ContainerKey> {
            let lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
            lives
                .iter()
                .filter(|(_, life)| matches!(life, Life::Runs { .. }))
                .map(|(key, _)| key.clone())
                .collect()
        };
        for key in runs() {
            self.order(&key, Order { signal: Signal::SIGKILL, sent: None });
        }
        let gone = async {
            while !runs().is_empty() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        // The kernel is quick about it; whatever it is that hangs would hang us as well.
        let _ = tokio::time::timeout(END_LIMIT, gone).await;
    }

    fn order(&self, key: &ContainerKey, order: Order) {
        let lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Life::Runs { orders, .. }) = lives.get(key) {
            // One that is ending takes no more orders; its end will be seen.
            let _ = orders.send(order);
        }
    }
}

/// Starts a process for each container. Dropping it kills them all.
pub(crate) struct ProcessBackend {
    /// This program, under the name of a server in a pod.
    program: PathBuf,
    processes: Processes,
    nudge: Nudge,
    tasks: JoinSet<()>,
}

impl ProcessBackend {
    pub(crate) fn new(program: PathBuf, processes: Processes, nudge: Nudge) -> Self {
        Self { program, processes, nudge, tasks: JoinSet::new() }
    }

    fn spawn(&self, launch: &Launch) -> std::io::Result<Child> {
        let port = launch.ports.first().copied().unwrap_or(crate::addresses::PORT);
        Command::new(&self.program)
            .arg(&launch.pod)
            .arg(format!("{}:{port}", launch.ip))
            .env(roles::LIFELINE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C is for the demo; it ends the others in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }
}

impl Backend for ProcessBackend {
    fn start(&mut self, launch: &Launch) {
        let key = launch.key.clone();
        let started = self.spawn(launch);
        let mut lives = self.processes.lives.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((child, pid)) = started.ok().and_then(|child| child.id().map(|pid| (child, pid))) else {
            lives.insert(key, Life::Ended(NOT_STARTED));
            return;
        };
        let (orders, received) = mpsc::unbounded_channel();
        lives.insert(key.clone(), Life::Runs { pid, orders });
        let (lives, nudge) = (Arc::clone(&self.processes.lives), self.nudge.clone());
        self.tasks.spawn(async move {
            let code = accompany(child, received).await;
            lives.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Life::Ended(code));
            nudge.now();
        });
        while self.tasks.try_join_next().is_some() {}
    }

    fn terminate(&mut self, key: &ContainerKey) {
        self.processes.order(key, Order { signal: Signal::SIGTERM, sent: None });
    }

    fn kill(&mut self, key: &ContainerKey) {
        self.processes.order(key, Order { signal: Signal::SIGKILL, sent: None });
    }

    fn ended(&mut self, key: &ContainerKey) -> Option<i32> {
        match self.processes.lives.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
            Some(Life::Ended(code)) => Some(*code),
            _ => None,
        }
    }

    fn ready(&mut self, key: &ContainerKey) -> bool {
        self.processes.pid(key).is_some()
    }
}

/// Waits for a process to end and passes signals on until then. Only whoever waits knows that the number is still
/// that of this process.
async fn accompany(mut child: Child, mut orders: mpsc::UnboundedReceiver<Order>) -> i32 {
    // Held open for as long as the process is to live.
    let _lifeline = child.stdin.take();
    loop {
        tokio::select! {
            ended = child.wait() => return ended.map_or(NOT_STARTED, code),
            Some(order) = orders.recv() => {
                let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) else { continue };
                let at = Instant::now();
                if kill(Pid::from_raw(pid), order.signal).is_ok() && let Some(sent) = order.sent {
                    // Nobody need be waiting for the answer.
                    let _ = sent.send(at);
                }
            }
        }
    }
}

/// As a container runtime has it: 128 and the signal's number.
fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(NOT_STARTED)
}
