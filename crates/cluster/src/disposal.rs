//! Deleting pods, where a group asks for it.

use crate::call::{Verb, with_deadline};
use crate::wire::WirePod;
use hotstandby_core::action::MemberRef;
use hotstandby_core::ids::Rv;
use hotstandby_core::observation::WriteError;
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, Client};

/// Deletes pods.
#[derive(Clone)]
pub struct PodDeleter {
    client: Client,
}

impl PodDeleter {
    /// A deleter over this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Deletes a pod that is exactly this one at this version. Gone already is as good.
    ///
    /// `grace_seconds` is how long it may take to end; `None`: what the pod itself allows.
    pub async fn delete(
        &self,
        namespace: &str,
        pod: &MemberRef,
        rv: &Rv,
        grace_seconds: Option<u32>,
    ) -> Result<(), WriteError> {
        let pods: Api<WirePod> = Api::namespaced(self.client.clone(), namespace);
        let params = DeleteParams {
            grace_period_seconds: grace_seconds,
            preconditions: Some(Preconditions {
                uid: Some(pod.uid.to_string()),
                resource_version: Some(rv.to_string()),
            }),
            ..DeleteParams::default()
        };
        let what = format!("delete pod {namespace}/{}", pod.name);
        let gone = async {
            match pods.delete(&pod.name, &params).await {
                Ok(_) => Ok(()),
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                Err(error) => Err(error),
            }
        };
        with_deadline(Verb::Change, &what, gone).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{client, failure};
    use serde_json::{Value, json};

    async fn delete(
        grace: Option<u32>,
        answer: (u16, Value),
    ) -> (Result<(), WriteError>, crate::testing::Seen) {
        let (client, log) = client(move |_| answer.clone());
        let pod = MemberRef { name: "web-0".into(), uid: "p0".into() };
        let outcome = PodDeleter::new(client).delete("shop", &pod, &"5".into(), grace).await;
        let seen = log.lock().unwrap()[0].clone();
        (outcome, seen)
    }

    #[tokio::test]
    async fn only_this_pod_at_this_version_is_deleted() {
        let answer = (200, json!({"kind": "Pod", "metadata": {"name": "web-0", "uid": "p0"}}));
        let (outcome, seen) = delete(Some(0), answer.clone()).await;
        assert_eq!(outcome, Ok(()));
        assert_eq!(seen.body["preconditions"], json!({"uid": "p0", "resourceVersion": "5"}));
        assert_eq!(seen.body["gracePeriodSeconds"], 0);
        let (_, seen) = delete(None, answer).await;
        assert_eq!(seen.body.get("gracePeriodSeconds"), None, "the pod's own");
    }

    #[tokio::test]
    async fn gone_is_as_good_and_changed_is_not() {
        assert_eq!(delete(None, failure(404, "NotFound")).await.0, Ok(()));
        assert_eq!(delete(None, failure(409, "Conflict")).await.0, Err(WriteError::Conflict));
        assert!(matches!(delete(None, failure(403, "Forbidden")).await.0, Err(WriteError::Refused(_))));
    }
}
