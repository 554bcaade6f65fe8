//! What happened when, for a test that failed: one list of what the API and the client saw.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::judge::{Violation, describe};
use super::objects::text as text_at;
use super::trial::Trial;
use hotstandby_testbed::client::summary;
use hotstandby_testbed::trace::Trace;

/// More lines than this are cut at the beginning.
const MOST_LINES: usize = 200;

/// Everything worth knowing about a test that failed.
pub(crate) async fn of(trial: &Trial, violations: &[Violation]) -> String {
    let mut text = String::new();
    for violation in violations {
        let _ = writeln!(text, "  {}", violation.what);
        for object in &violation.objects {
            let _ = writeln!(text, "    {}", brief(object));
        }
    }
    let lines = lines(trial);
    for line in lines.iter().skip(lines.len().saturating_sub(MOST_LINES)) {
        let _ = writeln!(text, "  {line}");
    }
    let _ = writeln!(text, "  {}", trial.group_text());
    let _ = writeln!(text, "  client: {}", summary(&trial.trace()));
    let since = trial.zero.elapsed();
    for logs in [
        trial.env.logs_about(&trial.namespace, since).await,
        trial.env.logs_of_all(&trial.namespace, since).await,
    ] {
        for line in logs.lines() {
            let _ = writeln!(text, "  | {line}");
        }
    }
    text
}

/// An object without what rules are not about: a pod's spec and most of its status fill pages.
fn brief(object: &Value) -> Value {
    let mut brief = object.clone();
    if text_at(object, "/kind") == "Pod" {
        let status =
            json!({"phase": object.pointer("/status/phase"), "podIP": object.pointer("/status/podIP")});
        if let Some(fields) = brief.as_object_mut() {
            fields.remove("spec");
            fields.insert("status".to_owned(), status);
        }
    }
    brief
}

/// Changes of objects and of what the client saw, in the order of time.
fn lines(trial: &Trial) -> Vec<String> {
    let mut all: Vec<(Instant, String)> = Vec::new();
    let mut last: BTreeMap<(super::objects::Kind, String), String> = BTreeMap::new();
    for record in trial.dog.world().records() {
        let key = (record.kind, super::objects::name_of(&record.object).to_owned());
        let line = describe(record);
        // What differs only in what is not shown is not shown.
        if last.insert(key, line.clone()).as_ref() != Some(&line) {
            all.push((record.seen, format!("{line}  [{}]", record.version)));
        }
    }
    all.extend(seen_by_client(&trial.trace()));
    if let Some(fault) = trial.fault {
        all.push((fault.at, "**** fault".to_owned()));
    }
    all.sort_by_key(|(at, _)| *at);
    let zero = trial.fault.map_or(trial.zero, |fault| fault.at);
    all.into_iter().map(|(at, line)| format!("{} {line}", offset(zero, at))).collect()
}

/// Each change of who answers, and each gap.
pub(crate) fn seen_by_client(trace: &Trace) -> Vec<(Instant, String)> {
    let mut all = Vec::new();
    let mut last = "nobody";
    for sample in trace.samples() {
        if let Some(who) = sample.who()
            && who != last
        {
            all.push((sample.end, format!("client: answered by {who}, before by {last}")));
            last = who;
        }
    }
    for gap in trace.gaps() {
        let text = format!("client: {} requests fail for {:.1} ms", gap.failed, millis(gap.duration));
        all.push((gap.first_fail, text));
    }
    all
}

/// Milliseconds with sign, right-aligned.
pub(crate) fn offset(zero: Instant, at: Instant) -> String {
    let signed = if at >= zero { millis(at - zero) } else { -millis(zero - at) };
    format!("{signed:>+10.1} ms")
}

/// Milliseconds.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
