//! The namespace and what runs in it.

use super::{Install, NAME, labels};
use serde_json::{Value, json};

/// Port of the admin server: probes, metrics, and the questions of the other replicas.
const ADMIN_PORT: u16 = 8080;

pub(super) fn namespace(install: &Install) -> Value {
    let mut all = labels();
    if let Some(map) = all.as_object_mut() {
        for mode in ["enforce", "audit", "warn"] {
            map.insert(format!("pod-security.kubernetes.io/{mode}"), "restricted".into());
        }
    }
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": install.namespace, "labels": all}})
}

/// Some clusters allow the priority classes of the system only where a quota names them.
pub(super) fn quota(install: &Install) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": metadata(install),
        "spec": {
            "hard": {"pods": "16"},
            "scopeSelector": {"matchExpressions": [
                {"scopeName": "PriorityClass", "operator": "In", "values": ["system-cluster-critical"]},
            ]},
        },
    })
}

pub(super) fn service_account(install: &Install) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(install),
        "automountServiceAccountToken": false,
    })
}

/// One replica at a time may be away, and a replica that is broken anyway never blocks a drain.
pub(super) fn disruption_budget(install: &Install) -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(install),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector()},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    })
}

/// Two replicas, both warm. A new one is up before an old one goes.
pub(super) fn deployment(install: &Install) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(install),
        "spec": {
            "replicas": 2,
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": selector()},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": labels(), "annotations": {"kubectl.kubernetes.io/default-container": "controller"}},
                "spec": pod(install),
            },
        },
    })
}

fn pod(install: &Install) -> Value {
    json!({
        "serviceAccountName": NAME,
        "automountServiceAccountToken": true,
        "enableServiceLinks": false,
        "priorityClassName": "system-cluster-critical",
        "terminationGracePeriodSeconds": 10,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "affinity": affinity(),
        "topologySpreadConstraints": [{
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": selector()},
        }],
        "tolerations": [toleration("not-ready"), toleration("unreachable")],
        "containers": [container(install)],
    })
}

/// Preferred, not required: on a cluster of one node, or while only one is left, the second replica shall
/// still run. It then survives a crash of the first, if not the loss of the node.
fn affinity() -> Value {
    json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
        "weight": 100,
        "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": selector()}},
    }]}})
}

/// A replica on a lost node is replaced after 10 s and not after the usual 300 s.
fn toleration(condition: &str) -> Value {
    json!({
        "key": format!("node.kubernetes.io/{condition}"),
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 10,
    })
}

fn container(install: &Install) -> Value {
    let mut args = vec!["controller".to_owned()];
    args.extend(install.watched.iter().map(|namespace| format!("--namespace={namespace}")));
    json!({
        "name": "controller",
        "image": install.image,
        "args": args,
        "env": [
            from_field("POD_NAME", "metadata.name"),
            from_field("POD_NAMESPACE", "metadata.namespace"),
            from_field("POD_IP", "status.podIP"),
            from_field("NODE_NAME", "spec.nodeName"),
        ],
        "ports": [{"name": "admin", "containerPort": ADMIN_PORT, "protocol": "TCP"}],
        "livenessProbe": {"httpGet": {"path": "/live", "port": "admin"}, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "admin"}, "periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 2},
        // No limit on CPU: a throttled replica is a frozen one, whose probes tell nothing.
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
    })
}

fn from_field(name: &str, path: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
}

fn metadata(install: &Install) -> Value {
    json!({"name": NAME, "namespace": install.namespace, "labels": labels()})
}

/// What picks the replicas: never changed, because a Deployment's selector cannot be.
fn selector() -> Value {
    json!({"app.kubernetes.io/name": NAME, "app.kubernetes.io/component": "controller"})
}
