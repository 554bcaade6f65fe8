//! Small names and numbers that must not be mixed up.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text as the API server gave it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }
        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// An object's UID: names one incarnation, where a name may be used again.
    Uid
);
text_id!(
    /// A `resourceVersion`.
    Rv
);

impl Rv {
    /// Whether `self` is certainly older than `other`.
    ///
    /// Resource versions of one resource type compare as numbers (KEP-5504, Kubernetes 1.35; true of
    /// etcd-backed servers before). Text that is no number compares as unknown, so `false`.
    pub fn is_older_than(&self, other: &Rv) -> bool {
        match (self.0.parse::<u64>(), other.0.parse::<u64>()) {
            (Ok(mine), Ok(theirs)) => mine < theirs,
            _ => false,
        }
    }
}

/// The term of a seat: Lease `spec.leaseTransitions`. Comparable only within one seat UID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Term(pub u64);

impl Term {
    /// Whether a group can have come to this term: one that is decades of seconds ahead is forged, and to
    /// follow it would lead to the end of the Lease's 32-bit number.
    pub const fn is_plausible(self) -> bool {
        self.0 < 1 << 30
    }

    /// The term after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The moment of a step, handed in by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time since the replica started: everything is timed by this.
    pub mono: Duration,
    /// Wall clock in Unix milliseconds: only shown to people and used to start terms, never compared
    /// with another machine's clock.
    pub unix_ms: i64,
}

/// What kind of object a group is made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum GroupKind {
    /// An `ActiveStandby`.
    Cr,
    /// An annotated Service.
    Svc,
}

impl GroupKind {
    /// The text in the seat's name and in marks.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cr => "cr",
            Self::Svc => "svc",
        }
    }

    /// The kind with this text.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Cr, Self::Svc].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A group: by what kind of object it is made, and where that stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupKey {
    /// Kind of the object that makes it: an `ActiveStandby` and a Service may bear the same name.
    pub kind: GroupKind,
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name of the `ActiveStandby` or the Service.
    pub name: Arc<str>,
}

impl GroupKey {
    /// The group that an `ActiveStandby` makes.
    pub fn cr(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { kind: GroupKind::Cr, namespace: namespace.into(), name: name.into() }
    }

    /// The group that an annotated Service makes.
    pub fn svc(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { kind: GroupKind::Svc, namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            GroupKind::Cr => write!(f, "{}/{}", self.namespace, self.name),
            GroupKind::Svc => write!(f, "{}/service/{}", self.namespace, self.name),
        }
    }
}
