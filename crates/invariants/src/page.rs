//! `docs/invariants.md`, written from [`Invariant`].

use crate::invariant::{Invariant, Ring};
use std::fmt::Write as _;

/// Paragraphs are wrapped here, as in the other pages.
const WIDTH: usize = 140;

const INTRODUCTION: &str = "\
# Invariants

What must hold of every history of a group, whatever happens to it. Tests and decision records refer to these by id. A group's *seat* is
the Lease that says which pod is active; its counter is the *term*; what follows the seat (slices, labels, selectors) is a *projection*.
[DESIGN.md](../DESIGN.md) explains the words and the parts.

This page is generated from `crates/invariants`, which also holds the judge: test rings translate what they see into facts, and one
`History` says what is wrong with them. `UPDATE_DOCS=1 cargo test -p hotstandby-invariants` rewrites the page.
";

const RINGS: [Ring; 7] =
    [Ring::Units, Ring::Cases, Ring::Driver, Ring::Gatekeeper, Ring::Processes, Ring::Demo, Ring::EndToEnd];

/// The page as Markdown.
pub fn write_page() -> String {
    let mut page = String::from(INTRODUCTION);
    write_table(&mut page);
    for invariant in Invariant::ALL {
        write_section(&mut page, invariant);
    }
    write_rings(&mut page);
    page
}

// Writing to a string cannot fail.

fn write_table(page: &mut String) {
    page.push_str("\n| | Invariant | Checked by |\n| --- | --- | --- |\n");
    for invariant in Invariant::ALL {
        let rings: Vec<&str> = invariant.checks().iter().map(|(ring, _)| ring.name()).collect();
        let _ = writeln!(page, "| {} | {} | {} |", invariant.id(), invariant.title(), rings.join(", "));
    }
}

fn write_section(page: &mut String, invariant: Invariant) {
    let _ = writeln!(page, "\n## {} {}", invariant.id(), invariant.title());
    write_wrapped(page, invariant.promise());
    page.push_str("\nChecked:\n");
    for (ring, what) in invariant.checks() {
        let _ = writeln!(page, "- {}: {what}.", ring.name());
    }
    page.push_str("\nNot promised:\n");
    for limit in invariant.limits() {
        let _ = writeln!(page, "- {limit}");
    }
}

/// Writes a paragraph in lines of at most [`WIDTH`] characters.
fn write_wrapped(page: &mut String, text: &str) {
    let mut width = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > WIDTH {
            page.push('\n');
            width = 0;
        } else if width > 0 {
            page.push(' ');
            width += 1;
        }
        page.push_str(word);
        width += length;
    }
    page.push('\n');
}

fn write_rings(page: &mut String) {
    page.push_str("\n## Where the checks are\n| Ring | Place |\n| --- | --- |\n");
    for ring in RINGS {
        let _ = writeln!(page, "| {} | `{}` |", ring.name(), ring.place());
    }
}
