//! Whether the rights are there, asked of the API server itself, so that `/ready` can name what is missing.

use crate::call::chain;
use crate::manifests::rights::{RIGHTS, Right, Scope};
use futures::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use std::fmt;

/// Questions under way at once.
const AT_ONCE: usize = 8;

/// What an install watches, and where its own objects live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// hotstandby's own namespace.
    pub own_namespace: String,
    /// The namespaces watched; empty: all of them.
    pub watched: Vec<String>,
}

/// A right that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingRight {
    /// The verb.
    pub verb: &'static str,
    /// The right it belongs to.
    pub right: &'static Right,
    /// Where; `None`: in all namespaces, or the resource has none.
    pub namespace: Option<String>,
}

impl fmt::Display for MissingRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.right.resource)?;
        if !self.right.api_group.is_empty() {
            write!(f, ".{}", self.right.api_group)?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace {namespace}")?,
            None => f.write_str(" in the cluster")?,
        }
        write!(f, " (for {})", self.right.why)
    }
}

/// The question could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("asking the API server for our rights: {}", chain(.0))]
pub struct AccessError(#[from] kube::Error);

/// The rights of the table that this process does not have.
pub async fn missing_rights(client: &Client, reach: &Reach) -> Result<Vec<MissingRight>, AccessError> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answers = stream::iter(questions(reach)).map(|question| ask(&reviews, question)).buffered(AT_ONCE);
    let answers: Vec<Result<Option<MissingRight>, kube::Error>> = answers.collect().await;
    let mut missing = Vec::new();
    for answer in answers {
        missing.extend(answer?);
    }
    Ok(missing)
}

/// Every verb of every right in every namespace it is needed in.
fn questions(reach: &Reach) -> Vec<MissingRight> {
    let mut all = Vec::new();
    for right in RIGHTS {
        let namespaces: Vec<Option<String>> = match right.scope {
            Scope::Own => vec![Some(reach.own_namespace.clone())],
            Scope::Watched if !reach.watched.is_empty() => reach.watched.iter().cloned().map(Some).collect(),
            Scope::Watched => vec![None],
            // Where only some namespaces are watched, nothing without a namespace is.
            Scope::Cluster if reach.watched.is_empty() => vec![None],
            Scope::Cluster => Vec::new(),
        };
        for namespace in namespaces {
            let one = |verb: &&'static str| MissingRight { verb, right, namespace: namespace.clone() };
            all.extend(right.verbs.iter().map(one));
        }
    }
    all
}

async fn ask(
    reviews: &Api<SelfSubjectAccessReview>,
    question: MissingRight,
) -> Result<Option<MissingRight>, kube::Error> {
    let (resource, subresource) = match question.right.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (question.right.resource, None),
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(question.right.api_group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource,
                verb: Some(question.verb.to_owned()),
                namespace: question.namespace.clone(),
                ..ResourceAttributes::default()
            }),
            non_resource_attributes: None,
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = reviews.create(&PostParams::default(), &review).await?;
    let allowed = answer.status.is_some_and(|status| status.allowed);
    Ok((!allowed).then_some(question))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespaced_install_asks_for_nothing_cluster_wide() {
        let reach = Reach { own_namespace: "hs".into(), watched: vec!["a".into(), "b".into()] };
        let asked = questions(&reach);
        assert!(asked.iter().all(|question| question.namespace.is_some()));
        assert!(asked.iter().all(|question| question.right.resource != "nodes"));
        let leases = asked.iter().filter(|question| question.right.resource == "leases");
        assert!(leases.clone().count() > 0);
        assert!(leases.into_iter().all(|question| question.namespace.as_deref() == Some("hs")));
    }

    #[test]
    fn a_missing_right_says_verb_place_and_purpose() {
        let reach = Reach { own_namespace: "hs".into(), watched: Vec::new() };
        let asked = questions(&reach);
        let pods = asked.iter().find(|question| question.right.resource == "pods").unwrap();
        assert!(pods.to_string().starts_with("get pods in the cluster (for the members"), "{pods}");
    }
}
