// Each test file uses its own part of this; and helpers of tests may fail loudly, also outside of #[test] functions.
#![allow(dead_code, unreachable_pub, clippy::panic)]

//! A small world to tell of: two pods, one seat, one Service.

use hotstandby_invariants::{
    Author, Endpoint, Fact, History, Invariant, Kind, Label, Lag, PodRef, Stamp, StoredPod, StoredSeat,
    StoredService, StoredSlice, Term, TermUse, Tolerance, Violation,
};
use std::time::Duration;

/// How long a deleted pod may still be named in these tests.
pub const GONE: Duration = Duration::from_millis(500);

pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub const fn stamp(term: Term) -> Stamp<'static> {
    Stamp { seat: "s", term }
}

pub fn pod_fact<'a>(id: &'a str, addresses: &[&'a str], labels: &[Label<'a>]) -> StoredPod<'a> {
    StoredPod {
        id,
        name: id,
        addresses: addresses.iter().map(|address| (*address).into()).collect(),
        counts: true,
        labels: labels.to_vec(),
        stamp: None,
        author: Author::Hotstandby,
    }
}

pub fn pod<'a>(id: &'a str, address: &'a str) -> Fact<'a> {
    Fact::Pod(pod_fact(id, &[address], &[]))
}

pub fn seat_fact(term: Term, holder: &str) -> StoredSeat<'_> {
    StoredSeat {
        seat: "s",
        record: "web",
        term: Some(term),
        holder: Some(holder),
        term_use: TermUse::Kept,
        author: Author::Hotstandby,
    }
}

pub fn seat(term: Term, holder: &str) -> Fact<'_> {
    Fact::Seat(seat_fact(term, holder))
}

pub fn slice_fact<'a>(id: &'a str, endpoints: &[(&'a str, &'a str)], term: Term) -> StoredSlice<'a> {
    let endpoint = |(pod, address): &(&'a str, &'a str)| Endpoint {
        pod: PodRef { id: pod, name: pod },
        address: (*address).into(),
        ready: true,
    };
    StoredSlice {
        id,
        name: id,
        service: "web",
        family: "IPv4",
        stamp: Some(stamp(term)),
        endpoints: endpoints.iter().map(endpoint).collect(),
        author: Author::Hotstandby,
    }
}

pub fn slice<'a>(endpoints: &[(&'a str, &'a str)], term: Term) -> Fact<'a> {
    Fact::Slice(slice_fact("web-ipv4", endpoints, term))
}

pub fn service_fact<'a>(selector: &[Label<'a>]) -> StoredService<'a> {
    StoredService {
        id: "v",
        name: "web",
        selector: selector.to_vec(),
        stamp: None,
        author: Author::Hotstandby,
    }
}

pub fn gone(kind: Kind, id: &str) -> Fact<'_> {
    Fact::Gone { kind, id }
}

/// A history that tolerates [`GONE`], and everything that was found wrong with it.
pub struct World {
    pub history: History,
    pub found: Vec<Violation>,
}

impl World {
    pub fn empty() -> Self {
        let tolerance = Tolerance { gone: Lag::UpTo(GONE), lost_address: Lag::UpTo(GONE) };
        Self { history: History::new("ours", tolerance), found: Vec::new() }
    }

    /// Pods `a` and `b`; `a` is active at term 1 and then `b` at term 2, and the slice has followed.
    pub fn new() -> Self {
        let mut world = Self::empty();
        world.tell(&pod("a", "10.0.0.1"));
        world.tell(&pod("b", "10.0.0.2"));
        world.tell(&seat(1, "a"));
        world.tell(&slice(&[("a", "10.0.0.1")], 1));
        world.tell(&seat(2, "b"));
        world.tell(&slice(&[("b", "10.0.0.2")], 2));
        world
    }

    pub fn tell(&mut self, fact: &Fact<'_>) {
        self.tell_at(Duration::ZERO, fact);
    }

    pub fn tell_at(&mut self, moment: Duration, fact: &Fact<'_>) {
        self.found.extend(self.history.record(moment, fact));
    }

    #[track_caller]
    pub fn assert_fine(&self) {
        assert_eq!(self.found, Vec::new());
    }

    /// Asserts that exactly one thing was wrong: this invariant, in these words. It is forgotten then.
    #[track_caller]
    pub fn assert_only(&mut self, invariant: Invariant, words: &str) {
        let found = std::mem::take(&mut self.found);
        let [only] = found.as_slice() else { panic!("one violation of {words:?} expected: {found:?}") };
        assert_eq!(only.invariant, invariant, "{only}");
        assert!(only.text.contains(words), "{words:?} expected: {only}");
    }
}
