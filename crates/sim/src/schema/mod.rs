//! What a CRD's schema does to an object: pruning, defaults, validation, rules.

mod rules;
mod shape;
mod validate;

pub(crate) use rules::{Rules, compile};
pub(crate) use shape::{default, prune, prune_nulls};
use validate::type_name;
pub(crate) use validate::validate;

use crate::failure::FieldError;
use serde_json::Value;

/// The schema of a property, through `properties` or `additionalProperties`.
fn property<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    schema
        .get("properties")
        .and_then(|properties| properties.get(name))
        .or_else(|| schema.get("additionalProperties").filter(|more| more.is_object()))
}

fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name) == Some(&Value::Bool(true))
}

fn child(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// What a CRD's author may write but the model does not know; empty where all is known.
pub(crate) fn unknown_words(schema: &Value, path: &str, unknown: &mut Vec<String>) {
    const KNOWN: [&str; 30] = [
        "type",
        "properties",
        "additionalProperties",
        "items",
        "required",
        "description",
        "title",
        "format",
        "default",
        "enum",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "minLength",
        "maxLength",
        "pattern",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "uniqueItems",
        "nullable",
        "example",
        "x-kubernetes-int-or-string",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-map-type",
        "x-kubernetes-validations",
    ];
    for (word, value) in schema.as_object().into_iter().flatten() {
        let here = child(path, word);
        match word.as_str() {
            "properties" => {
                for (name, property) in value.as_object().into_iter().flatten() {
                    unknown_words(property, &child(&here, name), unknown);
                }
            }
            "items" | "additionalProperties" => unknown_words(value, &here, unknown),
            word if KNOWN.contains(&word) => {}
            _ => unknown.push(here),
        }
    }
}

/// Fields without a type, or of a type there is not.
pub(crate) fn untyped(schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
    let of = |word: &str| schema.get(word).filter(|below| below.is_object());
    let properties = of("properties").and_then(Value::as_object).into_iter().flatten();
    let below = properties.map(|(name, below)| (format!("{path}.properties[{name}]"), below));
    let others = ["items", "additionalProperties"].into_iter();
    let others = others.filter_map(|word| Some((format!("{path}.{word}"), of(word)?)));
    for (path, below) in below.chain(others) {
        let free = ["x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"];
        let place = format!("{path}.type");
        match below.get("type") {
            Some(Value::String(one)) if TYPES.contains(&one.as_str()) => {}
            Some(other) if !other.is_null() => {
                errors.push(FieldError::not_supported(place, other, &TYPES.map(str::to_owned)));
            }
            _ if free.iter().any(|word| flag(below, word)) => {}
            _ => errors.push(FieldError::required(place, "must not be empty for specified object fields")),
        }
        untyped(below, &path, errors);
    }
}
