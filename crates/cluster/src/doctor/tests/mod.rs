//! Each check both ways: found where it is there, silent where it is not.

mod install;
mod leftovers;
mod reach;
mod traffic;

use super::*;
use serde_json::{Value, json};

/// A cluster in which all is well: one group over two pods, its Service without a selector, and two replicas of
/// hotstandby.
pub(super) fn healthy() -> Snapshot {
    let mut objects = Objects { live: true, ..Objects::default() };
    for name in ["web-0", "web-1"] {
        objects.pods.push(from(pod(name, &json!({"app": "web"}))));
    }
    objects.services.push(from(json!({
        "metadata": {"name": "web-active", "namespace": "shop"}, "spec": {"ports": [{"port": 80, "targetPort": "http"}]},
    })));
    objects.slices.push(from(json!({
        "metadata": {"name": "web-active-hotstandby-ipv4", "namespace": "shop", "labels": {
            "kubernetes.io/service-name": "web-active", "endpointslice.kubernetes.io/managed-by": "hotstandby.dev",
        }},
        "addressType": "IPv4", "endpoints": [],
    })));
    let labels = json!({"app.kubernetes.io/name": "hotstandby", "app.kubernetes.io/component": "controller"});
    let replica = |name: &str, ip: &str| {
        json!({
            "metadata": {"name": name, "namespace": "hotstandby-system", "labels": labels},
            "spec": {"containers": [{"name": "controller", "image": "hotstandby/hotstandby:0.1.0"}]},
            "status": {"podIP": ip},
        })
    };
    Snapshot {
        version: "0.1.0".to_owned(),
        groups: Ok(vec![from(group(&json!({})))]),
        objects,
        policies: Ok(Vec::new()),
        budgets: Ok(Vec::new()),
        namespaces: Ok(Vec::new()),
        installs: Ok(vec![from(json!({
            "metadata": {"name": "hotstandby", "namespace": "hotstandby-system"},
            "spec": {"replicas": 2, "selector": {}, "template": {"spec": {
                "serviceAccountName": "hotstandby",
                "containers": [{"name": "controller", "image": "hotstandby/hotstandby:0.1.0"}],
            }}},
            "status": {"readyReplicas": 2},
        }))]),
        replicas: Ok(vec![from(replica("a", "10.9.0.1")), from(replica("b", "10.9.0.2"))]),
        crd: Ok(Some(crate::api::crd())),
        kube_proxy: Ok(Some(proxy("mode: nftables\n"))),
        rights: Ok(Vec::new()),
        argo: Ok(false),
    }
}

pub(super) fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

pub(super) fn pod(name: &str, labels: &Value) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {"containers": [{"name": "app", "ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

/// The group, with this merged into its spec.
pub(super) fn group(spec: &Value) -> Value {
    let mut all = json!({
        "selector": {"matchLabels": {"app": "web"}}, "traffic": {"services": [{"name": "web-active"}]},
    });
    for (key, value) in spec.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
    json!({
        "apiVersion": "hotstandby.dev/v1alpha1", "kind": "ActiveStandby",
        "metadata": {"name": "web", "namespace": "shop"}, "spec": all,
        "status": {
            "members": [{"name": "web-0", "probe": "Armed"}],
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "Served", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"},
            ],
        },
    })
}

pub(super) fn with_group(spec: &Value) -> Snapshot {
    Snapshot { groups: Ok(vec![from(group(spec))]), ..healthy() }
}

pub(super) fn proxy(config: &str) -> ConfigMap {
    let text =
        format!("apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n{config}");
    from(
        json!({"metadata": {"name": "kube-proxy"}, "data": {"config.conf": text, "kubeconfig.conf": "kind: Config\n"}}),
    )
}

/// The ids of all findings but the one on kube-proxy, which is always there.
pub(super) fn ids(snapshot: &Snapshot) -> Vec<&'static str> {
    let findings = Report::of(snapshot).findings;
    findings.iter().map(|finding| finding.id).filter(|id| *id != "KubeProxySyncPeriod").collect()
}

#[test]
fn a_healthy_cluster_has_no_findings_and_no_check_is_skipped() {
    let report = Report::of(&healthy());
    assert_eq!(report.skipped, []);
    assert_eq!(ids(&healthy()), [""; 0], "{:?}", report.findings);
    assert_eq!(report.checked.len(), CHECKS.len());
}

#[test]
fn what_cannot_be_read_skips_its_checks_and_says_so() {
    let unread = |what: &str| Unread::new(what, "you may not read them");
    let mut snapshot = Snapshot {
        policies: Err(unread("networkpolicies")),
        budgets: Err(unread("poddisruptionbudgets")),
        installs: Err(unread("deployments")),
        crd: Err(unread("customresourcedefinitions")),
        kube_proxy: Err(unread("configmaps")),
        rights: Err(unread("hotstandby's rights")),
        ..healthy()
    };
    snapshot.objects.unread = vec![unread("endpointslices"), unread("replicasets")];
    let report = Report::of(&snapshot);
    let skipped: Vec<_> = report.skipped.iter().map(|one| one.check).collect();
    let expected = [
        "crd",
        "controller",
        "rights",
        "foreign-endpoints",
        "network-policies",
        "old-controllers",
        "disruption-budgets",
        "kube-proxy",
    ];
    assert_eq!(skipped, expected);
    assert_eq!(report.findings, [], "nothing is said about what was not seen");
    let none = Snapshot { groups: Err(unread("activestandbies")), ..healthy() };
    assert!(Report::of(&none).skipped.len() > 5);
}

#[test]
fn the_worst_comes_first_and_the_form_is_a_contract() {
    let mut snapshot = with_group(&json!({"selector": {"matchLabels": {"app": "nobody"}}}));
    snapshot.kube_proxy = Ok(Some(proxy("mode: iptables\niptables: {minSyncPeriod: 10s}\n")));
    let report = Report::of(&snapshot);
    assert_eq!(report.findings[0].severity, Severity::Error);
    let value = serde_json::to_value(&report).unwrap();
    let first = &value["findings"][0];
    assert_eq!(first["id"], "SelectorPicksNoPod");
    assert_eq!(first["severity"], "error");
    assert_eq!(first["object"], json!({"kind": "ActiveStandby", "namespace": "shop", "name": "web"}));
    for field in ["what", "why", "remedy"] {
        assert!(first[field].as_str().is_some_and(|text| !text.is_empty()), "{field}");
    }
}
