//! The modelled API server, semantic by semantic, and under the product's own clients.

mod custom;
mod delete;
mod kubectl;
mod list;
mod patch;
mod product;
mod support;
mod transport;
mod watch;
mod write;
