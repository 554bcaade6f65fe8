//! Plays a scenario against a server and collects the answers.

use super::fill::Earlier;
use super::normalise::normalise;
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

/// The user agent of all requests. The server derives the manager in `managedFields` from it.
const USER_AGENT: &str = "conformance/1";
/// How long to wait for an event or an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long to wait for something that other parts of a cluster do.
const CLUSTER_PATIENCE: Duration = Duration::from_secs(90);
/// The time between two requests that check whether they have done it.
const INTERVAL: Duration = Duration::from_millis(100);

/// Compacts a server: it forgets all versions before the given one.
pub type Compact = Box<dyn Fn(u64) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// A server that the suite is played against. [`USER_WITHOUT_RIGHTS`](crate::USER_WITHOUT_RIGHTS) must have no rights on it.
pub struct Server {
    /// A client with the rights of an administrator. It must not retry, because every answer is compared.
    pub client: Client,
    /// A part of the namespaces' names that distinguishes this run from other runs.
    pub run: String,
    /// Does the work of a cluster's controllers if the server has none. It is called between two checks.
    pub settle: Box<dyn Fn() + Send + Sync>,
    /// Makes the server forget old versions.
    pub compact: Compact,
}

/// A scenario could not be played to its end.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// The server did not answer a request.
    #[error("scenario {scenario}, step {step}: no answer: {why}; is the server up?")]
    NoAnswer {
        /// The name of the scenario.
        scenario: &'static str,
        /// The label of the step.
        step: String,
        /// Why there is no answer.
        why: String,
    },
    /// The scenario's namespace could not be created.
    #[error(
        "scenario {scenario}: creating namespace {namespace} was answered with {answer}; the suite needs the rights of an administrator"
    )]
    NoNamespace {
        /// The name of the scenario.
        scenario: &'static str,
        /// The name of the namespace.
        namespace: String,
        /// What the server answered.
        answer: Value,
    },
    /// Something that the suite deleted still exists.
    #[error("{path} still exists 90 s after it was deleted; delete it and try again")]
    Left {
        /// Its path.
        path: String,
    },
}

/// An answer before any value in it has got a name.
#[derive(Debug, Default)]
pub(super) struct Raw {
    pub(super) code: u16,
    /// Headers that are compared: warnings, and what is unusual.
    pub(super) notes: Vec<String>,
    pub(super) body: Value,
}

impl Scenario {
    /// Plays all steps and returns the answers.
    ///
    /// The namespace is deleted afterwards, but [`Self::clean`] must be called to wait until it is gone.
    pub async fn play(&self, server: &Server) -> Result<Transcript, PlayError> {
        let namespace = format!("conf-{}-{}", self.name.replace('_', "-"), server.run);
        for path in &self.leftovers {
            server.remove(path).await?;
        }
        server.create_namespace(self.name, &namespace).await?;
        let mut player = Player::new(server, &namespace);
        let played = player.play(self).await;
        drop(player);
        // The pods are on no real node, so no kubelet ends them; only a deletion without a grace period does.
        let pods = format!("/api/v1/namespaces/{namespace}/pods?gracePeriodSeconds=0");
        let _deleted = server.ask(Method::DELETE, &pods, None).await;
        // `clean` waits for the end of the deletion, after all scenarios were played.
        let _deleted = server.ask(Method::DELETE, &format!("/api/v1/namespaces/{namespace}"), None).await;
        for path in &self.leftovers {
            server.remove(path).await?;
        }
        Ok(normalise(self, &namespace, &played?))
    }

    /// Deletes the scenario's namespace and waits until it is gone.
    pub async fn clean(&self, server: &Server) -> Result<(), PlayError> {
        let namespace = format!("conf-{}-{}", self.name.replace('_', "-"), server.run);
        server.remove(&format!("/api/v1/namespaces/{namespace}")).await
    }
}

impl Server {
    async fn create_namespace(&self, scenario: &'static str, namespace: &str) -> Result<(), PlayError> {
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
        // Pods need this account. In a cluster a controller creates it, but only a moment later.
        let account = json!({"metadata": {"name": "default"}});
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        match self.ask(Method::POST, &path, Some(&account)).await {
            Ok((201 | 409, _)) => Ok(()),
            Ok((_, answer)) => Err(no_namespace(answer)),
            Err(why) => Err(no_namespace(json!(why))),
        }
    }

    /// Deletes an object and waits until it is gone. An object that does not exist is no error.
    async fn remove(&self, path: &str) -> Result<(), PlayError> {
        let left = || PlayError::Left { path: path.to_owned() };
        let deleted = self.ask(Method::DELETE, path, None).await.map_err(|_| left())?;
        if deleted.0 == 404 {
            return Ok(());
        }
        self.wait_for(path, 404).await.map(|_| ()).ok_or_else(left)
    }

    /// Repeats a GET until its answer has this code. Returns `None` if that does not happen in time.
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

    /// Sends a request of the suite itself, which is no step of a scenario.
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(u16, Value), String> {
        let bytes = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let call = Call::new(method, path, super::script::Body::None);
        let raw = self.send(&call, path, bytes).await?;
        let raw = read_whole(raw).await?;
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
        answered.map_err(|_| format!("nothing came within {PATIENCE:?}"))?.map_err(|why| why.to_string())
    }
}

/// Reads an answer to the end of its body.
async fn read_whole(response: Response<Body>) -> Result<Raw, String> {
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

/// Plays one scenario and keeps what its later steps need.
struct Player<'a> {
    server: &'a Server,
    earlier: Earlier,
    /// The events of each open watch, by the label of the step that opened it.
    watches: BTreeMap<String, mpsc::UnboundedReceiver<Value>>,
    /// The tasks that read the watches. They end when the player is dropped.
    readers: JoinSet<()>,
}

impl<'a> Player<'a> {
    fn new(server: &'a Server, namespace: &str) -> Self {
        let earlier = Earlier { namespace: namespace.to_owned(), ..Earlier::default() };
        Self { server, earlier, watches: BTreeMap::new(), readers: JoinSet::new() }
    }

    async fn play(&mut self, scenario: &Scenario) -> Result<Vec<Raw>, PlayError> {
        let mut answers = Vec::new();
        for step in &scenario.steps {
            let answer = self.play_step(step).await.map_err(|why| PlayError::NoAnswer {
                scenario: scenario.name,
                step: step.label.clone(),
                why,
            })?;
            self.earlier.answers.insert(step.label.clone(), answer.body.clone());
            answers.push(answer);
        }
        Ok(answers)
    }

    async fn play_step(&mut self, step: &Step) -> Result<Raw, String> {
        match &step.act {
            Act::Call(call) => {
                let response = self.send(call).await?;
                read_whole(response).await
            }
            Act::Open(call) => self.open_watch(&step.label, call).await,
            Act::Read { watch, until } => {
                Ok(Raw { code: 200, body: self.read_events(watch, until).await, ..Raw::default() })
            }
            Act::Await { path, code } => {
                let code = self.server.wait_for(&self.earlier.fill_text(path), *code).await;
                Ok(Raw { code: code.unwrap_or(0), ..Raw::default() })
            }
            Act::Compact => {
                let list = self.server.ask(Method::GET, "/api/v1/namespaces?limit=1", None).await?.1;
                let version = crate::json::text(&list, &["metadata", "resourceVersion"]).unwrap_or_default();
                let version =
                    version.parse().map_err(|_| format!("the list has no version but {version:?}"))?;
                (self.server.compact)(version).await?;
                Ok(Raw { code: 200, ..Raw::default() })
            }
        }
    }

    async fn send(&self, call: &Call) -> Result<Response<Body>, String> {
        self.server.send(call, &self.earlier.fill_text(&call.path), self.earlier.fill_body(&call.body)).await
    }

    async fn open_watch(&mut self, label: &str, call: &Call) -> Result<Raw, String> {
        let response = self.send(call).await?;
        let code = response.status().as_u16();
        if code != 200 {
            return read_whole(response).await;
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        self.watches.insert(label.to_owned(), receiver);
        self.readers.spawn(forward_events(response.into_body(), sender));
        Ok(Raw { code, ..Raw::default() })
    }

    async fn read_events(&mut self, watch: &str, until: &Until) -> Value {
        let Some(events) = self.watches.get_mut(watch) else { return json!(["the watch was not opened"]) };
        let mut seen = Vec::new();
        loop {
            let enough = match until {
                Until::Count(count) => seen.len() >= *count,
                Until::Name(name) => seen.last().is_some_and(|event| is_about(event, name)),
                Until::End => false,
            };
            if enough {
                return json!(seen);
            }
            match timeout(PATIENCE, events.recv()).await {
                Ok(Some(event)) if is_progress(&event) && !matches!(until, Until::End) => {}
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

/// Returns whether an event is a bookmark that only says how far the server has come. It sends one about once a minute if other
/// objects of that kind were written, by its own clock. The bookmark that ends a streamed list is none of these. In a Table the
/// object is in the first row.
fn is_progress(event: &Value) -> bool {
    let ends_list = ["/object/metadata", "/object/rows/0/object/metadata"]
        .iter()
        .any(|place| event.pointer(&format!("{place}/annotations/k8s.io~1initial-events-end")).is_some());
    event.get("type").and_then(Value::as_str) == Some("BOOKMARK") && !ends_list
}

/// Returns whether an event is about the object of this name. In a Table the object is in the first row.
fn is_about(event: &Value, name: &str) -> bool {
    ["/object/metadata/name", "/object/rows/0/object/metadata/name"]
        .iter()
        .any(|place| event.pointer(place).and_then(Value::as_str) == Some(name))
}

/// Forwards each line of a watch as an event until the watch ends or the receiver is dropped.
async fn forward_events(mut body: Body, events: mpsc::UnboundedSender<Value>) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bookmarks_that_end_no_list_are_passed_over() {
        let bookmark = json!({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7"}}});
        let ends = json!({"type": "BOOKMARK", "object": {"metadata": {"annotations": {"k8s.io/initial-events-end": "true"}}}});
        let in_table =
            json!({"type": "BOOKMARK", "object": {"kind": "Table", "rows": [{"object": ends["object"]}]}});
        assert!(!is_progress(&in_table));
        let added = json!({"type": "ADDED", "object": {"metadata": {"name": "last"}}});
        assert!(is_progress(&bookmark));
        assert!(!is_progress(&ends) && !is_progress(&added));
    }
}
