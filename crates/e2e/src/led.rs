//! The rules for Services that follow labels or a selector instead of a slice of ours, judged over everything that was seen,
//! in the order of resourceVersions. Pure.
//!
//! They are asked for by a test, from some version on: before hotstandby or an old controller has put its first label there is
//! nothing to hold them to. What a test did itself is excused until it is put right.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::judge::{Excused, Record, Violation};
use super::objects::{Kind, annotation, items, label, name_of, text, uid_of};
use super::view::Seat;

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const SEAT_UID: &str = "hotstandby.dev/seat-uid";
const TERM: &str = "hotstandby.dev/term";

/// What has to hold at every resourceVersion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Of the living pods that carry the first label, at most one carries the second.
    OneLabelled {
        /// Which pods.
        of: (String, String),
        /// What makes one active.
        active: (String, String),
    },
    /// The Service's selector picks at most one living pod.
    OneSelected(String),
    /// The Service has at most one ready endpoint, over all its slices.
    OneReady(String),
    /// A Service that carries marks of ours picks nobody but who held the seat at that term, and its term never goes back.
    /// The same for pods that carry this label.
    TrueMarks {
        /// What makes a pod active.
        active: (String, String),
    },
}

impl Rule {
    /// [`Self::OneLabelled`] from borrowed words.
    pub fn one_labelled(of: (&str, &str), active: (&str, &str)) -> Self {
        let own = |pair: (&str, &str)| (pair.0.to_owned(), pair.1.to_owned());
        Self::OneLabelled { of: own(of), active: own(active) }
    }

    /// [`Self::TrueMarks`] from borrowed words.
    pub fn true_marks(active: (&str, &str)) -> Self {
        Self::TrueMarks { active: (active.0.to_owned(), active.1.to_owned()) }
    }
}

/// A rule, and when it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The rule.
    pub rule: Rule,
    /// The first version it counts at.
    pub from: u64,
    /// The last one.
    pub until: Option<u64>,
}

/// Whether a pod still counts: its object is there, it was not told to go and has not ended.
pub fn is_living(pod: &Value) -> bool {
    pod.pointer("/metadata/deletionTimestamp").is_none()
        && !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// Whether a Service's selector picks a pod. A Service without a selector picks none.
pub fn is_selected(service: &Value, pod: &Value) -> bool {
    let Some(selector) = service.pointer("/spec/selector").and_then(Value::as_object) else { return false };
    !selector.is_empty() && selector.iter().all(|(key, value)| label(pod, key) == value.as_str())
}

/// Seat, term and the seat's mark on an object.
fn mark(object: &Value) -> Option<(String, i64)> {
    let term = annotation(object, TERM)?.parse().ok()?;
    Some((annotation(object, SEAT_UID)?.to_owned(), term))
}

/// The objects as they are at one version.
#[derive(Default)]
struct State {
    objects: BTreeMap<(Kind, String), Arc<Value>>,
    /// Those that the test wrote last.
    excused: BTreeSet<(Kind, String)>,
    /// Who held a seat at a term.
    held: BTreeMap<(String, i64), BTreeSet<String>>,
    newest_marks: BTreeMap<(Kind, String, String), i64>,
}

impl State {
    fn take(&mut self, record: &Record, excused: &Excused) {
        if record.kind == Kind::Lease {
            let seat = Seat::of(&record.object);
            self.held.entry((seat.uid, seat.term)).or_default().insert(seat.holder_uid);
            return;
        }
        let key = (record.kind, uid_of(&record.object).to_owned());
        self.excused.remove(&key);
        if record.deleted {
            self.objects.remove(&key);
            return;
        }
        if excused.versions.contains(&record.version) {
            self.excused.insert(key.clone());
        }
        self.objects.insert(key, record.object.clone());
    }

    fn all(&self, kind: Kind) -> impl Iterator<Item = &Arc<Value>> {
        self.objects.iter().filter(move |((of, _), _)| *of == kind).map(|(_, object)| object)
    }

    fn living(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.all(Kind::Pod).filter(|pod| is_living(pod))
    }

    fn service(&self, name: &str) -> Option<&Arc<Value>> {
        self.all(Kind::Service).find(|service| name_of(service) == name)
    }

    /// What there may be one of: in words, each with the object that shows it.
    fn counted(&self, rule: &Rule) -> Vec<(String, Arc<Value>)> {
        let named = |pod: &Arc<Value>| (name_of(pod).to_owned(), pod.clone());
        match rule {
            Rule::OneLabelled { of, active } => self
                .living()
                .filter(|pod| [of, active].iter().all(|(key, value)| label(pod, key) == Some(value)))
                .map(named)
                .collect(),
            Rule::OneSelected(service) => {
                let Some(service) = self.service(service) else { return Vec::new() };
                self.living().filter(|pod| is_selected(service, pod)).map(named).collect()
            }
            Rule::OneReady(service) => self
                .all(Kind::EndpointSlice)
                .filter(|slice| label(slice, SERVICE_NAME) == Some(service))
                .flat_map(|slice| items(slice, "/endpoints").iter().map(move |endpoint| (slice, endpoint)))
                .filter(|(_, endpoint)| endpoint.pointer("/conditions/ready") != Some(&Value::Bool(false)))
                .map(|(slice, endpoint)| (text(endpoint, "/targetRef/name").to_owned(), slice.clone()))
                .collect(),
            Rule::TrueMarks { .. } => Vec::new(),
        }
    }

    /// What is wrong with the marks of what was just written.
    fn false_mark(&mut self, record: &Record, active: &(String, String)) -> Option<String> {
        let object = &record.object;
        let (seat, term) = mark(object)?;
        let name = name_of(object);
        let key = (record.kind, uid_of(object).to_owned(), seat.clone());
        let newest = self.newest_marks.entry(key).or_insert(term);
        let before = *newest;
        *newest = before.max(term);
        if term < before {
            return Some(format!("I3: {} {name} went back from term {before} to {term}", record.kind.name()));
        }
        let led_to: Vec<&Arc<Value>> = match record.kind {
            Kind::Service => self.living().filter(|pod| is_selected(object, pod)).collect(),
            Kind::Pod if label(object, &active.0) == Some(&active.1) && is_living(object) => vec![object],
            _ => Vec::new(),
        };
        let holders = self.held.get(&(seat, term));
        let stranger =
            led_to.into_iter().find(|pod| holders.is_none_or(|holders| !holders.contains(uid_of(pod))))?;
        Some(format!(
            "I1: {} {name} leads to {}, which did not hold the seat at term {term}",
            record.kind.name(),
            name_of(stranger)
        ))
    }
}

/// How a rule stands.
#[derive(Default, Clone, Copy)]
struct Standing {
    broken: bool,
    pardoned: bool,
}

/// Judges all records by what was asked. A rule that stays broken is told once.
pub fn judge(records: &[Record], excused: &Excused, asked: &[Asked]) -> Vec<Violation> {
    let mut records: Vec<&Record> = records.iter().collect();
    // Pods before what names them, where two things share a version (both listed at the start).
    records.sort_by_key(|record| (record.version, record.kind != Kind::Pod));
    let last = records.last().map(|record| record.version).unwrap_or_default();
    let mut state = State::default();
    let mut standings = vec![Standing::default(); asked.len()];
    let mut found = Vec::new();
    for record in records {
        if !matches!(record.kind, Kind::Pod | Kind::Service | Kind::EndpointSlice | Kind::Lease) {
            continue;
        }
        state.take(record, excused);
        for (asked, standing) in asked.iter().zip(&mut standings) {
            // What is in force when it is asked for counts as well: it is looked at with what comes next.
            let counts =
                record.version >= asked.from && asked.until.is_none_or(|until| record.version <= until);
            if counts && let Some(violation) = look(&mut state, record, &asked.rule, standing, excused) {
                found.push(violation);
            }
        }
    }
    for (asked, standing) in asked.iter().zip(&mut standings) {
        let still = asked.from > last && asked.until.is_none();
        if still && let Some(violation) = too_many(&state, last, &asked.rule, standing) {
            found.push(violation);
        }
    }
    found
}

fn look(
    state: &mut State,
    record: &Record,
    rule: &Rule,
    standing: &mut Standing,
    excused: &Excused,
) -> Option<Violation> {
    let Rule::TrueMarks { active } = rule else { return too_many(state, record.version, rule, standing) };
    if record.deleted || excused.versions.contains(&record.version) {
        return None;
    }
    let what = state.false_mark(record, active)?;
    Some(Violation { what, objects: vec![record.object.clone()] })
}

fn too_many(state: &State, version: u64, rule: &Rule, standing: &mut Standing) -> Option<Violation> {
    let excused = !state.excused.is_empty();
    standing.pardoned |= excused;
    let counted = state.counted(rule);
    if counted.len() <= 1 {
        *standing = Standing { broken: false, pardoned: excused };
        return None;
    }
    if standing.pardoned || std::mem::replace(&mut standing.broken, true) {
        return None;
    }
    let (names, objects): (Vec<String>, Vec<Arc<Value>>) = counted.into_iter().unzip();
    let what = match rule {
        Rule::OneLabelled { active, .. } => format!("carry {}={}", active.0, active.1),
        Rule::OneSelected(service) => format!("are selected by Service {service}"),
        Rule::OneReady(service) => format!("are ready endpoints of Service {service}"),
        Rule::TrueMarks { .. } => "are marked".to_owned(),
    };
    let what = format!("I1: {} {what} at resourceVersion {version}", names.join(" and "));
    Some(Violation { what, objects })
}

#[cfg(test)]
#[path = "led_tests.rs"]
mod tests;
