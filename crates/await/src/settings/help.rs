//! `--help`, made from the table.

use super::table::ROWS;
use std::fmt::Write as _;

/// The whole text.
pub(super) fn text() -> String {
    let mut out = String::from(
        "hotstandby-await [FLAGS] [--] COMMAND [ARGUMENTS]\n\n\
         Waits until this member holds the Lease, runs the command, and makes certain that it is dead before another \
         member may start it.\nA flag goes before its variable, and that before the old one.\n\n",
    );
    for row in ROWS {
        let old = row.old.map(|old| format!(", {old}")).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "  --{} {}\n      [{}{old}]\n      {}.",
            row.flag,
            row.value,
            row.variable(),
            row.help
        );
    }
    out.push_str("  --help, --version\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../../docs/await.md");

    fn table() -> String {
        let mut out =
            String::from("| Flag | Variable of the old gatekeeper | Meaning |\n| --- | --- | --- |\n");
        for row in ROWS {
            let old = row.old.map(|old| format!("`{old}`")).unwrap_or_default();
            let value = row.value.replace('|', "\\|");
            let _ = writeln!(out, "| `--{} {value}` | {old} | {} |", row.flag, row.help);
        }
        out
    }

    #[test]
    fn documentation_tells_the_settings_there_are() {
        let table = table();
        assert!(PAGE.contains(&table), "put this into docs/await.md:\n{table}");
    }
}
