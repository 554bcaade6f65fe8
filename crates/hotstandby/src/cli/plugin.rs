//! The same binary as a kubectl plugin: called `kubectl-hotstandby` or `kubectl-astb`, it shows itself as
//! `kubectl hotstandby` or `kubectl astb`.

use super::Cli;
use clap::{CommandFactory, FromArgMatches};
use std::ffi::OsString;
use std::path::Path;

/// Reads the command line, the program's own name included.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let args: Vec<_> = args.into_iter().collect();
    let mut command = Cli::command();
    if let Some(name) = args.first().and_then(plugin_name) {
        // A plugin is for people; the controller is run by its image.
        command = command.bin_name(name).mut_subcommand("controller", |controller| controller.hide(true));
    }
    Cli::from_arg_matches(&command.try_get_matches_from(args)?)
}

/// How people call this program, where its file name is that of a plugin.
fn plugin_name(file: &OsString) -> Option<String> {
    let name = Path::new(file).file_stem()?.to_str()?;
    // kubectl looks for dashes in commands as underscores in file names; ours have none.
    let command = name.strip_prefix("kubectl-")?;
    (!command.is_empty()).then(|| format!("kubectl {command}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(program: &str) -> String {
        parse([program, "switchover", "--help"].map(OsString::from)).unwrap_err().to_string()
    }

    #[test]
    fn usage_shows_the_name_it_was_called_by() {
        assert!(help("/usr/local/bin/kubectl-hotstandby").contains("Usage: kubectl hotstandby switchover"));
        assert!(help("kubectl-astb").contains("Usage: kubectl astb switchover"));
        assert!(help("kubectl-astb.exe").contains("Usage: kubectl astb switchover"));
        assert!(help("/bin/hotstandby").contains("Usage: hotstandby switchover"));
        assert!(help("kubectl-").contains("Usage: kubectl- switchover"), "no plugin, so the file's own name");
    }

    #[test]
    fn the_plugin_does_not_offer_the_controller() {
        let help = |program: &str| parse([program, "--help"].map(OsString::from)).unwrap_err().to_string();
        assert!(!help("kubectl-astb").contains("controller"));
        assert!(help("hotstandby").contains("controller"));
    }
}
