//! What two servers, or two runs, cannot have in common gets a name instead: versions by their order, UIDs and
//! addresses by their first appearance, times, generated names and the namespace.

use super::play::Raw;
use super::script::{Act, Body, Call, Look, Scenario};
use super::transcript::{Answer, Transcript};
use crate::json::{at, items, text};
use regex::Regex;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Times of this year are the scenarios' own, and stay.
const OWN_YEAR: &str = "2020-";
/// What is longer of a prefix is cut off before a name is generated.
const LONGEST_PREFIX: usize = 58;
/// Versions from here on, and 0 and 1, are the scenarios' own.
const OWN_VERSION: u64 = 1_000_000_000;

pub(super) fn normalise(scenario: &Scenario, namespace: &str, answers: &[Raw]) -> Transcript {
    let mut names = Names::new(namespace);
    for answer in answers {
        names.collect(&answer.body);
    }
    for step in &scenario.steps {
        if let Act::Call(Call { body: Body::Json(sent), .. }) = &step.act {
            names.collect_prefix(sent);
        }
    }
    let shown = scenario.steps.iter().zip(answers).filter(|(step, _)| !matches!(step.act, Act::Compact));
    let answers = shown
        .map(|(step, raw)| {
            let mut body = raw.body.clone();
            trim(&mut body, &step.look);
            Answer {
                label: step.label.clone(),
                request: step.shown(),
                sent: step.shown_body(),
                code: raw.code,
                notes: raw.notes.iter().map(|note| names.text(note)).collect(),
                body: folded(names.value(&body, "", &step.look)),
            }
        })
        .collect();
    Transcript { name: scenario.name.to_owned(), about: scenario.about.to_owned(), answers }
}

/// How often a server repeats a bookmark hangs on its clock.
fn folded(mut body: Value) -> Value {
    if let Value::Array(events) = &mut body {
        events.dedup_by(|one, other| at(one, &["type"]) == "BOOKMARK" && one == other);
    }
    body
}

/// What was seen, in all answers of a scenario.
struct Names {
    namespace: String,
    /// Versions of objects.
    versions: BTreeSet<u64>,
    uids: Vec<String>,
    addresses: Vec<String>,
    /// Prefixes of generated names, and what such names look like.
    generated: Vec<(String, Regex)>,
    patterns: Option<Patterns>,
}

struct Patterns {
    uid: Regex,
    time: Regex,
    address: Regex,
    version: Regex,
    age: Regex,
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

/// The version of an object; lists and bookmarks have no UID.
fn version_of(value: &Value) -> Option<u64> {
    let meta = value.get("metadata")?;
    text(meta, &["uid"])?;
    text(meta, &["resourceVersion"])?.parse().ok()
}

impl Names {
    fn new(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            versions: BTreeSet::new(),
            uids: Vec::new(),
            addresses: Vec::new(),
            generated: Vec::new(),
            patterns: Patterns::new(),
        }
    }

    fn collect(&mut self, value: &Value) {
        self.versions.extend(version_of(value));
        match value {
            Value::String(text) => self.collect_text(text),
            Value::Array(items) => items.iter().for_each(|item| self.collect(item)),
            Value::Object(map) => sorted(map).into_iter().for_each(|(_, value)| self.collect(value)),
            _ => {}
        }
    }

    fn collect_prefix(&mut self, sent: &Value) {
        let Some(prefix) = text(sent, &["metadata", "generateName"]) else { return };
        let prefix: String = prefix.chars().take(LONGEST_PREFIX).collect();
        let looks = format!("{}[bcdfghjklmnpqrstvwxz2456789]{{5}}\\b", regex::escape(&prefix));
        if let Ok(looks) = Regex::new(&looks) {
            self.generated.push((prefix, looks));
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

    /// A version by its place among those of objects; `+` where it may be newer than that.
    fn version(&self, version: u64, exact: bool) -> String {
        let place = self.versions.range(..=version).count();
        if exact && self.versions.contains(&version) { format!("v{place}") } else { format!("v{place}+") }
    }

    fn text(&self, text: &str) -> String {
        let mut text = text.replace(&self.namespace, "{ns}");
        for (prefix, looks) in &self.generated {
            text = looks.replace_all(&text, format!("{prefix}*****")).into_owned();
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

    /// The text of an error: it may tell of versions.
    fn message(&self, text: &str) -> String {
        let text = self.text(text);
        let Some(patterns) = &self.patterns else { return text };
        let replace = |found: &regex::Captures<'_>| {
            let head = found.get(1).map_or("", |head| head.as_str());
            let digits = found.get(2).map_or("", |digits| digits.as_str());
            match digits.parse::<u64>() {
                Ok(version) if (2..OWN_VERSION).contains(&version) => {
                    // The newest of a server may be somebody else's.
                    format!("{head}{}", self.version(version, !head.starts_with("current")))
                }
                _ => format!("{head}{digits}"),
            }
        };
        // Which version is the oldest that a server remembers is its own affair.
        let text = patterns.oldest.replace_all(&text, "$1<oldest>");
        patterns.version.replace_all(&text, replace).into_owned()
    }

    fn value(&self, value: &Value, name: &str, look: &Look) -> Value {
        match value {
            Value::String(text) if name == "message" || name == "reason" => json!(self.message(text)),
            Value::String(text) => json!(self.text(text)),
            Value::Array(items) if name == "managedFields" => self.managers(items, look),
            Value::Array(items) if name == "cells" => items.iter().map(|cell| self.cell(cell)).collect(),
            Value::Array(items) => items.iter().map(|item| self.value(item, "", look)).collect(),
            Value::Object(map) => self.map(map, name, look),
            other => other.clone(),
        }
    }

    fn map(&self, map: &Map<String, Value>, name: &str, look: &Look) -> Value {
        let mut shown = Map::new();
        for (key, value) in sorted(map) {
            let value = match (name, key.as_str(), value) {
                ("metadata", "resourceVersion", Value::String(version)) => match version.parse() {
                    Ok(number) => json!(self.version(number, map.contains_key("uid"))),
                    Err(_) => json!(version),
                },
                ("metadata", "continue", Value::String(token)) if !token.is_empty() => json!("<continue>"),
                _ => self.value(value, key, look),
            };
            shown.insert(key.clone(), value);
        }
        Value::Object(shown)
    }

    /// A cell of a Table: ages pass.
    fn cell(&self, cell: &Value) -> Value {
        match (cell, &self.patterns) {
            (Value::String(text), Some(patterns)) if patterns.age.is_match(text) => json!("<age>"),
            (Value::String(text), _) => json!(self.text(text)),
            (other, _) => other.clone(),
        }
    }

    /// Sorted, since their order hangs on the second in which they were written.
    fn managers(&self, entries: &[Value], look: &Look) -> Value {
        let of = |entry: &Value, key: &str| text(entry, &[key]).unwrap_or("-").to_owned();
        let mut shown: Vec<(String, Value)> = entries
            .iter()
            .map(|entry| {
                let keys = ["manager", "operation", "apiVersion", "subresource"];
                (keys.map(|key| of(entry, key)).join(" "), self.value(entry, "", look))
            })
            .collect();
        shown.sort_by(|(one, _), (other, _)| one.cmp(other));
        if look.managed {
            return shown.into_iter().map(|(_, entry)| entry).collect();
        }
        shown.into_iter().map(|(head, _)| json!(head.trim_end_matches(" -"))).collect()
    }
}

fn whole<'a>(found: &regex::Captures<'a>) -> &'a str {
    found.get(0).map_or("", |found| found.as_str())
}

fn sorted(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut members: Vec<_> = map.iter().collect();
    members.sort_by_key(|(key, _)| *key);
    members
}

/// Cuts an answer down to what the step looks at.
fn trim(body: &mut Value, look: &Look) {
    for (list, member, which) in &look.few {
        let way: Vec<&str> = list.split('/').filter(|part| !part.is_empty()).collect();
        keep_few(body, &way, member, which);
    }
    if !look.only.is_empty()
        && let Value::Object(map) = body
    {
        map.retain(|key, _| look.only.contains(&key.as_str()));
    }
    if look.in_any_order || finds_in_any_order(body) {
        crate::json::remove(body, "message");
        if let Some(Value::Array(causes)) = body.pointer_mut("/details/causes") {
            causes.sort_by_key(Value::to_string);
        }
    }
    // What columns mean is told in sentences, which are not the model's business.
    if at(body, &["kind"]) == "Table" {
        untell(body);
    }
    if let Value::Array(events) = body {
        for event in events {
            if let Some(object) = event.get_mut("object")
                && at(object, &["kind"]) == "Table"
            {
                untell(object);
            }
        }
    }
}

/// A schema's fields are a Go map: what is wrong with several is told in another order each time.
fn finds_in_any_order(body: &Value) -> bool {
    let group = text(body, &["details", "group"]).unwrap_or_default();
    group.ends_with("conformance.hotstandby.dev") && items(body, &["details", "causes"]).len() > 1
}

fn untell(table: &mut Value) {
    let own = items(table, &["columnDefinitions"]).iter().map(|column| {
        let brief = ["name", "type", "format", "priority"].map(|key| {
            let value = at(column, &[key]);
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        });
        json!(brief.join(" ").replace("  ", " "))
    });
    let brief: Vec<Value> = own.collect();
    if !brief.is_empty() {
        crate::json::put(table, &["columnDefinitions"], brief);
    }
}

fn keep_few(value: &mut Value, way: &[&str], member: &str, which: &[&str]) {
    match (way, value) {
        ([], Value::Array(items)) => {
            items.retain(|item| {
                let is = if member.starts_with('/') { item.pointer(member) } else { item.get(member) };
                is.and_then(Value::as_str).is_some_and(|is| which.contains(&is))
            });
        }
        (["*", rest @ ..], Value::Array(items)) => {
            for item in items {
                keep_few(item, rest, member, which);
            }
        }
        ([key, rest @ ..], Value::Object(map)) => {
            if let Some(below) = map.get_mut(*key) {
                keep_few(below, rest, member, which);
            }
        }
        _ => {}
    }
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

    fn shown(answers: &[Value]) -> Vec<Value> {
        let names = names(answers);
        answers.iter().map(|answer| names.value(answer, "", &Look::default())).collect()
    }

    #[test]
    fn two_runs_of_the_same_answers_read_the_same() {
        let run = |base: u64, uid: &str, time: &str, newest: u64| {
            shown(&[
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
    fn order_is_told_apart_and_own_times_stay() {
        let one =
            json!({"metadata": {"uid": "a", "resourceVersion": "5"}, "t": "2020-01-02T03:04:05.000000Z"});
        let other = json!({"metadata": {"uid": "b", "resourceVersion": "4"}});
        let seen = shown(&[one, other]);
        assert_eq!(seen[0]["metadata"]["resourceVersion"], "v2");
        assert_eq!(seen[1]["metadata"]["resourceVersion"], "v1");
        assert_eq!(seen[0]["t"], "2020-01-02T03:04:05.000000Z");
    }
}
