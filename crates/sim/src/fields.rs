//! Who owns which fields (`managedFields`), as far as server-side apply needs it.

use crate::clock::time_text;
use crate::json::{at, items, map_of, put, take, text};
use crate::lists::{ListKind, Shape, key_values};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The way to a field, in the words of `FieldsV1`: `f:name`, `k:{…}`, `v:…`.
pub(crate) type Path = Vec<String>;
/// A set of fields.
pub(crate) type Fields = BTreeSet<Path>;

/// Metadata nobody owns: it belongs to the server.
const SERVER: [&str; 9] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
];

/// The fields of an object that somebody may own, with their values.
pub(crate) fn leaves(object: &Value, shape: Shape<'_>) -> BTreeMap<Path, Value> {
    let mut owned = object.clone();
    for field in SERVER {
        take(&mut owned, &["metadata", field]);
    }
    for field in ["apiVersion", "kind"] {
        take(&mut owned, &[field]);
    }
    // The Go types have these even where nothing is in them.
    for field in ["spec", "status"] {
        if matches!(shape, Shape::Table(..)) && crate::json::is_empty(at(&owned, &[field])) {
            take(&mut owned, &[field]);
        }
    }
    let mut found = BTreeMap::new();
    for (name, value) in owned.as_object().into_iter().flatten() {
        walk(value, shape.field(name), vec![format!("f:{name}")], &mut found);
    }
    found.remove(&vec!["f:metadata".to_owned()]);
    found
}

fn walk(value: &Value, shape: Shape<'_>, path: Path, found: &mut BTreeMap<Path, Value>) {
    let below = |step: String| path.iter().cloned().chain([step]).collect::<Path>();
    match value {
        Value::Object(map) if !map.is_empty() && !shape.is_atomic_map() => {
            for (name, value) in map {
                walk(value, shape.field(name), below(format!("f:{name}")), found);
            }
        }
        Value::Array(list) if !list.is_empty() => match shape.list() {
            ListKind::Atomic => {
                found.insert(path, value.clone());
            }
            ListKind::Set => {
                for item in list {
                    found.insert(below(format!("v:{item}")), item.clone());
                }
            }
            ListKind::Map(keys) => {
                for item in list {
                    let path = below(key_step(item, &keys));
                    found.insert(path.clone(), Value::Null);
                    walk(item, shape.item(), path, found);
                }
            }
        },
        // In a list without items, nobody owns an item.
        Value::Array(_) if shape.list() != ListKind::Atomic => {}
        _ => {
            found.insert(path, value.clone());
        }
    }
}

/// Maps and lists that are fields of their own: whoever makes one owns it beside what is in it. What the Go types
/// always have is none.
fn holders(object: &Value, shape: Shape<'_>) -> Fields {
    const ALWAYS: [&str; 7] =
        ["metadata", "spec", "status", "template", "containers", "strategy", "loadBalancer"];
    let custom = matches!(shape, Shape::Schema(_));
    let mut found = Fields::new();
    for path in leaves(object, shape).into_keys() {
        for end in 1..path.len() {
            let (Some(way), Some(last)) = (path.get(..end), path.get(end - 1)) else { continue };
            let name = last.strip_prefix("f:");
            let always = name
                .is_some_and(|name| (name == "metadata" && end == 1) || (!custom && ALWAYS.contains(&name)));
            if name.is_some() && !always {
                found.insert(way.to_vec());
            }
        }
    }
    found
}

/// `k:{"name":"a"}`.
pub(crate) fn key_step(item: &Value, keys: &[String]) -> String {
    let map: Map<String, Value> = key_values(item, keys).into_iter().collect();
    format!("k:{}", Value::Object(map))
}

/// One entry of `managedFields`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manager {
    pub(crate) name: String,
    pub(crate) apply: bool,
    pub(crate) subresource: String,
    pub(crate) api_version: String,
    pub(crate) time: String,
    pub(crate) fields: Fields,
}

/// Who writes.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) name: String,
    pub(crate) subresource: String,
    pub(crate) api_version: String,
    pub(crate) now_ms: i64,
}

impl Writer {
    fn entry(&self, apply: bool) -> Manager {
        Manager {
            name: self.name.clone(),
            apply,
            subresource: self.subresource.clone(),
            api_version: self.api_version.clone(),
            time: time_text(self.now_ms),
            fields: Fields::new(),
        }
    }

    fn is(&self, manager: &Manager, apply: bool) -> bool {
        manager.name == self.name && manager.apply == apply && manager.subresource == self.subresource
    }
}

pub(crate) fn read(object: &Value) -> Vec<Manager> {
    let of = |entry: &Value, key: &str| text(entry, &[key]).unwrap_or_default().to_owned();
    let manager = |entry: &Value| {
        let mut fields = Fields::new();
        read_set(at(entry, &["fieldsV1"]), &mut Vec::new(), &mut fields);
        Manager {
            name: of(entry, "manager"),
            apply: text(entry, &["operation"]) == Some("Apply"),
            subresource: of(entry, "subresource"),
            api_version: of(entry, "apiVersion"),
            time: of(entry, "time"),
            fields,
        }
    };
    items(object, &["metadata", "managedFields"]).iter().map(manager).collect()
}

fn read_set(tree: &Value, path: &mut Path, fields: &mut Fields) {
    let Some(map) = tree.as_object() else { return };
    if map.is_empty() && !path.is_empty() {
        fields.insert(path.clone());
    }
    for (step, below) in map {
        if step == "." {
            fields.insert(path.clone());
            continue;
        }
        path.push(step.clone());
        read_set(below, path, fields);
        path.pop();
    }
}

pub(crate) fn write(object: &mut Value, managers: &[Manager]) {
    let entries: Vec<Value> =
        managers.iter().filter(|manager| !manager.fields.is_empty()).map(entry).collect();
    if entries.is_empty() {
        take(object, &["metadata", "managedFields"]);
    } else {
        put(object, &["metadata", "managedFields"], entries);
    }
}

fn entry(manager: &Manager) -> Value {
    let mut tree = json!({});
    for path in &manager.fields {
        let mut place = &mut tree;
        for step in path {
            place = map_of(place).entry(step.as_str()).or_insert_with(|| json!({}));
        }
        // An item of a list with fields below it says by a dot that it is owned itself.
        let has_below =
            manager.fields.range(path.clone()..).nth(1).is_some_and(|next| next.starts_with(path));
        if has_below {
            map_of(place).insert(".".to_owned(), json!({}));
        }
    }
    let mut entry = json!({
        "manager": manager.name, "operation": if manager.apply { "Apply" } else { "Update" },
        "apiVersion": manager.api_version, "time": manager.time, "fieldsType": "FieldsV1", "fieldsV1": tree,
    });
    if manager.time.is_empty() {
        take(&mut entry, &["time"]);
    }
    if !manager.subresource.is_empty() {
        put(&mut entry, &["subresource"], manager.subresource.as_str());
    }
    entry
}

/// Notes what a write that is no apply changed: it takes those fields from whoever had them. Who had what stands in
/// `new`, since clients may correct it.
pub(crate) fn note_update(old: &Value, new: &mut Value, shape: Shape<'_>, writer: &Writer) {
    let (before, after) = (leaves(old, shape), leaves(new, shape));
    let mut managers = read(new);
    let changed: Fields = after
        .iter()
        .filter(|(path, value)| before.get(*path) != Some(*value))
        .map(|(path, _)| path.clone())
        .collect();
    let (held, holds) = (holders(old, shape), holders(new, shape));
    let made: Fields = holds.difference(&held).cloned().collect();
    let mut removed: Fields = before.keys().filter(|path| !after.contains_key(*path)).cloned().collect();
    removed.extend(held.difference(&holds).cloned());
    if !changed.is_empty() || !removed.is_empty() {
        for manager in &mut managers {
            manager.fields.retain(|path| !removed.contains(path));
            if !writer.is(manager, false) {
                manager.fields.retain(|path| !changed.contains(path) || is_item(path));
            }
        }
        if !changed.is_empty() {
            let mut entry = match managers.iter().position(|manager| writer.is(manager, false)) {
                Some(at) => managers.remove(at),
                None => writer.entry(false),
            };
            entry.fields.extend(changed);
            entry.fields.extend(made);
            entry.time = time_text(writer.now_ms);
            entry.api_version.clone_from(&writer.api_version);
            managers.push(entry);
        }
    }
    write(new, &managers);
}

/// Whether a path is an item of a list itself: any number of managers may own it.
fn is_item(path: &Path) -> bool {
    path.last().is_some_and(|step| !step.starts_with("f:"))
}

/// The fields an apply may not take without force, by manager.
pub(crate) fn conflicts(managers: &[Manager], wanted: &Fields, writer: &Writer) -> Vec<(String, Path)> {
    let mut found = Vec::new();
    for manager in managers.iter().filter(|manager| !writer.is(manager, true)) {
        let shared = manager.fields.intersection(wanted);
        found.extend(shared.map(|path| (described(manager), path.clone())));
    }
    found
}

fn described(manager: &Manager) -> String {
    let sub = if manager.subresource.is_empty() {
        String::new()
    } else {
        format!(" with subresource {:?}", manager.subresource)
    };
    if manager.apply {
        return format!("{:?}{sub}", manager.name);
    }
    format!("{:?}{sub} using {}", manager.name, manager.api_version)
}

/// After an apply: the writer owns `wanted` and nothing else, and nobody else owns what it `took`.
pub(crate) fn note_apply(
    new: &mut Value,
    mut managers: Vec<Manager>,
    wanted: Fields,
    took: &Fields,
    writer: &Writer,
    changes: bool,
) {
    let was = managers.iter().position(|manager| writer.is(manager, true));
    let mut entry = was.map_or_else(|| writer.entry(true), |at| managers.remove(at));
    // The time is that of a change of the object; who only comes to own what is there has none.
    if changes {
        entry.time = time_text(writer.now_ms);
    } else if entry.fields != wanted {
        entry.time.clear();
    }
    entry.fields = wanted;
    for manager in &mut managers {
        manager.fields.retain(|path| !took.contains(path));
    }
    managers.insert(was.unwrap_or(0), entry);
    write(new, &managers);
}

/// A path as conflicts show it: `.spec.replicas`.
pub(crate) fn shown(path: &Path) -> String {
    path.iter()
        .map(|step| match step.split_once(':') {
            Some(("f", name)) => format!(".{name}"),
            Some(("k", keys)) => {
                let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                let pairs: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                format!("[{}]", pairs.join(","))
            }
            Some((_, value)) => format!("[={value}]"),
            None => step.clone(),
        })
        .collect()
}
