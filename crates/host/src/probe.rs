//! One probe: what is sent, how long it may take, and what its end means.
//!
//! - TCP: connected is a success; the connection is reset at once.
//! - HTTP(S): one GET on a connection of its own; a status from 200 to 399 is a success, as for the kubelet.
//!   Redirects are not followed, and no other address is ever contacted. Certificates are not verified.
//! - Only what the pod or the way to it did is an [`Outcome`]; trouble of this machine is [`LocalTrouble`].

use crate::connect::{ConnectError, broken, connect};
use crate::tls;
use bytes::Bytes;
use futures::future::{Fuse, FutureExt};
use hotstandby_core::action::WireProbe;
use hotstandby_core::health::Outcome;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// The largest head an answer may have.
const LONGEST_HEAD: usize = 16 * 1024;
/// A body up to this is read, so that the server sees its answer taken rather than reset.
const LONGEST_BODY: u64 = 16 * 1024;
/// How long the body is waited for after the head: the head alone decides.
const BODY_WAIT: Duration = Duration::from_millis(20);

/// How a probe ended, and what went wrong in words.
pub type Finding = (Outcome, Option<Arc<str>>);

/// The probe could not be made, for a reason that lies on this machine: it says nothing about the pod.
#[derive(Debug, thiserror::Error)]
pub enum LocalTrouble {
    /// No socket.
    #[error(
        "no connection to {addr} could be tried: {source}; look at this replica's limits on files, ports and memory"
    )]
    Socket {
        /// Where to.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No valid request.
    #[error("no request for path {path:?} and host {host:?} could be made: {problem}; correct the probe")]
    Request {
        /// The path.
        path: Arc<str>,
        /// The host.
        host: Option<Arc<str>>,
        /// What is wrong.
        problem: String,
    },
}

/// Probes once; ends within `timeout` whatever the other side does.
pub async fn probe(
    ip: IpAddr,
    port: u16,
    wire: &WireProbe,
    timeout: Duration,
) -> Result<Finding, LocalTrouble> {
    let addr = SocketAddr::new(ip, port);
    let limit = Limit { timeout, deadline: Instant::now() + timeout };
    match wire {
        WireProbe::Tcp => Ok(opened(addr, limit).await?.map_or_else(|finding| finding, |_| SUCCESS)),
        WireProbe::Http { path, tls, host } => {
            let request = request(addr, path, host.as_deref()).map_err(|problem| LocalTrouble::Request {
                path: Arc::clone(path),
                host: host.clone(),
                problem,
            })?;
            let server = if *tls { Some(tls_server(ip, path, host.as_ref())?) } else { None };
            let answered = match opened(addr, limit).await? {
                Ok(stream) => answer(stream, server, request, limit).await,
                Err(finding) => Err(finding),
            };
            Ok(answered.unwrap_or_else(|finding| finding))
        }
    }
}

const SUCCESS: Finding = (Outcome::Success, None);

fn failed(outcome: Outcome, detail: impl Into<Arc<str>>) -> Finding {
    (outcome, Some(detail.into()))
}

/// When a probe must end, and how long that was from its start.
#[derive(Clone, Copy)]
struct Limit {
    timeout: Duration,
    deadline: Instant,
}

impl Limit {
    /// `work`, or that `what` did not come in time.
    async fn on<W: Future>(self, what: &str, work: W) -> Result<W::Output, Finding> {
        let in_time = timeout_at(self.deadline, work).await;
        in_time.map_err(|_| failed(Outcome::TimedOut, format!("no {what} within {:?}", self.timeout)))
    }
}

/// The connection, or what its failing means.
async fn opened(addr: SocketAddr, limit: Limit) -> Result<Result<TcpStream, Finding>, LocalTrouble> {
    match limit.on("connection", connect(addr)).await {
        Ok(Ok(stream)) => Ok(Ok(stream)),
        Ok(Err(ConnectError::Remote(outcome, text))) => Ok(Err(failed(outcome, text))),
        Ok(Err(ConnectError::Local(source))) => Err(LocalTrouble::Socket { addr, source }),
        Err(silent) => Ok(Err(silent)),
    }
}

type Server = (&'static tokio_rustls::TlsConnector, tokio_rustls::rustls::pki_types::ServerName<'static>);

fn tls_server(ip: IpAddr, path: &Arc<str>, host: Option<&Arc<str>>) -> Result<Server, LocalTrouble> {
    let trouble = |problem| LocalTrouble::Request { path: Arc::clone(path), host: host.cloned(), problem };
    let connector = tls::connector().map_err(|error| trouble(error.to_string()))?;
    let name = tls::server_name(host.map(|host| &**host), ip).map_err(|error| trouble(error.to_string()))?;
    Ok((connector, name))
}

fn request(addr: SocketAddr, path: &str, host: Option<&str>) -> Result<Request<Empty<Bytes>>, String> {
    let host = host.map_or_else(|| addr.to_string(), str::to_owned);
    Request::get(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, "hotstandby-probe")
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| error.to_string())
}

/// The finding, whichever way; `Err` is the short way out.
type Answered = Result<Finding, Finding>;

async fn answer(
    stream: TcpStream,
    server: Option<Server>,
    request: Request<Empty<Bytes>>,
    limit: Limit,
) -> Answered {
    match server {
        None => exchange(stream, request, limit).await,
        // Boxed: a TLS session is large, and most probes have none.
        Some(server) => Box::pin(answer_encrypted(stream, server, request, limit)).await,
    }
}

async fn answer_encrypted(
    stream: TcpStream,
    (connector, name): Server,
    request: Request<Empty<Bytes>>,
    limit: Limit,
) -> Answered {
    match limit.on("TLS handshake", connector.connect(name, stream)).await? {
        Ok(stream) => exchange(stream, request, limit).await,
        Err(error) => {
            let (outcome, text) = broken(&error, "the TLS handshake was done");
            Err(failed(outcome, text))
        }
    }
}

/// Sends the request and takes the head. Connection and answer are driven in one task: were they two, a starved
/// runtime could see the time-out before the answer that had long arrived.
async fn exchange<S>(io: S, request: Request<Empty<Bytes>>, limit: Limit) -> Answered
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = http1::Builder::new().max_buf_size(LONGEST_HEAD).handshake(TokioIo::new(io)).await;
    let (mut sender, connection) = handshake.map_err(|error| no_answer(&error))?;
    let mut connection = pin!(connection.fuse());
    let head = alongside(connection.as_mut(), sender.send_request(request));
    match limit.on("answer", head).await? {
        (Ok(response), _) => {
            let finding = judge(response.status());
            let until = limit.deadline.min(Instant::now() + BODY_WAIT);
            // How the body fares changes nothing.
            let _ = timeout_at(until, alongside(connection, drain(response.into_body()))).await;
            Ok(finding)
        }
        // The connection's own error says more than that the request was dropped.
        (Err(_), Some(Err(error))) | (Err(error), _) => Err(no_answer(&error)),
    }
}

fn judge(status: StatusCode) -> Finding {
    if (200..=399).contains(&status.as_u16()) {
        SUCCESS
    } else {
        failed(Outcome::Wrong, format!("HTTP {}", status.as_u16()))
    }
}

async fn drain(mut body: Incoming) {
    if body.size_hint().lower() > LONGEST_BODY {
        return;
    }
    let mut left = LONGEST_BODY;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(u64::try_from(length).unwrap_or(u64::MAX)) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// Drives `connection` until `work` is done; also answers how the connection ended, if it did.
async fn alongside<C: Future, W: Future>(
    mut connection: Pin<&mut Fuse<C>>,
    work: W,
) -> (W::Output, Option<C::Output>) {
    let mut work = pin!(work);
    let mut ended = None;
    let output = poll_fn(|context| {
        if let std::task::Poll::Ready(end) = connection.as_mut().poll(context) {
            ended = Some(end);
        }
        work.as_mut().poll(context)
    })
    .await;
    (output, ended)
}

fn no_answer(error: &hyper::Error) -> Finding {
    if error.is_incomplete_message() {
        return failed(Outcome::Wrong, "connection closed before an answer");
    }
    if error.is_parse() || error.is_parse_too_large() {
        return failed(Outcome::Wrong, format!("the answer is not HTTP: {error}"));
    }
    match io_error(error) {
        Some(io) => {
            let (outcome, text) = broken(io, "an answer");
            failed(outcome, text)
        }
        None => failed(Outcome::Wrong, format!("no HTTP answer: {error}")),
    }
}

fn io_error(error: &hyper::Error) -> Option<&io::Error> {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref() {
            return Some(io);
        }
        source = inner.source();
    }
    None
}
