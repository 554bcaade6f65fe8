//! The invariants themselves, and what a broken one looks like.

use std::fmt;

/// What must always hold. The ids I1 to I8 are used throughout the tests and the decision records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// I1.
    OneActive,
    /// I2.
    OneProcess,
    /// I3.
    TermsGrow,
    /// I4.
    Converges,
    /// I5.
    Silent,
    /// I6.
    RecordedReason,
    /// I7.
    OwnObjectsOnly,
    /// I8.
    LeavesNothing,
}

impl Invariant {
    /// A violation of this invariant. `text` says what is wrong, without the id.
    pub fn violation(self, text: impl Into<String>) -> Violation {
        Violation { invariant: self, text: text.into(), objects: Vec::new() }
    }

    /// The text form of a violation, for rings that keep texts.
    pub fn broken(self, text: impl Into<String>) -> String {
        self.violation(text).into()
    }
}

/// Where invariants are checked: a ring of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ring {
    /// `crates/core/tests/cases`: one decision at a time, as text.
    Cases,
    /// `crates/core/tests/driver`: random trouble against the decision, by seed.
    Driver,
    /// `crates/core/tests/gatekeeper`: random trouble against the gatekeeper's rules, by seed.
    Gatekeeper,
    /// `crates/await/tests`: the gatekeeper's real processes on a modelled API server.
    Processes,
    /// `cargo demo`: the real controller on a modelled API server.
    Demo,
    /// `cargo e2e`: everything on a real Kubernetes.
    EndToEnd,
    /// Unit tests beside the code.
    Units,
}

impl Ring {
    /// The ring as the documentation calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cases => "cases",
            Self::Driver => "driver",
            Self::Gatekeeper => "gatekeeper tests",
            Self::Processes => "gatekeeper processes",
            Self::Demo => "demo",
            Self::EndToEnd => "end-to-end",
            Self::Units => "units",
        }
    }

    /// Where its tests are.
    pub const fn place(self) -> &'static str {
        match self {
            Self::Cases => "crates/core/tests/cases",
            Self::Driver => "crates/core/tests/driver",
            Self::Gatekeeper => "crates/core/tests/gatekeeper",
            Self::Processes => "crates/await/tests",
            Self::Demo => "crates/demo",
            Self::EndToEnd => "crates/e2e",
            Self::Units => "crates/cluster/src",
        }
    }
}

/// A broken invariant. Its text form is `I1: what is wrong`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which one is broken.
    pub invariant: Invariant,
    /// What is wrong.
    pub text: String,
    /// The ids of the objects that show it, as the facts named them.
    pub objects: Vec<String>,
}

impl Violation {
    /// The same violation, shown by one more object.
    #[must_use]
    pub fn shown_by(mut self, object: &str) -> Self {
        self.objects.push(object.to_owned());
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant.id(), self.text)
    }
}

impl From<Violation> for String {
    fn from(violation: Violation) -> Self {
        violation.to_string()
    }
}
