//! Whether an object is what its schema says.

use super::{child, flag, property};
use crate::failure::FieldError;
use regex::Regex;
use serde_json::{Map, Value, json};

/// All that is wrong with a value.
pub(crate) fn validate(value: &Value, schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if value.is_null() && flag(schema, "nullable") {
        return;
    }
    if !fits_type(value, schema) {
        let wanted = schema.get("type").and_then(Value::as_str).unwrap_or("integer,string");
        let is = type_name(value);
        errors.push(FieldError::wrong_type(
            path,
            &json!(is),
            &format!("{path} in body must be of type {wanted}: {is:?}"),
        ));
    }
    if let Some(known) = schema.get("enum").and_then(Value::as_array)
        && !known.contains(value)
    {
        let known: Vec<String> =
            known.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect();
        errors.push(FieldError::not_supported(path, value, &known));
    }
    if !fits_type(value, schema) {
        return;
    }
    match value {
        Value::Number(number) => check_number(number.as_f64().unwrap_or(0.0), value, schema, path, errors),
        Value::String(text) => check_text(text, value, schema, path, errors),
        Value::Array(items) => check_list(items, schema, path, errors),
        Value::Object(map) => check_map(map, schema, path, errors),
        _ => {}
    }
}

pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn fits_type(value: &Value, schema: &Value) -> bool {
    let is = type_name(value);
    if flag(schema, "x-kubernetes-int-or-string") {
        return is == "integer" || is == "string";
    }
    match schema.get("type").and_then(Value::as_str) {
        None => true,
        Some("number") => is == "number" || is == "integer",
        Some(wanted) => is == wanted,
    }
}

fn number(schema: &Value, word: &str) -> Option<f64> {
    schema.get(word).and_then(Value::as_f64)
}

fn size(schema: &Value, word: &str) -> Option<u64> {
    schema.get(word).and_then(Value::as_u64)
}

fn length(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn check_number(is: f64, value: &Value, schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mut wrong =
        |why: String| errors.push(FieldError::invalid(path, value, &format!("{path} in body {why}")));
    if let Some(least) = number(schema, "minimum") {
        if flag(schema, "exclusiveMinimum") && is <= least {
            wrong(format!("should be greater than {least}"));
        } else if is < least {
            wrong(format!("should be greater than or equal to {least}"));
        }
    }
    if let Some(most) = number(schema, "maximum") {
        if flag(schema, "exclusiveMaximum") && is >= most {
            wrong(format!("should be less than {most}"));
        } else if is > most {
            wrong(format!("should be less than or equal to {most}"));
        }
    }
}

fn check_text(text: &str, value: &Value, schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let count = length(text.chars().count());
    if let Some(most) = size(schema, "maxLength").filter(|most| count > *most) {
        // The first thing that is wrong with a text is the only one told.
        errors.push(FieldError::too_long(path, &format!("may not be more than {most} bytes")));
        return;
    }
    let mut wrong =
        |why: String| errors.push(FieldError::invalid(path, value, &format!("{path} in body {why}")));
    if let Some(least) = size(schema, "minLength").filter(|least| count < *least) {
        wrong(format!("should be at least {least} chars long"));
    } else if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && !Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))
    {
        wrong(format!("should match '{pattern}'"));
    }
    if schema.get("format").and_then(Value::as_str) == Some("date-time")
        && text.parse::<jiff::Timestamp>().is_err()
    {
        let why = format!("{path} in body must be of type date-time: {text:?}");
        errors.push(FieldError::wrong_type(path, value, &why));
    }
}

fn check_list(items: &[Value], schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if let Some(most) = size(schema, "maxItems").filter(|most| length(items.len()) > *most) {
        errors.push(FieldError::too_many(path, items.len(), most));
    }
    if let Some(least) = size(schema, "minItems").filter(|least| length(items.len()) < *least) {
        let why = format!("{path} in body should have at least {least} items");
        errors.push(FieldError::invalid(path, &json!(items.len()), &why));
    }
    if let Some(schema) = schema.get("items") {
        for (index, item) in items.iter().enumerate() {
            validate(item, schema, &format!("{path}[{index}]"), errors);
        }
    }
    check_unique(items, schema, path, errors);
}

/// Lists of the type `set` or `map` hold each item, or each key, once.
fn check_unique(items: &[Value], schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let keys: Vec<&str> = match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => Vec::new(),
        Some("map") => crate::json::items(schema, &["x-kubernetes-list-map-keys"])
            .iter()
            .filter_map(Value::as_str)
            .collect(),
        _ => return,
    };
    let key_of = |item: &Value| {
        if keys.is_empty() {
            return item.clone();
        }
        keys.iter().map(|key| ((*key).to_owned(), item.get(*key).cloned().unwrap_or_default())).collect()
    };
    let mut seen = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let key = key_of(item);
        if seen.contains(&key) {
            errors.push(FieldError::duplicate(format!("{path}[{index}]"), &key));
        } else {
            seen.push(key);
        }
    }
}

fn check_map(map: &Map<String, Value>, schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for name in crate::json::items(schema, &["required"]).iter().filter_map(Value::as_str) {
        if !map.contains_key(name) {
            errors.push(FieldError::required(child(path, name), ""));
        }
    }
    if let Some(most) = size(schema, "maxProperties").filter(|most| length(map.len()) > *most) {
        errors.push(FieldError::too_many(path, map.len(), most));
    }
    if let Some(least) = size(schema, "minProperties").filter(|least| length(map.len()) < *least) {
        let why = format!("{path} in body should have at least {least} properties");
        errors.push(FieldError::invalid(path, &json!(map.len()), &why));
    }
    for (name, value) in map {
        if let Some(schema) = property(schema, name) {
            validate(value, schema, &child(path, name), errors);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    fn message(schema: &Value, value: &Value) -> String {
        let mut errors = Vec::new();
        validate(value, schema, "spec", &mut errors);
        if errors.is_empty() { String::new() } else { Failure::invalid("g", "K", "n", &errors).message }
    }

    #[test]
    fn errors_name_field_and_remedy_as_the_real_server_does() {
        let schema = json!({"type": "object", "required": ["a"], "properties": {
            "a": {"type": "integer", "minimum": 1, "maximum": 9}, "b": {"type": "string", "pattern": "^x$"},
            "c": {"type": "string", "enum": ["On", "Off"]},
        }});
        for (value, expected) in [
            (json!({}), "spec.a: Required value"),
            (
                json!({"a": "1"}),
                "spec.a: Invalid value: \"string\": spec.a in body must be of type integer: \"string\"",
            ),
            (
                json!({"a": 0}),
                "spec.a: Invalid value: 0: spec.a in body should be greater than or equal to 1",
            ),
            (json!({"a": 1, "b": "y"}), "spec.b: Invalid value: \"y\": spec.b in body should match '^x$'"),
            (
                json!({"a": 1, "c": "Of"}),
                "spec.c: Unsupported value: \"Of\": supported values: \"On\", \"Off\"",
            ),
            (
                json!({"a": null}),
                "spec.a: Invalid value: \"null\": spec.a in body must be of type integer: \"null\"",
            ),
        ] {
            assert_eq!(message(&schema, &value), format!("K.g \"n\" is invalid: {expected}"));
        }
    }

    #[test]
    fn a_list_map_holds_each_key_once() {
        let schema =
            json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]});
        assert_eq!(message(&schema, &json!([{"name": "a"}, {"name": "b"}])), "");
        let twice = message(&schema, &json!([{"name": "a"}, {"name": "a", "x": 1}]));
        assert!(twice.contains("spec[1]: Duplicate value: {\"name\":\"a\"}"), "{twice}");
    }
}
