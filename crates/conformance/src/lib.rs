//! Conformance: one suite of requests for the model and for a real API server, and what both answer.
//!
//! [`suite`] is written once. [`Scenario::play`] plays it over a `kube::Client` and gives back a [`Transcript`] in
//! which whatever two runs cannot have in common (versions, UIDs, times) has a name instead. The committed transcripts
//! in `transcripts/` are the real server's; `cargo test` holds the model to them, `cargo e2e` a real server. Where a
//! server differs and that stays so, the caller lists it as a [`KnownDifference`].

mod compare;
mod fill;
mod json;
mod normal;
mod play;
mod scenarios;
mod script;
mod transcript;

pub use compare::{Comparison, Difference, KnownDifference};
pub use play::{Compact, PlayError, Server};
pub use scenarios::suite;
pub use script::Scenario;
pub use transcript::{Answer, NotATranscript, Transcript};

use std::io;
use std::path::PathBuf;

/// The suite was not compared, or not recorded.
#[derive(Debug, thiserror::Error)]
pub enum ConformanceError {
    /// A scenario did not come to its end.
    #[error(transparent)]
    Play(#[from] PlayError),
    /// A committed transcript does not read.
    #[error("{path}: {source}")]
    Transcript {
        /// Which.
        path: PathBuf,
        /// Why.
        source: NotATranscript,
    },
    /// A committed transcript cannot be read or written.
    #[error("{path}: {source}; `cargo e2e conformance --update` records it")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What to do with the committed transcripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Compare with them.
    Compare,
    /// Write them anew.
    Update,
}

/// Where the committed transcript of a scenario is.
pub fn path_of(scenario: &Scenario) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("transcripts").join(format!("{}.txt", scenario.name))
}

/// Plays the whole suite against a server and compares, `listed` being the differences that are known of it.
pub async fn run(
    server: &Server,
    recorded: Recorded,
    listed: &[KnownDifference],
) -> Result<Comparison, ConformanceError> {
    let suite = suite();
    let mut comparison = Comparison::default();
    for scenario in &suite {
        let came = scenario.play(server).await?;
        let path = path_of(scenario);
        let failed = |source| ConformanceError::File { path: path.clone(), source };
        if recorded == Recorded::Update {
            std::fs::write(&path, came.text()).map_err(failed)?;
        }
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        let committed =
            Transcript::parse(&text).map_err(|source| ConformanceError::Transcript { path, source })?;
        comparison.add(&committed, &came, listed);
    }
    let unknown = listed.iter().filter(|known| suite.iter().all(|scenario| scenario.name != known.scenario));
    comparison.outdated.extend(unknown);
    for scenario in &suite {
        scenario.clean(server).await?;
    }
    Ok(comparison)
}
