//! What replicas say to each other: `GET /peer/v1/hello` and `GET /peer/v1/sighting?uid=…&group=…`.

use serde::{Deserialize, Serialize};

/// Path of the hello.
pub const HELLO_PATH: &str = "/peer/v1/hello";
/// Path of the question.
pub const SIGHTING_PATH: &str = "/peer/v1/sighting";

/// Who answers here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    /// The replica's name.
    pub name: String,
    /// Its node, if it knows it.
    pub node: Option<String>,
    /// Its version.
    pub version: String,
}

/// What was asked about.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct SightingQuestion {
    pub(crate) uid: String,
    #[serde(default)]
    pub(crate) group: String,
}

/// What this replica's newest probe of a member saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SightingAnswer {
    /// Whether it probes that member at all.
    pub known: bool,
    /// Whether the newest probe succeeded.
    pub success: bool,
    /// How long ago that probe was sent, rounded up.
    pub age_ms: u64,
    /// The replica's node, if it knows it.
    pub node: Option<String>,
}
