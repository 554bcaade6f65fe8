//! The selector of a Service, changed so that it names one member: traffic moves with one write.

use crate::call::{Verb, with_deadline};
use crate::index::selecting_service;
use crate::marked::{self, Changes, Undo};
use crate::seat::FIELD_MANAGER;
use crate::wire::WireService;
use hotstandby_core::action::MarkedWrite;
use hotstandby_core::ids::{GroupKey, Rv, Uid};
use hotstandby_core::observation::WriteError;
use hotstandby_core::view::SelectingService;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use std::sync::Arc;

/// A Service, exactly this one at this version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAt {
    /// Its name.
    pub name: Arc<str>,
    /// Its UID.
    pub uid: Uid,
    /// Its resourceVersion.
    pub rv: Rv,
}

/// Writes the selectors that one install leads.
#[derive(Clone)]
pub struct PointerStore {
    client: Client,
    controller: Arc<str>,
}

impl PointerStore {
    /// A store that marks what it writes with `controller`.
    pub fn new(client: Client, controller: Arc<str>) -> Self {
        Self { client, controller }
    }

    /// Changes keys of a Service's selector, if it is still this one at this version, and returns it as stored.
    pub async fn write(
        &self,
        group: &GroupKey,
        service: &ServiceAt,
        write: &MarkedWrite,
    ) -> Result<SelectingService, WriteError> {
        let MarkedWrite { changes, marks } = write;
        let annotations = marked::annotations(marks, group, &self.controller)?;
        let stored = self.patch(&group.namespace, service, &marked::texts(changes), &annotations).await?;
        selecting_service(&stored).ok_or_else(|| {
            let what = format!("point Service {}/{}", group.namespace, service.name);
            WriteError::Unknown(format!("{what}: the answer has no selector or no UID").into())
        })
    }

    /// Reads a Service live; `None`: there is none with a selector under that name.
    pub async fn read(&self, namespace: &str, service: &str) -> Result<Option<SelectingService>, WriteError> {
        let what = format!("read Service {namespace}/{service}");
        let stored = with_deadline(Verb::Read, &what, self.services(namespace).get_opt(service)).await?;
        Ok(stored.as_ref().and_then(selecting_service))
    }

    /// Puts a Service's selector back as its mark says, and takes the mark off, if it is still this one at this version.
    ///
    pub async fn undo(&self, namespace: &str, service: &ServiceAt, undo: &Undo) -> Result<(), WriteError> {
        self.patch(namespace, service, &marked::texts(undo), &marked::cleared()).await.map(|_| ())
    }

    async fn patch(
        &self,
        namespace: &str,
        service: &ServiceAt,
        selector: &Changes,
        annotations: &Changes,
    ) -> Result<WireService, WriteError> {
        let mut body = marked::metadata_patch(&service.uid, &service.rv, annotations);
        if let Some(body) = body.as_object_mut().filter(|_| !selector.is_empty()) {
            body.insert("spec".to_owned(), json!({"selector": selector}));
        }
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let what = format!("point Service {namespace}/{}", service.name);
        let services = self.services(namespace);
        let patch = Patch::Merge(body);
        let call = services.patch(&service.name, &params, &patch);
        let stored = with_deadline(Verb::Change, &what, call).await?;
        // A 200 is no proof: a webhook may have changed it on its way.
        let as_sent = marked::is_as_sent(Some(&stored.spec.selector), selector)
            && marked::is_as_sent(stored.metadata.annotations.as_ref(), annotations);
        if as_sent {
            return Ok(stored);
        }
        let text = format!("{what}: stored otherwise than sent; look for a mutating webhook on Services");
        Err(WriteError::Refused(text.into()))
    }

    fn services(&self, namespace: &str) -> Api<WireService> {
        Api::namespaced(self.client.clone(), namespace)
    }
}
