//! From tokens to an expression in which every name and function is known.

use super::lex::{Token, lex};

#[derive(Clone, Debug)]
pub(super) enum Expr {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    Null,
    /// `self` or a variable of a macro.
    Variable(String),
    /// `int`, `string` and the like.
    Type(&'static str),
    List(Vec<Expr>),
    Field(Box<Expr>, String),
    Has(Box<Expr>, String),
    Index(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    Choice(Box<Expr>, Box<Expr>, Box<Expr>),
    /// A function with its arguments, the receiver first.
    Call(&'static str, Vec<Expr>),
    /// A macro over a list or a map's keys: receiver, variable, body.
    Over(&'static str, Box<Expr>, String, Box<Expr>),
}

const TYPES: [&str; 6] = ["int", "double", "string", "bool", "list", "map"];
/// Functions and how many arguments they take, the receiver included.
const GLOBAL: [(&str, usize); 7] =
    [("size", 1), ("duration", 1), ("type", 1), ("string", 1), ("int", 1), ("double", 1), ("matches", 2)];
const MEMBER: [(&str, usize); 7] = [
    ("size", 1),
    ("matches", 2),
    ("startsWith", 2),
    ("endsWith", 2),
    ("contains", 2),
    ("lowerAscii", 1),
    ("trim", 1),
];
const MACROS: [&str; 5] = ["all", "exists", "exists_one", "filter", "map"];
/// Operators, the loosest first.
const LEVELS: [&[&str]; 5] =
    [&["||"], &["&&"], &["==", "!=", "<=", ">=", "<", ">", "in"], &["+", "-"], &["*", "/", "%"]];
/// Nested deeper, an expression is refused.
const DEEPEST: usize = 100;

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    variables: Vec<String>,
    depth: usize,
}

pub(super) fn parse(text: &str) -> Result<Expr, String> {
    let mut parser = Parser { tokens: lex(text)?, at: 0, variables: vec!["self".to_owned()], depth: 0 };
    let expr = parser.choice()?;
    match parser.peek() {
        None => Ok(expr),
        Some(token) => Err(format!("{token:?} was not expected")),
    }
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    /// Takes a sign if it comes next.
    fn take(&mut self, sign: &str) -> bool {
        let comes = matches!(self.peek(), Some(Token::Sign(next)) if *next == sign);
        self.at += usize::from(comes);
        comes
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.take(sign) { Ok(()) } else { Err(format!("{sign:?} was expected, not {:?}", self.peek())) }
    }

    fn choice(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("nested too deeply".to_owned());
        }
        let condition = self.level(0)?;
        let expr = if self.take("?") {
            let then = self.choice()?;
            self.expect(":")?;
            Expr::Choice(Box::new(condition), Box::new(then), Box::new(self.choice()?))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn level(&mut self, level: usize) -> Result<Expr, String> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.level(level + 1)?;
        while let Some(operator) = self.operator(operators) {
            let right = self.level(level + 1)?;
            left = Expr::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn operator(&mut self, known: &[&'static str]) -> Option<&'static str> {
        let text = match self.peek()? {
            Token::Sign(sign) => *sign,
            Token::Name(name) if name == "in" => "in",
            _ => return None,
        };
        let found = known.iter().copied().find(|one| *one == text)?;
        self.at += 1;
        Some(found)
    }

    fn unary(&mut self) -> Result<Expr, String> {
        if self.take("!") {
            return Ok(Expr::Not(Box::new(self.unary()?)));
        }
        if self.take("-") {
            return Ok(Expr::Negate(Box::new(self.unary()?)));
        }
        let mut expr = self.primary()?;
        loop {
            if self.take(".") {
                let Some(Token::Name(name)) = self.next() else {
                    return Err("a name must follow a dot".to_owned());
                };
                expr = if self.take("(") {
                    self.member(expr, &name)?
                } else {
                    Expr::Field(Box::new(expr), name)
                };
            } else if self.take("[") {
                let index = self.choice()?;
                self.expect("]")?;
                expr = Expr::Index(Box::new(expr), Box::new(index));
            } else {
                return Ok(expr);
            }
        }
    }

    fn primary(&mut self) -> Result<Expr, String> {
        match self.next() {
            Some(Token::Int(number)) => Ok(Expr::Int(number)),
            Some(Token::Float(number)) => Ok(Expr::Float(number)),
            Some(Token::Text(text)) => Ok(Expr::Text(text)),
            Some(Token::Sign("(")) => {
                let expr = self.choice()?;
                self.expect(")")?;
                Ok(expr)
            }
            Some(Token::Sign("[")) => Ok(Expr::List(self.arguments("]")?)),
            Some(Token::Name(name)) if self.take("(") => self.function(&name),
            Some(Token::Name(name)) => self.name(&name),
            other => Err(format!("a value was expected, not {other:?}")),
        }
    }

    fn name(&self, name: &str) -> Result<Expr, String> {
        match name {
            "true" => Ok(Expr::Bool(true)),
            "false" => Ok(Expr::Bool(false)),
            "null" => Ok(Expr::Null),
            name if self.variables.iter().any(|known| known == name) => Ok(Expr::Variable(name.to_owned())),
            name => TYPES
                .iter()
                .find(|known| **known == name)
                .map(|known| Expr::Type(known))
                .ok_or_else(|| format!("undeclared reference to '{name}'")),
        }
    }

    /// Arguments up to and with the closing sign.
    fn arguments(&mut self, close: &str) -> Result<Vec<Expr>, String> {
        let mut arguments = Vec::new();
        while !self.take(close) {
            arguments.push(self.choice()?);
            if !self.take(",") {
                self.expect(close)?;
                break;
            }
        }
        Ok(arguments)
    }

    fn function(&mut self, name: &str) -> Result<Expr, String> {
        let arguments = self.arguments(")")?;
        if name == "has" {
            return match <[Expr; 1]>::try_from(arguments) {
                Ok([Expr::Field(of, field)]) => Ok(Expr::Has(of, field)),
                _ => Err("has() takes one field".to_owned()),
            };
        }
        call(&GLOBAL, name, arguments)
    }

    fn member(&mut self, receiver: Expr, name: &str) -> Result<Expr, String> {
        if let Some(known) = MACROS.iter().find(|known| **known == name) {
            return self.over(known, receiver);
        }
        let mut arguments = vec![receiver];
        arguments.extend(self.arguments(")")?);
        call(&MEMBER, name, arguments)
    }

    fn over(&mut self, name: &'static str, receiver: Expr) -> Result<Expr, String> {
        let Some(Token::Name(variable)) = self.next() else {
            return Err(format!("{name}() needs a variable"));
        };
        self.expect(",")?;
        self.variables.push(variable.clone());
        let body = self.choice()?;
        self.variables.pop();
        self.expect(")")?;
        Ok(Expr::Over(name, Box::new(receiver), variable, Box::new(body)))
    }
}

fn call(known: &[(&'static str, usize)], name: &str, arguments: Vec<Expr>) -> Result<Expr, String> {
    match known.iter().find(|(known, _)| *known == name) {
        Some((known, count)) if *count == arguments.len() => Ok(Expr::Call(known, arguments)),
        Some(_) => Err(format!("wrong number of arguments for '{name}'")),
        None => Err(format!("undeclared reference to '{name}'")),
    }
}
