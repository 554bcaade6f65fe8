//! One probe: what is sent, how long it may take, and what its end means.
//!
//! - TCP: connected is a success; the connection is reset at once.
//! - HTTP(S): one GET on a connection of its own; a status from 200 to 399 is a success, as for the kubelet, or only the one that was named.
//!   Redirects are not followed, and no other address is ever contacted. Certificates are not verified.
//! - Only what the pod or the way to it did is an [`Outcome`]; trouble of this machine is [`LocalTrouble`].

use crate::exchange::{Failure, Limit, opened, status, tls_server};
use bytes::Bytes;
use hotstandby_core::action::WireProbe;
use hotstandby_core::health::Outcome;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

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
    let limit = Limit::from_now(timeout);
    let open = async || opened(addr, limit).await.map_err(|source| LocalTrouble::Socket { addr, source });
    match wire {
        WireProbe::Tcp => Ok(open().await?.map_or_else(failed, |_| SUCCESS)),
        WireProbe::Http { path, tls, host, status: expected } => {
            let trouble =
                |problem| LocalTrouble::Request { path: Arc::clone(path), host: host.clone(), problem };
            let request = request(addr, path, host.as_deref()).map_err(trouble)?;
            let server = if *tls { Some(tls_server(ip, host.as_deref()).map_err(trouble)?) } else { None };
            let answered = match open().await? {
                Ok(stream) => status(stream, server, request, limit).await,
                Err(failure) => Err(failure),
            };
            Ok(answered.map_or_else(failed, |status| judge(status, *expected)))
        }
    }
}

const SUCCESS: Finding = (Outcome::Success, None);

fn failed((outcome, detail): Failure) -> Finding {
    (outcome, Some(detail))
}

fn judge(status: StatusCode, expected: Option<u16>) -> Finding {
    let status = status.as_u16();
    if expected.map_or_else(|| (200..=399).contains(&status), |expected| status == expected) {
        SUCCESS
    } else {
        failed((Outcome::Wrong, format!("HTTP {status}").into()))
    }
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
