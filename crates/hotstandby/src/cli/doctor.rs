//! `hotstandby doctor`: what bites, and what to do about it.

use super::{CliError, KubeFlags};
use clap::{Args, ValueEnum};
use hotstandby_cluster::doctor::{Finding, Report, Severity, Snapshot};
use std::fmt::Write as _;
use std::io::{self, Write as _};

/// The longest line of the text.
const WIDTH: usize = 110;

/// Flags of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Look at the groups of all namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, value_name = "FORM", default_value_t)]
    output: Output,
    #[command(flatten)]
    kube: KubeFlags,
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

/// Runs `doctor`.
pub(super) async fn run(args: DoctorArgs, before: &KubeFlags) -> Result<(), CliError> {
    let DoctorArgs { all_namespaces, output, kube } = args;
    let groups = kube.or(before).connect().await?;
    let snapshot = Snapshot::read(&groups.source(all_namespaces)).await?;
    let report = Report::of(&snapshot);
    let text = match output {
        Output::Json => serde_json::to_string_pretty(&report)? + "\n",
        Output::Text => text(&report),
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    match report.count(Severity::Error) {
        0 => Ok(()),
        errors => Err(CliError::Refused(format!("{errors} of the findings are errors"))),
    }
}

fn text(report: &Report) -> String {
    let mut out = String::new();
    for Finding { id, severity, object, what, why, remedy } in &report.findings {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{} {id}: {object}", severity.as_str().to_uppercase());
        for (lead, text) in [("what:   ", what.as_str()), ("why:    ", why), ("remedy: ", remedy)] {
            wrap(&mut out, &format!("  {lead}"), text);
        }
        out.push('\n');
    }
    for skipped in &report.skipped {
        wrap(
            &mut out,
            "  ",
            &format!("not checked: {} (lacks {}: {})", skipped.check, skipped.lacks, skipped.why),
        );
    }
    let counted = [(Severity::Error, "errors"), (Severity::Warning, "warnings"), (Severity::Info, "notes")]
        .map(|(severity, name)| format!("{} {name}", report.count(severity)));
    let _ = writeln!(
        out,
        "{}; {} checks made, {} not",
        counted.join(", "),
        report.checked.len(),
        report.skipped.len()
    );
    out
}

/// A text in lines of at most [`WIDTH`], the first one behind `lead` and the others as far in.
pub(super) fn wrap(out: &mut String, lead: &str, text: &str) {
    let indent = lead.chars().count();
    let mut line = lead.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(out, "{line}");
            line = " ".repeat(indent);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    let _ = writeln!(out, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotstandby_cluster::doctor::Skipped;
    use hotstandby_cluster::objects::At;

    #[test]
    fn each_finding_says_what_why_and_remedy() {
        let report = Report {
            findings: vec![Finding {
                id: "ForeignEndpoints",
                severity: Severity::Error,
                object: At::new("Service", "shop", "web"),
                what: "a slice".to_owned(),
                why: "a union",
                remedy: "delete it".to_owned(),
            }],
            skipped: vec![Skipped {
                check: "kube-proxy",
                lacks: "configmaps".into(),
                why: "no right".into(),
            }],
            checked: vec!["services"],
        };
        let expected = "\
ERROR ForeignEndpoints: Service shop/web
  what:   a slice
  why:    a union
  remedy: delete it

  not checked: kube-proxy (lacks configmaps: no right)
1 errors, 0 warnings, 0 notes; 1 checks made, 1 not
";
        assert_eq!(text(&report), expected);
    }

    #[test]
    fn long_texts_are_wrapped_under_their_lead() {
        let mut out = String::new();
        wrap(&mut out, "  why:    ", &"word ".repeat(60));
        assert!(out.lines().all(|line| line.len() <= WIDTH));
        assert!(out.lines().nth(1).is_some_and(|line| line.starts_with("          word")));
    }
}
