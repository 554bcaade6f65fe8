//! What `why` reads beside the group itself.

use super::Why;
use crate::api::ActiveStandby;
use crate::objects::{Source, Unread, get, list};
use crate::user::UserError;
use k8s_openapi::api::core::v1::{Event, Service};
use kube::Api;
use kube::api::ListParams;

impl Why {
    /// What is known of a group.
    pub async fn of_group(source: &Source, namespace: &str, group: &ActiveStandby) -> Self {
        let name = group.metadata.name.as_deref().unwrap_or_default();
        Self::of(group, events(source, namespace, "ActiveStandby", name).await)
    }

    /// What is known of the group that a Service makes by its annotation.
    pub async fn of_service(source: &Source, namespace: &str, name: &str) -> Result<Self, UserError> {
        let services: Api<Service> = Api::namespaced(source.client().clone(), namespace);
        let Some(service) = get(&services, name).await.map_err(Unread::into_error)? else {
            let text =
                format!("there is no Service {name} in namespace {namespace}; try another -n NAMESPACE");
            return Err(UserError::Refused(text));
        };
        let events = events(source, namespace, "Service", name).await;
        Ok(super::service::why(&service, source.list().await, events))
    }
}

/// The Events about an object, in the older form: that is the one which the built-in role `view` has always let read.
async fn events(source: &Source, namespace: &str, kind: &str, name: &str) -> Result<Vec<Event>, Unread> {
    let fields = format!("involvedObject.kind={kind},involvedObject.name={name}");
    list(&Api::namespaced(source.client().clone(), namespace), &ListParams::default().fields(&fields)).await
}
