//! One active pod, the others hot: the controller, and the commands for people.
//!
//! A library only so that `cargo demo` can be the real program too; nothing but its entry is public.
#![forbid(unsafe_code)]

mod cli;
mod controller;

use cli::{Cli, Command};
use std::process::ExitCode;

/// The program: reads its arguments, starts the runtime, and ends with the exit code.
pub fn main() -> ExitCode {
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
