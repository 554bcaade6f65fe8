//! The pods that were seen: which addresses each had, whether it is gone, and what it is labelled.

use crate::fact::{Endpoint, Label, StoredPod};
use std::collections::BTreeMap;
use std::time::Duration;

/// How far behind the truth a writer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lag {
    /// Not at all: what is so at the moment of the write counts.
    None,
    /// By this time.
    UpTo(Duration),
    /// By any time: the feeder does not judge how old a writer's knowledge is.
    Unlimited,
}

impl Lag {
    fn allows(self, behind: Duration) -> bool {
        match self {
            Self::None => false,
            Self::UpTo(limit) => behind <= limit,
            Self::Unlimited => true,
        }
    }
}

/// For how long an endpoint may name what is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tolerance {
    /// A pod that was deleted.
    pub gone: Lag,
    /// An address that the pod has lost.
    pub lost_address: Lag,
}

impl Tolerance {
    /// Neither is held against a writer.
    pub const UNLIMITED: Self = Self { gone: Lag::Unlimited, lost_address: Lag::Unlimited };
    /// Both are, at once.
    pub const NONE: Self = Self { gone: Lag::None, lost_address: Lag::None };
}

/// One pod.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pod {
    pub(crate) name: String,
    /// Each address that it ever had, and since when it has it no more.
    addresses: BTreeMap<String, Option<Duration>>,
    gone: Option<Duration>,
    counts: bool,
    labels: Vec<(String, String)>,
}

impl Pod {
    /// Whether the pod counts as one that may be active.
    pub(crate) fn counts(&self) -> bool {
        self.counts && self.gone.is_none()
    }

    /// Whether the pod carries all these labels.
    pub(crate) fn carries(&self, labels: &[(String, String)]) -> bool {
        labels.iter().all(|label| self.labels.contains(label))
    }

    fn note(&mut self, moment: Duration, stored: &StoredPod<'_>) {
        stored.name.clone_into(&mut self.name);
        self.counts = stored.counts;
        self.labels = stored.labels.iter().map(own_label).collect();
        for (address, lost) in &mut self.addresses {
            if lost.is_none() && !stored.addresses.iter().any(|now| now == address) {
                *lost = Some(moment);
            }
        }
        for address in &stored.addresses {
            self.addresses.insert(address.clone().into_owned(), None);
        }
    }
}

/// A label that outlives its fact.
pub(crate) fn own_label(label: &Label<'_>) -> (String, String) {
    (label.0.to_owned(), label.1.to_owned())
}

/// All pods, by UID.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pods {
    by_id: BTreeMap<String, Pod>,
}

impl Pods {
    pub(crate) fn note(&mut self, moment: Duration, stored: &StoredPod<'_>) {
        self.by_id.entry(stored.id.to_owned()).or_default().note(moment, stored);
    }

    pub(crate) fn note_gone(&mut self, moment: Duration, id: &str) {
        if let Some(pod) = self.by_id.get_mut(id) {
            pod.gone.get_or_insert(moment);
        }
    }

    pub(crate) fn find(&self, id: &str) -> Option<&Pod> {
        self.by_id.get(id)
    }

    /// The pods that count, with their UIDs.
    pub(crate) fn counted(&self) -> impl Iterator<Item = (&str, &Pod)> {
        self.by_id.iter().filter(|(_, pod)| pod.counts()).map(|(id, pod)| (&**id, pod))
    }

    /// What is wrong with naming this pod at this address, if anything is.
    pub(crate) fn judge_endpoint(
        &self,
        moment: Duration,
        endpoint: &Endpoint<'_>,
        tolerance: Tolerance,
    ) -> Option<String> {
        let Some(pod) = self.find(endpoint.pod.id) else { return Some("a pod that never was".to_owned()) };
        let Some(lost) = pod.addresses.get(&*endpoint.address) else {
            return Some("which never had that address".to_owned());
        };
        if let Some(gone) = pod.gone {
            let behind = moment.saturating_sub(gone);
            return (!tolerance.gone.allows(behind)).then(|| format!("which had been gone for {behind:?}"));
        }
        let behind = moment.saturating_sub((*lost)?);
        (!tolerance.lost_address.allows(behind)).then(|| format!("which lost that address {behind:?} before"))
    }
}
