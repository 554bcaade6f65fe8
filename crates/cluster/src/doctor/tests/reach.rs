//! Network policies and kube-proxy.

use super::*;

fn with_policy(ingress: &Value) -> Snapshot {
    let policy = json!({
        "metadata": {"name": "strict", "namespace": "shop"},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"], "ingress": ingress},
    });
    Snapshot { policies: Ok(vec![from(policy)]), ..healthy() }
}

fn is_blocked(ingress: &Value) -> bool {
    ids(&with_policy(ingress)) == ["ProbeBlockedByPolicy"]
}

#[test]
fn a_policy_without_us_blocks() {
    assert!(is_blocked(&json!([])));
    assert!(is_blocked(&json!([{"from": [{"podSelector": {}}]}])), "the pods' own namespace only");
    assert!(is_blocked(&json!([{"ports": [{"port": 9090}]}])));
    assert!(is_blocked(&json!([{"ports": [{"port": 8080, "protocol": "UDP"}]}])));
    assert!(is_blocked(&json!([{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.9.0.0/24"]}}]}])));
}

#[test]
fn a_policy_that_lets_us_in_does_not() {
    let us =
        json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "hotstandby-system"}}});
    for ingress in [
        json!([{}]),
        json!([{"from": [us]}]),
        json!([{"from": [us], "ports": [{"port": "http"}]}]),
        json!([{"from": [{"namespaceSelector": {}}], "ports": [{"port": 8000, "endPort": 8100}]}]),
        json!([{"from": [{"ipBlock": {"cidr": "10.9.0.0/16"}}]}]),
        json!([{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]),
        json!([{"from": [{"namespaceSelector": {}, "podSelector": {"matchExpressions": [{"key": "app.kubernetes.io/name", "operator": "Exists"}]}}]}]),
    ] {
        assert!(!is_blocked(&ingress), "{ingress}");
    }
}

#[test]
fn one_policy_that_lets_us_in_is_enough() {
    let mut snapshot = with_policy(&json!([]));
    let open = json!({"metadata": {"name": "open", "namespace": "shop"}, "spec": {"podSelector": {}, "ingress": [{}]}});
    if let Ok(policies) = &mut snapshot.policies {
        policies.push(from(open));
    }
    assert_eq!(ids(&snapshot), [""; 0]);
}

#[test]
fn policies_for_others_do_not_count() {
    let policy = |spec: Value, namespace: &str| {
        let policy = json!({"metadata": {"name": "p", "namespace": namespace}, "spec": spec});
        ids(&Snapshot { policies: Ok(vec![from(policy)]), ..healthy() })
    };
    assert_eq!(policy(json!({"podSelector": {}, "policyTypes": ["Egress"]}), "shop"), [""; 0]);
    assert_eq!(policy(json!({"podSelector": {"matchLabels": {"app": "db"}}}), "shop"), [""; 0]);
    assert_eq!(policy(json!({"podSelector": {}}), "other"), [""; 0]);
}

#[test]
fn it_is_an_error_only_where_nobody_answers() {
    let mut snapshot = with_policy(&json!([]));
    assert_eq!(Report::of(&snapshot).findings[0].severity, Severity::Warning);
    if let Ok(groups) = &mut snapshot.groups {
        groups[0].status.as_mut().unwrap().members[0].probe = Some("NotArmed".to_owned());
    }
    assert_eq!(Report::of(&snapshot).findings[0].severity, Severity::Error);
}

fn proxy_finding(config: &str) -> (Severity, String) {
    let report = Report::of(&Snapshot { kube_proxy: Ok(Some(proxy(config))), ..healthy() });
    let finding = report.findings.into_iter().find(|finding| finding.id == "KubeProxySyncPeriod").unwrap();
    (finding.severity, finding.what)
}

#[test]
fn kube_proxys_pause_is_told() {
    let (severity, what) = proxy_finding("mode: nftables\nnftables: {minSyncPeriod: 1s}\n");
    assert_eq!((severity, what.contains("up to 1s")), (Severity::Info, true), "{what}");
    assert!(
        proxy_finding("mode: \"\"\niptables: {minSyncPeriod: 0s}\n").1.contains("mode iptables"),
        "zero means 1s there"
    );
    let (severity, what) = proxy_finding("mode: iptables\niptables: {minSyncPeriod: 1m10s}\n");
    assert_eq!((severity, what.contains("70s")), (Severity::Warning, true), "{what}");
    assert!(proxy_finding("mode: ipvs\nipvs: {minSyncPeriod: 0s}\n").1.contains("without a pause"));
}

#[test]
fn a_proxy_whose_settings_cannot_be_seen_is_said_to_be_unseen() {
    for kube_proxy in [None, Some(from(json!({"metadata": {"name": "kube-proxy"}, "data": {"x": "{"}})))] {
        let report = Report::of(&Snapshot { kube_proxy: Ok(kube_proxy), ..healthy() });
        assert_eq!(report.skipped[0].check, "kube-proxy");
    }
}
