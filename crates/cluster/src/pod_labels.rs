//! Labels of pods, written through `pods/status`: that right cannot change what a pod runs.
//!
//! The subresource takes labels and annotations, and leaves much else as it was without a word (seen on Kubernetes 1.35),
//! so a 200 proves nothing: what is stored is compared with what was sent.

use crate::call::{Verb, with_deadline};
use crate::marked::{self, Changes, Undo};
use crate::pod::{Interner, Lens, PodLite, to_member_view};
use crate::seat::FIELD_MANAGER;
use crate::wire::WirePod;
use hotstandby_core::action::{MarkedWrite, MemberRef};
use hotstandby_core::ids::{GroupKey, Rv};
use hotstandby_core::observation::WriteError;
use hotstandby_core::view::MemberView;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use std::sync::Arc;

/// Writes the labels of one install.
#[derive(Clone)]
pub struct LabelStore {
    client: Client,
    controller: Arc<str>,
}

impl LabelStore {
    /// A store that marks what it writes with `controller`.
    pub fn new(client: Client, controller: Arc<str>) -> Self {
        Self { client, controller }
    }

    /// Changes labels of a pod, if it is still this one at this version, and returns it as stored.
    pub async fn write(
        &self,
        group: &GroupKey,
        pod: &MemberRef,
        rv: &Rv,
        write: &MarkedWrite,
        lens: &Lens,
    ) -> Result<MemberView, WriteError> {
        let MarkedWrite { changes, marks } = write;
        let annotations = marked::annotations(marks, group, &self.controller)?;
        let stored = self.patch(&group.namespace, pod, rv, &marked::texts(changes), &annotations).await?;
        Ok(to_member_view(&stored, lens))
    }

    /// Puts a pod's labels back as its mark says, and takes the mark off, if it is still this pod at this version.
    pub async fn undo(
        &self,
        namespace: &str,
        pod: &MemberRef,
        rv: &Rv,
        undo: &Undo,
    ) -> Result<(), WriteError> {
        self.patch(namespace, pod, rv, &marked::texts(undo), &marked::cleared()).await.map(|_| ())
    }

    async fn patch(
        &self,
        namespace: &str,
        pod: &MemberRef,
        rv: &Rv,
        labels: &Changes,
        annotations: &Changes,
    ) -> Result<PodLite, WriteError> {
        let pods: Api<WirePod> = Api::namespaced(self.client.clone(), namespace);
        let mut body = marked::metadata_patch(&pod.uid, rv, annotations);
        if let Some(metadata) = body.get_mut("metadata").and_then(|metadata| metadata.as_object_mut()) {
            metadata.insert("labels".to_owned(), serde_json::json!(labels));
        }
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let what = format!("label pod {namespace}/{}", pod.name);
        let patch = Patch::Merge(body);
        let call = pods.patch_status(&pod.name, &params, &patch);
        let stored = with_deadline(Verb::Change, &what, call).await?;
        let meta = &stored.metadata;
        let as_sent = marked::is_as_sent(meta.labels.as_ref(), labels)
            && marked::is_as_sent(meta.annotations.as_ref(), annotations);
        if !as_sent {
            let text =
                format!("{what}: stored otherwise than sent; look for a mutating webhook on pods/status");
            return Err(WriteError::Refused(text.into()));
        }
        // A pool for one pod: nothing is shared, and nothing is kept.
        PodLite::new(&stored, &mut Interner::default())
            .ok_or_else(|| WriteError::Unknown(format!("{what}: the answer has no UID").into()))
    }
}

#[cfg(test)]
#[path = "pod_labels_tests.rs"]
mod tests;
