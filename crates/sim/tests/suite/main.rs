//! The modelled API server, semantic by semantic, and under the product's own clients.

// Helpers of tests may fail as tests do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod custom;
mod delete;
mod kubectl;
mod leading;
mod list;
mod patch;
mod product;
mod support;
mod transport;
mod watch;
mod write;
