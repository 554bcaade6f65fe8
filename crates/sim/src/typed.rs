//! Built-in objects as their types read them: what the types do not know goes, what does not fit is refused.

use crate::json::is_empty;
use k8s_openapi::api::{apps, authorization, coordination, core, discovery, events};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// Reads an object through its type and gives back what the type kept.
pub(crate) type Typed = fn(&Value) -> Result<Value, String>;

fn through<T: DeserializeOwned + Serialize>(value: &Value) -> Result<Value, String> {
    let read: T = serde_path_to(value)?;
    serde_json::to_value(read).map_err(|error| error.to_string())
}

fn serde_path_to<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    T::deserialize(value).map_err(|error| format!("json: {error}"))
}

pub(crate) const POD: Typed = through::<core::v1::Pod>;
pub(crate) const NODE: Typed = through::<core::v1::Node>;
pub(crate) const NAMESPACE: Typed = through::<core::v1::Namespace>;
pub(crate) const SERVICE: Typed = through::<core::v1::Service>;
pub(crate) const ENDPOINTS: Typed = through::<core::v1::Endpoints>;
pub(crate) const EVENT: Typed = through::<core::v1::Event>;
pub(crate) const SERVICE_ACCOUNT: Typed = through::<core::v1::ServiceAccount>;
pub(crate) const CONFIG_MAP: Typed = through::<core::v1::ConfigMap>;
pub(crate) const NEW_EVENT: Typed = through::<events::v1::Event>;
pub(crate) const ENDPOINT_SLICE: Typed = through::<discovery::v1::EndpointSlice>;
pub(crate) const LEASE: Typed = through::<coordination::v1::Lease>;
pub(crate) const DEPLOYMENT: Typed = through::<apps::v1::Deployment>;
pub(crate) const REPLICA_SET: Typed = through::<apps::v1::ReplicaSet>;
pub(crate) const STATEFUL_SET: Typed = through::<apps::v1::StatefulSet>;
pub(crate) const CRD: Typed = through::<apiextensions::v1::CustomResourceDefinition>;
pub(crate) const ACCESS_REVIEW: Typed = through::<authorization::v1::SelfSubjectAccessReview>;
/// The metadata of any object.
pub(crate) const METADATA: Typed = through::<ObjectMeta>;

/// Lists that stay where they are empty: the Go types write them out.
const KEPT_EMPTY: [&str; 4] = ["endpoints", "items", "enum", "default"];

/// Removes empty lists, as Go's `omitempty` does, and empty maps of the metadata.
pub(crate) fn drop_empty(object: &mut Value) {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.retain(|_, value| !is_empty(value));
    }
    drop_lists(object);
}

fn drop_lists(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, value| {
                !value.as_array().is_some_and(Vec::is_empty) || KEPT_EMPTY.contains(&key.as_str())
            });
            map.values_mut().for_each(drop_lists);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_lists),
        _ => {}
    }
}

/// The paths of `sent` that `kept` does not have.
pub(crate) fn unknown_fields(sent: &Value, kept: &Value, path: &str, unknown: &mut Vec<String>) {
    match (sent, kept) {
        (Value::Object(sent), Value::Object(kept)) => unknown_in_map(sent, kept, path, unknown),
        (Value::Array(sent), Value::Array(kept)) => {
            for (index, (sent, kept)) in sent.iter().zip(kept).enumerate() {
                unknown_fields(sent, kept, &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}

fn unknown_in_map(
    sent: &Map<String, Value>,
    kept: &Map<String, Value>,
    path: &str,
    unknown: &mut Vec<String>,
) {
    for (key, value) in sent {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match kept.get(key) {
            Some(kept) => unknown_fields(value, kept, &path, unknown),
            None if is_empty(value) => {}
            None => unknown.push(path),
        }
    }
}
