//! YAML that comes out the same each time, reads as people write it, and means the same to every reader.
//!
//! Written here, because kubectl reads YAML 1.1, where a bare `Off` is the boolean false, and common writers
//! quote by the rules of YAML 1.2, where it is a text.

use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;

/// A value could not be written as YAML.
#[derive(Debug, thiserror::Error)]
#[error("writing YAML: {0}; this is a bug of hotstandby, please report it")]
pub struct YamlError(#[from] serde_json::Error);

/// Keys that stand first, in this order; all others follow by alphabet.
const FIRST: [&str; 5] = ["apiVersion", "kind", "metadata", "name", "namespace"];
/// Texts that some version of YAML takes for something else.
const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "y", "n", "null"];

/// One value as a YAML document without separator.
pub fn to_yaml(value: &impl Serialize) -> Result<String, YamlError> {
    let value = serde_json::to_value(value)?;
    let mut out = String::new();
    match scalar(&value) {
        Some(text) => out.push_str(&(text + "\n")),
        None => block(&mut out, &value, 0, false),
    }
    Ok(out)
}

/// Writes a map or list line by line; `begun`: its first line is begun already.
fn block(out: &mut String, value: &Value, indent: usize, mut begun: bool) {
    let mut begin = |out: &mut String| {
        let spaces = if begun { 0 } else { indent };
        begun = false;
        // Writing to a String cannot fail.
        let _ = write!(out, "{:spaces$}", "");
    };
    match value {
        Value::Array(items) => {
            for item in items {
                begin(out);
                out.push('-');
                inner(out, item, indent + 2, true);
            }
        }
        Value::Object(map) => {
            for (key, value) in sorted(map) {
                begin(out);
                let _ = write!(out, "{}:", quoted(key));
                let list = value.is_array();
                inner(out, value, if list { indent } else { indent + 2 }, false);
            }
        }
        _ => {}
    }
}

/// Writes what follows a `-` or a `key:`.
fn inner(out: &mut String, value: &Value, indent: usize, same_line: bool) {
    if let Some(text) = scalar(value) {
        let _ = writeln!(out, " {text}");
        return;
    }
    out.push(if same_line { ' ' } else { '\n' });
    block(out, value, indent, same_line);
}

/// Sorted, because the order of a JSON map depends on features that other crates turn on.
fn sorted(map: &serde_json::Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut pairs: Vec<_> = map.iter().collect();
    pairs.sort_by_key(|(key, _)| (FIRST.iter().position(|first| first == key).unwrap_or(FIRST.len()), *key));
    pairs
}

/// What fits on one line.
fn scalar(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => whole(number),
        Value::String(text) => quoted(text),
        Value::Array(items) if items.is_empty() => "[]".to_owned(),
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Array(_) | Value::Object(_) => return None,
    })
}

/// `100.0`, as limits in a schema are kept, is written `100`.
fn whole(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(float) if !number.is_i64() && !number.is_u64() && float.fract() == 0.0 && float.abs() < 9e15 => {
            format!("{float:.0}")
        }
        _ => number.to_string(),
    }
}

/// Bare where every reader takes it for a text, else quoted as in JSON, which is YAML, too.
pub(crate) fn quoted(text: &str) -> String {
    let bare_first = |c: char| c.is_ascii_alphabetic() || c == '/' || c == '.' || c == '$';
    let bare = |c: char| c.is_ascii_graphic() || c == ' ';
    let is_bare = text.starts_with(bare_first)
        && text.chars().all(bare)
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with([':', ' '])
        && !text.chars().nth(1).is_some_and(|second| text.starts_with('.') && !second.is_ascii_alphabetic())
        && ![".inf", ".nan"].contains(&text.to_ascii_lowercase().as_str())
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if is_bare { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn order_is_fixed_and_numbers_are_whole() {
        let value = json!({
            "spec": {"b": 1.0, "a": [{"x": 1, "name": "one", "l": ["p", ["q", "r"]]}, []], "c": 0.5, "d": {}},
            "kind": "K", "apiVersion": "v1",
        });
        let text = "\
apiVersion: v1
kind: K
spec:
  a:
  - name: one
    l:
    - p
    - - q
      - r
    x: 1
  - []
  b: 1
  c: 0.5
  d: {}
";
        assert_eq!(to_yaml(&value).unwrap(), text);
        assert_eq!(to_yaml(&json!([{"a": 1}])).unwrap(), "- a: 1\n");
        assert_eq!(to_yaml(&json!("x")).unwrap(), "x\n");
    }

    #[test]
    fn texts_that_look_like_something_else_are_quoted() {
        for text in [
            "true",
            "Off",
            "no",
            "Y",
            "NULL",
            "~",
            "",
            "8080",
            "1.5",
            "0x1f",
            "1e3",
            "1:30",
            "- a",
            "a: b",
            "a #b",
            "a:",
            "#x",
            "&a",
            "*a",
            "!a",
            "|",
            ">",
            "%",
            "@",
            "`",
            "'a'",
            "\"a\"",
            "{a}",
            "[a]",
            " a",
            "a ",
            "a\nb",
            "é",
            ".5",
            ".inf",
            ".NaN",
            "2026-01-01",
            "?",
            "=",
            "<<",
        ] {
            assert_eq!(quoted(text), Value::from(text).to_string(), "{text:?}");
        }
        for text in [
            "Auto",
            "v1",
            "a b",
            "/health",
            "app.kubernetes.io/name",
            ".status.term",
            "--x".trim_start_matches('-'),
        ] {
            assert_eq!(quoted(text), text);
        }
    }

    #[test]
    fn it_reads_back_as_it_was() {
        let texts = [
            "true",
            "a: b",
            "x\ny\t\"",
            "é",
            "plain text, with 'marks' and (more)",
            "it's",
            "$a{b}",
            "a,b]",
            "a &b",
        ];
        let value = json!({"texts": texts, "key: odd": {"off": null, "n": [1, -2, 0.25, true]}, "on": "x"});
        let back: Value = serde_norway::from_str(&to_yaml(&value).unwrap()).unwrap();
        assert_eq!(back, value);
    }
}
