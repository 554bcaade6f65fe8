//! What the status page says.

use super::{Gatekeeper, Phase};
use crate::ids::Term;
use std::sync::Arc;
use std::time::Duration;

/// A lease that ran out is told of only after this: what k8s-await-election and client-go's health check allow.
const TOLERATED: Duration = Duration::from_secs(2);

/// What this member is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Somebody else holds the lease, or nobody yet.
    Waiting,
    /// It holds the lease; the command does not run yet.
    Starting,
    /// It holds the lease and the command runs.
    Active,
    /// The command was told to end.
    Stopping,
    /// The command is dead; the lease is being released, or the process is about to end.
    Leaving,
}

impl Role {
    /// The fixed text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Active => "active",
            Self::Stopping => "stopping",
            Self::Leaving => "leaving",
        }
    }
}

/// For the status page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What this member is doing.
    pub role: Role,
    /// The term of the record as known.
    pub term: Option<Term>,
    /// The holder of the record as known.
    pub holder: Option<Arc<str>>,
    /// Leader by its own record, but its lease ran out more than 2 s ago.
    pub expired: bool,
    /// Why the last call brought nothing, as long as no later one did better.
    pub trouble: Option<Arc<str>>,
}

impl Gatekeeper {
    /// The status at this moment of `CLOCK_BOOTTIME`.
    pub fn status(&self, boot: Duration) -> Status {
        let view = self.lease.present();
        let (role, good_at) = match &self.phase {
            Phase::Waiting(_) => (Role::Waiting, None),
            Phase::Holding(tenure) => (tenure.role(), Some(tenure.hold.good_at)),
            Phase::Leaving(leaving) => (Role::Leaving, leaving.still_held()),
            Phase::Ended => (Role::Leaving, None),
        };
        let allowed = self.config.timing().lease_duration.saturating_add(TOLERATED);
        Status {
            role,
            term: view.map(|view| view.record.term),
            holder: view.and_then(|view| view.record.holder.clone()),
            expired: good_at.is_some_and(|at| boot > at.saturating_add(allowed)),
            trouble: self.calls.trouble.clone(),
        }
    }
}
