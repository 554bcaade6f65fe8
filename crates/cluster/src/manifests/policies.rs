//! Admission policies (Kubernetes 1.30 or newer) under which only hotstandby writes what hotstandby leads by.
//!
//! Five, each with a binding of its own, so that one can be left out or turned into a warning. All but one need nothing but the
//! request, so they fail closed: there is nothing that could be away. [`roles`] reads the groups, and so fails open. Why so:
//! docs/adr/0013-admission-policies.md.

use super::{Install, NAME, labels};
use crate::marked;
use crate::names;
use hotstandby_core::labels::MEMBER_LABEL;
use serde_json::{Value, json};

const ADMISSION: &str = "admissionregistration.k8s.io/v1";

/// Who cleans up in a cluster: what has lost its owner, or its namespace.
const CLEANERS: [&str; 3] = [
    "system:kube-controller-manager",
    "system:serviceaccount:kube-system:generic-garbage-collector",
    "system:serviceaccount:kube-system:namespace-controller",
];

/// The policies and their bindings.
pub(super) fn objects(install: &Install) -> Vec<Value> {
    [pods(install), roles(install), seats(install), slices(install), pointers(install)]
        .iter()
        .flat_map(|policy| [policy.object(install), policy.binding()])
        .collect()
}

/// One policy.
struct Policy {
    name: &'static str,
    /// API group, resources and operations.
    rule: (&'static str, &'static [&'static str], &'static [&'static str]),
    /// Namespaces it holds in; empty: all.
    namespaces: Vec<String>,
    /// Labels of the objects it is for, before or after the change.
    object_labels: Value,
    /// Every `ActiveStandby` of the request's namespace is looked at in turn.
    per_group: bool,
    /// What else must be so that anything is looked at: name and expression.
    conditions: Vec<(&'static str, String)>,
    variables: Vec<(&'static str, String)>,
    /// Expression, and what to do where it is false.
    validations: Vec<(String, String)>,
}

/// Puts a field into an object.
fn put(object: &mut Value, field: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
}

impl Policy {
    fn object(&self, install: &Install) -> Value {
        let (group, resources, operations) = self.rule;
        let mut constraints = json!({"resourceRules": [
            {"apiGroups": [group], "apiVersions": ["v1"], "operations": operations, "resources": resources},
        ]});
        if !self.namespaces.is_empty() {
            put(
                &mut constraints,
                "namespaceSelector",
                json!({"matchExpressions": [
                    {"key": "kubernetes.io/metadata.name", "operator": "In", "values": self.namespaces},
                ]}),
            );
        }
        if !self.object_labels.is_null() {
            put(&mut constraints, "objectSelector", json!({"matchLabels": self.object_labels}));
        }
        let by_others = ("by-others", format!("!(request.userInfo.username in {})", list(&writers(install))));
        let conditions: Vec<_> = [by_others]
            .iter()
            .chain(&self.conditions)
            .map(|(name, expression)| json!({"name": name, "expression": expression}))
            .collect();
        let validations: Vec<_> = self
            .validations
            .iter()
            .map(|(expression, message)| json!({"expression": expression, "message": message, "reason": "Forbidden"}))
            .collect();
        let mut spec = json!({
            "failurePolicy": if self.per_group { "Ignore" } else { "Fail" },
            "matchConstraints": constraints,
            "matchConditions": conditions,
            "validations": validations,
        });
        if self.per_group {
            put(
                &mut spec,
                "paramKind",
                json!({"apiVersion": "hotstandby.dev/v1alpha1", "kind": "ActiveStandby"}),
            );
        }
        if !self.variables.is_empty() {
            let variables = self.variables.iter();
            let variables =
                variables.map(|(name, expression)| json!({"name": name, "expression": expression}));
            put(&mut spec, "variables", variables.collect());
        }
        self.of_kind("ValidatingAdmissionPolicy", &spec)
    }

    fn binding(&self) -> Value {
        let mut spec = json!({"policyName": self.name, "validationActions": ["Deny"]});
        if self.per_group {
            put(&mut spec, "paramRef", json!({"selector": {}, "parameterNotFoundAction": "Allow"}));
        }
        self.of_kind("ValidatingAdmissionPolicyBinding", &spec)
    }

    fn of_kind(&self, kind: &str, spec: &Value) -> Value {
        json!({
            "apiVersion": ADMISSION,
            "kind": kind,
            "metadata": {"name": self.name, "labels": labels()},
            "spec": spec,
        })
    }
}

/// The users that hotstandby writes as.
fn writers(install: &Install) -> Vec<String> {
    let mut users = vec![format!("system:serviceaccount:{}:{NAME}", install.namespace)];
    users.extend(install.policy_users.iter().cloned());
    users
}

/// Texts as a list in CEL.
fn list<T: AsRef<str>>(texts: &[T]) -> String {
    let quoted = |text: &T| format!("'{}'", text.as_ref().replace('\\', r"\\").replace('\'', r"\'"));
    format!("[{}]", texts.iter().map(quoted).collect::<Vec<_>>().join(", "))
}

/// Variables that hold a map of metadata after and before the change; empty where there is none.
fn before_and_after(after: &'static str, before: &'static str, map: &str) -> [(&'static str, String); 2] {
    [
        (after, format!("object.metadata.?{map}.orValue({{}})")),
        (before, format!("oldObject == null ? {{}} : oldObject.metadata.?{map}.orValue({{}})")),
    ]
}

/// Pods: the member label, our marks, the label of an older system whose place we took, and whatever our marks say we lead.
fn pods(install: &Install) -> Policy {
    let [labels, old_labels] = before_and_after("labels", "oldLabels", "labels");
    let [annotations, old_annotations] = before_and_after("annotations", "oldAnnotations", "annotations");
    let undo = format!("variables.oldAnnotations[?'{}'].orValue('')", names::UNDO);
    let designation = names::POD_DESIGNATION;
    let active = names::POD_DESIGNATION_ACTIVE;
    Policy {
        name: "hotstandby-pods",
        rule: ("", &["pods", "pods/status"], &["CREATE", "UPDATE"]),
        namespaces: install.watched.clone(),
        object_labels: Value::Null,
        per_group: false,
        conditions: vec![(
            // Most requests are the kubelet's, and change neither.
            "labels-or-annotations",
            "oldObject == null || object.metadata.?labels != oldObject.metadata.?labels || \
             object.metadata.?annotations != oldObject.metadata.?annotations"
                .to_owned(),
        )],
        variables: vec![labels, old_labels, annotations, old_annotations, ("undo", undo)],
        validations: vec![
            (
                format!("variables.labels[?'{MEMBER_LABEL}'] == variables.oldLabels[?'{MEMBER_LABEL}']"),
                format!(
                    "only hotstandby sets the label {MEMBER_LABEL}, by which a Service leads to one pod. To move the active: \
                     hotstandby switchover. To copy a pod: leave that label and the hotstandby.dev annotations out."
                ),
            ),
            (
                format!(
                    "{}.all(mark, variables.annotations[?mark] == variables.oldAnnotations[?mark])",
                    list(&marked::ALL)
                ),
                "only hotstandby sets its marks, the annotations hotstandby.dev/controller, seat-uid, term, undo and so on. \
                 They go when the group goes, or no longer picks the pod."
                    .to_owned(),
            ),
            (
                format!(
                    "oldObject == null ? variables.labels[?'{designation}'] != optional.of('{active}') : \
                     variables.labels[?'{designation}'] == variables.oldLabels[?'{designation}']"
                ),
                format!(
                    "only hotstandby says by the label {designation} which pod is active. To move the active: \
                     hotstandby switchover. To go back to another controller: remove this policy first."
                ),
            ),
            (
                // What is led stands in the undo, a JSON object; no label's key or value holds a quote.
                format!(
                    "variables.undo == '' || [variables.labels, variables.oldLabels].all(side, side.all(key, \
                     !variables.undo.contains('\"' + key + '\":') || {SAME_LABEL}))"
                ),
                "hotstandby leads this label: its old value is noted in the pod's annotation hotstandby.dev/undo. To move the \
                 active: hotstandby switchover."
                    .to_owned(),
            ),
        ],
    }
}

const SAME_LABEL: &str = "variables.labels[?key] == variables.oldLabels[?key]";

/// Pods that a group with `roleLabel` picks: its key, also on members that hotstandby never had to write to.
fn roles(install: &Install) -> Policy {
    let [labels, old_labels] = before_and_after("labels", "oldLabels", "labels");
    let selected = "[variables.labels, variables.oldLabels].exists(side, \
         params.spec.selector.?matchLabels.orValue({}).all(key, side[?key] == \
         optional.of(params.spec.selector.matchLabels[key])) && \
         params.spec.selector.?matchExpressions.orValue([]).all(want, \
         want.operator == 'In' ? want.key in side && side[want.key] in want.values : \
         want.operator == 'NotIn' ? !(want.key in side && side[want.key] in want.values) : \
         (want.key in side) == (want.operator == 'Exists')))";
    Policy {
        name: "hotstandby-roles",
        rule: ("", &["pods", "pods/status"], &["CREATE", "UPDATE"]),
        namespaces: install.watched.clone(),
        object_labels: Value::Null,
        per_group: true,
        conditions: vec![
            ("labels", "oldObject == null || object.metadata.?labels != oldObject.metadata.?labels".to_owned()),
            ("has-role-label", "has(params.spec.roleLabel)".to_owned()),
        ],
        variables: vec![
            labels,
            old_labels,
            ("key", "params.spec.roleLabel.key".to_owned()),
            ("selected", selected.to_owned()),
        ],
        validations: vec![(
            "!variables.selected || (oldObject == null ? variables.labels[?variables.key] != \
             optional.of(params.spec.roleLabel.?active.orValue('active')) : \
             variables.labels[?variables.key] == variables.oldLabels[?variables.key])"
                .to_owned(),
            "an ActiveStandby of this namespace leads this label by its spec.roleLabel, and only hotstandby makes a pod active. \
             To move the active: hotstandby switchover. A pod template may say the standby's value, not the active's."
                .to_owned(),
        )],
    }
}

/// The seats: Leases in hotstandby's namespace with names of seats, however they are labelled.
fn seats(install: &Install) -> Policy {
    Policy {
        name: "hotstandby-seats",
        rule: ("coordination.k8s.io", &["leases"], &["CREATE", "UPDATE", "DELETE"]),
        namespaces: vec![install.namespace.clone()],
        object_labels: Value::Null,
        per_group: false,
        conditions: vec![(
            "seats",
            "(oldObject == null ? object : oldObject).metadata.name.matches('^(cr|svc)[.]')".to_owned(),
        )],
        variables: Vec::new(),
        validations: vec![(
            is_cleaning(),
            "this Lease is the seat of a group: it says who is active, and only hotstandby writes it. To move the active: \
             hotstandby switchover. To stop all moves: hotstandby pause. To remove the seat: remove the group."
                .to_owned(),
        )],
    }
}

/// Our slices. Those that a gatekeeper writes for its own pod are its own.
fn slices(install: &Install) -> Policy {
    let by_await = |side: &str| {
        format!(
            "{side}.metadata.?annotations[?'{}'] == optional.of('{}')",
            names::CONTROLLER,
            names::AWAIT_CONTROLLER
        )
    };
    Policy {
        name: "hotstandby-slices",
        rule: ("discovery.k8s.io", &["endpointslices"], &["CREATE", "UPDATE", "DELETE"]),
        namespaces: install.watched.clone(),
        object_labels: json!({names::MANAGED_BY_LABEL: names::GROUP}),
        per_group: false,
        conditions: vec![(
            "not-of-a-gatekeeper",
            format!("!((oldObject == null || {}) && (object == null || {}))", by_await("oldObject"), by_await("object")),
        )],
        variables: Vec::new(),
        validations: vec![(
            is_cleaning(),
            "hotstandby leads traffic by this EndpointSlice, and only hotstandby writes it. To move the active: hotstandby \
             switchover. To remove the slice: remove the group, or the Service from its spec.traffic.services."
                .to_owned(),
        )],
    }
}

/// Deletions by those that clean up, or in a namespace that is going anyway.
fn is_cleaning() -> String {
    format!(
        "request.operation == 'DELETE' && (request.userInfo.username in {} || \
         has(namespaceObject.metadata.deletionTimestamp))",
        list(&CLEANERS)
    )
}

/// Services with the selector pointer: who applies them from a text without it would lead traffic to every member at once.
fn pointers(install: &Install) -> Policy {
    let [annotations, old_annotations] = before_and_after("annotations", "oldAnnotations", "annotations");
    let opted_in = |side: &str| {
        let value = |key: &str| format!("variables.{side}[?'{key}'].orValue('')");
        let ours = format!("{} == '{}'", value(names::MODE), names::ACTIVE_STANDBY);
        format!("({} != '' || {ours})", value(names::SERVICE_MODE))
    };
    let member = |side: &str| format!("{side}.spec.?selector[?'{MEMBER_LABEL}']");
    Policy {
        name: "hotstandby-pointers",
        rule: ("", &["services", "services/status"], &["UPDATE"]),
        namespaces: install.watched.clone(),
        object_labels: Value::Null,
        per_group: false,
        conditions: vec![
            (
                "pointed",
                format!(
                    "{}.hasValue() && oldObject.metadata.?annotations[?'{}'].hasValue()",
                    member("oldObject"),
                    names::CONTROLLER
                ),
            ),
            // Harms nobody, and tools that are told to ignore the selector still try it with the rest before they leave it out.
            ("not-a-dry-run", "!request.?dryRun.orValue(false)".to_owned()),
        ],
        variables: vec![
            annotations,
            old_annotations,
            (
                "released",
                format!(
                    "variables.annotations[?'{}'].orValue('') == 'true' || ({} && !{})",
                    names::UNGUARDED,
                    opted_in("oldAnnotations"),
                    opted_in("annotations")
                ),
            ),
        ],
        validations: vec![
            (
                format!("variables.released || {} == {}", member("object"), member("oldObject")),
                format!(
                    "hotstandby leads traffic by {MEMBER_LABEL} in this Service's spec.selector; without it, traffic would go to \
                     every pod of the group. Let the tool that applies this Service ignore spec.selector (docs/gitops.md), or put \
                     the annotation {}: \"true\" on it.",
                    names::UNGUARDED
                ),
            ),
            (
                format!(
                    "variables.released || {}.all(mark, variables.annotations[?mark] == variables.oldAnnotations[?mark])",
                    list(&marked::ALL)
                ),
                format!(
                    "only hotstandby sets its marks on a Service, by which it puts the selector back one day. Change the Service \
                     rather than replace it, or put the annotation {}: \"true\" on it.",
                    names::UNGUARDED
                ),
            ),
        ],
    }
}
