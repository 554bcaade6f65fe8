//! What others put on an object that we write: a PUT replaces the whole object, and must not drop it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use std::collections::BTreeMap;

/// Metadata that is not ours.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Extras {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Owners.
    pub owners: Vec<OwnerReference>,
    /// Finalizers.
    pub finalizers: Vec<String>,
}

impl Extras {
    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
            && self.annotations.is_empty()
            && self.owners.is_empty()
            && self.finalizers.is_empty()
    }

    /// What is on `meta` beyond what we wrote ourselves.
    pub(crate) fn of(
        meta: &ObjectMeta,
        our_label: impl Fn(&str) -> bool,
        our_annotation: impl Fn(&str) -> bool,
        our_owner: impl Fn(&OwnerReference) -> bool,
    ) -> Self {
        Self {
            labels: foreign(meta.labels.as_ref(), our_label),
            annotations: foreign(meta.annotations.as_ref(), our_annotation),
            owners: meta
                .owner_references
                .iter()
                .flatten()
                .filter(|owner| !our_owner(owner))
                .cloned()
                .collect(),
            finalizers: meta.finalizers.clone().unwrap_or_default(),
        }
    }

    /// Adds them to an object of ours; what we set wins.
    pub(crate) fn add_to(self, meta: &mut ObjectMeta) {
        let labels = meta.labels.get_or_insert_default();
        for (key, value) in self.labels {
            labels.entry(key).or_insert(value);
        }
        let annotations = meta.annotations.get_or_insert_default();
        for (key, value) in self.annotations {
            annotations.entry(key).or_insert(value);
        }
        if !self.owners.is_empty() {
            meta.owner_references.get_or_insert_default().extend(self.owners);
        }
        if !self.finalizers.is_empty() {
            meta.finalizers = Some(self.finalizers);
        }
    }
}

fn foreign(map: Option<&BTreeMap<String, String>>, ours: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    map.into_iter()
        .flatten()
        .filter(|(key, _)| !ours(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}
