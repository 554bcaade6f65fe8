//! An election among pods, over the wire: the Lease they share, and the endpoint that follows it.
//!
//! The decisions are [`hotstandby_core::gatekeeper`]'s; here is what reads and writes for it. Nothing here needs a right beyond
//! `get`, `create` and `update` on Leases and Endpoints; `watch` on Leases and rights on EndpointSlices are used where they are there.

pub mod lease;
pub mod link;
pub mod sight;
pub mod traffic;
mod wire;
