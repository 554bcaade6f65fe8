//! What this program is: its own file name says it.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::Path;

/// The name by which it is hotstandby.
pub const HOTSTANDBY: &str = "hotstandby";
/// The name by which it is a server in a pod.
pub const POD: &str = "pod-server";
/// Set for the processes of a demo: they end when their standard input does.
pub const LIFELINE: &str = "HOTSTANDBY_DEMO_LIFELINE";

/// What this program is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The demo.
    Demo,
    /// A server in a pod.
    Pod,
    /// hotstandby: controller and commands.
    Hotstandby,
}

impl Role {
    /// By the name it was called.
    pub fn of(program: Option<OsString>) -> Self {
        let program = program.unwrap_or_default();
        match Path::new(&program).file_name().and_then(|name| name.to_str()) {
            Some(HOTSTANDBY) => Self::Hotstandby,
            Some(POD) => Self::Pod,
            _ => Self::Demo,
        }
    }
}

/// Ends this process when the demo that started it is gone, however it went.
pub fn end_with_the_demo() {
    if std::env::var_os(LIFELINE).is_none() {
        return;
    }
    std::thread::spawn(|| {
        let mut nothing = [0];
        // The demo never writes; the read returns when its end of the pipe is closed.
        while matches!(std::io::stdin().read(&mut nothing), Ok(1..)) {}
        std::process::exit(0);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_what_it_is() {
        let role = |name: &str| Role::of(Some(name.into()));
        assert_eq!(role("/tmp/x/hotstandby"), Role::Hotstandby);
        assert_eq!(role("pod-server"), Role::Pod);
        assert_eq!(role("target/release/demo"), Role::Demo);
        assert_eq!(Role::of(None), Role::Demo);
    }
}
