//! The controller: puts the parts together and runs them until a signal.
//!
//! [`hub`] owns the index and hands observations out; [`task`] is one group; [`executor`] carries out its actions;
//! [`publisher`] writes its status, [`answers`] stand in for one where a Service makes the group; [`watches`] feed the hub; [`replicas`] find the other replicas.

mod answers;
mod executor;
mod hub;
mod leases;
mod mailbox;
mod publisher;
mod relists;
mod replicas;
mod start;
mod sweep;
mod task;
mod watches;

use crate::cli::controller_flags::{ControllerConfig, LogFormat};
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Runs the controller until a signal or until it cannot go on.
pub(crate) async fn run(config: ControllerConfig) -> ExitCode {
    log_as(&config);
    end_on_panic();
    match start::run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A panic in one task would leave its group without failover in a process that looks alive. Ending at once lets the other
/// replica see it, and Kubernetes start this one anew.
fn end_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        std::process::abort();
    }));
}

fn log_as(config: &ControllerConfig) {
    let filter = EnvFilter::try_new(&config.log_filter).unwrap_or_default();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    match config.log_format {
        LogFormat::Json => log.json().flatten_event(true).init(),
        LogFormat::Text => log.init(),
    }
}
