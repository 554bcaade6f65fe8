//! What the world is told about a group: the content of `status`.

use crate::conditions::Condition;
use crate::ids::{Term, Uid};
use crate::notice::Delivered;
use crate::reason::Reason;
use crate::switchover::Answer;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The status as it should be. Times of conditions and history are kept by whoever writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// `metadata.generation` it speaks of.
    pub generation: i64,
    /// The active member, if one is served.
    pub active: Option<Active>,
    /// The seat's term.
    pub term: Option<Term>,
    /// The Lease that is followed counts no transitions, or not each: the term is no fencing token.
    pub term_is_no_token: bool,
    /// Why the holder is active.
    pub reason: Option<Reason>,
    /// Since when, Unix milliseconds.
    pub since_ms: Option<i64>,
    /// All members, by name.
    pub members: Vec<MemberReport>,
    /// The answer to the newest switchover request.
    pub switchover: Option<Answer>,
    /// The conditions.
    pub conditions: Vec<Condition>,
    /// Fit standbys.
    pub standbys: usize,
}

/// The active member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Active {
    /// Pod name.
    pub pod: Arc<str>,
    /// Pod UID.
    pub uid: Uid,
    /// Its address.
    pub ip: Option<IpAddr>,
    /// Its node.
    pub node: Option<Arc<str>>,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberReport {
    /// Pod name.
    pub name: Arc<str>,
    /// active or standby.
    pub role: &'static str,
    /// healthy, unhealthy or unknown.
    pub verdict: &'static str,
    /// Armed, NotArmed or Failing; `None` where nothing is probed.
    pub probe: Option<&'static str>,
    /// The newest error, kept as long as it stands.
    pub last_error: Option<Arc<str>>,
    /// Why it could not be active now; `None`: it could.
    pub unfit: Option<&'static str>,
    /// Why no tripwire is held to it.
    pub tripwire_off: Option<&'static str>,
    /// What it was told of its role, once nothing more is tried.
    pub delivered: Option<Delivered>,
}

/// How long each stage of a change took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stages {
    /// First sign to proof.
    pub detect: Duration,
    /// Proof to the seat's write being sent: re-read, peers, waiting for the lead.
    pub decide: Duration,
    /// The seat's write.
    pub seat: Duration,
    /// The slices' writes.
    pub traffic: Duration,
}
