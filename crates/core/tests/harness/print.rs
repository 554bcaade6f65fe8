//! Actions and status as short lines.

use hotstandby_core::action::{
    Action, Change, MarkedWrite, MarksWrite, Precondition, ProbeTarget, WireProbe,
};
use hotstandby_core::conditions::{ConditionType, Status};
use hotstandby_core::ids::Uid;
use hotstandby_core::labels::MEMBER_LABEL;
use hotstandby_core::notice::{NoticeBy, Notification};
use hotstandby_core::report::Report;
use hotstandby_core::seat::SeatRecord;
use hotstandby_core::view::{Protocol, SliceContent, SliceView};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// An action as one line; `None` for those that are shown on request only.
pub(super) fn action(action: &Action, name_of: impl Fn(&Uid) -> String, now: Duration) -> Option<String> {
    let line = match action {
        Action::Verify { pods, named, .. } => {
            let named = named.as_ref().map_or_else(String::new, |name| format!(" and whoever is {name}"));
            pods.iter().fold("read seat".to_owned(), |line, pod| format!("{line} {}", pod.name)) + &named
        }
        Action::WriteSeat { precondition, seat, .. } => {
            format!("{} seat {} term={} {}", verb(precondition), seat.holder.name, seat.term, seat.reason)
        }
        Action::WriteSlice { service, family, precondition, content, .. } => {
            let (verb, family) = (verb(precondition), family.suffix());
            format!("{verb} slice {service}/{family} {}", self::content(content))
        }
        Action::LabelPod { pod, write, .. } => format!("label {} {}", pod.name, marked(write, &name_of)),
        Action::PointService { service, write, .. } => {
            format!("selector {service} {}", marked(write, &name_of))
        }
        Action::DeletePod { pod, grace_seconds, .. } => match grace_seconds {
            Some(seconds) => format!("delete pod {} within {seconds}s", pod.name),
            None => format!("delete pod {}", pod.name),
        },
        Action::Notify { notice, .. } => format!("notify {}", self::notice(notice)),
        Action::ProbeAt { uid, at } if *at <= now => format!("probe {} now", name_of(uid)),
        Action::ProbeAt { uid, at } => format!("probe {} in {:?}", name_of(uid), *at - now),
        Action::AskPeers { uid, .. } => format!("ask peers about {}", name_of(uid)),
        Action::Relist => "relist".to_owned(),
        Action::Tell(notice) => {
            format!("event{} {}: {}", if notice.warning { "!" } else { "" }, notice.reason, notice.message)
        }
        Action::Publish(_) => return None,
        Action::Completed(change) => completed(change),
    };
    Some(line)
}

/// Changes of labels or of a selector; `@web-0` is that pod's UID.
fn marked(write: &MarkedWrite, name_of: &impl Fn(&Uid) -> String) -> String {
    let change = |(key, value): (&Arc<str>, &Option<Arc<str>>)| match value {
        Some(value) if **key == *MEMBER_LABEL => format!("member=@{}", name_of(&Uid::from(&**value))),
        Some(value) => format!("{key}={value}"),
        None if **key == *MEMBER_LABEL => "-member".to_owned(),
        None => format!("-{key}"),
    };
    let changes: Vec<String> = write.changes.iter().map(change).collect();
    let marks = match &write.marks {
        MarksWrite::Keep => " marks kept".to_owned(),
        MarksWrite::Clear => " marks gone".to_owned(),
        MarksWrite::Set(marks) => match &marks.seat {
            Some(seat) => format!(" term={}", seat.term),
            None => " before any term".to_owned(),
        },
    };
    if changes.is_empty() { format!("marks{marks}") } else { changes.join(" ") + &marks }
}

fn notice(notice: &Notification) -> String {
    let (to, role, term) = (&notice.to.name, notice.role.as_str(), notice.term);
    match &notice.by {
        NoticeBy::Udp { port, message } => {
            format!("{to} udp {port} {:?} {role} term={term}", notice.text(message))
        }
        NoticeBy::Http { port, path, .. } => format!("{to} http {port} {path} {role} term={term}"),
    }
}

/// Labels or a selector as they stand.
pub(super) fn pairs(pairs: &BTreeMap<Arc<str>, Arc<str>>, name_of: &impl Fn(&Uid) -> String) -> String {
    let pair = |(key, value): (&Arc<str>, &Arc<str>)| {
        if **key == *MEMBER_LABEL {
            format!("member=@{}", name_of(&Uid::from(&**value)))
        } else {
            format!("{key}={value}")
        }
    };
    pairs.iter().map(pair).collect::<Vec<_>>().join(",")
}

const fn verb(precondition: &Precondition) -> &'static str {
    match precondition {
        Precondition::Absent => "create",
        Precondition::Unchanged { .. } => "update",
    }
}

fn completed(change: &Change) -> String {
    let from = change.from.as_deref().unwrap_or("nobody");
    let mut line = format!("done {from} -> {} term={} {}", change.to, change.term, change.reason);
    match change.stages {
        Some(stages) => {
            let (detect, decide) = (stages.detect, stages.decide);
            let _ = write!(line, " detect={detect:?} decide={decide:?}");
        }
        None => line.push_str(" by another replica"),
    }
    line
}

pub(super) fn content(content: &SliceContent) -> String {
    let Some(endpoint) = &content.endpoint else {
        return format!("empty term={}", content.term);
    };
    let mut line = format!("{} {}", endpoint.pod, endpoint.ip);
    for port in &content.ports {
        let name = if port.name.is_empty() { String::new() } else { format!("{}=", port.name) };
        let protocol = if port.protocol == Protocol::Tcp { "" } else { "/UDP" };
        let _ = write!(line, " {name}{}{protocol}", port.port);
    }
    format!("{line} term={}", content.term)
}

/// A live seat.
pub(super) fn seat(seat: Option<&SeatRecord>) -> String {
    seat.map_or_else(
        || "seat absent".to_owned(),
        |seat| {
            let holder = seat.holder.as_deref().unwrap_or("nobody");
            let term = seat.term.map_or_else(|| "none".to_owned(), |term| term.to_string());
            let sealed = if seat.sealed().is_some() { "" } else { " unsealed" };
            format!("seat {} {holder} term={term}{sealed}", seat.uid)
        },
    )
}

/// A live slice.
pub(super) fn slice(view: &SliceView) -> String {
    let what = view.content.as_ref().map_or_else(|| "edited by somebody".to_owned(), content);
    format!("slice {} {what}", view.name)
}

/// The whole status.
pub(super) fn report(report: &Report) -> String {
    let mut text = String::new();
    let active = report.active.as_ref().map_or("nobody", |active| &active.pod);
    let _ = write!(text, "active {active}");
    if let (Some(term), Some(reason)) = (report.term, report.reason) {
        let _ = write!(text, " term={term} {reason}");
    } else if let Some(term) = report.term {
        let _ = write!(text, " term={term}");
    }
    if report.term_is_no_token {
        text.push_str(" no-token");
    }
    let _ = writeln!(text, " standbys={}", report.standbys);
    for condition in &report.conditions {
        let good = condition.status == Status::True && condition.kind != ConditionType::Stalled;
        let message = if good { String::new() } else { format!(": {}", condition.message) };
        let (kind, status) = (condition.kind.as_str(), condition.status.as_str());
        let _ = writeln!(text, "{kind}={status}/{}{message}", condition.reason);
    }
    for member in &report.members {
        let _ = write!(text, "{} {} {}", member.name, member.role, member.verdict);
        for (name, value) in
            [("probe", member.probe), ("unfit", member.unfit), ("tripwire-off", member.tripwire_off)]
        {
            if let Some(value) = value {
                let _ = write!(text, " {name}={value}");
            }
        }
        if let Some(error) = &member.last_error {
            let _ = write!(text, " error={error:?}");
        }
        if let Some(told) = &member.delivered {
            let _ = write!(text, " told={} term={} tries={}", told.role.as_str(), told.term, told.tries);
            match (told.acknowledged, &told.error) {
                (Some(true), _) => text.push_str(" acknowledged"),
                (_, Some(error)) => {
                    let _ = write!(text, " failed={error:?}");
                }
                (Some(false), None) => text.push_str(" unacknowledged"),
                (None, None) => {}
            }
        }
        text.push('\n');
    }
    if let Some(answer) = &report.switchover {
        let _ =
            writeln!(text, "switchover {:?} {}: {}", answer.request, answer.phase.as_str(), answer.message);
    }
    text
}

/// One line of the probe plan.
pub(super) fn target(target: &ProbeTarget, name: &str) -> String {
    let wire = match &target.wire {
        WireProbe::Tcp => "tcp".to_owned(),
        WireProbe::Http { path, tls, .. } => format!("http{} {path}", if *tls { "s" } else { "" }),
    };
    let tripwire = if target.tripwire { " tripwire" } else { "" };
    format!("{name} {}:{} {wire}{tripwire}", target.ip, target.port)
}
