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

/// What is wrong with a subdomain.
fn subdomain_error(name: &str) -> Option<&'static str> {
    match name {
        name if name.len() > 253 => Some("must be no more than 253 characters"),
        name if !is_subdomain(name) => Some(SUBDOMAIN),
        _ => None,
    }
}

/// What is wrong with one part of a name.
pub(crate) fn label_error(name: &str) -> Option<&'static str> {
    match name {
        name if name.len() > 63 => Some("must be no more than 63 characters"),
        name if is_label(name) => None,
        name if name.contains('.') => Some("must not contain dots"),
        _ => Some(LABEL),
    }
}

/// What is wrong with a node's name.
pub(crate) fn node_error(name: &str) -> Option<&'static str> {
    subdomain_error(name)
}

/// What is wrong with a name.
pub(crate) fn name_errors(kind: &Kind, object: &Value, name: &str) -> Vec<FieldError> {
    let wrong = |name: &str| {
        if kind.is("namespaces") {
            label_error(name)
        } else if kind.is("services") {
            // Since 1.34 a Service's name may begin with a digit only behind a gate that is off.
            match label_error(name) {
                None if name.starts_with(|one: char| one.is_ascii_lowercase()) => None,
                _ => Some(LABEL_1035),
            }
        } else {
            subdomain_error(name)
        }
    };
    let mut errors = Vec::new();
    if let Some(prefix) = text(object, &["metadata", "generateName"]) {
        // A dash at its end is fine: more comes behind it.
        let masked = prefix.strip_suffix('-').map_or_else(|| prefix.to_owned(), |head| format!("{head}a"));
        errors.extend(
            wrong(&masked).map(|why| FieldError::invalid("metadata.generateName", &json!(prefix), why)),
        );
    }
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else {
        errors.extend(wrong(name).map(|why| FieldError::invalid("metadata.name", &json!(name), why)));
    }
    errors
}

const NAME_PART: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
    alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
    '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex \
    used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// What is wrong with a label's or annotation's key: an optional subdomain, a slash, a name.
pub(crate) fn key_errors(key: &str) -> Vec<String> {
    let (prefix, name) = match key.split('/').collect::<Vec<_>>().as_slice() {
        [name] => (None, *name),
        [prefix, name] => (Some(*prefix), *name),
        _ => {
            return vec![format!(
                "a valid label key {NAME_PART} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    let mut errors = Vec::new();
    match prefix {
        Some("") => errors.push("prefix part must be non-empty".to_owned()),
        Some(prefix) => errors.extend(subdomain_error(prefix).map(|why| format!("prefix part {why}"))),
        None => {}
    }
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        errors.push("name part must be no more than 63 characters".to_owned());
    }
    if name.is_empty() || !is_part(name) {
        errors.push(format!("name part {NAME_PART}"));
    }
    errors
}

fn is_part(value: &str) -> bool {
    let inner = |one: char| one.is_ascii_alphanumeric();
    value.starts_with(inner)
        && value.ends_with(inner)
        && value.chars().all(|one| inner(one) || "-_.".contains(one))
}

fn value_error(value: &str) -> Option<&'static str> {
    match value {
        "" => None,
        value if value.len() > 63 => Some("must be no more than 63 characters"),
        value if !is_part(value) => Some(LABEL_VALUE),
        _ => None,
    }
}

/// What is wrong with labels, wherever they stand.
pub(crate) fn label_errors(labels: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, value) in labels.as_object().into_iter().flatten() {
        errors.extend(key_errors(key).iter().map(|why| FieldError::invalid(path, &json!(key), why)));
        let value = value.as_str().unwrap_or_default();
        errors.extend(value_error(value).map(|why| FieldError::invalid(path, &json!(value), why)));
    }
    errors
}

/// Annotations together may not be larger.
const MOST_ANNOTATIONS: usize = 256 * 1024;

/// What is wrong with labels, annotations, owners and finalizers.
pub(crate) fn metadata_errors(object: &Value) -> Vec<FieldError> {
    let mut errors = label_errors(at(object, &["metadata", "labels"]), "metadata.labels");
    let annotations = || at(object, &["metadata", "annotations"]).as_object().into_iter().flatten();
    for (key, _) in annotations() {
        let wrong = key_errors(&key.to_lowercase());
        errors.extend(wrong.iter().map(|why| FieldError::invalid("metadata.annotations", &json!(key), why)));
    }
    let size: usize = annotations().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if size > MOST_ANNOTATIONS {
        let why = format!("may not be more than {MOST_ANNOTATIONS} bytes");
        errors.push(FieldError::too_long("metadata.annotations", &why));
    }
    errors.extend(owner_errors(object));
    errors.extend(finalizer_errors(object));
    errors
}

fn owner_errors(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let owners = items(object, &["metadata", "ownerReferences"]);
    let path = "metadata.ownerReferences";
    let mut controller: Option<&str> = None;
    for owner in owners {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if text(owner, &[field]).is_none() {
                let why =
                    if field == "apiVersion" { "version must not be empty" } else { "must not be empty" };
                errors.push(FieldError::invalid(format!("{path}.{field}"), &json!(""), why));
            }
        }
        if text(owner, &["kind"]) == Some("Event") && text(owner, &["apiVersion"]) == Some("v1") {
            errors.push(FieldError::invalid(
                path,
                owner,
                "/v1, Kind=Event is disallowed from being an owner",
            ));
        }
        if at(owner, &["controller"]) == true {
            let name = text(owner, &["name"]).unwrap_or_default();
            if let Some(first) = controller {
                let why = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
                );
                errors.push(FieldError::invalid(path, &Value::from(owners), &why));
            }
            controller = controller.or(Some(name));
        }
    }
    errors
}

fn finalizer_errors(object: &Value) -> Vec<FieldError> {
    let listed = items(object, &["metadata", "finalizers"]);
    let name = |finalizer: &Value| finalizer.as_str().unwrap_or_default().to_owned();
    let path = "metadata.finalizers";
    let odd = listed.iter().flat_map(|finalizer| {
        let wrong = key_errors(&name(finalizer));
        wrong.into_iter().map(|why| FieldError::invalid(path, finalizer, &why))
    });
    let unknown = listed.iter().enumerate().filter_map(|(index, finalizer)| {
        let known = ["kubernetes", "orphan", "foregroundDeletion"].contains(&name(finalizer).as_str());
        let why = "name is neither a standard finalizer name nor is it fully qualified";
        let plain = !known && !name(finalizer).contains('/');
        plain.then(|| FieldError::invalid(format!("{path}[{index}]"), finalizer, why))
    });
    odd.chain(unknown).collect()
}
