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
        return Err(Failure::unsupported_media(&[
            "application/json",
            "application/yaml",
            "application/vnd.kubernetes.protobuf",
        ]));
    }
    match serde_json::from_slice::<Value>(&request.body) {
        Ok(value) => Ok(value),
        Err(why) => Err(Failure::bad_request(format!("the object provided is unrecognized: {why}"))),
    }
}

/// The body of a POST or PUT of this kind.
pub(crate) fn body_of(request: &Request, kind: &Kind) -> Result<Value, Failure> {
    let read = body(request);
    let bytes = &request.body;
    let json = request.content_type.is_empty() || request.content_type.contains("json");
    let why = match &read {
        _ if !json => return read,
        Err(_) => "couldn't get version/kind; json parse error: unexpected end of JSON input".to_owned(),
        Ok(Value::Object(map)) if kind.is_custom() && !map.contains_key("kind") => {
            format!("Object 'Kind' is missing in '{}'", String::from_utf8_lossy(bytes))
        }
        Ok(Value::Object(_)) => return read,
        Ok(other) => format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go value of type struct \
             {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \
             \"json:\\\"kind,omitempty\\\"\" }}",
            go_type(other)
        ),
    };
    let shown = beginning(bytes);
    let head = format!("the object provided is unrecognized (must be of type {})", kind.kind);
    Err(Failure::bad_request(format!("{head}: {why} ({shown})")))
}

/// The first bytes of a body, as errors show them.
fn beginning(bytes: &[u8]) -> String {
    const MOST: usize = 30;
    let head = bytes.get(..MOST.min(bytes.len())).unwrap_or_default();
    let more = if bytes.len() > MOST { " ..." } else { "" };
    match head.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(head)),
        Some(_) => {
            let hex: Vec<String> = head.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{}{more}", hex.concat())
        }
    }
}

/// What Go calls a JSON value.
pub(crate) fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Numbers that are whole are whole, however they are written.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(float) = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0)
                && let Ok(whole) = format!("{float:.0}").parse::<i64>()
            {
                *value = Value::from(whole);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

/// Fills in `kind` and `apiVersion`, or refuses another kind than the path's.
pub(crate) fn check_kind(kind: &Kind, object: &mut Value) -> Result<(), Failure> {
    if !object.is_object() {
        return Err(Failure::bad_request("the body is no object"));
    }
    let (said_version, said) = said_kind(object);
    let wanted = kind.api_version();
    let in_scheme = |said: &str, version: &str| {
        let last = version.rsplit('/').next().unwrap_or_default();
        Failure::bad_request(format!(
            "{said} in version {last:?} cannot be handled as a {}: no kind {said:?} is registered for version \
             {version:?} in scheme \"pkg/runtime/scheme.go:111\"",
            kind.kind
        ))
    };
    if !said_version.is_empty() && said_version != wanted {
        if !kind.is_custom() {
            return Err(in_scheme(if said.is_empty() { &kind.kind } else { &said }, &said_version));
        }
        return Err(Failure::bad_request(format!(
            "the API version in the data ({said_version}) does not match the expected API version ({wanted})"
        )));
    }
    if !said.is_empty() && said != kind.kind {
        if !kind.is_custom() {
            return Err(in_scheme(&said, &wanted));
        }
        let name = crate::json::text(object, &["metadata", "name"]).unwrap_or_default();
        let why = format!("must be {}", kind.kind);
        let error = crate::failure::FieldError::invalid("kind", &json!(said), &why);
        return Err(Failure::invalid(&kind.group, &said, name, &[error]));
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

/// Times with microseconds have exactly six digits of them: the Go type reads nothing else.
const MICRO_TIMES: [&[&str]; 4] =
    [&["spec", "renewTime"], &["spec", "acquireTime"], &["eventTime"], &["series", "lastObservedTime"]];

fn check_times(object: &Value) -> Result<(), String> {
    let wanted = |time: &str| {
        let fraction = time.get(19..).unwrap_or_default();
        let digits = fraction
            .strip_prefix('.')
            .map_or(0, |rest| rest.chars().take_while(char::is_ascii_digit).count());
        digits == 6
    };
    for time in MICRO_TIMES.iter().filter_map(|path| at(object, path).as_str()) {
        if time.len() >= 19 && !wanted(time) {
            let rest = time.get(19..).unwrap_or_default();
            return Err(format!(
                "parsing time {time:?} as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse {rest:?} as \".000000\""
            ));
        }
    }
    Ok(())
}

/// Prunes and fills up an object of this kind, in the version of the path.
pub(crate) fn shape(kind: &Kind, mut object: Value) -> Result<Shaped, Failure> {
    check_kind(kind, &mut object)?;
    whole_numbers(&mut object);
    let cannot = |why: String| {
        let head =
            format!("{} in version {:?} cannot be handled as a {}", kind.kind, kind.version, kind.kind);
        Failure::bad_request(format!("{head}: {why}"))
    };
    let mut unknown = Vec::new();
    let mut kept = match (kind.typed, &kind.custom) {
        (Some(typed), _) => {
            check_times(&object).map_err(cannot)?;
            let mut kept = typed(&object).map_err(cannot)?;
            typed::unknown_fields(&object, &kept, "", &mut unknown);
            typed::drop_empty(&mut kept);
            whole_numbers(&mut kept);
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
