//! How lists and maps merge: by the table for built-in kinds, by the schema for custom ones.

use crate::json::items;
use serde_json::Value;

/// What makes two items of a list the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListKind {
    /// The list is one value.
    Atomic,
    /// Each value once.
    Set,
    /// Items are told apart by these fields.
    Map(Vec<String>),
}

/// The built-in lists that merge: parent field (`*` for any), field, key of a strategic merge, keys of an apply.
/// A list that is not here is atomic.
const LISTS: [(&str, &str, &str, &[&str]); 22] = [
    ("*", "containers", "name", &["name"]),
    ("*", "initContainers", "name", &["name"]),
    ("*", "ephemeralContainers", "name", &["name"]),
    ("containers", "ports", "containerPort", &["containerPort", "protocol"]),
    ("initContainers", "ports", "containerPort", &["containerPort", "protocol"]),
    ("spec", "ports", "port", &["port", "protocol"]),
    ("*", "env", "name", &["name"]),
    ("*", "volumes", "name", &["name"]),
    ("*", "volumeMounts", "mountPath", &["mountPath"]),
    ("*", "volumeDevices", "devicePath", &["devicePath"]),
    ("*", "conditions", "type", &["type"]),
    ("*", "ownerReferences", "uid", &["uid"]),
    ("*", "finalizers", "", &[]),
    ("status", "addresses", "type", &["type"]),
    ("*", "podIPs", "ip", &["ip"]),
    ("*", "hostAliases", "ip", &["ip"]),
    ("*", "imagePullSecrets", "name", &["name"]),
    ("*", "secrets", "name", &["name"]),
    ("*", "schedulingGates", "name", &["name"]),
    ("*", "resourceClaims", "name", &["name"]),
    ("*", "podCIDRs", "", &[]),
    ("*", "topologySpreadConstraints", "topologyKey", &["topologyKey", "whenUnsatisfiable"]),
];

/// Built-in maps that are one value to an apply.
const ATOMIC_MAPS: [&str; 6] =
    ["selector", "nodeSelector", "targetRef", "involvedObject", "regarding", "nodeSelectorTerms"];

fn row(
    parent: &str,
    field: &str,
) -> Option<&'static (&'static str, &'static str, &'static str, &'static [&'static str])> {
    LISTS.iter().find(|(of, name, _, _)| *name == field && (*of == "*" || *of == parent))
}

/// The merge key of a strategic merge: `None` replaces the list, `Some("")` unites values.
pub(crate) fn merge_key(parent: &str, field: &str) -> Option<&'static str> {
    row(parent, field).map(|(_, _, key, _)| *key)
}

/// Where in an object one is, as far as merging needs to know it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape<'a> {
    /// By the table: parent field and field.
    Table(&'a str, &'a str),
    /// By a schema.
    Schema(&'a Value),
}

impl<'a> Shape<'a> {
    /// The shape of a whole object.
    pub(crate) fn root(schema: Option<&'a Value>) -> Self {
        schema.map_or(Self::Table("", ""), Self::Schema)
    }

    /// The shape of a field; metadata is the same for all kinds.
    pub(crate) fn field(self, name: &'a str) -> Self {
        match self {
            Self::Table(_, here) => Self::Table(here, name),
            Self::Schema(schema) => schema
                .get("properties")
                .and_then(|properties| properties.get(name))
                .or_else(|| schema.get("additionalProperties").filter(|more| more.is_object()))
                .filter(|property| name != "metadata" || property.get("properties").is_some())
                .map_or(Self::Table("", name), Self::Schema),
        }
    }

    /// The shape of a list's items.
    pub(crate) fn item(self) -> Self {
        match self {
            Self::Table(parent, here) => Self::Table(parent, here),
            Self::Schema(schema) => schema.get("items").map_or(Self::Table("", ""), Self::Schema),
        }
    }

    pub(crate) fn list(self) -> ListKind {
        match self {
            Self::Table(parent, field) => match row(parent, field) {
                Some((_, _, "", _)) => ListKind::Set,
                Some((_, _, _, keys)) => ListKind::Map(keys.iter().map(|key| (*key).to_owned()).collect()),
                None => ListKind::Atomic,
            },
            Self::Schema(schema) => match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
                Some("set") => ListKind::Set,
                Some("map") => {
                    let keys = items(schema, &["x-kubernetes-list-map-keys"]).iter();
                    ListKind::Map(keys.filter_map(|key| key.as_str().map(str::to_owned)).collect())
                }
                _ => ListKind::Atomic,
            },
        }
    }

    pub(crate) fn is_atomic_map(self) -> bool {
        match self {
            Self::Table(_, field) => ATOMIC_MAPS.contains(&field),
            Self::Schema(schema) => {
                schema.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic")
            }
        }
    }
}

/// The values of an item's keys; a port without protocol is a TCP port.
pub(crate) fn key_values(item: &Value, keys: &[String]) -> Vec<(String, Value)> {
    keys.iter()
        .map(|key| {
            let absent = || if key == "protocol" { Value::from("TCP") } else { Value::Null };
            (key.clone(), item.get(key).cloned().unwrap_or_else(absent))
        })
        .collect()
}
