//! From text to tokens.

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    Text(String),
    Int(i64),
    Float(f64),
    Sign(&'static str),
}

const SIGNS: [&str; 22] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "?", ":", "+", "-", "*", "/", "%", "(", ")", "[", "]",
    ",", ".",
];

pub(super) fn lex(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = if first.is_ascii_digit() {
            number(rest)?
        } else if first == '\'' || first == '"' {
            quoted(rest, first)?
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = rest.find(|one: char| !one.is_ascii_alphanumeric() && one != '_').unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            (Token::Name(name.to_owned()), after)
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            let sign = sign.ok_or_else(|| format!("{first:?} is not understood"))?;
            (Token::Sign(sign), rest.get(sign.len()..).unwrap_or_default())
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}

fn number(text: &str) -> Result<(Token, &str), String> {
    let end = text.find(|one: char| !one.is_ascii_digit() && one != '.').unwrap_or(text.len());
    let (digits, after) = text.split_at(end);
    if after.starts_with(|one: char| one.is_ascii_alphabetic()) {
        return Err(format!("the number {digits} with a suffix is not known"));
    }
    let token = if digits.contains('.') {
        digits.parse().ok().map(Token::Float)
    } else {
        digits.parse().ok().map(Token::Int)
    };
    Ok((token.ok_or_else(|| format!("{digits} is no number"))?, after))
}

fn quoted(text: &str, quote: char) -> Result<(Token, &str), String> {
    let mut value = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some((_, one @ ('\\' | '\'' | '"' | '?'))) => value.push(one),
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                other => return Err(format!("the escape {other:?} is not known")),
            },
            letter if letter == quote => {
                let after = text.get(at + quote.len_utf8()..).unwrap_or_default();
                return Ok((Token::Text(value), after));
            }
            letter => value.push(letter),
        }
    }
    Err("a text has no end".to_owned())
}
