//! Which groups may pick a pod, without asking all of them.

use crate::pod::Labels;
use hotstandby_core::ids::GroupKey;
use std::collections::HashMap;
use std::sync::Arc;

type Pair = (Arc<str>, Arc<str>);

/// The groups of a namespace by one label that their selector demands.
#[derive(Debug, Default)]
pub(super) struct Selectors {
    by_pair: HashMap<Pair, Vec<GroupKey>>,
    /// Groups whose selector demands no certain value.
    rest: Vec<GroupKey>,
    places: HashMap<GroupKey, Option<Pair>>,
}

impl Selectors {
    /// Files a group under the pair of its `matchLabels` that the fewest other groups demand.
    pub(super) fn insert(&mut self, group: &GroupKey, pairs: &[Pair]) {
        self.remove(group);
        let rarest = pairs.iter().min_by_key(|pair| self.by_pair.get(pair).map_or(0, Vec::len)).cloned();
        match &rarest {
            Some(pair) => self.by_pair.entry(pair.clone()).or_default().push(group.clone()),
            None => self.rest.push(group.clone()),
        }
        self.places.insert(group.clone(), rarest);
    }

    pub(super) fn remove(&mut self, group: &GroupKey) {
        match self.places.remove(group) {
            Some(Some(pair)) => {
                if let Some(groups) = self.by_pair.get_mut(&pair) {
                    groups.retain(|other| other != group);
                    if groups.is_empty() {
                        self.by_pair.remove(&pair);
                    }
                }
            }
            Some(None) => self.rest.retain(|other| other != group),
            None => {}
        }
    }

    /// Groups that may pick a pod with these labels; their selectors are still to be asked.
    pub(super) fn candidates(&self, labels: &Labels) -> Vec<GroupKey> {
        let by_pair = labels.pairs().filter_map(|pair| self.by_pair.get(pair)).flatten();
        by_pair.chain(&self.rest).cloned().collect()
    }
}
