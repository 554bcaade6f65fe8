//! The commands for people as people run them: the program itself, against the modelled API server.

// Helpers of tests may fail as tests do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod doctor;
mod import;
mod support;
mod why;
