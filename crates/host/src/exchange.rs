//! One HTTP(S) request on a connection of its own, with a hard end: no pool, no redirects, no other address.

use crate::connect::{ConnectError, broken, connect};
use crate::tls;
use bytes::Bytes;
use futures::future::{Fuse, FutureExt};
use hotstandby_core::health::Outcome;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
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

/// What the pod, or the way to it, did wrong; and in words.
pub(crate) type Failure = (Outcome, Arc<str>);

/// When an exchange must end, and how long that was from its start.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    timeout: Duration,
    deadline: Instant,
}

impl Limit {
    pub(crate) fn from_now(timeout: Duration) -> Self {
        Self { timeout, deadline: Instant::now() + timeout }
    }

    /// `work`, or that `what` did not come in time.
    pub(crate) async fn on<W: Future>(self, what: &str, work: W) -> Result<W::Output, Failure> {
        let in_time = timeout_at(self.deadline, work).await;
        in_time.map_err(|_| (Outcome::TimedOut, format!("no {what} within {:?}", self.timeout).into()))
    }
}

/// The connection, or what its failing means; the outer error is trouble of this machine.
pub(crate) async fn opened(addr: SocketAddr, limit: Limit) -> io::Result<Result<TcpStream, Failure>> {
    match limit.on("connection", connect(addr)).await {
        Ok(Ok(stream)) => Ok(Ok(stream)),
        Ok(Err(ConnectError::Remote(outcome, text))) => Ok(Err((outcome, text.into()))),
        Ok(Err(ConnectError::Local(source))) => Err(source),
        Err(silent) => Ok(Err(silent)),
    }
}

/// What a TLS handshake needs to know.
pub(crate) type Server =
    (&'static tokio_rustls::TlsConnector, tokio_rustls::rustls::pki_types::ServerName<'static>);

/// For a server that is asked for as this host, else by its address; or why no handshake could be begun.
pub(crate) fn tls_server(ip: IpAddr, host: Option<&str>) -> Result<Server, String> {
    let connector = tls::connector().map_err(ToString::to_string)?;
    let name = tls::server_name(host, ip).map_err(|error| error.to_string())?;
    Ok((connector, name))
}

/// The status of the answer to this request.
pub(crate) async fn status<B>(
    stream: TcpStream,
    server: Option<Server>,
    request: Request<B>,
    limit: Limit,
) -> Result<StatusCode, Failure>
where
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    match server {
        None => exchange(stream, request, limit).await,
        // Boxed: a TLS session is large, and most exchanges have none.
        Some(server) => Box::pin(encrypted(stream, server, request, limit)).await,
    }
}

async fn encrypted<B>(
    stream: TcpStream,
    (connector, name): Server,
    request: Request<B>,
    limit: Limit,
) -> Result<StatusCode, Failure>
where
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    match limit.on("TLS handshake", connector.connect(name, stream)).await? {
        Ok(stream) => exchange(stream, request, limit).await,
        Err(error) => Err(failure(broken(&error, "the TLS handshake was done"))),
    }
}

/// Sends the request and takes the head. Connection and answer are driven in one task: were they two, a starved
/// runtime could see the time-out before the answer that had long arrived.
async fn exchange<S, B>(io: S, request: Request<B>, limit: Limit) -> Result<StatusCode, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let handshake = http1::Builder::new().max_buf_size(LONGEST_HEAD).handshake(TokioIo::new(io)).await;
    let (mut sender, connection) = handshake.map_err(|error| no_answer(&error))?;
    let mut connection = pin!(connection.fuse());
    let head = alongside(connection.as_mut(), sender.send_request(request));
    match limit.on("answer", head).await? {
        (Ok(response), _) => {
            let status = response.status();
            let until = limit.deadline.min(Instant::now() + BODY_WAIT);
            // How the body fares changes nothing.
            let _ = timeout_at(until, alongside(connection, drain(response.into_body()))).await;
            Ok(status)
        }
        // The connection's own error says more than that the request was dropped.
        (Err(_), Some(Err(error))) | (Err(error), _) => Err(no_answer(&error)),
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

fn failure((outcome, text): (Outcome, String)) -> Failure {
    (outcome, text.into())
}

fn no_answer(error: &hyper::Error) -> Failure {
    if error.is_incomplete_message() {
        return (Outcome::Wrong, "connection closed before an answer".into());
    }
    if error.is_parse() || error.is_parse_too_large() {
        return (Outcome::Wrong, format!("the answer is not HTTP: {error}").into());
    }
    match io_error(error) {
        Some(io) => failure(broken(io, "an answer")),
        None => (Outcome::Wrong, format!("no HTTP answer: {error}").into()),
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
