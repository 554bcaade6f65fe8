//! Holds the model to what a real API server answered.

// Helpers of tests may fail as tests do.
#![allow(clippy::unwrap_used)]

mod known;

use futures::FutureExt;
use hotstandby_conformance::{
    Comparison, Recorded, Server, USER_WITHOUT_RIGHTS, read_transcript, run, suite,
};
use hotstandby_sim::{ApiServer, Handle, ManualClock};
use known::KNOWN;
use std::sync::Arc;

/// 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;

/// Returns a model in the state of a cluster that has been running for a while.
fn start_model() -> Server {
    let mut server = ApiServer::new(Arc::new(ManualClock::new(START_MS)), 7);
    server.set_access(|question| question.user != USER_WITHOUT_RIGHTS, true);
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
    let comparison = run(&start_model(), Recorded::Compare, KNOWN).await.unwrap();
    println!("{comparison}");
    assert!(comparison.compared > 0 && comparison.is_fine(), "\n{comparison}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_differs_from_its_transcript_is_noticed() {
    let suite = suite();
    let scenario = suite.iter().find(|scenario| scenario.name == "lease_versions").unwrap();
    let came = scenario.play(&start_model()).await.unwrap();
    let committed = read_transcript(scenario).unwrap();
    let compare = |committed| {
        let mut comparison = Comparison::default();
        comparison.add(committed, &came, KNOWN);
        comparison
    };
    assert!(compare(&committed).is_fine());

    let mut changed = committed.clone();
    let stale = changed.answers.iter_mut().find(|answer| answer.label == "put_stale").unwrap();
    stale.body = serde_json::json!({"kind": "Lease"});
    stale.code = 200;
    let comparison = compare(&changed);
    assert!(!comparison.is_fine());
    let text = comparison.to_string();
    assert!(
        text.starts_with("lease_versions / put_stale / code\n  recorded: 200\n  came now: 409\n"),
        "{text}"
    );
    assert!(text.ends_with(" 0 differ as listed, 1 differ otherwise"), "{text}");
}
