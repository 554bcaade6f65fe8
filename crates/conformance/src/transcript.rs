//! The answers to a scenario, as a text that people can read and Git can compare.

use serde_json::Value;
use std::fmt::Write as _;

/// All answers to a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Transcript {
    /// The name of the scenario.
    pub name: String,
    /// The subject of the scenario.
    pub about: String,
    /// The answers in the order of the steps.
    pub answers: Vec<Answer>,
}

/// The answer to one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The label of the step.
    pub label: String,
    /// The request, or what else the step did.
    pub request: String,
    /// The body of the request; empty if there was none.
    pub sent: String,
    /// The HTTP status code.
    pub code: u16,
    /// Headers that are compared: warnings, and what is unusual.
    pub notes: Vec<String>,
    /// The body of the answer. The events of a watch are a list.
    pub body: Value,
}

/// A text cannot be parsed as a transcript.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "transcript, part {part:?}: {why}; to record the transcripts again, run `cargo e2e conformance --update`"
)]
pub struct NotATranscript {
    part: String,
    why: String,
}

/// The width above which an object or list is written on several lines.
const WIDTH: usize = 120;

impl Transcript {
    /// Writes the transcript as a text.
    pub fn text(&self) -> String {
        let mut text = format!("# {}: {}\n", self.name, self.about);
        for Answer { label, request, sent, code, notes, body } in &self.answers {
            let _ = write!(text, "\n## {label}\n{request}\n");
            if !sent.is_empty() {
                let _ = writeln!(text, "> {}", sent.replace('\n', "\\n"));
            }
            let _ = writeln!(text, "{code}");
            for note in notes {
                let _ = writeln!(text, "! {note}");
            }
            if !body.is_null() {
                write_value(&mut text, body, 0);
                text.push('\n');
            }
        }
        text
    }

    /// Reads a transcript from its text.
    pub fn parse(text: &str) -> Result<Self, NotATranscript> {
        let mut parts = text.split("\n## ");
        let head = parts.next().unwrap_or_default().trim();
        let wrong = |why: &str| NotATranscript { part: head.to_owned(), why: why.to_owned() };
        let named = head.strip_prefix("# ").and_then(|head| head.split_once(": "));
        let (name, about) = named.ok_or_else(|| wrong("it does not begin with '# name: subject'"))?;
        let answers = parts.map(Answer::parse).collect::<Result<_, _>>()?;
        Ok(Self { name: name.to_owned(), about: about.to_owned(), answers })
    }
}

impl Answer {
    fn parse(part: &str) -> Result<Self, NotATranscript> {
        let mut lines = part.lines().peekable();
        let label = lines.next().unwrap_or_default().to_owned();
        let wrong = |why: String| NotATranscript { part: label.clone(), why };
        let request = lines.next().unwrap_or_default().to_owned();
        let sent =
            lines.next_if(|line| line.starts_with("> ")).map_or("", |line| line.trim_start_matches("> "));
        let code = lines.next().unwrap_or_default();
        let code = code.parse().map_err(|_| wrong(format!("no status code: {code:?}")))?;
        let mut notes = Vec::new();
        while let Some(note) = lines.next_if(|line| line.starts_with("! ")) {
            notes.push(note.trim_start_matches("! ").to_owned());
        }
        let rest = lines.collect::<Vec<_>>().join("\n");
        let body = match rest.trim() {
            "" => Value::Null,
            rest => serde_json::from_str(rest).map_err(|why| wrong(format!("no JSON: {why}")))?,
        };
        Ok(Self { label: label.clone(), request, sent: sent.to_owned(), code, notes, body })
    }
}

/// Writes a JSON value, on one line if it is short enough.
fn write_value(text: &mut String, value: &Value, depth: usize) {
    let short = format_on_one_line(value);
    let inner = "  ".repeat(depth + 1);
    let (open, close, members): (_, _, Vec<(String, &Value)>) = match value {
        _ if depth * 2 + short.len() <= WIDTH => return text.push_str(&short),
        Value::Object(map) => {
            ('{', '}', map.iter().map(|(key, value)| (format!("{}: ", quote(key)), value)).collect())
        }
        Value::Array(items) => ('[', ']', items.iter().map(|item| (String::new(), item)).collect()),
        _ => return text.push_str(&short),
    };
    text.push(open);
    for (at, (key, value)) in members.iter().enumerate() {
        let _ = write!(text, "{}\n{inner}{key}", if at == 0 { "" } else { "," });
        write_value(text, value, depth + 1);
    }
    let _ = write!(text, "\n{}{close}", "  ".repeat(depth));
}

fn format_on_one_line(value: &Value) -> String {
    let joined = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::Object(map) => {
            let members =
                map.iter().map(|(key, value)| format!("{}: {}", quote(key), format_on_one_line(value)));
            format!("{{{}}}", joined(members.collect()))
        }
        Value::Array(items) => format!("[{}]", joined(items.iter().map(format_on_one_line).collect())),
        other => other.to_string(),
    }
}

fn quote(key: &str) -> String {
    Value::from(key).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_transcript_is_read_back_as_it_was_written() {
        let long: Vec<String> = (0..40).map(|at| format!("item {at}")).collect();
        let transcript = Transcript {
            name: "lease".into(),
            about: "who writes: and when".into(),
            answers: vec![
                Answer {
                    label: "make".into(),
                    request: "POST /leases".into(),
                    sent: "{\"a\":1}".into(),
                    code: 201,
                    notes: vec!["Warning: 299 - \"x\"".into()],
                    body: json!({"list": long, "empty": {}, "text": "a\n## b"}),
                },
                Answer { label: "gone".into(), request: "GET /".into(), code: 404, ..Answer::default() },
            ],
        };
        assert_eq!(Transcript::parse(&transcript.text()), Ok(transcript));
        assert!(Transcript::parse("nothing").is_err());
    }
}
