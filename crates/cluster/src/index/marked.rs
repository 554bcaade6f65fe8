//! Which pods and Services carry marks of which group: few of all there are, found without looking through the others.

use crate::marks::GroupMarks;
use hotstandby_core::ids::GroupKey;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Names of marked objects of one kind and namespace.
#[derive(Debug, Default)]
pub(super) struct MarkedNames(HashMap<GroupKey, BTreeSet<Arc<str>>>);

impl MarkedNames {
    /// Notes whose marks an object carried, and carries now.
    pub(super) fn moved(&mut self, name: &Arc<str>, had: Option<&GroupMarks>, has: Option<&GroupMarks>) {
        let (had, has) = (had.map(|marks| &marks.group), has.map(|marks| &marks.group));
        if had == has {
            return;
        }
        if let Some(had) = had
            && let Some(names) = self.0.get_mut(had)
        {
            names.remove(name);
            if names.is_empty() {
                self.0.remove(had);
            }
        }
        if let Some(has) = has {
            self.0.entry(has.clone()).or_default().insert(name.clone());
        }
    }

    /// Objects with marks of this group.
    pub(super) fn of(&self, group: &GroupKey) -> impl Iterator<Item = &Arc<str>> {
        self.0.get(group).into_iter().flatten()
    }

    /// Groups whose marks some object carries.
    pub(super) fn groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.0.keys()
    }
}
