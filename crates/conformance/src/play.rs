//! Plays a scenario against a server.

use super::fill::Known;
use super::normal::normalise;
use super::script::{Act, Call, JSON, Scenario, Step, Until};
use super::transcript::Transcript;
use futures::future::BoxFuture;
use http::{Method, Request, Response, header};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// What writes; `managedFields` show it.
const USER_AGENT: &str = "conformance/1";
/// How long an event or an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long other parts of a cluster are given.
const CLUSTER_PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks at what they do.
const INTERVAL: Duration = Duration::from_millis(100);

/// Makes a server forget the versions before one.
pub type Compact = Box<dyn Fn(u64) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// A server to be asked.
pub struct Server {
    /// The way to it, as an administrator, without retries.
    pub client: Client,
    /// Sets namespaces of this run apart from those of others.
    pub run: String,
    /// Does what processes beside the server do in a cluster, where nobody else does it.
    pub settle: Box<dyn Fn() + Send + Sync>,
    /// Forgets old versions.
    pub compact: Compact,
}

/// A scenario could not be played to its end.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// No answer.
    #[error("scenario {scenario}, step {step}: no answer: {why}; is the server up?")]
    NoAnswer {
        /// The scenario.
        scenario: &'static str,
        /// The step.
        step: String,
        /// Why.
        why: String,
    },
    /// No place to play in.
    #[error(
        "scenario {scenario}: making namespace {namespace} was answered with {answer}; it needs an administrator"
    )]
    NoNamespace {
        /// The scenario.
        scenario: &'static str,
        /// The namespace.
        namespace: String,
        /// The answer.
        answer: Value,
    },
    /// Something is still there.
    #[error("{path} is still there 90 s after it was deleted; delete it and try again")]
    Left {
        /// What.
        path: String,
    },
}

/// An answer as it came.
#[derive(Debug, Default)]
pub(super) struct Raw {
    pub(super) code: u16,
    /// Headers worth a look.
    pub(super) notes: Vec<String>,
    pub(super) body: Value,
}

impl Scenario {
    /// Plays all steps and gives back what was answered.
    pub async fn play(&self, server: &Server) -> Result<Transcript, PlayError> {
        let namespace = format!("conf-{}-{}", self.name.replace('_', "-"), server.run);
        for path in &self.leftovers {
            server.remove(path).await?;
        }
        server.make_namespace(self.name, &namespace).await?;
        let mut player = Player::new(server, &namespace);
        let played = player.play(self).await;
        drop(player);
        // No kubelet ends them.
        let pods = format!("/api/v1/namespaces/{namespace}/pods?gracePeriodSeconds=0");
        let _deleted = server.ask(Method::DELETE, &pods, None).await;
        // Not waited for: `clean` does, when all are played.
        let _deleted = server.ask(Method::DELETE, &format!("/api/v1/namespaces/{namespace}"), None).await;
        for path in &self.leftovers {
            server.remove(path).await?;
        }
        Ok(normalise(self, &namespace, &played?))
    }

    /// Waits until nothing of it is left.
    pub async fn clean(&self, server: &Server) -> Result<(), PlayError> {
        let namespace = format!("conf-{}-{}", self.name.replace('_', "-"), server.run);
        server.remove(&format!("/api/v1/namespaces/{namespace}")).await
    }
}

impl Server {
    async fn make_namespace(&self, scenario: &'static str, namespace: &str) -> Result<(), PlayError> {
        let no_namespace =
            |answer| PlayError::NoNamespace { scenario, namespace: namespace.to_owned(), answer };
        let object = json!({"metadata": {"name": namespace}});
        let (code, answer) = self
            .ask(Method::POST, "/api/v1/namespaces", Some(&object))
            .await
            .map_err(|why| no_namespace(json!(why)))?;
        if code != 201 {
            return Err(no_namespace(answer));
        }
        // In a cluster a controller makes it, a moment later; pods need it.
        let account = json!({"metadata": {"name": "default"}});
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        match self.ask(Method::POST, &path, Some(&account)).await {
            Ok((201 | 409, _)) => Ok(()),
            Ok((_, answer)) => Err(no_namespace(answer)),
            Err(why) => Err(no_namespace(json!(why))),
        }
    }

    /// Deletes something and waits until it is gone; nothing there is fine.
    async fn remove(&self, path: &str) -> Result<(), PlayError> {
        let left = || PlayError::Left { path: path.to_owned() };
        let deleted = self.ask(Method::DELETE, path, None).await.map_err(|_| left())?;
        if deleted.0 == 404 {
            return Ok(());
        }
        self.wait_for(path, 404).await.map(|_| ()).ok_or_else(left)
    }

    /// Asks until there is this code; `None` where it does not come.
    async fn wait_for(&self, path: &str, code: u16) -> Option<u16> {
        let wait = async {
            loop {
                (self.settle)();
                if let Ok((is, _)) = self.ask(Method::GET, path, None).await
                    && is == code
                {
                    return is;
                }
                tokio::time::sleep(INTERVAL).await;
            }
        };
        timeout(CLUSTER_PATIENCE, wait).await.ok()
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(u16, Value), String> {
        let bytes = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let call = Call::new(method, path, super::script::Body::None);
        let raw = self.send(&call, path, bytes).await?;
        let raw = whole(raw).await?;
        Ok((raw.code, raw.body))
    }

    async fn send(&self, call: &Call, path: &str, body: Vec<u8>) -> Result<Response<Body>, String> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(path)
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::ACCEPT, call.accept);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, call.content_type);
        }
        if !call.user.is_empty() {
            request = request.header("Impersonate-User", call.user);
        }
        let request = request.body(Body::from(body)).map_err(|why| why.to_string())?;
        let answered = timeout(PATIENCE, self.client.send(request)).await;
        answered.map_err(|_| format!("none within {PATIENCE:?}"))?.map_err(|why| why.to_string())
    }
}

/// Reads an answer to its end.
async fn whole(response: Response<Body>) -> Result<Raw, String> {
    let (parts, body) = response.into_parts();
    let text = |name: header::HeaderName| {
        let values = parts.headers.get_all(name).iter();
        values.filter_map(|value| value.to_str().ok()).map(str::to_owned).collect::<Vec<_>>()
    };
    let media = text(header::CONTENT_TYPE).concat();
    let mut notes = Vec::new();
    if media != JSON {
        notes.push(format!("Content-Type: {media}"));
    }
    notes.extend(text(header::WARNING).into_iter().map(|warning| format!("Warning: {warning}")));
    notes.extend(text(header::RETRY_AFTER).into_iter().map(|after| format!("Retry-After: {after}")));
    let bytes = timeout(PATIENCE, body.collect_bytes())
        .await
        .map_err(|_| format!("the body did not end within {PATIENCE:?}"))?
        .map_err(|why| why.to_string())?;
    let body = if bytes.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)))
    };
    Ok(Raw { code: parts.status.as_u16(), notes, body })
}

struct Player<'a> {
    server: &'a Server,
    known: Known,
    watches: BTreeMap<String, mpsc::UnboundedReceiver<Value>>,
    /// The tasks that read watches; they end with this.
    readers: JoinSet<()>,
}

impl<'a> Player<'a> {
    fn new(server: &'a Server, namespace: &str) -> Self {
        let known = Known { namespace: namespace.to_owned(), ..Known::default() };
        Self { server, known, watches: BTreeMap::new(), readers: JoinSet::new() }
    }

    async fn play(&mut self, scenario: &Scenario) -> Result<Vec<Raw>, PlayError> {
        let mut answers = Vec::new();
        for step in &scenario.steps {
            let answer = self.step(step).await.map_err(|why| PlayError::NoAnswer {
                scenario: scenario.name,
                step: step.label.clone(),
                why,
            })?;
            self.known.answers.insert(step.label.clone(), answer.body.clone());
            answers.push(answer);
        }
        Ok(answers)
    }

    async fn step(&mut self, step: &Step) -> Result<Raw, String> {
        match &step.act {
            Act::Call(call) => {
                let response = self.send(call).await?;
                whole(response).await
            }
            Act::Open(call) => self.open(&step.label, call).await,
            Act::Read { watch, until } => {
                Ok(Raw { code: 200, body: self.read(watch, until).await, ..Raw::default() })
            }
            Act::Await { path, code } => {
                let code = self.server.wait_for(&self.known.text(path), *code).await;
                Ok(Raw { code: code.unwrap_or(0), ..Raw::default() })
            }
            Act::Compact => {
                let list = self.server.ask(Method::GET, "/api/v1/namespaces?limit=1", None).await?.1;
                let version = crate::json::text(&list, &["metadata", "resourceVersion"]).unwrap_or_default();
                let version = version.parse().map_err(|_| format!("no version: {version:?}"))?;
                (self.server.compact)(version).await?;
                Ok(Raw { code: 200, ..Raw::default() })
            }
        }
    }

    async fn send(&self, call: &Call) -> Result<Response<Body>, String> {
        self.server.send(call, &self.known.text(&call.path), self.known.body(&call.body)).await
    }

    async fn open(&mut self, label: &str, call: &Call) -> Result<Raw, String> {
        let response = self.send(call).await?;
        let code = response.status().as_u16();
        if code != 200 {
            return whole(response).await;
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        self.watches.insert(label.to_owned(), receiver);
        self.readers.spawn(follow(response.into_body(), sender));
        Ok(Raw { code, ..Raw::default() })
    }

    async fn read(&mut self, watch: &str, until: &Until) -> Value {
        let Some(events) = self.watches.get_mut(watch) else { return json!(["the watch was not opened"]) };
        let mut seen = Vec::new();
        loop {
            let enough = match until {
                Until::Count(count) => seen.len() >= *count,
                Until::Name(name) => seen.last().is_some_and(|event| named(event, name)),
                Until::End => false,
            };
            if enough {
                return json!(seen);
            }
            match timeout(PATIENCE, events.recv()).await {
                Ok(Some(event)) => seen.push(event),
                Ok(None) => {
                    if !matches!(until, Until::End) {
                        seen.push(json!("the watch ended"));
                    }
                    return json!(seen);
                }
                Err(_) => {
                    seen.push(json!("nothing more came"));
                    return json!(seen);
                }
            }
        }
    }
}

/// Whether an event is about the object of this name; in a Table it stands in the first row.
fn named(event: &Value, name: &str) -> bool {
    ["/object/metadata/name", "/object/rows/0/object/metadata/name"]
        .iter()
        .any(|place| event.pointer(place).and_then(Value::as_str) == Some(name))
}

/// Reads a watch's lines until it ends or nobody listens.
async fn follow(mut body: Body, events: mpsc::UnboundedSender<Value>) {
    let mut pending = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        pending.extend_from_slice(&data);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            let event =
                serde_json::from_slice(&line).unwrap_or_else(|_| json!(String::from_utf8_lossy(&line)));
            if events.send(event).is_err() {
                return;
            }
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("run", &self.run).finish_non_exhaustive()
    }
}
