//! `cargo measure`: the numbers of `docs/measured.md`.

use std::process::ExitCode;

fn main() -> ExitCode {
    hotstandby_testbed::reexec_entry();
    hotstandby_measure::main()
}
