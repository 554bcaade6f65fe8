//! For tests only: an API server that is a closure, and small objects.

use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

/// One request as the server saw it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Value,
}

/// What was asked, in order.
pub(crate) type Log = Arc<Mutex<Vec<Seen>>>;

/// A client of a server that answers as `answer` does: status code and JSON.
pub(crate) fn client(answer: impl Fn(&Seen) -> (u16, Value) + Send + Sync + 'static) -> (Client, Log) {
    let log = Log::default();
    let (answer, seen_by) = (Arc::new(answer), log.clone());
    let service = tower::service_fn(move |request: Request<Body>| {
        let (answer, log) = (answer.clone(), seen_by.clone());
        async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect_bytes().await.unwrap();
            let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            let seen = Seen { method: parts.method, path: parts.uri.path().to_owned(), body };
            let (code, json) = answer(&seen);
            log.lock().unwrap().push(seen);
            let response = Response::builder().status(code).body(Body::from(json.to_string().into_bytes()));
            Ok::<_, Infallible>(response.unwrap())
        }
    });
    (Client::new(service, "default"), log)
}

/// The body of a failure.
pub(crate) fn failure(code: u16, reason: &str) -> (u16, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": reason, "reason": reason, "code": code,
    });
    (code, status)
}

/// What was sent, as it would be stored.
pub(crate) fn stored(sent: &Value, uid: &str, rv: &str) -> Value {
    let mut object = sent.clone();
    object["metadata"]["uid"] = json!(uid);
    object["metadata"]["resourceVersion"] = json!(rv);
    object
}

/// What a merge patch makes of an object.
pub(crate) fn merged(object: &Value, patch: &Value) -> Value {
    let (Value::Object(had), Value::Object(patch)) = (object, patch) else { return patch.clone() };
    let mut all = had.clone();
    for (key, value) in patch {
        if value.is_null() {
            all.remove(key);
        } else {
            let had = all.get(key).cloned().unwrap_or(json!({}));
            all.insert(key.clone(), merged(&had, value));
        }
    }
    Value::Object(all)
}

/// The documents of a YAML text.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}
