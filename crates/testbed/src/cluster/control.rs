//! How programs talk to a cluster's supervisor: one JSON line each way over a Unix socket.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use super::control_plane::Component;
use crate::paths::Paths;

/// Longer than anything a supervisor does for one request.
const ANSWER_LIMIT: Duration = Duration::from_secs(90);

/// What a supervisor can be asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "op")]
pub(crate) enum Request {
    Status,
    Kill { component: Component },
    Restart { component: Component },
    PowerOn { node: String },
    Down,
}

/// What it answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    Done,
    Status(Status),
    Failed(String),
}

/// What runs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Status {
    /// The programs of the control plane: whether each runs.
    pub components: BTreeMap<String, bool>,
    /// The nodes: whether each has power.
    pub nodes: BTreeMap<String, bool>,
    /// The port of the API server on 127.0.0.1.
    pub host_port: u16,
    /// Seconds since the cluster was started.
    pub up_s: u64,
    /// Whether it ends with the program that started it.
    pub owned: bool,
}

/// Whether a cluster of this name has a living supervisor.
pub(crate) fn is_up(paths: &Paths) -> bool {
    UnixStream::connect(paths.control_socket()).is_ok()
}

/// Asks and waits for the answer.
pub(crate) fn ask(paths: &Paths, request: &Request) -> Result<Answer> {
    let name = paths.name();
    let mut stream = UnixStream::connect(paths.control_socket())
        .map_err(|_| anyhow!("no cluster '{name}' is up; start it with 'cargo testbed up --name {name}'"))?;
    stream.set_read_timeout(Some(ANSWER_LIMIT)).context("preparing the supervisor's socket")?;
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    stream.write_all(line.as_bytes()).context("asking the supervisor")?;
    let mut answer = String::new();
    BufReader::new(stream)
        .read_line(&mut answer)
        .with_context(|| format!("waiting for the supervisor of '{name}' to answer {request:?}"))?;
    let answer: Answer = serde_json::from_str(&answer).with_context(|| {
        format!("the supervisor of '{name}' answered {request:?} with {answer:?}: is it another version's? then 'down' and 'up' help")
    })?;
    match answer {
        Answer::Failed(why) => bail!("{why}"),
        fine => Ok(fine),
    }
}

/// Reads one request.
pub(crate) fn receive(stream: &UnixStream) -> Result<Request> {
    stream.set_read_timeout(Some(Duration::from_secs(5))).context("preparing a request's socket")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).context("reading a request")?;
    serde_json::from_str(&line).with_context(|| format!("understanding request {line:?}"))
}

/// Answers it. Who asked may be gone, which is no concern of ours.
pub(crate) fn answer(mut stream: &UnixStream, answer: &Answer) {
    if let Ok(mut line) = serde_json::to_string(answer) {
        line.push('\n');
        let _gone = stream.write_all(line.as_bytes());
    }
}

/// A line the supervisor prints for who started it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Report {
    Progress(String),
    Ready,
    Failed(String),
}

/// What the starter writes to the supervisor's standard input to let it live on alone. Its end of file
/// before that means that the starter died or gave up.
pub(crate) const DETACH: &str = "detach";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers_survive_the_wire() {
        let (a, b) = UnixStream::pair().unwrap();
        (&a).write_all(b"{\"op\":\"kill\",\"component\":\"apiserver\"}\n").unwrap();
        assert!(matches!(receive(&b).unwrap(), Request::Kill { component: Component::Apiserver }));
        answer(&b, &Answer::Failed("no".into()));
        let mut line = String::new();
        BufReader::new(&a).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), r#"{"failed":"no"}"#);
    }

    #[test]
    fn a_cluster_that_is_not_up_is_said_with_the_remedy() {
        let paths = Paths::new("never-started").unwrap();
        assert!(!is_up(&paths));
        let error = ask(&paths, &Request::Status).unwrap_err().to_string();
        assert!(error.contains("no cluster 'never-started' is up"), "{error}");
        assert!(error.contains("up --name never-started"), "{error}");
    }
}
