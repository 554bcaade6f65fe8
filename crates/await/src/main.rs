//! The small binary for users' images.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    hotstandby_await::run(std::env::args_os())
}
