//! Selectors, labels and slices.

use super::*;

/// The group over role labels, with this selector of its Service.
fn by_role(selector: &Value) -> Snapshot {
    let mut snapshot = with_group(&json!({"roleLabel": {"key": "role"}}));
    snapshot.objects.services = vec![from(json!({
        "metadata": {"name": "web-active", "namespace": "shop"},
        "spec": {"selector": selector, "ports": [{"port": 80, "targetPort": 8080}]},
    }))];
    snapshot
}

#[test]
fn a_slice_of_others_is_found() {
    let mut snapshot = healthy();
    snapshot.objects.slices.push(from(json!({
        "metadata": {"name": "web-active-x7x", "namespace": "shop", "labels": {
            "kubernetes.io/service-name": "web-active",
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        }},
        "addressType": "IPv4", "endpoints": [],
    })));
    let report = Report::of(&snapshot);
    assert_eq!(report.findings[0].id, "ForeignEndpoints");
    assert!(report.findings[0].remedy.contains("delete endpointslices web-active-x7x"));
    // The same where the Service is a group by its annotation.
    snapshot.groups = Ok(Vec::new());
    assert_eq!(ids(&snapshot), [""; 0]);
    let marks = [("hotstandby.dev/mode".to_owned(), "active-standby".to_owned())];
    snapshot.objects.services[0].metadata.annotations = Some(marks.into());
    assert_eq!(ids(&snapshot), ["ForeignEndpoints"]);
}

#[test]
fn endpoints_that_will_be_copied_are_found() {
    let endpoints = |labels: &Value| {
        json!({
            "metadata": {"name": "web-active", "namespace": "shop", "labels": labels},
            "subsets": [{"addresses": [{"ip": "10.0.0.1"}]}],
        })
    };
    let mut snapshot = healthy();
    snapshot.objects.endpoints = vec![from(endpoints(&json!({})))];
    assert_eq!(ids(&snapshot), ["MirroredEndpoints"]);
    snapshot.objects.endpoints =
        vec![from(endpoints(&json!({"endpointslice.kubernetes.io/skip-mirror": "true"})))];
    assert_eq!(ids(&snapshot), [""; 0]);
}

#[test]
fn a_selector_that_picks_nobody_is_found() {
    assert_eq!(
        ids(&with_group(&json!({"selector": {"matchLabels": {"app": "wbe"}}}))),
        ["SelectorPicksNoPod"]
    );
}

#[test]
fn a_selector_on_the_role_is_found() {
    let selector =
        json!({"selector": {"matchLabels": {"app": "web", "role": "standby"}}, "roleLabel": {"key": "role"}});
    assert!(ids(&with_group(&selector)).contains(&"SelectorHasRole"));
}

#[test]
fn a_missing_service_is_found() {
    let mut snapshot = healthy();
    snapshot.objects.services.clear();
    assert_eq!(ids(&snapshot), ["ServiceNotFound"]);
}

#[test]
fn a_service_over_all_pods_is_found() {
    let mut snapshot = by_role(&json!({"app": "web"}));
    snapshot.groups = healthy().groups;
    assert_eq!(ids(&snapshot), ["ServiceHasSelector"]);
}

#[test]
fn role_and_selector_must_agree() {
    assert_eq!(ids(&by_role(&json!({"app": "web", "role": "active"}))), [""; 0]);
    assert_eq!(ids(&by_role(&json!({"app": "web", "role": "master"}))), ["RoleLabelMismatch"]);
    assert_eq!(ids(&by_role(&json!({"app": "web"}))), ["RoleLabelMismatch"]);
}

#[test]
fn the_rest_of_the_selector_must_agree_too() {
    assert_eq!(
        ids(&by_role(&json!({"app": "web", "tier": "front", "role": "active"}))),
        ["ServiceMissesMembers"]
    );
    let mut snapshot = by_role(&json!({"role": "active"}));
    snapshot.objects.pods.push(from(pod("other-0", &json!({"app": "other", "role": "active"}))));
    assert_eq!(ids(&snapshot), ["ServicePicksStrangers"]);
}

#[test]
fn named_ports_must_be_there() {
    let probe = |port: Value| json!({"detect": {"probe": {"httpGet": {"path": "/", "port": port}}}});
    assert_eq!(ids(&with_group(&probe(json!("http")))), [""; 0]);
    assert_eq!(ids(&with_group(&probe(json!("health")))), ["ProbePortMissing"]);
    let mut snapshot = healthy();
    snapshot.objects.services[0] = from(json!({
        "metadata": {"name": "web-active", "namespace": "shop"}, "spec": {"ports": [{"port": 80, "targetPort": "grpc"}]},
    }));
    assert_eq!(ids(&snapshot), ["ProbePortMissing", "TargetPortMissing"]);
}

#[test]
fn an_undeclared_number_is_a_warning_until_it_is_answered() {
    let mut snapshot = with_group(&json!({"detect": {"probe": {"tcpSocket": {"port": 9999}}}}));
    assert_eq!(ids(&snapshot), [""; 0], "it was answered");
    if let Ok(groups) = &mut snapshot.groups {
        groups[0].status.as_mut().unwrap().members[0].probe = Some("NotArmed".to_owned());
    }
    assert_eq!(ids(&snapshot), ["ProbePortUndeclared"]);
}

#[test]
fn a_mesh_blinds_tcp_probes_only() {
    let meshed = |spec: &Value| {
        let mut snapshot = with_group(spec);
        let mut pod = pod("web-2", &json!({"app": "web"}));
        pod["metadata"]["annotations"] = json!({"linkerd.io/proxy-version": "2"});
        snapshot.objects.pods.push(from(pod));
        ids(&snapshot)
    };
    assert_eq!(meshed(&json!({})), ["MeshAnswersTcp"]);
    assert_eq!(meshed(&json!({"detect": {"probe": {"httpGet": {"path": "/", "port": 8080}}}})), [""; 0]);
}

#[test]
fn what_hotstandby_says_itself_is_repeated() {
    let mut snapshot = healthy();
    if let Ok(groups) = &mut snapshot.groups {
        let condition = &mut groups[0].status.as_mut().unwrap().conditions[0];
        condition.status = "False".to_owned();
        condition.reason = "NoCandidate".to_owned();
    }
    let report = Report::of(&snapshot);
    assert_eq!(report.findings[0].id, "ConditionNotWell");
    assert!(report.findings[0].remedy.starts_with("NoCandidate"));
    if let Ok(groups) = &mut snapshot.groups {
        groups[0].status = None;
    }
    assert_eq!(ids(&snapshot), ["NoStatus"]);
}
