//! `testbed`: a real Kubernetes on this machine, to look at and to hurt.

mod args;
mod commands;
mod enter;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    hotstandby_testbed::reexec_entry();
    match commands::run(args::Args::parse()) {
        Ok(code) => code,
        // The reader of our output has enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(hotstandby_testbed::progress::exit_code(&error))
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
