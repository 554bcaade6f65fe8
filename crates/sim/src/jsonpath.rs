//! The JSON paths of printer columns: fields, indices, `[*]` and `[?(@.key=="value")]`.

use serde_json::Value;

#[derive(Debug, PartialEq)]
enum Step {
    Field(String),
    Index(usize),
    All,
    Where(Vec<String>, String),
}

/// The first value a path finds.
pub(crate) fn first<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let mut found = vec![object];
    for step in parse(path)? {
        found = found.into_iter().flat_map(|value| follow(value, &step)).collect();
    }
    found.first().copied().filter(|value| !value.is_null())
}

/// Whether a path can be read.
pub(crate) fn is_valid(path: &str) -> bool {
    parse(path).is_some()
}

fn follow<'a>(value: &'a Value, step: &Step) -> Vec<&'a Value> {
    let list = || value.as_array().into_iter().flatten();
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Index(index) => value.get(index).into_iter().collect(),
        Step::All => list().collect(),
        Step::Where(path, wanted) => {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            list().filter(|item| crate::json::at(item, &path).as_str() == Some(wanted)).collect()
        }
    }
}

fn parse(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    if rest == "." {
        return Some(steps);
    }
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (inner, after) = inner.split_once(']')?;
            steps.push(bracket(inner)?);
            rest = after;
        } else {
            let (name, after) = field(rest.strip_prefix('.')?)?;
            steps.push(Step::Field(name));
            rest = after;
        }
    }
    Some(steps)
}

/// A field's name, in which `\.` is a dot.
fn field(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => name.push(letters.next()?.1),
            '.' | '[' => return (!name.is_empty()).then(|| (name, text.get(at..).unwrap_or_default())),
            letter => name.push(letter),
        }
    }
    (!name.is_empty()).then_some((name, ""))
}

fn bracket(inner: &str) -> Option<Step> {
    if inner == "*" {
        return Some(Step::All);
    }
    if let Some(condition) = inner.strip_prefix("?(").and_then(|inner| inner.strip_suffix(')')) {
        let (path, value) = condition.split_once("==")?;
        let path = path.trim().strip_prefix("@.")?.split('.').map(str::to_owned).collect();
        let value = value.trim().trim_matches(['"', '\'']);
        return Some(Step::Where(path, value.to_owned()));
    }
    if let Some(name) = inner.strip_prefix('\'').and_then(|inner| inner.strip_suffix('\'')) {
        return Some(Step::Field(name.to_owned()));
    }
    inner.parse().ok().map(Step::Index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_condition_is_found_by_its_type() {
        let object = json!({
            "status": {"conditions": [{"type": "A", "status": "False"}, {"type": "Ready", "status": "True"}]},
            "metadata": {"annotations": {"a.b/c": "x"}},
        });
        let find = |path| first(&object, path).cloned();
        assert_eq!(find(".status.conditions[?(@.type==\"Ready\")].status"), Some(json!("True")));
        assert_eq!(find(".status.conditions[?(@.type==\"Gone\")].status"), None);
        assert_eq!(find(".status.conditions[0].type"), Some(json!("A")));
        assert_eq!(find(".metadata.annotations.a\\.b/c"), Some(json!("x")));
        assert!(!is_valid("status"));
    }
}
