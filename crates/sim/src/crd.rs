//! Custom resource definitions: what they make of a kind, and what they do to its objects.

use crate::clock::time_text;
use crate::failure::FieldError;
use crate::json::{at, items, put, put_default, text};
use crate::kinds::{Kind, Subresource};
use crate::rows::CUSTOM;
use crate::schema::{self, Rules};
use crate::table::custom_columns;
use serde_json::{Value, json};
use std::borrow::Cow;

/// What a CRD's version says of its objects.
#[derive(Debug)]
pub(crate) struct Custom {
    pub(crate) schema: Value,
    rules: Rules,
}

impl Custom {
    /// Drops what the schema does not know, names it, and fills in defaults.
    pub(crate) fn shape(&self, object: &mut Value) -> Vec<String> {
        let mut unknown = Vec::new();
        schema::prune(object, &self.schema, true, "", &mut unknown);
        schema::prune_nulls(object, &self.schema);
        self.fill(object);
        unknown
    }

    /// Fills in defaults.
    pub(crate) fn fill(&self, object: &mut Value) {
        schema::default(object, &self.schema);
    }

    /// What is wrong with an object.
    pub(crate) fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        schema::validate(object, &self.schema, "", &mut errors);
        if errors.iter().any(FieldError::blocks_rules) {
            errors.push(FieldError::rules_not_checked());
        } else {
            self.rules.check(object, "", &mut errors);
        }
        errors
    }
}

/// Fills in what a CRD leaves out.
pub(crate) fn default(crd: &mut Value) {
    if let Some(kind) = text(crd, &["spec", "names", "kind"]).map(str::to_owned) {
        put_default(crd, &["spec", "names", "singular"], kind.to_lowercase());
        put_default(crd, &["spec", "names", "listKind"], format!("{kind}List"));
    }
    put_default(crd, &["spec", "conversion"], json!({"strategy": "None"}));
}

/// The status of a CRD that was just made.
pub(crate) fn begin(crd: &mut Value) {
    let stored = stored_versions(crd);
    let status = json!({
        "acceptedNames": {"kind": "", "plural": ""}, "conditions": null, "storedVersions": stored,
    });
    put(crd, &["status"], status);
}

fn stored_versions(crd: &Value) -> Vec<Value> {
    items(crd, &["spec", "versions"])
        .iter()
        .filter(|version| at(version, &["storage"]) == true)
        .map(|version| at(version, &["name"]).clone())
        .collect()
}

/// The status of a CRD that is in force.
pub(crate) fn establish(crd: &mut Value, now_ms: i64) {
    let now = time_text(now_ms);
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now,
        })
    };
    let names = at(crd, &["spec", "names"]).clone();
    let stored = stored_versions(crd);
    if items(crd, &["status", "conditions"]).is_empty() {
        let conditions = [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ];
        put(crd, &["status", "conditions"], conditions.to_vec());
    }
    put(crd, &["status", "acceptedNames"], names);
    put(crd, &["status", "storedVersions"], stored);
}

/// What is wrong with a CRD, as far as the model looks.
pub(crate) fn validate(crd: &Value) -> Vec<FieldError> {
    kinds(crd).err().unwrap_or_default()
}

/// The kinds a CRD makes: one for each served version.
pub(crate) fn kinds(crd: &Value) -> Result<Vec<Kind>, Vec<FieldError>> {
    let mut errors = Vec::new();
    let mut made = Vec::new();
    let names = ["plural", "singular", "kind", "listKind"].map(|name| vec!["spec", "names", name]);
    for path in std::iter::once(vec!["spec", "group"]).chain(names) {
        if text(crd, &path).is_none() {
            errors.push(FieldError::required(path.join("."), ""));
        }
    }
    let scopes = ["Cluster", "Namespaced"].map(str::to_owned);
    let scope = at(crd, &["spec", "scope"]);
    if !scopes.iter().any(|known| scope == known.as_str()) {
        errors.push(FieldError::not_supported("spec.scope", scope, &scopes));
    }
    let group = text(crd, &["spec", "group"]).unwrap_or_default();
    let plural = text(crd, &["spec", "names", "plural"]).unwrap_or_default();
    let name = at(crd, &["metadata", "name"]);
    if name.as_str() != Some(format!("{plural}.{group}").as_str()) {
        let why = "must be spec.names.plural+\".\"+spec.group";
        errors.push(FieldError::invalid("metadata.name", name, why));
    }
    let versions = items(crd, &["spec", "versions"]);
    if versions.iter().filter(|version| at(version, &["storage"]) == true).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid("spec.versions", at(crd, &["spec", "versions"]), why));
    }
    for (index, version) in versions.iter().enumerate() {
        let path = format!("spec.versions[{index}]");
        let kind = kind(crd, version, &path, &mut errors);
        if at(version, &["served"]) == true {
            made.push(kind);
        }
    }
    if errors.is_empty() { Ok(made) } else { Err(errors) }
}

fn kind(crd: &Value, version: &Value, path: &str, errors: &mut Vec<FieldError>) -> Kind {
    // A CRD with one version is checked as if it had none.
    let only = items(crd, &["spec", "versions"]).len() == 1;
    let root = if only {
        "spec.validation.openAPIV3Schema".to_owned()
    } else {
        format!("{path}.schema.openAPIV3Schema")
    };
    let schema = at(version, &["schema", "openAPIV3Schema"]);
    if schema.is_null() {
        errors.push(FieldError::required(format!("{path}.schema.openAPIV3Schema"), ""));
    }
    schema::untyped(schema, &root, errors);
    let mut unknown = Vec::new();
    schema::unknown_words(schema, &root, &mut unknown);
    errors.extend(unknown.into_iter().map(|word| FieldError::forbidden(word, "the model does not know it")));
    let rules = schema::compile(schema, &root, errors);
    for (index, column) in items(version, &["additionalPrinterColumns"]).iter().enumerate() {
        let json_path = text(column, &["jsonPath"]).unwrap_or_default();
        if !crate::jsonpath::is_valid(json_path) {
            let place = if only { "spec" } else { path };
            let place = format!("{place}.additionalPrinterColumns[{index}].JSONPath");
            errors.push(FieldError::invalid(
                place,
                &json!(json_path),
                "must be a simple json path starting with .",
            ));
        }
    }
    let name = |key: &str| Cow::Owned(text(crd, &["spec", "names", key]).unwrap_or_default().to_owned());
    let names = |key: &str| {
        let listed = items(crd, &["spec", "names", key]).iter().filter_map(Value::as_str);
        listed.map(|name| Cow::Owned(name.to_owned())).collect()
    };
    let mut subresources = Vec::new();
    if at(version, &["subresources", "status"]).is_object() {
        subresources.push(Subresource::Status);
    }
    let group = text(crd, &["spec", "group"]).unwrap_or_default().to_owned();
    Kind {
        storage: format!("{}.{group}", name("plural")).as_str().into(),
        group: group.into(),
        version: text(version, &["name"]).unwrap_or_default().to_owned().into(),
        plural: name("plural"),
        singular: name("singular"),
        kind: name("kind"),
        list_kind: name("listKind"),
        short_names: names("shortNames"),
        categories: names("categories"),
        namespaced: text(crd, &["spec", "scope"]) == Some("Namespaced"),
        subresources,
        ways: CUSTOM,
        typed: None,
        custom: Some(Custom { schema: schema.clone(), rules }),
        columns: custom_columns(version),
        create_only: false,
    }
}
