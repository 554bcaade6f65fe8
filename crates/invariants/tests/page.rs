//! `docs/invariants.md` is what the code says. `UPDATE_DOCS=1` rewrites it.

use hotstandby_invariants::{Invariant, write_page};
use std::path::Path;

#[test]
fn the_page_says_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/invariants.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, write_page()).expect("the page can be written");
    }
    let committed = std::fs::read_to_string(&path).expect("docs/invariants.md is there");
    assert!(
        committed == write_page(),
        "docs/invariants.md differs from the code: UPDATE_DOCS=1 cargo test -p hotstandby-invariants"
    );
}

#[test]
fn every_invariant_has_an_id_a_promise_a_check_and_a_limit() {
    for (number, invariant) in (1..).zip(Invariant::ALL) {
        assert_eq!(invariant.id(), format!("I{number}"));
        assert!(invariant.promise().ends_with('.'), "{invariant:?}");
        assert!(!invariant.title().is_empty() && !invariant.checks().is_empty(), "{invariant:?}");
        assert!(invariant.limits().iter().all(|limit| limit.ends_with('.')), "{invariant:?}");
    }
}

#[test]
fn a_violation_begins_with_its_id() {
    let violation = Invariant::TermsGrow.violation("a term went back").shown_by("seat");
    assert_eq!(violation.to_string(), "I3: a term went back");
    assert_eq!(violation.objects, ["seat"]);
    assert_eq!(Invariant::OneActive.broken("two"), "I1: two");
}
