//! What was asked, for tests and for fault decisions.

use std::collections::VecDeque;

/// A request as rights and faults see it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RequestInfo {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; for anything that is no
    /// object, the HTTP method in lower case.
    pub verb: &'static str,
    /// The API group; empty for the core.
    pub group: String,
    /// The plural, for example `leases`; empty for anything that is no object.
    pub resource: String,
    /// `status` and the like; empty for none.
    pub subresource: String,
    /// The namespace; empty for all or none.
    pub namespace: String,
    /// The object's name, as far as the path says it.
    pub name: String,
    /// Who asked.
    pub user: String,
    /// With what.
    pub user_agent: String,
    /// The path, without the query.
    pub path: String,
}

impl RequestInfo {
    /// Whether it may change something.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch" | "head" | "options")
    }
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// The request.
    pub request: RequestInfo,
    /// The answer's HTTP status code.
    pub code: u16,
    /// The newest version after it.
    pub version: u64,
}

/// The log; the oldest lines go where it is full.
#[derive(Debug)]
pub(crate) struct Audit {
    entries: VecDeque<AuditEntry>,
    most: usize,
}

impl Audit {
    pub(crate) fn new(most: usize) -> Self {
        Self { entries: VecDeque::new(), most }
    }

    pub(crate) fn push(&mut self, entry: AuditEntry) {
        if self.entries.len() >= self.most {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &AuditEntry> {
        self.entries.iter()
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}
