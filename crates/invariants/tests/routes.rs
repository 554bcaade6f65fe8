//! Labels and selectors that hotstandby writes: the good ones pass, and each way to be bad is seen.

mod world;

use hotstandby_invariants::Invariant::{OneActive, TermsGrow};
use hotstandby_invariants::{Fact, Kind, Leads, PodRef, Stamp, StoredPod, StoredRoute, StoredSeat, Term};
use world::{World, gone, pod_fact, seat_fact, stamp};

fn label<'a>(pod: &'a str, leads_to: Leads<'a>, term: Term) -> Fact<'a> {
    Fact::Route(StoredRoute { kind: Kind::Pod, object: pod, name: pod, leads_to, stamp: Some(stamp(term)) })
}

const fn to(pod: &str) -> Leads<'_> {
    Leads::To(PodRef { id: pod, name: pod })
}

fn point<'a>(leads_to: Leads<'a>, stamp: Option<Stamp<'a>>) -> Fact<'a> {
    Fact::Route(StoredRoute { kind: Kind::Service, object: "web", name: "web", leads_to, stamp })
}

/// `b` is active at term 2, and labelled so.
fn labelled() -> World {
    let mut world = World::new();
    world.tell(&label("a", Leads::Nowhere, 2));
    world.tell(&label("b", to("b"), 2));
    world
}

#[test]
fn a_demotion_before_a_promotion_is_fine() {
    let mut world = labelled();
    world.tell(&Fact::Seat(seat_fact(3, "a")));
    world.tell(&label("b", Leads::Nowhere, 3));
    world.tell(&label("a", to("a"), 3));
    world.tell(&label("a", Leads::AsBefore, 3));
    world.tell(&label("a", to("a"), 3));
    world.assert_fine();
}

#[test]
fn a_second_pod_labelled_active_is_seen() {
    let mut world = labelled();
    world.tell(&Fact::Seat(seat_fact(3, "a")));
    world.tell(&label("b", Leads::AsBefore, 3));
    world.tell(&label("a", to("a"), 3));
    world.assert_only(OneActive, "a is labelled active beside b");
}

#[test]
fn a_pod_that_is_gone_or_does_not_count_or_was_relabelled_by_a_stranger_is_no_second_one() {
    let ends = [
        gone(Kind::Pod, "b"),
        Fact::Pod(StoredPod { counts: false, ..pod_fact("b", &[], &[]) }),
        Fact::StampForgotten { object: "b" },
    ];
    for end in ends {
        let mut world = labelled();
        world.tell(&end);
        world.tell(&Fact::Seat(seat_fact(3, "a")));
        world.tell(&label("a", to("a"), 3));
        world.assert_fine();
    }
}

#[test]
fn a_label_for_a_pod_that_did_not_hold_the_seat_is_seen() {
    let mut world = World::new();
    world.tell(&label("a", to("a"), 2));
    world.assert_only(OneActive, "Pod a leads to a, which did not hold the seat at term 2");
}

#[test]
fn a_selector_leads_only_to_a_holder_and_says_by_which_seat() {
    let mut world = World::new();
    world.tell(&point(to("b"), Some(stamp(2))));
    world.tell(&point(Leads::Nowhere, None));
    world.assert_fine();
    world.tell(&point(to("a"), Some(stamp(2))));
    world.assert_only(OneActive, "Service web leads to a, which did not hold the seat at term 2");
    world.tell(&point(to("b"), None));
    world.assert_only(OneActive, "Service web leads to b, without saying by which seat");
}

#[test]
fn marks_that_go_back_are_seen() {
    let mut world = labelled();
    world.tell(&label("b", Leads::AsBefore, 1));
    world.assert_only(TermsGrow, "Pod b went back from term 2 to 1");
    world.tell(&point(to("b"), Some(stamp(2))));
    world.tell(&point(to("a"), Some(stamp(1))));
    world.assert_only(TermsGrow, "Service web went back from term 2 to 1");
    // Each object, and each seat, has its own.
    world.tell(&label("c", Leads::AsBefore, 1));
    world.tell(&Fact::Seat(StoredSeat { seat: "t", ..seat_fact(1, "a") }));
    world.tell(&point(to("a"), Some(Stamp { seat: "t", term: 1 })));
    world.assert_fine();
}

#[test]
fn marks_that_a_stranger_took_away_are_not_compared() {
    let mut world = labelled();
    world.tell(&Fact::StampForgotten { object: "b" });
    world.tell(&label("b", Leads::AsBefore, 1));
    world.assert_fine();
}
