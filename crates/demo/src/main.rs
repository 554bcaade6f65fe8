//! `cargo demo`. The same program is, called by other names, a server in a pod, and hotstandby itself: one build is enough.
#![forbid(unsafe_code)]

use hotstandby_demo::roles::{self, Role};
use std::process::ExitCode;
use tokio::runtime::Builder;

fn main() -> ExitCode {
    match Role::of(std::env::args_os().next()) {
        Role::Demo => in_runtime(&mut Builder::new_multi_thread(), hotstandby_demo::run()),
        Role::Pod => {
            roles::end_with_the_demo();
            in_runtime(&mut Builder::new_current_thread(), hotstandby_demo::pod::run())
        }
        Role::Hotstandby => {
            roles::end_with_the_demo();
            hotstandby::main()
        }
    }
}

fn in_runtime(builder: &mut Builder, work: impl Future<Output = ExitCode>) -> ExitCode {
    match builder.enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => {
            eprintln!("demo: the async runtime could not be started: {error}");
            ExitCode::FAILURE
        }
    }
}
