//! What was given, by flag or variable, before it is known what it means.
//!
//! A flag goes before our own variable, and that before the old gatekeeper's. Empty variables count as not given.

use super::SettingsError;
use super::table::{ROWS, Row};
use std::collections::HashMap;
use std::ffi::OsString;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The command line.
    Flag(&'static str),
    /// Our own variable.
    Own(String),
    /// A variable of the old gatekeeper.
    Old(&'static str),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Own(variable) => f.write_str(variable),
            Self::Old(variable) => f.write_str(variable),
        }
    }
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    /// As it was given.
    pub(crate) text: String,
    /// By what.
    pub(crate) source: Source,
}

/// The command line, cut into flags and command.
#[derive(Debug, Default)]
pub(crate) struct Line {
    flags: HashMap<&'static str, String>,
    /// The flags as they were, with a `--` behind, and the command.
    pub(crate) whole: Vec<OsString>,
    /// The command and its arguments.
    pub(crate) command: Vec<OsString>,
    /// `--help` was among the flags.
    pub(crate) help: bool,
    /// `--version` was among the flags.
    pub(crate) version: bool,
}

impl Line {
    /// A line that has no flags: the old gatekeeper's.
    pub(crate) fn without_flags(command: Vec<OsString>) -> Self {
        let whole = std::iter::once("--".into()).chain(command.iter().cloned()).collect();
        Self { whole, command, ..Self::default() }
    }

    /// Flags up to `--` or the first word that is none; the rest is the command.
    pub(crate) fn read(args: Vec<OsString>) -> Result<Self, SettingsError> {
        let mut line = Self::default();
        let mut args = args.into_iter().peekable();
        while let Some(arg) = args.next_if(|arg| arg.to_string_lossy().starts_with('-')) {
            if arg == "--" {
                break;
            }
            let text = utf8(&arg)?;
            line.whole.push(arg);
            match text.as_str() {
                "-h" | "--help" => line.help = true,
                "-V" | "--version" => line.version = true,
                _ => {
                    let (name, value) = text
                        .split_once('=')
                        .map_or((text.as_str(), None), |(name, value)| (name, Some(value.to_owned())));
                    let row = ROWS
                        .iter()
                        .find(|row| name.strip_prefix("--") == Some(row.flag))
                        .ok_or_else(|| SettingsError::UnknownFlag(name.to_owned()))?;
                    let value = if let Some(value) = value {
                        value
                    } else {
                        let next = args.next().ok_or(SettingsError::NoValue(row.flag))?;
                        let text = utf8(&next)?;
                        line.whole.push(next);
                        text
                    };
                    if line.flags.insert(row.flag, value).is_some() {
                        return Err(SettingsError::GivenTwice(row.flag));
                    }
                }
            }
        }
        line.command = args.collect();
        line.whole.push("--".into());
        line.whole.extend(line.command.iter().cloned());
        Ok(line)
    }
}

fn utf8(arg: &OsString) -> Result<String, SettingsError> {
    arg.to_str().map(str::to_owned).ok_or_else(|| SettingsError::NotUtf8(arg.to_string_lossy().into_owned()))
}

/// Looks up settings.
pub(crate) struct Lookup<'a> {
    line: &'a Line,
    variable: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Lookup<'a> {
    /// In this line, and in variables as this function tells them.
    pub(crate) fn new(line: &'a Line, variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { line, variable }
    }

    /// The value that counts, if there is one.
    pub(crate) fn get(&self, row: &Row) -> Option<Given> {
        self.own(row).or_else(|| self.old(row))
    }

    /// By flag or our own variable.
    pub(crate) fn own(&self, row: &Row) -> Option<Given> {
        if let Some(text) = self.line.flags.get(row.flag) {
            return Some(Given { text: text.clone(), source: Source::Flag(row.flag) });
        }
        let variable = row.variable();
        let text = (self.variable)(&variable).filter(|text| !text.is_empty())?;
        Some(Given { text, source: Source::Own(variable) })
    }

    /// By the old gatekeeper's variable.
    pub(crate) fn old(&self, row: &Row) -> Option<Given> {
        let name = row.old?;
        let text = (self.variable)(name).filter(|text| !text.is_empty())?;
        Some(Given { text, source: Source::Old(name) })
    }

    /// The text that counts, if there is one.
    pub(crate) fn text(&self, row: &Row) -> Option<String> {
        self.get(row).map(|given| given.text)
    }

    /// The text that counts; without it nothing starts.
    pub(crate) fn required(&self, row: &'static Row) -> Result<String, SettingsError> {
        self.text(row).ok_or(SettingsError::Missing(row))
    }
}
