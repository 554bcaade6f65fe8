//! Where the model answers otherwise than the real server, and why that stays so.

/// A known difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The scenario.
    pub scenario: &'static str,
    /// The step.
    pub step: &'static str,
    /// Where in the answer: the beginning of the place.
    pub at: &'static str,
    /// What differs: the real server, and the model.
    pub what: &'static str,
    /// Why it stays.
    pub why: &'static str,
}

/// All known differences. A difference that is not here fails `cargo test`; so does a line here that is none any more.
pub const KNOWN: &[Known] = &[];
