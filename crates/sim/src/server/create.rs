//! POST.

use super::write::Intent;
use super::{ApiServer, Place};
use crate::builtin;
use crate::clock::time_text;
use crate::decode;
use crate::failure::{Failure, FieldError, qualified};
use crate::fields;
use crate::json::{at, items, put, put_default, take, text};
use crate::kinds::Kind;
use crate::lists::Shape;
use crate::message::{Answer, Reply, Request};
use crate::route::Target;
use crate::store::key;
use serde_json::{Value, json};
use std::sync::Arc;

/// The longest prefix of a generated name.
const LONGEST_PREFIX: usize = 63 - 5;
/// Tries for a generated name that is not taken.
const NAME_TRIES: usize = 8;

impl ApiServer {
    pub(super) fn create(&mut self, request: &Request, target: &Target) -> Result<Reply, Failure> {
        let mut warnings = Vec::new();
        check_dry_run(request, "CreateOptions")?;
        let body = decode::body_of(request, &target.kind)?;
        warnings.extend(builtin::warnings(&target.kind, &body));
        let mut shaped = decode::shape(&target.kind, body)?;
        builtin::own_once(&mut shaped.object);
        decode::judge(&target.kind, &shaped.unknown, decode::field_validation(request)?, &mut warnings)?;
        let place = Place { name: String::new(), ..Place::from(target) };
        let intent = self.intent(request, &place);
        if target.kind.group == "events.k8s.io" {
            let errors = builtin::new_event(&shaped.object);
            if !errors.is_empty() {
                let name = text(&shaped.object, &["metadata", "name"]).unwrap_or_default();
                return Err(Failure::invalid("", "Event", name, &errors));
            }
        }
        let stored = self.create_object(&place, shaped.object, &intent)?;
        Ok(Reply::Json(Answer { warnings, ..Answer::new(201, target.kind.shown(&stored)) }))
    }

    /// Creates an object that has its shape already.
    pub(super) fn create_object(
        &mut self,
        place: &Place,
        mut object: Value,
        intent: &Intent,
    ) -> Result<Arc<Value>, Failure> {
        let kind = &place.kind;
        // A namespaced kind asked for over all namespaces.
        if kind.namespaced && place.namespace.is_empty() {
            return Err(Failure::bad_request("an empty namespace may not be set during creation"));
        }
        set_namespace(kind, &place.namespace, &mut object)?;
        if text(&object, &["metadata", "resourceVersion"]).is_some() {
            let why = "resourceVersion should not be set on objects to be created";
            return Err(Failure::new(500, "", why));
        }
        self.check_namespace(
            kind,
            &place.namespace,
            text(&object, &["metadata", "name"]).unwrap_or_default(),
        )?;
        let name = self.name_object(place, &mut object)?;
        self.fill_in(kind, &mut object)?;
        let mut errors: Vec<FieldError> = builtin::name_errors(kind, &object, &name);
        errors.extend(builtin::metadata_errors(&object));
        errors.extend(builtin::validate(kind, &object));
        errors.extend(self.special_addresses(kind, &object));
        if !errors.is_empty() {
            return Err(Failure::invalid_object(kind, &name, &errors));
        }
        self.check_account(kind, &object)?;
        let key = key(&place.namespace, &name);
        if let Some(existing) = self.store.get(&kind.storage, &key) {
            return Err(Failure::in_the_way(kind, &name, existing));
        }
        if self.store.count() >= self.limits.objects {
            return Err(Failure::new(
                507,
                "InsufficientStorage",
                "etcdserver: mvcc: database space exceeded",
            ));
        }
        if !intent.applies {
            let schema = kind.custom.as_ref().map(|custom| &custom.schema);
            fields::note_update(&unowned(kind, &object), &mut object, Shape::root(schema), &intent.writer);
        }
        if let Some(custom) = &kind.custom {
            // What the maker said of the status is gone by now; its default comes with the first read, and is nobody's.
            custom.fill(&mut object);
        }
        if intent.dry_run {
            return Ok(Arc::new(object));
        }
        let stored = self.store.commit(&kind.storage, &key, Some(object));
        if kind.is("customresourcedefinitions") {
            self.establish(place, &key, &stored);
        }
        Ok(stored)
    }

    /// Puts a CRD in force: a moment after it was made, as its own writer.
    fn establish(&mut self, place: &Place, key: &Arc<str>, crd: &Value) {
        let mut established = crd.clone();
        crate::crd::establish(&mut established, self.now_ms());
        let status = Place { subresource: place.kind.subresource("status"), ..place.clone() };
        let writer = self.writer("kube-apiserver", &status);
        fields::note_update(crd, &mut established, Shape::root(None), &writer);
        let stored = self.store.commit(&place.kind.storage, key, Some(established));
        self.follow_crd(&place.kind, &stored);
    }

    /// A pod runs as somebody who is there.
    fn check_account(&self, kind: &Kind, pod: &Value) -> Result<(), Failure> {
        let name = text(pod, &["spec", "serviceAccountName"]).unwrap_or("default");
        // The one every namespace has is made by a controller, which is not here.
        if !kind.is("pods") || name == "default" {
            return Ok(());
        }
        let namespace = text(pod, &["metadata", "namespace"]).unwrap_or_default();
        if self.store.get("serviceaccounts", &key(namespace, name)).is_some() {
            return Ok(());
        }
        let why =
            format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
        Err(Failure::forbidden(kind, text(pod, &["metadata", "name"]).unwrap_or_default(), &why))
    }

    /// What the server sets, whatever the maker says.
    fn fill_in(&mut self, kind: &Kind, object: &mut Value) -> Result<(), Failure> {
        for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields"] {
            if field != "managedFields" || at(object, &["metadata", field]).is_null() {
                take(object, &["metadata", field]);
            }
        }
        put(object, &["metadata", "uid"], self.random.uid());
        put(object, &["metadata", "creationTimestamp"], time_text(self.now_ms()));
        if kind.ways.generation {
            put(object, &["metadata", "generation"], 1);
        }
        builtin::prepare_create(kind, object);
        if kind.is("services") {
            self.give_address(object)?;
        } else if kind.is("customresourcedefinitions") {
            crate::crd::begin(object);
        }
        Ok(())
    }

    /// The object's name, generated where only a prefix is given.
    fn name_object(&mut self, place: &Place, object: &mut Value) -> Result<String, Failure> {
        if let Some(name) = text(object, &["metadata", "name"]) {
            return Ok(name.to_owned());
        }
        let Some(prefix) = text(object, &["metadata", "generateName"]).map(str::to_owned) else {
            return Ok(String::new());
        };
        let prefix: String = prefix.chars().take(LONGEST_PREFIX).collect();
        for _ in 0..NAME_TRIES {
            let name = format!("{prefix}{}", self.random.suffix());
            if self.store.get(&place.kind.storage, &key(&place.namespace, &name)).is_none() {
                put(object, &["metadata", "name"], name.as_str());
                return Ok(name);
            }
        }
        Err(Failure::already_exists(&place.kind, &prefix))
    }

    /// Nothing is made in a namespace that is not there or is going.
    pub(super) fn check_namespace(&self, kind: &Kind, namespace: &str, name: &str) -> Result<(), Failure> {
        if namespace.is_empty() {
            return Ok(());
        }
        let Some(found) = self.store.get("namespaces", namespace) else {
            let why = format!("namespaces {namespace:?} not found");
            let details = json!({"name": namespace, "kind": "namespaces"});
            return Err(Failure { details, ..Failure::new(404, "NotFound", why) });
        };
        if at(found, &["metadata", "deletionTimestamp"]).is_null() {
            return Ok(());
        }
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut failure = Failure::forbidden(kind, name, &why);
        let cause = json!({
            "reason": "NamespaceTerminating", "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        });
        put(&mut failure.details, &["causes"], vec![cause]);
        Err(failure)
    }

    /// The next free address of the Service network 10.96.0.0/16.
    fn give_address(&mut self, service: &mut Value) -> Result<(), Failure> {
        if text(service, &["spec", "type"]) == Some("ExternalName") {
            return Ok(());
        }
        if text(service, &["spec", "clusterIP"]) == Some("None") {
            headless(service);
            return Ok(());
        }
        let taken: Vec<String> = self
            .store
            .objects("services")
            .filter_map(|(_, one)| Some(text(one, &["spec", "clusterIP"])?.to_owned()))
            .collect();
        let stray = |ip: &str| outside(ip) && !(self.loopback && ip.starts_with("127."));
        let ip = match text(service, &["spec", "clusterIP"]) {
            Some(ip) if taken.iter().any(|one| one == ip) || stray(ip) => {
                let why = if stray(ip) {
                    format!(
                        "the provided IP ({ip}) is not in the valid range. The range of valid IPs is 10.96.0.0/16"
                    )
                } else {
                    "provided IP is already allocated".to_owned()
                };
                let why = format!("failed to allocate IP {ip}: {why}");
                let errors = [FieldError::invalid("spec.clusterIPs", &json!([ip]), &why)];
                let name = text(service, &["metadata", "name"]).unwrap_or_default();
                return Err(Failure::invalid("", "Service", name, &errors));
            }
            Some(ip) => ip.to_owned(),
            None => self.free_address(&taken)?,
        };
        let family = if ip.contains(':') { "IPv6" } else { "IPv4" };
        put(service, &["spec", "clusterIP"], ip.as_str());
        put_default(service, &["spec", "clusterIPs"], json!([ip]));
        put_default(service, &["spec", "ipFamilies"], json!([family]));
        let policy = if items(service, &["spec", "ipFamilies"]).len() > 1 {
            "RequireDualStack"
        } else {
            "SingleStack"
        };
        put_default(service, &["spec", "ipFamilyPolicy"], policy);
        Ok(())
    }

    fn free_address(&mut self, taken: &[String]) -> Result<String, Failure> {
        for _ in 0..u16::MAX {
            self.next_ip = self.next_ip.checked_add(1).unwrap_or(1);
            // 10.96.0.1 is the API server's, the last one is for broadcasts.
            if self.next_ip > 1 && self.next_ip < u16::MAX {
                let [high, low] = self.next_ip.to_be_bytes();
                let ip = format!("10.96.{high}.{low}");
                if !taken.contains(&ip) {
                    return Ok(ip);
                }
            }
        }
        Err(Failure::internal("failed to allocate a serviceIP: range is full"))
    }

    /// Creates an object or replaces what is there, without a request: for setting a scene. Not audited.
    ///
    /// The object must fit its kind as any other; the status is stored as given.
    pub fn apply_object(
        &mut self,
        group: &str,
        version: &str,
        plural: &str,
        object: &Value,
    ) -> Result<Arc<Value>, Failure> {
        let kind = self.kinds.find(group, version, plural).ok_or_else(|| {
            Failure::new(
                404,
                "NotFound",
                format!("no kind {} of version {version}", qualified(plural, group)),
            )
        })?;
        let shaped = decode::shape(&kind, object.clone())?;
        let refuse = decode::Unknown::Refuse;
        decode::judge(&kind, &shaped.unknown, refuse, &mut Vec::new())?;
        let namespace = text(object, &["metadata", "namespace"]).unwrap_or_default().to_owned();
        let name = text(object, &["metadata", "name"]).unwrap_or_default().to_owned();
        let place = Place { kind, namespace, name, subresource: None };
        let intent = self.own_intent(&place);
        let existing = self.store.get(&place.kind.storage, &place.key()).cloned();
        let stored = match existing {
            Some(existing) => {
                let mut new = shaped.object.clone();
                let version = at(&existing, &["metadata", "resourceVersion"]).clone();
                put(&mut new, &["metadata", "resourceVersion"], version);
                self.update_object(&place, &existing, new, &intent)?
            }
            None => self.create_object(&place, shaped.object.clone(), &intent)?,
        };
        let status = at(object, &["status"]);
        let Some(sub) = place.kind.subresource("status").filter(|_| status.is_object()) else {
            return Ok(stored);
        };
        let mut new = Value::clone(&stored);
        put(&mut new, &["status"], status.clone());
        let place = Place {
            subresource: Some(sub),
            name: text(&stored, &["metadata", "name"]).unwrap_or_default().to_owned(),
            ..place
        };
        self.update_object(&place, &stored, new, &intent)
    }
}

/// What of a new object nobody owns: what the server itself has put there.
fn unowned(kind: &Kind, object: &Value) -> Value {
    let mut base = json!({});
    crate::json::put_or_take(&mut base, &["status"], at(object, &["status"]));
    if kind.is("pods") {
        for field in ["preemptionPolicy", "priority", "serviceAccount", "serviceAccountName", "tolerations"] {
            crate::json::put_or_take(&mut base, &["spec", field], at(object, &["spec", field]));
        }
    }
    base
}

/// Of the Service network there is only IPv4.
fn outside(ip: &str) -> bool {
    ip.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| !ip.octets().starts_with(&[10, 96]))
}

/// A Service without address; nobody knows of which families its endpoints will be unless pods are selected.
fn headless(service: &mut Value) {
    put_default(service, &["spec", "clusterIPs"], json!(["None"]));
    let selects = at(service, &["spec", "selector"]).is_object();
    let families: &[&str] = if selects { &["IPv4"] } else { &["IPv4", "IPv6"] };
    put_default(service, &["spec", "ipFamilies"], json!(families));
    let policy = if selects { "SingleStack" } else { "RequireDualStack" };
    put_default(service, &["spec", "ipFamilyPolicy"], policy);
}

/// There is only one way to run dry.
pub(super) fn check_dry_run(request: &Request, options: &str) -> Result<(), Failure> {
    let asked: Vec<&str> =
        request.query.iter().filter(|(key, _)| key == "dryRun").map(|(_, value)| value.as_str()).collect();
    if asked.iter().all(|one| *one == "All" || one.is_empty()) {
        return Ok(());
    }
    let error = FieldError::not_supported("dryRun", &json!(asked), &["All".to_owned()]);
    Err(Failure::invalid("meta.k8s.io", options, "", &[error]))
}

/// The path's namespace holds; another in the object is refused.
pub(super) fn set_namespace(kind: &Kind, namespace: &str, object: &mut Value) -> Result<(), Failure> {
    let said = text(object, &["metadata", "namespace"]).unwrap_or_default();
    if !kind.namespaced {
        if !said.is_empty() {
            take(object, &["metadata", "namespace"]);
        }
        return Ok(());
    }
    if !said.is_empty() && said != namespace {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    put(object, &["metadata", "namespace"], namespace);
    Ok(())
}
