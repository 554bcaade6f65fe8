//! Findings as YAML that can be applied, with a comment on each line that says why it is there.

use super::{
    AnnotatedPlan, BinaryPlan, Finding, GroupPlan, HttpPlan, Import, Plan, Question, RoleKey, SERVICE_MODE,
    System,
};
use crate::manifests::yaml::quoted;
use crate::objects::pairs_text;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The longest line of a comment that stands by itself.
const WIDTH: usize = 112;
/// The column at which comments begin, where the line leaves room.
const COLUMN: usize = 42;

/// All of it as text for `kubectl apply -f -`: objects, and the rest as comments.
pub fn to_text(import: &Import) -> String {
    let mut out = String::new();
    rights(&mut out, import);
    for finding in &import.findings {
        one(&mut out, finding);
    }
    old_controllers(&mut out, import);
    for moved in &import.moved {
        comment(
            &mut out,
            "",
            &format!("{} is led by group {} already: nothing to do.", moved.service, moved.group),
        );
    }
    for question in &import.questions {
        ask(&mut out, question);
    }
    for unread in &import.unread {
        comment(&mut out, "", &format!("Not looked at: {}: {}.", unread.what, unread.why));
    }
    out
}

/// What the install must be allowed, first: without it nothing below works.
fn rights(out: &mut String, import: &Import) {
    let with = import.with();
    if import.findings.is_empty() {
        return;
    }
    if with.is_empty() {
        comment(out, "", "Rights: the default install is enough.");
    } else {
        let all: Vec<_> = with.iter().copied().collect();
        comment(out, "", "Rights beyond the default install, needed first:");
        let _ = writeln!(
            out,
            "#   hotstandby manifests --with {} | kubectl apply --server-side -f -",
            all.join(",")
        );
    }
}

fn one(out: &mut String, finding: &Finding) {
    let objects: Vec<_> = finding.objects.iter().map(ToString::to_string).collect();
    out.push('\n');
    comment(out, "", &format!("{}: {}", objects.join(", "), finding.system.title()));
    for note in &finding.notes {
        comment(out, "", &format!("Note: {note}."));
    }
    match &finding.plan {
        Plan::Annotated(plan) => annotated(out, plan),
        Plan::Group(plan) => group(out, plan, finding.system),
        Plan::Binary(plan) => binary(out, plan),
    }
}

fn annotated(out: &mut String, plan: &AnnotatedPlan) {
    let AnnotatedPlan { namespace, service, selector, .. } = plan;
    comment(
        out,
        "",
        &format!(
            "Nothing to apply: hotstandby honours the annotation {SERVICE_MODE}, over the pods with {}. A switch is one patch \
             of the selector.",
            pairs_text(selector)
        ),
    );
    comment(out, "", "Or by hotstandby's own annotation, once the old controller is gone:");
    let _ = writeln!(
        out,
        "#   kubectl -n {namespace} annotate service {service} hotstandby.dev/mode=active-standby {SERVICE_MODE}-"
    );
}

/// Lines of YAML with a comment behind each.
#[derive(Default)]
struct Lines(String);

impl Lines {
    /// A line, and why it is there; an empty reason: none is needed.
    fn add(&mut self, indent: usize, text: &str, why: &str) {
        let line = format!("{:indent$}{text}", "");
        // Writing to a String cannot fail.
        let _ = if why.is_empty() {
            writeln!(self.0, "{line}")
        } else {
            writeln!(self.0, "{line:<COLUMN$} # {why}")
        };
    }

    fn pairs(&mut self, indent: usize, pairs: &BTreeMap<String, String>, why: &str) {
        for (index, (key, value)) in pairs.iter().enumerate() {
            let why = if index == 0 { why } else { "" };
            self.add(indent, &format!("{}: {}", quoted(key), quoted(value)), why);
        }
    }
}

fn head(lines: &mut Lines, namespace: &str, name: &str, why: &str) {
    lines.add(0, "---", "");
    lines.add(0, "apiVersion: hotstandby.dev/v1alpha1", "");
    lines.add(0, "kind: ActiveStandby", "");
    lines.add(0, "metadata:", "");
    lines.add(2, &format!("name: {}", quoted(name)), why);
    lines.add(2, &format!("namespace: {}", quoted(namespace)), "the pods' and Services' own");
    lines.add(0, "spec:", "");
}

fn group(out: &mut String, plan: &GroupPlan, system: System) {
    let GroupPlan { namespace, name, selector, services, role, probe, critical, oldest_first, datagram } =
        plan;
    let mut lines = Lines::default();
    head(&mut lines, namespace, name, "after the workload; any name will do");
    lines.add(2, "selector:", "");
    lines.add(4, "matchLabels:", "");
    lines.pairs(6, selector, "the pods: what the Service selects, without the role");
    lines.add(2, "traffic:", "");
    lines.add(4, "services:", "");
    for service in services {
        lines.add(4, &format!("- name: {}", quoted(service)), "stays as it is: it selects on the role label");
    }
    let RoleKey { key, active, standby } = role;
    let given = match system {
        System::RoleLabels => "what the template starts pods with",
        _ => "what the others get; a new pod gets it, too",
    };
    lines.add(2, "roleLabel:", "");
    lines.add(4, &format!("key: {}", quoted(key)), "hotstandby writes it, and repairs it whoever changes it");
    lines.add(4, &format!("active: {}", quoted(active)), "what the Service asks for; one pod has it");
    lines.add(4, &format!("standby: {}", quoted(standby)), given);
    if probe.is_some() || critical.is_some() {
        lines.add(2, "detect:", "");
    }
    if let Some(probe) = probe {
        http(&mut lines, probe);
    }
    if let Some((name, value)) = critical {
        lines.add(4, "criticalContainers:", "");
        lines.add(6, "env:", "");
        lines.add(8, &format!("name: {}", quoted(name)), "a container with this variable is critical");
        lines.add(8, &format!("value: {}", quoted(value)), "at this value: its end is a failover at once");
        lines.add(6, "deletePod: true", "and its pod is deleted, as before (--with delete-pods)");
    }
    if *oldest_first {
        lines.add(2, "candidates:", "");
        lines.add(4, "order: [OldestStart, Name]", "the oldest standby first, as before");
    }
    if let Some((port, message)) = datagram {
        lines.add(2, "notify:", "");
        lines.add(2, "- udp:", "a new active is told, again and again for 2s: once got lost");
        lines.add(6, &format!("port: {port}"), "harmless where nothing listens; then leave notify out");
        lines.add(6, &format!("message: {}", quoted(message)), "the same text as before");
    }
    out.push_str(&lines.0);
}

fn http(lines: &mut Lines, probe: &HttpPlan) {
    let HttpPlan { path, port, tls, expected_status, from } = probe;
    lines.add(4, "probe:", "");
    lines.add(6, "httpGet:", &format!("from {from}"));
    lines.add(8, &format!("path: {}", quoted(path)), "");
    if let Some(status) = expected_status {
        lines.add(
            8,
            &format!("expectedStatus: {status}"),
            "as the old check; left out, 200 to 399 are healthy",
        );
    }
    // A number must not be quoted; a name is never a number.
    lines.add(8, &format!("port: {port}"), "");
    if *tls {
        lines.add(8, "scheme: HTTPS", "the certificate is not verified");
    }
    lines.add(4, "period: 1s", "how often, instead of every 10 or 60 s");
    lines.add(4, "timeout: 500ms", "an answer that takes longer is a failure");
    lines.add(4, "failureThreshold: 3", "so many in a row; one alone never switches");
}

fn binary(out: &mut String, plan: &BinaryPlan) {
    let BinaryPlan { namespace, name, selector, lease, lease_is_here, service } = plan;
    comment(
        out,
        "",
        "Nothing to apply: put hotstandby-await into the image under the file name k8s-await-election, and roll. Variables, \
         rights and Lease stay (docs/migrate-c.md).",
    );
    let Some(lease) = lease else { return };
    if !lease_is_here {
        let text =
            "Its Lease is in another namespace, or the manifests do not say where: no group can follow it.";
        comment(out, "", text);
        return;
    }
    if selector.is_empty() {
        comment(out, "", "Its pods have no labels: no group can follow it.");
        return;
    }
    comment(
        out,
        "",
        "If you want to see who is active in kubectl get astb, this group follows the Lease (needs: hotstandby manifests \
         --with follow-leases). It leads a Service of its own, without a selector, which you make:",
    );
    if let Some(service) = service {
        comment(out, "", &format!("not {service}, whose endpoints the pods themselves write."));
    }
    let mut lines = Lines::default();
    head(&mut lines, namespace, name, "after the workload; any name will do");
    lines.add(2, "selector:", "");
    lines.add(4, "matchLabels:", "");
    lines.pairs(6, selector, "the pods: their template's labels");
    lines.add(2, "election:", "");
    lines.add(4, "mode: Pods", "the pods elect, hotstandby follows and writes no Lease");
    lines.add(4, &format!("lease: {{name: {}}}", quoted(lease)), "their Lease");
    lines.add(2, "traffic:", "");
    lines.add(4, "services:", "");
    lines.add(
        4,
        &format!("- name: {}", quoted(&format!("{name}-active"))),
        "a new Service without a selector",
    );
    for line in lines.0.lines() {
        let _ = writeln!(out, "# {line}");
    }
}

fn old_controllers(out: &mut String, import: &Import) {
    if import.old_controllers.is_empty() || import.findings.is_empty() {
        return;
    }
    out.push('\n');
    comment(
        out,
        "",
        "Old controllers: leave them running until hotstandby serves (READY True), then stop them; delete them when you are \
         content:",
    );
    for old in &import.old_controllers {
        let (kind, at) = (old.at.kind.to_lowercase(), &old.at);
        if matches!(old.at.kind.as_str(), "Deployment" | "ReplicaSet" | "StatefulSet") {
            let _ = writeln!(out, "#   kubectl -n {} scale {kind} {} --replicas=0", at.namespace, at.name);
        } else {
            let _ = writeln!(out, "#   kubectl -n {} delete {kind} {}", at.namespace, at.name);
        }
        comment(out, "    ", &format!("({}, recognised by {})", old.system.title(), old.because));
    }
}

fn ask(out: &mut String, question: &Question) {
    out.push('\n');
    comment(out, "", &format!("Question about {}: {}", question.object, question.question));
    for answer in &question.answers {
        comment(out, "  - ", answer);
    }
}

/// A text as comment lines, the first one behind `lead` and the others indented as far.
fn comment(out: &mut String, lead: &str, text: &str) {
    let indent = " ".repeat(lead.len());
    let mut line = format!("# {lead}");
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(out, "{line}");
            line = format!("# {indent}");
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    let _ = writeln!(out, "{}", line.trim_end());
}
