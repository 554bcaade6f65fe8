//! JSON merge patch (RFC 7386) and strategic merge patch.

use crate::failure::Failure;
use crate::json::map_of;
use crate::lists::merge_key;
use serde_json::{Map, Value};

/// Applies a JSON merge patch.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    let target = map_of(target);
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name.as_str()).or_insert(Value::Null), value);
        }
    }
}

/// Applies a JSON patch.
pub(crate) fn json(target: &mut Value, patch: &Value) -> Result<(), Failure> {
    // The real server says no more than this.
    let why = "the server rejected our request due to an error in our request";
    let failed = || Failure { details: serde_json::json!({}), ..Failure::new(422, "Invalid", why) };
    for operation in patch.as_array().into_iter().flatten() {
        let mut operation = operation.clone();
        // To replace a member that is not there adds it.
        if operation.get("op").is_some_and(|op| op == "replace")
            && let Some(path) = operation.get("path").and_then(Value::as_str)
            && target.pointer(path).is_none()
            && let Some((parent, _)) = path.rsplit_once('/')
            && target.pointer(parent).is_some_and(Value::is_object)
        {
            crate::json::put(&mut operation, &["op"], "add");
        }
        let one: json_patch::PatchOperation = serde_json::from_value(operation).map_err(|_| failed())?;
        json_patch::patch(target, &[one]).map_err(|_| failed())?;
    }
    Ok(())
}

/// A value as Go prints it.
pub(crate) fn go_text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(go_text).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let mut members: Vec<String> =
                map.iter().map(|(key, value)| format!("{key}:{}", go_text(value))).collect();
            members.sort();
            format!("map[{}]", members.join(" "))
        }
        other => other.to_string(),
    }
}

const PATCH: &str = "$patch";
const ORDER: &str = "$setElementOrder/";
const DELETE_VALUES: &str = "$deleteFromPrimitiveList/";
const RETAIN: &str = "$retainKeys";

/// Applies a strategic merge patch to what stands in `field`.
pub(crate) fn strategic(target: &mut Value, patch: &Value, field: &str) -> Result<(), Failure> {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return Ok(());
    };
    match patch.get(PATCH).and_then(Value::as_str) {
        Some("replace") => {
            let mut new = patch.clone();
            new.remove(PATCH);
            *target = Value::Object(new);
            return Ok(());
        }
        Some("delete") => {
            *target = Value::Object(Map::new());
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => {
            let shown = go_text(&Value::Object(patch.clone()));
            return Err(Failure::new(500, "", format!("unknown patch type: {other} in map: {shown}")));
        }
    }
    let target = map_of(target);
    for (name, value) in patch {
        if let Some(list) = name.strip_prefix(DELETE_VALUES) {
            delete_values(target, list, value);
        } else if name == RETAIN {
            let kept: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            target.retain(|name, _| kept.contains(&name.as_str()));
        }
    }
    for (name, value) in patch.iter().filter(|(name, _)| !name.starts_with('$')) {
        if value.is_null() {
            target.remove(name);
            continue;
        }
        let entry = target.entry(name.as_str()).or_insert(Value::Null);
        match (value, merge_key(field, name)) {
            (Value::Array(items), Some(key)) => list(entry, items, key, name)?,
            (Value::Object(_), _) => strategic(entry, value, name)?,
            _ => *entry = value.clone(),
        }
    }
    for (name, value) in patch {
        if let Some(list) = name.strip_prefix(ORDER) {
            reorder(target, list, value, merge_key(field, list).unwrap_or_default());
        }
    }
    Ok(())
}

fn delete_values(target: &mut Map<String, Value>, list: &str, gone: &Value) {
    let gone = gone.as_array().map_or(&[][..], Vec::as_slice);
    if let Some(Value::Array(items)) = target.get_mut(list) {
        items.retain(|item| !gone.contains(item));
    }
}

/// Merges the items of a patch into a list.
fn list(target: &mut Value, patch: &[Value], key: &str, field: &str) -> Result<(), Failure> {
    let replace = patch.iter().any(|item| item.get(PATCH).and_then(Value::as_str) == Some("replace"));
    if replace || !target.is_array() {
        *target = Value::Array(Vec::new());
    }
    let Value::Array(items) = target else { return Ok(()) };
    let before = items.clone();
    for item in patch {
        if key.is_empty() {
            if !items.contains(item) {
                items.push(item.clone());
            }
            continue;
        }
        let Some(wanted) = item.get(key) else {
            if item.get(PATCH).is_some() {
                continue;
            }
            let why = format!("map: {} does not contain declared merge key: {key}", go_text(item));
            return Err(Failure::new(500, "", why));
        };
        let at = items.iter().position(|have| have.get(key) == Some(wanted));
        let delete = item.get(PATCH).and_then(Value::as_str) == Some("delete");
        match at {
            Some(at) if delete => {
                items.remove(at);
            }
            None if delete => {}
            Some(at) => {
                if let Some(have) = items.get_mut(at) {
                    strategic(have, item, field)?;
                }
            }
            None => {
                let mut new = Value::Object(Map::new());
                strategic(&mut new, item, field)?;
                items.push(new);
            }
        }
    }
    interleave(items, &before, patch, key);
    Ok(())
}

/// Items of the patch keep its order; of the others only those come before that stood before.
fn interleave(items: &mut Vec<Value>, before: &[Value], patch: &[Value], key: &str) {
    let is = |one: &Value, other: &Value| {
        if key.is_empty() { one == other } else { one.get(key) == other.get(key) }
    };
    let place = |list: &[Value], item: &Value| list.iter().position(|one| is(one, item));
    let (mut named, others): (Vec<Value>, Vec<Value>) =
        items.drain(..).partition(|item| place(patch, item).is_some());
    named.sort_by_key(|item| place(patch, item));
    let mut others = others.into_iter().peekable();
    for item in named {
        let here = place(before, &item);
        while let Some(other) =
            others.next_if(|other| here.is_some_and(|here| place(before, other) < Some(here)))
        {
            items.push(other);
        }
        items.push(item);
    }
    items.extend(others);
}

/// Puts the named items into the given order; others keep their places behind.
fn reorder(target: &mut Map<String, Value>, list: &str, order: &Value, key: &str) {
    let Some(Value::Array(items)) = target.get_mut(list) else { return };
    let order = order.as_array().map_or(&[][..], Vec::as_slice);
    let place = |item: &Value| {
        let is =
            |wanted: &Value| if key.is_empty() { item == wanted } else { item.get(key) == wanted.get(key) };
        order.iter().position(is).unwrap_or(usize::MAX)
    };
    items.sort_by_key(place);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(mut target: Value, patch: &Value) -> Value {
        strategic(&mut target, patch, "").unwrap();
        target
    }

    #[test]
    fn a_merge_patch_removes_with_null_and_replaces_lists() {
        let mut target = json!({"a": {"b": 1, "c": 2}, "list": [1, 2]});
        merge(&mut target, &json!({"a": {"b": null, "d": {"e": null, "f": 1}}, "list": [3]}));
        assert_eq!(target, json!({"a": {"c": 2, "d": {"f": 1}}, "list": [3]}));
    }

    #[test]
    fn a_strategic_patch_touches_only_the_named_container() {
        let pod = json!({"spec": {"containers": [{"name": "a", "image": "1", "args": ["x"]}, {"name": "b", "image": "1"}]}});
        let patch = json!({"spec": {"containers": [{"name": "a", "image": "2", "args": ["y"]}, {"name": "c", "image": "3"}]}});
        let expected = json!({"spec": {"containers": [
            {"name": "a", "image": "2", "args": ["y"]}, {"name": "c", "image": "3"}, {"name": "b", "image": "1"},
        ]}});
        assert_eq!(patched(pod, &patch), expected);
    }

    #[test]
    fn directives_delete_replace_and_order() {
        let pod = json!({"status": {"conditions": [{"type": "A"}, {"type": "B"}]}, "metadata": {"finalizers": ["x/a", "x/b"]}});
        let patch = json!({
            "status": {"conditions": [{"type": "A", "$patch": "delete"}, {"type": "C"}], "$setElementOrder/conditions": [{"type": "C"}, {"type": "B"}]},
            "metadata": {"$deleteFromPrimitiveList/finalizers": ["x/a"], "finalizers": ["x/c"]},
        });
        let expected = json!({"status": {"conditions": [{"type": "C"}, {"type": "B"}]}, "metadata": {"finalizers": ["x/c", "x/b"]}});
        assert_eq!(patched(pod, &patch), expected);
        let replaced = patched(json!({"spec": {"a": 1}}), &json!({"spec": {"$patch": "replace", "b": 2}}));
        assert_eq!(replaced, json!({"spec": {"b": 2}}));
    }

    #[test]
    fn ports_of_a_service_merge_by_port_and_selectors_by_key() {
        let service = json!({"spec": {"ports": [{"port": 80, "name": "a"}], "selector": {"x": "1"}}});
        let patch =
            json!({"spec": {"ports": [{"port": 80, "name": "b"}, {"port": 81}], "selector": {"y": "2"}}});
        let expected = json!({"spec": {"ports": [{"port": 80, "name": "b"}, {"port": 81}], "selector": {"x": "1", "y": "2"}}});
        assert_eq!(patched(service, &patch), expected);
    }
}
