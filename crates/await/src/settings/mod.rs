//! What the user asked for: flags, our own variables, and those of the old gatekeeper.

mod given;
mod help;
mod table;
mod values;

use crate::roles::Role;
use given::{Line, Lookup};
use hotstandby_cluster::election::traffic::{Mode, Port, ServiceSettings};
use hotstandby_core::gatekeeper::{Config, TimingError};
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use table::Row;

/// What is added to the lease's duration for the elector's farewell.
const FAREWELL: Duration = Duration::from_secs(30);

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Asked {
    /// A text for people.
    Print(String),
    /// Execute the command at once; the message, if any, says that nothing is guarded.
    Direct(Start, Option<&'static str>),
    /// Take part in the election.
    Elect(Start, Box<Settings>),
}

/// What the keeper needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// The command.
    pub(crate) command: OsString,
    /// Its arguments.
    pub(crate) args: Vec<OsString>,
    /// Flags, `--` and command: read again, it gives the same settings.
    pub(crate) whole_line: Vec<OsString>,
    /// How long the elector may take to finish once the command is dead: longer than the lease it gives back.
    pub(crate) farewell: Duration,
}

/// What the elector needs.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The election's name, in messages.
    pub(crate) name: String,
    /// The Lease.
    pub(crate) lease_name: String,
    /// Its namespace.
    pub(crate) lease_namespace: String,
    /// This member.
    pub(crate) identity: String,
    /// Checked durations.
    pub(crate) config: Config,
    /// Where to serve the status: host (may be empty) and port.
    pub(crate) status_address: Option<(String, u16)>,
    /// The Service to lead here.
    pub(crate) service: Option<ServiceSettings>,
    /// What tells that the command is ready for traffic.
    pub(crate) ready: Option<Check>,
    /// The pod's UID, if given.
    pub(crate) pod_uid: Option<String>,
    /// The container's name, if given.
    pub(crate) container: Option<String>,
    /// For use outside a pod.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Said once, by the keeper.
    pub(crate) warnings: Vec<String>,
}

/// How to know that the command is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// The pod's address.
    pub(crate) ip: IpAddr,
    /// The port.
    pub(crate) port: u16,
    /// For an HTTP check.
    pub(crate) path: Option<String>,
}

/// The settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingsError {
    /// No such flag.
    #[error("unknown flag {0}; see --help, and put -- before a command that begins with a dash")]
    UnknownFlag(String),
    /// A flag at the end of the line.
    #[error("--{0} needs a value; see --help")]
    NoValue(&'static str),
    /// The same flag again.
    #[error("--{0} is given twice; leave one out")]
    GivenTwice(&'static str),
    /// Not text.
    #[error("{0:?} is not valid UTF-8; flags must be")]
    NotUtf8(String),
    /// Nothing to run.
    #[error("no command is given: hotstandby-await [FLAGS] [--] COMMAND [ARGUMENTS]")]
    NoCommand,
    /// A setting that has no default.
    #[error("a required setting is missing: give {}", .0.ways())]
    Missing(&'static Row),
    /// A setting that another one needs.
    #[error("{with} is given, but not what it needs: give {}", .needs.ways())]
    MissingWith {
        /// What was given.
        with: String,
        /// What it needs.
        needs: &'static Row,
    },
    /// A value that means nothing.
    #[error("{source_name}={text:?}: {problem}")]
    Value {
        /// Flag or variable.
        source_name: String,
        /// As given.
        text: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// Two settings that cannot both hold.
    #[error("{0} and {1} contradict each other: {2}")]
    Contradiction(String, String, &'static str),
    /// Durations that promise nothing.
    #[error("{error} ({sources})")]
    Timing {
        /// The inequality.
        error: TimingError,
        /// Where each number came from.
        sources: String,
    },
}

/// Reads the command line and the variables of this process.
pub(crate) fn read(role: Role, args: Vec<OsString>) -> Result<Asked, SettingsError> {
    read_with(role, args, &|name| std::env::var(name).ok())
}

fn read_with(
    role: Role,
    args: Vec<OsString>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Asked, SettingsError> {
    let line = if role == Role::OldName { Line::without_flags(args) } else { Line::read(args)? };
    if line.help {
        return Ok(Asked::Print(help::text()));
    }
    if line.version {
        return Ok(Asked::Print(format!("hotstandby-await {}\n", env!("CARGO_PKG_VERSION"))));
    }
    let (command, args) = line.command.split_first().ok_or(SettingsError::NoCommand)?;
    let mut start = Start {
        command: command.clone(),
        args: args.to_vec(),
        whole_line: line.whole.clone(),
        farewell: FAREWELL,
    };
    let lookup = Lookup::new(&line, variable);
    if enabled(&lookup)? || role == Role::Elector {
        let settings = values::settings(&lookup)?;
        start.farewell = FAREWELL.saturating_add(settings.config.timing().lease_duration);
        return Ok(Asked::Elect(start, Box::new(settings)));
    }
    // Whoever has the old name has known for years what an unset variable means.
    let notice = (role != Role::OldName)
        .then_some("no election is asked for (no --lease-name, not enabled): the command runs unguarded");
    Ok(Asked::Direct(start, notice))
}

fn enabled(lookup: &Lookup<'_>) -> Result<bool, SettingsError> {
    if let Some(given) = lookup.own(&table::ENABLED) {
        return values::truth(&given);
    }
    Ok(lookup.own(&table::LEASE_NAME).is_some() || lookup.old(&table::ENABLED).is_some())
}

#[cfg(test)]
mod tests;
