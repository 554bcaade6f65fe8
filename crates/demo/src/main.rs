//! `cargo demo`. The same program is, called by other names, a server in a pod, and hotstandby itself.
#![forbid(unsafe_code)]

// hotstandby is a program and no library. Its own sources make this program the real one as well, so that the demo needs
// no second build and runs exactly what is in the tree.
#[path = "../../hotstandby/src/cli/mod.rs"]
mod cli;
#[path = "../../hotstandby/src/controller/mod.rs"]
mod controller;

use cli::{Cli, Command};
use hotstandby_demo::roles::{self, Role};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = std::env::args_os();
    let role = Role::of(arguments.into_iter().next());
    if role != Role::Demo {
        roles::end_with_the_demo();
    }
    let work = async move {
        match role {
            Role::Demo => hotstandby_demo::run().await,
            Role::Pod => hotstandby_demo::pod::run().await,
            Role::Hotstandby => hotstandby().await,
        }
    };
    // The server in a pod has little to do; the others as hotstandby's own program.
    let mut builder = match role {
        Role::Pod => tokio::runtime::Builder::new_current_thread(),
        Role::Demo | Role::Hotstandby => tokio::runtime::Builder::new_multi_thread(),
    };
    match builder.enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => {
            eprintln!("demo: the async runtime could not be started: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What hotstandby's `main` does.
async fn hotstandby() -> ExitCode {
    let Cli { kube, command } = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match command {
        Command::Controller(flags) => match flags.config(&kube) {
            Ok(config) => controller::run(config).await,
            Err(error) => cli::finish(Err(error)),
        },
        command => cli::run_user_command(Cli { kube, command }).await,
    }
}
