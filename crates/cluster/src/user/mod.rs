//! What the CLI does to groups: read them, watch them, and set or remove one annotation. Nothing else is
//! written here, so whoever may edit groups needs no further right.

mod error;

pub use error::UserError;

use crate::api::ActiveStandby;
use crate::call::chain;
use crate::connect::{Clients, ConnectOptions};
use crate::objects::Source;
use futures::future::ready;
use futures::{Stream, StreamExt};
use kube::api::{ListParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde_json::json;
use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

/// How long one call may take before a person is told that nobody answers.
const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// Seconds after which the server ends a watch; it is resumed, and a dead connection is noticed.
const WATCH_SECONDS: u32 = 60;

/// The groups of a cluster.
#[derive(Clone)]
pub struct Groups {
    client: Client,
    namespace: String,
}

/// What a watch tells.
#[derive(Clone, Debug)]
pub enum Change {
    /// All groups there are; everything known before is void.
    All(Vec<ActiveStandby>),
    /// A group was made or changed.
    Changed(Box<ActiveStandby>),
    /// A group was deleted.
    Deleted(Box<ActiveStandby>),
}

impl Groups {
    /// Prepares the connection; `namespace` overrides the one of the context.
    pub async fn connect(options: &ConnectOptions, namespace: Option<&str>) -> Result<Self, UserError> {
        let clients = Clients::connect(options).await?;
        let namespace = namespace.map_or(clients.default_namespace, str::to_owned);
        Ok(Self { client: clients.watch, namespace })
    }

    /// The namespace that holds where no other is said.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Where else to read, for commands that look at more than groups.
    pub fn source(&self, all_namespaces: bool) -> Source {
        Source::new(self.client.clone(), (!all_namespaces).then_some(&self.namespace))
    }

    /// One group; where it does not exist, the error lists those that do.
    pub async fn get(&self, name: &str) -> Result<ActiveStandby, UserError> {
        match deadline(self.api(false).get(name)).await {
            Err(UserError::NoSuchGroup { .. }) => Err(UserError::NoSuchGroup {
                name: name.to_owned(),
                namespace: self.namespace.clone(),
                others: self.names().await,
            }),
            answer => answer,
        }
    }

    /// The groups of the namespace, or of all namespaces, by namespace and name.
    pub async fn list(&self, all_namespaces: bool) -> Result<Vec<ActiveStandby>, UserError> {
        let mut groups = deadline(self.api(all_namespaces).list(&ListParams::default())).await?.items;
        groups.sort_by(|one, other| key(one).cmp(&key(other)));
        Ok(groups)
    }

    /// Sets an annotation, or removes it. With `only_as_seen` the write is refused with
    /// [`UserError::Overtaken`] where the group changed since it was read; without, only where it is another
    /// group of the same name.
    pub async fn annotate(
        &self,
        group: &ActiveStandby,
        annotation: &str,
        value: Option<&str>,
        only_as_seen: bool,
    ) -> Result<ActiveStandby, UserError> {
        let mut metadata = json!({"uid": group.metadata.uid, "annotations": {annotation: value}});
        if let (true, Some(map)) = (only_as_seen, metadata.as_object_mut()) {
            map.insert("resourceVersion".into(), json!(group.metadata.resource_version));
        }
        let name = group.metadata.name.as_deref().unwrap_or_default();
        let params =
            PatchParams { field_manager: Some("hotstandby-cli".to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({"metadata": metadata}));
        deadline(self.api(false).patch(name, &params, &patch)).await
    }

    /// All groups or the one of this name, then every change. Ends by itself only with an error that does
    /// not pass; what passes is waited out, and told to `note`.
    pub fn watch(
        &self,
        name: Option<&str>,
        all_namespaces: bool,
        mut note: impl FnMut(String) + Send,
    ) -> impl Stream<Item = Result<Change, UserError>> + Send {
        let mut config = watcher::Config::default().timeout(WATCH_SECONDS);
        if let Some(name) = name {
            config = config.fields(&format!("metadata.name={name}"));
        }
        let events = watcher::watcher(self.api(all_namespaces), config).default_backoff();
        let mut listed = Vec::new();
        events.filter_map(move |event| {
            ready(match event {
                Ok(watcher::Event::Init) => {
                    listed.clear();
                    None
                }
                Ok(watcher::Event::InitApply(group)) => {
                    listed.push(group);
                    None
                }
                Ok(watcher::Event::InitDone) => Some(Ok(Change::All(std::mem::take(&mut listed)))),
                Ok(watcher::Event::Apply(group)) => Some(Ok(Change::Changed(Box::new(group)))),
                Ok(watcher::Event::Delete(group)) => Some(Ok(Change::Deleted(Box::new(group)))),
                Err(error) => match error::lasting(error) {
                    Ok(passing) => {
                        note(passing);
                        None
                    }
                    Err(lasting) => Some(Err(lasting)),
                },
            })
        })
    }

    fn api(&self, all_namespaces: bool) -> Api<ActiveStandby> {
        if all_namespaces {
            Api::all(self.client.clone())
        } else {
            Api::namespaced(self.client.clone(), &self.namespace)
        }
    }

    /// The names there are, as far as they may be listed: only for an error's text.
    async fn names(&self) -> BTreeSet<String> {
        let groups = self.list(false).await.unwrap_or_default();
        groups.into_iter().filter_map(|group| group.metadata.name).collect()
    }
}

fn key(group: &ActiveStandby) -> (Option<&str>, Option<&str>) {
    (group.metadata.namespace.as_deref(), group.metadata.name.as_deref())
}

async fn deadline<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, UserError> {
    match tokio::time::timeout(CALL_DEADLINE, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(error.into()),
        Err(_elapsed) => Err(UserError::Unreachable(format!("no answer within {CALL_DEADLINE:?}"))),
    }
}

/// The text of an error with its causes, on one line.
fn text_of(error: &dyn std::error::Error) -> String {
    chain(error).replace('\n', " ")
}
