//! `cargo e2e`: the end-to-end tests, and the demo.

use std::process::ExitCode;

fn main() -> ExitCode {
    hotstandby_testbed::reexec_entry();
    hotstandby_e2e::main()
}
