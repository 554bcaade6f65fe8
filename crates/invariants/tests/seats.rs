//! Histories of seats: the good ones pass, and each way to be bad is seen.

mod world;

use hotstandby_invariants::Invariant::TermsGrow;
use hotstandby_invariants::{Author, Fact, StoredSeat, TermUse};
use world::{World, seat, seat_fact, slice};

#[test]
fn a_move_and_a_renewal_are_fine() {
    let mut world = World::new();
    world.tell(&seat(2, "b"));
    world.tell(&seat(5, "a"));
    world.assert_fine();
    assert!(world.history.was_held("s", 1, "a"));
    assert!(!world.history.was_held("s", 2, "a"));
    assert!(!world.history.was_held("other", 1, "a"));
    assert_eq!(world.history.newest_term("s"), Some(5));
}

#[test]
fn a_term_that_goes_back_is_seen() {
    let mut world = World::new();
    world.tell(&seat(1, "b"));
    world.assert_only(TermsGrow, "the seat's term went back from 2 to 1");
    // It does not make the history forget the newer term.
    world.tell(&seat(1, "b"));
    world.assert_only(TermsGrow, "went back from 2 to 1");
}

#[test]
fn a_term_with_two_holders_is_seen() {
    let mut world = World::new();
    world.tell(&seat(2, "a"));
    world.assert_only(TermsGrow, "term 2 of the seat has two holders: b and a");
}

#[test]
fn a_decision_needs_a_term_of_its_own() {
    let mut world = World::new();
    world.tell(&Fact::Seat(StoredSeat { term_use: TermUse::New, ..seat_fact(3, "a") }));
    world.assert_fine();
    world.tell(&Fact::Seat(StoredSeat { term_use: TermUse::New, ..seat_fact(3, "a") }));
    world.assert_only(TermsGrow, "went back from 3 to 3");
    // Of another holder it is wrong twice.
    world.tell(&Fact::Seat(StoredSeat { term_use: TermUse::New, ..seat_fact(3, "b") }));
    let texts: Vec<&str> = world.found.iter().map(|violation| &*violation.text).collect();
    let two_holders = "term 3 of the seat has two holders: a and b";
    assert_eq!(texts, ["the seat's term went back from 3 to 3", two_holders]);
}

#[test]
fn a_released_term_is_not_free() {
    let mut world = World::new();
    let released = |term| Fact::Seat(StoredSeat { holder: None, ..seat_fact(term, "") });
    world.tell(&released(2));
    world.assert_fine();
    world.tell(&seat(2, "a"));
    world.assert_only(TermsGrow, "two holders");
    world.tell(&seat(3, "a"));
    world.assert_fine();
    world.tell(&released(2));
    world.assert_only(TermsGrow, "went back from 3 to 2");
}

#[test]
fn a_new_seat_has_terms_of_its_own_unless_it_must_begin_above_all() {
    let mut world = World::new();
    world.tell(&Fact::Seat(StoredSeat { seat: "t", ..seat_fact(1, "a") }));
    world.assert_fine();
    let made =
        |term| Fact::Seat(StoredSeat { seat: "u", term_use: TermUse::AboveAll, ..seat_fact(term, "a") });
    world.tell(&made(2));
    world.assert_only(TermsGrow, "a new seat begins at term 2, after term 2");
    world.tell(&made(3));
    world.assert_fine();
}

#[test]
fn what_a_stranger_writes_is_neither_judged_nor_believed() {
    let mut world = World::new();
    world.tell(&Fact::Seat(StoredSeat { author: Author::Stranger, ..seat_fact(1, "b") }));
    world.tell(&Fact::Seat(StoredSeat { author: Author::Stranger, ..seat_fact(9, "a") }));
    world.assert_fine();
    assert!(!world.history.was_held("s", 9, "a"));
    assert_eq!(world.history.newest_term("s"), Some(2));
}

#[test]
fn the_terms_of_a_blurred_seat_are_not_compared() {
    let mut world = World::new();
    world.tell(&Fact::SeatBlurred { seat: "s" });
    assert!(world.history.is_blurred("s"));
    world.tell(&seat(1, "b"));
    world.tell(&slice(&[("b", "10.0.0.2")], 1));
    world.assert_fine();
    assert_eq!(world.history.newest_term("s"), None);
    // Only that seat's.
    assert!(!world.history.is_blurred("t"));
    world.tell(&Fact::Seat(StoredSeat { seat: "t", ..seat_fact(4, "a") }));
    world.tell(&Fact::Seat(StoredSeat { seat: "t", ..seat_fact(3, "a") }));
    world.assert_only(TermsGrow, "went back from 4 to 3");
}

#[test]
fn an_owner_counts_as_it_likes() {
    let mut world = World::empty();
    let followed = |term, holder, term_use| {
        Fact::Seat(StoredSeat { term, term_use, author: Author::Owner, ..seat_fact(0, holder) })
    };
    world.tell(&followed(Some(4), "a", TermUse::Kept));
    world.tell(&followed(Some(3), "b", TermUse::Kept));
    world.tell(&followed(Some(3), "a", TermUse::Kept));
    world.assert_fine();
    assert!(world.history.was_held("s", 3, "a") && !world.history.was_held("s", 3, "b"));
    // Where a term may have several holders, each of them counts.
    world.tell(&followed(Some(5), "a", TermUse::Shared));
    world.tell(&followed(Some(5), "b", TermUse::Shared));
    assert!(world.history.was_held("s", 5, "a") && world.history.was_held("s", 5, "b"));
    assert!(!world.history.was_held("s", 6, "b"));
    // A record that counts no terms: its holder held it at any.
    world.tell(&followed(None, "c", TermUse::Kept));
    assert!(world.history.was_held("s", 6, "c") && !world.history.was_held("s", 6, "a"));
}

#[test]
fn judging_keeps_nothing() {
    let world = World::new();
    assert_eq!(world.history.judge(world::ms(0), &seat(1, "b")).len(), 1);
    assert_eq!(world.history.judge(world::ms(0), &seat(7, "a")), Vec::new());
    assert_eq!(world.history.newest_term("s"), Some(2));
    assert_eq!(world.history.newest_term_of_all(), Some(2));
}
