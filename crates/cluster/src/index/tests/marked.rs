//! Marks on objects of others: what a group is told of them, and what becomes of those it does not lead.

use super::*;
use hotstandby_core::action::MemberRef;
use hotstandby_core::seat::SeatState;

/// Puts marks on an object: of this install, for the group with this UID.
fn mark(object: &mut Value, group: &str, uid: &str, undo: &str) {
    object["metadata"]["annotations"] = json!({
        "hotstandby.dev/controller": ME, "hotstandby.dev/group-uid": uid, "hotstandby.dev/group-namespace": "shop",
        "hotstandby.dev/group-name": group, "hotstandby.dev/undo": undo,
        "hotstandby.dev/seat-uid": "seat", "hotstandby.dev/term": "7",
    });
}

/// `web-0`, labelled active by the group `web`.
fn active(app: &str, rv: u64) -> Value {
    let mut pod = pod("web-0", "p0", app, rv);
    pod["metadata"]["labels"]["role"] = json!("active");
    mark(&mut pod, "web", "g1", r#"{"role":"standby"}"#);
    pod
}

/// `web-active`, pointing to `web-0`.
fn pointing(rv: u64) -> Value {
    let mut service = service("web-active", &json!({"app": "web", "hotstandby.dev/member": "p0"}));
    service["metadata"]["resourceVersion"] = json!(rv.to_string());
    mark(&mut service, "web", "g1", r#"{"hotstandby.dev/member":null}"#);
    service
}

/// The group `web` at this version, leading by role labels.
fn labelling(rv: u64, app: &str, services: &[&str]) -> Value {
    let mut group = group("web", "g1", app, services);
    group["metadata"]["resourceVersion"] = json!(rv.to_string());
    group["spec"]["roleLabel"] = json!({"key": "role"});
    group
}

fn world() -> World {
    let mut world = World::settled();
    world.applied("group", labelling(2, "web", &["web-active"]));
    world.applied("pod", active("web", 12));
    world.applied("service", pointing(13));
    world
}

fn kinds(leftovers: &[Leftover]) -> Vec<&'static str> {
    let kind = |leftover: &Leftover| match leftover.kind {
        LeftoverKind::Seat => "seat",
        LeftoverKind::Slice { .. } => "slice",
        LeftoverKind::Selector { .. } => "selector",
        LeftoverKind::Labels { .. } => "labels",
    };
    leftovers.iter().map(kind).collect()
}

#[test]
fn a_group_is_told_what_it_leads_and_what_is_marked() {
    let told = world().drain();
    let members = told.members("web").unwrap();
    assert_eq!(members[0].labels, BTreeMap::from([("role".into(), "active".into())]));
    assert!(members[0].mark.is_some() && members[1].mark.is_none() && members[1].labels.is_empty());
    let found = told.found("web").unwrap();
    let service = found.selecting().unwrap();
    assert_eq!((&service.uid, &service.rv), (&"web-active".into(), &"13".into()));
    assert_eq!(service.mark.as_ref().unwrap().undo, BTreeMap::from([("hotstandby.dev/member".into(), None)]));
    assert_eq!(service.selector.len(), 2);
}

/// Whom a group is told to lead the labels of `web-0`, if not itself.
fn led_by(told: &Told, group: &str) -> Option<String> {
    let member = told.members(group).unwrap().remove(0);
    member.mark.map(|mark| mark.controller.to_string()).filter(|controller| controller != ME)
}

#[test]
fn two_groups_over_the_same_pods_do_not_undo_each_others_labels() {
    let mut world = world();
    world.drain();
    // One that leads no labels leaves alone what the other wrote, as long as that lives.
    world.applied("group", group("twin", "g9", "web", &["web-twin"]));
    let told = world.drain();
    assert_eq!(led_by(&told, "twin").unwrap(), "another group, shop/web");
    world.deleted("group", labelling(2, "web", &["web-active"]));
    assert_eq!(led_by(&world.drain(), "twin"), None);
}

/// A group that was made before `web`, and leads labels of the same pods.
fn older() -> Value {
    let mut older = group("twin", "g9", "web", &["web-twin"]);
    older["spec"]["roleLabel"] = json!({"key": "role"});
    older["metadata"]["creationTimestamp"] = json!("2020-01-01T00:00:00Z");
    older
}

#[test]
fn of_two_groups_that_lead_labels_of_the_same_pods_the_older_does() {
    let mut world = World::settled();
    world.applied("group", labelling(2, "web", &["web-active"]));
    world.drain();
    world.applied("group", older());
    let told = world.drain();
    assert_eq!(led_by(&told, "web").unwrap(), "another group, shop/twin");
    assert_eq!(led_by(&told, "twin"), None);
    let mut leads_none = older();
    leads_none["metadata"]["resourceVersion"] = json!("99");
    leads_none["spec"].as_object_mut().unwrap().remove("roleLabel");
    world.applied("group", leads_none);
    let told = world.drain();
    assert_eq!(led_by(&told, "web"), None);
    assert_eq!(led_by(&told, "twin").unwrap(), "another group, shop/web");
}

#[test]
fn a_group_that_leads_labels_already_keeps_them() {
    let mut world = world();
    world.drain();
    world.applied("group", older());
    let told = world.drain();
    assert_eq!(led_by(&told, "twin").unwrap(), "another group, shop/web");
    assert!(told.members("web").is_none(), "nothing is new for it");
}

#[test]
fn another_key_to_lead_shows_other_labels() {
    let mut world = world();
    world.drain();
    let mut moved = labelling(3, "web", &["web-active"]);
    moved["spec"]["roleLabel"]["key"] = json!("part");
    world.applied("group", moved);
    assert!(world.drain().members("web").unwrap()[0].labels.is_empty());
    // A slip of the pen leaves what was led before.
    let mut broken = labelling(4, "web", &["web-active"]);
    broken["spec"]["roleLabel"] = json!({"key": "role", "active": "x", "standby": "x"});
    world.applied("group", broken);
    world.drain();
    assert_eq!(*world.index.sight(&key("web")).unwrap().lens.led, ["part".into()]);
}

#[test]
fn a_removed_group_leaves_selectors_first_and_then_the_labels_they_asked_for() {
    let mut world = world();
    world.drain();
    world.deleted("group", labelling(2, "web", &["web-active"]));
    let removed = world.drain().removed.remove(0);
    assert_eq!(kinds(&removed.leftovers), ["seat", "selector", "labels"]);
    let LeftoverKind::Labels { pod, undo } = &removed.leftovers[2].kind else { panic!() };
    assert_eq!((&**pod, undo["role"].as_deref()), ("web-0", Some("standby")));
    assert_eq!((&removed.leftovers[2].uid, &removed.leftovers[2].rv), (&"p0".into(), &"12".into()));
    assert_eq!(kinds(&world.index.orphans()), ["seat", "selector", "labels"], "also at a start after it");
}

#[test]
fn orphaned_marks_and_those_of_others_stay() {
    let mut world = world();
    let mut stays = active("web", 20);
    stays["metadata"]["annotations"]["hotstandby.dev/deletion-policy"] = json!("Orphan");
    world.applied("pod", stays);
    let mut theirs = pointing(21);
    theirs["metadata"]["annotations"]["hotstandby.dev/controller"] = json!("other/controller");
    world.applied("service", theirs);
    let mut forged = pod("x", "px", "x", 22);
    mark(&mut forged, "gone", "g9", r#"{"role":null}"#);
    forged["metadata"]["annotations"]["hotstandby.dev/group-namespace"] = json!("kube-system");
    world.applied("pod", forged);
    world.deleted("group", labelling(2, "web", &["web-active"]));
    assert_eq!(kinds(&world.drain().removed[0].leftovers), ["seat"]);
    assert_eq!(kinds(&world.index.orphans()), ["seat"]);
}

#[test]
fn what_a_living_group_leads_no_more_is_found() {
    let mut world = world();
    assert!(world.index.unled_by(&key("web")).is_empty());
    // The holder stays a member although the selector no longer picks it.
    world.applied("pod", active("other", 30));
    assert!(world.index.unled_by(&key("web")).is_empty());
    world.applied("seat", seat("web", "g1", "web-1", "p1", 31));
    let unled = world.index.unled_by(&key("web"));
    assert_eq!(kinds(&unled), ["labels"]);
    assert_eq!(unled[0].group_rv, Some("2".into()));
    world.applied("group", labelling(3, "web", &["other"]));
    assert_eq!(kinds(&world.index.unled()), ["selector", "labels"]);
    assert!(world.index.orphans().is_empty(), "its group lives");
    // Put right: nothing is left to do.
    world.applied("pod", pod("web-0", "p0", "other", 40));
    world.applied("service", service("web-active", &json!({"app": "web"})));
    assert!(world.index.unled().is_empty());
}

#[test]
fn a_spec_that_never_was_valid_unlabels_nobody() {
    let mut world = World::empty();
    let mut broken = labelling(2, "web", &["web-active"]);
    broken["spec"]["detect"] = json!({"period": "never"});
    world.list("group", &[broken]);
    world.list("pod", &[active("web", 12)]);
    for kind in ["node", "service", "slice", "seat", "replicaset", "statefulset"] {
        world.list(kind, &[]);
    }
    world.drain();
    assert!(world.index.unled().is_empty());
}

#[test]
fn a_selector_that_is_gone_is_not_put_back() {
    let mut world = world();
    let mut bare = pointing(20);
    bare["spec"]["selector"] = Value::Null;
    world.applied("service", bare);
    world.applied("group", labelling(3, "web", &["other"]));
    let unled = world.index.unled_by(&key("web"));
    let LeftoverKind::Selector { undo, .. } = &unled[0].kind else { panic!() };
    assert!(undo.is_empty());
}

#[test]
fn former_actives_stay_members_while_the_seat_names_them() {
    let mut world = World::settled();
    let mut waiting = seat("web", "g1", "web-1", "p1", 30);
    waiting["metadata"]["annotations"]["hotstandby.dev/previous"] = json!("p0/web-0");
    world.applied("seat", waiting);
    let mut finished = pod("web-0", "p0", "other", 31);
    finished["status"]["phase"] = json!("Failed");
    world.applied("pod", finished);
    let told = world.drain();
    let SeatState::Present(record) = told.seat("web").unwrap() else { panic!() };
    let previous = &record.sealed().unwrap().previous;
    assert_eq!(*previous, [MemberRef { name: "web-0".into(), uid: "p0".into() }]);
    let members = told.members("web").unwrap();
    assert_eq!(members.len(), 2);
    assert!(!members[0].selected && members[0].phase.is_finished());
    world.applied("seat", seat("web", "g1", "web-1", "p1", 32));
    assert_eq!(world.drain().names("web").unwrap(), ["web-1"]);
}

#[test]
fn what_was_told_before_a_restart_is_known_after_it() {
    let mut world = World::settled();
    let mut told = labelling(5, "web", &["web-active"]);
    told["status"] = json!({"members": [
        {"name": "web-0", "told": {"uid": "p0", "role": "active", "term": 7, "tries": 2, "acknowledged": true}},
        {"name": "web-1"},
        {"name": "web-2", "told": {"uid": "p2", "role": "of a later version", "term": 7}},
    ]});
    world.applied("group", told);
    let delivered = world.drain().group("web").unwrap().delivered;
    let [one] = delivered.as_slice() else { panic!("{delivered:?}") };
    assert_eq!((&one.uid, one.term.0, one.tries, one.acknowledged), (&"p0".into(), 7, 2, Some(true)));
}

#[test]
fn what_another_group_leads_by_now_is_left_to_it() {
    let mut world = world();
    world.drain();
    let mut heir = labelling(3, "web", &["web-active"]);
    heir["metadata"]["uid"] = json!("g2");
    world.applied("group", heir);
    let removed = world.drain().removed.remove(0);
    assert_eq!((&removed.uid, kinds(&removed.leftovers)), (&"g1".into(), vec!["seat"]), "no gap meanwhile");
    assert_eq!(kinds(&world.index.orphans()), ["seat"]);
    // One that cannot be followed puts nothing right.
    let mut broken = labelling(4, "web", &["web-active"]);
    broken["metadata"]["uid"] = json!("g2");
    broken["spec"]["detect"] = json!({"period": "never"});
    world.applied("group", broken);
    assert_eq!(kinds(&world.index.orphans()), ["seat", "selector", "labels"]);
}
