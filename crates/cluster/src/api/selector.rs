//! Which pods belong to a group.

#![allow(clippy::doc_markdown)] // kubectl explain shows these texts as they are
#![allow(unreachable_pub)] // KubeSchema makes a public copy of each struct inside a function

use hotstandby_core::spec::SpecError;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A label selector as written; both parts must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
    "selector must not be empty: an empty selector would pick every pod of the namespace"
))]
pub struct LabelSelector {
    /// Labels a pod must have, with these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub match_labels: BTreeMap<String, String>,
    /// Further conditions on a pod's labels; all must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub match_expressions: Vec<MatchExpression>,
}

/// One condition on a pod's labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 : !has(self.values) || size(self.values) == 0",
    "values must be given with the operators In and NotIn, and left out with Exists and DoesNotExist"
))]
pub struct MatchExpression {
    /// The label's key.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// How the label is compared.
    #[schemars(extend("enum" = ["In", "NotIn", "Exists", "DoesNotExist"]))]
    pub operator: String,
    /// The values of In and NotIn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub values: Vec<String>,
}

/// A checked selector, ready to be asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

impl Selector {
    /// Checks a selector; `field` names it in errors, for example `spec.selector`.
    pub fn new(selector: &LabelSelector, field: &str) -> Result<Self, SpecError> {
        let mut requirements = Vec::new();
        for (key, value) in &selector.match_labels {
            let field = format!("{field}.matchLabels");
            check_key(key, &field)?;
            check_value(value, &field)?;
            requirements.push(Requirement { key: key.clone(), test: Test::In(vec![value.clone()]) });
        }
        for (index, expression) in selector.match_expressions.iter().enumerate() {
            requirements.push(Requirement::new(expression, &format!("{field}.matchExpressions[{index}]"))?);
        }
        if requirements.is_empty() {
            let problem = "is empty and would pick every pod of the namespace";
            return Err(SpecError::new(field, problem, "name the labels of the group's pods in matchLabels"));
        }
        Ok(Self { requirements })
    }

    /// Whether a pod with these labels is picked.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matches_by(|key| labels.get(key).map(String::as_str))
    }

    /// The same for labels kept in another way: `get` finds a label's value.
    pub fn matches_by<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|requirement| requirement.holds(get(&requirement.key)))
    }

    /// The keys asked for: what else a pod's labels say is of no interest.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.requirements.iter().map(|requirement| requirement.key.as_str())
    }
}

impl Requirement {
    fn new(expression: &MatchExpression, field: &str) -> Result<Self, SpecError> {
        check_key(&expression.key, &format!("{field}.key"))?;
        let values = &expression.values;
        for value in values {
            check_value(value, &format!("{field}.values"))?;
        }
        let test = match (expression.operator.as_str(), values.is_empty()) {
            ("In", false) => Test::In(values.clone()),
            ("NotIn", false) => Test::NotIn(values.clone()),
            ("Exists", true) => Test::Exists,
            ("DoesNotExist", true) => Test::DoesNotExist,
            ("In" | "NotIn", true) => {
                let problem = format!("is empty, which {} does not allow", expression.operator);
                return Err(SpecError::new(format!("{field}.values"), problem, "name at least one value"));
            }
            ("Exists" | "DoesNotExist", false) => {
                let problem = format!("has values, which {} does not allow", expression.operator);
                return Err(SpecError::new(format!("{field}.values"), problem, "remove it"));
            }
            (other, _) => {
                let remedy = "write In, NotIn, Exists or DoesNotExist";
                return Err(SpecError::new(
                    format!("{field}.operator"),
                    format!("{other:?} is not known"),
                    remedy,
                ));
            }
        };
        Ok(Self { key: expression.key.clone(), test })
    }

    /// As Kubernetes has it: `NotIn` also holds where the label is missing.
    fn holds(&self, value: Option<&str>) -> bool {
        match (&self.test, value) {
            (Test::In(values), Some(value)) => values.iter().any(|one| one == value),
            (Test::NotIn(values), Some(value)) => values.iter().all(|one| one != value),
            (Test::Exists, found) => found.is_some(),
            (Test::DoesNotExist, found) => found.is_none(),
            (Test::In(_), None) => false,
            (Test::NotIn(_), None) => true,
        }
    }
}

pub(super) fn check_key(key: &str, field: &str) -> Result<(), SpecError> {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let prefix_is_right = prefix.is_none_or(|prefix| {
        (1..=253).contains(&prefix.len())
            && prefix.split('.').all(|part| is_label_text(part, 63) && !part.contains(['_', '.']))
            && !prefix.contains(|c: char| c.is_ascii_uppercase())
    });
    if prefix_is_right && !name.is_empty() && is_label_text(name, 63) {
        return Ok(());
    }
    Err(SpecError::new(
        field,
        format!("{key:?} is no label key"),
        "write a key such as app or example.com/app",
    ))
}

pub(super) fn check_value(value: &str, field: &str) -> Result<(), SpecError> {
    if value.is_empty() || is_label_text(value, 63) {
        return Ok(());
    }
    let remedy = "write at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends";
    Err(SpecError::new(field, format!("{value:?} is no label value"), remedy))
}

fn is_label_text(text: &str, longest: usize) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= longest
        && edge(text.chars().next())
        && edge(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn expression(key: &str, operator: &str, values: &[&str]) -> LabelSelector {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        let one = MatchExpression { key: key.into(), operator: operator.into(), values };
        LabelSelector { match_expressions: vec![one], ..LabelSelector::default() }
    }

    fn picks(selector: &LabelSelector, pairs: &[(&str, &str)]) -> bool {
        Selector::new(selector, "spec.selector").unwrap().matches(&labels(pairs))
    }

    #[test]
    fn every_operator_matches_as_in_kubernetes() {
        let by_label = LabelSelector { match_labels: labels(&[("app", "web")]), ..LabelSelector::default() };
        assert!(picks(&by_label, &[("app", "web"), ("x", "y")]));
        assert!(!picks(&by_label, &[("app", "db")]));
        assert!(!picks(&by_label, &[]));
        let within = expression("app", "In", &["web", "api"]);
        assert!(picks(&within, &[("app", "api")]));
        assert!(!picks(&within, &[]));
        let without = expression("app", "NotIn", &["web"]);
        assert!(picks(&without, &[]));
        assert!(!picks(&without, &[("app", "web")]));
        assert!(picks(&expression("app", "Exists", &[]), &[("app", "")]));
        assert!(!picks(&expression("app", "Exists", &[]), &[]));
        assert!(picks(&expression("app", "DoesNotExist", &[]), &[]));
        assert!(!picks(&expression("app", "DoesNotExist", &[]), &[("app", "x")]));
    }

    #[test]
    fn all_parts_must_hold() {
        let mut both = expression("tier", "Exists", &[]);
        both.match_labels = labels(&[("app", "web")]);
        assert!(picks(&both, &[("app", "web"), ("tier", "x")]));
        assert!(!picks(&both, &[("app", "web")]));
        assert!(!picks(&both, &[("tier", "x")]));
    }

    #[test]
    fn bad_selectors_are_refused_by_field() {
        let refused = |selector: &LabelSelector| Selector::new(selector, "spec.selector").unwrap_err().field;
        assert_eq!(refused(&LabelSelector::default()), "spec.selector");
        assert_eq!(refused(&expression("app", "in", &["x"])), "spec.selector.matchExpressions[0].operator");
        assert_eq!(refused(&expression("app", "In", &[])), "spec.selector.matchExpressions[0].values");
        assert_eq!(refused(&expression("app", "Exists", &["x"])), "spec.selector.matchExpressions[0].values");
        assert_eq!(refused(&expression("app", "In", &["a b"])), "spec.selector.matchExpressions[0].values");
        assert_eq!(refused(&expression("", "Exists", &[])), "spec.selector.matchExpressions[0].key");
        let bad = LabelSelector { match_labels: labels(&[("a b", "c")]), ..LabelSelector::default() };
        assert_eq!(refused(&bad), "spec.selector.matchLabels");
    }

    #[test]
    fn keys_follow_the_rule_of_kubernetes() {
        for good in ["app", "app.kubernetes.io/name", "a-b_c.d", "example.com/A"] {
            assert!(check_key(good, "f").is_ok(), "{good}");
        }
        for bad in ["", "/a", "a/", "a/b/c", "-a", "a-", "Ex.com/a", "ex_x.com/a"] {
            assert!(check_key(bad, "f").is_err(), "{bad}");
        }
    }
}
