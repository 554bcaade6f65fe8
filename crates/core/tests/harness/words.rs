//! The words of a command: `name`, `flag`, `key=value`.

use std::collections::BTreeMap;
use std::time::Duration;

/// A command's arguments; [`Words::finish`] makes sure that none was overlooked.
pub(super) struct Words {
    plain: Vec<String>,
    pairs: BTreeMap<String, String>,
}

impl Words {
    pub(super) fn parse(text: &str) -> Self {
        let (mut plain, mut pairs) = (Vec::new(), BTreeMap::new());
        for word in text.split_whitespace() {
            match word.split_once('=') {
                Some((key, value)) => {
                    pairs.insert(key.to_owned(), value.to_owned());
                }
                None => plain.push(word.to_owned()),
            }
        }
        Self { plain, pairs }
    }

    /// The next plain word.
    pub(super) fn next(&mut self) -> Result<String, String> {
        if self.plain.is_empty() { Err("a word is missing".into()) } else { Ok(self.plain.remove(0)) }
    }

    /// All plain words.
    pub(super) fn rest(&mut self) -> Vec<String> {
        std::mem::take(&mut self.plain)
    }

    /// Whether this flag is there.
    pub(super) fn flag(&mut self, name: &str) -> bool {
        let before = self.plain.len();
        self.plain.retain(|word| word != name);
        self.plain.len() != before
    }

    /// The value of `key=`.
    pub(super) fn value(&mut self, key: &str) -> Option<String> {
        self.pairs.remove(key)
    }

    /// The value of `key=` as a number.
    pub(super) fn number<T: std::str::FromStr>(&mut self, key: &str) -> Result<Option<T>, String> {
        let text = self.value(key);
        text.map(|text| text.parse().map_err(|_| format!("{key}={text} is no number"))).transpose()
    }

    /// The value of `key=` as a duration.
    pub(super) fn duration(&mut self, key: &str) -> Result<Option<Duration>, String> {
        self.value(key).map(|text| duration(&text)).transpose()
    }

    /// Refuses words nobody asked for.
    pub(super) fn finish(self) -> Result<(), String> {
        if self.plain.is_empty() && self.pairs.is_empty() {
            return Ok(());
        }
        Err(format!("not understood: {:?} {:?}", self.plain, self.pairs))
    }
}

/// `5ms`, `3s`, `2m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|letter: char| !letter.is_ascii_digit()).ok_or("a duration needs a unit")?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| format!("{text} is no duration"))?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number * 60)),
        _ => Err(format!("{unit} is no unit")),
    }
}
