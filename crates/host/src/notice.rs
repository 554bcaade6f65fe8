//! Telling a member its role: one try, to the member's own address and no other.
//!
//! - UDP: one datagram from a socket of its own. Where an acknowledgement is asked for, any datagram back from that address
//!   and port is one.
//! - HTTP(S): one POST on a connection of its own; a status from 200 to 299 is the acknowledgement. Redirects are not followed,
//!   certificates are not verified.
//!
//! Whether another try follows is the group's to decide.

use crate::context::{HostContext, NOTICE_SLOTS};
use crate::exchange::{Failure, Limit, opened, status, tls_server};
use bytes::Bytes;
use hotstandby_core::health::Outcome;
use hotstandby_core::notice::{Delivery, NoticeBy, Notification};
use http::{Request, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Header of a POST that says the role.
pub const ROLE_HEADER: &str = "Hotstandby-Role";
/// Header of a POST that says the term.
pub const TERM_HEADER: &str = "Hotstandby-Term";

/// Why a try was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    /// No place among the tries under way.
    #[error(
        "{NOTICE_SLOTS} notices were under way and none ended within {waited:?}; give those that nobody answers a shorter \
         timeout"
    )]
    Crowded {
        /// For how long a place was waited for.
        waited: Duration,
    },
    /// Trouble of this machine.
    #[error(
        "nothing could be sent to {addr}: {source}; look at this replica's limits on files, ports and memory"
    )]
    Local {
        /// Where to.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No valid request.
    #[error("no POST to {url} could be made: {problem}; correct the notice's path")]
    Request {
        /// The URL.
        url: String,
        /// What is wrong.
        problem: String,
    },
    /// The system at that address has no such port open.
    #[error("nobody listens on UDP port {} of {}; correct the port, or let the application listen there", addr.port(), addr.ip())]
    NobodyListens {
        /// Where to.
        addr: SocketAddr,
    },
    /// The network leads nowhere.
    #[error("UDP to {addr}: {problem}; look at the pod's node and at NetworkPolicies")]
    Unreachable {
        /// Where to.
        addr: SocketAddr,
        /// What the system said.
        problem: String,
    },
    /// Nothing came back.
    #[error(
        "no datagram back from {addr} within {timeout:?}; the application must answer each, or leave acknowledge out of the notice"
    )]
    Silent {
        /// Where to.
        addr: SocketAddr,
        /// For how long it was waited for.
        timeout: Duration,
    },
    /// No answer to the POST.
    #[error("POST {url}: {problem}; correct port and path, or look why the application does not answer")]
    NoAnswer {
        /// The URL.
        url: String,
        /// How it went.
        outcome: Outcome,
        /// The same in words.
        problem: Arc<str>,
    },
    /// An answer that is no acknowledgement.
    #[error("POST {url}: HTTP {}; the application must answer with a status from 200 to 299, redirects are not followed", status.as_u16())]
    Status {
        /// The URL.
        url: String,
        /// The status.
        status: StatusCode,
    },
}

/// The body of a POST.
#[derive(Serialize)]
struct Body<'a> {
    group: &'a str,
    pod: &'a str,
    role: &'static str,
    term: u64,
}

/// Sends this notice of that group once. It may wait `notice.timeout` for a place, and from then on ends within
/// `notice.timeout`.
pub async fn notify(ctx: &HostContext, group: &str, notice: &Notification) -> Result<Delivery, NoticeError> {
    let result = match timeout(notice.timeout, ctx.notices.acquire()).await {
        Ok(_place) => send(group, notice).await,
        Err(_) => Err(NoticeError::Crowded { waited: notice.timeout }),
    };
    ctx.metrics.notice_ended(by_text(&notice.by), outcome_text(&result));
    result
}

async fn send(group: &str, notice: &Notification) -> Result<Delivery, NoticeError> {
    match &notice.by {
        NoticeBy::Udp { port, message } => {
            let addr = SocketAddr::new(notice.ip, *port);
            datagram(addr, &notice.text(message), notice).await
        }
        NoticeBy::Http { port, path, tls } => {
            let addr = SocketAddr::new(notice.ip, *port);
            // Boxed: it is large, and the other way is not.
            Box::pin(post(addr, path, *tls, group, notice)).await
        }
    }
}

async fn datagram(addr: SocketAddr, text: &str, notice: &Notification) -> Result<Delivery, NoticeError> {
    let socket = connected(addr).await?;
    socket.send(text.as_bytes()).await.map_err(|error| classify(addr, error))?;
    if !notice.acknowledge {
        return Ok(Delivery::Sent);
    }
    // Only that address and port reach a connected socket; what is said does not matter, that it is said does.
    match timeout(notice.timeout, socket.recv(&mut [0; 1])).await {
        Ok(Ok(_)) => Ok(Delivery::Acknowledged),
        Ok(Err(error)) => Err(classify(addr, error)),
        Err(_) => Err(NoticeError::Silent { addr, timeout: notice.timeout }),
    }
}

async fn connected(addr: SocketAddr) -> Result<UdpSocket, NoticeError> {
    let any = match addr {
        SocketAddr::V4(_) => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
        SocketAddr::V6(_) => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0),
    };
    let local = |source| NoticeError::Local { addr, source };
    let socket = UdpSocket::bind(any).await.map_err(local)?;
    socket.connect(addr).await.map_err(|error| classify(addr, error))?;
    // Bound to the very port it sends to, it would hear itself.
    if socket.local_addr().map_err(local)? == addr {
        return Err(NoticeError::NobodyListens { addr });
    }
    Ok(socket)
}

fn classify(addr: SocketAddr, error: io::Error) -> NoticeError {
    match error.kind() {
        // An ICMP message came back: port unreachable.
        ErrorKind::ConnectionRefused => NoticeError::NobodyListens { addr },
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            NoticeError::Unreachable { addr, problem: error.to_string() }
        }
        _ => NoticeError::Local { addr, source: error },
    }
}

async fn post(
    addr: SocketAddr,
    path: &str,
    tls: bool,
    group: &str,
    notice: &Notification,
) -> Result<Delivery, NoticeError> {
    let limit = Limit::from_now(notice.timeout);
    let url = || format!("{}://{addr}{path}", if tls { "https" } else { "http" });
    let unmade = |problem| NoticeError::Request { url: url(), problem };
    let failed = |(outcome, problem): Failure| NoticeError::NoAnswer { url: url(), outcome, problem };
    let request = request(addr, path, group, notice).map_err(unmade)?;
    let server = if tls { Some(tls_server(notice.ip, None).map_err(unmade)?) } else { None };
    let opened = opened(addr, limit).await.map_err(|source| NoticeError::Local { addr, source })?;
    let status = status(opened.map_err(failed)?, server, request, limit).await.map_err(failed)?;
    if status.is_success() {
        Ok(Delivery::Acknowledged)
    } else {
        Err(NoticeError::Status { url: url(), status })
    }
}

fn request(
    addr: SocketAddr,
    path: &str,
    group: &str,
    notice: &Notification,
) -> Result<Request<Full<Bytes>>, String> {
    let Notification { to, ip: _, role, seat: _, term, by: _, acknowledge: _, timeout: _ } = notice;
    let body = Body { group, pod: &to.name, role: role.as_str(), term: term.0 };
    let body = serde_json::to_vec(&body).map_err(|error| error.to_string())?;
    Request::post(path)
        .header(header::HOST, addr.to_string())
        .header(header::USER_AGENT, "hotstandby-notice")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .header(ROLE_HEADER, role.as_str())
        .header(TERM_HEADER, term.0)
        .body(Full::new(body.into()))
        .map_err(|error| error.to_string())
}

const fn by_text(by: &NoticeBy) -> &'static str {
    match by {
        NoticeBy::Udp { .. } => "udp",
        NoticeBy::Http { .. } => "http",
    }
}

const fn outcome_text(result: &Result<Delivery, NoticeError>) -> &'static str {
    match result {
        Ok(Delivery::Sent) => "sent",
        Ok(Delivery::Acknowledged) => "acknowledged",
        Err(NoticeError::Crowded { .. } | NoticeError::Local { .. } | NoticeError::Request { .. }) => {
            "dropped"
        }
        Err(NoticeError::NobodyListens { .. }) => "refused",
        Err(NoticeError::Unreachable { .. } | NoticeError::Silent { .. }) => "timed_out",
        Err(NoticeError::Status { .. }) => "wrong",
        Err(NoticeError::NoAnswer { outcome, .. }) => crate::metrics::outcome_text(*outcome),
    }
}
