//! Server-side apply, as a request.

use super::update::check_name;
use super::{ApiServer, Place};
use crate::apply::apply;
use crate::decode;
use crate::failure::{Failure, FieldError};
use crate::json::{at, text};
use crate::kinds::Kind;
use crate::lists::Shape;
use crate::message::{Answer, Reply, Request};
use crate::route::Target;
use serde_json::{Value, json};

impl ApiServer {
    pub(super) fn apply(&mut self, request: &Request, target: &Target) -> Result<Reply, Failure> {
        let kind = &target.kind;
        if request.param("fieldManager").is_empty() {
            let error = FieldError::required("fieldManager", "is required for apply patch");
            return Err(Failure::invalid("meta.k8s.io", "PatchOptions", "", &[error]));
        }
        let place = Place::from(target);
        super::create::check_dry_run(request, "PatchOptions")?;
        let mut config = decode::body(request)?;
        check_said(kind, &config)?;
        decode::check_kind(kind, &mut config)?;
        if !at(&config, &["metadata", "managedFields"]).is_null() {
            return Err(Failure::bad_request("metadata.managedFields must be nil"));
        }
        if text(&config, &["metadata", "name"]).is_none() {
            let name = &place.name;
            return Err(Failure::bad_request(format!(
                "the name of the object ({name} based on URL) was undeterminable: name must be provided"
            )));
        }
        check_declared(kind, &config)?;
        check_name(&place, &config)?;
        let existing = self.store.get(&kind.storage, &place.key()).cloned();
        if existing.is_none() && place.subresource.is_some() {
            return Err(Failure::not_found(kind, &place.name));
        }
        check_identity(&place, &config, existing.as_deref())?;
        let config = own_half(&place, config);
        let schema = kind.custom.as_ref().map(|custom| &custom.schema);
        let mut intent = self.intent(request, &place);
        intent.applies = true;
        let live = existing.as_deref().map_or_else(|| json!({}), |stored| kind.shown(stored));
        let force = request.flag("force") == Some(true);
        let merged = apply(&live, &config, Shape::root(schema), &intent.writer, force)?;
        let shaped = decode::shape(kind, merged)?;
        let mut warnings = Vec::new();
        decode::judge(kind, &shaped.unknown, decode::field_validation(request)?, &mut warnings)?;
        let mut object = shaped.object;
        let (code, stored) = if let Some(existing) = existing {
            (200, self.update_object(&place, &existing, object, &intent)?)
        } else {
            // Of what is not there, any version will do.
            crate::json::take(&mut object, &["metadata", "resourceVersion"]);
            (201, self.create_object(&place, object, &intent)?)
        };
        Ok(Reply::Json(Answer { warnings, ..Answer::new(code, kind.shown(&stored)) }))
    }
}

/// An apply says of what kind it is.
fn check_said(kind: &Kind, config: &Value) -> Result<(), Failure> {
    let (version, said) = crate::kinds::said_kind(config);
    if version == kind.api_version() && said == kind.kind {
        return Ok(());
    }
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    Err(Failure::bad_request(format!("invalid object type: {group}/{version}, Kind={said}")))
}

/// What is applied has no fields that nobody knows: without its schema nobody could own them.
fn check_declared(kind: &Kind, config: &Value) -> Result<(), Failure> {
    let wrong = match decode::shape(kind, config.clone()) {
        Ok(shaped) => {
            let Some(field) = shaped.unknown.first() else { return Ok(()) };
            format!(".{field}: field not declared in schema")
        }
        Err(wrong) if !kind.is_custom() => wrong.message,
        Err(_) => return Ok(()),
    };
    let of = |key: &str| text(config, &["metadata", key]).unwrap_or_default();
    let why = format!(
        "failed to create typed patch object ({}/{}; {}, Kind={}): {wrong}",
        of("namespace"),
        of("name"),
        if kind.group.is_empty() { format!("/{}", kind.version) } else { kind.api_version() },
        kind.kind
    );
    Err(Failure::new(500, "", why))
}

/// Nobody comes to own, through one half of an object, what the other half holds.
fn own_half(place: &Place, mut config: Value) -> Value {
    match place.subresource {
        Some(_) => {
            crate::json::take(&mut config, &["spec"]);
        }
        None if place.kind.subresource("status").is_some() => {
            crate::json::take(&mut config, &["status"]);
        }
        None => {}
    }
    config
}

/// A UID or version in what is applied must be the stored one's.
fn check_identity(place: &Place, config: &Value, existing: Option<&Value>) -> Result<(), Failure> {
    let Some(existing) = existing else {
        return match text(config, &["metadata", "uid"]) {
            Some(uid) => {
                let why = format!(
                    "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                );
                Err(Failure::conflict(&place.kind, &place.name, &why))
            }
            None => Ok(()),
        };
    };
    match text(config, &["metadata", "resourceVersion"]) {
        Some(version) if Some(version) != text(existing, &["metadata", "resourceVersion"]) => {
            Err(Failure::stale(&place.kind, &place.name))
        }
        _ => Ok(()),
    }
}
