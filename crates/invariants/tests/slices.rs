//! Histories of slices and pods: the good ones pass, and each way to be bad is seen.

mod world;

use hotstandby_invariants::Invariant::{OneActive, OwnObjectsOnly, TermsGrow};
use hotstandby_invariants::{Author, Endpoint, Fact, Kind, Owner, Stamp, StoredSeat, StoredSlice, Tolerance};
use world::{World, gone, ms, pod_fact, seat, seat_fact, slice, slice_fact, stamp};

const A: (&str, &str) = ("a", "10.0.0.1");
const B: (&str, &str) = ("b", "10.0.0.2");

#[test]
fn a_move_is_fine() {
    World::new().assert_fine();
}

#[test]
fn two_endpoints_are_seen_in_one_slice_and_over_two() {
    let mut world = World::new();
    world.tell(&slice(&[B, B], 2));
    world.assert_only(OneActive, "Service web has 2 IPv4 endpoints");
    world.tell(&slice(&[B], 2));
    world.tell(&Fact::Slice(slice_fact("second", &[B], 2)));
    let objects = world.found[0].objects.clone();
    world.assert_only(OneActive, "has 2 IPv4 endpoints");
    assert_eq!(objects, ["second", "web-ipv4"]);
    // Once one of them is gone or empty, one is left.
    world.tell(&gone(Kind::EndpointSlice, "second"));
    world.tell(&slice(&[B], 2));
    world.tell(&Fact::Slice(slice_fact("second", &[], 2)));
    world.assert_fine();
}

#[test]
fn another_service_or_family_has_an_endpoint_of_its_own() {
    let mut world = World::new();
    world.tell(&Fact::Slice(StoredSlice { service: "admin", ..slice_fact("second", &[B], 2) }));
    world.tell(&Fact::Slice(StoredSlice { family: "IPv6", ..slice_fact("third", &[B], 2) }));
    world.tell(&Fact::Slice(StoredSlice { service: "", ..slice_fact("none", &[B, B], 2) }));
    world.assert_fine();
}

#[test]
fn an_endpoint_of_somebody_elses_slice_counts_beside_ours() {
    let mut world = World::new();
    let others = |author| StoredSlice { author, ..slice_fact("second", &[A], 2) };
    world.tell(&Fact::Slice(others(Author::Owner)));
    world.assert_fine();
    world.tell(&slice(&[B], 2));
    world.assert_only(OneActive, "has 2 IPv4 endpoints");
    // What a stranger wrote is excused until it is written again.
    world.tell(&Fact::Slice(others(Author::Stranger)));
    world.tell(&slice(&[B], 2));
    world.assert_fine();
    world.tell(&Fact::Slice(StoredSlice { endpoints: Vec::new(), ..others(Author::Hotstandby) }));
    world.tell(&Fact::Slice(slice_fact("second", &[B], 2)));
    world.assert_only(OneActive, "has 2 IPv4 endpoints");
}

#[test]
fn a_pod_that_did_not_hold_the_seat_at_that_term_is_seen() {
    let mut world = World::new();
    world.tell(&slice(&[A], 2));
    world.assert_only(OneActive, "slice web-ipv4 names a (10.0.0.1), which did not hold the seat at term 2");
    world.tell(&slice(&[A], 3));
    world.assert_only(OneActive, "did not hold the seat at term 3");
}

#[test]
fn an_endpoint_without_a_known_seat_is_seen() {
    let mut world = World::new();
    world.tell(&Fact::Slice(StoredSlice { stamp: None, ..slice_fact("web-ipv4", &[B], 2) }));
    world.assert_only(OneActive, "without saying by which seat");
    let unknown = Some(Stamp { seat: "x", term: 2 });
    world.tell(&Fact::Slice(StoredSlice { stamp: unknown, service: "new", ..slice_fact("new", &[B], 2) }));
    world.assert_only(OneActive, "by seat x, that never was");
}

#[test]
fn a_pod_that_never_was_is_seen() {
    let mut world = World::new();
    world.tell(&seat(3, "c"));
    world.tell(&slice(&[("c", "10.0.0.3")], 3));
    world.assert_only(OneActive, "names c (10.0.0.3), a pod that never was");
}

#[test]
fn an_address_that_the_pod_never_had_or_has_no_more_is_seen() {
    let mut world = World::new();
    world.tell(&slice(&[("b", "10.0.0.9")], 2));
    world.assert_only(OneActive, "which never had that address");
    world.tell_at(ms(1_000), &Fact::Pod(pod_fact("b", &["10.0.0.9"], &[])));
    world.tell_at(ms(1_500), &slice(&[B], 2));
    world.tell_at(ms(1_500), &slice(&[("b", "10.0.0.9")], 2));
    world.assert_fine();
    world.tell_at(ms(1_501), &slice(&[B], 2));
    world.assert_only(OneActive, "which lost that address 501ms before");
    // Another write of the pod does not begin the time again.
    world.tell_at(ms(1_550), &Fact::Pod(pod_fact("b", &["10.0.0.9"], &[])));
    world.tell_at(ms(1_560), &slice(&[B], 2));
    world.assert_only(OneActive, "which lost that address 560ms before");
    // It may come back.
    world.tell_at(ms(1_600), &Fact::Pod(pod_fact("b", &["10.0.0.2"], &[])));
    world.tell_at(ms(9_000), &slice(&[B], 2));
    world.assert_fine();
}

#[test]
fn a_pod_that_was_gone_for_longer_than_tolerated_is_seen() {
    let mut world = World::new();
    world.tell_at(ms(1_000), &gone(Kind::Pod, "b"));
    world.tell_at(ms(1_500), &slice(&[B], 2));
    world.assert_fine();
    world.tell_at(ms(1_501), &slice(&[B], 2));
    world.assert_only(OneActive, "which had been gone for 501ms");
    // Another deletion event of the same pod does not begin the time again.
    world.tell_at(ms(1_501), &gone(Kind::Pod, "b"));
    world.tell_at(ms(1_502), &slice(&[B], 2));
    world.assert_only(OneActive, "which had been gone for 502ms");
    world.history.tolerate(Tolerance::UNLIMITED);
    world.tell_at(ms(90_000), &slice(&[B], 2));
    world.assert_fine();
    world.history.tolerate(Tolerance::NONE);
    world.tell_at(ms(1_000), &slice(&[B], 2));
    world.assert_only(OneActive, "which had been gone for 0ns");
}

#[test]
fn a_slice_that_goes_back_to_an_older_term_is_seen() {
    let mut world = World::new();
    world.tell(&slice(&[A], 1));
    world.assert_only(TermsGrow, "slice web-ipv4 went back from term 2 to 1");
    // Neither an empty one, nor one that is made again, nor a second one may do so.
    world.tell(&slice(&[], 1));
    world.assert_only(TermsGrow, "went back from term 2 to 1");
    world.tell(&gone(Kind::EndpointSlice, "web-ipv4"));
    world.tell(&Fact::Slice(slice_fact("second", &[A], 1)));
    world.assert_only(TermsGrow, "slice second went back from term 2 to 1");
}

#[test]
fn a_slice_that_goes_back_to_an_older_seat_is_seen() {
    let mut world = World::new();
    let newer = Some(Stamp { seat: "t", term: 1 });
    world.tell(&Fact::Seat(StoredSeat { seat: "t", ..seat_fact(1, "a") }));
    world.tell(&Fact::Slice(StoredSlice { stamp: newer, ..slice_fact("web-ipv4", &[A], 0) }));
    world.assert_fine();
    world.tell(&slice(&[B], 2));
    world.assert_only(TermsGrow, "slice web-ipv4 went back from seat t to s");
    // A seat that never was is older than any.
    let unknown = Some(Stamp { seat: "x", term: 9 });
    world.tell(&Fact::Slice(StoredSlice { stamp: unknown, ..slice_fact("web-ipv4", &[], 0) }));
    world.assert_only(TermsGrow, "went back from seat s to x");
}

#[test]
fn a_service_may_move_to_another_group_whose_seat_is_older() {
    let mut world = World::new();
    let other = Some(Stamp { seat: "t", term: 1 });
    world.tell(&Fact::Seat(StoredSeat { seat: "t", record: "other group", ..seat_fact(1, "a") }));
    world.tell(&Fact::Slice(StoredSlice { stamp: other, ..slice_fact("web-ipv4", &[A], 0) }));
    world.tell(&slice(&[B], 2));
    world.assert_fine();
}

#[test]
fn a_stamp_that_a_stranger_took_away_is_not_compared() {
    let mut world = World::new();
    world.tell(&Fact::StampForgotten { object: "admin" });
    world.tell(&slice(&[A], 1));
    world.assert_only(TermsGrow, "went back from term 2 to 1");
    world.tell(&Fact::StampForgotten { object: "web" });
    world.tell(&slice(&[A], 1));
    world.assert_fine();
}

#[test]
fn a_slice_follows_an_owner_that_sets_its_counter_back() {
    let mut world = World::new();
    let followed = |term, holder| Fact::Seat(StoredSeat { author: Author::Owner, ..seat_fact(term, holder) });
    world.tell(&followed(9, "a"));
    world.tell(&slice(&[A], 9));
    world.tell(&followed(4, "b"));
    world.tell(&slice(&[B], 4));
    world.assert_fine();
    // But only to where the owner is now.
    world.tell(&followed(5, "a"));
    world.tell(&slice(&[A], 5));
    world.tell(&slice(&[B], 4));
    world.assert_only(TermsGrow, "went back from term 5 to 4");
}

#[test]
fn what_a_stranger_or_an_owner_wrote_is_not_judged() {
    let mut world = World::new();
    for author in [Author::Stranger, Author::Owner] {
        let endpoint =
            Endpoint { address: "10.9.9.9".into(), ..slice_fact("", &[A], 0).endpoints[0].clone() };
        let endpoints = vec![endpoint.clone(), endpoint];
        world.tell(&Fact::Slice(StoredSlice { author, endpoints, ..slice_fact("web-ipv4", &[], 1) }));
    }
    world.assert_fine();
    // Nor do their stamps count: repaired with a term that is older than the stranger's.
    let forged =
        StoredSlice { author: Author::Stranger, stamp: Some(stamp(7)), ..slice_fact("web-ipv4", &[], 0) };
    world.tell(&Fact::Slice(forged));
    world.tell(&slice(&[B], 2));
    world.assert_fine();
}

#[test]
fn a_write_over_anothers_object_is_seen() {
    let mut world = World::new();
    for owner in [Owner::Nobody, Owner::Install("ours")] {
        world.tell(&Fact::WriteAsked { object: "the slice", owner });
    }
    world.assert_fine();
    world.tell(&Fact::WriteAsked { object: "the slice", owner: Owner::Install("theirs") });
    world.assert_only(OwnObjectsOnly, "the slice is another controller's");
    world.tell(&Fact::WriteAsked { object: "the seat", owner: Owner::Election });
    world.assert_only(OwnObjectsOnly, "the seat is the Lease of another election");
}
