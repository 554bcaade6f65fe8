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
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(hotstandby_testbed::progress::exit_code(&error))
        }
    }
}
