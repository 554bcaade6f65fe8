//! What `-o json` and `-o yaml` show of a group. The form is a contract, see docs/cli.md: fields are added,
//! never renamed.

use hotstandby_cluster::api::{ActiveStandby, ActiveStandbyStatus};
use serde::Serialize;

/// One group.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct View<'a> {
    /// Its namespace.
    pub(super) namespace: &'a str,
    /// Its name.
    pub(super) name: &'a str,
    /// The status of condition Ready: True, False or Unknown.
    pub(super) ready: &'a str,
    /// Why the group is paused; empty: it is not.
    pub(super) paused_by: Vec<&'static str>,
    /// Whether the status speaks of the newest spec.
    pub(super) up_to_date: bool,
    /// The group's `status` as in the API.
    pub(super) status: Option<&'a ActiveStandbyStatus>,
}

/// A line of `-w -o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line<'a> {
    /// `current`, `changed` or `deleted`.
    pub(super) event: &'static str,
    /// The group.
    pub(super) group: View<'a>,
}

impl<'a> View<'a> {
    /// What is shown of this group.
    pub(super) fn of(group: &'a ActiveStandby) -> Self {
        Self {
            namespace: group.metadata.namespace.as_deref().unwrap_or_default(),
            name: group.metadata.name.as_deref().unwrap_or_default(),
            ready: condition(group, "Ready").map_or("Unknown", |condition| condition.0),
            paused_by: paused_by(group),
            up_to_date: observed(group).is_some() && observed(group) == group.metadata.generation,
            status: group.status.as_ref(),
        }
    }
}

fn observed(group: &ActiveStandby) -> Option<i64> {
    group.status.as_ref()?.observed_generation
}

/// What pauses the group.
fn paused_by(group: &ActiveStandby) -> Vec<&'static str> {
    let by = [(group.spec.paused, "spec.paused"), (group.is_paused_by_annotation(), "annotation")];
    by.into_iter().filter_map(|(paused, what)| paused.then_some(what)).collect()
}

/// Status, reason and message of a condition.
pub(super) fn condition<'a>(group: &'a ActiveStandby, kind: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let condition = group.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == kind)?;
    Some((&condition.status, &condition.reason, &condition.message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_form_for_programs_is_a_contract() {
        let group: ActiveStandby = serde_json::from_value(json!({
            "apiVersion": "hotstandby.dev/v1alpha1", "kind": "ActiveStandby",
            "metadata": {
                "namespace": "shop", "name": "web", "generation": 2,
                "annotations": {"hotstandby.dev/paused": "true"},
            },
            "spec": {"selector": {"matchLabels": {"a": "b"}}, "traffic": {"services": [{"name": "s"}]}, "paused": true},
            "status": {"observedGeneration": 2, "term": 7},
        }))
        .unwrap();
        let expected = json!({
            "event": "changed",
            "group": {
                "namespace": "shop", "name": "web", "ready": "Unknown", "pausedBy": ["spec.paused", "annotation"],
                "upToDate": true, "status": {"observedGeneration": 2, "term": 7},
            },
        });
        let line = Line { event: "changed", group: View::of(&group) };
        assert_eq!(serde_json::to_value(line).unwrap(), expected);
    }
}
