//! The part of CEL that CRD rules here are written in.
//!
//! Small on purpose: what is not known is refused when the CRD is applied, so that no rule is passed by unseen.

mod eval;
mod lex;
mod parse;

use serde_json::Value;

/// A rule that can be evaluated.
#[derive(Clone, Debug)]
pub(crate) struct Rule(parse::Expr);

impl Rule {
    /// Reads a rule about `self`; the error says what is not known.
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
        parse::parse(text).map(Self)
    }

    /// Whether the rule holds for a value.
    pub(crate) fn holds(&self, value: &Value) -> Result<bool, String> {
        eval::holds(&self.0, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(rule: &str, value: &Value) -> Result<bool, String> {
        Rule::compile(rule).unwrap().holds(value)
    }

    #[test]
    fn rules_of_the_crd_hold_where_they_should() {
        let once = "self.all(one, self.exists_one(other, one == other))";
        assert_eq!(holds(once, &json!(["a", "b"])), Ok(true));
        assert_eq!(holds(once, &json!(["a", "a"])), Ok(false));
        let span = "duration(self) >= duration('50ms') && duration(self) <= duration('60s')";
        assert_eq!(holds(span, &json!("1m")), Ok(true));
        assert_eq!(holds(span, &json!("0m49ms")), Ok(false));
        let port = "type(self) == int ? self >= 1 && self <= 65535 : string(self).matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$') && string(self).matches('[a-z]')";
        for (value, expected) in
            [(json!(0), false), (json!(80), true), (json!("http"), true), (json!("80"), false)]
        {
            assert_eq!(holds(port, &value), Ok(expected), "{value}");
        }
        let one = "[has(self.a), has(self.b)].filter(given, given).size() == 1";
        assert_eq!(holds(one, &json!({"a": {}})), Ok(true));
        assert_eq!(holds(one, &json!({"a": {}, "b": {}})), Ok(false));
        let set = "self.op in ['In', 'NotIn'] ? has(self.v) && size(self.v) > 0 : !has(self.v) || size(self.v) == 0";
        assert_eq!(holds(set, &json!({"op": "In"})), Ok(false));
        assert_eq!(holds(set, &json!({"op": "Exists", "v": []})), Ok(true));
    }

    #[test]
    fn an_error_on_one_side_is_absorbed_by_the_other() {
        assert_eq!(holds("self.gone == 1 || true", &json!({})), Ok(true));
        assert_eq!(holds("self.gone == 1 && false", &json!({})), Ok(false));
        assert!(holds("self.gone == 1", &json!({})).unwrap_err().contains("no such key: gone"));
    }

    #[test]
    fn what_is_not_known_is_refused_before_it_is_needed() {
        for rule in [
            "self.isQuantity()",
            "oldSelf == self",
            "foo(self)",
            "self.all(x, y)",
            "self ==",
            "'open",
            "self.all(1, true)",
            "size(self, self)",
        ] {
            assert!(Rule::compile(rule).is_err(), "{rule}");
        }
    }
}
