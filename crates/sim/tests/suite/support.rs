//! A server, and requests in one line each.

use hotstandby_sim::{ApiServer, Limits, ManualClock, Reply, Request, Watch};
use http::Method;
use serde_json::{Value, json};
use std::sync::Arc;

/// When tests begin: 2026-01-01T00:00:00Z.
pub(crate) const START_MS: i64 = 1_767_225_600_000;

pub(crate) struct World {
    pub(crate) server: ApiServer,
    pub(crate) clock: ManualClock,
}

/// Code and body of an answer.
pub(crate) type Answer = (u16, Value);

impl World {
    /// A server with the namespace `shop`.
    pub(crate) fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    pub(crate) fn with_limits(limits: Limits) -> Self {
        let clock = ManualClock::new(START_MS);
        let server = ApiServer::with_limits(Arc::new(clock.clone()), 7, limits);
        let mut world = Self { server, clock };
        world.ok(Method::POST, "/api/v1/namespaces", &json!({"metadata": {"name": "shop"}}));
        world
    }

    pub(crate) fn send(&mut self, request: &Request) -> Answer {
        let reply = self.server.handle(request);
        (reply.code(), reply.body())
    }

    pub(crate) fn call(&mut self, method: Method, uri: &str, body: &Value) -> Answer {
        self.send(&Request::new(method, uri).with_body(body))
    }

    pub(crate) fn get(&mut self, uri: &str) -> Answer {
        self.send(&Request::new(Method::GET, uri))
    }

    /// The body of an answer that must be a success.
    pub(crate) fn ok(&mut self, method: Method, uri: &str, body: &Value) -> Value {
        let (code, answer) = self.call(method, uri, body);
        assert!((200..300).contains(&code), "{uri}: {answer}");
        answer
    }

    pub(crate) fn patch(&mut self, uri: &str, kind: &str, body: &Value) -> Answer {
        let media = match kind {
            "apply" => "application/apply-patch+yaml".to_owned(),
            kind => format!("application/{kind}-patch+json"),
        };
        self.send(&Request::new(Method::PATCH, uri).with_body(body).with_type(&media))
    }

    pub(crate) fn watch(&mut self, uri: &str) -> Watch {
        match self.server.handle(&Request::new(Method::GET, uri)) {
            Reply::Watch(watch) => *watch,
            other => panic!("no watch: {other:?}"),
        }
    }

    /// What a watch is shown next: `ADDED a 5`, each with name and version.
    pub(crate) fn events(&self, watch: &mut Watch) -> Vec<String> {
        let events = self.server.poll(watch);
        events
            .iter()
            .map(|event| {
                let meta = &event["object"]["metadata"];
                let kind = event["type"].as_str().unwrap_or_default();
                if kind == "ERROR" {
                    return format!("ERROR {}", event["object"]["code"]);
                }
                let name = meta["name"].as_str().unwrap_or("-");
                format!("{kind} {name} {}", meta["resourceVersion"].as_str().unwrap_or("-"))
            })
            .collect()
    }

    pub(crate) fn install_crd(&mut self) {
        let crd = serde_json::to_value(hotstandby_cluster::api::crd()).unwrap();
        self.ok(Method::POST, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &crd);
    }
}

pub(crate) const PODS: &str = "/api/v1/namespaces/shop/pods";
pub(crate) const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/shop/leases";
pub(crate) const GROUPS: &str = "/apis/hotstandby.dev/v1alpha1/namespaces/shop/activestandbies";

pub(crate) fn pod(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"nodeName": "n1", "containers": [{"name": "a", "image": "x:1"}]},
    })
}

pub(crate) fn lease(name: &str, holder: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15}})
}

pub(crate) fn group(name: &str) -> Value {
    json!({
        "apiVersion": "hotstandby.dev/v1alpha1", "kind": "ActiveStandby", "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "traffic": {"services": [{"name": "web"}]}},
    })
}

/// A copy with another value at a JSON pointer.
pub(crate) fn with(object: &Value, pointer: &str, value: Value) -> Value {
    let mut object = object.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[key] = value;
    object
}

pub(crate) fn reason(answer: &Answer) -> (u16, &str) {
    (answer.0, answer.1["reason"].as_str().unwrap_or_default())
}

pub(crate) fn version(object: &Value) -> String {
    object["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
}
