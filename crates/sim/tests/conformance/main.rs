//! The model against what a real API server answered.

// Helpers of tests may fail as tests do.
#![allow(clippy::unwrap_used)]

mod known;

use futures::FutureExt;
use hotstandby_conformance::{Recorded, Server, path_of, run, suite};
use hotstandby_sim::{ApiServer, Handle, ManualClock};
use known::KNOWN;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

/// 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;

/// A model as a cluster has it that has run for a while.
fn server() -> Server {
    let mut server = ApiServer::new(Arc::new(ManualClock::new(START_MS)), 7);
    server.set_access(|question| question.user != "conformance-nobody", true);
    server.compact(server.version());
    let handle = Handle::new(server);
    let (for_garbage, for_compaction) = (handle.clone(), handle.clone());
    Server {
        client: handle.client("default"),
        run: "model".to_owned(),
        settle: Box::new(move || {
            for_garbage.with(ApiServer::collect_garbage);
        }),
        compact: Box::new(move |version| {
            for_compaction.with(|server| server.compact(version));
            futures::future::ready(Ok(())).boxed()
        }),
    }
}

#[tokio::test(start_paused = true)]
async fn the_model_answers_as_the_real_server_did() {
    let comparison = run(&server(), Recorded::Compare, KNOWN).await.unwrap();
    println!("{comparison}");
    assert!(comparison.compared > 0 && comparison.is_fine(), "\n{comparison}");
}

#[test]
fn every_transcript_belongs_to_a_scenario() {
    let wanted: BTreeSet<PathBuf> = suite().iter().map(path_of).collect();
    let folder = wanted.first().unwrap().parent().unwrap().to_path_buf();
    let there: BTreeSet<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(there, wanted);
}
