//! The few bodies that `kubectl` sends as protobuf: deletions, evictions, questions of rights.

use serde_json::{Map, Value};

/// What a message's field holds.
#[derive(Clone, Copy)]
enum Field {
    Text(&'static str),
    Texts(&'static str),
    Number(&'static str),
    Flag(&'static str),
    Message(&'static str, &'static [(u64, Field)]),
}

const META: &[(u64, Field)] = &[(1, Field::Text("name")), (3, Field::Text("namespace"))];
const PRECONDITIONS: &[(u64, Field)] = &[(1, Field::Text("uid")), (2, Field::Text("resourceVersion"))];
const DELETE_OPTIONS: &[(u64, Field)] = &[
    (1, Field::Number("gracePeriodSeconds")),
    (2, Field::Message("preconditions", PRECONDITIONS)),
    (3, Field::Flag("orphanDependents")),
    (4, Field::Text("propagationPolicy")),
    (5, Field::Texts("dryRun")),
];
const EVICTION: &[(u64, Field)] =
    &[(1, Field::Message("metadata", META)), (2, Field::Message("deleteOptions", DELETE_OPTIONS))];
const ATTRIBUTES: &[(u64, Field)] = &[
    (1, Field::Text("namespace")),
    (2, Field::Text("verb")),
    (3, Field::Text("group")),
    (4, Field::Text("version")),
    (5, Field::Text("resource")),
    (6, Field::Text("subresource")),
    (7, Field::Text("name")),
];
const REVIEW: &[(u64, Field)] =
    &[(2, Field::Message("spec", &[(1, Field::Message("resourceAttributes", ATTRIBUTES))]))];

/// Before every message: Kubernetes' own envelope.
const MAGIC: &[u8] = b"k8s\0";

/// One field as it stands in the bytes.
enum Raw<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The JSON of a body, if it is one of the known kinds.
pub(crate) fn read(body: &[u8]) -> Option<Value> {
    let (mut kind, mut version, mut raw) = (String::new(), String::new(), &[][..]);
    for (number, field) in fields(body.strip_prefix(MAGIC)?)? {
        match (number, field) {
            (1, Raw::Bytes(types)) => {
                for (number, field) in fields(types)? {
                    match (number, field) {
                        (1, Raw::Bytes(text)) => version = text_of(text)?,
                        (2, Raw::Bytes(text)) => kind = text_of(text)?,
                        _ => {}
                    }
                }
            }
            (2, Raw::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let message = match kind.as_str() {
        "DeleteOptions" => DELETE_OPTIONS,
        "Eviction" => EVICTION,
        "SelfSubjectAccessReview" => REVIEW,
        _ => return None,
    };
    let mut object = message_of(raw, message)?;
    object.insert("apiVersion".to_owned(), version.into());
    object.insert("kind".to_owned(), kind.into());
    Some(Value::Object(object))
}

fn text_of(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

fn message_of(bytes: &[u8], known: &[(u64, Field)]) -> Option<Map<String, Value>> {
    let mut object = Map::new();
    for (number, raw) in fields(bytes)? {
        let Some((_, field)) = known.iter().find(|(known, _)| *known == number) else { continue };
        match (*field, raw) {
            (Field::Text(name), Raw::Bytes(bytes)) => {
                object.insert(name.to_owned(), text_of(bytes)?.into());
            }
            (Field::Texts(name), Raw::Bytes(bytes)) => {
                let list = object.entry(name).or_insert_with(|| Value::Array(Vec::new()));
                list.as_array_mut()?.push(text_of(bytes)?.into());
            }
            // A negative number is written as a very large one.
            (Field::Number(name), Raw::Number(value)) => {
                object.insert(name.to_owned(), value.cast_signed().into());
            }
            (Field::Flag(name), Raw::Number(value)) => {
                object.insert(name.to_owned(), (value != 0).into());
            }
            (Field::Message(name, known), Raw::Bytes(bytes)) => {
                object.insert(name.to_owned(), Value::Object(message_of(bytes, known)?));
            }
            _ => return None,
        }
    }
    Some(object)
}

/// The fields of a message, in order.
fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, Raw<'_>)>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let raw = match tag & 7 {
            0 => Raw::Number(varint(&mut bytes)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (field, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Raw::Bytes(field)
            }
            _ => return None,
        };
        found.push((tag >> 3, raw));
    }
    Some(found)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn envelope(kind: &str, raw: &[u8]) -> Vec<u8> {
        let part = |number: u8, bytes: &[u8]| {
            let mut part = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
            part.extend_from_slice(bytes);
            part
        };
        let types = [part(1, b"v1"), part(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), part(1, &types), part(2, raw)].concat()
    }

    #[test]
    fn a_deletion_keeps_its_grace_period_and_precondition() {
        let raw = [&[0x08, 0xac, 0x02, 0x12, 0x03, 0x0a, 0x01][..], b"u", &[0x22, 0x06], b"Orphan"].concat();
        let expected = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 300,
            "preconditions": {"uid": "u"}, "propagationPolicy": "Orphan",
        });
        assert_eq!(read(&envelope("DeleteOptions", &raw)), Some(expected));
    }

    #[test]
    fn what_is_cut_off_or_unknown_is_not_guessed() {
        assert_eq!(read(&envelope("Deployment", &[])), None);
        assert_eq!(read(&envelope("DeleteOptions", &[0x12, 0x09, 0x0a])), None);
        assert_eq!(read(b"{}"), None);
    }
}
