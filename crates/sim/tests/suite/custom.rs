//! Custom kinds: what a CRD makes of them.

use crate::support::{GROUPS, World, group, reason, version, with};
use http::Method;
use serde_json::{Value, json};

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn world() -> World {
    let mut world = World::new();
    world.install_crd();
    world
}

fn refusal(world: &mut World, pointer: &str, value: Value) -> String {
    let (code, answer) = world.call(Method::POST, GROUPS, &with(&group("web"), pointer, value));
    assert_eq!(code, 422, "{answer}");
    answer["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_kind_is_there_once_its_crd_is() {
    let mut world = World::new();
    assert_eq!(world.get(GROUPS).0, 404);
    world.install_crd();
    assert_eq!(world.get(GROUPS).0, 200);
    let (_, crd) = world.get(&format!("{CRDS}/activestandbies.hotstandby.dev"));
    assert!(
        crd["status"]["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["type"] == "Established" && one["status"] == "True")
    );
    world.ok(Method::POST, GROUPS, &group("web"));
    let mut watch = world.watch(&format!("{GROUPS}?watch=1&resourceVersion={}", world.server.version()));
    world.ok(Method::DELETE, &format!("{CRDS}/activestandbies.hotstandby.dev"), &Value::Null);
    assert_eq!(world.get(GROUPS).0, 404);
    assert_eq!(world.events(&mut watch).len(), 1);
}

#[test]
fn defaults_are_filled_in_and_stored() {
    let mut world = world();
    let made = world.ok(Method::POST, GROUPS, &group("web"));
    assert_eq!(made["spec"]["detect"]["tripwire"], json!({"mode": "Auto"}));
    assert_eq!(made["spec"]["detect"]["period"], "1s");
    let with_null = with(&group("null"), "/spec/paused", Value::Null);
    assert_eq!(world.ok(Method::POST, GROUPS, &with_null)["spec"]["paused"], false);
}

#[test]
fn unknown_fields_go_or_are_refused_as_asked() {
    let mut world = world();
    let odd = with(&group("web"), "/spec/colour", json!("red"));
    let strict = world.call(Method::POST, &format!("{GROUPS}?fieldValidation=Strict"), &odd);
    assert_eq!(reason(&strict), (400, "BadRequest"));
    assert!(
        strict.1["message"]
            .as_str()
            .unwrap()
            .ends_with("strict decoding error: unknown field \"spec.colour\""),
        "{}",
        strict.1
    );
    let made = world.ok(Method::POST, GROUPS, &odd);
    assert!(made["spec"].get("colour").is_none());
}

#[test]
fn the_schema_refuses_what_it_should_and_says_why() {
    let mut world = world();
    let text = refusal(&mut world, "/spec/paused", json!("yes"));
    assert!(
        text.contains("spec.paused: Invalid value: \"string\": spec.paused in body must be of type boolean"),
        "{text}"
    );
    let text = refusal(&mut world, "/spec/detect", json!({"failureThreshold": 0}));
    assert!(text.contains("spec.detect.failureThreshold: Invalid value: 0: spec.detect.failureThreshold in body should be greater than or equal to 1"), "{text}");
    let text = refusal(&mut world, "/spec/traffic/services", json!([{"name": "a"}, {"name": "a"}]));
    assert!(text.contains("spec.traffic.services[1]: Duplicate value: {\"name\":\"a\"}"), "{text}");
    let text = refusal(&mut world, "/spec/deletionPolicy", json!("Maybe"));
    assert!(
        text.contains("Unsupported value: \"Maybe\": supported values: \"Delete\", \"Orphan\""),
        "{text}"
    );
}

#[test]
fn the_rules_of_the_crd_are_asked() {
    let mut world = world();
    let text = refusal(&mut world, "/spec/detect", json!({"period": "10ms", "timeout": "10ms"}));
    assert!(text.contains("period must be within 50ms <= period <= 60s"), "{text}");
    let text = refusal(&mut world, "/spec/selector", json!({}));
    assert!(text.contains("selector must not be empty"), "{text}");
    let text = refusal(
        &mut world,
        "/spec/detect",
        json!({"probe": {"httpGet": {"port": 80}, "tcpSocket": {"port": 80}}}),
    );
    assert!(text.contains("probe must have exactly one of"), "{text}");
    let text = refusal(&mut world, "/spec/detect", json!({"probe": {"httpGet": {"port": "80"}}}));
    assert!(text.contains("port must be a number"), "{text}");
    let text = refusal(&mut world, "/spec/failback", json!({"policy": "AfterDelay"}));
    assert!(text.contains("delay must be given"), "{text}");
}

#[test]
fn the_rules_of_roles_and_notices_are_asked() {
    let mut world = world();
    let udp = json!({"port": 10001, "message": "Go"});
    let word = json!({"udp": udp, "acknowledge": true, "roles": ["Active", "Standby"]});
    for (pointer, value, words) in [
        (
            "/spec/roleLabel",
            json!({"key": "role", "active": "x", "standby": "x"}),
            "active and standby must differ",
        ),
        ("/spec/roleLabel", json!({"key": "hotstandby.dev/member"}), "which the selector pointer uses"),
        ("/spec/roleLabel", json!({"key": "a b"}), "spec.roleLabel.key"),
        ("/spec/roleLabel", json!({"key": "role", "active": ""}), "spec.roleLabel.active"),
        ("/spec/roleLabel", json!({"key": "app"}), "selector must not ask for roleLabel.key"),
        ("/spec/notify", json!([{"udp": udp, "http": {"port": 80}}]), "exactly one of udp and http"),
        ("/spec/notify", json!([{"roles": ["Active"]}]), "exactly one of udp and http"),
        ("/spec/notify", json!([{"udp": udp, "interval": "1ms"}]), "interval must be within"),
        ("/spec/notify", json!([{"udp": udp, "timeout": "2m"}]), "timeout must be within"),
        ("/spec/notify", json!([{"udp": udp, "deadline": "2h"}]), "deadline must be within"),
        ("/spec/notify", json!([{"udp": udp, "roles": ["active"]}]), "Unsupported value"),
        ("/spec/notify", json!([word, word, word, word, word]), "must have at most 4 items"),
        ("/spec/order", json!("Strict"), "order Strict needs a notice that the old active can acknowledge"),
        ("/spec/detect", json!({"criticalContainers": {"deletePod": true}}), "deletePod needs names or env"),
        ("/spec/traffic/services/0/mode", json!("Pointer"), "Unsupported value"),
    ] {
        let text = refusal(&mut world, pointer, value);
        assert!(text.contains(words), "{text}");
    }
    let strict = with(&with(&group("web"), "/spec/notify", json!([word])), "/spec/order", json!("Strict"));
    let election = json!({"mode": "External", "lease": {"name": "lock"}});
    let (code, answer) = world.call(Method::POST, GROUPS, &with(&strict, "/spec/election", election));
    assert_eq!(code, 422, "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("order Strict needs election mode Controller"));
    let stored = world.ok(Method::POST, GROUPS, &strict);
    let told = &stored["spec"]["notify"][0];
    assert_eq!(
        (&told["interval"], &told["timeout"], &told["deadline"]),
        (&json!("200ms"), &json!("500ms"), &json!("2s"))
    );
    assert_eq!(stored["spec"]["traffic"]["services"][0]["mode"], "Auto");
}

#[test]
fn a_rule_that_cannot_be_evaluated_refuses_the_crd() {
    let mut world = World::new();
    let mut crd = serde_json::to_value(hotstandby_cluster::api::crd()).unwrap();
    let rules = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-validations";
    let crd = {
        let (parent, key) = rules.rsplit_once('/').unwrap();
        crd.pointer_mut(parent).unwrap()[key] = json!([{"rule": "self.paused.isSorted()"}]);
        crd
    };
    let (code, answer) = world.call(Method::POST, CRDS, &crd);
    assert_eq!(code, 422);
    assert!(answer["message"].as_str().unwrap().contains("compilation failed"), "{answer}");
}

#[test]
fn the_generation_counts_specs_and_not_status_or_labels() {
    let mut world = world();
    let made = world.ok(Method::POST, GROUPS, &with(&group("web"), "/status", json!({"term": 1})));
    assert_eq!(made["status"], json!({"observedGeneration": -1}), "what the maker says of it is not taken");
    let uri = format!("{GROUPS}/web");
    let status = world.ok(
        Method::PUT,
        &format!("{uri}/status"),
        &with(&with(&made, "/status", json!({"term": 7})), "/spec/paused", json!(true)),
    );
    assert_eq!((&status["status"]["term"], &status["spec"]["paused"]), (&json!(7), &json!(false)));
    let labelled =
        world.patch(&uri, "merge", &json!({"metadata": {"labels": {"a": "b"}}, "status": {"term": 9}})).1;
    assert_eq!((&labelled["metadata"]["generation"], &labelled["status"]["term"]), (&json!(1), &json!(7)));
    let paused = world.patch(&uri, "merge", &json!({"spec": {"paused": true}})).1;
    assert_eq!(paused["metadata"]["generation"], 2);
    assert_ne!(version(&paused), version(&labelled));
    assert_eq!(world.call(Method::PUT, &uri, &group("web")).0, 422);
}
