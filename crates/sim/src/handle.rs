//! The async layer: a server that many may call and watch at once.

use crate::audit::{AuditEntry, RequestInfo};
use crate::failure::Failure;
use crate::fault::{Fault, FaultRule};
use crate::message::{Answer, Reply, Request};
use crate::server::ApiServer;
use crate::stream::WatchStream;
use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::watch;

/// The body of an answer: at once, or a watch's stream.
pub type AnswerBody = UnsyncBoxBody<Bytes, Infallible>;

/// The connection broke; says which fault did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection broke: {0}")]
pub struct Broken(pub(crate) &'static str);

/// A modelled API server that is shared; cheap to clone.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

struct Shared {
    server: Mutex<ApiServer>,
    /// The newest version, for those who watch.
    version: watch::Sender<u64>,
    fault: RwLock<Option<FaultRule>>,
    watches: AtomicUsize,
    bookmark_period: Duration,
    most_watches: usize,
}

/// Between two bookmarks of a watch that wants them.
const BOOKMARK_PERIOD: Duration = Duration::from_mins(1);

impl Handle {
    /// Shares a server.
    pub fn new(server: ApiServer) -> Self {
        Self::with_bookmarks(server, BOOKMARK_PERIOD)
    }

    /// Shares a server whose watches get bookmarks this often.
    pub fn with_bookmarks(server: ApiServer, period: Duration) -> Self {
        let (version, most_watches) = (watch::Sender::new(server.version()), server.limits().watches);
        Self(Arc::new(Shared {
            server: Mutex::new(server),
            version,
            fault: RwLock::new(None),
            watches: AtomicUsize::new(0),
            bookmark_period: period,
            most_watches,
        }))
    }

    /// Does something with the server itself, and wakes whoever watches.
    pub fn with<T>(&self, act: impl FnOnce(&mut ApiServer) -> T) -> T {
        let mut server = self.0.server.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = act(&mut server);
        let newest = server.version();
        drop(server);
        self.0.version.send_if_modified(|version| std::mem::replace(version, newest) != newest);
        outcome
    }

    /// Decides from now on what befalls requests; `None`: nothing.
    pub fn set_fault(&self, rule: Option<FaultRule>) {
        *self.0.fault.write().unwrap_or_else(PoisonError::into_inner) = rule;
    }

    /// The audit log so far.
    pub fn audit(&self) -> Vec<AuditEntry> {
        self.with(|server| server.audit().cloned().collect())
    }

    /// Waits until the newest version is above `version`, and returns it.
    pub async fn changed_after(&self, version: u64) -> u64 {
        let mut newest = self.0.version.subscribe();
        match newest.wait_for(|newest| *newest > version).await {
            Ok(newest) => *newest,
            // The sender lives as long as this handle.
            Err(_closed) => version,
        }
    }

    /// Watches that are open.
    pub fn open_watches(&self) -> usize {
        self.0.watches.load(Ordering::Relaxed)
    }

    pub(crate) fn versions(&self) -> watch::Receiver<u64> {
        self.0.version.subscribe()
    }

    pub(crate) fn bookmark_period(&self) -> Duration {
        self.0.bookmark_period
    }

    pub(crate) fn watch_ended(&self) {
        self.0.watches.fetch_sub(1, Ordering::Relaxed);
    }

    fn fault_of(&self, info: &RequestInfo) -> Fault {
        let rule = self.0.fault.read().unwrap_or_else(PoisonError::into_inner).clone();
        rule.map_or(Fault::None, |rule| rule(info))
    }

    /// Answers a request as the transport would bring it, faults included.
    pub async fn answer(&self, request: Request) -> Result<Response<AnswerBody>, Broken> {
        let info = self.with(|server| server.describe(&request));
        let fault = self.fault_of(&info);
        match fault {
            Fault::None | Fault::DropAnswerAfterApplying => {}
            Fault::Fail(code) => return Ok(json_response(failed(code))),
            Fault::DropRequest => return Err(Broken("the request was lost")),
            Fault::Delay(time) => tokio::time::sleep(time).await,
        }
        let reply = self.with(|server| server.handle(&request));
        if fault == Fault::DropAnswerAfterApplying {
            return Err(Broken("the answer was lost"));
        }
        Ok(self.response(reply))
    }

    fn response(&self, reply: Reply) -> Response<AnswerBody> {
        match reply {
            Reply::Json(answer) => json_response(answer),
            Reply::Text { code, body } => {
                respond(code, "text/plain; charset=utf-8", Full::new(Bytes::from(body)).boxed_unsync())
            }
            Reply::Watch(watch) => {
                if self.0.watches.fetch_add(1, Ordering::Relaxed) >= self.0.most_watches {
                    self.watch_ended();
                    return json_response(failed(429));
                }
                respond(200, "application/json", WatchStream::new(self.clone(), *watch).into_body())
            }
        }
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("version", &*self.0.version.borrow()).finish_non_exhaustive()
    }
}

fn failed(code: u16) -> Answer {
    let reason = match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    Answer::new(code, Failure::new(code, reason, format!("failed on purpose with {code}")).body())
}

fn json_response(answer: Answer) -> Response<AnswerBody> {
    let mut bytes = answer.body.to_string().into_bytes();
    bytes.push(b'\n');
    let mut response =
        respond(answer.code, answer.content_type, Full::new(Bytes::from(bytes)).boxed_unsync());
    for warning in answer.warnings {
        let text = format!("299 - {warning:?}");
        if let Ok(value) = header::HeaderValue::from_str(&text) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    let after = crate::json::at(&answer.body, &["details", "retryAfterSeconds"]).as_u64();
    if let Some(seconds) = after.or((answer.code == 429).then_some(1)) {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn respond(code: u16, content_type: &'static str, body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}
