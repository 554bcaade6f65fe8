//! What two transcripts of a scenario do not have in common, and which of that is known.

use super::transcript::{Answer, Transcript};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt;

/// One place in one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The scenario.
    pub scenario: String,
    /// The step.
    pub step: String,
    /// Where in the answer: `code`, `notes`, or a place in the body.
    pub at: String,
    /// What was recorded.
    pub recorded: String,
    /// What came now.
    pub came: String,
}

/// A known difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownDifference {
    /// The scenario.
    pub scenario: &'static str,
    /// The step.
    pub step: &'static str,
    /// Where in the answer: how the places begin. Each must differ.
    pub at: &'static [&'static str],
    /// What differs.
    pub what: &'static str,
    /// Why it stays.
    pub why: &'static str,
}

/// How a comparison ended.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Answers that were compared.
    pub compared: usize,
    /// Answers that are the same.
    pub identical: usize,
    /// Answers that differ as listed.
    pub listed: usize,
    /// Differences nobody has listed.
    pub unlisted: Vec<Difference>,
    /// Listed differences that are none, or that name no step.
    pub outdated: Vec<KnownDifference>,
}

impl Comparison {
    /// Whether nothing is to be done.
    pub fn is_fine(&self) -> bool {
        self.unlisted.is_empty() && self.outdated.is_empty()
    }

    /// Compares one more scenario. Of `listed`, only what is about it counts.
    pub fn add(&mut self, recorded: &Transcript, came: &Transcript, listed: &[KnownDifference]) {
        let listed: Vec<&KnownDifference> =
            listed.iter().filter(|known| known.scenario == came.name).collect();
        let mut met = BTreeSet::new();
        let labels = recorded.answers.iter().chain(&came.answers).map(|answer| answer.label.as_str());
        let mut seen = BTreeSet::new();
        for label in labels.filter(|label| seen.insert(*label)) {
            let of = |transcript: &Transcript| {
                transcript.answers.iter().find(|answer| answer.label == label).cloned()
            };
            let found = differences(of(recorded).as_ref(), of(came).as_ref());
            self.compared += 1;
            let mut all_listed = true;
            for (at, recorded, came_now) in &found {
                let here = |known: &KnownDifference| known.at.iter().position(|begin| at.starts_with(begin));
                let known = listed
                    .iter()
                    .enumerate()
                    .filter(|(_, known)| known.step == label)
                    .find_map(|(row, known)| Some((row, here(known)?)));
                if let Some(place) = known {
                    met.insert(place);
                    continue;
                }
                all_listed = false;
                self.unlisted.push(Difference {
                    scenario: came.name.clone(),
                    step: label.to_owned(),
                    at: at.clone(),
                    recorded: recorded.clone(),
                    came: came_now.clone(),
                });
            }
            match (found.is_empty(), all_listed) {
                (true, _) => self.identical += 1,
                (false, true) => self.listed += 1,
                (false, false) => {}
            }
        }
        let stale = listed
            .iter()
            .enumerate()
            .filter(|(row, known)| (0..known.at.len()).any(|place| !met.contains(&(*row, place))))
            .map(|(_, known)| **known);
        self.outdated.extend(stale);
    }
}

impl fmt::Display for Comparison {
    /// All that is to be done, and a last line with the numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Difference { scenario, step, at, recorded, came } in &self.unlisted {
            writeln!(f, "{scenario} / {step} / {at}\n  recorded: {recorded}\n  came now: {came}")?;
        }
        for known in &self.outdated {
            writeln!(
                f,
                "{} / {} / {}: listed as a difference, but there is none",
                known.scenario,
                known.step,
                known.at.join(" and ")
            )?;
        }
        let differ = self.compared - self.identical - self.listed;
        write!(
            f,
            "conformance: {} answers compared, {} identical, {} differ as listed, {differ} differ otherwise",
            self.compared, self.identical, self.listed
        )
    }
}

type Found = (String, String, String);

fn differences(recorded: Option<&Answer>, came: Option<&Answer>) -> Vec<Found> {
    let (Some(recorded), Some(came)) = (recorded, came) else {
        let is =
            |answer: Option<&Answer>| if answer.is_some() { "this step" } else { "no such step" }.to_owned();
        return vec![("step".to_owned(), is(recorded), is(came))];
    };
    let mut found = Vec::new();
    let mut texts = |at: &str, one: String, other: String| {
        if one != other {
            found.push((at.to_owned(), one, other));
        }
    };
    texts("request", recorded.request.clone(), came.request.clone());
    texts("sent", recorded.sent.replace('\n', "\\n"), came.sent.replace('\n', "\\n"));
    texts("code", recorded.code.to_string(), came.code.to_string());
    texts("notes", recorded.notes.join(" | "), came.notes.join(" | "));
    values("", &recorded.body, &came.body, &mut found);
    found
}

fn values(at: &str, recorded: &Value, came: &Value, found: &mut Vec<Found>) {
    match (recorded, came) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let below = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                match (one.get(key), other.get(key)) {
                    (Some(one), Some(other)) => values(&below, one, other, found),
                    (one, other) => found.push((below, shown(one), shown(other))),
                }
            }
        }
        (Value::Array(one), Value::Array(other)) => {
            for place in 0..one.len().max(other.len()) {
                let below = format!("{at}/{place}");
                match (one.get(place), other.get(place)) {
                    (Some(one), Some(other)) => values(&below, one, other, found),
                    (one, other) => found.push((below, shown(one), shown(other))),
                }
            }
        }
        (one, other) if one == other => {}
        (one, other) => found.push((at.to_owned(), shown(Some(one)), shown(Some(other)))),
    }
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| json!(value).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript(code: u16, body: Value) -> Transcript {
        let answer = Answer { label: "make".into(), code, body, ..Answer::default() };
        Transcript { name: "lease".into(), about: String::new(), answers: vec![answer] }
    }

    const LISTED: KnownDifference =
        KnownDifference { scenario: "lease", step: "make", at: &["/a"], what: "", why: "" };

    fn compared(body: Value, listed: &[KnownDifference]) -> Comparison {
        let mut comparison = Comparison::default();
        comparison.add(&transcript(200, json!({"a": {"b": 1}})), &transcript(200, body), listed);
        comparison
    }

    #[test]
    fn what_differs_must_be_listed() {
        assert!(compared(json!({"a": {"b": 1}}), &[]).is_fine());
        let unlisted = compared(json!({"a": {"b": 2}}), &[]);
        assert_eq!((unlisted.unlisted[0].at.as_str(), unlisted.is_fine()), ("/a/b", false));
        let listed = compared(json!({"a": {"b": 2}}), &[LISTED]);
        assert_eq!((listed.listed, listed.is_fine()), (1, true));
        // More than what is listed does not hide behind it.
        assert!(!compared(json!({"a": {"b": 2}, "c": 1}), &[LISTED]).is_fine());
    }

    #[test]
    fn what_is_listed_must_differ() {
        assert_eq!(compared(json!({"a": {"b": 1}}), &[LISTED]).outdated.len(), 1);
    }

    #[test]
    fn a_step_that_is_missing_on_one_side_is_told() {
        let mut comparison = Comparison::default();
        let nothing = Transcript { answers: Vec::new(), ..transcript(200, Value::Null) };
        comparison.add(&nothing, &transcript(200, Value::Null), &[]);
        assert_eq!(comparison.unlisted[0].at, "step");
    }
}
