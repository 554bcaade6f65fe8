//! Objects from a cluster. What may not be read, or does not exist there, is noted and done without.

use super::Objects;
use crate::call::chain;
use crate::user::UserError;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::time::Duration;

/// Objects of a list's page: a large cluster is read in parts.
const PAGE: u32 = 500;
/// Pages of one kind: an end to a server that always has one more.
const MOST_PAGES: usize = 2000;
/// How long one page may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// Where objects are read.
#[derive(Clone)]
pub struct Source {
    client: Client,
    /// `None`: all namespaces.
    namespace: Option<String>,
}

/// What could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// The kind, in plural.
    pub what: String,
    /// Why not.
    pub why: String,
    /// The HTTP status, where there was one.
    #[serde(skip)]
    pub code: Option<u16>,
}

impl Unread {
    /// Something that was not read for this reason.
    pub fn new(what: &str, why: impl Into<String>) -> Self {
        Self { what: what.to_owned(), why: why.into(), code: None }
    }

    /// From an error of a call.
    pub fn from_error(what: &str, error: &kube::Error) -> Self {
        let kube::Error::Api(status) = error else { return Self::new(what, chain(error).replace('\n', " ")) };
        let why = match status.code {
            403 => format!("you may not read them ({})", status.message),
            404 => "this cluster does not have the kind".to_owned(),
            _ => format!("{} ({})", status.message, status.code),
        };
        Self { what: what.to_owned(), why, code: Some(status.code) }
    }

    /// The same as an error, where nothing can be said without.
    pub fn into_error(self) -> UserError {
        let Self { what, why, code } = self;
        match code {
            Some(401) => UserError::Unauthorized(why),
            Some(403) => UserError::MayNotRead(format!("{what}: {why}")),
            _ => UserError::Unreachable(format!("{what}: {why}")),
        }
    }
}

impl Source {
    /// The objects of one namespace, or of all.
    pub fn new(client: Client, namespace: Option<&str>) -> Self {
        Self { client, namespace: namespace.map(str::to_owned) }
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The namespace that is looked at; `None`: all.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// All objects of a kind.
    pub async fn list<K>(&self) -> Result<Vec<K>, Unread>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        list(&api, &ListParams::default()).await
    }

    /// Everything that `import` looks at.
    pub async fn objects(&self) -> Result<Objects, UserError> {
        let mut objects = Objects { live: true, ..Objects::default() };
        objects.services = self.list().await.map_err(Unread::into_error)?;
        for pod in self.list().await.map_err(Unread::into_error)? {
            objects.add_pod(pod);
        }
        take(&mut objects, self.list::<Deployment>().await, Objects::add_deployment);
        take(&mut objects, self.list::<StatefulSet>().await, Objects::add_stateful_set);
        take(&mut objects, self.list::<ReplicaSet>().await, Objects::add_replica_set);
        take(&mut objects, self.list::<DaemonSet>().await, Objects::add_daemon_set);
        take(&mut objects, self.list().await, |all, one| all.slices.push(one));
        take(&mut objects, self.list().await, |all, one| all.endpoints.push(one));
        take(&mut objects, self.list().await, |all, one| all.leases.push(one));
        take(&mut objects, self.list().await, |all, one| all.groups.push(one));
        take(&mut objects, self.list().await, |all, one| all.roles.push(one));
        take(&mut objects, self.list().await, |all, one| all.role_bindings.push(one));
        Ok(objects)
    }
}

/// Adds what was read, or notes that it was not. Groups that nobody can have are none, and no trouble.
fn take<K>(objects: &mut Objects, read: Result<Vec<K>, Unread>, add: impl Fn(&mut Objects, K)) {
    match read {
        Ok(all) => all.into_iter().for_each(|one| add(objects, one)),
        Err(unread) if unread.code == Some(404) => {}
        Err(unread) => objects.unread.push(unread),
    }
}

/// All objects of a list, page by page.
pub(crate) async fn list<K>(api: &Api<K>, params: &ListParams) -> Result<Vec<K>, Unread>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let what = K::plural(&()).into_owned();
    let mut params = params.clone().limit(PAGE);
    let mut all = Vec::new();
    for _ in 0..MOST_PAGES {
        let page = tokio::time::timeout(DEADLINE, api.list(&params))
            .await
            .map_err(|_elapsed| Unread::new(&what, format!("no answer within {DEADLINE:?}")))?
            .map_err(|error| Unread::from_error(&what, &error))?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
    Err(Unread::new(&what, "the list has no end"))
}

/// One object; `None`: it does not exist.
pub(crate) async fn get<K>(api: &Api<K>, name: &str) -> Result<Option<K>, Unread>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let what = K::plural(&()).into_owned();
    tokio::time::timeout(DEADLINE, api.get_opt(name))
        .await
        .map_err(|_elapsed| Unread::new(&what, format!("no answer within {DEADLINE:?}")))?
        .map_err(|error| Unread::from_error(&what, &error))
}
