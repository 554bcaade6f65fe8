//! Fills the placeholders of a request with parts of earlier answers.

use super::script::Body;
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The namespace of a run, and its answers so far by the label of their step.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    pub(super) namespace: String,
    pub(super) answers: BTreeMap<String, Value>,
}

static PLACEHOLDER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\{([a-z0-9_]+):(/[^}]*)\}").ok());

impl Earlier {
    fn find_part(&self, label: &str, pointer: &str) -> Option<&Value> {
        self.answers.get(label)?.pointer(pointer)
    }

    /// Returns a text with its placeholders filled.
    pub(super) fn fill_text(&self, text: &str) -> String {
        let text = text.replace("{ns}", &self.namespace);
        let Some(placeholder) = PLACEHOLDER.as_ref() else { return text };
        let filled = placeholder.replace_all(&text, |found: &regex::Captures<'_>| {
            let (label, pointer) = (group(found, 1), group(found, 2));
            match self.find_part(label, pointer) {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                // An unknown placeholder stays, so that it is visible in the request.
                None => group(found, 0).to_owned(),
            }
        });
        filled.into_owned()
    }

    fn fill_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.fill_text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.fill_value(item)),
            Value::Object(map) => map.values_mut().for_each(|value| self.fill_value(value)),
            _ => {}
        }
    }

    /// Returns the bytes of a body with its placeholders filled.
    pub(super) fn fill_body(&self, body: &Body) -> Vec<u8> {
        match body {
            Body::None => Vec::new(),
            Body::Text(text) => self.fill_text(text).into_bytes(),
            Body::Bytes(bytes) => bytes.clone(),
            Body::Json(value) => {
                let mut value = value.clone();
                self.fill_value(&mut value);
                value.to_string().into_bytes()
            }
            Body::Edited { of, edits } => {
                let mut value = self.answers.get(*of).cloned().unwrap_or_default();
                for (pointer, new) in edits {
                    let mut new = new.clone();
                    if let Some(new) = &mut new {
                        self.fill_value(new);
                    }
                    edit_value(&mut value, pointer, new);
                }
                value.to_string().into_bytes()
            }
        }
    }
}

/// Returns the text of a group of a match.
fn group<'a>(found: &regex::Captures<'a>, at: usize) -> &'a str {
    found.get(at).map_or("", |group| group.as_str())
}

/// Sets the value at a pointer, or removes it if `new` is `None`. Creates the objects on the way to a new value.
fn edit_value(value: &mut Value, pointer: &str, new: Option<Value>) {
    let Some((parent, last)) = pointer.rsplit_once('/') else { return };
    let last = last.replace("~1", "/").replace("~0", "~");
    if value.pointer(parent).is_none() && new.is_some() {
        edit_value(value, parent, Some(Value::Object(serde_json::Map::new())));
    }
    match (value.pointer_mut(parent), new) {
        (Some(Value::Object(map)), Some(new)) => {
            map.insert(last, new);
        }
        (Some(Value::Object(map)), None) => {
            map.remove(&last);
        }
        (Some(Value::Array(items)), Some(new)) => {
            if let Some(item) = last.parse::<usize>().ok().and_then(|at| items.get_mut(at)) {
                *item = new;
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_request_takes_parts_of_earlier_answers() {
        let earlier = Earlier {
            namespace: "shop".into(),
            answers: [("make".to_owned(), json!({"metadata": {"uid": "u", "generation": 3}}))].into(),
        };
        assert_eq!(
            earlier.fill_text("/{ns}/{make:/metadata/uid}?x={make:/metadata/generation}"),
            "/shop/u?x=3"
        );
        assert_eq!(earlier.fill_text("^[a-z]{3}$ {made:/x}"), "^[a-z]{3}$ {made:/x}");
        let body = Body::Edited {
            of: "make",
            edits: vec![("/spec/a", Some(json!("{ns}"))), ("/metadata/uid", None)],
        };
        let sent: Value = serde_json::from_slice(&earlier.fill_body(&body)).unwrap();
        assert_eq!(sent, json!({"metadata": {"generation": 3}, "spec": {"a": "shop"}}));
    }
}
