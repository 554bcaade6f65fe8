//! What is typed.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

/// End-to-end tests on a real Kubernetes, made of network namespaces on this machine. Needs root.
#[derive(Debug, Parser)]
#[command(name = "cargo e2e", bin_name = "cargo e2e", max_term_width = 100)]
pub(super) struct Args {
    /// Only tests whose name contains one of these.
    pub(super) filter: Vec<String>,
    /// Print the tests' names and what each needs for itself alone, and do nothing.
    #[arg(long)]
    pub(super) list: bool,
    #[command(flatten)]
    pub(super) order: Order,
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

/// How many tests run at once.
#[derive(Debug, ClapArgs)]
pub(super) struct Order {
    /// Run all tests one after the other.
    #[arg(long)]
    pub(super) serial: bool,
    /// How many tests that need nothing but their own namespace run side by side.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16), conflicts_with = "serial")]
    pub(super) jobs: u8,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show one failover: three pods, the active one is killed, and what happened when.
    Demo(Demo),
    /// Compare a real API server with the transcripts in crates/conformance, to which `cargo test` also compares the model;
    /// the test `modelled_api_server_is_wrong` does the same. Needs no hotstandby.
    Conformance(Conformance),
    /// Run a stand-in for one of the older controllers until Enter, and print what it does. Grant it its rights first:
    /// `kubectl apply -f crates/e2e/manifests/b/rights.yaml`.
    Old(Old),
}

#[derive(Debug, ClapArgs)]
pub(super) struct Old {
    /// a: annotated Services; b: role labels of pods with app=hapod; d: the health toggle.
    pub(super) system: OldSystem,
    /// The namespace of its pods; a looks everywhere.
    #[arg(long, short, default_value = "default")]
    pub(super) namespace: String,
    /// Which pods d checks: the value of their label `app`.
    #[arg(long, default_value = "db")]
    pub(super) app: String,
    /// Seconds that d pauses between two checks.
    #[arg(long, default_value_t = 10)]
    pub(super) pause: u64,
    /// The cluster, which must be up.
    #[arg(long, value_name = "NAME", default_value = "testbed")]
    pub(super) cluster: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OldSystem {
    A,
    B,
    D,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Conformance {
    /// Replace the transcripts by its answers.
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
