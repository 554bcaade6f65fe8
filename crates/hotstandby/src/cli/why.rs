//! `hotstandby why`: the last decisions of a group, with their evidence.

use super::doctor::wrap;
use super::table::{duration, members, millis, section};
use super::{CliError, KubeFlags, now_ms, object_name};
use clap::{Args, ValueEnum};
use hotstandby_cluster::why::{Entry, Why};
use std::fmt::Write as _;
use std::io::{self, Write as _};

/// Flags of `why`.
#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// The group; service/NAME for one that a Service makes by its annotation.
    #[arg(value_name = "NAME", value_parser = group)]
    name: Group,
    /// Form of the output.
    #[arg(short, long, value_enum, value_name = "FORM", default_value_t)]
    output: Output,
    #[command(flatten)]
    kube: KubeFlags,
}

/// A group, by what makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Group {
    /// An `ActiveStandby`.
    Object(String),
    /// An annotated Service.
    Service(String),
}

fn group(text: &str) -> Result<Group, String> {
    match text.split_once('/') {
        None => object_name(text).map(Group::Object),
        Some(("service" | "svc", name)) => object_name(name).map(Group::Service),
        Some((kind, _)) => Err(format!("{kind:?} makes no group; write NAME or service/NAME")),
    }
}

/// Form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Text for people.
    #[default]
    Text,
    /// JSON, see docs/cli.md.
    Json,
}

/// Runs `why`.
pub(super) async fn run(args: WhyArgs, before: &KubeFlags) -> Result<(), CliError> {
    let WhyArgs { name, output, kube } = args;
    let groups = kube.or(before).connect().await?;
    let source = groups.source(false);
    let why = match name {
        Group::Object(name) => Why::of_group(&source, groups.namespace(), &groups.get(&name).await?).await,
        Group::Service(name) => Why::of_service(&source, groups.namespace(), &name).await?,
    };
    let text = match output {
        Output::Json => serde_json::to_string_pretty(&why)? + "\n",
        Output::Text => text(&why, now_ms()),
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

fn text(why: &Why, now_ms: i64) -> String {
    let mut out = String::new();
    let ago = |at: i64| format!("{} ago", duration(now_ms.saturating_sub(at)));
    let who = why.active.as_ref().map_or("nobody", |active| active.pod.as_str());
    let term = why.term.map(|term| format!(" at term {term}")).unwrap_or_default();
    let since = why.since.map(|since| format!(", since {}", ago(since.as_millisecond()))).unwrap_or_default();
    wrap(&mut out, "", &format!("{}/{}: {who} is active{term}{since}", why.namespace, why.name));
    if let Some(reason) = &why.reason {
        let meaning = why.meaning.unwrap_or("this version does not know this reason");
        wrap(&mut out, "  because: ", &format!("{meaning} ({reason})"));
    }
    for condition in &why.not_well {
        let text =
            format!("{}={}/{}: {}", condition.type_, condition.status, condition.reason, condition.message);
        wrap(&mut out, "  not well: ", &text);
    }
    section(&mut out, "Members now", &members(&why.members));
    if !why.timeline.is_empty() {
        out.push_str("\nWhat happened, newest first:\n");
    }
    for Entry { at, kind: _, reason, what, evidence, stages } in &why.timeline {
        let when = at.map_or_else(
            || "at an unknown time".to_owned(),
            |at| format!("{}  {}", at.strftime("%Y-%m-%d %H:%M:%S%.3fZ"), ago(at.as_millisecond())),
        );
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {when}  {reason}");
        wrap(&mut out, "      ", what);
        for text in evidence {
            wrap(&mut out, "      - ", text);
        }
        if let Some(stages) = stages {
            let [detect, decide, seat, traffic] =
                [stages.detect_micros, stages.decide_micros, stages.seat_micros, stages.traffic_micros]
                    .map(millis);
            let text = format!(
                "first sign to proof {detect}, decision {decide}, seat written {seat}, traffic led {traffic}"
            );
            wrap(&mut out, "      - ", &text);
        }
    }
    for text in &why.lacking {
        wrap(&mut out, "\nNote: ", text);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotstandby_cluster::api::ActiveStandby;
    use serde_json::json;

    #[test]
    fn a_group_is_named_by_what_makes_it() {
        assert_eq!(group("web"), Ok(Group::Object("web".to_owned())));
        assert_eq!(group("svc/web"), Ok(Group::Service("web".to_owned())));
        assert!(group("pod/web").is_err() && group("service/").is_err() && group("../x").is_err());
    }

    #[test]
    fn a_change_is_told_with_its_evidence() {
        let group: ActiveStandby = serde_json::from_value(json!({
            "apiVersion": "hotstandby.dev/v1alpha1", "kind": "ActiveStandby", "metadata": {"namespace": "shop", "name": "web"},
            "spec": {"selector": {"matchLabels": {"a": "b"}}, "traffic": {"services": [{"name": "s"}]}},
            "status": {
                "active": {"pod": "web-1", "uid": "p"}, "term": 8, "since": "2025-12-31T23:57:00Z", "reason": "ProbeRefused",
                "members": [{"name": "web-0", "role": "standby", "verdict": "unhealthy", "lastError": "refused"}],
                "history": [{
                    "term": 8, "from": "web-0", "to": "web-1", "reason": "ProbeRefused", "at": "2025-12-31T23:57:00.5Z",
                    "stages": {"detectMicros": 5600, "decideMicros": 49, "seatMicros": 4012, "trafficMicros": 5000},
                }],
            },
        }))
        .unwrap();
        let expected = "\
shop/web: web-1 is active at term 8, since 3m ago
  because: the pod that was active refused two connections in a row: its process was dead (ProbeRefused)

Members now:
  NAME    ROLE      VERDICT     PROBE   TRIPWIRE   NOTE
  web-0   standby   unhealthy   -       -          refused

What happened, newest first:
  2025-12-31 23:57:00.500Z  2m59s ago  ProbeRefused
      web-1 became active at term 8, after web-0
      - the pod that was active refused two connections in a row: its process was dead
      - first sign to proof 5.6ms, decision 0.0ms, seat written 4.0ms, traffic led 5.0ms

Note: Kubernetes keeps Events for an hour by default; older ones are gone
";
        assert_eq!(text(&Why::of(&group, Ok(Vec::new())), 1_767_225_600_000), expected);
    }
}
