//! Turns the answers of one run into a transcript that every other run can produce, too.

use super::names::Names;
use super::play::Raw;
use super::script::{Act, Body, Call, Scenario};
use super::transcript::{Answer, Transcript};
use super::trim::trim_answer;
use crate::json::at;
use serde_json::Value;

/// Returns the transcript of a scenario that was played in a namespace.
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
    let with_answer =
        scenario.steps.iter().zip(answers).filter(|(step, _)| !matches!(step.act, Act::Compact));
    let answers = with_answer
        .map(|(step, raw)| {
            let mut body = raw.body.clone();
            trim_answer(&mut body, &step.look);
            Answer {
                label: step.label.clone(),
                request: step.show(),
                sent: step.show_body(),
                code: raw.code,
                notes: raw.notes.iter().map(|note| names.replace_in_text(note)).collect(),
                body: drop_repeated_bookmarks(names.replace_in_value(&body, "", &step.look)),
            }
        })
        .collect();
    Transcript { name: scenario.name.to_owned(), about: scenario.about.to_owned(), answers }
}

/// Keeps one of several equal bookmarks in a row. How many a server sends depends on its clock.
fn drop_repeated_bookmarks(mut body: Value) -> Value {
    if let Value::Array(events) = &mut body {
        events.dedup_by(|one, other| at(one, &["type"]) == "BOOKMARK" && one == other);
    }
    body
}
