//! The API server as a state machine: a request in, a reply out, no waiting and no I/O.

mod apply;
mod create;
mod delete;
mod garbage;
mod patching;
mod read;
mod update;
mod write;

use crate::audit::{Audit, AuditEntry, RequestInfo};
use crate::clock::Clock;
use crate::discovery;
use crate::failure::{Failure, FieldError};
use crate::json::text;
use crate::kinds::{Kind, Kinds, Subresource};
use crate::message::{Reply, Request};
use crate::random::Random;
use crate::route::{Route, Target, route};
use crate::store::{Store, key};
use crate::watch::Watch;
use http::Method;
use serde_json::{Value, json};
use std::sync::Arc;

/// What the server bears.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Objects in all.
    pub objects: usize,
    /// Changes that are remembered for watches and older reads; older ones are compacted away.
    pub changes: usize,
    /// Changes a watch may be behind before it gets 410.
    pub watch_backlog: usize,
    /// Watches at once.
    pub watches: usize,
    /// Lines of the audit log.
    pub audit: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 3 * 1024 * 1024,
            objects: 500_000,
            changes: 100_000,
            watch_backlog: 20_000,
            watches: 10_000,
            audit: 100_000,
        }
    }
}

/// A question of rights, as a `SelfSubjectAccessReview` asks it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessQuestion {
    /// Who.
    pub user: String,
    /// The verb.
    pub verb: String,
    /// The API group.
    pub group: String,
    /// The plural.
    pub resource: String,
    /// The subresource; empty for none.
    pub subresource: String,
    /// The namespace; empty for all.
    pub namespace: String,
    /// The object; empty for all.
    pub name: String,
}

/// Answers questions of rights.
pub type AccessRule = Box<dyn Fn(&AccessQuestion) -> bool + Send>;

/// The modelled API server.
///
/// Deterministic: the same clock readings, seed and requests give the same replies.
pub struct ApiServer {
    pub(crate) store: Store,
    pub(crate) kinds: Kinds,
    clock: Arc<dyn Clock>,
    random: Random,
    access: AccessRule,
    enforce_access: bool,
    audit: Audit,
    limits: Limits,
    next_ip: u16,
    loopback: bool,
}

/// Where a write goes.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) kind: Arc<Kind>,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) subresource: Option<Subresource>,
}

impl Place {
    pub(crate) fn key(&self) -> Arc<str> {
        key(&self.namespace, &self.name)
    }
}

impl From<&Target> for Place {
    fn from(target: &Target) -> Self {
        let Target { kind, namespace, name, subresource, watch: _ } = target;
        Self {
            kind: kind.clone(),
            namespace: namespace.clone(),
            name: name.clone(),
            subresource: *subresource,
        }
    }
}

impl ApiServer {
    /// A server with the namespaces every cluster has. `seed` makes UIDs and generated names.
    pub fn new(clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self::with_limits(clock, seed, Limits::default())
    }

    /// The same with limits of one's own.
    pub fn with_limits(clock: Arc<dyn Clock>, seed: u64, limits: Limits) -> Self {
        let mut server = Self {
            store: Store::new(limits.changes),
            kinds: Kinds::built_in(),
            clock,
            random: Random::new(seed),
            access: Box::new(|_| true),
            enforce_access: false,
            audit: Audit::new(limits.audit),
            limits,
            next_ip: 0,
            loopback: false,
        };
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            let object = json!({"metadata": {"name": name}});
            // A fresh server has room for four namespaces: a refusal is a mistake in the model.
            let made = server.apply_object("", "v1", "namespaces", &object);
            debug_assert!(made.is_ok(), "{made:?}");
        }
        server
    }

    /// Answers a request.
    pub fn handle(&mut self, request: &Request) -> Reply {
        let reply = self.answer(request).unwrap_or_else(Reply::from);
        let entry =
            AuditEntry { request: self.describe(request), code: reply.code(), version: self.store.version() };
        self.audit.push(entry);
        reply
    }

    /// What a request is about.
    pub fn describe(&self, request: &Request) -> RequestInfo {
        let mut info = RequestInfo {
            user: request.user.clone(),
            user_agent: request.user_agent.clone(),
            path: request.path.clone(),
            ..RequestInfo::default()
        };
        let Route::Objects(target) = route(&self.kinds, &request.path) else {
            info.verb = match request.method {
                Method::GET => "get",
                Method::HEAD => "head",
                Method::OPTIONS => "options",
                Method::PUT => "put",
                Method::PATCH => "patch",
                Method::DELETE => "delete",
                _ => "post",
            };
            return info;
        };
        let one = !target.name.is_empty();
        info.verb = match request.method {
            Method::GET if is_watch(request, &target) => "watch",
            Method::GET | Method::HEAD if one => "get",
            Method::GET | Method::HEAD => "list",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if one => "delete",
            Method::DELETE => "deletecollection",
            _ => "create",
        };
        info.group = target.kind.group.to_string();
        info.resource = target.kind.plural.to_string();
        info.subresource = target.subresource.map(Subresource::as_str).unwrap_or_default().into();
        info.namespace = target.namespace;
        info.name = target.name;
        info
    }

    fn answer(&mut self, request: &Request) -> Result<Reply, Failure> {
        if request.body.len() > self.limits.body_bytes {
            return Err(Failure::body_too_large(self.limits.body_bytes));
        }
        let accept = &request.accept;
        if !accept.is_empty()
            && !["json", "*/*", "application/*", "text/"].iter().any(|one| accept.contains(one))
        {
            return Err(Failure::not_acceptable());
        }
        match route(&self.kinds, &request.path) {
            Route::Other(parts) => Ok(discovery::answer(self, &parts, request)),
            Route::Unknown => Err(Failure::no_resource()),
            Route::Nowhere => Ok(Reply::Text { code: 404, body: "404 page not found\n".to_owned() }),
            Route::Objects(target) => {
                self.check_access(request)?;
                let mut reply = self.dispatch(request, &target).unwrap_or_else(Reply::from);
                if let (Reply::Json(answer), Some(warning)) =
                    (&mut reply, crate::builtin::deprecation(&target.kind))
                {
                    answer.warnings.insert(0, warning.to_owned());
                }
                Ok(reply)
            }
        }
    }

    fn check_access(&self, request: &Request) -> Result<(), Failure> {
        if !self.enforce_access {
            return Ok(());
        }
        let RequestInfo { verb, group, resource, subresource, namespace, name, user, .. } =
            self.describe(request);
        if resource == "selfsubjectaccessreviews" {
            return Ok(());
        }
        let verb = verb.to_owned();
        let question = AccessQuestion { user, verb, group, resource, subresource, namespace, name };
        if (self.access)(&question) {
            return Ok(());
        }
        let AccessQuestion { user, verb, group, resource, subresource, namespace, name } = question;
        let slash = if subresource.is_empty() { "" } else { "/" };
        let place = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {namespace:?}")
        };
        let why = format!(
            "User {user:?} cannot {verb} resource \"{resource}{slash}{subresource}\" in API group {group:?} {place}"
        );
        let Route::Objects(target) = route(&self.kinds, &request.path) else { return Ok(()) };
        Err(Failure::forbidden(&target.kind, &name, &why))
    }

    fn dispatch(&mut self, request: &Request, target: &Target) -> Result<Reply, Failure> {
        let one = !target.name.is_empty();
        let reads = matches!(request.method, Method::GET | Method::HEAD);
        let over_all = target.kind.namespaced && target.namespace.is_empty();
        if over_all && !reads {
            return Err(Failure::method_not_allowed());
        }
        match (&request.method, target.subresource) {
            (&Method::POST, None) if !one && target.kind.create_only => self.review(request, target),
            _ if target.kind.create_only => Err(Failure::method_not_allowed()),
            (&Method::GET | &Method::HEAD, None) if is_watch(request, target) => self.watch(request, target),
            (&Method::GET | &Method::HEAD, None) if !one => self.list(request, target),
            (&Method::GET | &Method::HEAD, None | Some(Subresource::Status)) => self.get(request, target),
            (&Method::GET, Some(Subresource::Scale)) => self.get_scale(target),
            (&Method::POST, None) if !one => self.create(request, target),
            (&Method::POST, Some(Subresource::Eviction)) => self.evict(request, target),
            (&Method::POST, Some(Subresource::Binding)) => self.bind(request, target),
            (&Method::PUT | &Method::PATCH, Some(Subresource::Scale)) => self.put_scale(request, target),
            (&Method::PUT, None | Some(Subresource::Status)) if one => self.replace(request, target),
            (&Method::PUT, Some(Subresource::Finalize)) => self.finalize(request, target),
            (&Method::PATCH, None | Some(Subresource::Status)) if one => self.patch(request, target),
            (&Method::DELETE, None) if one => self.delete(request, target),
            (&Method::DELETE, None) => self.delete_collection(request, target),
            (method, Some(_)) if target.kind.is_custom() => {
                Err(Failure::not_supported(&target.kind, &method.as_str().to_lowercase()))
            }
            _ => Err(Failure::method_not_allowed()),
        }
    }

    fn review(&mut self, request: &Request, target: &Target) -> Result<Reply, Failure> {
        let shaped = crate::decode::shape(&target.kind, crate::decode::body(request)?)?;
        let mut review = shaped.object;
        let spec = crate::json::at(&review, &["spec"]);
        let given = ["resourceAttributes", "nonResourceAttributes"]
            .iter()
            .filter(|field| !crate::json::at(spec, &[field]).is_null())
            .count();
        if given != 1 {
            let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            let error = FieldError::invalid("spec.resourceAttributes", &Value::Null, why);
            return Err(Failure::invalid("authorization.k8s.io", "", "", &[error]));
        }
        let of = |field: &str| {
            text(&review, &["spec", "resourceAttributes", field]).unwrap_or_default().to_owned()
        };
        let question = AccessQuestion {
            user: request.user.clone(),
            verb: of("verb"),
            group: of("group"),
            resource: of("resource"),
            subresource: of("subresource"),
            namespace: of("namespace"),
            name: of("name"),
        };
        let allowed = (self.access)(&question);
        let writer = self.intent(request, &Place::from(target)).writer;
        crate::fields::note_update(&Value::Null, &mut review, crate::lists::Shape::root(None), &writer);
        crate::json::put(&mut review, &["status"], json!({"allowed": allowed}));
        Ok(Reply::Json(crate::message::Answer::new(201, review)))
    }

    /// The next events of a watch, at most about a thousand.
    pub fn poll(&self, watch: &mut Watch) -> Vec<Value> {
        watch.poll(&self.store, self.now_ms(), 1000, self.limits.watch_backlog)
    }

    /// A bookmark of a watch, at what it has seen; none where that is nothing new.
    pub fn bookmark(&self, watch: &mut Watch) -> Option<Value> {
        watch.mark()
    }

    /// Forgets the changes before a version, as the real server does after five minutes: older watches and
    /// lists get 410.
    pub fn compact(&mut self, before: u64) {
        self.store.compact(before);
    }

    /// The newest version.
    pub fn version(&self) -> u64 {
        self.store.version()
    }

    /// The limits.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Answers questions of rights from now on; with `enforce`, requests are held to it as well.
    pub fn set_access(&mut self, rule: impl Fn(&AccessQuestion) -> bool + Send + 'static, enforce: bool) {
        self.access = Box::new(rule);
        self.enforce_access = enforce;
    }

    /// Takes loopback addresses of Services and in EndpointSlices and Endpoints from now on, which the real server refuses:
    /// for a demo whose pods are servers on this machine.
    pub fn allow_loopback(&mut self) {
        self.loopback = true;
    }

    fn special_addresses(&self, kind: &Kind, object: &Value) -> Vec<FieldError> {
        if self.loopback { Vec::new() } else { crate::builtin::special_addresses(kind, object) }
    }

    /// The audit log, the oldest first.
    pub fn audit(&self) -> impl Iterator<Item = &AuditEntry> {
        self.audit.entries()
    }

    /// Empties the audit log.
    pub fn clear_audit(&mut self) {
        self.audit.clear();
    }

    /// An object as it is stored; `None` where it or its kind does not exist. Not audited.
    pub fn object(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let kind = self.kinds.of_plural(group, plural)?;
        self.store.get(&kind.storage, &key(namespace, name)).cloned()
    }

    /// All objects of a kind as they are stored, in a list's order. Not audited.
    pub fn objects(&self, group: &str, plural: &str) -> Vec<Arc<Value>> {
        let Some(kind) = self.kinds.of_plural(group, plural) else { return Vec::new() };
        self.store.objects(&kind.storage).map(|(_, object)| object.clone()).collect()
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.unix_ms()
    }
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiServer").field("version", &self.store.version()).finish_non_exhaustive()
    }
}

fn is_watch(request: &Request, target: &Target) -> bool {
    target.watch || request.flag("watch") == Some(true)
}
