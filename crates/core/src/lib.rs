//! Who is active: the decision, and nothing else.
//!
//! This crate holds no clock, no async, no I/O and no Kubernetes types. A [`group::Group`] takes
//! observations, and [`group::Group::step`] answers with actions and the next deadline. Everything
//! that touches the world observes for it or executes its actions, and reports the outcome back as
//! one more observation.
//!
//! Promised here: one seat change at a time, each with a recorded [`reason::Reason`]; terms of one seat never
//! go back; repeating a step with the same input asks for nothing. Not promised here: that the world obeys.
//! An action carries its own precondition (`resourceVersion`, UID, term), and whoever executes it must check.

pub mod action;
pub mod brake;
pub mod candidate;
pub mod conditions;
pub mod facts;
pub mod follow;
pub mod gatekeeper;
pub mod group;
pub mod health;
pub mod ids;
pub mod labels;
pub mod nodes;
pub mod notice;
pub mod observation;
pub mod penalty;
pub mod reason;
pub mod report;
pub mod seat;
pub mod spec;
pub mod suspicion;
pub mod switchover;
pub mod traffic;
pub mod view;
