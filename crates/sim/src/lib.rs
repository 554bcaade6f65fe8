//! A modelled Kubernetes API server: in memory, deterministic, for development only.
//!
//! [`ApiServer`] is a state machine without I/O: a [`Request`] in, a [`Reply`] out, its clock and randomness handed
//! in. [`Handle`] shares one: [`Handle::client`] gives a `kube::Client` of it, [`serve`] serves it over loopback HTTP
//! for `kubectl`. What is modelled and what is not stands in the crate's `README.md`.
//!
//! ```no_run
//! # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
//! use hotstandby_sim::{ApiServer, Handle, SystemClock, serve};
//! use std::sync::Arc;
//!
//! let handle = Handle::new(ApiServer::new(Arc::new(SystemClock), 1));
//! let client = handle.client("default");
//! let serving = serve(&handle, "127.0.0.1:0".parse()?).await?;
//! std::fs::write("kubeconfig", serving.kubeconfig())?;
//! # drop(client);
//! # Ok(())
//! # }
//! ```

mod apply;
mod audit;
mod builtin;
mod cel;
mod cells;
mod clock;
mod crd;
mod decode;
mod discovery;
mod event;
mod failure;
mod fault;
mod fields;
mod handle;
mod json;
mod jsonpath;
mod kinds;
mod lists;
mod message;
mod patch;
mod protobuf;
mod random;
mod route;
mod rows;
mod schema;
mod selector;
mod serve;
mod server;
mod service;
mod store;
mod stream;
mod table;
mod typed;
mod watch;
pub mod world;

pub use audit::{AuditEntry, RequestInfo};
pub use clock::{Clock, ManualClock, SystemClock};
pub use failure::Failure;
pub use fault::{Fault, FaultRule};
pub use handle::{AnswerBody, Broken, Handle};
pub use message::{Answer, Reply, Request};
pub use serve::{ServeError, Serving, serve};
pub use server::{AccessQuestion, AccessRule, ApiServer, Limits};
pub use service::ApiService;
pub use watch::Watch;
