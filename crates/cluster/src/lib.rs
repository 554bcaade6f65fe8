//! The only crate that knows Kubernetes: the API types, what is watched, what is written, and the install YAML.

pub mod access;
pub mod api;
pub mod call;
pub mod connect;
pub mod disposal;
pub mod doctor;
pub mod election;
pub mod events;
pub mod extras;
pub mod followed;
pub mod import;
pub mod index;
pub mod live;
pub mod manifests;
pub mod marked;
pub mod marks;
pub mod names;
pub mod objects;
mod pause;
pub mod pod;
pub mod pod_labels;
pub mod pointer;
pub mod seat;
pub mod slice;
pub mod status;
pub mod stores;
pub mod sweep;
pub mod user;
pub mod watch;
pub mod why;
pub mod wire;

#[cfg(test)]
mod testing;
