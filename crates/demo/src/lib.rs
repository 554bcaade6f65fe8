//! Failovers to look at, with nothing but Rust: the real controller, two replicas of it, on a modelled control plane.
//!
//! What is real: hotstandby's replicas, each a process of its own with its own connections, probes and tripwires; the
//! servers in the pods, processes that are really killed, stopped and asked to end; every connection of the client. What
//! is modelled: the API server and the rest of Kubernetes (`hotstandby-sim`), and kube-proxy, for which a forwarder stands.

mod acts;
mod addresses;
mod args;
mod client_view;
mod forwarder;
mod judge;
mod observer;
pub mod pod;
mod processes;
mod replicas;
pub mod roles;
mod scene;
mod screen;
mod show;
mod stage;
mod summary;

pub use show::run;
