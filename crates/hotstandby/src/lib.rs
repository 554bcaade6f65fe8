//! One active pod, the others hot: the controller, and the commands for people.
//!
//! A library only so that `cargo demo` can be the real program too; nothing but its entry is public.
#![forbid(unsafe_code)]

mod cli;
mod controller;

use cli::{Cli, Command};
use std::ffi::OsString;
use std::process::ExitCode;

/// The program: reads its arguments, starts the runtime, and ends with the exit code.
pub fn main() -> ExitCode {
    // The gatekeeper's own parts come before all else: they are single-threaded, and their flags are no kubectl's.
    if let Some(args) = gatekeeper(std::env::args_os().collect()) {
        return hotstandby_await::run(args.into_iter());
    }
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        // Prints help or what is wrong, and ends with the code clap has for it.
        Err(error) => error.exit(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("hotstandby: the async runtime could not be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(run(cli))
}

/// The gatekeeper's arguments, if this is `hotstandby await …` or a process that the gatekeeper started.
fn gatekeeper(mut args: Vec<OsString>) -> Option<Vec<OsString>> {
    if hotstandby_await::is_called(args.first().map(OsString::as_os_str)) {
        return Some(args);
    }
    let called = args.get(1).is_some_and(|first| first == "await");
    called.then(|| {
        args.remove(1);
        args
    })
}

async fn run(cli: Cli) -> ExitCode {
    let Cli { kube, command } = cli;
    match command {
        Command::Controller(flags) => match flags.config(&kube) {
            Ok(config) => controller::run(config).await,
            Err(error) => cli::finish(Err(error)),
        },
        command => cli::run_user_command(Cli { kube, command }).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(args: &[&str]) -> Option<Vec<OsString>> {
        gatekeeper(args.iter().map(OsString::from).collect())
    }

    #[test]
    fn a_command_behind_await_keeps_every_argument_of_its_own() {
        let rest = ["hotstandby", "--lease-name", "db", "--", "await", "--help"].map(OsString::from);
        assert_eq!(
            asked(&["hotstandby", "await", "--lease-name", "db", "--", "await", "--help"]),
            Some(rest.into())
        );
    }

    #[test]
    fn a_group_called_await_is_no_gatekeeper() {
        assert_eq!(asked(&["hotstandby", "status", "await"]), None);
        assert_eq!(asked(&["hotstandby"]), None);
        assert_eq!(asked(&[]), None);
    }

    #[test]
    fn the_old_gatekeepers_file_name_takes_a_command_called_await() {
        let args = ["/bin/k8s-await-election", "await"].map(OsString::from);
        assert_eq!(asked(&["/bin/k8s-await-election", "await"]), Some(args.into()));
    }
}
