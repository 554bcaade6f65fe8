//! Whether this replica's time-outs prove anything.
//!
//! A prober that is cut off sees everybody time out. So a time-out counts only while the same prober has lately
//! reached something that its own cut would have cut off too: something on a node other than its own. A target
//! on the prober's own node has no network between, so there a success on the own node suffices as well. A
//! prober that is on no node (outside the cluster) takes any success.
//!
//! The target itself is never its own witness: that it answered a moment ago says nothing of the way there now.

use hotstandby_core::ids::Uid;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What this replica has reached lately.
#[derive(Debug)]
pub struct Vantage {
    own_node: Option<Arc<str>>,
    reached: Mutex<Reached>,
}

#[derive(Debug, Default)]
struct Reached {
    /// On another node than the prober's, or anywhere if the prober is on none.
    elsewhere: Witnesses,
    /// On the prober's own node.
    own_node: Witnesses,
}

/// The two newest successes by different witnesses: one may be the target in question.
#[derive(Debug, Default)]
struct Witnesses {
    newest: Option<Witness>,
    other: Option<Witness>,
}

#[derive(Clone, Debug)]
struct Witness {
    /// `None`: something that is no probe target.
    uid: Option<Uid>,
    at: Duration,
}

impl Witnesses {
    fn note(&mut self, uid: Option<&Uid>, at: Duration) {
        let same = self.newest.as_ref().is_some_and(|newest| newest.uid.as_ref() == uid);
        if same {
            if let Some(newest) = &mut self.newest {
                newest.at = newest.at.max(at);
            }
        } else {
            self.other = self.newest.replace(Witness { uid: uid.cloned(), at });
        }
    }

    fn since(&self, since: Duration, except: Option<&Uid>) -> bool {
        [&self.newest, &self.other].into_iter().flatten().any(|witness| {
            let is_target = except.is_some() && witness.uid.as_ref() == except;
            !is_target && witness.at >= since
        })
    }
}

impl Vantage {
    /// For a replica on this node; `None` outside the cluster.
    pub fn new(own_node: Option<Arc<str>>) -> Self {
        Self { own_node, reached: Mutex::new(Reached::default()) }
    }

    /// The replica's own node.
    pub fn own_node(&self) -> Option<&Arc<str>> {
        self.own_node.as_ref()
    }

    /// Something that is no probe target answered: a peer, say. `node`: where it is, if known.
    pub fn note_success(&self, node: Option<&str>, at: Duration) {
        self.note(None, node, at);
    }

    /// This probe target answered.
    pub fn note_member(&self, uid: &Uid, node: Option<&str>, at: Duration) {
        self.note(Some(uid), node, at);
    }

    /// Whether a time-out of a target on this node counts: see [`Vantage::supports_timeout_of`].
    pub fn supports_timeout(&self, target_node: Option<&str>, sent: Duration, period: Duration) -> bool {
        self.supports(None, target_node, sent, period)
    }

    /// Whether a time-out of this target, sent then, counts: whether there was a witness at most one period
    /// before it was sent. From its end that is one period and the probe's own time-out.
    pub fn supports_timeout_of(
        &self,
        uid: &Uid,
        target_node: Option<&str>,
        sent: Duration,
        period: Duration,
    ) -> bool {
        self.supports(Some(uid), target_node, sent, period)
    }

    fn note(&self, uid: Option<&Uid>, node: Option<&str>, at: Duration) {
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        match (self.own_node.as_deref(), node) {
            (None, _) => reached.elsewhere.note(uid, at),
            (Some(own), Some(node)) if own != node => reached.elsewhere.note(uid, at),
            (Some(_), Some(_)) => reached.own_node.note(uid, at),
            // Reached, but who knows where: perhaps here.
            (Some(_), None) => {}
        }
    }

    fn supports(&self, uid: Option<&Uid>, node: Option<&str>, sent: Duration, period: Duration) -> bool {
        let since = sent.saturating_sub(period);
        let on_own_node = node.is_some() && node == self.own_node.as_deref();
        let reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        reached.elsewhere.since(since, uid) || (on_own_node && reached.own_node.since(since, uid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(1);

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn on(node: &str) -> Vantage {
        Vantage::new(Some(node.into()))
    }

    #[test]
    fn cut_off_prober_that_reaches_only_its_own_node_judges_no_other_node() {
        let vantage = on("a");
        vantage.note_success(Some("a"), at(5_000));
        assert!(!vantage.supports_timeout(Some("b"), at(5_000), PERIOD));
        assert!(vantage.supports_timeout(Some("a"), at(5_000), PERIOD), "no network lies between");
    }

    #[test]
    fn any_other_node_is_a_witness_also_the_targets_own() {
        let vantage = on("a");
        vantage.note_success(Some("c"), at(5_000));
        assert!(vantage.supports_timeout(Some("b"), at(5_500), PERIOD));
        assert!(vantage.supports_timeout(Some("c"), at(5_500), PERIOD));
        assert!(vantage.supports_timeout(Some("a"), at(5_500), PERIOD));
        assert!(vantage.supports_timeout(None, at(5_500), PERIOD));
    }

    #[test]
    fn a_witness_grows_stale() {
        let vantage = on("a");
        vantage.note_success(Some("c"), at(5_000));
        assert!(vantage.supports_timeout(Some("b"), at(6_000), PERIOD));
        assert!(!vantage.supports_timeout(Some("b"), at(6_001), PERIOD));
    }

    #[test]
    fn a_target_is_not_its_own_witness() {
        let vantage = on("a");
        let (target, other) = (Uid::from("t"), Uid::from("o"));
        vantage.note_member(&target, Some("b"), at(5_000));
        assert!(!vantage.supports_timeout_of(&target, Some("b"), at(5_000), PERIOD));
        assert!(vantage.supports_timeout_of(&other, Some("b"), at(5_000), PERIOD));
        vantage.note_member(&other, Some("b"), at(5_001));
        vantage.note_member(&target, Some("b"), at(5_002));
        vantage.note_member(&target, Some("b"), at(5_003));
        assert!(vantage.supports_timeout_of(&target, Some("b"), at(5_003), PERIOD), "another pod there is");
    }

    #[test]
    fn outside_the_cluster_any_success_counts() {
        let vantage = Vantage::new(None);
        assert!(!vantage.supports_timeout(Some("b"), at(5_000), PERIOD));
        vantage.note_success(None, at(5_000));
        assert!(vantage.supports_timeout(Some("b"), at(5_000), PERIOD));
    }

    #[test]
    fn a_success_at_an_unknown_place_proves_nothing_inside_the_cluster() {
        let vantage = on("a");
        vantage.note_success(None, at(5_000));
        assert!(!vantage.supports_timeout(Some("b"), at(5_000), PERIOD));
        assert!(!vantage.supports_timeout(Some("a"), at(5_000), PERIOD));
    }
}
