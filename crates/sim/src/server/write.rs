//! What all writes share: who writes, and how.

use super::{ApiServer, Place};
use crate::fields::Writer;
use crate::json::text;
use crate::kinds::Kind;
use crate::kinds::Subresource;
use crate::message::Request;
use serde_json::Value;

/// How a write is meant.
#[derive(Clone, Debug)]
pub(crate) struct Intent {
    pub(crate) writer: Writer,
    /// Everything is checked, nothing stored.
    pub(crate) dry_run: bool,
    /// A server-side apply: it has settled the ownership of fields itself.
    pub(crate) applies: bool,
}

impl ApiServer {
    pub(super) fn intent(&self, request: &Request, place: &Place) -> Intent {
        let agent = request.user_agent.split('/').next().unwrap_or_default();
        let name = match (request.param("fieldManager"), agent) {
            ("", "") => "unknown",
            ("", agent) => agent,
            (manager, _) => manager,
        };
        Intent {
            writer: self.writer(name, place),
            dry_run: !request.param("dryRun").is_empty(),
            applies: false,
        }
    }

    /// Of a write that nobody asked for by a request.
    pub(super) fn own_intent(&self, place: &Place) -> Intent {
        Intent { writer: self.writer("hotstandby-sim", place), dry_run: false, applies: false }
    }

    pub(super) fn writer(&self, name: &str, place: &Place) -> Writer {
        Writer {
            name: name.to_owned(),
            subresource: place.subresource.map(Subresource::as_str).unwrap_or_default().to_owned(),
            api_version: place.kind.api_version(),
            now_ms: self.now_ms(),
        }
    }

    /// A CRD that was written makes its kinds known.
    pub(super) fn follow_crd(&mut self, kind: &Kind, crd: &Value) {
        if !kind.is("customresourcedefinitions") {
            return;
        }
        let group = text(crd, &["spec", "group"]).unwrap_or_default();
        let plural = text(crd, &["spec", "names", "plural"]).unwrap_or_default();
        self.kinds.remove(group, plural);
        // It was validated before it was stored.
        for made in crate::crd::kinds(crd).unwrap_or_default() {
            self.kinds.add(made);
        }
    }
}
