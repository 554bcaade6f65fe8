//! How the world's programs write: by requests like anybody else, so that they stand in the audit log under their names.

use super::World;
use crate::json::{at, put, text};
use crate::{ApiServer, Request};
use http::Method;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// Refusals that are remembered.
const MOST_REFUSALS: usize = 50;

/// A kind of version v1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resource {
    group: &'static str,
    plural: &'static str,
}

pub(super) const PODS: Resource = Resource { group: "", plural: "pods" };
pub(super) const NODES: Resource = Resource { group: "", plural: "nodes" };
pub(super) const LEASES: Resource = Resource { group: "coordination.k8s.io", plural: "leases" };
pub(super) const DEPLOYMENTS: Resource = Resource { group: "apps", plural: "deployments" };
pub(super) const REPLICA_SETS: Resource = Resource { group: "apps", plural: "replicasets" };
pub(super) const STATEFUL_SETS: Resource = Resource { group: "apps", plural: "statefulsets" };

impl Resource {
    fn path(self, namespace: &str, name: &str, subresource: &str) -> String {
        let root = match self.group {
            "" => "/api/v1".to_owned(),
            group => format!("/apis/{group}/v1"),
        };
        let place = if namespace.is_empty() { Vec::new() } else { vec!["namespaces", namespace] };
        let mut parts = vec![root.as_str()];
        parts.extend(place);
        parts.push(self.plural);
        parts.extend([name, subresource].into_iter().filter(|part| !part.is_empty()));
        parts.join("/")
    }

    /// All objects of the kind, in a list's order.
    pub(super) fn all(self, server: &ApiServer) -> Vec<std::sync::Arc<Value>> {
        server.objects(self.group, self.plural)
    }

    /// One object.
    pub(super) fn one(
        self,
        server: &ApiServer,
        namespace: &str,
        name: &str,
    ) -> Option<std::sync::Arc<Value>> {
        server.object(self.group, self.plural, namespace, name)
    }
}

/// The last requests that were refused.
#[derive(Debug, Default)]
pub(super) struct Refusals(VecDeque<String>);

impl Refusals {
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    fn push(&mut self, text: String) {
        if self.0.len() >= MOST_REFUSALS {
            self.0.pop_front();
        }
        self.0.push_back(text);
    }
}

/// One of the world's programs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Program<'a> {
    /// The kubelet of a node.
    Kubelet(&'a str),
    /// The scheduler.
    Scheduler,
    /// The workload controllers and the one for nodes.
    Controllers,
}

impl Program<'_> {
    fn user(self) -> String {
        match self {
            Self::Kubelet(node) => format!("system:node:{node}"),
            Self::Scheduler => "system:kube-scheduler".to_owned(),
            Self::Controllers => "system:kube-controller-manager".to_owned(),
        }
    }

    const fn agent(self) -> &'static str {
        match self {
            Self::Kubelet(_) => "kubelet",
            Self::Scheduler => "kube-scheduler",
            Self::Controllers => "kube-controller-manager",
        }
    }
}

impl World {
    fn send(
        &mut self,
        server: &mut ApiServer,
        program: Program<'_>,
        method: Method,
        path: &str,
        body: &Value,
    ) -> bool {
        let mut request = Request::new(method, path).with_body(body);
        request.user = program.user();
        program.agent().clone_into(&mut request.user_agent);
        let reply = server.handle(&request);
        let code = reply.code();
        if (200..300).contains(&code) {
            return true;
        }
        let why = text(&reply.body(), &["message"]).unwrap_or_default().to_owned();
        self.refusals.push(format!("{} {} {path}: {code} {why}", program.agent(), request.method));
        false
    }

    /// Creates an object in a namespace; an empty one: the kind has none.
    pub(super) fn create(
        &mut self,
        server: &mut ApiServer,
        program: Program<'_>,
        kind: Resource,
        object: &Value,
    ) -> bool {
        let namespace = text(object, &["metadata", "namespace"]).unwrap_or_default();
        let path = kind.path(namespace, "", "");
        self.send(server, program, Method::POST, &path, object)
    }

    /// Replaces an object that was just read.
    pub(super) fn replace(
        &mut self,
        server: &mut ApiServer,
        program: Program<'_>,
        kind: Resource,
        object: &Value,
    ) -> bool {
        let path = path_of(kind, object, "");
        self.send(server, program, Method::PUT, &path, object)
    }

    /// Replaces the status of an object that was just read, unless it is so already.
    pub(super) fn write_status(
        &mut self,
        server: &mut ApiServer,
        program: Program<'_>,
        kind: Resource,
        object: &Value,
        status: Value,
    ) -> bool {
        if *at(object, &["status"]) == status {
            return true;
        }
        let mut object = object.clone();
        put(&mut object, &["status"], status);
        let path = path_of(kind, &object, "status");
        self.send(server, program, Method::PUT, &path, &object)
    }

    /// Binds a pod to a node.
    pub(super) fn bind(&mut self, server: &mut ApiServer, pod: &Value, node: &str) -> bool {
        let path = path_of(PODS, pod, "binding");
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name_of(pod)},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        self.send(server, Program::Scheduler, Method::POST, &path, &binding)
    }

    /// Deletes exactly this object; `grace` in seconds, `None`: its own.
    pub(super) fn delete(
        &mut self,
        server: &mut ApiServer,
        program: Program<'_>,
        kind: Resource,
        object: &Value,
        grace: Option<i64>,
    ) -> bool {
        let path = path_of(kind, object, "");
        let mut options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid_of(object)},
        });
        if let Some(grace) = grace {
            put(&mut options, &["gracePeriodSeconds"], grace);
        }
        self.send(server, program, Method::DELETE, &path, &options)
    }

    /// What `kubectl drain` does: cordons a node and evicts its pods.
    pub fn drain(&mut self, server: &mut ApiServer, node: &str) {
        self.cordon(server, node, true);
        for pod in PODS.all(server) {
            if text(&pod, &["spec", "nodeName"]) == Some(node) && !is_going(&pod) {
                let eviction = json!({
                    "apiVersion": "policy/v1", "kind": "Eviction",
                    "metadata": {"name": name_of(&pod), "namespace": namespace_of(&pod)},
                });
                let path = path_of(PODS, &pod, "eviction");
                self.send(server, Program::Controllers, Method::POST, &path, &eviction);
            }
        }
    }

    /// What `kubectl cordon` and `uncordon` do.
    pub fn cordon(&mut self, server: &mut ApiServer, node: &str, cordoned: bool) {
        if let Some(stored) = NODES.one(server, "", node) {
            let mut stored = Value::clone(&stored);
            put(&mut stored, &["spec", "unschedulable"], if cordoned { json!(true) } else { Value::Null });
            self.replace(server, Program::Controllers, NODES, &stored);
        }
    }
}

fn path_of(kind: Resource, object: &Value, subresource: &str) -> String {
    kind.path(namespace_of(object), name_of(object), subresource)
}

pub(super) fn name_of(object: &Value) -> &str {
    text(object, &["metadata", "name"]).unwrap_or_default()
}

pub(super) fn namespace_of(object: &Value) -> &str {
    text(object, &["metadata", "namespace"]).unwrap_or_default()
}

pub(super) fn uid_of(object: &Value) -> &str {
    text(object, &["metadata", "uid"]).unwrap_or_default()
}

/// Whether it is being deleted.
pub(super) fn is_going(object: &Value) -> bool {
    !at(object, &["metadata", "deletionTimestamp"]).is_null()
}

/// Whether a pod has ended for good.
pub(super) fn has_ended(pod: &Value) -> bool {
    matches!(text(pod, &["status", "phase"]), Some("Succeeded" | "Failed"))
}

/// Whether a condition of an object is True.
pub(super) fn is_true(object: &Value, condition: &str) -> bool {
    crate::json::items(object, &["status", "conditions"])
        .iter()
        .any(|one| text(one, &["type"]) == Some(condition) && text(one, &["status"]) == Some("True"))
}

/// The UID of the owner that controls an object.
pub(super) fn controller_of(object: &Value) -> Option<&str> {
    let owners = crate::json::items(object, &["metadata", "ownerReferences"]);
    owners.iter().find(|owner| *at(owner, &["controller"]) == true).and_then(|owner| text(owner, &["uid"]))
}

/// Counts that are zero are left out, as the real types do.
pub(super) fn counts(pairs: &[(&str, usize)]) -> Value {
    let shown = pairs.iter().filter(|(name, count)| *count > 0 || *name == "replicas");
    shown.map(|(name, count)| ((*name).to_owned(), json!(count))).collect::<serde_json::Map<_, _>>().into()
}
