//! A user of a Service: a new connection every few milliseconds, and a note of who answered each.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::time::{Instant as Clock, MissedTickBehavior, timeout_at};

use crate::netns::spawn_in_netns;
use crate::trace::{Failover, Failure, Outcome, Sample, Trace};

const MAX_ANSWER: usize = 16 * 1024;

/// If the client notices this long after a limit that it has passed, its thread did not run meanwhile, and the answer may have come in
/// time.
const STALL: Duration = Duration::from_millis(20);

/// What a client does.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Address and port, usually a Service's cluster IP.
    pub target: SocketAddr,
    /// The path it asks for.
    pub path: String,
    /// How often it opens a new connection.
    pub period: Duration,
    /// How long it waits for a connection.
    pub connect_timeout: Duration,
    /// How long it waits for the whole answer, from the start. Neither limit counts time in which the client itself did not run.
    pub total_timeout: Duration,
}

impl ClientConfig {
    /// Every 5 ms, 300 ms for a connection, 400 ms in all.
    pub fn new(target: SocketAddr) -> Self {
        Self {
            target,
            path: "/".to_owned(),
            period: Duration::from_millis(5),
            connect_timeout: Duration::from_millis(300),
            total_timeout: Duration::from_millis(400),
        }
    }

    /// From `http://ADDRESS:PORT/PATH`. The address is a number: looking names up would be part of what is measured.
    pub fn from_url(url: &str) -> Result<Self> {
        let rest = url.strip_prefix("http://").unwrap_or(url);
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        let target = host.parse().with_context(|| {
            format!("'{url}' is no URL like http://10.96.0.100:80/: names are not looked up")
        })?;
        Ok(Self { path: format!("/{path}"), ..Self::new(target) })
    }
}

type Samples = Arc<Mutex<Vec<Sample>>>;

/// A client at work on a thread of its own.
///
/// Several may run on one node. They share its connection tracking, where entries of dead addresses can show up as time-outs of
/// each other for some seconds after an outage: what is measured runs one client per node.
#[derive(Debug)]
pub struct Client {
    samples: Samples,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<Result<()>>>,
    total_timeout: Duration,
}

impl Client {
    /// Starts asking, from inside a network namespace or from the host's.
    pub fn start(netns: Option<PathBuf>, config: ClientConfig) -> Result<Self> {
        let samples = Samples::default();
        let stop = Arc::new(AtomicBool::new(false));
        let total_timeout = config.total_timeout;
        let (thread_samples, thread_stop) = (Arc::clone(&samples), Arc::clone(&stop));
        let work = move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("making a runtime for the client")?;
            runtime.block_on(ask(config, thread_samples, thread_stop));
            Ok(())
        };
        let thread = match netns {
            Some(netns) => {
                let inner = spawn_in_netns(&netns, work)?;
                thread::spawn(move || inner.join().map_err(|_| anyhow!("the client panicked"))??)
            }
            None => thread::spawn(work),
        };
        Ok(Self { samples, stop, thread: Some(thread), total_timeout })
    }

    /// What has been seen so far.
    pub fn snapshot(&self) -> Trace {
        Trace::new(self.lock().clone())
    }

    /// Waits until a condition on what has been seen holds. Blocks: from async code use `spawn_blocking`.
    pub fn wait_until(&self, limit: Duration, condition: impl Fn(&Trace) -> bool) -> Result<Trace> {
        let start = Instant::now();
        loop {
            let trace = self.snapshot();
            if condition(&trace) {
                return Ok(trace);
            }
            if self.thread.as_ref().is_none_or(thread::JoinHandle::is_finished) {
                bail!("the client ended early");
            }
            if start.elapsed() > limit {
                bail!("the client did not see what was waited for within {limit:?}: {}", summary(&trace));
            }
            // Not oftener: looking copies the trace, and the machine is what is being measured.
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for another pod to answer after a fault, and then for all requests that were under way at that
    /// moment to end: only then are all failed ones counted.
    pub fn wait_failover(&self, fault: Instant, limit: Duration) -> Result<(Failover, Trace)> {
        let early = self.wait_until(limit, |trace| trace.failover(fault).is_some())?;
        let known = early.failover(fault).map_or(Duration::ZERO, |failover| failover.gap);
        let settled = fault + known + self.total_timeout + Duration::from_millis(20);
        thread::sleep(settled.saturating_duration_since(Instant::now()));
        let trace = self.snapshot();
        let failover = trace.failover(fault).context("the trace was taken away meanwhile")?;
        Ok((failover, trace))
    }

    /// Waits for an answer by anybody.
    pub fn wait_first_answer(&self, limit: Duration) -> Result<Trace> {
        self.wait_until(limit, |trace| trace.samples().iter().any(|sample| sample.who().is_some()))
    }

    /// Forgets what has been seen, so that the next trial starts with an empty trace.
    pub fn take(&self) -> Trace {
        Trace::new(std::mem::take(&mut *self.lock()))
    }

    /// Stops, waits for requests under way, and returns all that was seen.
    pub fn stop(mut self) -> Result<Trace> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| anyhow!("the client panicked"))??;
        }
        Ok(self.take())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Sample>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// One line about a trace.
pub fn summary(trace: &Trace) -> String {
    let answers: Vec<String> = trace.answers().iter().map(|(who, count)| format!("{who} {count}")).collect();
    let failures: Vec<String> =
        trace.failures().iter().map(|(failure, count)| format!("{} {count}", failure.name())).collect();
    let longest = trace.longest_gap().map_or(Duration::ZERO, |gap| gap.duration);
    format!(
        "total {} answers [{}] failed {} [{}] changes {} longest gap {:.1} ms",
        trace.samples().len(),
        answers.join(", "),
        trace.failed(),
        failures.join(", "),
        trace.changes(),
        longest.as_secs_f64() * 1000.0
    )
}

async fn ask(config: ClientConfig, samples: Samples, stop: Arc<AtomicBool>) {
    let config = Arc::new(config);
    let mut ticks = tokio::time::interval(config.period);
    // A late tick is not made up for: two connections at once would see the same.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let (config, samples) = (Arc::clone(&config), Arc::clone(&samples));
        tokio::spawn(async move {
            let sample = request(&config).await;
            samples.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
        });
    }
    // Requests under way end within their limit.
    tokio::time::sleep(config.total_timeout).await;
}

/// One request on a new connection.
pub async fn request(config: &ClientConfig) -> Sample {
    let start = Instant::now();
    let outcome = exchange(config, start).await.unwrap_or_else(Outcome::Failed);
    Sample { start, end: Instant::now(), outcome }
}

async fn exchange(config: &ClientConfig, start: Instant) -> Result<Outcome, Failure> {
    let socket = if config.target.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(|_| Failure::Local)?;
    // Closed with a reset, so that the port rests and no entry of a dead address is met again.
    socket.set_zero_linger().map_err(|_| Failure::Local)?;
    let mut stream = match awake_until(start + config.connect_timeout, socket.connect(config.target)).await {
        None => return Err(Failure::ConnectTimeout),
        Some(Err(error)) => return Err(connect_failure(&error)),
        Some(Ok(stream)) => stream,
    };
    let head =
        format!("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", config.path, config.target);
    let conversation = async {
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::with_capacity(512);
        while stream.read_buf(&mut answer).await? > 0 && answer.len() < MAX_ANSWER {
            if is_whole(&answer) {
                break;
            }
        }
        io::Result::Ok(answer)
    };
    match awake_until(start + config.total_timeout, conversation).await {
        None => Err(Failure::AnswerTimeout),
        Some(Err(_)) => Err(Failure::Cut),
        Some(Ok(answer)) if answer.is_empty() => Err(Failure::Cut),
        Some(Ok(answer)) => parse_answer(&answer).ok_or(Failure::BadAnswer),
    }
}

/// What a future returns, or `None` if it has not ended at the limit. Time in which this thread did not run does not count: where
/// the limit is seen to have passed [`STALL`] ago, the future gets as much time again as was lost.
async fn awake_until<T>(limit: Instant, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut limit = Clock::from_std(limit);
    loop {
        if let Ok(output) = timeout_at(limit, &mut future).await {
            return Some(output);
        }
        let late = limit.elapsed();
        if late < STALL {
            return None;
        }
        limit = Clock::now() + late;
    }
}

fn connect_failure(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::Refused,
        io::ErrorKind::ConnectionReset => Failure::Cut,
        io::ErrorKind::TimedOut => Failure::ConnectTimeout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Failure::Unreachable,
        _ => Failure::Local,
    }
}

fn split_answer(answer: &[u8]) -> Option<(&str, &str)> {
    std::str::from_utf8(answer).ok()?.split_once("\r\n\r\n")
}

/// Whether the body is as long as the head says; without a length only the end of the connection tells.
fn is_whole(answer: &[u8]) -> bool {
    let Some((head, body)) = split_answer(answer) else { return false };
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .is_some_and(|length| body.len() >= length)
}

fn parse_answer(answer: &[u8]) -> Option<Outcome> {
    let (head, body) = split_answer(answer)?;
    if head.split(' ').nth(1) != Some("200") {
        return None;
    }
    let mut words = body.split_whitespace();
    let who = words.next()?.into();
    let start_id = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
    Some(Outcome::Answer { who, start_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_addresses() {
        let config = ClientConfig::from_url("http://10.96.0.10:8080/x?y=1").unwrap();
        assert_eq!(config.target, "10.96.0.10:8080".parse().unwrap());
        assert_eq!(config.path, "/x?y=1");
        assert_eq!(ClientConfig::from_url("10.96.0.10").unwrap().target.port(), 80);
        assert!(ClientConfig::from_url("http://web/").is_err());
    }

    #[test]
    fn an_answer_is_read_as_name_and_life() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nweb-1 7\n";
        assert!(is_whole(whole));
        assert!(!is_whole(&whole[..whole.len() - 1]));
        assert_eq!(parse_answer(whole), Some(Outcome::Answer { who: "web-1".into(), start_id: 7 }));
        assert_eq!(parse_answer(b"HTTP/1.1 503 No\r\n\r\nweb-1 7\n"), None);
        assert_eq!(parse_answer(b"HTTP/1.1 200 OK\r\n\r\n"), None);
    }

    /// Answers one request as web-1.
    fn serve_once(listener: std::net::TcpListener) -> thread::JoinHandle<()> {
        thread::spawn(move || {
            use std::io::{Read as _, Write as _};
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 256];
            let _count = stream.read(&mut buffer).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nweb-1 7\n").unwrap();
        })
    }

    /// On an overloaded machine the client's thread may not run for some time. That is no failure of the Service.
    #[test]
    fn a_client_that_stood_still_while_it_connected_still_gets_its_answer() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ms = Duration::from_millis;
        let config = ClientConfig {
            connect_timeout: ms(10),
            total_timeout: ms(20),
            ..ClientConfig::new(listener.local_addr().unwrap())
        };
        let server = serve_once(listener);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sample = runtime.block_on(async {
            let request = tokio::spawn(async move { request(&config).await });
            // The client's only thread is blocked, from when the connection is asked for until long after both limits.
            tokio::spawn(async move { thread::sleep(ms(200)) }).await.unwrap();
            request.await.unwrap()
        });
        assert_eq!(sample.who(), Some("web-1"));
        server.join().unwrap();
    }

    #[test]
    fn a_client_that_runs_takes_a_late_answer_for_none() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let limit = Instant::now() + Duration::from_millis(10);
        assert_eq!(runtime.block_on(awake_until(limit, std::future::pending::<()>())), None);
    }

    #[test]
    fn a_refused_port_is_seen_and_a_server_is_told_by_name() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap();
        let server = serve_once(listener);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let config = ClientConfig::new(target);
        assert_eq!(runtime.block_on(request(&config)).who(), Some("web-1"));
        server.join().unwrap();
        assert_eq!(runtime.block_on(request(&config)).failure(), Some(Failure::Refused));
    }
}
