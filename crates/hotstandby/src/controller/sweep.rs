//! When, and in which order, what nobody needs any more is removed.

use hotstandby_cluster::index::{Leftover, LeftoverKind};
use hotstandby_cluster::sweep::{Sweeper, Swept};
use hotstandby_core::ids::GroupKey;
use hotstandby_core::labels::{MEMBER_LABEL, SETTLING};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Tries to remove one thing; what is left then waits for the next look.
const TRIES: usize = 6;

/// Why something is swept.
#[derive(Clone, Copy)]
pub(super) enum Sweep {
    /// Its group is gone: proven by a live read before it is deleted.
    Orphan,
    /// Its living group no longer names the Service, follows a Lease of others, or lost the member.
    Stale,
}

/// Whether selectors ask for a group's labels.
#[derive(Clone, Copy, PartialEq)]
enum Asked {
    /// As far as is known none did of late.
    No,
    /// Till then one may have.
    Until(Instant),
    /// One could not be put right.
    Still,
}

impl Sweep {
    /// Removes all of these, labels last. Those that a selector still asks for stay, and somewhat longer those that the endpoint
    /// controller may believe to be asked for: without them the Service would lead nowhere.
    pub(super) async fn all(self, sweeper: Arc<Sweeper>, mut leftovers: Vec<Leftover>) {
        leftovers.sort_by_key(|leftover| matches!(leftover.kind, LeftoverKind::Labels { .. }));
        let at_first = match self {
            // Another replica may just have put the selector right.
            Self::Orphan => Asked::Until(Instant::now()),
            Self::Stale => Asked::No,
        };
        let mut asked: HashMap<GroupKey, Asked> = HashMap::new();
        for leftover in leftovers {
            let asked = asked.entry(leftover.group.clone()).or_insert(at_first);
            match (&leftover.kind, *asked) {
                (LeftoverKind::Labels { .. }, Asked::Still) => continue,
                (LeftoverKind::Labels { undo, .. }, Asked::Until(then))
                    if undo.contains_key(MEMBER_LABEL) =>
                {
                    tokio::time::sleep_until(then + SETTLING).await;
                }
                _ => {}
            }
            let done = self.one(&sweeper, &leftover).await;
            if matches!(leftover.kind, LeftoverKind::Selector { .. }) && *asked != Asked::Still {
                *asked = if done { Asked::Until(Instant::now()) } else { Asked::Still };
            }
        }
    }

    /// Removes one thing, or learns that it stays; `false`: neither could be done.
    async fn one(self, sweeper: &Sweeper, leftover: &Leftover) -> bool {
        let mut pause = Duration::from_millis(200);
        for _ in 0..TRIES {
            let outcome = match self {
                Self::Orphan => sweeper.sweep(leftover).await,
                Self::Stale => sweeper.remove_stale(leftover).await,
            };
            match outcome {
                Ok(Swept::Gone) => {
                    tracing::info!(group = %leftover.group, kind = ?leftover.kind, "removed what was left behind");
                    return true;
                }
                Ok(Swept::Kept) => return true,
                Err(error) => {
                    tracing::warn!(group = %leftover.group, kind = ?leftover.kind, ?error, "sweeping failed; tried again");
                }
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        false
    }
}
