//! PUT, and what every change of a stored object goes through.

use super::write::Intent;
use super::{ApiServer, Place};
use crate::builtin;
use crate::decode::{self, keep};
use crate::failure::{Failure, FieldError};
use crate::fields;
use crate::json::{at, items, put, put_default, put_or_take, take, text};
use crate::kinds::Subresource;
use crate::lists::Shape;
use crate::message::{Answer, Reply, Request};
use crate::route::Target;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a write may not move, however it is asked.
const FIXED: [&[&str]; 4] = [
    &["metadata", "creationTimestamp"],
    &["metadata", "deletionTimestamp"],
    &["metadata", "deletionGracePeriodSeconds"],
    &["metadata", "generation"],
];

impl ApiServer {
    pub(super) fn replace(&mut self, request: &Request, target: &Target) -> Result<Reply, Failure> {
        let mut warnings = Vec::new();
        let kind = &target.kind;
        super::create::check_dry_run(request, "UpdateOptions")?;
        let body = decode::body_of(request, kind)?;
        warnings.extend(builtin::warnings(kind, &body));
        let shaped = decode::shape(kind, body)?;
        decode::judge(kind, &shaped.unknown, decode::field_validation(request)?, &mut warnings)?;
        let mut object = shaped.object;
        let place = Place::from(target);
        check_name(&place, &object)?;
        let intent = self.intent(request, &place);
        let uid = text(&object, &["metadata", "uid"]).map(str::to_owned);
        let Some(existing) = self.store.get(&kind.storage, &place.key()).cloned() else {
            if !kind.ways.create_on_update || place.subresource.is_some() {
                return Err(Failure::not_found(kind, &place.name));
            }
            // What is not there has no UID, so a UID in the object cannot match.
            if let Some(uid) = uid {
                return Err(Failure::conflict(kind, &place.name, &wrong_uid(&place, &uid, "")));
            }
            take(&mut object, &["metadata", "resourceVersion"]);
            let stored = self.create_object(&place, object, &intent)?;
            return Ok(Reply::Json(Answer { warnings, ..Answer::new(201, kind.shown(&stored)) }));
        };
        let stored_uid = text(&existing, &["metadata", "uid"]).unwrap_or_default();
        if let Some(uid) = uid.filter(|uid| uid != stored_uid) {
            return Err(Failure::conflict(kind, &place.name, &wrong_uid(&place, &uid, stored_uid)));
        }
        let stored = self.update_object(&place, &existing, object, &intent)?;
        Ok(Reply::Json(Answer { warnings, ..Answer::new(200, kind.shown(&stored)) }))
    }

    /// Brings a stored object to `new`, which has its shape already.
    pub(super) fn update_object(
        &mut self,
        place: &Place,
        existing: &Arc<Value>,
        mut new: Value,
        intent: &Intent,
    ) -> Result<Arc<Value>, Failure> {
        let kind = &place.kind;
        super::create::set_namespace(kind, &place.namespace, &mut new)?;
        check_version(place, existing, &new)?;
        let mut errors = going_errors(existing, &new);
        keep(&mut new, existing, &FIXED);
        if at(&new, &["metadata", "uid"]).is_null() {
            put(&mut new, &["metadata", "uid"], at(existing, &["metadata", "uid"]).clone());
        }
        // The version is the store's; so that equal objects compare as equal, it is the old one until then.
        put(
            &mut new,
            &["metadata", "resourceVersion"],
            at(existing, &["metadata", "resourceVersion"]).clone(),
        );
        keep_other_half(place, &mut new, existing);
        if kind.ways.generation && builtin::counted(kind, &new) != builtin::counted(kind, existing) {
            let generation = at(existing, &["metadata", "generation"]).as_i64().unwrap_or(0) + 1;
            put(&mut new, &["metadata", "generation"], generation);
        }
        if kind.is("customresourcedefinitions") && place.subresource.is_none() {
            crate::crd::establish(&mut new, self.now_ms());
        }
        errors.extend(builtin::metadata_errors(&new));
        errors.extend(builtin::validate_update(kind, &new, existing));
        errors.extend(builtin::validate(kind, &new));
        errors.extend(self.special_addresses(kind, &new));
        if !errors.is_empty() {
            return Err(Failure::invalid_object(kind, &place.name, &errors));
        }
        if !intent.applies {
            let managed = at(existing, &["metadata", "managedFields"]).clone();
            put_default(&mut new, &["metadata", "managedFields"], managed);
            let schema = kind.custom.as_ref().map(|custom| &custom.schema);
            fields::note_update(existing, &mut new, Shape::root(schema), &intent.writer);
        }
        // Nothing changed, nothing is written: no version, no event.
        if without_times(&new) == without_times(existing) {
            return Ok(existing.clone());
        }
        if intent.dry_run {
            return Ok(Arc::new(new));
        }
        Ok(self.commit_update(place, existing, new))
    }

    /// Stores, or deletes where this was all a deletion waited for.
    fn commit_update(&mut self, place: &Place, existing: &Value, new: Value) -> Arc<Value> {
        let kind = &place.kind;
        let deleting = !at(existing, &["metadata", "deletionTimestamp"]).is_null();
        let grace = at(existing, &["metadata", "deletionGracePeriodSeconds"]).as_i64().unwrap_or(0);
        let held = !items(&new, &["metadata", "finalizers"]).is_empty()
            || (kind.is("namespaces") && !items(&new, &["spec", "finalizers"]).is_empty());
        if deleting && grace == 0 && !held {
            self.remove(place);
            // The writer is shown what was written, at the version it was written over.
            return Arc::new(new);
        }
        let stored = self.store.commit(&kind.storage, &place.key(), Some(new));
        self.follow_crd(kind, &stored);
        stored
    }

    pub(super) fn finalize(&mut self, request: &Request, target: &Target) -> Result<Reply, Failure> {
        let place = Place::from(target);
        let existing = self.stored(&place)?;
        let body = decode::body(request)?;
        let mut new = Value::clone(&existing);
        put_or_take(&mut new, &["spec", "finalizers"], at(&body, &["spec", "finalizers"]));
        let stored = self.commit_update(&place, &existing, new);
        Ok(Reply::ok(target.kind.shown(&stored)))
    }

    pub(super) fn bind(&mut self, request: &Request, target: &Target) -> Result<Reply, Failure> {
        let place = Place { subresource: None, ..Place::from(target) };
        let existing = self.stored(&place)?;
        let body = decode::body(request)?;
        let node = text(&body, &["target", "name"]).unwrap_or_default();
        if let Some(bound) = text(&existing, &["spec", "nodeName"]) {
            let why = format!("pod {} is already assigned to node {bound:?}", place.name);
            let message = format!("Operation cannot be fulfilled on pods/binding {:?}: {why}", place.name);
            let details = json!({"name": place.name, "kind": "pods/binding"});
            return Err(Failure { details, ..Failure::new(409, "Conflict", message) });
        }
        if node.is_empty() {
            return Err(Failure::new(500, "", "target.name: Required value"));
        }
        let mut new = Value::clone(&existing);
        builtin::bind(&mut new, node, self.now_ms());
        self.commit_update(&place, &existing, new);
        let done =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
        Ok(Reply::Json(Answer::new(201, done)))
    }

    pub(super) fn get_scale(&mut self, target: &Target) -> Result<Reply, Failure> {
        let stored = self.stored(&Place::from(target))?;
        Ok(Reply::ok(scale_of(&stored)))
    }

    pub(super) fn put_scale(&mut self, request: &Request, target: &Target) -> Result<Reply, Failure> {
        let place = Place { subresource: None, ..Place::from(target) };
        let existing = self.stored(&place)?;
        let body = decode::body(request)?;
        let mut scale = scale_of(&existing);
        if request.content_type.starts_with("application/json-patch+json") {
            crate::patch::json(&mut scale, &body)?;
        } else {
            crate::patch::merge(&mut scale, &body);
        }
        let mut new = Value::clone(&existing);
        let replicas = at(&scale, &["spec", "replicas"]).as_i64().unwrap_or(0);
        put(&mut new, &["spec", "replicas"], replicas);
        let version = at(&scale, &["metadata", "resourceVersion"]).clone();
        put(&mut new, &["metadata", "resourceVersion"], version);
        let mut intent = self.intent(request, &place);
        "scale".clone_into(&mut intent.writer.subresource);
        let stored = self.update_object(&place, &existing, new, &intent)?;
        Ok(Reply::ok(scale_of(&stored)))
    }
}

/// An object that is going stays so, and is held by nothing new.
fn going_errors(existing: &Value, new: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let time = at(new, &["metadata", "deletionTimestamp"]);
    let old = at(existing, &["metadata", "deletionTimestamp"]);
    if !time.is_null() && time != old {
        let error = FieldError::invalid("metadata.deletionTimestamp", time, "field is immutable");
        errors.extend([error.clone(), error]);
    }
    let held = items(existing, &["metadata", "finalizers"]);
    let fresh: Vec<String> = items(new, &["metadata", "finalizers"])
        .iter()
        .filter(|one| !held.contains(one))
        .map(ToString::to_string)
        .collect();
    if !old.is_null() && !fresh.is_empty() {
        let why = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            fresh.join(", ")
        );
        let error = FieldError::forbidden("metadata.finalizers", &why);
        errors.extend([error.clone(), error]);
    }
    errors
}

/// The version sent must be the stored one, or none where that is allowed.
fn check_version(place: &Place, existing: &Value, new: &Value) -> Result<(), Failure> {
    let kind = &place.kind;
    let stored = text(existing, &["metadata", "resourceVersion"]);
    match text(new, &["metadata", "resourceVersion"]) {
        None | Some("0") if kind.ways.unconditional_update => Ok(()),
        None | Some("0") => {
            let error =
                FieldError::invalid("metadata.resourceVersion", &json!(0), "must be specified for an update");
            Err(Failure::invalid(&kind.group, &kind.plural, &place.name, &[error]))
        }
        sent if sent == stored => Ok(()),
        Some(sent) if sent.parse::<u64>().is_err() => {
            Err(Failure::new(500, "", format!("strconv.ParseUint: parsing {sent:?}: invalid syntax")))
        }
        Some(_) => Err(Failure::stale(kind, &place.name)),
    }
}

fn scale_of(stored: &Value) -> Value {
    let meta = |field: &str| at(stored, &["metadata", field]).clone();
    let labels = at(stored, &["spec", "selector", "matchLabels"]).as_object().into_iter().flatten();
    let selector: Vec<String> =
        labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": meta("name"), "namespace": meta("namespace"), "uid": meta("uid"),
            "resourceVersion": meta("resourceVersion"), "creationTimestamp": meta("creationTimestamp"),
        },
        "spec": {"replicas": at(stored, &["spec", "replicas"])},
        "status": {
            "replicas": at(stored, &["status", "replicas"]).as_i64().unwrap_or(0),
            "selector": selector.join(","),
        },
    })
}

fn wrong_uid(place: &Place, sent: &str, stored: &str) -> String {
    let Place { kind, namespace, name, .. } = place;
    let slash = if namespace.is_empty() { "" } else { "/" };
    format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{}/{namespace}{slash}{name}, ResourceVersion: 0, \
         AdditionalErrorMsg: Precondition failed: UID in precondition: {sent}, UID in object meta: {stored}",
        kind.plural
    )
}

/// The name in the object must be the path's.
pub(super) fn check_name(place: &Place, object: &Value) -> Result<(), Failure> {
    let name = text(object, &["metadata", "name"]).unwrap_or_default();
    if name != place.name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            place.name
        )));
    }
    let said = text(object, &["metadata", "namespace"]).unwrap_or_default();
    if !said.is_empty() && place.kind.namespaced && said != place.namespace {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// A write of the object leaves the status, a write of the status leaves the rest.
fn keep_other_half(place: &Place, new: &mut Value, existing: &Value) {
    let kind = &place.kind;
    match place.subresource {
        Some(Subresource::Status) if kind.is_custom() => {
            let status = at(new, &["status"]).clone();
            let managed = at(new, &["metadata", "managedFields"]).clone();
            *new = existing.clone();
            put_or_take(new, &["metadata", "managedFields"], &managed);
            put_or_take(new, &["status"], &status);
        }
        Some(Subresource::Status) => {
            put_or_take(new, &["spec"], at(existing, &["spec"]));
            if kind.is("pods") {
                keep(new, existing, &[&["metadata", "ownerReferences"]]);
            } else if kind.group == "apps" || kind.is("namespaces") {
                keep(new, existing, &[&["metadata", "labels"]]);
            }
        }
        None if kind.subresource("status").is_some() => {
            put_or_take(new, &["status"], at(existing, &["status"]));
            // A Service keeps the address it was given where the writer says nothing.
            if kind.is("services") && text(new, &["spec", "type"]) != Some("ExternalName") {
                for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                    put_default(new, &["spec", field], at(existing, &["spec", field]).clone());
                }
            } else if kind.is("services") {
                // There is no address behind a mere name.
                for field in
                    ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"]
                {
                    take(new, &["spec", field]);
                }
            }
        }
        _ => {}
    }
}

/// An object without the times of `managedFields`: they alone are no change.
fn without_times(object: &Value) -> Value {
    let mut object = object.clone();
    crate::json::each(&mut object, &["metadata", "managedFields"], |entry| {
        take(entry, &["time"]);
    });
    object
}
