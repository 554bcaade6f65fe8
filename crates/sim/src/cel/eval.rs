//! The value of an expression.

use super::parse::Expr;
use regex::Regex;
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq)]
enum Val {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// Nanoseconds.
    Duration(i128),
    List(Vec<Val>),
    Map(BTreeMap<String, Val>),
    Type(&'static str),
}

impl From<&Value> for Val {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => {
                number.as_i64().map_or_else(|| Self::Float(number.as_f64().unwrap_or(0.0)), Self::Int)
            }
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Object(map) => {
                Self::Map(map.iter().map(|(key, value)| (key.clone(), Self::from(value))).collect())
            }
        }
    }
}

type Answer = Result<Val, String>;
type Scope = Vec<(String, Val)>;

pub(super) fn holds(expr: &Expr, value: &Value) -> Result<bool, String> {
    let mut scope = vec![("self".to_owned(), Val::from(value))];
    truth(eval(expr, &mut scope))
}

fn truth(value: Answer) -> Result<bool, String> {
    match value? {
        Val::Bool(value) => Ok(value),
        other => Err(format!("no such overload: {other:?} is no bool")),
    }
}

fn eval(expr: &Expr, scope: &mut Scope) -> Answer {
    match expr {
        Expr::Text(text) => Ok(Val::Text(text.clone())),
        Expr::Int(number) => Ok(Val::Int(*number)),
        Expr::Float(number) => Ok(Val::Float(*number)),
        Expr::Bool(value) => Ok(Val::Bool(*value)),
        Expr::Null => Ok(Val::Null),
        Expr::Type(name) => Ok(Val::Type(name)),
        Expr::Variable(name) => {
            let found = scope.iter().rev().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone()).ok_or_else(|| format!("no such variable: {name}"))
        }
        Expr::List(items) => {
            items.iter().map(|item| eval(item, scope)).collect::<Result<_, _>>().map(Val::List)
        }
        Expr::Field(of, name) => field(eval(of, scope)?, name),
        Expr::Has(of, name) => match eval(of, scope)? {
            Val::Map(map) => Ok(Val::Bool(map.contains_key(name))),
            other => Err(format!("no such overload: has() of {other:?}")),
        },
        Expr::Index(of, index) => index_of(&eval(of, scope)?, &eval(index, scope)?),
        Expr::Not(of) => truth(eval(of, scope)).map(|value| Val::Bool(!value)),
        Expr::Negate(of) => match eval(of, scope)? {
            Val::Int(number) => number.checked_neg().map(Val::Int).ok_or_else(overflow),
            Val::Float(number) => Ok(Val::Float(-number)),
            other => Err(format!("no such overload: -{other:?}")),
        },
        Expr::Binary(operator, left, right) => binary(operator, left, right, scope),
        Expr::Choice(condition, then, or) => {
            let branch = if truth(eval(condition, scope))? { then } else { or };
            eval(branch, scope)
        }
        Expr::Call(name, arguments) => {
            let arguments: Vec<Val> =
                arguments.iter().map(|one| eval(one, scope)).collect::<Result<_, _>>()?;
            call(name, &arguments)
        }
        Expr::Over(name, of, variable, body) => {
            let items = match eval(of, scope)? {
                Val::List(items) => items,
                Val::Map(map) => map.into_keys().map(Val::Text).collect(),
                other => return Err(format!("no such overload: {name}() of {other:?}")),
            };
            over(name, items, variable, body, scope)
        }
    }
}

fn overflow() -> String {
    "integer overflow".to_owned()
}

fn field(of: Val, name: &str) -> Answer {
    match of {
        Val::Map(mut map) => map.remove(name).ok_or_else(|| format!("no such key: {name}")),
        other => Err(format!("no such overload: .{name} of {other:?}")),
    }
}

fn index_of(of: &Val, index: &Val) -> Answer {
    match (of, index) {
        (Val::List(items), Val::Int(index)) => usize::try_from(*index)
            .ok()
            .and_then(|index| items.get(index).cloned())
            .ok_or_else(|| format!("index out of bounds: {index}")),
        (Val::Map(map), Val::Text(key)) => map.get(key).cloned().ok_or_else(|| format!("no such key: {key}")),
        _ => Err("no such overload: []".to_owned()),
    }
}

fn binary(operator: &str, left: &Expr, right: &Expr, scope: &mut Scope) -> Answer {
    // An error on one side does not matter where the other side decides.
    if operator == "||" || operator == "&&" {
        let decides = operator == "||";
        let left = truth(eval(left, scope));
        if left == Ok(decides) {
            return Ok(Val::Bool(decides));
        }
        let right = truth(eval(right, scope));
        if right == Ok(decides) {
            return Ok(Val::Bool(decides));
        }
        return left.and(right).map(Val::Bool);
    }
    let (left, right) = (eval(left, scope)?, eval(right, scope)?);
    match operator {
        "==" => Ok(Val::Bool(same(&left, &right))),
        "!=" => Ok(Val::Bool(!same(&left, &right))),
        "in" => match &right {
            Val::List(items) => Ok(Val::Bool(items.iter().any(|item| same(item, &left)))),
            Val::Map(map) => Ok(Val::Bool(matches!(&left, Val::Text(key) if map.contains_key(key)))),
            other => Err(format!("no such overload: in {other:?}")),
        },
        "<" | "<=" | ">" | ">=" => {
            let order = compare(&left, &right)
                .ok_or_else(|| format!("no such overload: {left:?} {operator} {right:?}"))?;
            Ok(Val::Bool(match operator {
                "<" => order == Ordering::Less,
                "<=" => order != Ordering::Greater,
                ">" => order == Ordering::Greater,
                _ => order != Ordering::Less,
            }))
        }
        operator => arithmetic(operator, left, right),
    }
}

fn arithmetic(operator: &str, left: Val, right: Val) -> Answer {
    match (operator, left, right) {
        (_, Val::Int(left), Val::Int(right)) => match operator {
            "+" => left.checked_add(right),
            "-" => left.checked_sub(right),
            "*" => left.checked_mul(right),
            "/" => left.checked_div(right),
            _ => left.checked_rem(right),
        }
        .map(Val::Int)
        .ok_or_else(overflow),
        ("+", Val::Text(left), Val::Text(right)) => Ok(Val::Text(left + &right)),
        ("+", Val::Duration(left), Val::Duration(right)) => Ok(Val::Duration(left + right)),
        ("-", Val::Duration(left), Val::Duration(right)) => Ok(Val::Duration(left - right)),
        ("+", Val::List(mut left), Val::List(right)) => {
            left.extend(right);
            Ok(Val::List(left))
        }
        (_, left, right) => Err(format!("no such overload: {left:?} {operator} {right:?}")),
    }
}

fn same(left: &Val, right: &Val) -> bool {
    match (left, right) {
        (Val::Int(_), Val::Float(_)) | (Val::Float(_), Val::Int(_)) => {
            compare(left, right) == Some(Ordering::Equal)
        }
        _ => left == right,
    }
}

fn compare(left: &Val, right: &Val) -> Option<Ordering> {
    #[expect(clippy::cast_precision_loss, reason = "as CEL compares an int with a double")]
    match (left, right) {
        (Val::Int(left), Val::Int(right)) => Some(left.cmp(right)),
        (Val::Float(left), Val::Float(right)) => left.partial_cmp(right),
        (Val::Int(left), Val::Float(right)) => (*left as f64).partial_cmp(right),
        (Val::Float(left), Val::Int(right)) => left.partial_cmp(&(*right as f64)),
        (Val::Text(left), Val::Text(right)) => Some(left.cmp(right)),
        (Val::Duration(left), Val::Duration(right)) => Some(left.cmp(right)),
        (Val::Bool(left), Val::Bool(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

fn over(name: &str, items: Vec<Val>, variable: &str, body: &Expr, scope: &mut Scope) -> Answer {
    let mut kept = Vec::new();
    let mut failure = None;
    let mut trues = 0;
    let count = items.len();
    for item in items {
        scope.push((variable.to_owned(), item.clone()));
        let value = eval(body, scope);
        scope.pop();
        if name == "map" {
            kept.push(value?);
            continue;
        }
        match truth(value) {
            Ok(true) => {
                trues += 1;
                kept.push(item);
            }
            Ok(false) => {}
            Err(why) => failure = Some(why),
        }
    }
    // One false decides `all`, and one true decides `exists`, whatever failed beside it.
    let failed = usize::from(failure.is_some());
    match (name, failure) {
        ("all", Some(why)) if trues + failed == count => Err(why),
        ("all", _) => Ok(Val::Bool(trues == count)),
        ("exists", Some(why)) if trues == 0 => Err(why),
        ("exists", _) => Ok(Val::Bool(trues > 0)),
        (_, Some(why)) => Err(why),
        ("exists_one", None) => Ok(Val::Bool(trues == 1)),
        (_, None) => Ok(Val::List(kept)),
    }
}

fn call(name: &str, arguments: &[Val]) -> Answer {
    match (name, arguments) {
        ("size", [Val::Text(text)]) => Ok(Val::Int(length(text.chars().count()))),
        ("size", [Val::List(items)]) => Ok(Val::Int(length(items.len()))),
        ("size", [Val::Map(map)]) => Ok(Val::Int(length(map.len()))),
        ("duration", [Val::Text(text)]) => nanos(text)
            .map(Val::Duration)
            .ok_or_else(|| "type conversion error from 'string' to 'google.protobuf.Duration'".to_owned()),
        ("duration", [Val::Duration(nanos)]) => Ok(Val::Duration(*nanos)),
        ("type", [value]) => Ok(Val::Type(type_of(value))),
        ("string", [Val::Text(text)]) => Ok(Val::Text(text.clone())),
        ("string", [Val::Int(number)]) => Ok(Val::Text(number.to_string())),
        ("string", [Val::Bool(value)]) => Ok(Val::Text(value.to_string())),
        ("int", [Val::Int(number)]) => Ok(Val::Int(*number)),
        ("int", [Val::Text(text)]) => text.parse().map(Val::Int).map_err(|_| format!("{text:?} is no int")),
        ("double", [Val::Float(number)]) => Ok(Val::Float(*number)),
        ("matches", [Val::Text(text), Val::Text(pattern)]) => {
            let pattern = Regex::new(pattern).map_err(|why| why.to_string())?;
            Ok(Val::Bool(pattern.is_match(text)))
        }
        ("startsWith", [Val::Text(text), Val::Text(part)]) => Ok(Val::Bool(text.starts_with(part.as_str()))),
        ("endsWith", [Val::Text(text), Val::Text(part)]) => Ok(Val::Bool(text.ends_with(part.as_str()))),
        ("contains", [Val::Text(text), Val::Text(part)]) => Ok(Val::Bool(text.contains(part.as_str()))),
        ("lowerAscii", [Val::Text(text)]) => Ok(Val::Text(text.to_ascii_lowercase())),
        ("trim", [Val::Text(text)]) => Ok(Val::Text(text.trim().to_owned())),
        _ => Err(format!("no such overload: {name}{arguments:?}")),
    }
}

fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn type_of(value: &Val) -> &'static str {
    match value {
        Val::Null => "null_type",
        Val::Bool(_) => "bool",
        Val::Int(_) => "int",
        Val::Float(_) => "double",
        Val::Text(_) => "string",
        Val::Duration(_) => "google.protobuf.Duration",
        Val::List(_) => "list",
        Val::Map(_) => "map",
        Val::Type(_) => "type",
    }
}

/// The nanoseconds of a duration such as `1h30m` or `1.5s`.
fn nanos(text: &str) -> Option<i128> {
    let (sign, mut rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0.0_f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|one: char| !one.is_ascii_digit() && one != '.')?;
        let (number, after) = rest.split_at(end);
        let units = [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 6e10), ("h", 3.6e12)];
        let (unit, size) = units.into_iter().find(|(unit, _)| after.starts_with(unit))?;
        total += number.parse::<f64>().ok()? * size;
        rest = after.strip_prefix(unit)?;
    }
    #[expect(clippy::cast_possible_truncation, reason = "fractions of a nanosecond do not count")]
    Some(sign * total.round() as i128)
}
