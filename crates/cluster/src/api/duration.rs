//! Durations as people write them in YAML: `200ms`, `1s`, `1m30s`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The text of a duration, checked when it is used.
///
/// It stays text until then so that one stored object with a bad value is refused by name, and does not
/// make the list it comes in unreadable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Duration(pub String);

/// The text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no duration")]
pub struct BadDuration(String);

/// The longest text taken: keeps the cost of the CEL rules low.
const LONGEST_TEXT: usize = 16;
/// Units from large to small, in milliseconds: each may stand once, in this order.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Duration {
    /// The value: whole numbers with the units h, m, s, ms, each once and from large to small.
    pub fn parse(&self) -> Result<std::time::Duration, BadDuration> {
        let bad = || BadDuration(self.0.clone());
        if self.0.is_empty() || self.0.len() > LONGEST_TEXT {
            return Err(bad());
        }
        let (mut rest, mut millis, mut units) = (self.0.as_str(), 0_u64, UNITS.iter());
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
            let (number, tail) = rest.split_at(digits);
            let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_end);
            let (_, factor) = units.find(|(name, _)| *name == unit).ok_or_else(bad)?;
            let number: u64 = number.parse().map_err(|_| bad())?;
            millis = number.checked_mul(*factor).and_then(|part| millis.checked_add(part)).ok_or_else(bad)?;
            rest = tail;
        }
        Ok(std::time::Duration::from_millis(millis))
    }
}

impl From<&str> for Duration {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl JsonSchema for Duration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 2,
            "maxLength": LONGEST_TEXT,
            "pattern": "^([0-9]{1,4}h)?([0-9]{1,5}m)?([0-9]{1,6}s)?([0-9]{1,8}ms)?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_parse_strictly() {
        for (text, millis) in [
            ("200ms", 200),
            ("1s", 1_000),
            ("1m30s", 90_000),
            ("1s500ms", 1_500),
            ("2h", 7_200_000),
            ("0s", 0),
            ("60s", 60_000),
        ] {
            let value = Duration::from(text).parse();
            assert_eq!(value, Ok(std::time::Duration::from_millis(millis)), "{text}");
        }
        for bad in [
            "",
            "1",
            "s",
            "1.5s",
            "-1s",
            "1 s",
            "1s1m",
            "1s1s",
            "1S",
            "10us",
            "1d",
            "ms1",
            "1sx",
            "99999999999999999s",
            "9999999999999h",
        ] {
            assert!(Duration::from(bad).parse().is_err(), "{bad:?}");
        }
    }
}
