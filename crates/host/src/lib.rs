//! Everything of a replica that opens a socket, except to the Kubernetes API: probes, the tripwire, notices, the
//! peers and the admin server.
//!
//! Start with a [`clock::Clock`], run its ticker, and make one [`context::HostContext`] of it. Each group gets a
//! [`prober::GroupProber`]; the replica gets one [`peers::Peers`] and one [`admin::Admin`].
//!
//! # Promised
//!
//! - A probe contacts the address it was given and no other, ends within its time-out, and is never counted against
//!   a pod for trouble of this replica's own: no free descriptor or port (dropped, counted), a busy replica (waiting
//!   for a place is no probe time), a frozen one (`spans_gap`), a cut-off one (`vantage`).
//! - Once [`prober::GroupProber::set_targets`] returns, nothing is reported of targets that are gone or changed.
//! - At most one periodic probe of a target is under way; extra ones overlap it and have places of their own.
//! - A tripwire's close is told at once and never as a fact; a server that the tripwire would disturb gets none, and
//!   that is told as well.
//! - A notice goes to the address it was given and no other, and one try ends within twice its time-out.
//! - A peer vetoes only with a success sent after this replica began to see failures, from another node.
//!
//! # Not promised
//!
//! - That a refusal came from the pod: a firewall that rejects with a reset looks the same.
//! - That a TCP probe proves health, or anything at all behind a mesh sidecar: it proves a listener.
//! - That only one replica is the lead: hearing each other is not agreeing. Preconditions of writes decide.
//! - That a machine's sleep is noticed: the monotonic clock sleeps with it.
//! - That a notice was acted on, or that who answered at that address was the application: it says who was told.
//! - Secrecy or authenticity between replicas: the admin port speaks plain HTTP, is read-only, and tells pod UIDs'
//!   health to whoever may connect. A liar among the listed peers can delay a failover caused by time-outs, never
//!   cause one.

pub mod admin;
mod bounded;
pub mod clock;
mod connect;
pub mod context;
mod exchange;
pub mod gates;
pub mod metrics;
pub mod notice;
mod peer_client;
pub mod peers;
pub mod probe;
pub mod prober;
pub mod sightings;
mod target;
mod tls;
pub mod tripwire;
pub mod vantage;
pub mod wire;
