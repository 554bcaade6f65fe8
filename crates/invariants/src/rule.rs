//! Rules that a test asks for: for Services that follow labels or a selector and not a slice of hotstandby's own.
//!
//! They hold only from some moment on: before hotstandby or an older controller has put its first label there is nothing to hold them
//! to. While anything stands that a stranger wrote, a rule that counts is excused, until at most one is left.

use crate::fact::{Author, Fact, Kind, Label, Stamp, StoredPod, StoredService};
use crate::history::is_strangers;
use crate::invariant::{Invariant, Violation};
use crate::marks::{Called, Stamps, goes_back, judge_lead};
use crate::pods::{Pods, own_label};
use crate::seats::Seats;
use crate::slices::Slices;
use std::collections::{BTreeMap, BTreeSet};

/// A label that outlives a fact.
pub type OwnedLabel = (String, String);

/// What has to hold after every fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Of the pods that count and carry the first label, at most one carries the second.
    OneLabelled {
        /// Which pods.
        of: OwnedLabel,
        /// What makes one active.
        active: OwnedLabel,
    },
    /// The selector of the Service with this name selects at most one pod that counts.
    OneSelected(String),
    /// The Service with this name has at most one ready endpoint, over all its slices.
    OneReady(String),
    /// A Service with a stamp selects only pods that held the seat at that term, and its term never goes back. The same holds for
    /// pods with a stamp that carry this label.
    TrueMarks {
        /// What makes a pod active.
        active: OwnedLabel,
    },
}

impl Rule {
    /// [`Self::OneLabelled`] from borrowed labels.
    pub fn one_labelled(of: Label<'_>, active: Label<'_>) -> Self {
        Self::OneLabelled { of: own_label(&of), active: own_label(&active) }
    }

    /// [`Self::TrueMarks`] from a borrowed label.
    pub fn true_marks(active: Label<'_>) -> Self {
        Self::TrueMarks { active: own_label(&active) }
    }
}

/// Names a rule that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleId(usize);

/// How a rule stands.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    broken: bool,
    excused: bool,
}

/// A rule that was asked for.
#[derive(Clone, Debug)]
struct Asked {
    rule: Rule,
    standing: Standing,
    /// The stamps that were seen since it was asked for.
    stamps: Stamps,
}

/// A Service as it stands.
#[derive(Clone, Debug)]
struct Service {
    name: String,
    selector: Vec<OwnedLabel>,
}

impl Service {
    /// The pods that count and that this Service selects, with their UIDs. A Service without a selector selects none.
    fn selected<'a>(&'a self, pods: &'a Pods) -> Vec<(&'a str, &'a str)> {
        if self.selector.is_empty() { Vec::new() } else { named_pods(pods, &self.selector) }
    }
}

/// UIDs and names of the pods that count and carry all these labels.
fn named_pods<'a>(pods: &'a Pods, labels: &[OwnedLabel]) -> Vec<(&'a str, &'a str)> {
    pods.counted().filter(|(_, pod)| pod.carries(labels)).map(|(id, pod)| (id, &*pod.name)).collect()
}

/// The rules that hold now, and what they need to know beside pods and slices.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    asked: BTreeMap<RuleId, Asked>,
    next: usize,
    services: BTreeMap<String, Service>,
    /// The objects that a stranger wrote last.
    strangers: BTreeSet<(Kind, String)>,
}

impl Rules {
    pub(crate) fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    pub(crate) fn ask(&mut self, rule: Rule) -> RuleId {
        let id = RuleId(self.next);
        self.next += 1;
        self.asked.insert(id, Asked { rule, standing: Standing::default(), stamps: Stamps::default() });
        id
    }

    pub(crate) fn drop_rule(&mut self, id: RuleId) {
        self.asked.remove(&id);
    }

    /// Keeps what a fact says of Services, and of who wrote what.
    pub(crate) fn keep(&mut self, fact: &Fact<'_>) {
        match fact {
            Fact::Pod(pod) => self.keep_author(Kind::Pod, pod.id, pod.author),
            Fact::Slice(slice) => self.keep_author(Kind::EndpointSlice, slice.id, slice.author),
            Fact::Service(service) => {
                self.keep_author(Kind::Service, service.id, service.author);
                let selector = service.selector.iter().map(own_label).collect();
                let kept = Service { name: service.name.to_owned(), selector };
                self.services.insert(service.id.to_owned(), kept);
            }
            Fact::Gone { kind, id } => {
                self.strangers.remove(&(*kind, (*id).to_owned()));
                if *kind == Kind::Service {
                    self.services.remove(*id);
                }
            }
            _ => {}
        }
    }

    fn keep_author(&mut self, kind: Kind, id: &str, author: Author) {
        if is_strangers(author) {
            self.strangers.insert((kind, id.to_owned()));
        } else if !self.strangers.is_empty() {
            self.strangers.remove(&(kind, id.to_owned()));
        }
    }

    /// What is wrong with the marks of what was just written.
    pub(crate) fn judge_marks(&mut self, seats: &Seats, pods: &Pods, fact: &Fact<'_>) -> Vec<Violation> {
        let services = &self.services;
        let mut found = Vec::new();
        for asked in self.asked.values_mut() {
            if let Rule::TrueMarks { active } = &asked.rule {
                let Some(marked) = Marked::of(fact, services, pods, active) else { continue };
                found.extend(marked.judge(seats, &asked.stamps));
                asked.stamps.note(seats, marked.id, marked.stamp);
            }
        }
        found
    }

    /// What there is two of. A rule that stays broken is told once.
    pub(crate) fn judge_counts(&mut self, pods: &Pods, slices: &Slices) -> Vec<Violation> {
        let excused = !self.strangers.is_empty();
        let services = &self.services;
        let mut found = Vec::new();
        for asked in self.asked.values_mut() {
            let counted = asked.rule.count(services, pods, slices);
            if asked.standing.turn(counted.len(), excused) {
                found.push(asked.rule.too_many(&counted));
            }
        }
        found
    }
}

impl Standing {
    /// Notes how many there are; whether this is told as a violation.
    const fn turn(&mut self, count: usize, excused: bool) -> bool {
        if count <= 1 {
            *self = Self { broken: false, excused };
            return false;
        }
        self.excused |= excused;
        if self.excused || self.broken {
            return false;
        }
        self.broken = true;
        true
    }
}

impl Rule {
    /// What there may be one of: the id of the object that shows it, and the pod's name.
    fn count<'a>(
        &self,
        services: &'a BTreeMap<String, Service>,
        pods: &'a Pods,
        slices: &'a Slices,
    ) -> Vec<(&'a str, &'a str)> {
        match self {
            Self::OneLabelled { of, active } => named_pods(pods, &[of.clone(), active.clone()]),
            Self::OneSelected(name) => {
                let service = services.values().find(|service| service.name == *name);
                service.map(|service| service.selected(pods)).unwrap_or_default()
            }
            Self::OneReady(name) => ready_endpoints(slices, name),
            Self::TrueMarks { .. } => Vec::new(),
        }
    }

    fn too_many(&self, counted: &[(&str, &str)]) -> Violation {
        let names: Vec<&str> = counted.iter().map(|(_, name)| *name).collect();
        let what = match self {
            Self::OneLabelled { active, .. } => format!("carry {}={}", active.0, active.1),
            Self::OneSelected(service) => format!("are selected by Service {service}"),
            Self::OneReady(service) => format!("are ready endpoints of Service {service}"),
            Self::TrueMarks { .. } => "are marked".to_owned(),
        };
        let violation = Invariant::OneActive.violation(format!("{} {what}", names.join(" and ")));
        counted.iter().fold(violation, |violation, (id, _)| violation.shown_by(id))
    }
}

/// Of each ready endpoint of a Service: the slice's id and the pod's name.
fn ready_endpoints<'a>(slices: &'a Slices, service: &str) -> Vec<(&'a str, &'a str)> {
    let mut found = Vec::new();
    for (id, slice) in slices.all().filter(|(_, slice)| slice.service == service) {
        for (pod, ready) in &slice.endpoints {
            if *ready {
                found.push((id, &**pod));
            }
        }
    }
    found
}

/// An object with a stamp, as it was just written, and the pods that it leads to.
struct Marked<'a> {
    called: Called<'a>,
    id: &'a str,
    stamp: Stamp<'a>,
    leads_to: Vec<(&'a str, &'a str)>,
}

impl<'a> Marked<'a> {
    /// The object of a fact, unless it has no stamp or a stranger wrote it.
    fn of(
        fact: &'a Fact<'_>,
        services: &'a BTreeMap<String, Service>,
        pods: &'a Pods,
        active: &OwnedLabel,
    ) -> Option<Self> {
        let (kind, id, name, stamp, author) = match fact {
            Fact::Pod(StoredPod { id, name, stamp, author, .. }) => (Kind::Pod, *id, *name, stamp, author),
            Fact::Service(StoredService { id, name, stamp, author, .. }) => {
                (Kind::Service, *id, *name, stamp, author)
            }
            Fact::Slice(slice) => (Kind::EndpointSlice, slice.id, slice.name, &slice.stamp, &slice.author),
            _ => return None,
        };
        let stamp = stamp.filter(|_| !is_strangers(*author))?;
        let leads_to = match kind {
            Kind::Pod => labelled_pod(pods, id, active),
            Kind::Service => services.get(id).map(|service| service.selected(pods)).unwrap_or_default(),
            Kind::EndpointSlice => Vec::new(),
        };
        Some(Self { called: (kind.name(), name), id, stamp, leads_to })
    }

    /// What is wrong with it: its term goes back, or it leads to a pod that did not hold the seat.
    fn judge(&self, seats: &Seats, stamps: &Stamps) -> Option<Violation> {
        if let Some(newest) = stamps.newer_than(seats, self.id, self.stamp) {
            return Some(goes_back(self.called, self.id, newest, self.stamp.term));
        }
        self.leads_to.iter().find_map(|pod| judge_lead(seats, self.called, self.id, *pod, Some(self.stamp)))
    }
}

/// This pod, if it counts and carries the active's label.
fn labelled_pod<'a>(pods: &'a Pods, id: &'a str, active: &OwnedLabel) -> Vec<(&'a str, &'a str)> {
    let Some(pod) = pods.find(id) else { return Vec::new() };
    let leads = pod.counts() && pod.carries(std::slice::from_ref(active));
    if leads { vec![(id, &pod.name)] } else { Vec::new() }
}
