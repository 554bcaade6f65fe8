//! The real binary with real processes, against the modelled API server on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod chaos;
mod election;
mod harness;
mod killing;
mod processes;
mod relay;
mod traffic;
