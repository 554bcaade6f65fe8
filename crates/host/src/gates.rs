//! What this replica still waits for before it may be called ready.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Named gates: ready is when none is closed. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Gates {
    closed: Arc<Mutex<BTreeMap<Arc<str>, Arc<str>>>>,
}

impl Gates {
    /// None closed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Closes this gate: not ready until it is opened.
    pub fn close(&self, name: impl Into<Arc<str>>) {
        self.close_because(name, "not there yet");
    }

    /// Closes this gate, and says to people why.
    pub fn close_because(&self, name: impl Into<Arc<str>>, why: impl Into<Arc<str>>) {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into(), why.into());
    }

    /// Opens this gate; nothing happens if it is not closed.
    pub fn open(&self, name: &str) {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// The closed gates with their reasons, by name.
    pub fn missing(&self) -> Vec<(Arc<str>, Arc<str>)> {
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        closed.iter().map(|(name, why)| (Arc::clone(name), Arc::clone(why))).collect()
    }
}
