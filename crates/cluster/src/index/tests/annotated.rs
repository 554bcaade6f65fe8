//! Groups that annotated Services make: who belongs together, who is refused, and what is left behind.

use super::super::*;
use super::world::*;
use hotstandby_core::spec::SpecError;
use hotstandby_core::view::ServiceFound;
use serde_json::{Value, json};

/// A Service for the pods of an app, by the annotation alone; made in this second.
fn annotated(name: &str, app: &str, second: u64) -> Value {
    let mut service = service(name, &Value::Null);
    service["metadata"]["creationTimestamp"] = json!(format!("2026-11-21T00:00:{second:02}Z"));
    service["metadata"]["annotations"] =
        json!({"hotstandby.dev/mode": "active-standby", "hotstandby.dev/selector": format!("app={app}")});
    service
}

/// The same by its own selector.
fn selecting(name: &str, selector: &Value, second: u64) -> Value {
    let mut service = annotated(name, "", second);
    service["metadata"]["annotations"] = json!({"qoqo.dev/service-mode": "active-standby"});
    service["spec"]["selector"] = selector.clone();
    service
}

/// The same without annotations.
fn plain(mut service: Value) -> Value {
    service["metadata"].as_object_mut().unwrap().remove("annotations");
    service
}

fn seat_of(service: &str, holder: &str, holder_uid: &str) -> Value {
    let mut seat = seat(service, service, holder, holder_uid, 20);
    seat["metadata"]["name"] = json!(format!("svc.shop.{service}"));
    seat["metadata"]["annotations"]["hotstandby.dev/group-kind"] = json!("svc");
    seat
}

fn slice_of(service: &str, group: &str) -> Value {
    let name = format!("{service}-hotstandby-ipv4");
    let mut slice = slice(&name, service, Some((group, group)));
    slice["metadata"]["annotations"]["hotstandby.dev/group-kind"] = json!("svc");
    slice
}

fn svc(name: &str) -> GroupKey {
    GroupKey::svc("shop", name)
}

/// Pods of an app and these Services, nothing else.
fn world(services: &[Value]) -> World {
    let mut world = World::empty();
    world.list("group", &[]);
    world.list("pod", &[pod("web-0", "p0", "web", 10), pod("web-1", "p1", "web", 11)]);
    world.list("service", services);
    for kind in ["node", "slice", "seat", "replicaset", "statefulset"] {
        world.list(kind, &[]);
    }
    world
}

/// A group of the Service `web` that was told, with seat and slice.
fn settled() -> World {
    let mut world = world(&[annotated("web", "web", 1)]);
    world.applied("seat", seat_of("web", "web-0", "p0"));
    world.applied("slice", slice_of("web", "web"));
    world.drain();
    world
}

fn spec(told: &Told, group: &str) -> Option<Result<Vec<String>, SpecError>> {
    let view = told.group(group)?;
    Some(view.spec.map(|spec| spec.services.iter().map(ToString::to_string).collect()))
}

fn refusal(told: &Told, group: &str) -> SpecError {
    spec(told, group).unwrap().unwrap_err()
}

/// Kind and place of what is to be removed.
fn names(leftovers: &[Leftover]) -> Vec<String> {
    let name = |leftover: &Leftover| match &leftover.kind {
        LeftoverKind::Seat => format!("seat {}", leftover.group),
        LeftoverKind::Slice { name, .. } => format!("slice {name}"),
        LeftoverKind::Selector { service, .. } => format!("selector {service}"),
        LeftoverKind::Labels { pod, .. } => format!("labels {pod}"),
    };
    let mut names: Vec<_> = leftovers.iter().map(name).collect();
    names.sort();
    names
}

#[test]
fn one_line_on_a_service_makes_a_group() {
    let told = world(&[annotated("web", "web", 1)]).drain();
    assert!(told.observations.iter().all(|(key, _)| *key == svc("web")));
    assert_eq!(spec(&told, "web").unwrap().unwrap(), ["web"]);
    assert_eq!(told.group("web").unwrap().uid, "web".into());
    assert_eq!(told.names("web").unwrap(), ["web-0", "web-1"]);
    assert!(matches!(told.found("web"), Some(ServiceFound::Usable(_))));
}

#[test]
fn a_service_and_an_active_standby_of_one_name_are_two_groups() {
    let mut world = settled();
    world.applied("group", group("web", "g1", "db", &["db"]));
    world.applied("pod", pod("db-0", "p9", "db", 30));
    let told = world.drain();
    assert!(told.removed.is_empty());
    assert!(told.observations.iter().all(|(key, _)| *key == key_of_active_standby()));
    assert_eq!(told.names("web").unwrap(), ["db-0"]);
    assert_eq!(world.index.groups().count(), 2);
    world.deleted("group", group("web", "g1", "db", &["db"]));
    let removed = world.drain().removed;
    assert_eq!((removed.len(), &removed[0].key), (1, &key_of_active_standby()));
    assert!(removed[0].leftovers.is_empty(), "seat and slice are the other group's");
}

fn key_of_active_standby() -> GroupKey {
    key("web")
}

#[test]
fn whatever_is_switched_on_is_switched_off_again() {
    type Away = fn(&mut World);
    let ways: [Away; 4] = [
        |world| world.applied("service", plain(annotated("web", "web", 1))),
        |world| world.deleted("service", annotated("web", "web", 1)),
        |world| world.list("service", &[]),
        |world| {
            let mut anew = annotated("web", "web", 2);
            anew["metadata"]["uid"] = json!("another");
            world.applied("service", anew);
        },
    ];
    for away in ways {
        let mut world = settled();
        away(&mut world);
        let told = world.drain();
        assert_eq!(told.removed[0].key, svc("web"));
        assert_eq!(names(&told.removed[0].leftovers), ["seat shop/service/web", "slice web-hotstandby-ipv4"]);
        assert!(told.removed[0].leftovers.iter().all(|leftover| !leftover.superseded));
        assert_eq!(names(&world.index.orphans()).len(), 2, "and after a restart, too");
    }
}

#[test]
fn a_service_that_changes_in_other_ways_concerns_nobody() {
    let mut world = settled();
    let mut same = annotated("web", "web", 1);
    same["metadata"]["resourceVersion"] = json!("99");
    same["metadata"]["labels"] = json!({"a": "b"});
    world.applied("service", same);
    assert!(world.drain().observations.is_empty());
}

#[test]
fn a_slip_of_the_pen_is_told_and_undoes_nothing() {
    let mut world = settled();
    let mut bad = annotated("web", "web", 1);
    bad["metadata"]["annotations"]["hotstandby.dev/mode"] = json!("activestandby");
    world.applied("service", bad);
    let told = world.drain();
    assert!(told.removed.is_empty());
    assert_eq!(refusal(&told, "web").field, "metadata.annotations[hotstandby.dev/mode]");
    assert_eq!(names(&world.index.stale(&svc("web"))), [""; 0]);
    assert_eq!(names(&world.index.orphans()), [""; 0]);
}

#[test]
fn an_active_standby_takes_the_service_without_a_gap_and_gives_it_back() {
    let mut world = settled();
    world.applied("group", group("mine", "g1", "web", &["web"]));
    let told = world.drain();
    let refused = refusal(&told, "web");
    assert_eq!(refused.reason, "ServiceClaimed");
    assert!(refused.problem.contains("ActiveStandby mine"), "{refused}");
    assert!(matches!(told.found("mine"), Some(ServiceFound::Usable(_))), "with the slice as it is");
    // The slice is the ActiveStandby's to write over; the seat is nobody's.
    assert_eq!(names(&world.index.stale(&svc("web"))), ["seat shop/service/web"]);

    world.deleted("group", group("mine", "g1", "web", &["web"]));
    let told = world.drain();
    assert_eq!(spec(&told, "web").unwrap().unwrap(), ["web"]);
    assert_eq!(told.removed[0].key, key("mine"));
    assert_eq!(
        names(&told.removed[0].leftovers),
        [""; 0],
        "the slice is the Service's group's to write over"
    );
}

#[test]
fn an_active_standby_that_cannot_be_followed_inherits_nothing() {
    let mut world = settled();
    let mut bad = group("mine", "g1", "web", &["web"]);
    bad["spec"]["detect"] = json!({"period": "1ms"});
    world.applied("group", bad);
    world.drain();
    assert_eq!(
        names(&world.index.stale(&svc("web"))),
        ["seat shop/service/web", "slice web-hotstandby-ipv4"]
    );
}

#[test]
fn services_for_the_same_pods_agree_and_the_next_oldest_takes_over() {
    let (old, young) = (annotated("web", "web", 1), annotated("other", "web", 2));
    let mut world = world(&[young.clone(), old.clone()]);
    world.applied("seat", seat_of("web", "web-1", "p1"));
    world.applied("slice", slice_of("web", "web"));
    world.applied("slice", slice_of("other", "web"));
    let told = world.drain();
    assert_eq!(spec(&told, "web").unwrap().unwrap(), ["web", "other"]);
    assert!(told.group("other").is_none());

    world.applied("service", plain(old));
    let told = world.drain();
    assert_eq!(told.removed[0].key, svc("web"));
    // The slice of the other Service still says whom it leads to: the new group begins with that one.
    assert_eq!(names(&told.removed[0].leftovers), ["seat shop/service/web", "slice web-hotstandby-ipv4"]);
    assert_eq!(spec(&told, "other").unwrap().unwrap(), ["other"]);
    let Some(ServiceFound::Usable(usable)) = told.found("other") else { panic!("{told:?}") };
    assert_eq!(usable.own.len(), 1);
}

#[test]
fn a_service_that_joins_an_older_one_leaves_its_seat_to_be_removed() {
    let mut world = settled();
    world.applied("service", annotated("first", "web", 0));
    let told = world.drain();
    assert_eq!(spec(&told, "first").unwrap().unwrap(), ["first", "web"]);
    let leftovers = &told.removed[0].leftovers;
    assert_eq!(names(leftovers), ["seat shop/service/web"], "the slice is written over");
    assert!(leftovers[0].superseded, "the Service asks as before, so reading it tells nothing");
    assert_eq!(names(&world.index.orphans()), ["seat shop/service/web"]);
}

#[test]
fn a_service_with_a_selector_and_one_with_the_annotation_agree() {
    let led = json!({"app": "web", "qoqo.dev/pod-designation": "active"});
    let told = world(&[selecting("led", &led, 1), annotated("own", "web", 2)]).drain();
    assert_eq!(spec(&told, "led").unwrap().unwrap(), ["led", "own"]);
    assert_eq!(
        told.names("led").unwrap(),
        ["web-0", "web-1"],
        "all that the selector picked before it was led"
    );
}

#[test]
fn nine_are_one_too_many() {
    let services: Vec<_> = (0..9).map(|n| annotated(&format!("s{n}"), "web", n)).collect();
    let told = world(&services).drain();
    assert_eq!(spec(&told, "s0").unwrap().unwrap().len(), 8);
    assert!(refusal(&told, "s8").problem.contains("8 Services at most"));
}

#[test]
fn a_common_pod_of_two_selectors_is_refused_to_the_younger_which_stands_still_meanwhile() {
    let mut both = pod("web-1", "p1", "web", 12);
    both["metadata"]["labels"]["tier"] = json!("front");
    let mut world = world(&[
        selecting("young", &json!({"tier": "front"}), 2),
        selecting("old", &json!({"app": "web"}), 1),
    ]);
    world.applied("seat", seat_of("young", "f-0", "f0"));
    let mut front = pod("f-0", "f0", "front", 10);
    front["metadata"]["labels"]["tier"] = json!("front");
    world.applied("pod", front);
    let told = world.drain();
    assert_eq!(told.names("young").unwrap(), ["f-0"]);
    assert!(spec(&told, "old").unwrap().is_ok() && spec(&told, "young").unwrap().is_ok());

    world.applied("pod", both.clone());
    let told = world.drain();
    let refused = refusal(&told, "young");
    assert_eq!(refused.reason, "SelectorsOverlap");
    assert!(refused.problem.contains("pod web-1") && refused.problem.contains("Service old"), "{refused}");
    assert!(spec(&told, "old").is_none(), "nothing changes for the older");
    assert!(told.removed.is_empty());
    assert_eq!(names(&world.index.stale(&svc("young"))), [""; 0]);
    assert_eq!(names(&world.index.orphans()), [""; 0]);
    world.applied("pod", {
        let mut again = both.clone();
        again["metadata"]["resourceVersion"] = json!("13");
        again
    });
    assert!(world.drain().group("young").is_none(), "told once");

    world.deleted("pod", both);
    let told = world.drain();
    assert!(spec(&told, "young").unwrap().is_ok());
}

#[test]
fn overlaps_are_seen_at_the_start_too_and_a_finished_pod_makes_none() {
    let services =
        [selecting("young", &json!({"tier": "x"}), 2), selecting("old", &json!({"app": "web"}), 1)];
    for (phase, refused) in [("Running", true), ("Succeeded", false)] {
        let mut both = pod("web-9", "p9", "web", 12);
        both["metadata"]["labels"]["tier"] = json!("x");
        both["status"]["phase"] = json!(phase);
        let mut world = World::empty();
        world.list("service", &services);
        world.list("pod", &[both]);
        world.list("group", &[]);
        for kind in ["node", "slice", "seat", "replicaset", "statefulset"] {
            world.list(kind, &[]);
        }
        assert_eq!(spec(&world.drain(), "young").unwrap().is_err(), refused, "{phase}");
    }
}

#[test]
fn either_service_pauses_and_only_the_oldest_is_asked_for_a_move() {
    let mut young = annotated("other", "web", 2);
    young["metadata"]["annotations"]["hotstandby.dev/paused"] = json!("true");
    young["metadata"]["annotations"]["hotstandby.dev/switchover"] = json!("term=1");
    let mut old = annotated("web", "web", 1);
    let mut world = world(&[young, old.clone()]);
    let view = world.drain().group("web").unwrap();
    assert!(view.paused);
    assert_eq!(view.switchover, None);
    old["metadata"]["annotations"]["hotstandby.dev/switchover"] = json!("term=7,to=web-1");
    world.applied("service", old);
    assert_eq!(world.drain().group("web").unwrap().switchover.as_deref(), Some("term=7,to=web-1"));
}

#[test]
fn services_of_other_namespaces_have_nothing_to_do_with_it() {
    let mut elsewhere = annotated("web", "web", 0);
    elsewhere["metadata"]["namespace"] = json!("other");
    let mut world = settled();
    world.applied("service", elsewhere);
    let told = world.drain();
    assert!(told.observations.iter().all(|(key, _)| *key.namespace == *"other"));
    assert_eq!(told.names("web").unwrap(), [""; 0], "pods of its own namespace only");
}
