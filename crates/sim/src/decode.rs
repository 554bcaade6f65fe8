//! From a body to an object that may be stored: read, checked against its kind, pruned, filled up.

use crate::builtin;
use crate::failure::Failure;
use crate::json::{at, put, put_or_take};
use crate::kinds::{Kind, said_kind};
use crate::message::Request;
use crate::typed;
use serde_json::{Value, json};

/// What becomes of unknown fields (`fieldValidation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    Ignore,
    Warn,
    Refuse,
}

/// Reads `fieldValidation`; the default is to warn.
pub(crate) fn field_validation(request: &Request) -> Result<Unknown, Failure> {
    match request.param("fieldValidation") {
        "Strict" => Ok(Unknown::Refuse),
        "" | "Warn" => Ok(Unknown::Warn),
        "Ignore" => Ok(Unknown::Ignore),
        other => {
            let known = ["", "Ignore", "Strict", "Warn"].map(str::to_owned);
            let error = crate::failure::FieldError::not_supported("fieldValidation", &json!(other), &known);
            Err(Failure::invalid("meta.k8s.io", "CreateOptions", "", &[error]))
        }
    }
}

/// The JSON of a body; YAML where it says so.
pub(crate) fn body(request: &Request) -> Result<Value, Failure> {
    if let Ok(value) = serde_json::from_slice(&request.body) {
        return Ok(value);
    }
    if request.content_type.contains("protobuf")
        && let Some(value) = crate::protobuf::read(&request.body)
    {
        return Ok(value);
    }
    if request.content_type.contains("yaml") {
        return serde_norway::from_slice(&request.body)
            .map_err(|why| Failure::bad_request(format!("error decoding YAML: {why}")));
    }
    if !request.content_type.contains("json") && !request.content_type.is_empty() {
        return Err(Failure::unsupported_media(&["application/json", "application/yaml"]));
    }
    match serde_json::from_slice::<Value>(&request.body) {
        Ok(value) => Ok(value),
        Err(why) => Err(Failure::bad_request(format!("the object provided is unrecognized: {why}"))),
    }
}

/// Fills in `kind` and `apiVersion`, or refuses another kind than the path's.
pub(crate) fn check_kind(kind: &Kind, object: &mut Value) -> Result<(), Failure> {
    if !object.is_object() {
        return Err(Failure::bad_request("the body is no object"));
    }
    let (said_version, said) = said_kind(object);
    let wanted = kind.api_version();
    if !said_version.is_empty() && said_version != wanted {
        return Err(Failure::bad_request(format!(
            "the API version in the data ({said_version}) does not match the expected API version ({wanted})"
        )));
    }
    if !said.is_empty() && said != kind.kind {
        return Err(Failure::bad_request(format!(
            "{said} in version {:?} cannot be handled as a {}: no kind {said:?} is registered for version {wanted:?} in \
             scheme",
            kind.version, kind.kind
        )));
    }
    put(object, &["apiVersion"], wanted);
    put(object, &["kind"], kind.kind.as_ref());
    Ok(())
}

/// An object as it would be stored, and the fields nobody knows.
pub(crate) struct Shaped {
    pub(crate) object: Value,
    pub(crate) unknown: Vec<String>,
}

/// Prunes and fills up an object of this kind, in the version of the path.
pub(crate) fn shape(kind: &Kind, mut object: Value) -> Result<Shaped, Failure> {
    check_kind(kind, &mut object)?;
    let cannot = |why: String| {
        let head =
            format!("{} in version {:?} cannot be handled as a {}", kind.kind, kind.version, kind.kind);
        Failure::bad_request(format!("{head}: {why}"))
    };
    let mut unknown = Vec::new();
    let mut kept = match (kind.typed, &kind.custom) {
        (Some(typed), _) => {
            let mut kept = typed(&object).map_err(cannot)?;
            typed::unknown_fields(&object, &kept, "", &mut unknown);
            typed::drop_empty(&mut kept);
            kept
        }
        (None, Some(custom)) => {
            let metadata = at(&object, &["metadata"]).clone();
            let metadata = if metadata.is_null() { json!({}) } else { metadata };
            let mut slim = typed::METADATA(&metadata).map_err(cannot)?;
            typed::unknown_fields(&metadata, &slim, "metadata", &mut unknown);
            if let Value::Object(map) = &mut slim {
                map.retain(|_, value| !crate::json::is_empty(value));
            }
            put(&mut object, &["metadata"], slim);
            unknown.extend(custom.shape(&mut object));
            object
        }
        (None, None) => object,
    };
    kept = kind.stored(kept);
    builtin::default(kind, &mut kept);
    Ok(Shaped { object: kept, unknown })
}

/// What happens to unknown fields: nothing, a warning each, or a refusal.
pub(crate) fn judge(
    kind: &Kind,
    unknown: &[String],
    judgement: Unknown,
    warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    let texts: Vec<String> = unknown.iter().map(|field| format!("unknown field {field:?}")).collect();
    match judgement {
        _ if texts.is_empty() => Ok(()),
        Unknown::Ignore => Ok(()),
        Unknown::Warn => {
            warnings.extend(texts);
            Ok(())
        }
        Unknown::Refuse => {
            let all = texts.join(", ");
            Err(Failure::bad_request(format!(
                "{} in version {:?} cannot be handled as a {}: strict decoding error: {all}",
                kind.kind, kind.version, kind.kind
            )))
        }
    }
}

/// Takes over from `old` what only the server may write.
pub(crate) fn keep(object: &mut Value, old: &Value, paths: &[&[&str]]) {
    for path in paths {
        put_or_take(object, path, at(old, path));
    }
}
