//! The conformance suite: one set of requests for every API server, and what a real Kubernetes answers to them.
//!
//! [`suite`] returns the scenarios. [`Scenario::play`] sends one of them to a server through a `kube::Client` and
//! returns a [`Transcript`]. Values that no two runs can have in common (versions, UIDs, times) have names in it.
//! The committed transcripts in `transcripts/` come from a real server. [`run`] plays the whole suite and compares every
//! answer with them. A difference that is accepted for one server, such as the modelled one, is a [`KnownDifference`];
//! the caller keeps that list, because it describes the server and not the suite.

mod compare;
mod fill;
mod json;
mod names;
mod normalise;
mod play;
mod scenarios;
mod script;
mod transcript;
mod trim;

pub use compare::{Comparison, Difference, KnownDifference};
pub use play::{Compact, PlayError, Server};
pub use scenarios::{USER_WITHOUT_RIGHTS, suite};
pub use script::Scenario;
pub use transcript::{Answer, NotATranscript, Transcript};

use std::io;
use std::path::PathBuf;

/// The suite could not be compared or recorded.
#[derive(Debug, thiserror::Error)]
pub enum ConformanceError {
    /// A scenario could not be played to its end.
    #[error(transparent)]
    Play(#[from] PlayError),
    /// A committed transcript cannot be parsed.
    #[error("{path}: {source}")]
    Transcript {
        /// The file of the transcript.
        path: PathBuf,
        /// What is wrong with it.
        source: NotATranscript,
    },
    /// A committed transcript cannot be read or written.
    #[error("{path}: {source}; to record the transcripts, run `cargo e2e conformance --update`")]
    File {
        /// The file of the transcript.
        path: PathBuf,
        /// Why it cannot be read or written.
        source: io::Error,
    },
}

/// What to do with the committed transcripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Compare the answers with them.
    Compare,
    /// Replace them with the answers.
    Update,
}

/// Returns the folder that holds the committed transcripts.
pub fn transcript_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("transcripts")
}

/// Returns the file that holds the committed transcript of a scenario.
pub fn transcript_path(scenario: &Scenario) -> PathBuf {
    transcript_folder().join(format!("{}.txt", scenario.name))
}

/// Reads the committed transcript of a scenario.
pub fn read_transcript(scenario: &Scenario) -> Result<Transcript, ConformanceError> {
    let path = transcript_path(scenario);
    let text = std::fs::read_to_string(&path)
        .map_err(|source| ConformanceError::File { path: path.clone(), source })?;
    Transcript::parse(&text).map_err(|source| ConformanceError::Transcript { path, source })
}

/// Plays the whole suite against a server and compares every answer with the committed transcripts.
///
/// `known` lists the differences that are accepted for this server; each of them must still exist.
pub async fn run(
    server: &Server,
    recorded: Recorded,
    known: &[KnownDifference],
) -> Result<Comparison, ConformanceError> {
    let suite = suite();
    let mut comparison = Comparison::default();
    for scenario in &suite {
        let came = scenario.play(server).await?;
        if recorded == Recorded::Update {
            let path = transcript_path(scenario);
            std::fs::write(&path, came.text()).map_err(|source| ConformanceError::File { path, source })?;
        }
        comparison.add(&read_transcript(scenario)?, &came, known);
    }
    let unknown = known.iter().filter(|known| suite.iter().all(|scenario| scenario.name != known.scenario));
    comparison.outdated.extend(unknown);
    for scenario in &suite {
        scenario.clean(server).await?;
    }
    Ok(comparison)
}

#[cfg(test)]
mod tests {
    use super::*;
    use script::Act;
    use serde_json::json;
    use std::collections::BTreeSet;

    /// Compares two lists of answers to one scenario and returns the places where they differ.
    fn find_places(recorded: &[Answer], came: &[Answer]) -> Vec<String> {
        let transcript = |answers: &[Answer]| Transcript {
            name: "scenario".into(),
            about: String::new(),
            answers: answers.to_vec(),
        };
        let mut comparison = Comparison::default();
        comparison.add(&transcript(recorded), &transcript(came), &[]);
        comparison.unlisted.into_iter().map(|found| found.at).collect()
    }

    #[test]
    fn every_transcript_belongs_to_a_scenario() {
        let wanted: BTreeSet<PathBuf> = suite().iter().map(transcript_path).collect();
        let entries = std::fs::read_dir(transcript_folder()).unwrap();
        let found: BTreeSet<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn every_transcript_has_the_steps_of_its_scenario() {
        for scenario in suite() {
            let committed = read_transcript(&scenario).unwrap();
            assert_eq!((committed.name.as_str(), committed.about.as_str()), (scenario.name, scenario.about));
            let steps = scenario.steps.iter().filter(|step| !matches!(step.act, Act::Compact));
            let steps: Vec<_> = steps
                .map(|step| (step.label.clone(), step.show(), step.show_body().replace('\n', "\\n")))
                .collect();
            let answers = committed.answers.into_iter();
            let answers: Vec<_> = answers.map(|answer| (answer.label, answer.request, answer.sent)).collect();
            assert_eq!(answers, steps, "{}", scenario.name);
        }
    }

    #[test]
    fn a_change_in_any_committed_answer_is_noticed() {
        let mut answers = 0;
        for scenario in suite() {
            for answer in read_transcript(&scenario).unwrap().answers {
                answers += 1;
                let find_change = |change: fn(&mut Answer)| {
                    let mut changed = answer.clone();
                    change(&mut changed);
                    find_places(&[changed], std::slice::from_ref(&answer))
                };
                assert!(find_change(|_| ()).is_empty());
                assert_eq!(find_change(|changed| changed.code += 1), ["code"]);
                assert_eq!(find_change(|changed| changed.notes.push("Warning: x".into())), ["notes"]);
                assert_eq!(find_change(|changed| changed.request.push('x')), ["request"]);
                assert!(!find_change(|changed| changed.body = json!("something else")).is_empty());
                assert_eq!(find_places(std::slice::from_ref(&answer), &[]), ["step"]);
            }
        }
        assert!(answers > 0);
    }
}
