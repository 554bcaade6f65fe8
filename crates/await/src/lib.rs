//! `hotstandby-await`: waits in a pod until its member holds the Lease, runs the command, and makes certain that the command is
//! dead before anyone else may start it.
//!
//! One binary in three roles ([`run`] tells them apart). The *keeper* is the process that was started: parent of the command,
//! killer, reaper, forwarder of signals. The *elector* is its child and talks to the API server. The *trampoline* becomes the
//! command, after a last look at the clock. Keeper and elector each kill the command by themselves when the lease is about to run
//! out, so that either may be frozen or dead.
//!
//! # Promised
//! - SIGTERM reaches the command at the renew deadline, SIGKILL it and all its descendants before the lease can be taken.
//! - The lease is released only after all of them are dead and reaped.
//! - Not enabled: the command is executed at once, in the same process, with the whole environment.
//!
//! # Not promised
//! - Anything while both processes and the command are frozen together (a frozen container, a suspended machine): what thaws
//!   runs for an instant. Only the term protects then, where it is checked by what the command writes to.
//! - The death of what sleeps uninterruptibly: it is killed, and dies when the kernel lets it.
//! - The death of what the command had others start: by a container runtime's socket, a service manager, another machine.

#![forbid(unsafe_code)]

mod clock;
mod elector;
mod keeper;
mod log;
mod roles;
mod settings;
mod trampoline;
mod wire;

use roles::Role;
use settings::{Asked, Start};
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

/// The exit code for settings that cannot be used.
const BAD_SETTINGS: u8 = 1;

/// Whether this process was started by a gatekeeper or as one by its name, so that [`run`] must be called before anything else.
pub fn is_called(name: Option<&OsStr>) -> bool {
    Role::of(name) != Role::Keeper
}

/// Does what the arguments ask for: the zeroth tells the role, the others are flags and command.
pub fn run(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let role = Role::of(args.next().as_deref());
    if role == Role::Trampoline {
        return trampoline::run(args).into();
    }
    let asked = match settings::read(role, args.collect()) {
        Ok(asked) => asked,
        Err(error) => {
            log::line(&error.to_string());
            return BAD_SETTINGS.into();
        }
    };
    match (role, asked) {
        (_, Asked::Print(text)) => print(&text),
        (_, Asked::Direct(start, notice)) => direct(&start, notice),
        (Role::Elector, Asked::Elect(_, settings)) => elector::run(*settings).into(),
        (_, Asked::Elect(start, settings)) => {
            for warning in &settings.warnings {
                log::line(warning);
            }
            keeper::run(start).into()
        }
    }
}

fn print(text: &str) -> ExitCode {
    // A closed pipe is whoever reads it having seen enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn direct(start: &Start, notice: Option<&str>) -> ExitCode {
    if let Some(notice) = notice {
        log::line(notice);
    }
    let error = Command::new(&start.command).args(&start.args).exec();
    trampoline::not_executed(&start.command, &error).into()
}
