//! The rules (`x-kubernetes-validations`) of a schema, compiled where the CRD is applied.

use super::child;
use crate::cel::Rule;
use crate::failure::FieldError;
use serde_json::Value;
use std::collections::BTreeMap;

/// The rules of a schema and below it.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    own: Vec<(Rule, String, String)>,
    properties: BTreeMap<String, Rules>,
    values: Option<Box<Rules>>,
    items: Option<Box<Rules>>,
}

impl Rules {
    fn is_empty(&self) -> bool {
        self.own.is_empty() && self.properties.is_empty() && self.values.is_none() && self.items.is_none()
    }

    /// Tells which rules a value breaks.
    pub(crate) fn check(&self, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
        if value.is_null() {
            return;
        }
        for (rule, text, message) in &self.own {
            match rule.holds(value) {
                Ok(true) => {}
                Ok(false) => errors.push(FieldError::broken_rule(path, value, message)),
                Err(why) => {
                    let said = if message.is_empty() { text } else { message };
                    let why = format!("{why} evaluating rule: {said}");
                    errors.push(FieldError::invalid(path, &super::type_name(value).into(), &why));
                }
            }
        }
        for (name, value) in value.as_object().into_iter().flatten() {
            if let Some(rules) = self.properties.get(name).or(self.values.as_deref()) {
                rules.check(value, &child(path, name), errors);
            }
        }
        if let Some(rules) = &self.items {
            for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                rules.check(item, &format!("{path}[{index}]"), errors);
            }
        }
    }
}

/// Compiles all rules of a schema; a rule that cannot be evaluated is an error, with where it stands.
pub(crate) fn compile(schema: &Value, path: &str, errors: &mut Vec<FieldError>) -> Rules {
    let mut rules = Rules::default();
    for (index, listed) in crate::json::items(schema, &["x-kubernetes-validations"]).iter().enumerate() {
        let text = crate::json::text(listed, &["rule"]).unwrap_or_default();
        let message = crate::json::text(listed, &["message"])
            .map_or_else(|| format!("failed rule: {text}"), str::to_owned);
        let place = format!("{path}.x-kubernetes-validations[{index}]");
        let unknown = ["messageExpression", "reason", "fieldPath", "optionalOldSelf"];
        for word in unknown.iter().filter(|word| listed.get(**word).is_some()) {
            errors.push(FieldError::forbidden(format!("{place}.{word}"), "the model does not know it"));
        }
        match Rule::compile(text) {
            Ok(rule) => rules.own.push((rule, text.to_owned(), message)),
            Err(why) => {
                let why = format!("compilation failed: ERROR: {why}");
                errors.push(FieldError::invalid(format!("{place}.rule"), &Value::from(text), &why));
            }
        }
    }
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let below = compile(property, &format!("{path}.properties[{name}]"), errors);
        if !below.is_empty() {
            rules.properties.insert(name.clone(), below);
        }
    }
    let mut below = |word: &str| {
        let schema = schema.get(word).filter(|schema| schema.is_object())?;
        let below = compile(schema, &format!("{path}.{word}"), errors);
        (!below.is_empty()).then(|| Box::new(below))
    };
    rules.items = below("items");
    rules.values = below("additionalProperties");
    rules
}
