//! DELETE, evictions, and what a deletion waits for.

use super::{ApiServer, Place};
use crate::clock::{time_ms, time_text};
use crate::decode;
use crate::failure::{Failure, FieldError};
use crate::json::{at, items, put, text};
use crate::kinds::{Kind, list_head};
use crate::message::{Answer, Reply, Request};
use crate::route::Target;
use crate::selector::Selector;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a DELETE asks for beside the object.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    grace: Option<i64>,
    uid: Option<String>,
    version: Option<String>,
    pub(super) propagation: String,
    dry_run: bool,
}

impl DeleteOptions {
    fn read(request: &Request) -> Result<Self, Failure> {
        let body = if request.body.is_empty() { Value::Null } else { decode::body(request)? };
        let body =
            if at(&body, &["kind"]) == "Eviction" { at(&body, &["deleteOptions"]).clone() } else { body };
        super::create::check_dry_run(request, "DeleteOptions")?;
        let grace = request.param("gracePeriodSeconds");
        if !grace.is_empty() && grace.parse::<i64>().is_err() {
            return Err(Failure::no_number(grace));
        }
        check_propagation(&body)?;
        let owned = |path: &[&str]| text(&body, path).map(str::to_owned);
        let propagation =
            owned(&["propagationPolicy"]).unwrap_or_else(|| request.param("propagationPolicy").to_owned());
        let orphan = at(&body, &["orphanDependents"]) == true;
        Ok(Self {
            grace: at(&body, &["gracePeriodSeconds"])
                .as_i64()
                .or_else(|| request.param("gracePeriodSeconds").parse().ok()),
            uid: owned(&["preconditions", "uid"]),
            version: owned(&["preconditions", "resourceVersion"]),
            propagation: if orphan { "Orphan".to_owned() } else { propagation },
            dry_run: !items(&body, &["dryRun"]).is_empty() || !request.param("dryRun").is_empty(),
        })
    }

    /// The finalizers after the wish for dependents is noted in them.
    fn finalizers(&self, object: &Value) -> Vec<Value> {
        let all = items(object, &["metadata", "finalizers"]);
        let ours = ["orphan", "foregroundDeletion"];
        if self.propagation.is_empty() {
            return all.to_vec();
        }
        let mut kept: Vec<Value> =
            all.iter().filter(|one| !one.as_str().is_some_and(|one| ours.contains(&one))).cloned().collect();
        match self.propagation.as_str() {
            "Orphan" => kept.push(json!("orphan")),
            "Foreground" => kept.push(json!("foregroundDeletion")),
            _ => {}
        }
        kept
    }

    fn check(&self, kind: &Kind, name: &str, object: &Value) -> Result<(), Failure> {
        let uid = text(object, &["metadata", "uid"]).unwrap_or_default();
        if let Some(wanted) = self.uid.as_deref().filter(|wanted| *wanted != uid) {
            let why = format!(
                "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might \
                 have been deleted and then recreated"
            );
            return Err(Failure::delete_conflict(kind, name, &why));
        }
        let version = text(object, &["metadata", "resourceVersion"]).unwrap_or_default();
        if let Some(wanted) = self.version.as_deref().filter(|wanted| *wanted != version) {
            let why = format!(
                "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record \
                 ({version}). The object might have been modified"
            );
            return Err(Failure::delete_conflict(kind, name, &why));
        }
        Ok(())
    }
}

fn check_propagation(options: &Value) -> Result<(), Failure> {
    let policy = at(options, &["propagationPolicy"]);
    let known = ["Foreground", "Background", "Orphan", "nil"].map(str::to_owned);
    let error = if !policy.is_null() && !at(options, &["orphanDependents"]).is_null() {
        let why = "orphanDependents and deletionPropagation cannot be both set";
        FieldError::invalid("propagationPolicy", policy, why)
    } else if !policy.is_null() && !known.iter().any(|one| policy == one.as_str()) {
        FieldError::not_supported("propagationPolicy", policy, &known)
    } else {
        return Ok(());
    };
    Err(Failure::invalid("meta.k8s.io", "DeleteOptions", "", &[error]))
}

/// What became of a deletion.
pub(super) enum Deleted {
    /// The object is gone; its last state.
    Gone(Arc<Value>),
    /// It waits for its grace period or finalizers.
    Waiting(Arc<Value>),
}

impl ApiServer {
    pub(super) fn delete(&mut self, request: &Request, target: &Target) -> Result<Reply, Failure> {
        let options = DeleteOptions::read(request)?;
        let deleted = self.delete_object(&Place::from(target), &options)?;
        let kind = &target.kind;
        Ok(Reply::ok(match deleted {
            Deleted::Waiting(object) => kind.shown(&object),
            Deleted::Gone(object) if kind.ways.returns_deleted => kind.shown(&object),
            Deleted::Gone(object) => gone(kind, &object),
        }))
    }

    pub(super) fn evict(&mut self, request: &Request, target: &Target) -> Result<Reply, Failure> {
        let options = DeleteOptions::read(request)?;
        let body = if request.body.is_empty() { Value::Null } else { decode::body(request)? };
        if text(&body, &["metadata", "name"]).is_some_and(|name| name != target.name) {
            return Err(Failure::bad_request("name in URL does not match name in Eviction object"));
        }
        let place = Place { subresource: None, ..Place::from(target) };
        let existing = self.stored(&place)?;
        options.check(&place.kind, &place.name, &existing)?;
        // A pod that lingers says why it goes.
        let lingers = text(&existing, &["spec", "nodeName"]).is_some();
        if lingers && !options.dry_run && at(&existing, &["metadata", "deletionTimestamp"]).is_null() {
            let mut told = Value::clone(&existing);
            let mut conditions = items(&existing, &["status", "conditions"]).to_vec();
            conditions.push(json!({
                "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
                "message": "Eviction API: evicting", "lastProbeTime": null,
                "lastTransitionTime": time_text(self.now_ms()),
            }));
            put(&mut told, &["status", "conditions"], conditions);
            self.store.commit(&place.kind.storage, &place.key(), Some(told));
        }
        self.delete_object(&place, &options)?;
        let done =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
        Ok(Reply::Json(Answer::new(201, done)))
    }

    pub(super) fn delete_collection(&mut self, request: &Request, target: &Target) -> Result<Reply, Failure> {
        let kind = &target.kind;
        let options = DeleteOptions::read(request)?;
        let selector = Selector::parse(kind, request.param("labelSelector"), request.param("fieldSelector"))?;
        let places: Vec<Place> = self
            .store
            .objects(&kind.storage)
            .filter(|(_, object)| selector.matches(object))
            .map(|(_, object)| place_of(kind, object))
            .filter(|place| target.namespace.is_empty() || place.namespace == target.namespace)
            .collect();
        // They are shown as they were found.
        let mut list = list_head(kind, self.store.version());
        let mut shown = Vec::new();
        for place in places {
            shown.push(super::read::list_item(kind, self.stored(&place)?.as_ref()));
            self.delete_object(&place, &options)?;
        }
        put(&mut list, &["items"], shown);
        Ok(Reply::ok(list))
    }

    /// Deletes as far as grace period and finalizers let it.
    pub(super) fn delete_object(
        &mut self,
        place: &Place,
        options: &DeleteOptions,
    ) -> Result<Deleted, Failure> {
        let kind = &place.kind;
        let existing = self.stored(place)?;
        options.check(kind, &place.name, &existing)?;
        if kind.is("namespaces") {
            return Ok(self.delete_namespace(place, &existing));
        }
        if options.dry_run {
            return Ok(Deleted::Gone(existing));
        }
        if kind.is("customresourcedefinitions") {
            return Ok(self.delete_crd(place, &existing));
        }
        let deleting = !at(&existing, &["metadata", "deletionTimestamp"]).is_null();
        let mut new = Value::clone(&existing);
        let grace = if kind.ways.graceful { self.shorten(&mut new, deleting, options) } else { 0 };
        let Some(grace) = Some(grace).filter(|grace| *grace >= 0) else {
            return Ok(Deleted::Waiting(existing));
        };
        if !(deleting && kind.ways.graceful) {
            let finalizers = options.finalizers(&existing);
            crate::json::put_or_take(&mut new, &["metadata", "finalizers"], &json!(finalizers));
            if finalizers.is_empty() {
                crate::json::take(&mut new, &["metadata", "finalizers"]);
            }
        }
        let held = !items(&new, &["metadata", "finalizers"]).is_empty();
        if held && !kind.ways.graceful && !deleting {
            put(&mut new, &["metadata", "deletionTimestamp"], time_text(self.now_ms()));
            put(&mut new, &["metadata", "deletionGracePeriodSeconds"], 0);
            count_up(&mut new);
        }
        let changed = new != *existing;
        let waits = held || grace > 0;
        // Pods are seen terminating before they go, even where they go at once.
        if changed && (waits || kind.ways.graceful) {
            let stored = self.store.commit(&kind.storage, &place.key(), Some(new));
            if waits {
                return Ok(Deleted::Waiting(stored));
            }
        } else if waits {
            return Ok(Deleted::Waiting(existing));
        }
        Ok(Deleted::Gone(self.remove(place)))
    }

    /// Sets or shortens a pod's grace period; a negative answer: it stays as it is.
    fn shorten(&self, pod: &mut Value, deleting: bool, options: &DeleteOptions) -> i64 {
        let wished = options.grace.map(|grace| if grace < 0 { 1 } else { grace });
        if deleting {
            let old = at(pod, &["metadata", "deletionGracePeriodSeconds"]).as_i64().unwrap_or(0);
            let Some(mut grace) = wished.filter(|grace| *grace < old) else {
                return if old == 0 { 0 } else { -1 };
            };
            let was = text(pod, &["metadata", "deletionTimestamp"]).and_then(time_ms).unwrap_or(0);
            let mut end = was + (grace - old) * 1000;
            if end < self.now_ms() {
                end = self.now_ms();
                grace = i64::from(grace != 0);
            }
            put(pod, &["metadata", "deletionTimestamp"], time_text(end));
            put(pod, &["metadata", "deletionGracePeriodSeconds"], grace);
            return grace;
        }
        let own = at(pod, &["spec", "terminationGracePeriodSeconds"]).as_i64().unwrap_or(0);
        let unbound = text(pod, &["spec", "nodeName"]).is_none();
        let ended = matches!(text(pod, &["status", "phase"]), Some("Succeeded" | "Failed"));
        let grace = if unbound || ended { 0 } else { wished.unwrap_or(own).max(0) };
        put(pod, &["metadata", "deletionTimestamp"], time_text(self.now_ms() + grace * 1000));
        put(pod, &["metadata", "deletionGracePeriodSeconds"], grace);
        count_up(pod);
        grace
    }

    /// A namespace goes when it is empty; [`ApiServer::collect_garbage`] empties it.
    fn delete_namespace(&mut self, place: &Place, existing: &Arc<Value>) -> Deleted {
        if !at(existing, &["metadata", "deletionTimestamp"]).is_null() {
            return Deleted::Waiting(existing.clone());
        }
        let mut new = Value::clone(existing);
        put(&mut new, &["metadata", "deletionTimestamp"], time_text(self.now_ms()));
        put(&mut new, &["status", "phase"], "Terminating");
        Deleted::Waiting(self.store.commit(&place.kind.storage, &place.key(), Some(new)))
    }

    /// A CRD goes with its objects; the answer shows it while it waits for that.
    fn delete_crd(&mut self, place: &Place, crd: &Value) -> Deleted {
        let mut going = crd.clone();
        put(&mut going, &["metadata", "deletionTimestamp"], time_text(self.now_ms()));
        put(&mut going, &["metadata", "finalizers"], json!(["customresourcecleanup.apiextensions.k8s.io"]));
        let mut conditions = items(crd, &["status", "conditions"]).to_vec();
        conditions.push(json!({
            "type": "Terminating", "status": "True", "reason": "InstanceDeletionPending",
            "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
            "lastTransitionTime": time_text(self.now_ms()),
        }));
        put(&mut going, &["status", "conditions"], conditions);
        let shown = self.store.commit(&place.kind.storage, &place.key(), Some(going));
        self.forget_kind(crd);
        self.remove(place);
        Deleted::Waiting(shown)
    }

    /// With a CRD go its objects and its kind.
    fn forget_kind(&mut self, crd: &Value) {
        let group = text(crd, &["spec", "group"]).unwrap_or_default().to_owned();
        let plural = text(crd, &["spec", "names", "plural"]).unwrap_or_default().to_owned();
        let Some(kind) = self.kinds.of_plural(&group, &plural) else { return };
        let places: Vec<Place> =
            self.store.objects(&kind.storage).map(|(_, object)| place_of(&kind, object)).collect();
        for place in places {
            self.remove(&place);
        }
        self.kinds.remove(&group, &plural);
    }

    /// Takes an object out of the store.
    pub(super) fn remove(&mut self, place: &Place) -> Arc<Value> {
        self.store.commit(&place.kind.storage, &place.key(), None)
    }
}

/// Where a stored object is.
pub(super) fn place_of(kind: &Arc<Kind>, object: &Value) -> Place {
    let of = |field: &str| text(object, &["metadata", field]).unwrap_or_default().to_owned();
    Place { kind: kind.clone(), namespace: of("namespace"), name: of("name"), subresource: None }
}

fn count_up(object: &mut Value) {
    if let Some(generation) = at(object, &["metadata", "generation"]).as_i64() {
        put(object, &["metadata", "generation"], generation + 1);
    }
}

fn gone(kind: &Kind, object: &Value) -> Value {
    let mut details = json!({
        "name": at(object, &["metadata", "name"]), "kind": kind.plural, "uid": at(object, &["metadata", "uid"]),
    });
    if !kind.group.is_empty() {
        put(&mut details, &["group"], kind.group.as_ref());
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}
