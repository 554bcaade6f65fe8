//! YAML that comes out the same each time and reads as people write it.

use serde::Serialize;
use serde_json::Value;
use serde_norway::Mapping;
use serde_norway::Value as Yaml;

/// A value could not be written as YAML.
#[derive(Debug, thiserror::Error)]
#[error("writing YAML: {0}; this is a bug of hotstandby, please report it")]
pub struct YamlError(String);

/// Keys that stand first, in this order; all others follow by alphabet.
const FIRST: [&str; 5] = ["apiVersion", "kind", "metadata", "name", "namespace"];

/// One value as a YAML document without separator.
pub fn to_yaml(value: &impl Serialize) -> Result<String, YamlError> {
    let value = serde_json::to_value(value).map_err(|error| YamlError(error.to_string()))?;
    serde_norway::to_string(&ordered(value)).map_err(|error| YamlError(error.to_string()))
}

/// Sorts keys, because the order of a JSON map depends on features that other crates turn on.
fn ordered(value: Value) -> Yaml {
    match value {
        Value::Null => Yaml::Null,
        Value::Bool(flag) => Yaml::Bool(flag),
        Value::Number(number) => Yaml::Number(whole(&number)),
        Value::String(text) => Yaml::String(text),
        Value::Array(items) => Yaml::Sequence(items.into_iter().map(ordered).collect()),
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.into_iter().collect();
            pairs.sort_by_cached_key(|(key, _)| {
                (FIRST.iter().position(|first| first == key).unwrap_or(FIRST.len()), key.clone())
            });
            let pairs = pairs.into_iter().map(|(key, value)| (Yaml::String(key), ordered(value)));
            Yaml::Mapping(pairs.collect::<Mapping>())
        }
    }
}

/// `100.0`, as limits in a schema are kept, is written `100`.
fn whole(number: &serde_json::Number) -> serde_norway::Number {
    if let Some(whole) = number.as_i64() {
        return whole.into();
    }
    let float = number.as_f64().unwrap_or_default();
    #[allow(clippy::cast_possible_truncation)] // within the range where every whole number is exact
    if float.fract() == 0.0 && float.abs() < 9e15 { (float as i64).into() } else { float.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn order_is_fixed_and_numbers_are_whole() {
        let value = json!({"spec": {"b": 1.0, "a": [{"x": 1, "name": "n"}], "c": 0.5}, "kind": "K", "apiVersion": "v1"});
        let text = "apiVersion: v1\nkind: K\nspec:\n  a:\n  - name: n\n    x: 1\n  b: 1\n  c: 0.5\n";
        assert_eq!(to_yaml(&value).unwrap(), text);
    }

    #[test]
    fn texts_that_look_like_something_else_are_quoted() {
        assert_eq!(
            to_yaml(&json!({"a": "true", "b": "8080", "c": "x"})).unwrap(),
            "a: 'true'\nb: '8080'\nc: x\n"
        );
    }
}
