//! The API as plain JSON. The tests write and read what users write and read; types of the code under test
//! would hide a field that was renamed.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchParams,
};
use kube::{Api, Client};
use serde_json::{Value, json};

/// The label that the selector pointer leads by.
pub const MEMBER_LABEL: &str = "hotstandby.dev/member";

/// How long a call may take before it counts as failed; waits try again.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// The kinds the tests touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `v1` Namespace.
    Namespace,
    /// `v1` Node.
    Node,
    /// `v1` Pod.
    Pod,
    /// `v1` Service.
    Service,
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` StatefulSet.
    StatefulSet,
    /// The seat.
    Lease,
    /// What traffic follows.
    EndpointSlice,
    /// The group.
    ActiveStandby,
    /// `events.k8s.io/v1` Event.
    Event,
    /// `rbac.authorization.k8s.io/v1` Role.
    Role,
    /// `rbac.authorization.k8s.io/v1` ClusterRole.
    ClusterRole,
}

impl Kind {
    fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = match self {
            Self::Namespace => ("", "v1", "Namespace", "namespaces"),
            Self::Node => ("", "v1", "Node", "nodes"),
            Self::Pod => ("", "v1", "Pod", "pods"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::StatefulSet => ("apps", "v1", "StatefulSet", "statefulsets"),
            Self::Lease => ("coordination.k8s.io", "v1", "Lease", "leases"),
            Self::EndpointSlice => ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
            Self::ActiveStandby => ("hotstandby.dev", "v1alpha1", "ActiveStandby", "activestandbies"),
            Self::Event => ("events.k8s.io", "v1", "Event", "events"),
            Self::Role => ("rbac.authorization.k8s.io", "v1", "Role", "roles"),
            Self::ClusterRole => ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles"),
        };
        let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version,
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        }
    }

    /// Its name in YAML.
    pub fn name(self) -> String {
        self.resource().kind
    }

    /// Kind and apiVersion of an object about to be made.
    pub fn object(self, name: &str, rest: &Value) -> Value {
        let resource = self.resource();
        let mut object =
            json!({"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}});
        merge(&mut object, rest);
        object
    }
}

/// Lays `change` over `base`; `null` removes.
pub fn merge(base: &mut Value, change: &Value) {
    match (base, change) {
        (Value::Object(base), Value::Object(change)) => {
            for (key, value) in change {
                if value.is_null() {
                    base.remove(key);
                } else {
                    merge(base.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (base, change) => *base = change.clone(),
    }
}

/// The text at a JSON pointer; empty where there is none.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The name of an object.
pub fn name_of(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// The UID of an object.
pub fn uid_of(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

/// The resourceVersion as the number it is.
pub fn version_of(object: &Value) -> u64 {
    text(object, "/metadata/resourceVersion").parse().unwrap_or_default()
}

/// An annotation; slashes in keys make pointers unreadable.
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.pointer("/metadata/annotations")?.get(key)?.as_str()
}

/// A label.
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.pointer("/metadata/labels")?.get(key)?.as_str()
}

/// The items at a pointer; empty where there are none.
pub fn items<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A condition's status, reason and message; empty where it is missing.
pub fn condition<'a>(object: &'a Value, kind: &str) -> (&'a str, &'a str, &'a str) {
    items(object, "/status/conditions")
        .iter()
        .find(|condition| text(condition, "/type") == kind)
        .map_or(("", "", ""), |one| (text(one, "/status"), text(one, "/reason"), text(one, "/message")))
}

/// Whether a pod's Ready condition is True and it is not being deleted.
pub fn is_ready_pod(pod: &Value) -> bool {
    condition(pod, "Ready").0 == "True" && pod.pointer("/metadata/deletionTimestamp").is_none()
}

/// The API server, asked in plain JSON.
#[derive(Clone)]
pub struct Objects {
    client: Client,
}

impl Objects {
    /// Through this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The client itself.
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        if namespace.is_empty() {
            Api::all_with(self.client.clone(), &kind.resource())
        } else {
            Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
        }
    }

    /// One object, if it exists. An empty namespace means none.
    pub async fn find(&self, kind: Kind, namespace: &str, name: &str) -> Result<Option<Value>> {
        let api = self.api(kind, namespace);
        let found = called(&format!("reading {} {namespace}/{name}", kind.name()), api.get_opt(name)).await?;
        found.map(|object| serde_json::to_value(object).context("reading an object")).transpose()
    }

    /// One object that must exist.
    pub async fn get(&self, kind: Kind, namespace: &str, name: &str) -> Result<Value> {
        let found = self.find(kind, namespace, name).await?;
        found.with_context(|| format!("there is no {} {namespace}/{name}", kind.name()))
    }

    /// All objects of a kind, in one namespace or, with an empty one, in all; with the list's resourceVersion.
    pub async fn list(&self, kind: Kind, namespace: &str, selector: &str) -> Result<(Vec<Value>, u64)> {
        let api = self.api(kind, namespace);
        let params = ListParams::default().labels(selector);
        let list = called(&format!("listing {} in {namespace}", kind.name()), api.list(&params)).await?;
        let version = list.metadata.resource_version.as_deref().and_then(|text| text.parse().ok());
        let items: Result<Vec<Value>, _> = list.items.into_iter().map(serde_json::to_value).collect();
        Ok((items.context("reading a list")?, version.unwrap_or_default()))
    }

    /// Like [`Self::list`], unread.
    pub(super) async fn list_raw(&self, kind: Kind, namespace: &str) -> Result<(Vec<DynamicObject>, u64)> {
        let api = self.api(kind, namespace);
        let list =
            called(&format!("listing {} in {namespace}", kind.name()), api.list(&ListParams::default()))
                .await?;
        let version = list.metadata.resource_version.as_deref().and_then(|text| text.parse().ok());
        Ok((list.items, version.unwrap_or_default()))
    }

    /// Makes an object.
    pub async fn create(&self, kind: Kind, namespace: &str, object: &Value) -> Result<Value> {
        let object: DynamicObject = serde_json::from_value(object.clone()).context("making an object")?;
        let what = format!(
            "creating {} {namespace}/{}",
            kind.name(),
            object.metadata.name.as_deref().unwrap_or("?")
        );
        let made = called(&what, self.api(kind, namespace).create(&PostParams::default(), &object)).await?;
        serde_json::to_value(made).context("reading an object")
    }

    /// A merge patch.
    pub async fn patch(&self, kind: Kind, namespace: &str, name: &str, change: &Value) -> Result<Value> {
        let params = PatchParams { field_manager: Some("e2e".to_owned()), ..PatchParams::default() };
        let what = format!("patching {} {namespace}/{name}", kind.name());
        let api = self.api(kind, namespace);
        let made = called(&what, api.patch(name, &params, &Patch::Merge(change))).await?;
        serde_json::to_value(made).context("reading an object")
    }

    /// Deletes an object; gone already is as good.
    pub async fn delete(&self, kind: Kind, namespace: &str, name: &str) -> Result<()> {
        let api = self.api(kind, namespace);
        let what = format!("deleting {} {namespace}/{name}", kind.name());
        let gone = async {
            match api.delete(name, &DeleteParams::background()).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                Err(error) => Err(error),
                Ok(_) => Ok(()),
            }
        };
        called(&what, gone).await
    }

    /// A watch from a resourceVersion on.
    pub(super) async fn watch(
        &self,
        kind: Kind,
        namespace: &str,
        version: u64,
    ) -> Result<impl futures::Stream<Item = kube::Result<kube::core::WatchEvent<DynamicObject>>> + use<>>
    {
        let params = WatchParams::default().timeout(290);
        let api = self.api(kind, namespace);
        let what = format!("watching {} in {namespace}", kind.name());
        called(&what, async { api.watch(&params, &version.to_string()).await }).await
    }
}

async fn called<T>(what: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T> {
    match tokio::time::timeout(CALL_LIMIT, call).await {
        Ok(answer) => answer.with_context(|| what.to_owned()),
        Err(_) => Err(anyhow!("{what}: no answer within {CALL_LIMIT:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_changes_adds_and_removes() {
        let mut base = json!({"a": {"b": 1, "c": 2}, "d": [1]});
        merge(&mut base, &json!({"a": {"b": null, "e": 3}, "d": [2]}));
        assert_eq!(base, json!({"a": {"c": 2, "e": 3}, "d": [2]}));
    }

    #[test]
    fn what_is_missing_reads_as_empty() {
        let object = json!({"metadata": {"resourceVersion": "17", "annotations": {"x/y": "z"}}});
        assert_eq!((version_of(&object), name_of(&object)), (17, ""));
        assert_eq!(annotation(&object, "x/y"), Some("z"));
        assert_eq!(condition(&object, "Ready"), ("", "", ""));
    }
}
