//! The stamps that objects carried, and where labels and selectors lead.

use crate::fact::{Kind, Leads, Stamp, StoredRoute, Term};
use crate::invariant::{Invariant, Violation};
use crate::pods::Pods;
use crate::seats::Seats;
use std::collections::{BTreeMap, BTreeSet};

/// The newest stamp that judged writes left on each object, for each seat.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stamps {
    /// By object: the newest term of each seat, the seat that was named last at the end.
    by_object: BTreeMap<String, Vec<(String, Term)>>,
}

impl Stamps {
    /// The newer term of the same seat that the object carried before, if this stamp takes it back.
    pub(crate) fn newer_than(&self, seats: &Seats, object: &str, stamp: Stamp<'_>) -> Option<Term> {
        if seats.is_blurred(stamp.seat) || seats.is_owners_term(stamp) {
            return None;
        }
        let (_, newest) = self.by_object.get(object)?.iter().find(|(seat, _)| seat == stamp.seat)?;
        (*newest > stamp.term).then_some(*newest)
    }

    /// The seat that the object named last.
    pub(crate) fn last_seat(&self, object: &str) -> Option<&str> {
        let (seat, _) = self.by_object.get(object)?.last()?;
        Some(seat)
    }

    /// Keeps a stamp. One that goes back does not make the object forget the newer one.
    pub(crate) fn note(&mut self, seats: &Seats, object: &str, stamp: Stamp<'_>) {
        let newest = self.newer_than(seats, object, stamp).unwrap_or(stamp.term);
        let stamps = self.by_object.entry(object.to_owned()).or_default();
        stamps.retain(|(seat, _)| seat != stamp.seat);
        stamps.push((stamp.seat.to_owned(), newest));
    }

    pub(crate) fn forget(&mut self, object: &str) {
        self.by_object.remove(object);
    }
}

/// What a stamped object is called in texts: its kind and its name.
pub(crate) type Called<'a> = (&'a str, &'a str);

/// The violation of a stamp that goes back.
pub(crate) fn goes_back(called: Called<'_>, object: &str, from: Term, to: Term) -> Violation {
    let (kind, name) = called;
    Invariant::TermsGrow
        .violation(format!("{kind} {name} went back from term {from} to {to}"))
        .shown_by(object)
}

/// The violation of leading to a pod that did not hold the seat, if it did not.
pub(crate) fn judge_lead(
    seats: &Seats,
    called: Called<'_>,
    object: &str,
    pod: Called<'_>,
    stamp: Option<Stamp<'_>>,
) -> Option<Violation> {
    let ((kind, name), (id, pod)) = (called, pod);
    let wrong = match stamp {
        None => "without saying by which seat".to_owned(),
        Some(stamp) if seats.was_held(stamp, id) => return None,
        Some(stamp) => format!("which did not hold the seat at term {}", stamp.term),
    };
    let text = format!("{kind} {name} leads to {pod}, {wrong}");
    Some(Invariant::OneActive.violation(text).shown_by(object))
}

/// What writes of hotstandby left of labels and selectors.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes {
    stamps: Stamps,
    /// The pods that carry the active's label by a write of hotstandby.
    labelled: BTreeSet<String>,
}

impl Routes {
    /// What is wrong with this write.
    pub(crate) fn judge(&self, seats: &Seats, pods: &Pods, stored: &StoredRoute<'_>) -> Vec<Violation> {
        let called = (stored.kind.name(), stored.name);
        let mut found = Vec::new();
        if let Some(stamp) = stored.stamp
            && let Some(newest) = self.stamps.newer_than(seats, stored.object, stamp)
        {
            found.push(goes_back(called, stored.object, newest, stamp.term));
        }
        let Leads::To(pod) = stored.leads_to else { return found };
        found.extend(judge_lead(seats, called, stored.object, (pod.id, pod.name), stored.stamp));
        if stored.kind == Kind::Pod {
            found.extend(self.judge_second(pods, stored));
        }
        found
    }

    /// A second pod is labelled active.
    fn judge_second(&self, pods: &Pods, stored: &StoredRoute<'_>) -> Option<Violation> {
        for id in self.labelled.iter().filter(|id| *id != stored.object) {
            if let Some(other) = pods.find(id)
                && other.counts()
            {
                let text = format!("{} is labelled active beside {}", stored.name, other.name);
                return Some(Invariant::OneActive.violation(text).shown_by(stored.object).shown_by(id));
            }
        }
        None
    }

    pub(crate) fn note(&mut self, seats: &Seats, stored: &StoredRoute<'_>) {
        if let Some(stamp) = stored.stamp {
            self.stamps.note(seats, stored.object, stamp);
        }
        match stored.leads_to {
            Leads::To(_) if stored.kind == Kind::Pod => drop(self.labelled.insert(stored.object.to_owned())),
            Leads::Nowhere => drop(self.labelled.remove(stored.object)),
            Leads::To(_) | Leads::AsBefore => {}
        }
    }

    pub(crate) fn forget(&mut self, object: &str) {
        self.stamps.forget(object);
        self.labelled.remove(object);
    }
}
