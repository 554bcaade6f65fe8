//! Pruning of what the schema does not know, and filling in of defaults.

use super::{child, flag, property};
use serde_json::Value;

/// Removes fields the schema does not know and names them.
///
/// At the root (`root`), `apiVersion`, `kind` and `metadata` always stay.
pub(crate) fn prune(value: &mut Value, schema: &Value, root: bool, path: &str, unknown: &mut Vec<String>) {
    if flag(schema, "x-kubernetes-preserve-unknown-fields") && schema.get("properties").is_none() {
        return;
    }
    match value {
        Value::Object(map) => {
            let open = flag(schema, "x-kubernetes-preserve-unknown-fields")
                || schema.get("additionalProperties") == Some(&Value::Bool(true));
            map.retain(|name, value| {
                if root && ["apiVersion", "kind", "metadata"].contains(&name.as_str()) {
                    return true;
                }
                let here = child(path, name);
                match property(schema, name) {
                    Some(schema) => {
                        prune(value, schema, false, &here, unknown);
                        true
                    }
                    None if open => true,
                    None => {
                        unknown.push(here);
                        false
                    }
                }
            });
        }
        Value::Array(items) => {
            let Some(schema) = schema.get("items") else { return };
            for (index, item) in items.iter_mut().enumerate() {
                prune(item, schema, false, &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}

/// Removes every `null` where none is allowed and no default would take its place.
pub(crate) fn prune_nulls(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(map) => map.retain(|name, value| {
            let Some(schema) = property(schema, name) else { return true };
            prune_nulls(value, schema);
            !value.is_null() || flag(schema, "nullable") || schema.get("default").is_some()
        }),
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for item in items {
                    prune_nulls(item, schema);
                }
            }
        }
        _ => {}
    }
}

/// Fills in defaults. A `null` where none is allowed counts as missing if there is a default.
pub(crate) fn default(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(map) => {
            for (name, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
                let missing = map.get(name).is_none_or(|value| value.is_null() && !flag(schema, "nullable"));
                if let (true, Some(wanted)) = (missing, schema.get("default")) {
                    map.insert(name.clone(), wanted.clone());
                }
                if let Some(value) = map.get_mut(name) {
                    default(value, schema);
                }
            }
            if let Some(schema) = schema.get("additionalProperties").filter(|schema| schema.is_object()) {
                for value in map.values_mut() {
                    default(value, schema);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for item in items {
                    default(item, schema);
                }
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
    fn what_the_schema_does_not_know_goes_and_is_named() {
        let schema = json!({"type": "object", "properties": {
            "a": {"type": "object", "properties": {"b": {"type": "string"}}},
            "list": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "integer"}}}},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        }});
        let mut value = json!({
            "kind": "K", "a": {"b": "1", "c": 2}, "list": [{"x": 1}, {"y": 2}], "open": {"any": 1}, "more": 1,
        });
        let mut unknown = Vec::new();
        prune(&mut value, &schema, true, "", &mut unknown);
        assert_eq!(unknown, ["a.c", "list[1].y", "more"]);
        assert_eq!(value, json!({"kind": "K", "a": {"b": "1"}, "list": [{"x": 1}, {}], "open": {"any": 1}}));
    }

    #[test]
    fn defaults_reach_into_defaults() {
        let schema = json!({"properties": {"a": {"default": {}, "properties": {"b": {"default": 3}}}}});
        let mut value = json!({});
        default(&mut value, &schema);
        assert_eq!(value, json!({"a": {"b": 3}}));
        let mut null = json!({"a": null});
        default(&mut null, &schema);
        assert_eq!(null, json!({"a": {"b": 3}}));
    }
}
