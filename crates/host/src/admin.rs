//! The admin server: `/live`, `/ready`, `/metrics` and what peers ask. Nothing on it changes anything, no request
//! body is read, and it holds a bounded number of connections.

use crate::bounded::Bounded;
use crate::context::HostContext;
use crate::gates::Gates;
use crate::wire::{HELLO_PATH, Hello, SIGHTING_PATH, SightingAnswer, SightingQuestion};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hotstandby_core::ids::Uid;
use serde_json::json;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Alive means that the clock ticked within this.
const LATEST_TICK: Duration = Duration::from_secs(5);
/// How long open requests may take once shutdown began.
const GRACE: Duration = Duration::from_secs(2);
/// Connections at once: the kubelet, a few scrapers, the peers.
const CONNECTIONS: usize = 512;

/// Why there is no admin server.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address is taken or not ours.
    #[error("the admin server could not listen on {addr}: {source}; choose a free address")]
    Bind {
        /// Where.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// It ended by itself.
    #[error("the admin server ended: {0}; restart this replica")]
    Serve(io::Error),
}

/// The admin server of one replica.
#[derive(Clone, Debug)]
pub struct Admin {
    ctx: Arc<HostContext>,
    gates: Gates,
    name: Arc<str>,
}

impl Admin {
    /// For the replica of this name: the one its peers know it by.
    pub fn new(ctx: Arc<HostContext>, gates: Gates, name: impl Into<Arc<str>>) -> Self {
        Self { ctx, gates, name: name.into() }
    }

    /// Takes the address, so that a start with a taken one fails at once.
    pub async fn bind(addr: SocketAddr) -> Result<TcpListener, AdminError> {
        TcpListener::bind(addr).await.map_err(|source| AdminError::Bind { addr, source })
    }

    /// Serves until `shutdown` is done and the requests of that moment are answered, or two seconds later.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), AdminError> {
        let (begin, begun) = oneshot::channel::<()>();
        let shutdown = async move {
            shutdown.await;
            drop(begin);
        };
        let server = axum::serve(Bounded::new(listener, CONNECTIONS), self.router())
            .with_graceful_shutdown(shutdown)
            .into_future();
        let grace = async {
            let _ = begun.await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            ended = server => ended.map_err(AdminError::Serve),
            () = grace => Ok(()),
        }
    }

    fn router(self) -> Router {
        Router::new()
            .route("/live", get(live))
            .route("/ready", get(ready))
            .route("/metrics", get(metrics))
            .route(HELLO_PATH, get(hello))
            .route(SIGHTING_PATH, get(sighting))
            .with_state(self)
    }

    fn node(&self) -> Option<String> {
        self.ctx.vantage.own_node().map(ToString::to_string)
    }
}

async fn live(State(admin): State<Admin>) -> Response {
    let age = admin.ctx.clock.tick_age();
    if age < LATEST_TICK {
        return "alive\n".into_response();
    }
    let text = format!("the clock ticked {age:?} ago: its task hangs, restart this replica\n");
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

async fn ready(State(admin): State<Admin>) -> Response {
    let missing = admin.gates.missing();
    if missing.is_empty() {
        return "ready\n".into_response();
    }
    let missing: Vec<_> = missing.iter().map(|(gate, why)| json!({"gate": **gate, "why": **why})).collect();
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "missing": missing }))).into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let Admin { ctx, .. } = &admin;
    ctx.metrics.set_clock_gaps(*ctx.clock.gaps().borrow());
    match ctx.metrics.encode(ctx.clock.mono()) {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("no metrics: {error}\n")).into_response(),
    }
}

async fn hello(State(admin): State<Admin>) -> Json<Hello> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Json(Hello { name: admin.name.to_string(), node: admin.node(), version })
}

async fn sighting(State(admin): State<Admin>, Query(asked): Query<SightingQuestion>) -> Json<SightingAnswer> {
    let SightingQuestion { uid, group } = asked;
    let newest = admin.ctx.sightings.newest(&group, &Uid::from(uid));
    let node = admin.node();
    Json(match newest {
        None => SightingAnswer { known: false, success: false, age_ms: 0, node },
        Some(seen) => {
            let age = admin.ctx.clock.mono().saturating_sub(seen.sent);
            // Up: an age told too short could make an old success look fresh.
            let age_ms = u64::try_from(age.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX);
            SightingAnswer { known: true, success: seen.success, age_ms, node }
        }
    })
}
