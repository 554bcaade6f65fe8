//! get, list and watch.

use super::{ApiServer, Place};
use crate::failure::{Failure, FieldError};
use crate::json::put;
use crate::kinds::{Kind, list_head};
use crate::message::{Reply, Request};
use crate::route::Target;
use crate::selector::Selector;
use crate::store::Objects;
use crate::table::{TableWish, table};
use crate::watch::Watch;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// How a version given with a list is meant.
enum At {
    Newest,
    Exactly(u64),
}

/// Where a list goes on: at which version (none: now), behind which key.
struct Continue {
    version: Option<u64>,
    after: String,
}

impl Continue {
    /// As the real server writes it: `start` is the first key that may come next, within the namespace asked for.
    fn token(&self, namespace: &str) -> String {
        let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        let start = format!("{}\0", self.after.strip_prefix(&prefix).unwrap_or(&self.after));
        let version = self.version.map_or(json!(-1), |version| json!(version));
        let token = json!({"v": "meta.k8s.io/v1", "rv": version, "start": start});
        URL_SAFE_NO_PAD.encode(token.to_string())
    }

    fn parse(token: &str, namespace: &str) -> Result<Self, Failure> {
        let head = "invalid continue token: continue key is not valid";
        let wrong = || Failure::bad_request(format!("{head}: illegal base64 data at input byte 0"));
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| wrong())?;
        let first = bytes.first().copied().map_or(' ', char::from);
        let odd = format!("{head}: invalid character '{first}' looking for beginning of value");
        let token: Value = serde_json::from_slice(&bytes).map_err(|_| Failure::bad_request(odd))?;
        let start = crate::json::text(&token, &["start"]).ok_or_else(wrong)?;
        let after = start.trim_end_matches('\0');
        let after = if namespace.is_empty() { after.to_owned() } else { format!("{namespace}/{after}") };
        Ok(Self { version: crate::json::at(&token, &["rv"]).as_u64(), after })
    }
}

/// A version of a query; `None` where it is missing.
fn version(request: &Request) -> Result<Option<u64>, Failure> {
    match request.param("resourceVersion") {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            let why = format!("Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax");
            Failure::bad_request(format!("invalid resource version: resourceVersion: {why}"))
        }),
    }
}

fn check_list_options(request: &Request, watch: bool) -> Result<(), Failure> {
    let found = request.param("resourceVersionMatch");
    let initial = request.flag("sendInitialEvents").is_some();
    let mut errors = Vec::new();
    let forbidden = FieldError::forbidden;
    if watch {
        if initial && found != "NotOlderThan" {
            errors.push(forbidden(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ));
            if !found.is_empty() {
                let known = ["NotOlderThan".to_owned()];
                errors.push(FieldError::not_supported("resourceVersionMatch", &json!(found), &known));
            }
        }
        if !found.is_empty() && !initial {
            errors.push(forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        }
    } else {
        if !found.is_empty() && request.param("resourceVersion").is_empty() {
            errors.push(forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ));
        }
        if !found.is_empty() && !request.param("continue").is_empty() {
            errors.push(forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden when continue is provided",
            ));
        }
        if found == "Exact" && request.param("resourceVersion") == "0" {
            errors.push(forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ));
        }
        if initial {
            errors.push(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
        }
    }
    if !found.is_empty() && found != "Exact" && found != "NotOlderThan" {
        let known = ["Exact", "NotOlderThan", ""].map(str::to_owned);
        errors.push(FieldError::not_supported("resourceVersionMatch", &json!(found), &known));
    }
    if errors.is_empty() { Ok(()) } else { Err(Failure::invalid("meta.k8s.io", "ListOptions", "", &errors)) }
}

/// Whether the first media type wanted is metadata alone.
fn partial(accept: &str) -> bool {
    accept.split(',').next().is_some_and(|media| media.contains("as=PartialObjectMetadata"))
}

fn partial_object(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": crate::json::at(object, &["metadata"]),
    })
}

impl ApiServer {
    pub(super) fn get(&mut self, request: &Request, target: &Target) -> Result<Reply, Failure> {
        let kind = &target.kind;
        if let Some(wanted) = version(request)?.filter(|wanted| *wanted > self.store.version()) {
            return Err(Failure::too_large_version(wanted, self.store.version()));
        }
        let stored = self.stored(&Place::from(target))?;
        Ok(Reply::ok(match TableWish::of(&request.accept, request.param("includeObject")) {
            Some(wish) => {
                let meta =
                    json!({"resourceVersion": crate::json::at(&stored, &["metadata", "resourceVersion"])});
                table(kind, &[&stored], &meta, wish, self.now_ms())
            }
            None if partial(&request.accept) => partial_object(&stored),
            None => kind.shown(&stored),
        }))
    }

    /// The stored object of a place, or 404.
    pub(super) fn stored(&self, place: &Place) -> Result<Arc<Value>, Failure> {
        let found = self.store.get(&place.kind.storage, &place.key()).cloned();
        found.ok_or_else(|| Failure::not_found(&place.kind, &place.name))
    }

    pub(super) fn list(&mut self, request: &Request, target: &Target) -> Result<Reply, Failure> {
        check_list_options(request, false)?;
        let kind = &target.kind;
        let selector = Selector::parse(kind, request.param("labelSelector"), request.param("fieldSelector"))?;
        let limit: usize = match request.param("limit") {
            "" => 0,
            text => text.parse().map_err(|_| Failure::no_number(text))?,
        };
        // Whatever is there will do: then it comes from memory, and in one piece.
        let limit = if request.param("resourceVersion") == "0" { 0 } else { limit };
        let go_on = match request.param("continue") {
            "" => None,
            token => Some(Continue::parse(token, &target.namespace)?),
        };
        let (at, shown_version) = self.list_at(request, go_on.as_ref(), limit)?;
        let objects =
            self.objects_of(kind, &at).ok_or_else(|| forgotten(go_on.as_ref(), &target.namespace))?;
        let inside = |key: &Arc<str>| {
            let here = key.split_once('/').map_or("", |(namespace, _)| namespace);
            target.namespace.is_empty() || here == target.namespace
        };
        let behind = |key: &Arc<str>| go_on.as_ref().is_none_or(|from| **key > *from.after);
        let all: Vec<(&Arc<str>, &Arc<Value>)> = objects
            .iter()
            .filter(|(key, object)| inside(key) && behind(key) && selector.matches(object))
            .collect();
        let page = if limit == 0 { all.len() } else { limit.min(all.len()) };
        let mut list = list_head(kind, shown_version);
        if kind.is_custom() {
            // Objects without a Go type always say so.
            put(&mut list, &["metadata", "continue"], "");
        }
        if let (true, Some((last, _))) = (page < all.len(), all.get(page.saturating_sub(1))) {
            let next = Continue { version: Some(shown_version), after: last.to_string() };
            put(&mut list, &["metadata", "continue"], next.token(&target.namespace));
            // With a selector nobody has counted the rest.
            if selector.is_empty() {
                put(&mut list, &["metadata", "remainingItemCount"], all.len() - page);
            }
        }
        let items: Vec<&Value> = all.into_iter().take(page).map(|(_, object)| object.as_ref()).collect();
        if let Some(wish) = TableWish::of(&request.accept, request.param("includeObject")) {
            let mut meta = crate::json::at(&list, &["metadata"]).clone();
            if meta.get("continue").is_some_and(|token| token == "") {
                crate::json::take(&mut meta, &["continue"]);
            }
            return Ok(Reply::ok(table(kind, &items, &meta, wish, self.now_ms())));
        }
        if partial(&request.accept) {
            if !request.accept.contains("PartialObjectMetadataList") {
                let group = kind.group.split('.').next().filter(|group| !group.is_empty()).unwrap_or("core");
                let message = format!(
                    "you requested PartialObjectMetadata, but the requested object is a list (*{group}.{})",
                    kind.list_kind
                );
                return Err(Failure::new(406, "NotAcceptable", message));
            }
            put(&mut list, &["kind"], "PartialObjectMetadataList");
            put(&mut list, &["apiVersion"], "meta.k8s.io/v1");
            put(&mut list, &["items"], items.into_iter().map(partial_object).collect::<Vec<_>>());
            return Ok(Reply::ok(list));
        }
        put(&mut list, &["items"], items.into_iter().map(|item| list_item(kind, item)).collect::<Vec<_>>());
        Ok(Reply::ok(list))
    }

    /// From when a list is, and the version it shows.
    fn list_at(
        &self,
        request: &Request,
        go_on: Option<&Continue>,
        limit: usize,
    ) -> Result<(At, u64), Failure> {
        let newest = self.store.version();
        if let Some(go_on) = go_on {
            if !matches!(request.param("resourceVersion"), "" | "0") {
                let why = "specifying resource version is not allowed when using continue";
                return Err(Failure::bad_request(why));
            }
            return Ok(match go_on.version {
                Some(version) => (At::Exactly(version), version),
                None => (At::Newest, newest),
            });
        }
        let Some(wanted) = version(request)?.filter(|wanted| *wanted > 0) else {
            return Ok((At::Newest, newest));
        };
        if wanted > newest {
            return Err(Failure::too_large_version(wanted, newest));
        }
        let exact = match request.param("resourceVersionMatch") {
            "Exact" => true,
            // Before there was a match, a limit with a version meant exactly that version.
            "" => limit > 0,
            _ => false,
        };
        Ok(if exact { (At::Exactly(wanted), wanted) } else { (At::Newest, newest) })
    }

    /// `None` where that version is forgotten.
    fn objects_of(&self, kind: &Kind, at: &At) -> Option<Objects> {
        match at {
            At::Newest => Some(
                self.store
                    .objects(&kind.storage)
                    .map(|(key, object)| (key.clone(), object.clone()))
                    .collect(),
            ),
            At::Exactly(version) => self.store.objects_at(&kind.storage, *version),
        }
    }

    pub(super) fn watch(&mut self, request: &Request, target: &Target) -> Result<Reply, Failure> {
        check_list_options(request, true)?;
        let kind = &target.kind;
        let mut fields = request.param("fieldSelector").to_owned();
        if !target.name.is_empty() {
            fields = format!("metadata.name={}", target.name);
        }
        let selector = Selector::parse(kind, request.param("labelSelector"), &fields)?;
        let newest = self.store.version();
        let wanted = version(request).map_err(|wrong| {
            // Where a watch begins is read in another place.
            let text = wrong.message.trim_start_matches("invalid resource version: ").to_owned();
            Failure::new(500, "", text)
        })?;
        let (from, first) = match (request.flag("sendInitialEvents"), wanted.unwrap_or(0)) {
            (Some(true), wanted) if wanted > newest => {
                return Err(Failure::too_large_version(wanted, newest));
            }
            (Some(true), _) | (None, 0) => (newest, true),
            (Some(false), 0) => (newest, false),
            (_, version) => (version, false),
        };
        // Old enough to be forgotten: the real server says so in the stream, with a 200 before it.
        let mut initial = VecDeque::new();
        if first {
            let inside = |key: &str| {
                target.namespace.is_empty()
                    || key.split_once('/').is_some_and(|(namespace, _)| namespace == target.namespace)
            };
            let objects = self.store.objects(&kind.storage);
            initial.extend(
                objects
                    .filter(|(key, object)| inside(key) && selector.matches(object))
                    .map(|(_, object)| object.clone()),
            );
        }
        let bookmarks = request.flag("allowWatchBookmarks") == Some(true);
        let seconds = request.param("timeoutSeconds").parse::<u64>().ok().filter(|seconds| *seconds > 0);
        Ok(Reply::Watch(Box::new(Watch {
            kind: kind.clone(),
            namespace: target.namespace.clone(),
            selector,
            cursor: from,
            first: initial,
            first_ends: request.flag("sendInitialEvents") == Some(true) && bookmarks,
            bookmarks,
            timeout: seconds.map(Duration::from_secs),
            table: TableWish::of(&request.accept, request.param("includeObject")),
            columns_told: false,
            told: from,
            ended: false,
        })))
    }
}

/// A list of a version that is forgotten; with the token of a list that goes on all the same, at another version.
fn forgotten(go_on: Option<&Continue>, namespace: &str) -> Failure {
    let Some(go_on) = go_on else {
        return Failure::expired("The resourceVersion for the provided list is too old.");
    };
    let next = Continue { version: None, after: go_on.after.clone() }.token(namespace);
    let why = "The provided continue parameter is too old to display a consistent list result. You can start a new \
               list without the continue parameter, or use the continue token in this response to retrieve the \
               remainder of the results. Continuing with the provided token results in an inconsistent list - objects \
               that were created, modified, or deleted between the time the first chunk was returned and now may show \
               up in the list.";
    Failure { next: Some(next), ..Failure::expired(why) }
}

/// An item of a list: the built-in kinds leave out what the list says already.
pub(super) fn list_item(kind: &Kind, stored: &Value) -> Value {
    let mut item = kind.shown(stored);
    if !kind.is_custom() {
        crate::json::take(&mut item, &["apiVersion"]);
        crate::json::take(&mut item, &["kind"]);
    }
    item
}
