//! Old systems, `GitOps` and disruption budgets.

use super::*;

/// A Service of the old annotating controller, with these marks, and pods with its label on the first of them.
fn annotated(marks: &Value, designated: usize) -> Snapshot {
    let mut snapshot = healthy();
    let mut service = json!({
        "metadata": {"name": "old", "namespace": "shop", "annotations": {"qoqo.dev/service-mode": "active-standby"}},
        "spec": {"selector": {"app": "old", "qoqo.dev/pod-designation": "active"}, "ports": [{"port": 80}]},
    });
    for (key, value) in marks.as_object().into_iter().flatten() {
        match service["metadata"].get_mut(key).and_then(Value::as_object_mut) {
            Some(have) => have.extend(value.as_object().unwrap().clone()),
            None => service["metadata"][key] = value.clone(),
        }
    }
    snapshot.objects.services.push(from(service));
    for index in 0..3 {
        let mut labels = json!({"app": "old"});
        if index < designated {
            labels["qoqo.dev/pod-designation"] = json!("active");
        }
        snapshot.objects.pods.push(from(pod(&format!("old-{index}"), &labels)));
    }
    snapshot
}

#[test]
fn a_label_on_two_pods_is_found() {
    assert_eq!(ids(&annotated(&json!({}), 1)), [""; 0]);
    assert_eq!(ids(&annotated(&json!({}), 2)), ["DesignatedTwice"]);
    let mut snapshot = with_group(&json!({"roleLabel": {"key": "role"}}));
    for pod in &mut snapshot.objects.pods {
        pod.metadata.labels.as_mut().unwrap().insert("role".to_owned(), "active".to_owned());
    }
    assert!(ids(&snapshot).contains(&"RoleLabelTwice"));
}

#[test]
fn a_selector_left_narrow_is_found() {
    let mut snapshot = annotated(&json!({}), 1);
    snapshot.objects.services.last_mut().unwrap().metadata.annotations = None;
    assert_eq!(ids(&snapshot), ["SelectorLeftNarrowed"]);
}

fn with_old(replicas: i32) -> Vec<&'static str> {
    let mut snapshot = healthy();
    let text = format!(
        "kind: Deployment\nmetadata: {{name: active-standby-controller, namespace: kube-system}}\n\
         spec: {{replicas: {replicas}, template: {{metadata: {{labels: {{app: x}}}}, \
         spec: {{containers: [{{name: c, image: 'registry.example.com/active-standby-controller:slim'}}]}}}}, selector: {{}}}}"
    );
    snapshot.objects.add_yaml("f", &text, "d").unwrap();
    ids(&snapshot)
}

#[test]
fn old_controllers_are_found_while_they_run() {
    assert_eq!(with_old(0), [""; 0]);
    assert_eq!(with_old(1), ["OldControllerRuns"]);
    assert_eq!(with_old(2), ["OldControllersFight", "OldControllerRuns"]);
}

#[test]
fn tools_that_apply_the_service_again_are_found() {
    let who = |marks: &Value| {
        let report = Report::of(&annotated(marks, 1));
        let finding = report.findings.into_iter().find(|one| one.id == "SelectorMayBeReverted");
        finding.map(|one| (one.severity, one.what))
    };
    assert_eq!(who(&json!({})), None);
    let flux = who(&json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}})).unwrap();
    assert!(flux.0 == Severity::Warning && flux.1.contains("Flux"), "{flux:?}");
    let argo =
        who(&json!({"annotations": {"argocd.argoproj.io/tracking-id": "a:/Service:shop/old"}})).unwrap();
    assert!(argo.1.contains("Argo CD"), "{argo:?}");
    let helm = who(&json!({"labels": {"helm.toolkit.fluxcd.io/name": "a"}})).unwrap();
    assert!(helm.1.contains("Helm"), "{helm:?}");
    let kubectl =
        who(&json!({"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}})).unwrap();
    assert_eq!(kubectl.0, Severity::Info);
    let fields = json!({"f:spec": {"f:selector": {}}});
    let managed = |operation: &str| json!({"managedFields": [{"manager": "kustomize-controller", "operation": operation, "fieldsV1": fields}]});
    assert!(who(&managed("Apply")).unwrap().1.contains("kustomize-controller owns spec.selector"));
    assert_eq!(who(&managed("Update")), None);
}

#[test]
fn a_label_that_others_use_too_counts_only_beside_argo() {
    let marked = json!({"labels": {"app.kubernetes.io/instance": "shop"}});
    assert_eq!(ids(&annotated(&marked, 1)), [""; 0]);
    assert_eq!(ids(&Snapshot { argo: Ok(true), ..annotated(&marked, 1) }), ["SelectorMayBeReverted"]);
}

#[test]
fn services_that_are_not_written_are_nobodys_trouble() {
    let mut snapshot = healthy();
    snapshot.objects.services[0].metadata.labels =
        Some([("kustomize.toolkit.fluxcd.io/name".to_owned(), "a".to_owned())].into());
    assert_eq!(ids(&snapshot), [""; 0]);
}

#[test]
fn a_budget_on_the_active_alone_is_found() {
    let with_budget = |labels: Value, allowed: i32| {
        let mut snapshot = with_group(&json!({"roleLabel": {"key": "role"}}));
        snapshot.objects.services[0].spec.as_mut().unwrap().selector =
            Some([("app".to_owned(), "web".to_owned()), ("role".to_owned(), "active".to_owned())].into());
        let budget = json!({
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": labels}},
            "status": {"disruptionsAllowed": allowed, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1},
        });
        snapshot.budgets = Ok(vec![from(budget)]);
        ids(&snapshot)
    };
    assert_eq!(with_budget(json!({"app": "web", "role": "active"}), 0), ["BudgetBlocksActive"]);
    assert_eq!(with_budget(json!({"app": "web"}), 0), [""; 0]);
    assert_eq!(with_budget(json!({"app": "web", "role": "active"}), 1), [""; 0]);
}
