//! The invariants of hotstandby, and the judge that every ring of the tests asks.
//!
//! [`Invariant`] lists what must always hold, in plain words; `docs/invariants.md` is generated from it. [`History`] judges the
//! invariants that can be told from what was stored: it takes one [`Fact`] after another and answers with each [`Violation`].
//! A test ring translates what it sees into facts. It does not know the rules itself.
//!
//! Promised: the same facts at the same moments give the same violations. There is no clock, no I/O and no Kubernetes type here.
//!
//! Not promised: a history in which no violation was found is not thereby right. Only what was told can be judged.
#![forbid(unsafe_code)]

mod catalog;
mod fact;
mod history;
mod invariant;
mod marks;
mod page;
mod pods;
mod rule;
mod seats;
mod slices;

pub use catalog::Check;
pub use fact::{
    Author, Endpoint, Fact, Kind, Label, Leads, Owner, PodRef, Stamp, StoredPod, StoredRoute, StoredSeat,
    StoredService, StoredSlice, Term, TermUse,
};
pub use history::{History, Lag, Tolerance};
pub use invariant::{Invariant, Ring, Violation};
pub use page::write_page;
pub use rule::{OwnedLabel, Rule, RuleId};
