//! Progress lines on stderr, and the one error that means "this machine lacks something".

use std::time::Instant;

/// Something the user has to provide first: root rights, Go, a package. Binaries exit with
/// [`Prerequisite::EXIT_CODE`] for it, so that scripts can tell it from a failed test.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Prerequisite(pub String);

impl Prerequisite {
    /// The exit code for a missing prerequisite.
    pub const EXIT_CODE: u8 = 2;
}

/// The exit code a binary should end with for this error.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if error.chain().any(<dyn std::error::Error>::is::<Prerequisite>) { Prerequisite::EXIT_CODE } else { 1 }
}

/// Prints what is going on, with the time since it was made.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    start: Instant,
    quiet: bool,
}

impl Progress {
    /// Lines on stderr.
    pub fn stderr() -> Self {
        Self { start: Instant::now(), quiet: false }
    }

    /// No lines at all.
    pub fn quiet() -> Self {
        Self { start: Instant::now(), quiet: true }
    }

    /// One line.
    pub fn say(&self, what: impl AsRef<str>) {
        if !self.quiet {
            eprintln!("[{:6.1}s] {}", self.start.elapsed().as_secs_f64(), what.as_ref());
        }
    }
}

/// Refuses to go on without root rights, in one sentence.
pub fn require_root() -> Result<(), Prerequisite> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    Err(Prerequisite(
        "the testbed makes network namespaces, mounts and cgroups and so needs root: run it again as root (sudo)"
            .to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_missing_prerequisite_is_seen_through_context() {
        let plain = anyhow::anyhow!("disk on fire");
        assert_eq!(exit_code(&plain), 1);
        let lacking: Result<(), _> = Err(Prerequisite("no Go".into()));
        let wrapped = lacking.context("while starting").unwrap_err();
        assert_eq!(exit_code(&wrapped), 2);
    }
}
