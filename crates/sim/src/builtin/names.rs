//! Names and metadata of any object.

use crate::failure::FieldError;
use crate::json::{at, items, text};
use crate::kinds::Kind;
use serde_json::{Value, json};

/// One part of a name: lower-case letters, digits and inner dashes.
fn is_label(name: &str) -> bool {
    let inner = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit();
    name.len() <= 63
        && name.starts_with(inner)
        && name.ends_with(inner)
        && name.chars().all(|one| inner(one) || one == '-')
}

fn is_subdomain(name: &str) -> bool {
    let inner = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit();
    let part = |part: &str| {
        part.starts_with(inner) && part.ends_with(inner) && part.chars().all(|one| inner(one) || one == '-')
    };
    name.len() <= 253 && name.split('.').all(part)
}

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
    '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
    start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
    alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
    validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

/// What is wrong with a name.
pub(crate) fn name_error(kind: &Kind, name: &str) -> Option<FieldError> {
    if name.is_empty() {
        return Some(FieldError::required("metadata.name", "name or generateName is required"));
    }
    let (fine, why) = if kind.is("namespaces") {
        (is_label(name), LABEL)
    } else if kind.is("services") {
        // Since 1.34 a Service's name may begin with a digit only behind a gate that is off.
        (is_label(name) && name.starts_with(|one: char| one.is_ascii_lowercase()), LABEL_1035)
    } else {
        (is_subdomain(name), SUBDOMAIN)
    };
    (!fine).then(|| FieldError::invalid("metadata.name", &json!(name), why))
}

/// A label's or annotation's key: an optional subdomain, a slash, a name.
fn is_key(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    prefix.is_none_or(is_subdomain) && is_value(name) && !name.is_empty()
}

fn is_value(value: &str) -> bool {
    let inner = |one: char| one.is_ascii_alphanumeric();
    value.is_empty()
        || (value.len() <= 63
            && value.starts_with(inner)
            && value.ends_with(inner)
            && value.chars().all(|one| inner(one) || "-_.".contains(one)))
}

/// Annotations together may not be larger.
const MOST_ANNOTATIONS: usize = 256 * 1024;

/// What is wrong with labels, annotations, owners and finalizers.
pub(crate) fn metadata_errors(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let map = |key: &str| at(object, &["metadata", key]).as_object().into_iter().flatten();
    for (key, value) in map("labels") {
        let value = value.as_str().unwrap_or_default();
        if !is_key(key) {
            errors.push(FieldError::invalid(
                "metadata.labels",
                &json!(key),
                "name part must be a qualified name",
            ));
        }
        if !is_value(value) {
            errors.push(FieldError::invalid("metadata.labels", &json!(value), "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"));
        }
    }
    for (key, _) in map("annotations") {
        if !is_key(&key.to_lowercase()) {
            errors.push(FieldError::invalid(
                "metadata.annotations",
                &json!(key),
                "name part must be a qualified name",
            ));
        }
    }
    let size: usize =
        map("annotations").map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if size > MOST_ANNOTATIONS {
        let why = format!("may not be more than {MOST_ANNOTATIONS} bytes");
        errors.push(FieldError::too_long("metadata.annotations", &why));
    }
    errors.extend(owner_errors(object));
    errors
}

fn owner_errors(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, owner) in items(object, &["metadata", "ownerReferences"]).iter().enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if text(owner, &[field]).is_none() {
                let path = format!("metadata.ownerReferences[{index}].{field}");
                errors.push(FieldError::invalid(path, &json!(""), &format!("{field} must not be empty")));
            }
        }
    }
    for finalizer in items(object, &["metadata", "finalizers"]) {
        let name = finalizer.as_str().unwrap_or_default();
        let known = ["kubernetes", "orphan", "foregroundDeletion"].contains(&name);
        if !is_key(name) || (!known && !name.contains('/')) {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid("metadata.finalizers", finalizer, why));
        }
    }
    errors
}
