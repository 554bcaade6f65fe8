//! Watches: each reads the log of changes from where it is, and sees what its selector lets through.

use crate::failure::Failure;
use crate::json::{at, put};
use crate::kinds::Kind;
use crate::selector::Selector;
use crate::store::{Change, Store};
use crate::table::TableWish;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// A watch under way.
#[expect(clippy::struct_excessive_bools, reason = "wishes and steps that do not hang together")]
#[derive(Debug)]
pub struct Watch {
    pub(crate) kind: Arc<Kind>,
    pub(crate) namespace: String,
    pub(crate) selector: Selector,
    /// What it has seen.
    pub(crate) cursor: u64,
    /// What it is shown first.
    pub(crate) first: VecDeque<Arc<Value>>,
    /// A bookmark that says that this was all, after `first`.
    pub(crate) first_ends: bool,
    pub(crate) bookmarks: bool,
    /// When the server ends it.
    pub(crate) timeout: Option<Duration>,
    pub(crate) table: Option<TableWish>,
    /// Whether a Table has told its columns: only the first does.
    pub(crate) columns_told: bool,
    /// The newest version it was told of.
    pub(crate) told: u64,
    pub(crate) ended: bool,
}

/// The annotation of the bookmark after the initial events.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

impl Watch {
    /// When the server should end it, from its start.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Whether it wants bookmarks.
    pub fn bookmarks(&self) -> bool {
        self.bookmarks
    }

    /// Whether nothing will come any more.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// The next events, at most `most` and a few. `behind`: how many changes it may be behind before it is given up.
    pub(crate) fn poll(&mut self, store: &Store, now_ms: i64, most: usize, behind: usize) -> Vec<Value> {
        let mut events = Vec::new();
        while events.len() < most
            && let Some(object) = self.first.pop_front()
        {
            events.push(self.event("ADDED", &object, now_ms));
        }
        if self.first.is_empty() && std::mem::take(&mut self.first_ends) {
            events.push(self.bookmark(self.cursor, true));
        }
        if self.ended || !self.first.is_empty() {
            return events;
        }
        let start = self.cursor;
        let Some(changes) = store.changes_after(start).filter(|changes| changes.len() <= behind) else {
            self.ended = true;
            events.push(expired(start, store.compacted()));
            return events;
        };
        for change in changes {
            if events.len() >= most {
                return events;
            }
            self.cursor = change.version;
            events.extend(self.see(change, now_ms));
        }
        events
    }

    /// A bookmark at what it has seen, if that is news.
    pub(crate) fn mark(&mut self) -> Option<Value> {
        (self.cursor > self.told).then(|| self.bookmark(self.cursor, false))
    }

    /// What it is shown of a change.
    fn see(&mut self, change: &Change, now_ms: i64) -> Option<Value> {
        let here = self.namespace.is_empty()
            || change.key.split_once('/').is_some_and(|(namespace, _)| namespace == self.namespace);
        if *change.storage != *self.kind.storage || !here {
            return None;
        }
        let old = change.old.as_ref().filter(|old| self.selector.matches(old));
        let new = change.new.as_ref().filter(|new| self.selector.matches(new));
        match (old, new) {
            (None, Some(new)) => Some(self.event("ADDED", new, now_ms)),
            (Some(_), Some(new)) => Some(self.event("MODIFIED", new, now_ms)),
            // Its last state that matched, with the version of the change that ended it.
            (Some(old), None) => {
                let mut last = Value::clone(old);
                put(&mut last, &["metadata", "resourceVersion"], change.version.to_string());
                Some(self.event("DELETED", &last, now_ms))
            }
            (None, None) => None,
        }
    }

    fn event(&mut self, kind: &str, stored: &Value, now_ms: i64) -> Value {
        let version = at(stored, &["metadata", "resourceVersion"]);
        self.told = self.told.max(version.as_str().and_then(|text| text.parse().ok()).unwrap_or(0));
        let object = match self.table {
            Some(wish) => self.table(stored, version, wish, now_ms),
            None => self.kind.shown(stored),
        };
        json!({"type": kind, "object": object})
    }

    fn table(&mut self, object: &Value, version: &Value, wish: TableWish, now_ms: i64) -> Value {
        let meta = json!({"resourceVersion": version});
        let mut table = crate::table::table(&self.kind, &[object], &meta, wish, now_ms);
        if std::mem::replace(&mut self.columns_told, true) {
            put(&mut table, &["columnDefinitions"], Value::Null);
        }
        table
    }

    fn bookmark(&mut self, version: u64, initial_events_end: bool) -> Value {
        self.told = version;
        // The Go type of the kind, with nothing in it.
        let mut object = crate::builtin::nothing_of(&self.kind);
        put(&mut object, &["kind"], self.kind.kind.as_ref());
        put(&mut object, &["apiVersion"], self.kind.api_version());
        put(&mut object, &["metadata"], json!({"resourceVersion": version.to_string()}));
        if initial_events_end {
            put(&mut object, &["metadata", "annotations", INITIAL_EVENTS_END], "true");
        }
        if let Some(wish) = self.table {
            object = self.table(&object, &json!(version.to_string()), wish, 0);
        }
        json!({"type": "BOOKMARK", "object": object})
    }
}

fn expired(version: u64, compacted: u64) -> Value {
    json!({"type": "ERROR", "object": Failure::too_old(version, compacted).body()})
}
