//! What everything of one replica that opens sockets shares.

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::sightings::Sightings;
use crate::vantage::Vantage;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Periodic probes under way at once, unless told otherwise. Each takes one file descriptor, so leave twice as
/// many below the process's limit. Too few would make a dead node with many members slow to find: each of its
/// members holds a place for the whole time-out.
pub const PROBE_SLOTS: usize = 1024;
/// Extra probes under way at once: they have places of their own, so that no crowd of hanging probes delays the
/// confirmation of a refusal.
pub const URGENT_SLOTS: usize = 512;
/// Notices under way at once: a crowd of members that never answer must not take the descriptors of the probes.
pub const NOTICE_SLOTS: usize = 64;

/// Shared by everything of one replica that opens sockets.
#[derive(Debug)]
pub struct HostContext {
    /// The clock and its gaps.
    pub clock: Clock,
    /// What this replica has reached lately.
    pub vantage: Vantage,
    /// What its probes saw last, for peers.
    pub sightings: Sightings,
    /// Its metrics.
    pub metrics: Metrics,
    /// Places for periodic probes.
    pub(crate) slots: Semaphore,
    /// Places for extra probes.
    pub(crate) urgent: Semaphore,
    /// Places for notices.
    pub(crate) notices: Semaphore,
}

impl HostContext {
    /// With [`PROBE_SLOTS`] and [`URGENT_SLOTS`].
    pub fn new(clock: Clock, own_node: Option<Arc<str>>) -> Arc<Self> {
        Self::with_slots(clock, own_node, PROBE_SLOTS, URGENT_SLOTS)
    }

    /// With this many places for periodic and for extra probes; at least one each.
    pub fn with_slots(clock: Clock, own_node: Option<Arc<str>>, slots: usize, urgent: usize) -> Arc<Self> {
        Arc::new(Self {
            clock,
            vantage: Vantage::new(own_node),
            sightings: Sightings::default(),
            metrics: Metrics::new(),
            slots: Semaphore::new(slots.clamp(1, Semaphore::MAX_PERMITS)),
            urgent: Semaphore::new(urgent.clamp(1, Semaphore::MAX_PERMITS)),
            notices: Semaphore::new(NOTICE_SLOTS),
        })
    }
}
