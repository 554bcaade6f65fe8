//! Servers that behave in one way each, and waiting with a limit.

use hotstandby_core::action::{ProbeTarget, WireProbe};
use hotstandby_core::health::{Outcome, ProbeReport};
use hotstandby_core::ids::Uid;
use hotstandby_core::observation::Observation;
use hotstandby_host::clock::Clock;
use hotstandby_host::context::HostContext;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

/// Nothing in these tests takes this long unless it is broken; the machine may be busy.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

/// `work`, or a failed test.
pub(crate) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.unwrap_or_else(|_| panic!("{what}: not within {LIMIT:?}"))
}

/// Waits for a condition that nothing announces.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let polled = async {
        let mut every = tokio::time::interval(ms(5));
        while !condition() {
            every.tick().await;
        }
    };
    soon(what, polled).await;
}

/// A context whose clock ticks.
pub(crate) fn context(node: Option<&str>) -> Arc<HostContext> {
    context_with_slots(node, 64)
}

pub(crate) fn context_with_slots(node: Option<&str>, slots: usize) -> Arc<HostContext> {
    let clock = Clock::start();
    let ticking = clock.clone();
    tokio::spawn(async move { ticking.run_ticker().await });
    HostContext::with_slots(clock, node.map(Into::into), slots, 64)
}

/// A server; dropping it is the death of its process: listener and connections go.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    accepted: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    /// Handles each connection, given its number from 0, at the same time as the others.
    pub(crate) async fn start<F>(handler: impl Fn(TcpStream, usize) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start_on("127.0.0.1:0".parse().unwrap(), handler).await
    }

    pub(crate) async fn start_on<F>(
        addr: SocketAddr,
        handler: impl Fn(TcpStream, usize) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = count.fetch_add(1, Ordering::SeqCst);
                connections.spawn(handler(stream, number));
            }
        });
        Self { addr, accepted, accepting }
    }

    /// Answers every request with this text and closes.
    pub(crate) async fn answering(text: &'static str) -> Self {
        Self::start(move |stream, _| answer(stream, text)).await
    }

    /// Serves one connection after the other, each until the client has closed it.
    pub(crate) async fn single_threaded(text: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                answer(stream, text).await;
            }
        });
        Self { addr, accepted, accepting }
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// An address where nobody listens.
    pub(crate) async fn nobody() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }
}

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Reads one request's head; `None` if the client went before.
pub(crate) async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    let mut buffer = [0; 1024];
    while !text.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(length) if length > 0 => text.extend_from_slice(&buffer[..length]),
            _ => return None,
        }
    }
    Some(String::from_utf8(text).unwrap())
}

/// Reads one request: its head, and as much of a body as that announces.
pub(crate) async fn body(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut text = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let so_far = String::from_utf8(text.clone()).unwrap();
        if let Some((head, body)) = so_far.split_once("\r\n\r\n") {
            let announced = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= announced.map_or(0, |length| length.parse().unwrap()) {
                return Some((format!("{head}\r\n"), body.to_owned()));
            }
        }
        match stream.read(&mut buffer).await {
            Ok(length) if length > 0 => text.extend_from_slice(&buffer[..length]),
            _ => return None,
        }
    }
}

/// Answers one request with this text and closes; waits for ever on a client that says nothing.
pub(crate) async fn answer(mut stream: TcpStream, text: &str) {
    if head(&mut stream).await.is_some() {
        let _ = stream.write_all(text.as_bytes()).await;
    }
}

pub(crate) async fn hang<T>(_held: T) {
    std::future::pending::<()>().await;
}

pub(crate) fn http(path: &str) -> WireProbe {
    WireProbe::Http { path: path.into(), tls: false, host: None, status: None }
}

pub(crate) fn target(uid: &str, addr: SocketAddr) -> ProbeTarget {
    ProbeTarget {
        uid: uid.into(),
        ip: addr.ip(),
        port: addr.port(),
        node: Some("node-of-target".into()),
        wire: http("/health"),
        period: ms(50),
        timeout: LIMIT,
        tripwire: false,
    }
}

/// The observations of a prober, in the order they came.
pub(crate) struct Seen {
    from: mpsc::UnboundedReceiver<Observation>,
}

pub(crate) type SinkFn = Arc<dyn Fn(Observation) + Send + Sync>;

pub(crate) fn sink() -> (SinkFn, Seen) {
    let (into, from) = mpsc::unbounded_channel();
    let sink = move |observation| {
        let _ = into.send(observation);
    };
    (Arc::new(sink), Seen { from })
}

impl Seen {
    pub(crate) async fn next(&mut self) -> Observation {
        soon("an observation", self.from.recv()).await.unwrap()
    }

    /// The next one that `pick` takes; others are passed over.
    pub(crate) async fn find<T>(&mut self, what: &str, pick: impl Fn(&Observation) -> Option<T>) -> T {
        soon(what, async {
            loop {
                if let Some(found) = pick(&self.next().await) {
                    return found;
                }
            }
        })
        .await
    }

    pub(crate) async fn report(&mut self) -> ProbeReport {
        self.find("a probe's report", |seen| match seen {
            Observation::Probe(report) => Some(report.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn outcome(&mut self, wanted: Outcome) -> ProbeReport {
        self.find("this outcome", |seen| match seen {
            Observation::Probe(report) if report.outcome == wanted => Some(report.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn tripwire_state(&mut self) -> Option<&'static str> {
        self.find("the tripwire's state", |seen| match seen {
            Observation::TripwireState { off, .. } => Some(*off),
            _ => None,
        })
        .await
    }

    pub(crate) async fn tripwire_closed(&mut self) -> (Uid, Duration) {
        self.find("the tripwire's close", |seen| match seen {
            Observation::TripwireClosed { uid, at } => Some((uid.clone(), *at)),
            _ => None,
        })
        .await
    }

    /// Nothing comes any more: whoever could send is gone.
    pub(crate) async fn end(&mut self) {
        assert_eq!(soon("the end", self.from.recv()).await, None);
    }

    /// What has come so far.
    pub(crate) fn drain(&mut self) -> Vec<Observation> {
        std::iter::from_fn(|| self.from.try_recv().ok()).collect()
    }
}

/// One GET by hand: status line and headers, and body.
pub(crate) async fn get(addr: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    soon("an answer", stream.read_to_string(&mut text)).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}
