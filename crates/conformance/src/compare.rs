//! Compares two transcripts of a scenario and separates known differences from new ones.

use super::transcript::{Answer, Transcript};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt;

/// One place in one answer where the server differs from the committed transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The name of the scenario.
    pub scenario: String,
    /// The label of the step.
    pub step: String,
    /// The place in the answer: `code`, `notes`, or a JSON pointer into the body.
    pub at: String,
    /// What the committed transcript says.
    pub recorded: String,
    /// What the server answered now.
    pub came: String,
}

/// A difference that is accepted for one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownDifference {
    /// The name of the scenario.
    pub scenario: &'static str,
    /// The label of the step.
    pub step: &'static str,
    /// Prefixes of [`Difference::at`]. At least one difference must begin with each of them.
    pub at: &'static [&'static str],
    /// What differs.
    pub what: &'static str,
    /// Why the difference is accepted.
    pub why: &'static str,
}

/// The result of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// The number of answers that were compared.
    pub compared: usize,
    /// The number of answers that are identical.
    pub identical: usize,
    /// The number of answers that differ only where a known difference allows it.
    pub listed: usize,
    /// Differences that are not known.
    pub unlisted: Vec<Difference>,
    /// Known differences that no longer exist, or that name a step which does not exist.
    pub outdated: Vec<KnownDifference>,
}

impl Comparison {
    /// Returns whether all differences are known and all known differences still exist.
    pub fn is_fine(&self) -> bool {
        self.unlisted.is_empty() && self.outdated.is_empty()
    }

    /// Compares one more scenario. Known differences of other scenarios are ignored.
    pub fn add(&mut self, recorded: &Transcript, came: &Transcript, known: &[KnownDifference]) {
        let listed: Vec<&KnownDifference> =
            known.iter().filter(|known| known.scenario == came.name).collect();
        let mut met = BTreeSet::new();
        let labels = recorded.answers.iter().chain(&came.answers).map(|answer| answer.label.as_str());
        let mut seen = BTreeSet::new();
        for label in labels.filter(|label| seen.insert(*label)) {
            let find_answer = |transcript: &Transcript| {
                transcript.answers.iter().find(|answer| answer.label == label).cloned()
            };
            let found = find_differences(find_answer(recorded).as_ref(), find_answer(came).as_ref());
            self.compared += 1;
            let mut all_listed = true;
            for (at, recorded, came_now) in &found {
                let find_prefix =
                    |known: &KnownDifference| known.at.iter().position(|begin| at.starts_with(begin));
                let known = listed
                    .iter()
                    .enumerate()
                    .filter(|(_, known)| known.step == label)
                    .find_map(|(row, known)| Some((row, find_prefix(known)?)));
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
    /// Writes each problem, and a last line with the numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Difference { scenario, step, at, recorded, came } in &self.unlisted {
            writeln!(f, "{scenario} / {step} / {at}\n  recorded: {recorded}\n  came now: {came}")?;
        }
        for known in &self.outdated {
            writeln!(
                f,
                "{} / {} / {}: listed as a known difference, but there is no difference",
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

/// The place in an answer, what the committed transcript says, and what the server answered.
type Found = (String, String, String);

fn find_differences(recorded: Option<&Answer>, came: Option<&Answer>) -> Vec<Found> {
    let (Some(recorded), Some(came)) = (recorded, came) else {
        let is =
            |answer: Option<&Answer>| if answer.is_some() { "this step" } else { "no such step" }.to_owned();
        return vec![("step".to_owned(), is(recorded), is(came))];
    };
    let mut found = Vec::new();
    let mut compare_texts = |at: &str, one: String, other: String| {
        if one != other {
            found.push((at.to_owned(), one, other));
        }
    };
    compare_texts("request", recorded.request.clone(), came.request.clone());
    compare_texts("sent", recorded.sent.replace('\n', "\\n"), came.sent.replace('\n', "\\n"));
    compare_texts("code", recorded.code.to_string(), came.code.to_string());
    compare_texts("notes", recorded.notes.join(" | "), came.notes.join(" | "));
    compare_values("", &recorded.body, &came.body, &mut found);
    found
}

fn compare_values(at: &str, recorded: &Value, came: &Value, found: &mut Vec<Found>) {
    match (recorded, came) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let below = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                match (one.get(key), other.get(key)) {
                    (Some(one), Some(other)) => compare_values(&below, one, other, found),
                    (one, other) => found.push((below, show(one), show(other))),
                }
            }
        }
        (Value::Array(one), Value::Array(other)) => {
            for place in 0..one.len().max(other.len()) {
                let below = format!("{at}/{place}");
                match (one.get(place), other.get(place)) {
                    (Some(one), Some(other)) => compare_values(&below, one, other, found),
                    (one, other) => found.push((below, show(one), show(other))),
                }
            }
        }
        (one, other) if one == other => {}
        (one, other) => found.push((at.to_owned(), show(Some(one)), show(Some(other)))),
    }
}

fn show(value: Option<&Value>) -> String {
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

    fn compared(body: Value, known: &[KnownDifference]) -> Comparison {
        let mut comparison = Comparison::default();
        comparison.add(&transcript(200, json!({"a": {"b": 1}})), &transcript(200, body), known);
        comparison
    }

    #[test]
    fn a_difference_must_be_known() {
        assert!(compared(json!({"a": {"b": 1}}), &[]).is_fine());
        let unlisted = compared(json!({"a": {"b": 2}}), &[]);
        assert_eq!((unlisted.unlisted[0].at.as_str(), unlisted.is_fine()), ("/a/b", false));
        let listed = compared(json!({"a": {"b": 2}}), &[LISTED]);
        assert_eq!((listed.listed, listed.is_fine()), (1, true));
        // A known difference does not hide a new one beside it.
        assert!(!compared(json!({"a": {"b": 2}, "c": 1}), &[LISTED]).is_fine());
    }

    #[test]
    fn a_known_difference_must_still_exist() {
        assert_eq!(compared(json!({"a": {"b": 1}}), &[LISTED]).outdated.len(), 1);
    }

    #[test]
    fn a_step_that_is_missing_on_one_side_is_a_difference() {
        let mut comparison = Comparison::default();
        let nothing = Transcript { answers: Vec::new(), ..transcript(200, Value::Null) };
        comparison.add(&nothing, &transcript(200, Value::Null), &[]);
        assert_eq!(comparison.unlisted[0].at, "step");
    }
}
