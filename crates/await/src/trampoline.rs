//! Becomes the command: the last look at the clock, and a parent's death that is the command's, too.

use crate::{clock, log};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{getpgrp, getppid, isatty, tcsetpgrp};
use std::ffi::{OsStr, OsString};
use std::io::{self, stdin};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

/// Exit code where the start was too late.
const TOO_LATE: u8 = 125;
/// Exit code where the command cannot be executed, as in shells.
const NOT_EXECUTABLE: u8 = 126;
/// Exit code where there is no such command, as in shells.
const NOT_FOUND: u8 = 127;

/// What the keeper passes on the trampoline's command line, before the command.
pub(crate) fn arguments(keeper: i32, not_after: Duration) -> [String; 2] {
    [keeper.to_string(), not_after.as_nanos().to_string()]
}

/// Executes the command, or returns the exit code that says why not.
pub(crate) fn run(mut args: impl Iterator<Item = OsString>) -> u8 {
    let Some((keeper, not_after)) = leading(&mut args) else {
        log::line("started by somebody else than the keeper; start hotstandby-await instead");
        return NOT_EXECUTABLE;
    };
    let Some(command) = args.next() else {
        log::line("no command was given");
        return NOT_FOUND;
    };
    // From here on the keeper's death is the command's. It may have come before.
    if let Err(error) = prctl::set_pdeathsig(Signal::SIGKILL) {
        log::line(&format!("cannot tie the command's life to the keeper's: {error}"));
        return NOT_EXECUTABLE;
    }
    if getppid().as_raw() != keeper {
        return TOO_LATE;
    }
    take_terminal();
    if SigSet::empty().thread_set_mask().is_err() {
        return NOT_EXECUTABLE;
    }
    // The last thing before the exec: what was frozen until now must not start.
    if clock::now() >= not_after {
        log::line("the command is not started: its time was over before it could be");
        return TOO_LATE;
    }
    not_executed(&command, &Command::new(&command).args(args).exec())
}

/// Why an exec failed, as exit code and on stderr.
pub(crate) fn not_executed(command: &OsStr, error: &io::Error) -> u8 {
    log::line(&format!("executing {}: {error}; check the command and the image", command.display()));
    if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE }
}

fn leading(args: &mut impl Iterator<Item = OsString>) -> Option<(i32, Duration)> {
    let keeper = args.next()?.to_str()?.parse().ok()?;
    let not_after = args.next()?.to_str()?.parse().ok()?;
    Some((keeper, Duration::from_nanos(not_after)))
}

/// Where there is a terminal, the command's process group gets it: else it could not read from it.
fn take_terminal() {
    let terminal = stdin();
    if isatty(&terminal).unwrap_or(false) {
        // SIGTTOU is still blocked here. A terminal that is not ours to give stays where it is.
        let _ = tcsetpgrp(&terminal, getpgrp());
    }
}
