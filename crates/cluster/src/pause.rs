//! Pauses between tries that failed.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// The first pause; doubles.
const FIRST: Duration = Duration::from_millis(50);

/// Growing pauses with jitter, so that many who lost the same server do not come back in step.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    failures: u32,
}

impl Pause {
    /// All is well again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The next one, between half of it and all of it.
    pub(crate) fn next(&mut self, longest: Duration) -> Duration {
        let full = FIRST.saturating_mul(1 << self.failures.min(10)).min(longest);
        self.failures = self.failures.saturating_add(1);
        let half = full / 2;
        let jitter = u64::try_from(half.as_millis()).unwrap_or(u64::MAX);
        half + Duration::from_millis(random_below(jitter + 1))
    }
}

/// Good enough to spread load; std's hasher keys are random.
pub(crate) fn random_below(limit: u64) -> u64 {
    RandomState::new().build_hasher().finish() % limit.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_only_a_refusal_waits_longer() {
        let (usual, refused) = (Duration::from_secs(1), Duration::from_secs(10));
        let mut pause = Pause::default();
        let away: Vec<_> = (0..20).map(|_| pause.next(usual)).collect();
        assert!(away[0] <= FIRST && away.iter().all(|pause| *pause <= usual));
        assert!(away[19] >= usual / 2);
        assert!(pause.next(refused) > usual);
        pause.reset();
        assert!(pause.next(usual) <= FIRST);
    }
}
