//! The snapshot from a cluster. Whatever may not be read is noted: the checks that need it are skipped.

use super::rights::{self, Answered, Ask};
use super::{Known, Snapshot};
use crate::api::ActiveStandby;
use crate::objects::{Source, Unread, get, list};
use crate::user::UserError;
use futures::{StreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// What picks what belongs to an install.
const OUR_LABEL: &str = "app.kubernetes.io/name=hotstandby";
/// Argo CD's API group.
const ARGO: &str = "argoproj.io";
/// Questions under way at once.
const AT_ONCE: usize = 8;

impl Snapshot {
    /// Reads it.
    pub async fn read(source: &Source) -> Result<Self, UserError> {
        let client = source.client();
        let objects = source.objects().await?;
        let mut snapshot = Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            groups: groups(source).await?,
            objects,
            policies: source.list().await,
            budgets: source.list().await,
            namespaces: list::<Namespace>(&Api::all(client.clone()), &ListParams::default()).await,
            installs: ours::<Deployment>(client).await,
            replicas: ours::<Pod>(client).await,
            crd: crd(client).await,
            kube_proxy: get(&Api::<ConfigMap>::namespaced(client.clone(), "kube-system"), "kube-proxy").await,
            rights: Ok(Vec::new()),
            argo: argo(client).await,
        };
        snapshot.rights = answers(client, &snapshot).await;
        Ok(snapshot)
    }
}

/// A cluster without the kind has no groups: the check of the CRD says so.
async fn groups(source: &Source) -> Result<Known<Vec<ActiveStandby>>, UserError> {
    match source.list().await {
        Err(unread) if unread.code == Some(404) => Ok(Ok(Vec::new())),
        Err(unread) if unread.code == Some(401) => Err(unread.into_error()),
        read => Ok(read),
    }
}

/// What belongs to an install, in all namespaces, or else in the one where it usually is.
async fn ours<K>(client: &Client) -> Known<Vec<K>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let params = ListParams::default().labels(OUR_LABEL);
    match list::<K>(&Api::all(client.clone()), &params).await {
        Err(unread) if unread.code == Some(403) => {
            let usual = Api::namespaced(client.clone(), crate::manifests::DEFAULT_NAMESPACE);
            list(&usual, &params).await.map_err(|_also| unread)
        }
        read => read,
    }
}

async fn crd(client: &Client) -> Known<Option<CustomResourceDefinition>> {
    get(&Api::all(client.clone()), crate::api::crd().metadata.name.as_deref().unwrap_or_default()).await
}

async fn argo(client: &Client) -> Known<bool> {
    let groups = client.list_api_groups().await.map_err(|error| Unread::from_error("API groups", &error))?;
    Ok(groups.groups.iter().any(|group| group.name == ARGO))
}

/// Asks the API server what hotstandby may do.
async fn answers(client: &Client, snapshot: &Snapshot) -> Known<Vec<Answered>> {
    let (namespace, name) = rights::account(snapshot);
    let user = format!("system:serviceaccount:{namespace}:{name}");
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let asked = stream::iter(rights::needed(snapshot, &namespace))
        .map(|ask| answer(&reviews, &user, &namespace, ask))
        .buffered(AT_ONCE);
    let answers: Vec<_> = asked.collect().await;
    answers.into_iter().collect()
}

async fn answer(
    reviews: &Api<SubjectAccessReview>,
    user: &str,
    namespace: &str,
    ask: Ask,
) -> Known<Answered> {
    let (resource, subresource) = match ask.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (ask.resource, None),
    };
    let groups =
        ["system:serviceaccounts", &format!("system:serviceaccounts:{namespace}"), "system:authenticated"];
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user.to_owned()),
            groups: Some(groups.iter().map(|group| (*group).to_owned()).collect()),
            resource_attributes: Some(ResourceAttributes {
                group: Some(ask.api_group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource,
                verb: Some(ask.verb.to_owned()),
                namespace: Some(ask.namespace.clone()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let stored = reviews.create(&PostParams::default(), &review).await.map_err(|error| {
        let unread = Unread::from_error("hotstandby's rights", &error);
        match unread.code {
            Some(403) => Unread::new(
                &unread.what,
                format!("you may not ask for the rights of others; who may impersonate can: kubectl auth can-i --list --as={user}"),
            ),
            _ => unread,
        }
    })?;
    Ok(Answered { ask, allowed: stored.status.is_some_and(|status| status.allowed) })
}
