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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names;
    use crate::testing::{Log, Seen, client, failure, merged};
    use hotstandby_core::action::{MarksWrite, ProjectionMarks};
    use http::Method;
    use serde_json::Value;
    use std::collections::BTreeMap;

    const MEMBER: &str = "hotstandby.dev/member";

    fn service() -> ServiceAt {
        ServiceAt { name: "web".into(), uid: "s1".into(), rv: "5".into() }
    }

    fn stored() -> Value {
        json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "s1", "resourceVersion": "5"},
            "spec": {"selector": {"app": "web", MEMBER: "p0"}, "ports": [{"port": 80}]},
        })
    }

    fn point() -> MarkedWrite {
        MarkedWrite {
            changes: BTreeMap::from([(MEMBER.into(), Some("p1".into())), ("role".into(), None)]),
            marks: MarksWrite::Set(Box::new(ProjectionMarks {
                seat: None,
                group_uid: "g1".into(),
                orphan: false,
                undo: BTreeMap::from([(MEMBER.into(), None)]),
            })),
        }
    }

    fn store(answer: impl Fn(&Seen) -> (u16, Value) + Send + Sync + 'static) -> (PointerStore, Log) {
        let (client, log) = client(answer);
        (PointerStore::new(client, "one/c".into()), log)
    }

    #[tokio::test]
    async fn the_pointer_moves_in_one_patch_that_only_this_service_at_this_version_takes() {
        let (store, log) = store(|seen| (200, merged(&stored(), &seen.body)));
        let group = GroupKey::svc("shop", "web");
        let pointed = store.write(&group, &service(), &point()).await.unwrap();
        let selector = [("app", "web"), (MEMBER, "p1")].map(|(key, value)| (key.into(), value.into()));
        assert_eq!(pointed.selector, BTreeMap::from(selector));
        assert_eq!(&*pointed.mark.unwrap().controller, "one/c");
        let log = log.lock().unwrap();
        let [sent] = log.as_slice() else { panic!("{log:?}") };
        assert_eq!((&sent.method, &*sent.path), (&Method::PATCH, "/api/v1/namespaces/shop/services/web"));
        assert_eq!(sent.body["metadata"]["uid"], "s1");
        assert_eq!(sent.body["metadata"]["resourceVersion"], "5");
        assert_eq!(sent.body["spec"], json!({"selector": {MEMBER: "p1", "role": null}}));
        assert_eq!(sent.body["metadata"]["annotations"][names::GROUP_KIND], "svc");
    }

    #[tokio::test]
    async fn a_200_that_stored_something_else_is_no_success() {
        let (store, _) = store(|seen| {
            let mut after = merged(&stored(), &seen.body);
            after["spec"] = stored()["spec"].clone();
            (200, after)
        });
        let outcome = store.write(&GroupKey::cr("shop", "web"), &service(), &point()).await;
        assert!(matches!(outcome, Err(WriteError::Refused(why)) if why.contains("webhook")));
    }

    #[tokio::test]
    async fn a_service_without_selector_is_none_to_be_pointed() {
        let (store, _) = store(|seen| match seen.path.rsplit('/').next() {
            Some("web") => (200, stored()),
            Some("bare") => (200, json!({"metadata": stored()["metadata"], "spec": {"ports": []}})),
            _ => failure(404, "NotFound"),
        });
        assert!(store.read("shop", "web").await.unwrap().is_some());
        assert_eq!(store.read("shop", "bare").await, Ok(None));
        assert_eq!(store.read("shop", "gone").await, Ok(None));
    }

    #[tokio::test]
    async fn undoing_without_a_selector_makes_none() {
        let (store, log) = store(|seen| (200, merged(&stored(), &seen.body)));
        assert_eq!(store.undo("shop", &service(), &Undo::new()).await, Ok(()));
        assert!(log.lock().unwrap()[0].body.get("spec").is_none());
    }
}
