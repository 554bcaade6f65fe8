//! The rules for Services that follow labels or a selector instead of a slice of ours, judged over everything that was seen,
//! in the order of resourceVersions. Pure. The rules themselves are the judge's.
//!
//! They are asked for by a test, from some version on: before hotstandby or an old controller has put its first label there is
//! nothing to hold them to. What a test did itself is excused until it is put right.

use hotstandby_invariants::{History, RuleId};
use serde_json::Value;

pub use hotstandby_invariants::Rule;

use super::feeder::{Feeder, Judged, in_order};
use super::judge::{Excused, Record, Violation};
use super::objects::{label, text};

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

impl Asked {
    fn counts_at(&self, version: u64) -> bool {
        version >= self.from && self.until.is_none_or(|until| version <= until)
    }
}

/// Judges all records by what was asked. A rule that stays broken is told once.
pub fn judge(records: &[Record], excused: &Excused, asked: &[Asked]) -> Vec<Violation> {
    let mut feeder = Feeder::new(records, excused, Judged::RulesAsked);
    let mut counting = vec![None; asked.len()];
    let mut found = Vec::new();
    let mut last = 0;
    for record in in_order(records) {
        // What is in force when it is asked for counts as well: it is looked at with what comes next.
        last = record.version;
        set_rules(feeder.history(), asked, &mut counting, |asked| asked.counts_at(last));
        found.extend(feeder.tell(record));
    }
    set_rules(feeder.history(), asked, &mut counting, |asked| asked.from > last && asked.until.is_none());
    let standing = feeder.history().judge_standing();
    found.extend(feeder.explain(standing, last));
    found
}

/// Asks the judge for the rules that count now, and for no others.
fn set_rules(
    history: &mut History,
    asked: &[Asked],
    counting: &mut [Option<RuleId>],
    counts: impl Fn(&Asked) -> bool,
) {
    for (asked, id) in asked.iter().zip(counting) {
        match (counts(asked), *id) {
            (true, None) => *id = Some(history.ask(asked.rule.clone())),
            (false, Some(rule)) => {
                history.drop_rule(rule);
                *id = None;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "led_tests.rs"]
mod tests;
