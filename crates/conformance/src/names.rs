//! Replaces the values that two servers or two runs cannot have in common by names: versions by their order, UIDs and
//! addresses by the order of their first appearance, times, generated names and the namespace.

use super::script::Look;
use crate::json::text;
use regex::Regex;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Times of this year come from the scenarios themselves and stay as they are.
const OWN_YEAR: &str = "2020-";
/// The server cuts a prefix to this length before it generates a name.
const LONGEST_PREFIX: usize = 58;
/// Versions from this one on come from the scenarios themselves and stay as they are; so do 0 and 1.
const OWN_VERSION: u64 = 1_000_000_000;

/// The values that were found in all answers of a scenario.
pub(super) struct Names {
    namespace: String,
    /// The versions of objects, but not of lists and bookmarks.
    versions: BTreeSet<u64>,
    uids: Vec<String>,
    addresses: Vec<String>,
    /// The prefixes of generated names, and the pattern of these names.
    generated: Vec<(String, Regex)>,
    patterns: Option<Patterns>,
}

struct Patterns {
    uid: Regex,
    time: Regex,
    /// An address from the Services' range.
    address: Regex,
    /// A version in the text of an error.
    version: Regex,
    /// The age in a cell of a Table.
    age: Regex,
    /// The oldest version that a server remembers, in the text of an error.
    oldest: Regex,
}

impl Patterns {
    fn new() -> Option<Self> {
        Some(Self {
            uid: Regex::new(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").ok()?,
            time: Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z").ok()?,
            address: Regex::new(r"\b10\.96\.\d{1,3}\.\d{1,3}\b").ok()?,
            version: Regex::new(r#"(?i)(version: |current: |resourceVersion\\?":\\?"|record \(|precondition \(|\d \()(\d+)\b"#).ok()?,
            oldest: Regex::new(r"(too old resource version: \d+ \()\d+").ok()?,
            age: Regex::new(r"^(\d+[ydhms])+$").ok()?,
        })
    }
}

/// Returns the version of an object. A list or a bookmark has no UID, and its version does not count.
fn version_of(value: &Value) -> Option<u64> {
    let meta = value.get("metadata")?;
    text(meta, &["uid"])?;
    text(meta, &["resourceVersion"])?.parse().ok()
}

impl Names {
    pub(super) fn new(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            versions: BTreeSet::new(),
            uids: Vec::new(),
            addresses: Vec::new(),
            generated: Vec::new(),
            patterns: Patterns::new(),
        }
    }

    /// Collects the values of an answer.
    pub(super) fn collect(&mut self, value: &Value) {
        self.versions.extend(version_of(value));
        match value {
            Value::String(text) => self.collect_text(text),
            Value::Array(items) => items.iter().for_each(|item| self.collect(item)),
            Value::Object(map) => sorted(map).into_iter().for_each(|(_, value)| self.collect(value)),
            _ => {}
        }
    }

    /// Collects the prefix from which the server generates the name of an object.
    pub(super) fn collect_prefix(&mut self, sent: &Value) {
        let Some(prefix) = text(sent, &["metadata", "generateName"]) else { return };
        let prefix: String = prefix.chars().take(LONGEST_PREFIX).collect();
        let pattern = format!("{}[bcdfghjklmnpqrstvwxz2456789]{{5}}\\b", regex::escape(&prefix));
        if let Ok(pattern) = Regex::new(&pattern) {
            self.generated.push((prefix, pattern));
        }
    }

    fn collect_text(&mut self, text: &str) {
        let Some(patterns) = &self.patterns else { return };
        for (pattern, known) in [(&patterns.uid, &mut self.uids), (&patterns.address, &mut self.addresses)] {
            for found in pattern.find_iter(text) {
                if !known.iter().any(|one| one == found.as_str()) {
                    known.push(found.as_str().to_owned());
                }
            }
        }
    }

    /// Returns the name of a version: its place among the versions of objects. `+` says that it may be newer than that.
    fn name_version(&self, version: u64, exact: bool) -> String {
        let place = self.versions.range(..=version).count();
        if exact && self.versions.contains(&version) { format!("v{place}") } else { format!("v{place}+") }
    }

    /// Returns a text with names in place of its values.
    pub(super) fn replace_in_text(&self, text: &str) -> String {
        let mut text = text.replace(&self.namespace, "{ns}");
        for (prefix, pattern) in &self.generated {
            text = pattern.replace_all(&text, format!("{prefix}*****")).into_owned();
        }
        let Some(patterns) = &self.patterns else { return text };
        let place =
            |known: &[String], found: &str| known.iter().position(|one| one == found).map_or(0, |at| at + 1);
        let text = patterns.uid.replace_all(&text, |found: &regex::Captures<'_>| {
            format!("<uid {}>", place(&self.uids, whole(found)))
        });
        let text = patterns.address.replace_all(&text, |found: &regex::Captures<'_>| {
            format!("<ip {}>", place(&self.addresses, whole(found)))
        });
        let text = patterns.time.replace_all(&text, |found: &regex::Captures<'_>| {
            if whole(found).starts_with(OWN_YEAR) {
                return whole(found).to_owned();
            }
            if found.get(1).is_some() { "<microtime>".to_owned() } else { "<time>".to_owned() }
        });
        text.into_owned()
    }

    /// Returns the text of an error with names in place of its values, which may be versions, too.
    fn replace_in_message(&self, text: &str) -> String {
        let text = self.replace_in_text(text);
        let Some(patterns) = &self.patterns else { return text };
        let replace = |found: &regex::Captures<'_>| {
            let head = found.get(1).map_or("", |head| head.as_str());
            let digits = found.get(2).map_or("", |digits| digits.as_str());
            match digits.parse::<u64>() {
                Ok(version) if (2..OWN_VERSION).contains(&version) => {
                    // The newest version of a server may be that of another client's object.
                    format!("{head}{}", self.name_version(version, !head.starts_with("current")))
                }
                _ => format!("{head}{digits}"),
            }
        };
        // Each server decides for itself how many versions it remembers.
        let text = patterns.oldest.replace_all(&text, "$1<oldest>");
        patterns.version.replace_all(&text, replace).into_owned()
    }

    /// Returns a JSON value with names in place of its values. `name` is the key under which it is stored.
    pub(super) fn replace_in_value(&self, value: &Value, name: &str, look: &Look) -> Value {
        match value {
            Value::String(text) if name == "message" || name == "reason" => {
                json!(self.replace_in_message(text))
            }
            Value::String(text) => json!(self.replace_in_text(text)),
            Value::Array(items) if name == "managedFields" => self.show_managers(items, look),
            Value::Array(items) if name == "cells" => {
                items.iter().map(|cell| self.replace_in_cell(cell)).collect()
            }
            Value::Array(items) => items.iter().map(|item| self.replace_in_value(item, "", look)).collect(),
            Value::Object(map) => self.replace_in_map(map, name, look),
            other => other.clone(),
        }
    }

    fn replace_in_map(&self, map: &Map<String, Value>, name: &str, look: &Look) -> Value {
        let mut shown = Map::new();
        for (key, value) in sorted(map) {
            let value = match (name, key.as_str(), value) {
                ("metadata", "resourceVersion", Value::String(version)) => match version.parse() {
                    Ok(number) => json!(self.name_version(number, map.contains_key("uid"))),
                    Err(_) => json!(version),
                },
                ("metadata", "continue", Value::String(token)) if !token.is_empty() => json!("<continue>"),
                _ => self.replace_in_value(value, key, look),
            };
            shown.insert(key.clone(), value);
        }
        Value::Object(shown)
    }

    /// Returns a cell of a Table with names in place of its values. An age changes from run to run.
    fn replace_in_cell(&self, cell: &Value) -> Value {
        match (cell, &self.patterns) {
            (Value::String(text), Some(patterns)) if patterns.age.is_match(text) => json!("<age>"),
            (Value::String(text), _) => json!(self.replace_in_text(text)),
            (other, _) => other.clone(),
        }
    }

    /// Returns the entries of `managedFields` in a fixed order. The server's order depends on the second of each write.
    fn show_managers(&self, entries: &[Value], look: &Look) -> Value {
        let part = |entry: &Value, key: &str| text(entry, &[key]).unwrap_or("-").to_owned();
        let mut shown: Vec<(String, Value)> = entries
            .iter()
            .map(|entry| {
                let keys = ["manager", "operation", "apiVersion", "subresource"];
                (keys.map(|key| part(entry, key)).join(" "), self.replace_in_value(entry, "", look))
            })
            .collect();
        shown.sort_by(|(one, _), (other, _)| one.cmp(other));
        if look.managed {
            return shown.into_iter().map(|(_, entry)| entry).collect();
        }
        shown.into_iter().map(|(head, _)| json!(head.trim_end_matches(" -"))).collect()
    }
}

/// Returns the whole text of a match.
fn whole<'a>(found: &regex::Captures<'a>) -> &'a str {
    found.get(0).map_or("", |found| found.as_str())
}

/// Returns the members of an object by key, so that first appearances do not depend on the order in which they came.
fn sorted(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut members: Vec<_> = map.iter().collect();
    members.sort_by_key(|(key, _)| *key);
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(answers: &[Value]) -> Names {
        let mut names = Names::new("conf-x-1");
        for answer in answers {
            names.collect(answer);
        }
        names
    }

    fn replaced(answers: &[Value]) -> Vec<Value> {
        let names = names(answers);
        answers.iter().map(|answer| names.replace_in_value(answer, "", &Look::default())).collect()
    }

    #[test]
    fn two_runs_with_the_same_answers_give_the_same_transcript() {
        let run = |base: u64, uid: &str, time: &str, newest: u64| {
            replaced(&[
                json!({"metadata": {"uid": uid, "resourceVersion": (base + 9).to_string(), "creationTimestamp": time}}),
                json!({"metadata": {"resourceVersion": newest.to_string()}, "items": []}),
                json!({"message": format!("does not match record ({})", base + 9)}),
            ])
        };
        let one = run(10, "00000000-0000-4000-8000-000000000001", "2026-01-01T00:00:00Z", 19);
        let other = run(4700, "12345678-0000-4000-8000-000000000002", "2031-01-01T00:00:07Z", 4950);
        assert_eq!(one, other);
        assert_eq!(one[2]["message"], "does not match record (v1)");
    }

    #[test]
    fn the_order_of_versions_and_the_times_of_scenarios_stay() {
        let one =
            json!({"metadata": {"uid": "a", "resourceVersion": "5"}, "t": "2020-01-02T03:04:05.000000Z"});
        let other = json!({"metadata": {"uid": "b", "resourceVersion": "4"}});
        let seen = replaced(&[one, other]);
        assert_eq!(seen[0]["metadata"]["resourceVersion"], "v2");
        assert_eq!(seen[1]["metadata"]["resourceVersion"], "v1");
        assert_eq!(seen[0]["t"], "2020-01-02T03:04:05.000000Z");
    }
}
