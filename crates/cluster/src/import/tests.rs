//! Each system as its users would have written it, and what looks alike but is not.

use super::*;
use crate::api::ActiveStandby;
use crate::testing::documents;
use serde_json::json;

/// What is recognised in a file of `fixtures/`.
fn import(name: &str) -> (Import, Objects) {
    import_text(&fixture(name))
}

fn fixture(name: &str) -> String {
    let path = format!("{}/fixtures/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn import_text(text: &str) -> (Import, Objects) {
    let mut objects = Objects::default();
    objects.add_yaml("fixture", text, "shop").unwrap();
    (Import::of(&objects), objects)
}

fn group(import: &Import) -> &GroupPlan {
    match &import.findings[0].plan {
        Plan::Group(plan) => plan,
        other => panic!("no group: {other:?}"),
    }
}

/// The objects of the text, read as the API would read them.
fn applied(import: &Import) -> Vec<ActiveStandby> {
    let objects = documents(&to_text(import));
    objects.into_iter().filter(|one| !one.is_null()).map(|one| serde_json::from_value(one).unwrap()).collect()
}

#[test]
fn a_needs_nothing_but_a_right() {
    for (name, headless) in [("a_cluster_ip", false), ("a_headless", true)] {
        let (import, _) = import(name);
        assert_eq!(import.questions, []);
        let [finding] = import.findings.as_slice() else { panic!("{:?}", import.findings) };
        assert_eq!((finding.system, &*finding.with), (System::AnnotatedService, &["selector-pointer"][..]));
        let Plan::Annotated(plan) = &finding.plan else { panic!("{finding:?}") };
        assert_eq!(plan.headless, headless);
        assert!(!plan.selector.contains_key(DESIGNATION), "{plan:?}");
        let text = to_text(&import);
        assert!(text.contains("--with selector-pointer") && text.contains("Nothing to apply"), "{text}");
        assert!(applied(&import).is_empty(), "{text}");
    }
}

#[test]
fn a_without_pods_of_its_own_is_a_question() {
    let service = "kind: Service\nmetadata: {name: web, annotations: {qoqo.dev/service-mode: x}}\nspec: {ports: [{port: 80}]}";
    let (import, _) = import_text(service);
    assert_eq!((import.findings.len(), import.questions.len()), (0, 1));
    let empty = "kind: Service\nmetadata: {name: web, annotations: {qoqo.dev/service-mode: ''}}\nspec: {selector: {app: web}}";
    assert!(import_text(empty).0.is_empty(), "an empty value does not count");
}

#[test]
fn a_left_narrowed_is_a_question() {
    let service = "kind: Service\nmetadata: {name: web}\nspec: {selector: {app: web, qoqo.dev/pod-designation: active}}";
    let (import, _) = import_text(service);
    assert_eq!(import.findings, []);
    assert!(
        import.questions[0].answers[1].contains("/spec/selector/qoqo.dev~1pod-designation"),
        "{:?}",
        import.questions
    );
}

#[test]
fn a_that_is_led_already_or_shall_be_left_alone_is_no_finding() {
    let service = |more: &str, key: &str| {
        format!(
            "kind: Service\nmetadata: {{name: web, annotations: {{qoqo.dev/service-mode: x{more}}}}}\n\
             spec: {{selector: {{app: web, qoqo.dev/pod-designation: active{key}}}}}"
        )
    };
    let (led, _) = import_text(&service("", ", hotstandby.dev/member: u"));
    assert_eq!((led.findings.len(), led.moved[0].group.as_str()), (0, "service/web"));
    assert!(import_text(&service(", hotstandby.dev/mode: 'off'", "")).0.is_empty());
}

#[test]
fn two_annotated_services_over_the_same_pods_are_told() {
    let service = |name: &str| {
        format!(
            "kind: Service\nmetadata: {{name: {name}, annotations: {{qoqo.dev/service-mode: active-standby}}}}\n\
             spec: {{selector: {{app: web}}}}\n---\n"
        )
    };
    let (import, _) = import_text(&(service("one") + &service("two")));
    assert!(import.findings[0].notes[0].contains("Service two"), "{:?}", import.findings[0].notes);
    assert!(import.findings[1].notes[0].contains("Service one"));
}

#[test]
fn b_becomes_one_group() {
    let (import, _) = import("b");
    assert_eq!(import.questions, []);
    let plan = group(&import);
    assert_eq!(import.findings[0].system, System::RoleLabels);
    assert_eq!(import.findings[0].with, ["role-labels", "delete-pods"]);
    assert_eq!((plan.name.as_str(), &*plan.services), ("hapods", &["ha".to_owned()][..]));
    assert_eq!(plan.role, RoleKey { key: "role".into(), active: "active".into(), standby: "standby".into() });
    let [old] = import.old_controllers.as_slice() else { panic!("{:?}", import.old_controllers) };
    assert_eq!(old.system, System::RoleLabels);
    let [object] = &*applied(&import) else { panic!("one object") };
    let spec = serde_json::to_value(&object.spec).unwrap();
    assert_eq!(spec["selector"], json!({"matchLabels": {"app": "hapod"}}));
    assert_eq!(spec["notify"][0]["udp"], json!({"port": 10001, "message": "GoActiveDuringFailover"}));
    assert_eq!(
        spec["detect"]["criticalContainers"]["env"],
        json!({"name": "pwcriticality", "value": "critical"})
    );
    assert_eq!(spec["candidates"]["order"], json!(["OldestStart", "Name"]));
    let text = to_text(&import);
    assert!(text.contains("deletePod: true") && text.contains("scale replicaset"), "{text}");
}

#[test]
fn b_is_recognised_by_its_shape_under_other_names() {
    let (import, _) = import("b_other_names");
    let plan = group(&import);
    assert_eq!(
        plan.role,
        RoleKey { key: "ha.example.com/state".into(), active: "primary".into(), standby: "backup".into() }
    );
    assert_eq!(plan.selector, BTreeMap::from([("tier".to_owned(), "broker".to_owned())]));
    assert_eq!(import.findings[0].with, ["role-labels"], "no critical container, so no right to delete");
    assert_eq!(plan.critical, None);
}

#[test]
fn d_becomes_one_group_whatever_makes_the_pods() {
    for (name, workload, path, port) in
        [("d_stateful_set", "store", "/health", "8080"), ("d_deployment", "billing", "/live/health", "9000")]
    {
        let (import, _) = import(name);
        assert_eq!(import.questions, [], "{name}");
        let plan = group(&import);
        assert_eq!(import.findings[0].system, System::HealthToggle);
        assert_eq!((plan.name.as_str(), plan.role.standby.as_str()), (workload, "passive"));
        let probe = plan.probe.as_ref().unwrap();
        assert_eq!((probe.path.as_str(), probe.port.as_str()), (path, port), "{name}");
        assert_eq!(import.old_controllers[0].system, System::HealthToggle, "{name}");
        let object = applied(&import).remove(0);
        let spec = serde_json::to_value(&object.spec).unwrap();
        assert_eq!(spec["detect"]["probe"]["httpGet"]["path"], path);
        assert!(spec["detect"]["probe"]["httpGet"]["port"].is_number(), "{name}");
        // The toggle's own rule where its text says what it asks; a pod's probe is asked as the kubelet does.
        let status =
            spec["detect"]["probe"]["httpGet"].get("expectedStatus").and_then(serde_json::Value::as_i64);
        assert_eq!(status, probe.from.starts_with("the URL").then_some(200), "{name}");
    }
}

#[test]
fn d_without_a_path_is_half_a_question() {
    let (import, _) = import("d_no_path");
    assert_eq!(import.findings.len(), 1);
    assert!(import.questions[0].question.contains("path and port"), "{:?}", import.questions);
    assert_eq!(group(&import).probe, None);
}

#[test]
fn c_needs_nothing_but_the_binary() {
    let (import, _) = import("c");
    assert_eq!(import.questions, []);
    let Plan::Binary(plan) = &import.findings[0].plan else { panic!("{:?}", import.findings) };
    assert_eq!((plan.lease.as_deref(), plan.lease_is_here), (Some("ledger-lock"), true));
    assert_eq!(plan.service.as_deref(), Some("ledger"));
    assert!(applied(&import).is_empty(), "the group is optional, so it is a comment");
    let text = to_text(&import);
    let group = text.split_once("# ---\n").unwrap().1;
    let group: Vec<_> = group.lines().map_while(|line| line.strip_prefix("# ")).collect();
    let object: ActiveStandby = serde_json::from_value(documents(&group.join("\n")).remove(0)).unwrap();
    object.spec.check().unwrap();
}

#[test]
fn a_mixture_is_taken_apart() {
    use System::{AnnotatedService, Gatekeeper, HealthToggle, RoleLabels};
    let all = ["a_cluster_ip", "b", "c", "d_stateful_set", "unrelated"].map(fixture);
    let (import, _) = import_text(&all.join("\n---\n"));
    let systems: Vec<_> = import.findings.iter().map(|finding| finding.system).collect();
    assert_eq!(systems, [AnnotatedService, RoleLabels, Gatekeeper, HealthToggle]);
    let with: Vec<_> = import.with().into_iter().collect();
    assert_eq!(with, ["delete-pods", "role-labels", "selector-pointer"]);
}

#[test]
fn what_is_unrelated_is_passed_by() {
    let (import, _) = import("unrelated");
    assert!(import.is_empty(), "{:?} {:?}", import.findings, import.questions);
}

#[test]
fn what_may_mean_two_things_is_asked() {
    let (import, _) = import("ambiguous");
    assert_eq!(import.findings, []);
    let about: Vec<_> = import.questions.iter().map(|question| question.object.name.as_str()).collect();
    assert_eq!(about, ["cache-writer", "database", "three"], "{:?}", import.questions);
}

#[test]
fn a_service_that_is_led_already_is_no_finding() {
    let (text, mut objects) = ("", import("b").1);
    objects
        .add_yaml(
            "f",
            "kind: ActiveStandby\napiVersion: hotstandby.dev/v1alpha1\nmetadata: {name: mine}\n\
         spec: {selector: {matchLabels: {app: hapod}}, traffic: {services: [{name: ha}]}}",
            "shop",
        )
        .unwrap();
    let import = Import::of(&objects);
    assert_eq!((import.findings.len(), import.moved.len()), (0, 1), "{text}");
    assert!(to_text(&import).contains("led by group mine already"));
}

/// The fixture's objects and pods with these role labels, the last one not Ready.
fn with_pods(name: &str, base: &[(&str, &str)], key: &str, roles: &[Option<&str>], ready: bool) -> Outcome {
    let (_, mut objects) = import(name);
    objects.live = true;
    for (index, role) in roles.iter().enumerate() {
        let mut labels: BTreeMap<_, _> = base.iter().map(|(key, value)| (*key, *value)).collect();
        labels.extend(role.map(|role| (key, role)));
        let pod = json!({
            "metadata": {"name": format!("p-{index}"), "namespace": "shop", "labels": labels},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
        });
        objects.pods.push(serde_json::from_value(pod).unwrap());
    }
    Import::of(&objects).check(&objects).remove(0)
}

#[test]
fn the_check_says_whether_traffic_moves() {
    let b = |roles: &[Option<&str>], ready| with_pods("b", &[("app", "hapod")], "role", roles, ready);
    let one = b(&[Some("standby"), Some("active")], true);
    assert_eq!((one.active_today, one.moves), (ActiveToday::One("p-1".into()), None));
    assert_eq!(one.changes.len(), 2, "{:?}", one.changes);
    let two = b(&[Some("active"), Some("active")], true);
    assert!(matches!(two.active_today, ActiveToday::Several(_)) && two.moves.is_some());
    assert_eq!(b(&[Some("standby")], true).active_today, ActiveToday::Nobody);
    assert!(b(&[Some("active")], false).moves.unwrap().contains("not Running and Ready"));
    let d = with_pods("d_stateful_set", &[("app", "store")], "role", &[Some("active"), None], true);
    assert!(
        d.changes.iter().any(|change| change == "Pod p-1: role=passive instead of no role"),
        "{:?}",
        d.changes
    );
    assert_eq!(d.moves, None);
}

#[test]
fn the_check_of_an_annotated_service_names_the_pointer() {
    let a = |roles: &[Option<&str>]| with_pods("a_cluster_ip", &[("app", "echo")], DESIGNATION, roles, true);
    let one = a(&[Some("active"), None]);
    assert_eq!((&one.active_today, &one.moves), (&ActiveToday::One("p-0".into()), &None));
    assert!(one.changes.iter().any(|change| change.contains("hotstandby.dev/member")), "{:?}", one.changes);
    assert!(a(&[None]).moves.is_some());
}

#[test]
fn without_pods_nobody_can_say_whether_traffic_moves() {
    let (import, objects) = import("b");
    let outcome = import.check(&objects).remove(0);
    assert_eq!(outcome.active_today, ActiveToday::Unknown);
    assert!(outcome.moves.unwrap().contains("without -f"));
}

#[test]
fn what_is_emitted_is_what_the_product_takes() {
    for name in ["b", "b_other_names", "d_stateful_set", "d_deployment", "d_no_path"] {
        for object in applied(&import(name).0) {
            assert_eq!(object.spec.check().err(), None, "{name}");
        }
    }
}
