//! The one clock of the gatekeeper: boot time, which goes on while the machine sleeps.
//!
//! All processes of one gatekeeper run on one kernel, so a moment of this clock means the same to each of them.

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Time since boot, sleep included.
///
/// A kernel that cannot say is taken to be at the end of time: every deadline is then over, which kills the command
/// rather than letting it run unguarded.
pub(crate) fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::MAX, Duration::from)
}

/// Whether the kernel has this clock at all; asked once at the start.
pub(crate) fn works() -> bool {
    clock_gettime(ClockId::CLOCK_BOOTTIME).is_ok()
}
