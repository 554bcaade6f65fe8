//! The kind `ActiveStandby`: its types, its schema, and how a spec becomes what the core understands.
//!
//! Promised here: what the schema lets pass either converts or is refused by name, never ignored. Not
//! promised: that every stored object deserializes. After a downgrade of the CRD one may not, so a watch
//! should take `kube::core::DeserializeGuard<ActiveStandby>` and lose that one object, not the stream.

pub mod convert;
pub mod detect;
pub mod duration;
pub mod notify;
pub mod port;
pub mod schema;
pub mod selector;
mod selector_text;
pub mod spec;
pub mod status;

pub use convert::{Checked, CriticalContainers};
pub use schema::crd;
pub use selector::{LabelSelector, Selector};
pub use spec::{ActiveStandby, ActiveStandbySpec};
pub use status::ActiveStandbyStatus;

use crate::names;

impl ActiveStandby {
    /// Whether the group is paused, by `spec.paused` or by the annotation; either is enough.
    pub fn is_paused(&self) -> bool {
        self.spec.paused || self.is_paused_by_annotation()
    }

    /// Whether the annotation `hotstandby.dev/paused` pauses the group.
    pub fn is_paused_by_annotation(&self) -> bool {
        self.annotation(names::PAUSED) == Some("true")
    }

    /// The text of one annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(key).map(String::as_str)
    }
}
