//! What is typed.

use clap::{Args as ClapArgs, Parser, Subcommand};

/// End-to-end tests on a real Kubernetes, made of network namespaces on this machine. Needs root.
#[derive(Debug, Parser)]
#[command(name = "cargo e2e", bin_name = "cargo e2e", max_term_width = 100)]
pub(super) struct Args {
    /// Only tests whose name contains one of these.
    pub(super) filter: Vec<String>,
    /// Show the tests' names and do nothing.
    #[arg(long)]
    pub(super) list: bool,
    /// Show what happened when, also for tests that pass.
    #[arg(long, short)]
    pub(super) verbose: bool,
    /// After the tests, leave the cluster up until Enter is pressed.
    #[arg(long)]
    pub(super) keep: bool,
    /// Use a cluster that is up, and leave it up. The test of rights needs a log of the API server that only
    /// a cluster of our own keeps, and fails there.
    #[arg(long, value_name = "NAME")]
    pub(super) cluster: Option<String>,
    /// The name of the cluster that is made.
    #[arg(long, value_name = "NAME", default_value = "e2e", conflicts_with = "cluster")]
    pub(super) name: String,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show one failover: three pods, the active one is killed, and what happened when.
    Demo(Demo),
    /// Compare a real API server with what was recorded of one, so with the model in crates/sim; the test
    /// `modelled_api_server_is_wrong` does the same. Needs no hotstandby.
    Conformance(Conformance),
}

#[derive(Debug, ClapArgs)]
pub(super) struct Conformance {
    /// Record its answers anew.
    #[arg(long)]
    pub(super) update: bool,
    /// Use a cluster that is up, and leave it up.
    #[arg(long, value_name = "NAME")]
    pub(super) cluster: Option<String>,
    /// The name of the cluster that is made.
    #[arg(long, value_name = "NAME", default_value = "conformance", conflicts_with = "cluster")]
    pub(super) name: String,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Demo {
    /// Leave everything up to play with.
    #[arg(long)]
    pub(super) keep: bool,
    /// The name of the cluster.
    #[arg(long, value_name = "NAME", default_value = "demo")]
    pub(super) name: String,
}
