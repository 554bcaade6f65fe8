//! The last decisions of a group with their evidence: status, history and Events in one timeline.

mod meaning;
mod read;
mod service;

pub use meaning::meaning;

use crate::api::ActiveStandby;
use crate::api::status::{ActivePod, HistoryEntry, MemberStatus, StageTimes};
use crate::objects::Unread;
use hotstandby_core::reason::Reason;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;

/// What is known of a group's last decisions.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who is active; `None`: nobody is served.
    pub active: Option<ActivePod>,
    /// The term.
    pub term: Option<i64>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Why the active is active.
    pub reason: Option<String>,
    /// What that reason means.
    pub meaning: Option<&'static str>,
    /// Conditions that are not well.
    pub not_well: Vec<Condition>,
    /// The members as they are now.
    pub members: Vec<MemberStatus>,
    /// What happened, the newest first.
    pub timeline: Vec<Entry>,
    /// What could not be looked at, and what is not kept anywhere.
    pub lacking: Vec<String>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When.
    pub at: Option<Timestamp>,
    /// What sort of thing.
    pub kind: EntryKind,
    /// The fixed reason.
    pub reason: String,
    /// What happened.
    pub what: String,
    /// What it rests on.
    pub evidence: Vec<String>,
    /// How long each stage took, of a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stages: Option<StageTimes>,
}

/// The sorts of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// The active changed.
    Change,
    /// A person asked for a move, and was answered.
    Switchover,
    /// A condition turned.
    Condition,
    /// Anything else that was told by an Event.
    Event,
}

/// Events are kept for an hour unless the API server is told otherwise.
const EVENTS_NOTE: &str = "Kubernetes keeps Events for an hour by default; older ones are gone";

impl Why {
    /// Puts together what is known.
    pub fn of(group: &ActiveStandby, events: Result<Vec<Event>, Unread>) -> Self {
        let status = group.status.clone().unwrap_or_default();
        let mut lacking = Vec::new();
        let events = events.unwrap_or_else(|Unread { what, why, .. }| {
            lacking.push(format!("{what} were not looked at: {why}"));
            Vec::new()
        });
        if group.status.is_none() {
            lacking.push("the group has no status yet: no controller has looked at it".to_owned());
        }
        let mut events: Vec<_> = events.into_iter().filter(|event| is_about(event, group)).collect();
        let mut timeline: Vec<_> = status.history.iter().map(|entry| change(entry, &mut events)).collect();
        timeline.extend(switchover(group));
        timeline.extend(status.conditions.iter().map(turned));
        timeline.extend(events.iter().map(told));
        sort(&mut timeline);
        if timeline.iter().all(|entry| entry.kind != EntryKind::Event) {
            lacking.push(EVENTS_NOTE.to_owned());
        }
        Self {
            namespace: group.metadata.namespace.clone().unwrap_or_default(),
            name: group.metadata.name.clone().unwrap_or_default(),
            active: status.active,
            term: status.term,
            since: status.since.map(|since| since.0),
            meaning: status.reason.as_deref().and_then(Reason::parse).map(meaning),
            reason: status.reason,
            not_well: status.conditions.into_iter().filter(is_not_well).collect(),
            members: status.members,
            timeline,
            lacking,
        }
    }
}

/// The newest first.
fn sort(timeline: &mut [Entry]) {
    timeline.sort_by_key(|entry| std::cmp::Reverse(entry.at));
}

/// An Event of a group that had this name before says nothing of this one.
fn is_about(event: &Event, group: &ActiveStandby) -> bool {
    let (about, uid) = (&event.involved_object.uid, &group.metadata.uid);
    about.is_none() || uid.is_none() || about == uid
}

/// A change of the active, with the Event that told of it.
fn change(entry: &HistoryEntry, events: &mut Vec<Event>) -> Entry {
    let HistoryEntry { term, from, to, reason, at, stages } = entry;
    let to = to.as_deref().unwrap_or("nobody");
    let what = match from.as_deref() {
        Some(from) if from != to => format!("{to} became active at term {term}, after {from}"),
        _ => format!("{to} became active at term {term}"),
    };
    let mut evidence = Vec::new();
    evidence.extend(Reason::parse(reason).map(|reason| meaning(reason).to_owned()));
    let tells = |event: &Event| {
        event.reason.as_deref() == Some(reason)
            && event.message.as_deref().is_some_and(|text| {
                let text = format!("{text} ");
                text.contains(&format!("at term {term} ")) || text.contains(&format!("at term {term},"))
            })
    };
    if let Some(index) = events.iter().position(tells) {
        let event = events.remove(index);
        evidence.extend(
            event.reporting_instance.filter(|by| !by.is_empty()).map(|by| format!("decided by replica {by}")),
        );
    }
    Entry {
        at: at.as_ref().map(|at| at.0),
        kind: EntryKind::Change,
        reason: reason.clone(),
        what,
        evidence,
        stages: *stages,
    }
}

fn switchover(group: &ActiveStandby) -> Option<Entry> {
    let answer = group.status.as_ref()?.switchover.as_ref()?;
    Some(Entry {
        at: answer.at.as_ref().map(|at| at.0),
        kind: EntryKind::Switchover,
        reason: answer.phase.clone(),
        what: format!("the request {:?} was answered: {}", answer.request, answer.phase),
        evidence: (!answer.message.is_empty()).then(|| answer.message.clone()).into_iter().collect(),
        stages: None,
    })
}

fn turned(condition: &Condition) -> Entry {
    Entry {
        at: Some(condition.last_transition_time.0),
        kind: EntryKind::Condition,
        reason: condition.reason.clone(),
        what: format!("{} turned {}", condition.type_, condition.status),
        evidence: (!condition.message.is_empty())
            .then(|| format!("now: {}", condition.message))
            .into_iter()
            .collect(),
        stages: None,
    }
}

fn told(event: &Event) -> Entry {
    let mut evidence = Vec::new();
    let count = event.series.as_ref().and_then(|series| series.count).or(event.count).unwrap_or(1);
    if count > 1 {
        evidence.push(format!("told {count} times"));
    }
    evidence.extend(
        event
            .reporting_instance
            .as_ref()
            .filter(|by| !by.is_empty())
            .map(|by| format!("told by replica {by}")),
    );
    Entry {
        at: time_of(event),
        kind: EntryKind::Event,
        reason: event.reason.clone().unwrap_or_default(),
        what: event.message.clone().unwrap_or_default(),
        evidence,
        stages: None,
    }
}

/// The newest time an Event has.
fn time_of(event: &Event) -> Option<Timestamp> {
    let times = [
        event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0),
        event.last_timestamp.as_ref().map(|time| time.0),
        event.event_time.as_ref().map(|time| time.0),
    ];
    times
        .into_iter()
        .flatten()
        .max()
        .or_else(|| event.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

/// Whether a condition says that something is not as it should be.
fn is_not_well(condition: &Condition) -> bool {
    match condition.type_.as_str() {
        "Stalled" => condition.status == "True",
        "Accepted" | "Ready" | "Redundant" | "DetectionReady" => condition.status != "True",
        _ => false,
    }
}

#[cfg(test)]
mod tests;
