//! The slices that stand, and what must hold of every write to one.

use crate::fact::{Author, StoredSlice};
use crate::invariant::{Invariant, Violation};
use crate::marks::{Stamps, goes_back};
use crate::pods::{Pods, Tolerance};
use crate::seats::Seats;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A slice as it stands.
#[derive(Clone, Debug)]
pub(crate) struct Slice {
    pub(crate) service: String,
    family: String,
    /// Of each endpoint: the pod's name, and whether it is ready.
    pub(crate) endpoints: Vec<(String, bool)>,
    author: Author,
}

/// All slices, by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slices {
    by_id: BTreeMap<String, Slice>,
    /// The stamps of the slices of each Service and family: a slice that is made again must not go back either.
    stamps: Stamps,
    /// Under which names the stamps of a Service are kept.
    keys: BTreeMap<String, BTreeSet<String>>,
}

/// What else a slice is judged by.
pub(crate) struct Context<'a> {
    pub(crate) moment: Duration,
    pub(crate) tolerance: Tolerance,
    pub(crate) seats: &'a Seats,
    pub(crate) pods: &'a Pods,
}

impl Slices {
    /// What is wrong with this write.
    pub(crate) fn judge(&self, context: &Context<'_>, stored: &StoredSlice<'_>) -> Vec<Violation> {
        if stored.author != Author::Hotstandby {
            return Vec::new();
        }
        let mut found = self.judge_stamp(context.seats, stored);
        found.extend(judge_endpoints(context, stored));
        found.extend(self.judge_count(stored));
        found
    }

    fn judge_stamp(&self, seats: &Seats, stored: &StoredSlice<'_>) -> Vec<Violation> {
        let Some(stamp) = stored.stamp else { return Vec::new() };
        let key = key_of(stored);
        if let Some(newest) = self.stamps.newer_than(seats, &key, stamp) {
            return vec![goes_back(("slice", stored.name), stored.id, newest, stamp.term)];
        }
        let Some(before) = self.stamps.last_seat(&key) else { return Vec::new() };
        if !seats.is_older(stamp.seat, before) {
            return Vec::new();
        }
        let text = format!("slice {} went back from seat {before} to {}", stored.name, stamp.seat);
        vec![Invariant::TermsGrow.violation(text).shown_by(stored.id)]
    }

    /// At most one endpoint for each Service and family, over all its slices. What a stranger wrote is not held against anybody until
    /// it is written again.
    fn judge_count(&self, stored: &StoredSlice<'_>) -> Option<Violation> {
        if stored.service.is_empty() {
            return None;
        }
        let mut count = stored.endpoints.len();
        let mut ids = vec![stored.id];
        for (id, slice) in &self.by_id {
            if id == stored.id || slice.service != stored.service || slice.family != stored.family {
                continue;
            }
            if slice.author == Author::Stranger {
                return None;
            }
            count += slice.endpoints.len();
            ids.push(id);
        }
        if count <= 1 {
            return None;
        }
        let (service, family) = (stored.service, stored.family);
        let text = format!("Service {service} has {count} {family} endpoints");
        let violation = Invariant::OneActive.violation(text);
        Some(ids.into_iter().fold(violation, Violation::shown_by))
    }

    pub(crate) fn note(&mut self, seats: &Seats, stored: &StoredSlice<'_>) {
        if stored.author == Author::Hotstandby
            && let Some(stamp) = stored.stamp
        {
            let key = key_of(stored);
            self.stamps.note(seats, &key, stamp);
            self.keys.entry(stored.service.to_owned()).or_default().insert(key);
        }
        let endpoints = stored.endpoints.iter().map(|one| (one.pod.name.to_owned(), one.ready)).collect();
        let slice = Slice {
            service: stored.service.to_owned(),
            family: stored.family.to_owned(),
            endpoints,
            author: stored.author,
        };
        self.by_id.insert(stored.id.to_owned(), slice);
    }

    pub(crate) fn note_gone(&mut self, id: &str) {
        self.by_id.remove(id);
    }

    /// Forgets the stamps of all slices of a Service.
    pub(crate) fn forget_stamps(&mut self, service: &str) {
        for key in self.keys.remove(service).unwrap_or_default() {
            self.stamps.forget(&key);
        }
    }

    /// The slices that stand, with their ids.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &Slice)> {
        self.by_id.iter().map(|(id, slice)| (&**id, slice))
    }
}

/// Under which name the stamps of this slice are kept.
fn key_of(stored: &StoredSlice<'_>) -> String {
    format!("{}/{}", stored.service, stored.family)
}

fn judge_endpoints(context: &Context<'_>, stored: &StoredSlice<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for endpoint in &stored.endpoints {
        let wrong = context
            .pods
            .judge_endpoint(context.moment, endpoint, context.tolerance)
            .or_else(|| judge_holder(context.seats, stored, endpoint.pod.id));
        if let Some(wrong) = wrong {
            let (pod, address) = (endpoint.pod.name, &endpoint.address);
            let text = format!("slice {} names {pod} ({address}), {wrong}", stored.name);
            found.push(Invariant::OneActive.violation(text).shown_by(stored.id));
        }
    }
    found
}

/// What is wrong with naming this pod at the slice's stamp, if anything is.
fn judge_holder(seats: &Seats, stored: &StoredSlice<'_>, pod: &str) -> Option<String> {
    let Some(stamp) = stored.stamp else { return Some("without saying by which seat".to_owned()) };
    if !seats.is_known(stamp.seat) {
        return Some(format!("by seat {}, that never was", stamp.seat));
    }
    let held = seats.was_held(stamp, pod);
    (!held).then(|| format!("which did not hold the seat at term {}", stamp.term))
}
