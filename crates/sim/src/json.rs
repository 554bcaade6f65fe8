//! Small helpers for objects that are plain JSON.

use serde_json::{Map, Value};

static NULL: Value = Value::Null;

/// The value at a path; `null` where there is none.
pub(crate) fn at<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().try_fold(value, |value, key| value.get(key)).unwrap_or(&NULL)
}

/// A text at a path, unless it is empty.
pub(crate) fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    at(value, path).as_str().filter(|text| !text.is_empty())
}

/// A value's map; whatever else it was becomes an empty one.
pub(crate) fn map_of(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        // The line above made it one.
        _ => unreachable!(),
    }
}

/// Sets the value at a path, making the maps on the way.
pub(crate) fn put(value: &mut Value, path: &[&str], new: impl Into<Value>) {
    let mut place = value;
    for key in path {
        place = map_of(place).entry(*key).or_insert(Value::Null);
    }
    *place = new.into();
}

/// Sets the value at a path where there is none.
pub(crate) fn put_default(value: &mut Value, path: &[&str], new: impl Into<Value>) {
    if at(value, path).is_null() {
        put(value, path, new);
    }
}

/// Takes the value at a path out.
pub(crate) fn take(value: &mut Value, path: &[&str]) -> Option<Value> {
    let (last, way) = path.split_last()?;
    let mut place = value;
    for key in way {
        place = place.get_mut(key)?;
    }
    place.as_object_mut()?.remove(*last)
}

/// Sets the value at a path, or removes it where `new` is `null`.
pub(crate) fn put_or_take(value: &mut Value, path: &[&str], new: &Value) {
    if new.is_null() {
        take(value, path);
    } else {
        put(value, path, new.clone());
    }
}

/// The items of a list at a path; none where there is no list.
pub(crate) fn items<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path).as_array().map_or(&[], Vec::as_slice)
}

/// Runs over the items of a list at a path.
pub(crate) fn each(value: &mut Value, path: &[&str], mut change: impl FnMut(&mut Value)) {
    let mut place = value;
    for key in path {
        let Some(next) = place.get_mut(key) else { return };
        place = next;
    }
    place.as_array_mut().into_iter().flatten().for_each(&mut change);
}

/// Whether it says nothing: `null`, an empty list or an empty map.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}
