//! The objects, the one counter of versions, and the log of changes that watches read.

use crate::json::put;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// One change.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) version: u64,
    /// The storage name of the kind.
    pub(crate) storage: Arc<str>,
    /// `namespace/name`, or `name`.
    pub(crate) key: Arc<str>,
    /// As it was before; `None`: it was not there.
    pub(crate) old: Option<Arc<Value>>,
    /// As it is now; `None`: deleted.
    pub(crate) new: Option<Arc<Value>>,
}

/// Objects of one kind by key, in the order of a list.
pub(crate) type Objects = BTreeMap<Arc<str>, Arc<Value>>;

#[derive(Debug)]
pub(crate) struct Store {
    objects: BTreeMap<Arc<str>, Objects>,
    changes: VecDeque<Change>,
    version: u64,
    /// Changes up to this version are forgotten.
    compacted: u64,
    most_changes: usize,
}

/// The key of an object.
pub(crate) fn key(namespace: &str, name: &str) -> Arc<str> {
    if namespace.is_empty() { name.into() } else { format!("{namespace}/{name}").into() }
}

impl Store {
    pub(crate) fn new(most_changes: usize) -> Self {
        Self { objects: BTreeMap::new(), changes: VecDeque::new(), version: 1, compacted: 0, most_changes }
    }

    /// The newest version.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The newest version whose changes are forgotten.
    pub(crate) fn compacted(&self) -> u64 {
        self.compacted
    }

    pub(crate) fn get(&self, storage: &str, key: &str) -> Option<&Arc<Value>> {
        self.objects.get(storage)?.get(key)
    }

    /// The objects of a kind now.
    pub(crate) fn objects(&self, storage: &str) -> impl Iterator<Item = (&Arc<str>, &Arc<Value>)> {
        self.objects.get(storage).into_iter().flatten()
    }

    /// The storage names in use.
    pub(crate) fn storages(&self) -> impl Iterator<Item = &Arc<str>> {
        self.objects.keys()
    }

    pub(crate) fn count(&self) -> usize {
        self.objects.values().map(BTreeMap::len).sum()
    }

    /// Stores an object under the next version, or deletes it (`None`), and gives back what a watch is shown: the
    /// new object, or the last state of the deleted one, with that version.
    pub(crate) fn commit(&mut self, storage: &Arc<str>, key: &Arc<str>, new: Option<Value>) -> Arc<Value> {
        self.version += 1;
        let stamp = |mut object: Value| {
            put(&mut object, &["metadata", "resourceVersion"], self.version.to_string());
            Arc::new(object)
        };
        let objects = self.objects.entry(storage.clone()).or_default();
        let (old, new) = match new {
            Some(object) => {
                let object = stamp(object);
                (objects.insert(key.clone(), object.clone()), Some(object))
            }
            None => (objects.remove(key), None),
        };
        let shown = match (&new, &old) {
            (Some(object), _) => object.clone(),
            (None, Some(old)) => stamp(Value::clone(old)),
            (None, None) => Arc::new(Value::Null),
        };
        let (storage, key) = (storage.clone(), key.clone());
        self.changes.push_back(Change { version: self.version, storage, key, old, new });
        if self.changes.len() > self.most_changes
            && let Some(first) = self.changes.pop_front()
        {
            self.compacted = first.version;
        }
        shown
    }

    /// Forgets the changes before `version`.
    pub(crate) fn compact(&mut self, version: u64) {
        let version = version.min(self.version);
        while self.changes.front().is_some_and(|change| change.version < version) {
            self.changes.pop_front();
        }
        self.compacted = self.compacted.max(version.saturating_sub(1));
    }

    /// The changes after `version`; `None` where some of them are forgotten.
    pub(crate) fn changes_after(&self, version: u64) -> Option<impl ExactSizeIterator<Item = &Change>> {
        if version < self.compacted {
            return None;
        }
        let start = self.changes.partition_point(|change| change.version <= version);
        Some(self.changes.range(start..))
    }

    /// The objects of a kind as they were at `version`; `None` where that is forgotten.
    pub(crate) fn objects_at(&self, storage: &str, version: u64) -> Option<Objects> {
        let mut objects = self.objects.get(storage).cloned().unwrap_or_default();
        let later: Vec<&Change> = self.changes_after(version)?.collect();
        for change in later.into_iter().rev().filter(|change| &*change.storage == storage) {
            match &change.old {
                Some(old) => objects.insert(change.key.clone(), old.clone()),
                None => objects.remove(&change.key),
            };
        }
        Some(objects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn put_pod(store: &mut Store, name: &str, value: i32) {
        store.commit(&"pods".into(), &key("shop", name), Some(json!({"value": value})));
    }

    #[test]
    fn the_past_is_what_it_was() {
        let mut store = Store::new(100);
        put_pod(&mut store, "a", 1);
        let then = store.version();
        put_pod(&mut store, "a", 2);
        put_pod(&mut store, "b", 1);
        store.commit(&"pods".into(), &key("shop", "a"), None);
        let past = store.objects_at("pods", then).unwrap();
        assert_eq!(past.len(), 1);
        assert_eq!(past["shop/a"]["value"], 1);
    }

    #[test]
    fn a_forgotten_version_is_not_answered_from() {
        let mut store = Store::new(2);
        for value in 0..4 {
            put_pod(&mut store, "a", value);
        }
        assert!(store.changes_after(2).is_none());
        assert_eq!(store.changes_after(3).unwrap().len(), 2);
        store.compact(5);
        assert!(store.changes_after(3).is_none());
        assert_eq!(store.changes_after(4).unwrap().len(), 1);
    }
}
