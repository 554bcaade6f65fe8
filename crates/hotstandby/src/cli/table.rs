//! Tables for people.

use super::view::{View, condition};
use hotstandby_cluster::api::ActiveStandby;
use hotstandby_cluster::api::status::{HistoryEntry, MemberStatus, ToldStatus};
use std::fmt::Write as _;

/// Which columns there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    /// The namespace first.
    pub(super) namespace: bool,
    /// Reason, node, address and pause at the end.
    pub(super) wide: bool,
}

/// The space between two columns.
const GAP: usize = 3;

/// The table of several groups.
pub(super) fn list(groups: &[&ActiveStandby], columns: Columns, now_ms: i64) -> String {
    let mut rows = vec![header(columns)];
    rows.extend(groups.iter().map(|group| row(group, columns, now_ms)));
    align(&rows)
}

/// One line for a group, to stand below `header_line` as changes come.
pub(super) fn line(group: &ActiveStandby, columns: Columns, now_ms: i64) -> String {
    pad(&row(group, columns, now_ms))
}

/// The header for lines that come one by one.
pub(super) fn header_line(columns: Columns) -> String {
    pad(&header(columns))
}

/// Lines that come one by one cannot know the widest cell, so names get a width that mostly does.
fn pad(cells: &[String]) -> String {
    let widths = cells.iter().map(|_| 12).collect::<Vec<_>>();
    join(cells, &widths)
}

fn header(columns: Columns) -> Vec<String> {
    let mut cells = Vec::new();
    if columns.namespace {
        cells.push("NAMESPACE");
    }
    cells.extend(["NAME", "READY", "ACTIVE", "TERM", "STANDBYS", "SINCE", "AGE"]);
    if columns.wide {
        cells.extend(["REASON", "NODE", "IP", "PAUSED"]);
    }
    cells.into_iter().map(str::to_owned).collect()
}

fn row(group: &ActiveStandby, columns: Columns, now_ms: i64) -> Vec<String> {
    let view = View::of(group);
    let status = view.status;
    let active = status.and_then(|status| status.active.as_ref());
    let age = |since: Option<i64>| since.map_or_else(none, |since| duration(now_ms.saturating_sub(since)));
    let mut cells = Vec::new();
    if columns.namespace {
        cells.push(view.namespace.to_owned());
    }
    cells.extend([
        view.name.to_owned(),
        view.ready.to_owned(),
        active.map_or_else(none, |active| active.pod.clone()),
        number(status.and_then(|status| status.term)),
        number(status.and_then(|status| status.standbys)),
        age(status.and_then(|status| status.since.as_ref()).map(|since| since.0.as_millisecond())),
        age(group.metadata.creation_timestamp.as_ref().map(|created| created.0.as_millisecond())),
    ]);
    if columns.wide {
        cells.extend([
            text(status.and_then(|status| status.reason.as_deref())),
            text(active.and_then(|active| active.node.as_deref())),
            text(active.and_then(|active| active.ip.as_deref())),
            if view.paused_by.is_empty() { "no".to_owned() } else { view.paused_by.join("+") },
        ]);
    }
    cells
}

/// All that is known of one group.
pub(super) fn detail(group: &ActiveStandby, now_ms: i64) -> String {
    let view = View::of(group);
    let mut out = String::new();
    let mut field = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name:<12}{value}");
    };
    field("Group:", &format!("{}/{}", view.namespace, view.name));
    if !view.paused_by.is_empty() {
        field("Paused:", &format!("by {}", view.paused_by.join(" and ")));
    }
    let Some(status) = view.status else {
        field("Status:", "none yet; is the controller running?");
        return out;
    };
    if !view.up_to_date {
        field("Note:", "the status does not speak of the newest spec yet");
    }
    match &status.active {
        Some(active) => {
            let place = [active.ip.as_deref(), active.node.as_deref()];
            let place: Vec<_> = place.into_iter().flatten().collect();
            field("Active:", &format!("{} ({})", active.pod, place.join(" on ")));
        }
        None => field("Active:", "nobody"),
    }
    field("Term:", &number(status.term));
    if let (Some(since), Some(reason)) = (&status.since, &status.reason) {
        let ago = duration(now_ms.saturating_sub(since.0.as_millisecond()));
        field("Since:", &format!("{ago} ago, by {reason}"));
    }
    if let Some(switchover) = &status.switchover {
        field(
            "Switchover:",
            &format!("{} ({}): {}", switchover.phase, switchover.request, switchover.message),
        );
    }
    section(&mut out, "Conditions", &conditions(group));
    section(&mut out, "Members", &members(&status.members));
    section(&mut out, "History", &history(&status.history, now_ms));
    out
}

pub(super) fn section(out: &mut String, title: &str, rows: &[Vec<String>]) {
    if rows.len() > 1 {
        let _ = write!(out, "\n{title}:\n");
        for line in align(rows).lines() {
            let _ = writeln!(out, "  {line}");
        }
    }
}

fn conditions(group: &ActiveStandby) -> Vec<Vec<String>> {
    let mut rows = vec![cells(["TYPE", "STATUS", "REASON", "MESSAGE"])];
    for kind in ["Accepted", "Ready", "Redundant", "DetectionReady", "Stalled"] {
        if let Some((status, reason, message)) = condition(group, kind) {
            rows.push(cells([kind, status, reason, message]));
        }
    }
    rows
}

pub(super) fn members(members: &[MemberStatus]) -> Vec<Vec<String>> {
    let mut rows = vec![cells(["NAME", "ROLE", "VERDICT", "PROBE", "TRIPWIRE", "NOTE"])];
    for member in members {
        let MemberStatus { name, role, verdict, probe, last_error, unfit, tripwire, told } = member;
        let told = told.as_ref().map(told_note);
        let notes = [unfit.as_deref(), last_error.as_deref(), told.as_deref()];
        let notes: Vec<_> = notes.into_iter().flatten().collect();
        let tripwire = tripwire.as_deref().map_or_else(none, |why| format!("off: {why}"));
        rows.push(vec![
            name.clone(),
            role.clone(),
            verdict.clone(),
            text(probe.as_deref()),
            tripwire,
            notes.join("; "),
        ]);
    }
    rows
}

/// What a member was told of its role, and whether it heard.
fn told_note(told: &ToldStatus) -> String {
    let ToldStatus { uid: _, role, term, tries, acknowledged, error } = told;
    let heard = match acknowledged {
        Some(true) => "acknowledged",
        Some(false) => "not acknowledged",
        None => "sent",
    };
    let why = error.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    format!("told {role} at term {term}, {heard} ({tries} tried){why}")
}

fn history(history: &[HistoryEntry], now_ms: i64) -> Vec<Vec<String>> {
    let mut rows =
        vec![cells(["TERM", "WHEN", "FROM", "TO", "REASON", "DETECT", "DECIDE", "SEAT", "TRAFFIC"])];
    for entry in history {
        let HistoryEntry { term, from, to, reason, at, stages } = entry;
        let when = at.as_ref().map(|at| duration(now_ms.saturating_sub(at.0.as_millisecond())));
        let mut row = vec![
            term.to_string(),
            when.map_or_else(none, |ago| format!("{ago} ago")),
            text(from.as_deref()),
            text(to.as_deref()),
            reason.clone(),
        ];
        let times = stages.map(|stages| {
            [stages.detect_micros, stages.decide_micros, stages.seat_micros, stages.traffic_micros]
                .map(millis)
        });
        row.extend(times.unwrap_or_else(|| [none(), none(), none(), none()]));
        rows.push(row);
    }
    rows
}

fn cells<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.into_iter().map(str::to_owned).collect()
}

fn none() -> String {
    "-".to_owned()
}

fn text(value: Option<&str>) -> String {
    value.filter(|text| !text.is_empty()).map_or_else(none, str::to_owned)
}

fn number(value: Option<impl ToString>) -> String {
    value.map_or_else(none, |number| number.to_string())
}

/// Microseconds as milliseconds with one decimal.
pub(super) fn millis(micros: i64) -> String {
    format!("{}.{}ms", micros / 1000, micros.rem_euclid(1000) / 100)
}

/// A length of time as kubectl writes it: the two largest units that matter.
pub(super) fn duration(millis: i64) -> String {
    let seconds = millis.max(0) / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let two = |large: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{small}{small_unit}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        _ => format!("{days}d"),
    }
}

fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    rows.iter().map(|row| join(row, &widths) + "\n").collect()
}

fn join(cells: &[String], widths: &[usize]) -> String {
    let mut out = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let _ = write!(out, "{cell:<width$}{:GAP$}", "");
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
