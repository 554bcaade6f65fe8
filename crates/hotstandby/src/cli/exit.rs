//! Exit codes, and the errors they come from.

use hotstandby_cluster::manifests::YamlError;
use hotstandby_cluster::objects::BadYaml;
use hotstandby_cluster::user::UserError;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// The exit codes, as shown by `--help` and in the docs.
pub(super) const HELP: &str = "\
Exit codes:
  0  done
  1  refused, void, or different: nothing was changed
  2  wrong usage
  3  no answer in time
  4  the API server or a file could not be read or written";

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// What was asked for is not to be had; nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// Flags that make no sense together.
    #[error("{0}")]
    Usage(String),
    /// No answer in time.
    #[error("{0}")]
    TimedOut(String),
    /// The API server.
    #[error(transparent)]
    Api(#[from] UserError),
    /// A file.
    #[error("{tried} {}: {source}", path.display())]
    File {
        /// What was tried, for example `writing`.
        tried: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Standard output.
    #[error("writing to standard output: {0}")]
    Output(#[from] io::Error),
    /// YAML.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// YAML that was given.
    #[error(transparent)]
    BadYaml(#[from] BadYaml),
    /// JSON.
    #[error("writing JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl CliError {
    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            Self::TimedOut(_) => 3,
            Self::Api(_)
            | Self::File { .. }
            | Self::Output(_)
            | Self::Yaml(_)
            | Self::BadYaml(_)
            | Self::Json(_) => 4,
        }
    }
}

/// Tells the error, if any, and gives the exit code.
pub(crate) fn finish(outcome: Result<(), CliError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough, as in `hotstandby status | head -1`.
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.code())
        }
    }
}
