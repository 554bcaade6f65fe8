//! The command line: what is typed, and the commands for people. The controller's flags are here, too; what
//! runs by them is in `controller/`.

pub(crate) mod controller_flags;
mod docs;
mod doctor;
mod exit;
mod import;
mod manifests;
mod pause;
mod plugin;
mod status;
mod switchover;
mod table;
mod view;
mod why;

pub(crate) use exit::{CliError, finish};
pub(crate) use plugin::parse;

use clap::{Args, Parser, Subcommand};
use hotstandby_cluster::connect::ConnectOptions;
use hotstandby_cluster::user::{Groups, UserError};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

/// One active pod, the others hot, and Services that follow the active.
#[derive(Debug, Parser)]
#[command(name = "hotstandby", version, propagate_version = true, max_term_width = 100, after_help = exit::HELP)]
pub(crate) struct Cli {
    /// As kubectl has them, before the command.
    #[command(flatten)]
    pub(crate) kube: KubeFlags,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show groups: who is active, since when and why, and what stands by.
    Status(status::StatusArgs),
    /// Move a group's active to another pod, and wait until it has moved.
    Switchover(switchover::SwitchoverArgs),
    /// Pause a group: nobody fails over and nobody is moved until it is resumed.
    Pause(pause::PauseArgs),
    /// Resume a paused group.
    Resume(pause::PauseArgs),
    /// Look at a cluster or at YAML for systems that hotstandby takes over, and print what to apply.
    Import(import::ImportArgs),
    /// Look for what bites: in the install, the groups, their Services and what stands around them.
    Doctor(doctor::DoctorArgs),
    /// Tell the last decisions of a group, with their evidence, the newest first.
    Why(why::WhyArgs),
    /// Print the YAML that installs hotstandby.
    Manifests(manifests::ManifestsArgs),
    /// Run a command for as long as this pod holds a Lease, and never beside another: the gatekeeper. Its flags are in await.md
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Await {
        /// Flags of the gatekeeper, `--`, and the command to run.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
        args: Vec<std::ffi::OsString>,
    },
    /// Run the controller.
    Controller(Box<controller_flags::ControllerFlags>),
    /// Write or check the flag reference in docs/cli.md.
    #[command(hide = true)]
    Docs(docs::DocsArgs),
}

/// How to find the cluster, as kubectl has it.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct KubeFlags {
    /// Namespace of the group; the context's namespace if not given.
    #[arg(short, long, value_name = "NAMESPACE", value_parser = object_name)]
    pub(crate) namespace: Option<String>,
    /// Context of the kubeconfig to use.
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Kubeconfig file to use; else $KUBECONFIG, ~/.kube/config, or the pod's service account.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

impl KubeFlags {
    /// These flags where given, else `before`: what stands after the command wins.
    fn or(self, before: &Self) -> Self {
        Self {
            namespace: self.namespace.or_else(|| before.namespace.clone()),
            context: self.context.or_else(|| before.context.clone()),
            kubeconfig: self.kubeconfig.or_else(|| before.kubeconfig.clone()),
        }
    }

    async fn connect(self) -> Result<Groups, UserError> {
        let options = ConnectOptions { kubeconfig: self.kubeconfig, context: self.context };
        Groups::connect(&options, self.namespace.as_deref()).await
    }
}

/// Now in Unix milliseconds: ages are shown as this machine's clock has it.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Names of groups, pods and namespaces: they go into paths of the API, so nothing else may be in them.
fn object_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let edges = edge(text.chars().next()) && edge(text.chars().next_back());
    if edges && text.len() <= 253 && text.chars().all(allowed) {
        return Ok(text.to_owned());
    }
    Err("names are made of a-z, 0-9, '-' and '.', with a letter or digit at both ends".to_owned())
}

/// Runs a command for people to its end. The controller is not one of them: see [`Command::Controller`].
pub(crate) async fn run_user_command(cli: Cli) -> ExitCode {
    let Cli { kube, command } = cli;
    let outcome = match command {
        Command::Status(args) => status::run(args, &kube).await,
        Command::Switchover(args) => switchover::run(args, &kube).await,
        Command::Pause(args) => pause::pause(args, &kube).await,
        Command::Resume(args) => pause::resume(args, &kube).await,
        Command::Import(args) => import::run(args, &kube).await,
        Command::Doctor(args) => doctor::run(args, &kube).await,
        Command::Why(args) => why::run(args, &kube).await,
        Command::Manifests(args) => manifests::run(&args),
        Command::Docs(args) => docs::run(&args),
        // Taken before all else where it is the first word; flags before it are meant for other commands.
        Command::Await { .. } => {
            Err(CliError::Usage("'await' comes first, and all of its flags come after it".to_owned()))
        }
        Command::Controller(_) => Err(CliError::Usage("the controller is not run from here".to_owned())),
    };
    finish(outcome)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
