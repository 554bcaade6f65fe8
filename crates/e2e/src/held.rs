//! A user of a Service who keeps one connection: whom it leads to, and when it ended.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::harness::{Env, blocking};
use crate::trial::Active;
use hotstandby_testbed::netns::{in_netns, spawn_in_netns};

const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// Between two words of the user's: the pod says each back.
const WORD: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
struct Seen {
    /// When it was last answered.
    answered: Option<Instant>,
    /// When it ended.
    ended: Option<Instant>,
}

/// A connection to the sample app's echo port, at work on a thread of its own until it ends or is dropped.
#[derive(Debug)]
pub struct Held {
    pod: String,
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Held {
    /// Opens it inside a network namespace. Blocks until the pod has said its name.
    pub fn open(netns: &Path, target: SocketAddr) -> Result<Self> {
        let (stream, pod) = in_netns(netns, move || greeted(target))??;
        let (seen, stop) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let (hers, told) = (seen.clone(), stop.clone());
        let thread = spawn_in_netns(netns, move || talk(&stream, &hers, &told))?;
        Ok(Self { pod, seen, stop, thread: Some(thread) })
    }

    /// Opens it on a node that is not the active's, and checks that the active is at its other end.
    pub async fn by_active(env: &Env, target: SocketAddr, active: &Active) -> Result<Self> {
        let node = env.cluster.nodes().into_iter().find(|node| node.name() != active.node);
        let netns = node.context("no other node is left for the connection")?.netns();
        let held = blocking(move || Self::open(&netns, target)).await?;
        ensure!(held.pod() == active.pod, "{} answered, {} is active", held.pod(), active.pod);
        Ok(held)
    }

    /// The pod at its other end.
    pub fn pod(&self) -> &str {
        &self.pod
    }

    /// When it ended, whoever ended it.
    pub fn ended(&self) -> Option<Instant> {
        lock(&self.seen).ended
    }

    /// Whether it was answered after a moment.
    pub fn answered_after(&self, moment: Instant) -> bool {
        lock(&self.seen).answered.is_some_and(|answered| answered > moment)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ends_by_itself = thread.join();
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn greeted(target: SocketAddr) -> Result<(TcpStream, String)> {
    let stream = TcpStream::connect_timeout(&target, CONNECT_LIMIT)
        .with_context(|| format!("connecting to {target}"))?;
    stream.set_nodelay(true).context("setting up a connection")?;
    stream.set_read_timeout(Some(CONNECT_LIMIT)).context("setting up a connection")?;
    let mut name = String::new();
    // One byte at a time: nothing of what follows the name is taken with it.
    BufReader::with_capacity(1, &stream).read_line(&mut name).context("waiting for the pod's name")?;
    stream.set_read_timeout(Some(WORD)).context("setting up a connection")?;
    Ok((stream, name.trim().to_owned()))
}

/// Says a word whenever there was silence for a while. Its end is noticed at once, as it always waits for an answer.
fn talk(mut stream: &TcpStream, seen: &Mutex<Seen>, stop: &AtomicBool) {
    let mut buffer = [0_u8; 64];
    let mut alive = stream.write_all(b"x").is_ok();
    while alive && !stop.load(Ordering::Relaxed) {
        alive = match stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(_) => {
                lock(seen).answered = Some(Instant::now());
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                stream.write_all(b"x").is_ok()
            }
            Err(error) => error.kind() == ErrorKind::Interrupted,
        };
    }
    if !alive {
        lock(seen).ended = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn its_end_is_seen_and_its_answers_are() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap();
        let pod = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"db-0\n").unwrap();
            let mut word = [0_u8; 1];
            for _ in 0..3 {
                stream.read_exact(&mut word).unwrap();
                stream.write_all(&word).unwrap();
            }
        });
        let start = Instant::now();
        let held = Held::open(Path::new("/proc/self/ns/net"), target).unwrap();
        assert_eq!(held.pod(), "db-0");
        pod.join().unwrap();
        while held.ended().is_none() && start.elapsed() < Duration::from_secs(10) {
            std::thread::yield_now();
        }
        assert!(held.answered_after(start) && held.ended().is_some_and(|ended| ended > start));
    }
}
