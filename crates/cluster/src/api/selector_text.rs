//! A selector in one line, as `kubectl -l` takes it: `app=web,tier!=db,zone in (a, b),canary,!draining`.

use super::selector::{LabelSelector, MatchExpression};
use hotstandby_core::spec::SpecError;

/// What to write instead of a text that is no selector.
const REMEDY: &str = "write it as for kubectl -l, such as app=web or app=web,tier in (front, back)";

impl LabelSelector {
    /// Parses a selector in one line; `field` names it in errors. Keys and values are checked later, by
    /// [`super::Selector::new`].
    ///
    /// Two texts that ask for the same in another order give equal selectors.
    pub fn parse(text: &str, field: &str) -> Result<Self, SpecError> {
        let mut selector = Self::default();
        for part in parts(text) {
            let bad =
                || SpecError::new(field, format!("{:?} is no condition on a label", part.trim()), REMEDY);
            let expression = condition(part.trim()).ok_or_else(bad)?;
            selector.add(expression);
        }
        selector.match_expressions.sort_by(|a, b| {
            let order = |one: &MatchExpression| (one.key.clone(), one.operator.clone(), one.values.clone());
            order(a).cmp(&order(b))
        });
        selector.match_expressions.dedup();
        Ok(selector)
    }

    /// Adds a condition; one that demands one certain value stands among `matchLabels`, by which groups are found.
    fn add(&mut self, mut expression: MatchExpression) {
        expression.values.sort();
        expression.values.dedup();
        if let ("In", [value]) = (expression.operator.as_str(), expression.values.as_slice()) {
            let had = self.match_labels.get(&expression.key);
            if had.is_none_or(|had| had == value) {
                self.match_labels.insert(expression.key, value.clone());
                return;
            }
        }
        self.match_expressions.push(expression);
    }
}

/// The conditions: parted by commas that are not within parentheses.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut from, mut parts) = (0_i32, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.extend(text.get(from..at));
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(text.get(from..));
    parts
}

fn condition(part: &str) -> Option<MatchExpression> {
    let one = |key: &str, operator: &str, values: Vec<String>| {
        let key = key.trim();
        let is_word = !key.is_empty() && !key.contains(|c: char| c.is_whitespace() || "=!<>()".contains(c));
        is_word.then(|| MatchExpression { key: key.to_owned(), operator: operator.to_owned(), values })
    };
    if let Some((key, value)) = part.split_once("!=") {
        return one(key, "NotIn", vec![word(value)?]);
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return one(key, "In", vec![word(value)?]);
    }
    if let Some(key) = part.strip_prefix('!') {
        return one(key, "DoesNotExist", Vec::new());
    }
    if let Some((head, rest)) = part.split_once('(') {
        let values = rest.trim_end().strip_suffix(')')?.split(',').map(word).collect::<Option<Vec<_>>>()?;
        let (key, operator) = head.trim_end().rsplit_once(char::is_whitespace)?;
        return match operator {
            "in" => one(key, "In", values),
            "notin" => one(key, "NotIn", values),
            _ => None,
        };
    }
    one(part, "Exists", Vec::new())
}

/// A value; it may be empty, and holds no sign that means something else.
fn word(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.contains(|c: char| c.is_whitespace() || "=!<>()".contains(c))).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Selector;
    use std::collections::BTreeMap;

    fn picks(text: &str, labels: &[(&str, &str)]) -> bool {
        let labels: BTreeMap<_, _> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let selector = LabelSelector::parse(text, "f").unwrap();
        Selector::new(&selector, "f").unwrap().matches(&labels)
    }

    #[test]
    fn every_form_of_kubectl_is_understood() {
        for (text, yes, no) in [
            ("app=web", ("app", "web"), ("app", "db")),
            (" app == web ", ("app", "web"), ("x", "y")),
            ("app!=web", ("app", "db"), ("app", "web")),
            ("app in (web, api)", ("app", "api"), ("app", "db")),
            ("app in(web)", ("app", "web"), ("app", "db")),
            ("app notin (web,api)", ("x", "y"), ("app", "api")),
            ("example.com/app", ("example.com/app", ""), ("x", "y")),
            ("!app", ("x", "y"), ("app", "")),
            ("app=", ("app", ""), ("app", "web")),
        ] {
            assert!(picks(text, &[yes]), "{text}");
            assert!(!picks(text, &[no]), "{text}");
        }
        assert!(picks("app=web,tier in (a,b),!draining", &[("app", "web"), ("tier", "b")]));
        assert!(!picks("app=web,app=db", &[("app", "web")]), "both must hold");
    }

    #[test]
    fn what_kubectl_would_refuse_is_refused_by_name() {
        for bad in
            ["", "app=web,", ",app", "app=a b", "a b", "app in web", "app in (web", "x (a)", "n>1", "a=b=c"]
        {
            let error = LabelSelector::parse(bad, "f")
                .and_then(|selector| Selector::new(&selector, "f"))
                .expect_err(bad);
            assert!(error.field.starts_with('f'), "{bad}: {error}");
        }
    }

    #[test]
    fn the_same_said_in_another_order_is_the_same() {
        let parse = |text| Selector::new(&LabelSelector::parse(text, "f").unwrap(), "f").unwrap();
        assert_eq!(parse("a=1,b in (y,x),!c"), parse("!c, b in (x, y) ,a in (1)"));
        assert_ne!(parse("a=1"), parse("a!=1"));
    }
}
