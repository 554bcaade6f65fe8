//! Small helpers for objects that are plain JSON.

use serde_json::{Map, Value};

static NULL: Value = Value::Null;

/// Returns the value at a path, or `null` if the path leads nowhere.
pub(crate) fn at<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().try_fold(value, |value, key| value.get(key)).unwrap_or(&NULL)
}

/// Returns the string at a path, unless it is empty.
pub(crate) fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    at(value, path).as_str().filter(|text| !text.is_empty())
}

/// Returns the items of the list at a path, or no items if there is no list.
pub(crate) fn items<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path).as_array().map_or(&[], Vec::as_slice)
}

/// Sets the value at a path and creates the objects on the way to it.
pub(crate) fn put(value: &mut Value, path: &[&str], new: impl Into<Value>) {
    let mut place = value;
    for key in path {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(map) = place else { return };
        place = map.entry(*key).or_insert(Value::Null);
    }
    *place = new.into();
}

/// Removes a member of an object.
pub(crate) fn remove(value: &mut Value, key: &str) {
    if let Value::Object(map) = value {
        map.remove(key);
    }
}
