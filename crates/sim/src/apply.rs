//! Server-side apply.

use crate::failure::Failure;
use crate::fields::{self, Fields, Manager, Path, Writer, key_step, leaves};
use crate::json::map_of;
use crate::lists::{ListKind, Shape};
use serde_json::{Value, json};

/// The object after `config` was applied over `live`.
pub(crate) fn apply(
    live: &Value,
    config: &Value,
    shape: Shape<'_>,
    writer: &Writer,
    force: bool,
) -> Result<Value, Failure> {
    let managers = fields::read(live);
    let (have, want) = (leaves(live, shape), leaves(config, shape));
    let wanted: Fields = want.keys().cloned().collect();
    // An empty map asks for nothing that is in one.
    let held = |path: &Path, value: &Value| {
        crate::json::is_empty(value) && have.keys().any(|one| one.len() > path.len() && one.starts_with(path))
    };
    let differs: Fields = want
        .iter()
        .filter(|(path, value)| have.get(*path) != Some(*value) && !held(path, value))
        .map(|(path, _)| path.clone())
        .collect();
    let conflicts = fields::conflicts(&managers, &differs, writer);
    if !conflicts.is_empty() && !force {
        return Err(refusal(&conflicts));
    }
    let took: Fields = conflicts.into_iter().map(|(_, path)| path).collect();
    let mut merged = live.clone();
    merge(&mut merged, config, shape);
    for path in dropped(&managers, &wanted, writer) {
        remove(&mut merged, &path, shape);
    }
    let changes = leaves(&merged, shape) != have;
    fields::note_apply(&mut merged, managers, wanted, &took, writer, changes);
    Ok(merged)
}

/// What the manager applied before, does not any more, and nobody else owns; an item before its fields, which
/// tell it apart.
fn dropped(managers: &[Manager], wanted: &Fields, writer: &Writer) -> Vec<Path> {
    let mine = |manager: &&Manager| {
        manager.apply && manager.name == writer.name && manager.subresource == writer.subresource
    };
    let before = managers.iter().filter(mine).flat_map(|manager| &manager.fields);
    let others = |path: &Path| {
        let holds = |manager: &Manager| manager.fields.iter().any(|field| field.starts_with(path));
        managers.iter().any(|manager| !mine(&manager) && holds(manager))
    };
    let mut gone: Vec<Path> = before
        .filter(|path| !wanted.iter().any(|field| field.starts_with(path)) && !others(path))
        .cloned()
        .collect();
    gone.sort_by_key(Vec::len);
    gone
}

fn refusal(conflicts: &[(String, Path)]) -> Failure {
    let cause = |(manager, path): &(String, Path)| {
        json!({
            "reason": "FieldManagerConflict", "message": format!("conflict with {manager}"),
            "field": fields::shown(path),
        })
    };
    let causes: Vec<Value> = conflicts.iter().map(cause).collect();
    let message = match conflicts {
        [(manager, path)] => {
            format!("Apply failed with 1 conflict: conflict with {manager}: {}", fields::shown(path))
        }
        many => {
            let mut lines: Vec<String> = Vec::new();
            let mut last = "";
            for (manager, path) in many {
                if manager != last {
                    lines.push(format!("conflicts with {manager}:"));
                    last = manager;
                }
                lines.push(format!("- {}", fields::shown(path)));
            }
            format!("Apply failed with {} conflicts: {}", many.len(), lines.join("\n"))
        }
    };
    Failure { details: json!({"causes": causes}), ..Failure::new(409, "Conflict", message) }
}

/// Merges what is applied into what is there.
fn merge(live: &mut Value, config: &Value, shape: Shape<'_>) {
    match config {
        Value::Object(map) if !shape.is_atomic_map() => {
            let live = map_of(live);
            for (name, value) in map {
                merge(live.entry(name.as_str()).or_insert(Value::Null), value, shape.field(name));
            }
        }
        Value::Array(items) => match (shape.list(), live.as_array_mut()) {
            (ListKind::Map(keys), Some(live)) => {
                for item in items {
                    let step = key_step(item, &keys);
                    match live.iter_mut().find(|have| key_step(have, &keys) == step) {
                        Some(have) => merge(have, item, shape.item()),
                        None => live.push(item.clone()),
                    }
                }
            }
            (ListKind::Set, Some(live)) => {
                for item in items {
                    if !live.contains(item) {
                        live.push(item.clone());
                    }
                }
            }
            _ => *live = config.clone(),
        },
        _ => *live = config.clone(),
    }
}

/// Removes a field, and the maps and lists that became empty by it.
fn remove(value: &mut Value, path: &[String], shape: Shape<'_>) {
    let Some((step, rest)) = path.split_first() else { return };
    let emptied = |value: &Value| !rest.is_empty() && crate::json::is_empty(value);
    match (step.strip_prefix("f:"), value) {
        (Some(name), Value::Object(map)) => {
            if let Some(below) = map.get_mut(name) {
                remove(below, rest, shape.field(name));
                if rest.is_empty() || emptied(below) {
                    map.remove(name);
                }
            }
        }
        (None, Value::Array(items)) => {
            let keys = match shape.list() {
                ListKind::Map(keys) => keys,
                _ => Vec::new(),
            };
            let is = |item: &Value| {
                if keys.is_empty() { format!("v:{item}") == *step } else { key_step(item, &keys) == *step }
            };
            if rest.is_empty() {
                items.retain(|item| !is(item));
            } else {
                items.iter_mut().filter(|item| is(item)).for_each(|item| remove(item, rest, shape.item()));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(name: &str) -> Writer {
        Writer {
            name: name.to_owned(),
            subresource: String::new(),
            api_version: "apps/v1".to_owned(),
            now_ms: 0,
        }
    }

    fn run(live: &Value, config: &Value, name: &str, force: bool) -> Result<Value, Failure> {
        apply(live, config, Shape::Table("", ""), &by(name), force)
    }

    #[test]
    fn what_is_no_longer_applied_goes_unless_another_wants_it() {
        let first = json!({"spec": {"replicas": 2, "containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}, "metadata": {"labels": {"x": "1", "y": "1"}}});
        let live = run(&json!({}), &first, "one", false).unwrap();
        let live = run(&live, &json!({"metadata": {"labels": {"y": "1"}}}), "two", false).unwrap();
        let live = run(&live, &json!({"spec": {"containers": [{"name": "a", "image": "1"}]}}), "one", false)
            .unwrap();
        assert_eq!(live["spec"], json!({"containers": [{"name": "a", "image": "1"}]}));
        assert_eq!(live["metadata"]["labels"], json!({"y": "1"}));
    }

    #[test]
    fn another_managers_field_is_taken_only_by_force() {
        let live = run(&json!({}), &json!({"spec": {"replicas": 2}}), "one", false).unwrap();
        let failure = run(&live, &json!({"spec": {"replicas": 3}}), "two", false).unwrap_err();
        assert_eq!(failure.message, "Apply failed with 1 conflict: conflict with \"one\": .spec.replicas");
        let same = run(&live, &json!({"spec": {"replicas": 2}}), "two", false).unwrap();
        assert_eq!(fields::read(&same).len(), 2);
        let forced = run(&live, &json!({"spec": {"replicas": 3}}), "two", true).unwrap();
        assert_eq!(fields::read(&forced).len(), 1);
        assert_eq!(forced["spec"]["replicas"], 3);
    }

    #[test]
    fn a_plain_update_takes_the_field_over() {
        let live = run(&json!({}), &json!({"spec": {"replicas": 2}}), "one", false).unwrap();
        let mut edited = live.clone();
        crate::json::put(&mut edited, &["spec", "replicas"], 5);
        fields::note_update(&live, &mut edited, Shape::Table("", ""), &by("kubectl-edit"));
        let failure = run(&edited, &json!({"spec": {"replicas": 2}}), "one", false).unwrap_err();
        assert!(failure.message.contains("\"kubectl-edit\" using apps/v1"), "{}", failure.message);
    }
}
