//! hotstandby itself: kind, controller, versions, rights.

use super::super::rights::needed;
use super::*;

#[test]
fn a_missing_kind_or_controller_is_found() {
    assert!(ids(&Snapshot { crd: Ok(None), ..healthy() }).contains(&"CrdMissing"));
    assert_eq!(ids(&Snapshot { installs: Ok(Vec::new()), ..healthy() }), ["ControllerMissing"]);
}

fn with_install(change: impl Fn(&mut Deployment)) -> Vec<&'static str> {
    let mut snapshot = healthy();
    if let Ok(installs) = &mut snapshot.installs {
        change(&mut installs[0]);
    }
    ids(&snapshot)
}

#[test]
fn replicas_that_are_not_there_are_found() {
    let ready =
        |ready: Option<i32>| with_install(move |one| one.status.as_mut().unwrap().ready_replicas = ready);
    assert_eq!(ready(None), ["ControllerNotReady"]);
    assert_eq!(ready(Some(1)), ["ControllerNotReady"]);
    let alone = |one: &mut Deployment| {
        one.spec.as_mut().unwrap().replicas = Some(1);
        one.status.as_mut().unwrap().ready_replicas = Some(1);
    };
    assert_eq!(with_install(alone), ["ControllerAlone"]);
}

#[test]
fn another_version_is_found_and_no_version_is_not() {
    let image = |image: &'static str| {
        with_install(move |one| {
            let template = &mut one.spec.as_mut().unwrap().template;
            template.spec.as_mut().unwrap().containers[0].image = Some(image.to_owned());
        })
    };
    assert_eq!(image("registry:5000/hotstandby:0.2.0"), ["VersionSkew"]);
    assert_eq!(image("hotstandby:latest"), [""; 0]);
    assert_eq!(image("registry:5000/hotstandby"), [""; 0]);
}

#[test]
fn replicas_of_two_versions_are_found() {
    let mut snapshot = healthy();
    if let Ok(replicas) = &mut snapshot.replicas {
        replicas[0].spec.as_mut().unwrap().containers[0].image =
            Some("hotstandby/hotstandby:0.0.9".to_owned());
    }
    assert_eq!(ids(&snapshot), ["ReplicasDiffer"]);
}

/// The kind with another set of fields in its spec.
fn with_fields(change: impl Fn(&mut Value)) -> Report {
    let mut crd = serde_json::to_value(crate::api::crd()).unwrap();
    change(&mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]);
    Report::of(&Snapshot { crd: Ok(Some(from(crd))), ..healthy() })
}

#[test]
fn a_kind_of_another_version_is_found_by_its_fields() {
    let older = with_fields(|spec| drop(spec.as_object_mut().unwrap().remove("failback")));
    assert_eq!((older.findings[0].id, older.findings[0].severity), ("CrdOlder", Severity::Error));
    assert!(older.findings[0].what.ends_with("has: spec.failback"), "{}", older.findings[0].what);
    let newer = with_fields(|spec| {
        spec["later"] = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    });
    assert_eq!(newer.findings[0].id, "CrdNewer");
    assert!(newer.findings[0].what.ends_with("know: spec.later"), "{}", newer.findings[0].what);
}

#[test]
fn what_a_group_asks_for_must_be_granted() {
    let spec = json!({"roleLabel": {"key": "role"}, "oldActive": "Delete", "election": {"mode": "External", "lease": {"name": "x"}}});
    let asks = needed(&with_group(&spec), "hotstandby-system");
    let with: std::collections::BTreeSet<_> = asks.iter().filter_map(|ask| ask.with).collect();
    assert_eq!(with.into_iter().collect::<Vec<_>>(), ["delete-pods", "follow-leases", "role-labels"]);
    assert!(needed(&healthy(), "hotstandby-system").iter().all(|ask| ask.with.is_none()));
    let mut annotated = healthy();
    annotated.objects.services.push(from(json!({
        "metadata": {"name": "old", "namespace": "else", "annotations": {"qoqo.dev/service-mode": "x"}},
        "spec": {"selector": {"app": "old"}},
    })));
    let pointer = needed(&annotated, "hotstandby-system");
    assert_eq!(
        pointer.iter().filter(|ask| ask.namespace == "else" && ask.with == Some("selector-pointer")).count(),
        2
    );
}

#[test]
fn a_missing_right_is_one_finding_for_who_needs_it() {
    let mut snapshot = with_group(&json!({"roleLabel": {"key": "role"}}));
    snapshot.objects.services[0].spec.as_mut().unwrap().selector =
        Some([("app".to_owned(), "web".to_owned()), ("role".to_owned(), "active".to_owned())].into());
    let answered = |allowed: bool| {
        let asks = needed(&snapshot, "hotstandby-system").into_iter();
        asks.map(|ask| Answered { allowed: allowed || ask.with.is_none(), ask }).collect::<Vec<_>>()
    };
    let (none, all) = (answered(false), answered(true));
    let report = Report::of(&Snapshot { rights: Ok(none), ..snapshot.clone() });
    let missing: Vec<_> = report.findings.iter().filter(|finding| finding.id == "MissingRight").collect();
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(
        missing[0].what.contains("patch pods/status in shop")
            && missing[0].remedy.contains("--with role-labels")
    );
    assert!(!ids(&Snapshot { rights: Ok(all), ..snapshot }).contains(&"MissingRight"));
}
