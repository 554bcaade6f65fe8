//! Runs case files: commands, `----`, expected output, a blank line.

mod checks;
mod commands;
mod facts;
mod lease;
mod objects;
mod print;
mod probing;
mod session;
mod words;
mod world;

use session::Session;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// One block of a case file.
struct Block {
    line: usize,
    commands: Vec<String>,
    expected: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

/// Runs `cases/<name>.txt`, or rewrites its expected output where `UPDATE_CASES` is set.
pub(super) fn run_file(name: &str) {
    let path = folder().join(format!("{name}.txt"));
    let text =
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()));
    let mut session = Session::new();
    let (mut rewritten, mut differences, mut broken) = (String::new(), String::new(), String::new());
    for block in parse(&text) {
        let got = run_block(&mut session, &block.commands);
        for violation in got.lines().filter(|line| line.contains("VIOLATION")) {
            let _ = writeln!(broken, "{name}.txt:{}: {violation}", block.line);
        }
        if got != block.expected {
            let _ = writeln!(differences, "{name}.txt:{}: {}", block.line, block.commands.join(" ; "));
            print_difference(&mut differences, &block.expected, &got);
        }
        let commands = block.commands.join("\n");
        let _ = writeln!(rewritten, "{commands}\n----\n{got}");
    }
    if std::env::var_os("UPDATE_CASES").is_some() {
        std::fs::write(&path, rewritten.trim_end().to_owned() + "\n").expect("write the case file");
        assert!(broken.is_empty(), "no expectation may contain a violation:\n{broken}");
    } else {
        assert!(differences.is_empty() && broken.is_empty(), "\n{broken}{differences}");
    }
}

/// Every `.txt` file must have its test.
pub(super) fn assert_listed(listed: &[&str]) {
    let files = std::fs::read_dir(folder()).expect("list the case files");
    for file in files {
        let path = file.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let stem = path.file_stem().expect("a stem").to_string_lossy().into_owned();
            assert!(listed.contains(&&*stem), "{stem}.txt has no test in tests/cases.rs");
        }
    }
}

fn run_block(session: &mut Session, commands: &[String]) -> String {
    for command in commands {
        let line = command.trim();
        if !line.is_empty() && !line.starts_with('#') {
            commands::run(session, line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        }
    }
    std::mem::take(&mut session.out)
}

/// Splits a file into blocks; comments and blank lines before commands stay with the block.
fn parse(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let (mut commands, mut start) = (Vec::new(), 1);
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if line != "----" {
            if commands.is_empty() {
                start = index + 1;
            }
            commands.push(line.to_owned());
            continue;
        }
        let mut expected = String::new();
        for (_, line) in lines.by_ref() {
            if line.is_empty() {
                break;
            }
            expected.push_str(line);
            expected.push('\n');
        }
        // A case begins with nothing, also with no output: one that forgot its own ---- would be checked by nobody.
        let begun = commands.iter().filter(|line| line.starts_with("case ")).count();
        assert!(begun <= 1, "a case without ---- at line {start}");
        blocks.push(Block { line: start, commands: std::mem::take(&mut commands), expected });
    }
    assert!(commands.iter().all(String::is_empty), "commands without ---- at line {start}");
    blocks
}

fn print_difference(out: &mut String, expected: &str, got: &str) {
    let (want, have): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), got.lines().collect());
    let same_head = want.iter().zip(&have).take_while(|(a, b)| a == b).count();
    let rest = want.len().min(have.len()) - same_head;
    let same_tail = want.iter().rev().zip(have.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    for line in &want[same_head..want.len() - same_tail] {
        let _ = writeln!(out, "  - {line}");
    }
    for line in &have[same_head..have.len() - same_tail] {
        let _ = writeln!(out, "  + {line}");
    }
}
