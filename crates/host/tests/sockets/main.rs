//! The public contract over real loopback sockets. Tests are named after the fear.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly anywhere"
)]

mod admin;
mod notice;
mod peers;
mod probe;
mod prober;
mod support;
mod tripwire;
