//! The kinds, one row each: a kind is data, not code.

use crate::crd::Custom;
use crate::table::Column;
use crate::typed::Typed;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The switches in which kinds differ.
#[expect(clippy::struct_excessive_bools, reason = "switches, and independent of one another")]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ways {
    /// A PUT of what is not there creates it.
    pub(crate) create_on_update: bool,
    /// A PUT without resourceVersion overwrites whatever is stored.
    pub(crate) unconditional_update: bool,
    /// DELETE answers with the object instead of a `Status`.
    pub(crate) returns_deleted: bool,
    /// `metadata.generation` counts changes of the spec.
    pub(crate) generation: bool,
    /// Deleting takes a grace period (pods).
    pub(crate) graceful: bool,
}

/// A kind.
#[expect(clippy::struct_field_names, reason = "the API's own words")]
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) group: Cow<'static, str>,
    pub(crate) version: Cow<'static, str>,
    pub(crate) plural: Cow<'static, str>,
    pub(crate) singular: Cow<'static, str>,
    pub(crate) kind: Cow<'static, str>,
    pub(crate) list_kind: Cow<'static, str>,
    pub(crate) short_names: Vec<Cow<'static, str>>,
    pub(crate) categories: Vec<Cow<'static, str>>,
    pub(crate) namespaced: bool,
    /// Its subresources.
    pub(crate) subresources: Vec<Subresource>,
    pub(crate) ways: Ways,
    /// Reads an object as its Go type would: unknown fields go, wrong types are refused.
    pub(crate) typed: Option<Typed>,
    /// What a CRD says of it.
    pub(crate) custom: Option<Custom>,
    pub(crate) columns: Vec<Column>,
    /// Under what its objects are stored; two versions of one kind share it.
    pub(crate) storage: Arc<str>,
    /// Only POST, and nothing is stored.
    pub(crate) create_only: bool,
}

/// A path below an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subresource {
    Status,
    Scale,
    Eviction,
    Binding,
    /// A namespace's `finalize`.
    Finalize,
}

impl Subresource {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Scale => "scale",
            Self::Eviction => "eviction",
            Self::Binding => "binding",
            Self::Finalize => "finalize",
        }
    }
}

impl Kind {
    /// `leases.coordination.k8s.io`.
    pub(crate) fn qualified(&self) -> String {
        crate::failure::qualified(&self.plural, &self.group)
    }

    /// `coordination.k8s.io/v1`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The subresource of this name.
    pub(crate) fn subresource(&self, name: &str) -> Option<Subresource> {
        self.subresources.iter().copied().find(|sub| sub.as_str() == name)
    }

    pub(crate) fn is_custom(&self) -> bool {
        self.custom.is_some()
    }

    /// Whether this row is a built-in kind of this plural.
    pub(crate) fn is(&self, plural: &str) -> bool {
        self.custom.is_none() && self.plural == plural
    }

    /// The verbs of the kind itself, as discovery tells them.
    pub(crate) fn verbs(&self) -> &'static [&'static str] {
        if self.create_only {
            return &["create"];
        }
        match (self.is_custom(), self.plural.as_ref()) {
            (true, _) => &["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"],
            // Namespaces go one by one.
            (false, "namespaces") => &["create", "delete", "get", "list", "patch", "update", "watch"],
            _ => &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        }
    }

    /// A stored object as this version of the kind shows it.
    pub(crate) fn shown(&self, stored: &Value) -> Value {
        let mut object = if self.is_new_event() { crate::event::to_new(stored) } else { stored.clone() };
        if self.is("events") {
            crate::event::write_out(&mut object, self.is_new_event());
        } else if self.is("pods") {
            crate::builtin::write_out(&mut object);
        }
        crate::json::put(&mut object, &["apiVersion"], self.api_version());
        crate::json::put(&mut object, &["kind"], self.kind.as_ref());
        object
    }

    /// An object of this version as it is stored.
    pub(crate) fn stored(&self, object: Value) -> Value {
        if self.is_new_event() { crate::event::to_old(&object) } else { object }
    }

    fn is_new_event(&self) -> bool {
        self.group == "events.k8s.io"
    }
}

/// All kinds the server knows.
#[derive(Debug, Default)]
pub(crate) struct Kinds(BTreeMap<(String, String), Vec<Arc<Kind>>>);

impl Kinds {
    pub(crate) fn built_in() -> Self {
        let mut kinds = Self::default();
        for kind in crate::rows::kinds() {
            kinds.add(kind);
        }
        kinds
    }

    /// Adds a kind in the place of one of the same name.
    pub(crate) fn add(&mut self, kind: Kind) {
        let rows = self.0.entry((kind.group.to_string(), kind.version.to_string())).or_default();
        rows.retain(|row| row.plural != kind.plural);
        rows.push(Arc::new(kind));
    }

    /// Removes the kinds a CRD made.
    pub(crate) fn remove(&mut self, group: &str, plural: &str) {
        for ((in_group, _), rows) in &mut self.0 {
            if in_group == group {
                rows.retain(|row| row.plural != plural || !row.is_custom());
            }
        }
        self.0.retain(|_, rows| !rows.is_empty());
    }

    /// Whether a group and version have built-in kinds.
    pub(crate) fn has_built_in(&self, group: &str, version: &str) -> bool {
        let rows = self.0.get(&(group.to_owned(), version.to_owned()));
        rows.is_some_and(|rows| rows.iter().any(|row| !row.is_custom()))
    }

    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Kind>> {
        let rows = self.0.get(&(group.to_owned(), version.to_owned()))?;
        rows.iter().find(|row| row.plural == plural).cloned()
    }

    /// The built-in or custom kind of this plural, in any version.
    pub(crate) fn of_plural(&self, group: &str, plural: &str) -> Option<Arc<Kind>> {
        self.all().find(|kind| kind.group == group && kind.plural == plural).cloned()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.0.values().flatten()
    }

    /// The versions of a group, or of all, with their kinds.
    pub(crate) fn versions(&self) -> impl Iterator<Item = (&str, &str, &[Arc<Kind>])> {
        self.0.iter().map(|((group, version), rows)| (group.as_str(), version.as_str(), rows.as_slice()))
    }
}

/// `apiVersion` and `kind` of an object, for error texts.
pub(crate) fn said_kind(object: &Value) -> (String, String) {
    let of = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    (of("apiVersion"), of("kind"))
}

/// A list of a kind, without its items.
pub(crate) fn list_head(kind: &Kind, version: u64) -> Value {
    json!({
        "apiVersion": kind.api_version(), "kind": kind.list_kind,
        "metadata": {"resourceVersion": version.to_string()}, "items": [],
    })
}
