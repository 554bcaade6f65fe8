//! The CRD, made from the Rust types and put into the form that users of `kubectl` expect.

use super::spec::ActiveStandby;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

/// The CRD of `ActiveStandby`.
pub fn crd() -> CustomResourceDefinition {
    let mut crd = ActiveStandby::crd();
    for version in &mut crd.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            forbid_null(schema);
            if let Some(status) =
                schema.properties.as_mut().and_then(|properties| properties.get_mut("status"))
            {
                forget_defaults(status);
                // Tools that wait for a resource take one without status for ready: this one says that it was not looked at.
                status.default = Some(JSON(serde_json::json!({"observedGeneration": -1})));
            }
        }
    }
    crd
}

/// Without `nullable` the API server replaces a `null` by the default where there is one and drops it where
/// there is none, as if it had not been given. With it, a `null` would be stored, and `has(self.httpGet)` would be true of `httpGet: null`.
fn forbid_null(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        forbid_null(property);
    }
    match schema.items.as_mut() {
        Some(JSONSchemaPropsOrArray::Schema(items)) => forbid_null(items),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(forbid_null),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = schema.additional_properties.as_mut() {
        forbid_null(values);
    }
}

/// In a status, a missing value is missing: the API server shall not fill in an empty text.
fn forget_defaults(schema: &mut JSONSchemaProps) {
    schema.default = None;
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        forget_defaults(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = schema.items.as_mut() {
        forget_defaults(items);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn schema() -> Value {
        let crd = serde_json::to_value(crd()).unwrap();
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
    }

    /// kstatus (Flux, Helm 4) takes an object without status for ready, and one whose generation was not observed for waiting.
    #[test]
    fn group_that_nobody_looked_at_does_not_count_as_ready() {
        assert_eq!(
            schema()["properties"]["status"]["default"],
            serde_json::json!({"observedGeneration": -1})
        );
    }

    /// What makes a schema structural, as far as ours could break it: a type everywhere, none inside anyOf.
    fn walk(path: &str, schema: &Value) {
        assert!(schema.get("nullable").is_none(), "{path} is nullable");
        assert!(schema.get("oneOf").is_none() && schema.get("allOf").is_none(), "{path} has branches");
        let int_or_string = schema.get("x-kubernetes-int-or-string").is_some();
        assert!(int_or_string || schema.get("type").is_some_and(Value::is_string), "{path} has no type");
        assert!(int_or_string || schema.get("anyOf").is_none(), "{path} has branches");
        assert!(
            path.is_empty()
                || path.contains(".metadata")
                || schema.get("description").is_some()
                || path.ends_with("[]")
                || path.ends_with("{}"),
            "{path} is not described"
        );
        if let Some(format) = schema.get("format").and_then(Value::as_str) {
            assert!(["int32", "int64", "date-time"].contains(&format), "{path}: {format}");
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if !(path.is_empty() && ["metadata", "apiVersion", "kind"].contains(&name.as_str())) {
                walk(&format!("{path}.{name}"), property);
            }
        }
        if let Some(items) = schema.get("items") {
            assert!(schema.get("x-kubernetes-list-type").is_some(), "{path} does not say how it is merged");
            walk(&format!("{path}[]"), items);
        }
        if let Some(values) = schema.get("additionalProperties") {
            walk(&format!("{path}{{}}"), values);
        }
    }

    #[test]
    fn schema_is_structural_and_described() {
        walk("", &schema());
    }

    #[test]
    fn defaults_are_whole_and_hold_the_rules() {
        let spec = schema()["properties"]["spec"].clone();
        let of = |path: &str| spec.pointer(path).cloned().unwrap_or_default();
        assert_eq!(of("/properties/detect/default/period"), "1s");
        assert_eq!(of("/properties/detect/default/timeout"), "500ms");
        assert_eq!(of("/properties/detect/properties/period/default"), "1s");
        assert_eq!(of("/properties/detect/properties/timeout/default"), "500ms");
        assert_eq!(of("/properties/detect/properties/failureThreshold/default"), 3);
        assert_eq!(of("/properties/election/default/mode"), "Controller");
        assert_eq!(of("/properties/failback/default/policy"), "Never");
        assert_eq!(
            of("/properties/candidates/properties/order/default"),
            serde_json::json!(["Priority", "NewestRevision", "LongestReady"])
        );
        // A group that nobody looked at must not count as ready; nothing else of a status is made up.
        let mut status = schema()["properties"]["status"].clone();
        let born = status.as_object_mut().unwrap().remove("default").unwrap();
        assert_eq!(born, serde_json::json!({"observedGeneration": -1}));
        assert!(!status.to_string().contains("\"default\""));
        let required = spec["required"].as_array().unwrap();
        assert_eq!(required, &["selector", "traffic"]);
    }
}
