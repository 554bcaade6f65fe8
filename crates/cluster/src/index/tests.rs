//! The index without a server. Each test is named after what it fears.

mod annotated;
mod followed;
mod marked;
mod world;

use super::*;
use hotstandby_core::nodes::TURN_WINDOW;
use hotstandby_core::seat::SeatState;
use hotstandby_core::view::{Family, NodeState, ServiceFound};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use world::*;

#[test]
fn half_a_picture_is_never_told() {
    let mut world = World::empty();
    world.list("group", &[group("web", "g1", "web", &["web-active"])]);
    world.list("pod", &[pod("web-0", "p0", "web", 10)]);
    for kind in ["node", "service", "slice", "seat", "replicaset"] {
        world.list(kind, &[]);
        assert!(world.drain().observations.is_empty(), "{kind}");
    }
    assert!(!world.index.is_synced());
    world.list("statefulset", &[]);
    let told = world.drain();
    assert_eq!(told.observations.len(), 5);
    assert!(matches!(told.observations[0].1, Observation::Group(_)));
    assert_eq!(told.seat("web"), Some(SeatState::Absent));
    assert_eq!(told.found("web"), Some(ServiceFound::Missing));
    assert_eq!(told.nodes("web").unwrap().nodes["n1"], NodeState::Gone);
    assert!(world.drain().observations.is_empty());
}

#[test]
fn lists_in_any_order_make_the_same_picture() {
    let mut world = World::empty();
    world.list("pod", &[pod("web-0", "p0", "web", 10), pod("db-0", "p1", "db", 10)]);
    for kind in ["node", "service", "slice", "seat", "replicaset", "statefulset"] {
        world.list(kind, &[]);
    }
    world.list("group", &[group("web", "g1", "web", &["web-active"])]);
    assert_eq!(world.drain().names("web").unwrap(), ["web-0"]);
}

#[test]
fn a_pod_deleted_while_nobody_watched_is_gone_after_the_next_list() {
    let mut world = World::settled();
    world.list("pod", &[pod("web-1", "p1", "web", 11)]);
    assert_eq!(world.drain().names("web").unwrap(), ["web-1"]);
}

#[test]
fn a_list_that_failed_halfway_removes_nothing() {
    let mut world = World::settled();
    world.event("pod", Event::Begin);
    world.event("pod", Event::Listed(pod("web-1", "p1", "web", 11)));
    assert!(world.drain().observations.is_empty());
    world.list("pod", &[pod("web-0", "p0", "web", 10), pod("web-1", "p1", "web", 11)]);
    assert!(world.drain().observations.is_empty());
}

#[test]
fn an_equal_list_is_silent() {
    let mut world = World::settled();
    world.list("group", &[group("web", "g1", "web", &["web-active"])]);
    world.list("pod", &[pod("web-0", "p0", "web", 10), pod("web-1", "p1", "web", 11)]);
    world.list("node", &[node("n1", "True"), node("n2", "True"), node("n3", "True")]);
    world.list("service", &[service("web-active", &Value::Null)]);
    world.list("seat", &[seat("web", "g1", "web-0", "p0", 20)]);
    assert!(world.drain().observations.is_empty());
}

#[test]
fn other_peoples_pods_concern_nobody() {
    let mut world = World::settled();
    world.applied("pod", pod("db-0", "p9", "db", 30));
    let mut elsewhere = pod("web-7", "p7", "web", 31);
    elsewhere["metadata"]["namespace"] = json!("other");
    world.applied("pod", elsewhere.clone());
    world.deleted("pod", elsewhere);
    world.applied("service", service("db", &json!({"app": "db"})));
    world.applied("slice", slice("db-x", "db", None));
    assert!(world.drain().observations.is_empty());
}

#[test]
fn a_late_word_about_a_predecessor_does_no_harm() {
    let mut world = World::settled();
    world.applied("pod", pod("web-0", "new", "web", 40));
    assert_eq!(world.drain().members("web").unwrap()[0].uid, "new".into());
    world.deleted("pod", pod("web-0", "p0", "web", 41));
    assert!(world.drain().observations.is_empty());
    world.applied("pod", pod("web-0", "new", "web", 39));
    assert!(world.drain().observations.is_empty(), "an older version of the same pod");
}

#[test]
fn a_holder_that_was_relabelled_stays_a_member_until_it_is_gone() {
    let mut world = World::settled();
    world.applied("pod", pod("web-0", "p0", "retired", 30));
    let members = world.drain().members("web").unwrap();
    assert_eq!((&*members[0].name, members[0].selected), ("web-0", false));
    world.applied("pod", pod("web-1", "p1", "retired", 31));
    assert_eq!(world.drain().names("web").unwrap(), ["web-0"], "a standby that leaves is no member");
    world.deleted("pod", pod("web-0", "p0", "retired", 32));
    assert_eq!(world.drain().names("web").unwrap(), [""; 0]);
}

#[test]
fn a_seat_edited_by_hand_does_not_make_a_stranger_a_member() {
    let mut world = World::settled();
    world.applied("pod", pod("db-0", "p9", "db", 30));
    let mut edited = seat("web", "g1", "web-0", "p0", 31);
    edited["spec"]["holderIdentity"] = json!("db-0");
    world.applied("seat", edited);
    let told = world.drain();
    assert!(matches!(told.seat("web"), Some(SeatState::Present(record)) if record.sealed().is_none()));
    assert!(told.names("web").is_none_or(|names| names == ["web-0", "web-1"]));
    world.applied("pod", pod("db-0", "p9", "db", 32));
    assert!(world.drain().observations.is_empty());
}

#[test]
fn a_finished_pod_is_a_member_only_as_the_holder() {
    let mut world = World::settled();
    let finished = |name: &str, uid: &str, rv: u64| {
        let mut pod = pod(name, uid, "web", rv);
        pod["status"]["phase"] = json!("Succeeded");
        pod
    };
    world.applied("pod", finished("web-1", "p1", 30));
    assert_eq!(world.drain().names("web").unwrap(), ["web-0"]);
    world.applied("pod", finished("web-0", "p0", 31));
    assert_eq!(world.drain().names("web").unwrap(), ["web-0"]);
}

#[test]
fn a_seat_that_is_deleted_is_told_as_absent() {
    let mut world = World::settled();
    world.list("seat", &[]);
    assert_eq!(world.drain().seat("web"), Some(SeatState::Absent));
}

#[test]
fn of_two_groups_that_name_a_service_the_older_keeps_it() {
    let mut world = World::settled();
    let mut older = group("web2", "g2", "web2", &["web-active"]);
    older["metadata"]["creationTimestamp"] = json!("2026-11-20T00:00:00Z");
    world.applied("group", older.clone());
    let told = world.drain();
    assert_eq!(told.found("web"), Some(ServiceFound::ClaimedBy("web2".into())));
    assert!(matches!(told.found("web2"), Some(ServiceFound::Usable(_))));
    // A slip of the pen in the older group's spec does not hand its Service over.
    older["spec"]["detect"] = json!({"period": "soon"});
    older["metadata"]["resourceVersion"] = json!("2");
    world.applied("group", older.clone());
    let told = world.drain();
    assert!(told.group("web2").unwrap().spec.is_err());
    assert_eq!(told.found("web"), None);
    world.deleted("group", older);
    assert!(matches!(world.drain().found("web"), Some(ServiceFound::Usable(_))));
}

#[test]
fn an_invalid_spec_does_not_empty_the_group() {
    let mut world = World::settled();
    let mut invalid = group("web", "g1", "web", &["web-active"]);
    invalid["spec"]["selector"]["matchLabels"] = json!({"bad key": "x"});
    invalid["metadata"]["resourceVersion"] = json!("2");
    world.applied("group", invalid);
    let told = world.drain();
    assert_eq!(told.group("web").unwrap().spec.unwrap_err().field, "spec.selector.matchLabels");
    assert_eq!(told.members("web"), None, "as before, so not told again");
    world.applied("pod", pod("web-2", "p2", "web", 30));
    assert_eq!(world.drain().names("web").unwrap(), ["web-0", "web-1", "web-2"]);
}

#[test]
fn an_object_that_cannot_be_read_is_a_group_with_an_error() {
    let mut world = World::settled();
    let mut odd = group("web", "g1", "web", &["web-active"]);
    odd["spec"]["traffic"] = json!("later version");
    odd["metadata"]["resourceVersion"] = json!("2");
    world.applied("group", odd);
    let told = world.drain();
    assert!(told.group("web").unwrap().spec.unwrap_err().problem.contains("cannot be read"));
    assert!(told.removed.is_empty());
}

#[test]
fn a_group_made_anew_is_another_group() {
    let mut world = World::settled();
    world.applied("slice", slice("web-active-hotstandby-ipv4", "web-active", Some(("web", "g1"))));
    world.drain();
    world.applied("group", group("web", "g2", "web", &["web-active"]));
    let told = world.drain();
    assert_eq!(told.removed.len(), 1);
    assert_eq!((&told.removed[0].uid, told.removed[0].leftovers.len()), (&"g1".into(), 2));
    assert_eq!(told.group("web").unwrap().uid, "g2".into());
    assert_eq!(told.observations.len(), 5, "the new one is told everything");
    let orphans = world.index.orphans();
    assert_eq!(orphans.len(), 2, "what names the old UID belongs to nobody");
}

#[test]
fn a_group_deleted_while_nobody_watched_is_cleaned_up() {
    let mut world = World::settled();
    world.list("group", &[]);
    let told = world.drain();
    assert_eq!(told.removed[0].key, key("web"));
    assert_eq!(told.removed[0].leftovers[0].kind, LeftoverKind::Seat);
    world.applied("pod", pod("web-0", "p0", "web", 50));
    assert!(world.drain().observations.is_empty());
}

#[test]
fn orphan_leaves_the_slice_and_takes_the_seat() {
    let mut world = World::settled();
    let mut stays = slice("web-active-hotstandby-ipv4", "web-active", Some(("web", "g1")));
    stays["metadata"]["annotations"]["hotstandby.dev/deletion-policy"] = json!("Orphan");
    world.applied("slice", stays);
    world.deleted("group", group("web", "g1", "web", &["web-active"]));
    let removed = world.drain().removed.remove(0);
    assert_eq!(removed.leftovers.len(), 1);
    assert_eq!(removed.leftovers[0].kind, LeftoverKind::Seat);
    assert_eq!(world.index.orphans().len(), 1);
}

#[test]
fn nothing_of_another_install_is_ever_swept() {
    let mut world = World::usual();
    let mut theirs = seat("gone", "g9", "x", "x", 20);
    theirs["metadata"]["annotations"]["hotstandby.dev/controller"] = json!("other/controller");
    world.applied("seat", theirs);
    let mut slice_of_theirs = slice("x-hotstandby-ipv4", "x", Some(("gone", "g9")));
    slice_of_theirs["metadata"]["annotations"]["hotstandby.dev/controller"] = json!("other/controller");
    world.applied("slice", slice_of_theirs);
    // A forged mark: a slice in one namespace cannot belong to a group of another.
    let mut forged = slice("y-hotstandby-ipv4", "y", Some(("gone", "g9")));
    forged["metadata"]["annotations"]["hotstandby.dev/group-namespace"] = json!("kube-system");
    world.applied("slice", forged);
    assert!(world.index.orphans().is_empty());
    world.applied("seat", seat("gone", "g9", "x", "x", 21));
    assert_eq!(world.index.orphans().len(), 1);
}

#[test]
fn a_service_no_longer_named_leaves_a_stale_slice() {
    let mut world = World::settled();
    world.applied("slice", slice("web-active-hotstandby-ipv4", "web-active", Some(("web", "g1"))));
    assert!(world.index.stale(&key("web")).is_empty());
    let mut moved = group("web", "g1", "web", &["other"]);
    moved["metadata"]["resourceVersion"] = json!("2");
    world.applied("group", moved);
    assert_eq!(world.index.stale(&key("web")).len(), 1);
}

#[test]
fn a_service_that_got_a_selector_must_not_show_two_actives() {
    let mut world = World::settled();
    world.applied("slice", slice("web-active-hotstandby-ipv4", "web-active", Some(("web", "g1"))));
    world.applied("service", service("web-active", &json!({"app": "web"})));
    let found = world.drain().found("web").unwrap();
    let selecting = found.selecting().unwrap();
    assert_eq!(selecting.selector, BTreeMap::from([("app".into(), "web".into())]));
    assert_eq!((selecting.ports.len(), &selecting.mark), (1, &None));
    assert_eq!(world.index.stale(&key("web")).len(), 1);
}

#[test]
fn own_and_foreign_slices_are_told_apart() {
    let mut world = World::settled();
    world.applied("slice", slice("web-active-hotstandby-ipv4", "web-active", Some(("web", "g1"))));
    world.applied("slice", slice("web-active-x7x", "web-active", None));
    let Some(ServiceFound::Usable(usable)) = world.drain().found("web") else { panic!() };
    assert_eq!(usable.own.keys().collect::<Vec<_>>(), [&Family::Ipv4]);
    assert_eq!(usable.foreign, ["web-active-x7x".into()]);
    world.deleted("slice", slice("web-active-x7x", "web-active", None));
    let Some(ServiceFound::Usable(usable)) = world.drain().found("web") else { panic!() };
    assert!(usable.foreign.is_empty());
    // Our slice with its label torn off still stands under our name, or we would write beside it.
    let mut torn = slice("web-active-hotstandby-ipv4", "elsewhere", Some(("web", "g1")));
    torn["metadata"]["resourceVersion"] = json!("2");
    world.applied("slice", torn);
    let Some(ServiceFound::Usable(usable)) = world.drain().found("web") else { panic!() };
    assert_eq!((&usable.own[&Family::Ipv4].rv, &usable.own[&Family::Ipv4].content), (&"2".into(), &None));
}

#[test]
fn one_silent_node_is_that_node_and_most_of_them_are_the_control_plane() {
    let mut world = World::settled();
    world.applied("node", node("n1", "Unknown"));
    let nodes = world.drain().nodes("web").unwrap();
    assert_eq!((nodes.nodes["n1"], nodes.control_plane_ill), (NodeState::Unknown, false));
    world.applied("node", node("n2", "Unknown"));
    assert!(world.drain().nodes("web").unwrap().control_plane_ill);
    let tick = world.index.next_tick(world.now).unwrap();
    assert_eq!(tick, world.now + TURN_WINDOW);
    world.now = tick;
    assert!(!world.drain().nodes("web").unwrap().control_plane_ill);
    assert_eq!(world.index.next_tick(world.now), None);
}

#[test]
fn nodes_that_turned_while_nobody_watched_count_when_the_list_shows_it() {
    let mut world = World::settled();
    world.now = T(500);
    world.list("node", &[node("n1", "Unknown"), node("n2", "Unknown"), node("n3", "True")]);
    assert!(world.drain().nodes("web").unwrap().control_plane_ill);
}

#[test]
fn a_replica_that_starts_among_ill_nodes_sees_no_turn() {
    let mut world = World::empty();
    world.list("node", &[node("n1", "Unknown"), node("n2", "Unknown")]);
    assert_eq!(world.index.next_tick(world.now), None);
}

#[test]
fn a_node_that_is_gone_or_vouched_off_is_told() {
    let mut world = World::settled();
    let mut off = node("n1", "Unknown");
    off["spec"] = json!({"taints": [{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]});
    world.applied("node", off);
    assert_eq!(world.drain().nodes("web").unwrap().nodes["n1"], NodeState::OutOfService);
    world.list("node", &[node("n2", "True"), node("n3", "True")]);
    assert_eq!(world.drain().nodes("web").unwrap().nodes["n1"], NodeState::Gone);
}

#[test]
fn without_a_right_to_nodes_they_count_as_ready() {
    let watched = Watched { nodes: false, ..Watched::ALL };
    let mut world = World { index: Index::new(ME.into(), watched), now: T(1) };
    world.list("group", &[group("web", "g1", "web", &["web-active"])]);
    world.list("pod", &[pod("web-0", "p0", "web", 10)]);
    for kind in ["service", "slice", "seat", "replicaset", "statefulset"] {
        world.list(kind, &[]);
    }
    let nodes = world.drain().nodes("web").unwrap();
    assert_eq!(nodes.nodes["n1"], NodeState::Ready { since_ms: None });
}

#[test]
fn preferred_nodes_are_those_with_the_labels() {
    let mut world = World::settled();
    let mut prefers = group("web", "g1", "web", &["web-active"]);
    prefers["spec"]["candidates"] = json!({"preferNodes": {"matchLabels": {"zone": "n1"}}});
    prefers["metadata"]["resourceVersion"] = json!("2");
    world.applied("group", prefers);
    assert_eq!(world.drain().nodes("web").unwrap().preferred, ["n1".into()]);
}

#[test]
fn a_rollback_re_ranks_the_members() {
    let mut world = World::settled();
    let mut owned = pod("web-0", "p0", "web", 30);
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-a", "uid": "r", "controller": true}]);
    world.applied("pod", owned);
    assert_eq!(world.drain().members("web").unwrap()[0].revision, 0);
    let set = |revision: &str, replicas: u64| {
        let mut set = json!({"metadata": meta("web-a", "r", 1), "spec": {"replicas": replicas}});
        set["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": revision});
        set
    };
    world.applied("replicaset", set("3", 2));
    assert_eq!(world.drain().members("web").unwrap()[0].revision, 3);
    world.applied("replicaset", set("5", 2));
    assert_eq!(world.drain().members("web").unwrap()[0].revision, 5);
    assert!(world.index.sight(&key("web")).unwrap().lens.owners.replica_sets.contains_key("web-a"));
    world.applied("replicaset", set("5", 0));
    world.deleted("replicaset", set("5", 0));
    assert_eq!(world.drain().members("web").unwrap()[0].revision, 0);
}

#[test]
fn a_new_selector_finds_the_pods_that_were_there() {
    let mut world = World::settled();
    world.applied("pod", pod("db-0", "p9", "db", 30));
    let mut changed = group("web", "g1", "db", &["web-active"]);
    changed["metadata"]["resourceVersion"] = json!("2");
    world.applied("group", changed);
    let members = world.drain().members("web").unwrap();
    let picked: Vec<_> = members.iter().map(|member| (&*member.name, member.selected)).collect();
    assert_eq!(picked, [("db-0", true), ("web-0", false)]);
}

#[test]
fn a_complete_generation_is_known_only_when_every_kind_has_it() {
    let mut world = World::settled();
    assert_eq!(world.index.generation(), 1);
    for kind in ["group", "pod", "node", "service", "slice", "seat", "replicaset"] {
        world.event(kind, Event::Done(2));
        assert_eq!(world.index.generation(), 1);
    }
    world.event("statefulset", Event::Done(2));
    assert_eq!(world.index.generation(), 2);
}
