//! Who waits for everything to be read anew, and when that may begin.

use hotstandby_core::ids::GroupKey;
use std::time::Duration;

/// Between two re-lists: each starts every watch anew for all groups, whichever of them asked for it.
const PERIOD: Duration = Duration::from_secs(10);

/// The re-lists asked for and under way.
#[derive(Default)]
pub(super) struct Relists {
    asked: Vec<GroupKey>,
    begun: Vec<(u64, GroupKey)>,
    begun_at: Option<Duration>,
}

impl Relists {
    /// A group asks.
    pub(super) fn ask(&mut self, key: GroupKey) {
        self.asked.push(key);
    }

    /// When the next one may begin, if somebody waits for it.
    pub(super) fn due(&self) -> Option<Duration> {
        (!self.asked.is_empty()).then(|| self.begun_at.map_or(Duration::ZERO, |at| at + PERIOD))
    }

    /// Begins one if it is due; `begin` tells its generation.
    pub(super) fn begin(&mut self, now: Duration, begin: impl FnOnce() -> u64) {
        if self.due().is_none_or(|due| due > now) {
            return;
        }
        self.begun_at = Some(now);
        let generation = begin();
        self.begun.extend(self.asked.drain(..).map(|key| (generation, key)));
    }

    /// The groups whose re-list is done, now that all lists are of this generation.
    pub(super) fn done(&mut self, generation: u64) -> Vec<GroupKey> {
        let (done, waiting) =
            std::mem::take(&mut self.begun).into_iter().partition(|(wanted, _)| *wanted <= generation);
        self.begun = waiting;
        let done: Vec<(u64, GroupKey)> = done;
        done.into_iter().map(|(_, key)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str) -> GroupKey {
        GroupKey::cr("shop", name)
    }

    #[test]
    fn a_group_that_asks_again_and_again_does_not_keep_all_lists_restarting() {
        let (mut relists, mut begun) = (Relists::default(), 0);
        for second in 0..30 {
            relists.ask(group("web"));
            relists.begin(Duration::from_secs(second), || {
                begun += 1;
                begun
            });
        }
        assert_eq!(begun, 3, "one every ten seconds");
        assert_eq!(relists.due(), Some(Duration::from_secs(30)), "who asked last still waits");
    }

    #[test]
    fn the_first_to_ask_does_not_wait_and_is_told_when_all_lists_are_new() {
        let mut relists = Relists::default();
        assert_eq!(relists.due(), None);
        relists.ask(group("web"));
        relists.ask(group("mail"));
        relists.begin(Duration::ZERO, || 7);
        assert_eq!(relists.done(6), []);
        assert_eq!(relists.done(7), [group("web"), group("mail")]);
        assert_eq!(relists.done(7), []);
    }
}
