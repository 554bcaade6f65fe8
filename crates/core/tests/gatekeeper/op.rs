//! What goes wrong in a run, by seed: a schedule that can be cut down.

use crate::rng::Rng;

/// One piece of trouble, at a moment of true time.
#[derive(Clone, Debug)]
pub(super) struct Op {
    pub(super) at_us: u64,
    pub(super) member: usize,
    pub(super) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The elector stands still.
    PauseWrapper { us: u64 },
    /// The killer stands still.
    PauseKiller { us: u64 },
    /// Elector, killer and command stand still together: nothing on this machine can help. In no schedule, see the test.
    FreezeMachine { us: u64 },
    /// This member does not reach the API server.
    Cut { us: u64 },
    /// Nobody does.
    ApiAway { us: u64 },
    /// This member's watch tells nothing; then it tells an old state first.
    StallWatch { us: u64 },
    /// All processes of the container die.
    Crash,
    /// The elector dies.
    CrashWrapper,
    /// SIGTERM: the pod is replaced by one of the same name.
    Stop,
    /// The command ends by itself.
    CommandEnds,
    /// Somebody deletes the Lease.
    DeleteLease,
    /// Somebody annotates the Lease.
    Annotate,
}

/// The schedule of a seed: `members` of them, over `span_us`, in units of the lease `lease_us`.
pub(super) fn schedule(rng: &mut Rng, members: usize, span_us: u64, lease_us: u64) -> Vec<Op> {
    let count = rng.between(2, 14);
    let mut ops: Vec<Op> = (0..count)
        .map(|_| {
            let member = usize::try_from(rng.below(members as u64)).expect("few");
            let us = rng.between(lease_us / 20, lease_us * 2);
            let what = match rng.below(100) {
                0..22 => What::PauseWrapper { us },
                22..36 => What::PauseKiller { us },
                36..54 => What::Cut { us },
                54..60 => What::ApiAway { us },
                60..68 => What::StallWatch { us },
                68..74 => What::Crash,
                74..79 => What::CrashWrapper,
                79..88 => What::Stop,
                88..93 => What::CommandEnds,
                93..97 => What::DeleteLease,
                _ => What::Annotate,
            };
            Op { at_us: rng.between(lease_us / 10, span_us), member, what }
        })
        .collect();
    ops.sort_by_key(|op| op.at_us);
    ops
}
