//! A port given as a number or by the container port's name.

use hotstandby_core::spec::{PortRef, SpecError};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A port as written: a number, or a container port's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Port {
    /// A number; its range is checked at conversion.
    Number(i64),
    /// A container port's name.
    Name(String),
}

impl Port {
    /// The port, if it is one; `field` names it in the error.
    pub fn check(&self, field: &str) -> Result<PortRef, SpecError> {
        match self {
            Self::Number(number) => check_number(*number, field).map(PortRef::Number),
            Self::Name(name) if is_port_name(name) => Ok(PortRef::Name(name.as_str().into())),
            Self::Name(name) => Err(SpecError::new(
                field,
                format!("{name:?} is neither a port number nor a container port's name"),
                "write a number without quotes, or a name of at most 15 of a-z, 0-9 and -, with a letter in it",
            )),
        }
    }
}

/// A port number between 1 and 65535.
pub fn check_number(number: i64, field: &str) -> Result<u16, SpecError> {
    u16::try_from(number).ok().filter(|port| *port > 0).ok_or_else(|| {
        SpecError::new(
            field,
            format!("{number} is not within 1 <= port <= 65535"),
            "write the container's port",
        )
    })
}

/// The rule of Kubernetes for names of container ports (`IANA_SVC_NAME`).
fn is_port_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=15).contains(&name.len())
        && name.chars().all(allowed)
        && name.chars().any(|c| c.is_ascii_lowercase())
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}

impl JsonSchema for Port {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Port".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "maxLength": 15,
            "x-kubernetes-validations": [{
                "rule": "type(self) == int ? self >= 1 && self <= 65535 : \
                         string(self).matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$') && string(self).matches('[a-z]')",
                "message": "port must be a number from 1 to 65535 without quotes, or the name of a container port",
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbers_or_names() {
        assert_eq!(Port::Number(80).check("f"), Ok(PortRef::Number(80)));
        assert_eq!(Port::Name("http-2".into()).check("f"), Ok(PortRef::Name("http-2".into())));
        for bad in [Port::Number(0), Port::Number(65_536), Port::Number(-1)] {
            assert!(bad.check("f").unwrap_err().problem.contains("1 <= port <= 65535"));
        }
        for bad in ["", "80", "-a", "a-", "a--b", "Http", "a-name-too-long-x"] {
            assert_eq!(Port::Name(bad.into()).check("f").unwrap_err().field, "f", "{bad:?}");
        }
    }
}
