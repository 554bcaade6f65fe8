//! Label and field selectors.

use crate::failure::Failure;
use crate::json::at;
use crate::kinds::Kind;
use serde_json::Value;

/// One condition on a label.
#[derive(Clone, Debug, PartialEq)]
enum LabelTerm {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

/// One condition on a field.
#[derive(Clone, Debug, PartialEq)]
struct FieldTerm {
    field: String,
    equal: bool,
    value: String,
}

/// What a list or watch wants to see.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Selector {
    labels: Vec<LabelTerm>,
    fields: Vec<FieldTerm>,
}

impl Selector {
    /// Reads both selectors; a field the kind does not offer is refused.
    pub(crate) fn parse(kind: &Kind, labels: &str, fields: &str) -> Result<Self, Failure> {
        let labels = parse_labels(labels).map_err(Failure::bad_request)?;
        let fields = parse_fields(kind, fields)?;
        Ok(Self { labels, fields })
    }

    /// Whether it lets everything pass.
    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether a stored object matches.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = at(object, &["metadata", "labels"]);
        let label = |key: &str| labels.get(key).and_then(Value::as_str);
        let by_label = self.labels.iter().all(|term| match term {
            LabelTerm::In(key, values) => {
                label(key).is_some_and(|value| values.iter().any(|one| one == value))
            }
            LabelTerm::NotIn(key, values) => {
                label(key).is_none_or(|value| values.iter().all(|one| one != value))
            }
            LabelTerm::Exists(key) => label(key).is_some(),
            LabelTerm::Missing(key) => label(key).is_none(),
        });
        by_label && self.fields.iter().all(|term| (field(object, &term.field) == term.value) == term.equal)
    }
}

/// A field's text in a stored object; empty where it is missing.
fn field(object: &Value, name: &str) -> String {
    let name = match name.split_once('.') {
        Some(("regarding", rest)) => format!("involvedObject.{rest}"),
        _ if name == "reportingController" => "reportingComponent".to_owned(),
        _ => name.to_owned(),
    };
    let path: Vec<&str> = name.split('.').collect();
    match at(object, &path) {
        Value::String(text) => text.clone(),
        Value::Null if name == "spec.unschedulable" => "false".to_owned(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The fields a kind offers beside name and namespace.
fn own_fields(kind: &Kind) -> &'static [&'static str] {
    match (kind.is_custom(), kind.plural.as_ref()) {
        (false, "pods") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        (false, "nodes") => &["spec.unschedulable"],
        (false, "namespaces") => &["status.phase"],
        (false, "services") => &["spec.clusterIP", "spec.type"],
        (false, "replicasets") => &["status.replicas"],
        (false, "events") => &["reason", "type", "source", "reportingComponent", "reportingController"],
        _ => &[],
    }
}

fn known_field(kind: &Kind, name: &str) -> bool {
    if name == "metadata.name" || (name == "metadata.namespace" && kind.namespaced) {
        return true;
    }
    let about = |prefix: &str| {
        let parts = ["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"];
        name.strip_prefix(prefix).is_some_and(|part| parts.contains(&part))
    };
    let prefix = if kind.group == "events.k8s.io" { "regarding." } else { "involvedObject." };
    let event = kind.is("events") && about(prefix);
    own_fields(kind).contains(&name) || event
}

fn parse_fields(kind: &Kind, selector: &str) -> Result<Vec<FieldTerm>, Failure> {
    let mut terms = Vec::new();
    for part in selector.split(',').filter(|part| !part.is_empty()) {
        let (name, equal, value) = if let Some((name, value)) = part.split_once("!=") {
            (name, false, value)
        } else if let Some((name, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            (name, true, value)
        } else {
            let why = format!("invalid selector: '{selector}'; can't understand '{part}'");
            return Err(Failure::bad_request(why));
        };
        if !known_field(kind, name) {
            let why = if own_fields(kind).is_empty() && !kind.is("events") && !kind.is_custom() {
                format!(
                    "{name:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                )
            } else {
                format!("field label not supported: {name}")
            };
            return Err(Failure::bad_request(why));
        }
        terms.push(FieldTerm { field: name.to_owned(), equal, value: value.to_owned() });
    }
    Ok(terms)
}

/// Reads a label selector: `a=b`, `a==b`, `a!=b`, `a`, `!a`, `a in (b,c)`, `a notin (b,c)`.
fn parse_labels(selector: &str) -> Result<Vec<LabelTerm>, String> {
    let mut terms = Vec::new();
    let mut rest = selector.trim();
    while !rest.is_empty() {
        let end = end_of_term(rest);
        let (term, more) = rest.split_at(end);
        terms.push(parse_label(term.trim())?);
        rest = more.strip_prefix(',').unwrap_or(more).trim_start();
    }
    Ok(terms)
}

/// The next comma outside parentheses.
fn end_of_term(text: &str) -> usize {
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

fn parse_label(term: &str) -> Result<LabelTerm, String> {
    if term.is_empty() {
        return Err("found ',', expected: !, identifier, or 'end of string'".to_owned());
    }
    parse_term(term).map_err(|why| match why.strip_suffix(", expected: ',' or 'end of string'") {
        // Behind a whole term nobody speaks of requirements any more.
        Some(_) => why,
        None => format!("unable to parse requirement: {why}"),
    })
}

fn parse_term(term: &str) -> Result<LabelTerm, String> {
    let words: Vec<&str> = term.splitn(2, char::is_whitespace).collect();
    if let [key, set] = words.as_slice() {
        let set = set.trim();
        if let Some(values) = set.strip_prefix("notin") {
            return Ok(LabelTerm::NotIn(key_of(key)?, values_of(values)?));
        }
        if let Some(values) = set.strip_prefix("in") {
            return Ok(LabelTerm::In(key_of(key)?, values_of(values)?));
        }
        if !set.starts_with(['=', '!']) && !key.contains('=') {
            return Err(format!("found '{set}', expected: in, notin, =, ==, !=, gt, lt"));
        }
    }
    if let Some((key, value)) = term.split_once("!=") {
        return Ok(LabelTerm::NotIn(key_of(key)?, vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        if let Some((_, more)) = value.trim().split_once(char::is_whitespace) {
            return Err(format!("found '{}', expected: ',' or 'end of string'", more.trim()));
        }
        return Ok(LabelTerm::In(key_of(key)?, vec![value.trim().to_owned()]));
    }
    match term.strip_prefix('!') {
        Some(key) => Ok(LabelTerm::Missing(key_of(key)?)),
        None => Ok(LabelTerm::Exists(key_of(term)?)),
    }
}

fn key_of(key: &str) -> Result<String, String> {
    let key = key.trim();
    let fine = !key.is_empty()
        && key.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_./".contains(letter));
    if fine { Ok(key.to_owned()) } else { Err(format!("invalid label key {key:?}")) }
}

fn values_of(text: &str) -> Result<Vec<String>, String> {
    let inner = text.trim().strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    let inner = inner.ok_or_else(|| format!("found '{}' expected: '('", text.trim()))?;
    Ok(inner.split(',').map(|value| value.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::Kinds;
    use serde_json::json;

    fn matches(labels: &str, fields: &str) -> bool {
        let pods = Kinds::built_in().find("", "v1", "pods").unwrap();
        let pod = json!({
            "metadata": {"name": "web-0", "namespace": "shop", "labels": {"app": "web", "tier": "a"}},
            "spec": {"nodeName": "n1"}, "status": {"phase": "Running"},
        });
        Selector::parse(&pods, labels, fields).unwrap().matches(&pod)
    }

    #[test]
    fn set_terms_are_not_cut_at_their_inner_commas() {
        assert!(matches("app in (db, web),tier notin (b,c),!gone,tier", ""));
        assert!(!matches("app in (db,api)", ""));
        assert!(matches("app!=db,other!=x", ""));
        assert!(!matches("other=x", ""));
        assert!(matches("app==web", ""));
    }

    #[test]
    fn fields_select_and_unknown_ones_are_refused() {
        assert!(matches("", "metadata.name=web-0,spec.nodeName==n1,status.phase!=Failed"));
        assert!(!matches("", "metadata.namespace=other"));
        let leases = Kinds::built_in().find("coordination.k8s.io", "v1", "leases").unwrap();
        assert_eq!(Selector::parse(&leases, "", "spec.holderIdentity=x").unwrap_err().code, 400);
    }
}
