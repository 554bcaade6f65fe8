//! Refusals: `Status` objects with the reason, code, details and texts of the real server.

use crate::kinds::Kind;
use serde_json::{Value, json};

/// A refusal.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The HTTP status code.
    pub code: u16,
    /// `Status.reason`.
    pub reason: &'static str,
    /// `Status.message`.
    pub message: String,
    /// `Status.details`; `null` for none.
    pub details: Value,
    /// Where a list may go on all the same.
    pub next: Option<String>,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FieldError {
    field: String,
    reason: &'static str,
    body: String,
}

/// A value as it stands in an error text.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

impl FieldError {
    fn new(field: impl Into<String>, reason: &'static str, head: String, detail: &str) -> Self {
        let body = if detail.is_empty() { head } else { format!("{head}: {detail}") };
        Self { field: field.into(), reason, body }
    }

    pub(crate) fn required(field: impl Into<String>, detail: &str) -> Self {
        Self::new(field, "FieldValueRequired", "Required value".to_owned(), detail)
    }

    pub(crate) fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::new(field, "FieldValueInvalid", format!("Invalid value: {}", shown(value)), detail)
    }

    /// Of a rule: what is no single value is not shown.
    pub(crate) fn broken_rule(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        if value.is_object() || value.is_array() {
            return Self::new(field, "FieldValueInvalid", "Invalid value".to_owned(), detail);
        }
        Self::invalid(field, value, detail)
    }

    pub(crate) fn wrong_type(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::new(field, "FieldValueTypeInvalid", format!("Invalid value: {}", shown(value)), detail)
    }

    pub(crate) fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self::new(field, "FieldValueForbidden", "Forbidden".to_owned(), detail)
    }

    pub(crate) fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::new(field, "FieldValueDuplicate", format!("Duplicate value: {}", shown(value)), "")
    }

    /// With the value as it is to be shown.
    pub(crate) fn duplicate_of(field: impl Into<String>, shown: &str) -> Self {
        Self::new(field, "FieldValueDuplicate", format!("Duplicate value: {shown}"), "")
    }

    pub(crate) fn too_long(field: impl Into<String>, detail: &str) -> Self {
        Self::new(field, "FieldValueTooLong", "Too long".to_owned(), detail)
    }

    pub(crate) fn too_many(field: impl Into<String>, have: usize, most: u64) -> Self {
        let detail = format!("must have at most {most} items");
        Self::new(field, "FieldValueTooMany", format!("Too many: {have}"), &detail)
    }

    pub(crate) fn not_supported(field: impl Into<String>, value: &Value, known: &[String]) -> Self {
        let known: Vec<String> = known.iter().map(|one| format!("{one:?}")).collect();
        let detail = format!("supported values: {}", known.join(", "));
        Self::new(field, "FieldValueNotSupported", format!("Unsupported value: {}", shown(value)), &detail)
    }
}

impl FieldError {
    /// Whether rules are not even asked where this is wrong.
    pub(crate) fn blocks_rules(&self) -> bool {
        self.reason != "FieldValueInvalid" && self.reason != "FieldValueDuplicate"
    }

    /// Says that they were not asked.
    pub(crate) fn rules_not_checked() -> Self {
        let why = "some validation rules were not checked because the object was invalid; correct the existing \
                   errors to complete validation";
        Self::invalid("<nil>", &Value::Null, why)
    }
}

impl Failure {
    /// A refusal without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null, next: None }
    }

    fn of(kind: &Kind, name: &str, code: u16, reason: &'static str, message: String) -> Self {
        let details = details(&kind.group, &kind.plural, name);
        Self { details, ..Self::new(code, reason, message) }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        let message: String = message.into();
        let details = json!({"causes": [{"message": message}]});
        Self { details, ..Self::new(500, "InternalError", format!("Internal error occurred: {message}")) }
    }

    /// The group and version are known, the kind is not.
    pub(crate) fn no_resource() -> Self {
        let message = "the server could not find the requested resource";
        Self { details: json!({}), ..Self::new(404, "NotFound", message) }
    }

    /// A patch of a media type that nobody knows.
    pub(crate) fn unknown_patch() -> Self {
        Self { details: json!({}), ..Self::new(415, "UnsupportedMediaType", "415: Unsupported Media Type") }
    }

    pub(crate) fn not_found(kind: &Kind, name: &str) -> Self {
        Self::of(kind, name, 404, "NotFound", format!("{} {name:?} not found", kind.qualified()))
    }

    pub(crate) fn already_exists(kind: &Kind, name: &str) -> Self {
        Self::of(kind, name, 409, "AlreadyExists", format!("{} {name:?} already exists", kind.qualified()))
    }

    pub(crate) fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", kind.qualified());
        Self::of(kind, name, 409, "Conflict", message)
    }

    /// A DELETE whose precondition did not hold: the real server names the kind here, not the plural.
    pub(crate) fn delete_conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let qualified = qualified(&kind.kind, &kind.group);
        let message = format!("Operation cannot be fulfilled on {qualified} {name:?}: {why}");
        Self { details: details(&kind.group, &kind.kind, name), ..Self::new(409, "Conflict", message) }
    }

    /// A POST over what is there.
    pub(crate) fn in_the_way(kind: &Kind, name: &str, existing: &Value) -> Self {
        let failure = Self::already_exists(kind, name);
        if crate::json::at(existing, &["metadata", "deletionTimestamp"]).is_null() {
            return failure;
        }
        Self { message: format!("object is being deleted: {}", failure.message), ..failure }
    }

    /// A query parameter that is no number.
    pub(crate) fn no_number(text: &str) -> Self {
        Self::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
    }

    pub(crate) fn stale(kind: &Kind, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(kind, name, why)
    }

    pub(crate) fn forbidden(kind: &Kind, name: &str, why: &str) -> Self {
        let named = if name.is_empty() { kind.qualified() } else { format!("{} {name:?}", kind.qualified()) };
        Self::of(kind, name, 403, "Forbidden", format!("{named} is forbidden: {why}"))
    }

    /// `kind` is the kind's name, as the real server has it here.
    pub(crate) fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        // What is said twice stands twice in the causes, but once in the text.
        let mut texts: Vec<String> = Vec::new();
        for error in errors {
            let text = format!("{}: {}", error.field, error.body);
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let why = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let causes: Vec<Value> = errors
            .iter()
            .map(|error| json!({"reason": error.reason, "message": error.body, "field": error.field}))
            .collect();
        let mut details = details(group, kind, name);
        crate::json::put(&mut details, &["causes"], causes);
        let message = format!("{} {name:?} is invalid: {why}", qualified(kind, group));
        Self { details, ..Self::new(422, "Invalid", message) }
    }

    pub(crate) fn invalid_object(kind: &Kind, name: &str, errors: &[FieldError]) -> Self {
        // Events of both APIs are stored, and so refused, as those of the older one.
        let group = if kind.is("events") { "" } else { &kind.group };
        Self::invalid(group, &kind.kind, name, errors)
    }

    /// Of a custom kind's path.
    pub(crate) fn not_supported(kind: &Kind, verb: &str) -> Self {
        let message = format!("{verb} is not supported on resources of kind {:?}", kind.qualified());
        Self::of(kind, "", 405, "MethodNotAllowed", message)
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self { details: json!({}), ..Self::new(405, "MethodNotAllowed", message) }
    }

    pub(crate) fn unsupported_media(known: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            known.join(", ")
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    pub(crate) fn not_acceptable() -> Self {
        let message = "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, \
                       application/vnd.kubernetes.protobuf, application/json;stream=watch, \
                       application/vnd.kubernetes.protobuf;stream=watch";
        Self { details: json!({}), ..Self::new(406, "NotAcceptable", message) }
    }

    pub(crate) fn body_too_large(most: usize) -> Self {
        let message = format!("Request entity too large: limit is {most}");
        Self::new(413, "RequestEntityTooLarge", message)
    }

    /// The version is compacted away.
    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    pub(crate) fn too_old(version: u64, oldest: u64) -> Self {
        Self::expired(format!("too old resource version: {version} ({oldest})"))
    }

    /// The version does not exist yet.
    pub(crate) fn too_large_version(wanted: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {wanted}, current: {current}");
        let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
        let details = json!({"causes": [cause], "retryAfterSeconds": 1});
        Self { details, ..Self::new(504, "Timeout", format!("Timeout: {message}")) }
    }

    /// The `Status` object.
    pub fn body(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if let Some(next) = &self.next {
            crate::json::put(&mut status, &["metadata", "continue"], next.as_str());
        }
        if !self.reason.is_empty() {
            crate::json::put(&mut status, &["reason"], self.reason);
        }
        if !self.details.is_null() {
            crate::json::put(&mut status, &["details"], self.details.clone());
        }
        status
    }
}

/// A name with its group, as in `leases.coordination.k8s.io`.
pub(crate) fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

fn details(group: &str, kind: &str, name: &str) -> Value {
    let mut details = json!({});
    for (key, text) in [("name", name), ("group", group), ("kind", kind)] {
        if !text.is_empty() {
            crate::json::put(&mut details, &[key], text);
        }
    }
    details
}
