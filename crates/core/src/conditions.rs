//! The conditions and their fixed reasons.

/// A condition's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionType {
    /// The spec is valid and the rights are there.
    Accepted,
    /// Exactly one active is served.
    Ready,
    /// At least one fit standby.
    Redundant,
    /// Probes are known to work.
    DetectionReady,
    /// Only a human helps; present only then.
    Stalled,
}

impl ConditionType {
    /// The text in `status.conditions[].type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Ready => "Ready",
            Self::Redundant => "Redundant",
            Self::DetectionReady => "DetectionReady",
            Self::Stalled => "Stalled",
        }
    }
}

/// A condition's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// True.
    True,
    /// False.
    False,
    /// Unknown.
    Unknown,
}

impl Status {
    /// The text in `status.conditions[].status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Its type.
    pub kind: ConditionType,
    /// Its status.
    pub status: Status,
    /// Its fixed reason.
    pub reason: &'static str,
    /// What it means, and what to do.
    pub message: String,
}

impl Condition {
    /// A condition.
    pub fn new(
        kind: ConditionType,
        status: Status,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { kind, status, reason, message: message.into() }
    }
}
