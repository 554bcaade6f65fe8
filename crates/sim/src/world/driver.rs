//! A world in real time.

use super::World;
use crate::{ApiServer, Handle};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// The longest wait between two steps, should a sign be missed.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Makes a [`Driver`] step at once; for a backend whose container has ended.
#[derive(Clone, Debug, Default)]
pub struct Nudge(Arc<Notify>);

impl Nudge {
    /// Steps.
    pub fn now(&self) {
        self.0.notify_one();
    }
}

/// Steps a world whenever something changes or is due. Dropping it stops the world, and what its backend runs.
#[derive(Debug)]
pub struct Driver {
    handle: Handle,
    world: Arc<Mutex<World>>,
    nudge: Nudge,
    task: JoinHandle<()>,
}

impl Driver {
    /// Starts a world; the server's clock must be the machine's.
    pub fn start(handle: &Handle, world: World, nudge: Nudge) -> Self {
        let (handle, world) = (handle.clone(), Arc::new(Mutex::new(world)));
        let task = tokio::spawn(run(handle.clone(), Arc::clone(&world), nudge.clone()));
        Self { handle, world, nudge, task }
    }

    /// Does something with world and server, and steps after it.
    pub fn with<T>(&self, act: impl FnOnce(&mut World, &mut ApiServer) -> T) -> T {
        let outcome = self.handle.with(|server| {
            let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
            act(&mut world, server)
        });
        self.nudge.now();
        outcome
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(handle: Handle, world: Arc<Mutex<World>>, nudge: Nudge) {
    loop {
        let (wait, version) = handle.with(|server| {
            let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
            let due = world.step(server);
            let wait = due.map_or(LONGEST_WAIT, |due| {
                let left = u64::try_from(due - server.now_ms()).unwrap_or_default();
                // Never none: a world that is always behind must leave room for others.
                Duration::from_millis(left.max(1)).min(LONGEST_WAIT)
            });
            (wait, server.version())
        });
        tokio::select! {
            _ = handle.changed_after(version) => {}
            () = nudge.0.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}
