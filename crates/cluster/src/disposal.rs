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
