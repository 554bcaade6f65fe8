//! The API server's own log of what hotstandby asked for: for the test of rights and the test of silence.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::objects::text;

/// The service account that is logged.
pub const USER: &str = "system:serviceaccount:hotstandby-system:hotstandby";
const LOG_FLAG: &str = "--audit-log-path=";

/// One request that was answered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// API group; empty for the core group.
    pub group: String,
    /// Resource, with its subresource.
    pub resource: String,
    /// Verb.
    pub verb: String,
    /// Namespace; empty for none.
    pub namespace: String,
    /// Whether it was refused for want of a right. Not so where a namespace is on its way out, though the answer
    /// has the same code.
    pub forbidden: bool,
    /// When it arrived, RFC 3339.
    pub at: String,
}

impl Entry {
    /// Whether it asked for a change.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch") && self.group != "authorization.k8s.io"
    }
}

/// An audit log.
#[derive(Debug, Clone)]
pub struct Audit {
    path: PathBuf,
}

impl Audit {
    /// Writes the policy and says with which arguments the API server logs by it.
    pub fn prepare(folder: &Path) -> Result<Vec<String>> {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let (policy, log) = (folder.join("audit-policy.json"), folder.join("audit.log"));
        let rules = serde_json::json!({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata", "users": [USER]}, {"level": "None"}],
        });
        fs::write(&policy, rules.to_string()).with_context(|| format!("writing {}", policy.display()))?;
        fs::write(&log, "").with_context(|| format!("emptying {}", log.display()))?;
        Ok(vec![format!("--audit-policy-file={}", policy.display()), format!("{LOG_FLAG}{}", log.display())])
    }

    /// The log of an API server with these arguments, if it keeps one.
    pub fn of(arguments: &[String]) -> Option<Self> {
        let path = arguments.iter().find_map(|argument| argument.strip_prefix(LOG_FLAG))?;
        Some(Self { path: PathBuf::from(path) })
    }

    /// Where the log ends now, for [`Self::since`].
    pub fn end(&self) -> u64 {
        fs::metadata(&self.path).map(|metadata| metadata.len()).unwrap_or_default()
    }

    /// All requests that were answered after this end of the log.
    pub fn since(&self, end: u64) -> Result<Vec<Entry>> {
        let text = fs::read(&self.path).with_context(|| format!("reading {}", self.path.display()))?;
        let from = usize::try_from(end).unwrap_or_default();
        Ok(parse(&String::from_utf8_lossy(text.get(from..).unwrap_or_default())))
    }

    /// All requests.
    pub fn all(&self) -> Result<Vec<Entry>> {
        self.since(0)
    }
}

fn parse(log: &str) -> Vec<Entry> {
    // The last line may be half written.
    log.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter_map(|entry| entry_of(&entry))
        .collect()
}

fn entry_of(entry: &Value) -> Option<Entry> {
    // A path such as /version has no object; everybody may read it.
    let object = entry.get("objectRef")?;
    let annotation =
        entry.get("annotations").and_then(|all| all.get("authorization.k8s.io/decision")?.as_str());
    let sub = text(object, "/subresource");
    let resource = text(object, "/resource");
    Some(Entry {
        group: text(object, "/apiGroup").to_owned(),
        resource: if sub.is_empty() { resource.to_owned() } else { format!("{resource}/{sub}") },
        verb: text(entry, "/verb").to_owned(),
        namespace: text(object, "/namespace").to_owned(),
        forbidden: annotation == Some("forbid"),
        at: text(entry, "/requestReceivedTimestamp").to_owned(),
    })
}

/// A right: group, resource, verb.
pub type Right = (String, String, String);

/// The rights a role's rules give.
pub fn granted(role: &Value) -> BTreeSet<Right> {
    let strings = |rule: &Value, field: &str| -> Vec<String> {
        let list = rule.get(field).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut rights = BTreeSet::new();
    for rule in super::objects::items(role, "/rules") {
        for group in strings(rule, "apiGroups") {
            for resource in strings(rule, "resources") {
                for verb in strings(rule, "verbs") {
                    rights.insert((group.clone(), resource.clone(), verb));
                }
            }
        }
    }
    rights
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn entries_are_read_and_halves_are_left_out() {
        let log = r#"{"verb":"update","objectRef":{"resource":"activestandbies","subresource":"status","apiGroup":"hotstandby.dev","namespace":"t"},"responseStatus":{"code":200}}
{"verb":"get","requestURI":"/version"}
{"verb":"watch","objectRef":{"resource":"pods"}"#;
        let entries = parse(log);
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].resource, "activestandbies/status");
        assert!(entries[0].is_write());
    }

    #[test]
    fn rules_multiply_out() {
        let role =
            json!({"rules": [{"apiGroups": ["", "apps"], "resources": ["pods"], "verbs": ["get", "list"]}]});
        assert_eq!(granted(&role).len(), 4);
        assert!(granted(&role).contains(&("apps".into(), "pods".into(), "list".into())));
    }
}
