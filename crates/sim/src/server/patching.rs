//! PATCH: merge, strategic merge and JSON patches; an apply goes its own way.

use super::update::check_name;
use super::{ApiServer, Place};
use crate::decode::{self, Unknown};
use crate::failure::{Failure, FieldError};
use crate::json::{at, put};
use crate::message::{Answer, Reply, Request};
use crate::patch;
use crate::route::Target;
use serde_json::{Value, json};

const JSON_PATCH: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

impl ApiServer {
    pub(super) fn patch(&mut self, request: &Request, target: &Target) -> Result<Reply, Failure> {
        let kind = &target.kind;
        let media = request.content_type.split(';').next().unwrap_or_default().trim();
        let known: &[&str] = if kind.is_custom() {
            &[JSON_PATCH, MERGE, APPLY]
        } else {
            &[JSON_PATCH, MERGE, STRATEGIC, APPLY]
        };
        if ![JSON_PATCH, MERGE, STRATEGIC, APPLY].contains(&media) {
            return Err(Failure::unknown_patch());
        }
        if !known.contains(&media) {
            return Err(Failure::unsupported_media(known));
        }
        if media == APPLY {
            return self.apply(request, target);
        }
        super::create::check_dry_run(request, "PatchOptions")?;
        if !request.param("force").is_empty() {
            let error = FieldError::forbidden("force", "may not be specified for non-apply patch");
            return Err(Failure::invalid("meta.k8s.io", "PatchOptions", "", &[error]));
        }
        let place = Place::from(target);
        let existing = self.stored(&place)?;
        let body = patch_of(request, media)?;
        let mut patched = kind.shown(&existing);
        match media {
            JSON_PATCH => patch::json(&mut patched, &body)?,
            MERGE => patch::merge(&mut patched, &body),
            _ => patch::strategic(&mut patched, &body, "")?,
        }
        // Removing the version asks for nothing but the newest.
        if at(&patched, &["metadata", "resourceVersion"]).is_null() {
            put(
                &mut patched,
                &["metadata", "resourceVersion"],
                at(&existing, &["metadata", "resourceVersion"]).clone(),
            );
        }
        check_name(&place, &patched)?;
        // What a strategic patch is refused for, it is refused by itself.
        let shown = if media == STRATEGIC { patch::go_text(&body) } else { patched.to_string() };
        let (said_version, said) = crate::kinds::said_kind(&patched);
        let shaped = match decode::shape(kind, patched) {
            Ok(shaped) => shaped,
            Err(wrong) if kind.is_custom() => return Err(wrong),
            Err(wrong) => return Err(refused(kind, &shown, &said_version, &said, &wrong.message)),
        };
        let mut warnings = Vec::new();
        judge_patch(&shaped.unknown, &shown, decode::field_validation(request)?, &mut warnings)?;
        let intent = self.intent(request, &place);
        let stored = self.update_object(&place, &existing, shaped.object, &intent)?;
        Ok(Reply::Json(Answer { warnings, ..Answer::new(200, kind.shown(&stored)) }))
    }
}

/// A patch as it was sent: a list of operations, or a map.
fn patch_of(request: &Request, media: &str) -> Result<Value, Failure> {
    let wrong = |why: String| Failure::bad_request(format!("error decoding patch: {why}"));
    let body: Value = serde_json::from_slice(&request.body)
        .map_err(|_| wrong("unexpected end of JSON input".to_owned()))?;
    let wanted = if media == JSON_PATCH { "[]handlers.jsonPatchOp" } else { "map[string]interface {}" };
    let fits = if media == JSON_PATCH { body.is_array() } else { body.is_object() };
    if !fits {
        let is = decode::go_type(&body);
        return Err(wrong(format!("json: cannot unmarshal {is} into Go value of type {wanted}")));
    }
    Ok(body)
}

/// What a patch made is no object of the kind.
fn refused(kind: &crate::kinds::Kind, shown: &str, said_version: &str, said: &str, why: &str) -> Failure {
    let why = if said == kind.kind {
        why.to_owned()
    } else {
        let group = kind.group.split('.').next().filter(|group| !group.is_empty()).unwrap_or("core");
        format!("converting ({said_version}.{said}) to ({group}.{}): unknown conversion", kind.kind)
    };
    Failure::invalid("", "", "", &[FieldError::invalid("patch", &json!(shown), &why)])
}

/// A patch with unknown fields is refused in other words than an object.
fn judge_patch(
    unknown: &[String],
    patched: &str,
    judgement: Unknown,
    warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    let texts: Vec<String> = unknown.iter().map(|field| format!("unknown field {field:?}")).collect();
    match judgement {
        Unknown::Refuse if !texts.is_empty() => {
            let why = format!("strict decoding error: {}", texts.join(", "));
            Err(Failure::invalid("", "", "", &[FieldError::invalid("patch", &json!(patched), &why)]))
        }
        Unknown::Warn => {
            warnings.extend(texts);
            Ok(())
        }
        _ => Ok(()),
    }
}
