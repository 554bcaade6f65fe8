//! One binary, three roles: told apart by the name it is started under, which no user's command line can touch.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// How the keeper calls the elector.
pub(crate) const ELECTOR: &str = "hotstandby-await:elector";
/// How the keeper calls the trampoline.
pub(crate) const TRAMPOLINE: &str = "hotstandby-await:start";
/// The file name that users of the old gatekeeper have in their images.
pub(crate) const OLD_NAME: &str = "k8s-await-election";
/// Marks the environment of all that descends from one keeper.
pub(crate) const RUN: &str = "HOTSTANDBY_RUN";
/// What the command learns about its term.
pub(crate) const TERM: &str = "HOTSTANDBY_TERM";

/// What this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Started by the user, under our name.
    Keeper,
    /// Started by the user, under the old gatekeeper's name: no flags, all arguments are the command.
    OldName,
    /// Started by the keeper.
    Elector,
    /// Started by the keeper.
    Trampoline,
}

impl Role {
    /// By the zeroth argument.
    pub(crate) fn of(name: Option<&OsStr>) -> Self {
        let name = name.unwrap_or_default();
        if name == ELECTOR {
            return Self::Elector;
        }
        if name == TRAMPOLINE {
            return Self::Trampoline;
        }
        let file = std::path::Path::new(name).file_name().unwrap_or_default();
        if file == OLD_NAME { Self::OldName } else { Self::Keeper }
    }
}

/// This very binary in another role; it need not be found by its name, and may have been replaced on disk.
pub(crate) fn again_as(role: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0(role);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str) -> Role {
        Role::of(Some(OsStr::new(name)))
    }

    #[test]
    fn file_name_decides_wherever_the_file_is() {
        assert_eq!(role("/usr/local/bin/k8s-await-election"), Role::OldName);
        assert_eq!(role("k8s-await-election"), Role::OldName);
        assert_eq!(role("/hotstandby-await"), Role::Keeper);
        assert_eq!(Role::of(None), Role::Keeper);
        assert_eq!(role(ELECTOR), Role::Elector);
        assert_eq!(role("/bin/hotstandby-await:elector"), Role::Keeper, "only the keeper uses the bare name");
    }
}
