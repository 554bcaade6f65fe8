//! The logs of pods, for a test that failed.

use std::time::Duration;

use super::{Env, REPLICAS, SYSTEM};

/// More lines of the replicas' logs than this are cut at the beginning.
const MOST_LINES: usize = 120;

impl Env {
    /// The last lines of every replica's log that are about groups of a namespace or about no group, as far as the logs still
    /// exist: tests that run beside each other share the replicas.
    pub async fn logs_about(&self, namespace: &str, since: Duration) -> String {
        let all = self.logs_by(SYSTEM, REPLICAS, since, 2_000).await;
        let about = all.lines().filter(|line| line.contains(namespace) || !line.contains("group"));
        let lines: Vec<&str> = about.collect();
        lines.get(lines.len().saturating_sub(MOST_LINES)..).unwrap_or_default().join("\n")
    }

    /// The last lines of the logs of every pod of a namespace.
    pub async fn logs_of_all(&self, namespace: &str, since: Duration) -> String {
        self.logs_by(namespace, "!hotstandby.dev/none", since, 60).await
    }

    async fn logs_by(&self, namespace: &str, selector: &str, since: Duration, tail: u32) -> String {
        let since = format!("--since={}s", since.as_secs() + 1);
        let which = ["logs", "-n", namespace, "-l", selector, &since];
        let tail = format!("--tail={tail}");
        let how = ["--prefix", &tail, "--ignore-errors=true", "--max-log-requests=20"];
        let words: Vec<&str> = which.into_iter().chain(how).collect();
        self.kubectl(&words).await.unwrap_or_else(|error| format!("no logs: {error:#}"))
    }
}
