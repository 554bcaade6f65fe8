use super::*;
use crate::view::Phase;
use std::collections::BTreeMap;

fn pod(name: &str) -> MemberView {
    MemberView {
        name: name.into(),
        uid: format!("uid-{name}").into(),
        rv: "1".into(),
        ips: vec![std::net::Ipv4Addr::new(10, 0, 0, 1).into()],
        node: Some("n1".into()),
        phase: Phase::Running,
        ready: true,
        ready_said: true,
        ready_turned_ms: None,
        terminating: false,
        selected: true,
        created_ms: Some(5_000),
        started_ms: None,
        priority: 0,
        revision: 0,
        critical_terminated: None,
        mesh: None,
        named_ports: BTreeMap::new(),
        labels: BTreeMap::new(),
        mark: None,
        stateful: false,
    }
}

fn lease(written_ms: Option<i64>) -> FollowedLease {
    FollowedLease { name: "lock".into(), holder_uid: None, acquired_ms: None, written_ms, duration: None }
}

fn named(holder: &str, names: &HolderNames, pods: &[MemberView]) -> String {
    match naming(&lease(Some(9_000)), holder, names, pods.iter(), |_| false) {
        Naming::Member(member) | Naming::Named(member) => member.name.to_string(),
        other => format!("{other:?}").split('(').next().unwrap_or_default().to_owned(),
    }
}

#[test]
fn a_pod_whose_name_begins_like_anothers_is_not_taken_for_it() {
    let pods = [pod("web-1"), pod("web-10"), pod("web-1-0")];
    let usual = HolderNames::default();
    assert_eq!(named("web-1", &usual, &pods), "web-1");
    assert_eq!(named("web-10_4f1c", &usual, &pods), "web-10");
    assert_eq!(named("web-1-0_4f1c", &usual, &pods), "web-1-0");
    assert_eq!(named("web-2_4f1c", &usual, &pods), "Nobody");
    assert_eq!(named("web-1x", &usual, &pods), "Nobody");
}

#[test]
fn a_pattern_that_could_mean_two_pods_is_refused() {
    for bad in [
        "",
        "web",
        "{pod}*",
        "*{pod}",
        "{pod}-*",
        "{ip}:*",
        "*-{pod}",
        "{pod}{uid}",
        "a*b{pod}",
        "{pod}_*_*",
        "{host}",
    ] {
        assert!(HolderNames::parse(bad).is_err(), "{bad}");
    }
    for good in
        ["{pod}", "op-{pod}", "{pod}-op", "{pod}_*", "*_{pod}", "*/{uid}", "*#{pod}#*", "{node}", "{ip}:8080"]
    {
        assert!(HolderNames::parse(good).is_ok(), "{good}");
    }
}

#[test]
fn patterns_name_by_pod_uid_address_and_node() {
    let names = |text| HolderNames::parse(text).unwrap();
    let pods = [pod("web-0"), MemberView { node: Some("n2".into()), ips: Vec::new(), ..pod("web-1") }];
    assert_eq!(named("op-web-1_77", &names("op-{pod}_*"), &pods), "web-1");
    assert_eq!(named("x/uid-web-0", &names("*/{uid}"), &pods), "web-0");
    assert_eq!(named("10.0.0.1:8080", &names("{ip}:8080"), &pods), "web-0");
    assert_eq!(named("n2", &names("{node}"), &pods), "web-1");
    let same_node = [pod("web-0"), pod("web-1")];
    assert_eq!(named("n1", &names("{node}"), &same_node), "Several");
}

#[test]
fn a_record_older_than_the_pod_does_not_name_it() {
    let pods = [pod("web-0")];
    let by = |lease: &FollowedLease, seen: bool| match naming(
        lease,
        "web-0",
        &HolderNames::default(),
        pods.iter(),
        |_| seen,
    ) {
        Naming::Named(_) => true,
        Naming::Older(_) => false,
        other => panic!("{other:?}"),
    };
    assert!(!by(&lease(Some(4_000)), false));
    assert!(!by(&lease(Some(5_000)), false), "the same second proves nothing");
    assert!(by(&lease(Some(5_000)), true), "unless it was seen to change since");
    assert!(by(&lease(Some(6_000)), false));
    assert!(!by(&lease(None), false));
    assert!(by(&lease(None), true));
}

#[test]
fn a_uid_names_its_pod_whatever_the_times_and_no_other_of_its_name() {
    let pods = [pod("web-0")];
    let marked = |uid: &str| FollowedLease { holder_uid: Some(uid.into()), ..lease(Some(1_000)) };
    let of = |uid| naming(&marked(uid), "web-0", &HolderNames::default(), pods.iter(), |_| true);
    assert_eq!(of("uid-web-0"), Naming::Member(&pods[0]));
    assert_eq!(of("uid-of-the-one-before"), Naming::Nobody);
    let by_uid = HolderNames::parse("{uid}").unwrap();
    let text = naming(&lease(Some(1_000)), "uid-web-0", &by_uid, pods.iter(), |_| false);
    assert_eq!(text, Naming::Member(&pods[0]));
}

#[test]
fn a_pod_that_left_the_group_is_nobody() {
    let pods = [MemberView { selected: false, ..pod("web-0") }];
    assert_eq!(named("web-0", &HolderNames::default(), &pods), "Nobody");
}

#[test]
fn long_pod_names_are_known_by_their_host_name() {
    let long = format!("{}-{}", "a".repeat(62), "b".repeat(10));
    let host = "a".repeat(62);
    assert_eq!(named(&format!("{host}_1"), &HolderNames::default(), &[pod(&long)]), long);
}

#[test]
fn the_pod_to_read_is_taken_from_the_text() {
    let usual = HolderNames::default();
    assert_eq!(usual.pod_name("web-0_77_8"), Some("web-0"));
    assert_eq!(usual.pod_name("web-0"), Some("web-0"));
    assert_eq!(usual.pod_name("_77"), None);
    assert_eq!(usual.pod_name("Some Thing"), None);
    assert_eq!(HolderNames::parse("{node}").unwrap().pod_name("n1"), None);
    assert_eq!(HolderNames::parse("op-{pod}").unwrap().pod_name("op-web-0"), Some("web-0"));
}
