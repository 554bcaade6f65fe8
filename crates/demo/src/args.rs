//! The flags.

use clap::{Parser, ValueEnum};

/// Shows failovers on a modelled control plane: no cluster, no root, no network.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo demo", bin_name = "cargo demo", max_term_width = 100, after_help = HELP)]
pub(crate) struct Args {
    /// What is done to the active, in this order; everything if not given.
    #[arg(value_enum)]
    pub(crate) acts: Vec<Act>,
    /// Leave everything up afterwards, and print commands to play with, until Ctrl-C.
    #[arg(long)]
    pub(crate) keep: bool,
}

const HELP: &str = "Exit codes: 0 every failover was fast enough and nobody was doubled; 1 not so; 2 the demo could not run.\n\
    Colours: only on a terminal, and not with NO_COLOR.";

/// Something done to the active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Act {
    /// Its process is killed.
    Kill,
    /// Its process is stopped: it accepts connections and never answers.
    Hang,
    /// Its node is drained.
    Drain,
}

impl Args {
    /// The acts, all where none is named.
    pub(crate) fn acts(&self) -> Vec<Act> {
        if self.acts.is_empty() { vec![Act::Kill, Act::Hang, Act::Drain] } else { self.acts.clone() }
    }
}
