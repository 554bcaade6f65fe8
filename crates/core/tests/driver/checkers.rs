//! The checkers can fail: hand-made histories, each with one thing wrong.

use super::check::Asker;
use super::history::History;
use super::knowledge::{Knowledge, ReadDone};
use super::world::{CONTROLLER, World, first_spec};
use hotstandby_core::action::{MemberRef, Precondition, SeatWrite};
use hotstandby_core::ids::{Term, Uid};
use hotstandby_core::reason::Reason;
use hotstandby_core::seat::{SeatMarks, SeatRecord};
use hotstandby_core::traffic::desired;
use hotstandby_core::view::{ServiceFound, SliceContent};
use std::time::Duration;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn record(seat: &str, rv: &str, term: u64, holder: (&str, &Uid)) -> SeatRecord {
    SeatRecord {
        uid: seat.into(),
        rv: rv.into(),
        holder: Some(holder.0.into()),
        term: Some(Term(term)),
        marks: Some(SeatMarks {
            group_uid: "g1".into(),
            holder_uid: holder.1.clone(),
            holder_name: holder.0.into(),
            term: Term(term),
            reason: Reason::Initial,
            since_ms: 0,
            previous: Vec::new(),
        }),
        controller: Some(CONTROLLER.into()),
        followed: None,
    }
}

/// Two pods on two nodes, `web-0` holds seat `s` at term 7; one replica that was told everything.
struct Scene {
    world: World,
    knows: Knowledge,
    pods: [(MemberRef, Uid); 2],
}

impl Scene {
    fn new() -> Self {
        let services = ["web".into()];
        let mut world = World::new(&services, first_spec(&services), 2);
        world.new_pod("web-0".into(), "n0".into(), None);
        world.new_pod("web-1".into(), "n1".into(), None);
        world.now = s(100);
        let pod = |name: &str| {
            let uid = world.pods[name].view.uid.clone();
            (MemberRef { name: name.into(), uid: uid.clone() }, uid)
        };
        let pods = [pod("web-0"), pod("web-1")];
        let held = record("s", "50", 7, ("web-0", &pods[0].1));
        world.history.seat_applied(s(1), 0, &held);
        world.store_seat(held.clone());
        world.snapshot();
        let mut knows = Knowledge::default();
        knows.note_members(&world.snap(u64::MAX));
        knows.note_seat(Some(&held));
        let mut scene = Self { world, knows, pods };
        scene.read(s(100));
        scene
    }

    fn read(&mut self, at: Duration) {
        let pods = self.world.pods.values().map(|pod| (pod.view.uid.clone(), Some(pod.view.clone())));
        self.knows.reads.push(ReadDone { sent: at, delivered: at, pods: pods.collect() });
    }

    fn ask<T>(&self, ask: impl FnOnce(&Asker<'_>) -> T) -> T {
        ask(&Asker {
            world: &self.world,
            knows: &self.knows,
            replica: 0,
            group: Some(&self.world.group),
            probes: &|_| true,
            nodes: &self.world.nodes,
        })
    }

    fn move_for(&self, reason: Reason, term: u64) -> Vec<String> {
        let pre = Precondition::Unchanged { uid: "s".into(), rv: "50".into() };
        let holder = self.pods[1].0.clone();
        let seat = SeatWrite {
            holder,
            term: Term(term),
            reason,
            since_ms: 0,
            group_uid: "g1".into(),
            orphan: false,
            previous: Vec::new(),
        };
        self.ask(|asker| asker.seat(&pre, &seat))
    }

    fn slice_of(&self, pod: &str, term: u64) -> SliceContent {
        let ServiceFound::Usable(usable) = &self.world.services[0].found else { panic!("usable") };
        let pod = &self.world.pods[pod].view;
        let held = record("s", "50", term, (&pod.name, &pod.uid));
        let marks = held.marks.as_ref().expect("marks");
        desired(usable, hotstandby_core::view::Family::Ipv4, Some(pod), &held.uid, marks, false)
    }
}

#[track_caller]
fn only(wrong: &[String], rule: &str) {
    assert!(wrong.len() == 1 && wrong[0].starts_with(rule), "{rule} expected: {wrong:?}");
}

#[test]
fn a_good_move_and_a_good_slice_pass() {
    let mut scene = Scene::new();
    scene.world.pods.get_mut("web-0").expect("there").view.terminating = true;
    super::truth::note(&mut scene.world, &[]);
    assert_eq!(scene.move_for(Reason::PodTerminating, 8), Vec::<String>::new());
    let content = scene.slice_of("web-0", 7);
    assert_eq!(scene.ask(|asker| asker.slice(&Precondition::Absent, &content, None)), Vec::<String>::new());
}

#[test]
fn a_move_without_a_true_reason_shows() {
    let mut scene = Scene::new();
    only(&scene.move_for(Reason::PodTerminating, 8), "I6");
    only(&scene.move_for(Reason::NodeGone, 8), "I6");
    // It was so, but long ago.
    let holder = scene.pods[0].1.clone();
    scene.world.truths.note(&holder, super::truth::Truth::NotReady, s(95));
    only(&scene.move_for(Reason::NotReady, 8), "I6");
    only(&scene.move_for(Reason::SeatRepaired, 8)[..1], "I6");
}

#[test]
fn a_move_without_a_fresh_read_or_an_answer_shows() {
    let mut scene = Scene::new();
    let holder = scene.pods[0].1.clone();
    scene.world.truths.note(&holder, super::truth::Truth::Refuses, s(100));
    only(&scene.move_for(Reason::ProbeRefused, 8), "I6");
    scene.world.truths.note(&holder, super::truth::Truth::Terminating, s(102));
    scene.world.now = s(102);
    only(&scene.move_for(Reason::PodTerminating, 8), "READ");
}

#[test]
fn a_time_out_without_peers_or_against_a_veto_shows() {
    let mut scene = Scene::new();
    let (holder, successor) = (scene.pods[0].1.clone(), scene.pods[1].1.clone());
    scene.world.truths.note(&holder, super::truth::Truth::Silent, s(100));
    scene.knows.note_probe(&hotstandby_core::health::ProbeReport {
        uid: successor,
        outcome: hotstandby_core::health::Outcome::Success,
        sent: s(100),
        done: s(100),
        vantage: true,
        spans_gap: false,
        detail: None,
    });
    only(&scene.move_for(Reason::ProbeTimedOut, 8), "PEERS");
    scene.knows.note_peers(&holder, true);
    only(&scene.move_for(Reason::ProbeTimedOut, 8), "PEERS");
    scene.knows.note_peers(&holder, false);
    assert_eq!(scene.move_for(Reason::ProbeTimedOut, 8), Vec::<String>::new());
}

#[test]
fn a_term_that_goes_back_or_names_two_shows() {
    let scene = Scene::new();
    assert!(scene.move_for(Reason::PodTerminating, 7).iter().any(|wrong| wrong.starts_with("I3")));
    let mut history = History::default();
    let (a, b): (Uid, Uid) = ("a".into(), "b".into());
    history.seat_applied(s(1), 0, &record("s", "1", 7, ("a", &a)));
    history.seat_applied(s(2), 1, &record("s", "2", 7, ("b", &b)));
    assert_eq!(
        history.wrong.iter().filter(|wrong| wrong.starts_with("I3")).count(),
        2,
        "{:?}",
        history.wrong
    );
}

#[test]
fn an_older_slice_over_a_newer_one_shows() {
    let mut scene = Scene::new();
    let (old, holder) = (scene.slice_of("web-0", 7), scene.pods[1].1.clone());
    scene.world.history.seat_applied(s(2), 0, &record("s", "60", 8, ("web-1", &holder)));
    scene.world.history.slice_applied(&"web".into(), &scene.slice_of("web-1", 8));
    scene.world.history.slice_applied(&"web".into(), &old);
    only(&scene.world.history.wrong, "I3");
}

#[test]
fn a_slice_of_one_who_did_not_hold_the_seat_or_is_gone_shows() {
    let mut scene = Scene::new();
    let content = scene.slice_of("web-1", 7);
    only(&scene.ask(|asker| asker.slice(&Precondition::Absent, &content, None)), "I1");
    let mut content = scene.slice_of("web-0", 7);
    content.endpoint.as_mut().expect("one").ip = [10, 9, 9, 9].into();
    only(&scene.ask(|asker| asker.slice(&Precondition::Absent, &content, None)), "I1");
    let content = scene.slice_of("web-0", 7);
    scene.world.pods.remove("web-0");
    scene.world.dirty.insert(super::world::Kind::Members);
    scene.world.snapshot();
    scene.world.now = s(110);
    scene.knows.note_members(&scene.world.snap(u64::MAX));
    only(&scene.ask(|asker| asker.slice(&Precondition::Absent, &content, None)), "I1");
}

#[test]
fn a_slice_of_one_who_never_held_the_lease_of_others_and_a_write_to_it_show() {
    let mut scene = Scene::new();
    let electing = (0..).find_map(super::election::Electing::of);
    scene.world.electing = electing;
    let [(_, first), (_, second)] = scene.pods.clone();
    scene.world.history.elected(&"l".into(), Some(Term(3)), &second);
    let slice = |scene: &Scene, pod: &str, term: u64| {
        let content = SliceContent { seat_uid: "l".into(), ..scene.slice_of(pod, term) };
        scene.ask(|asker| asker.slice(&Precondition::Absent, &content, None))
    };
    assert_eq!(slice(&scene, "web-1", 3), Vec::<String>::new());
    only(&slice(&scene, "web-0", 3), "I1");
    only(&slice(&scene, "web-1", 4), "I1");
    // A Lease that counts nothing: whoever held it, held it.
    scene.world.history.elected(&"l".into(), None, &first);
    assert_eq!(slice(&scene, "web-0", 9), Vec::<String>::new());
    assert!(scene.move_for(Reason::PodTerminating, 8).iter().any(|wrong| wrong.starts_with("I7")));
}

#[test]
fn a_fourth_change_and_a_fact_used_twice_show() {
    let mut history = History::default();
    let uids: [Uid; 2] = ["a".into(), "b".into()];
    for term in 1..=5_u64 {
        let holder = &uids[usize::from(term % 2 == 0)];
        history.seat_applied(s(term), 0, &record("s", &term.to_string(), term, ("x", holder)));
    }
    only(&history.wrong, "BRAKE");
    let fact = (uids[0].clone(), Reason::NotReady, "5".to_owned());
    history.wrong.clear();
    history.fact_used(0, &fact);
    history.fact_used(1, &fact);
    assert!(history.wrong.is_empty(), "another replica's");
    history.fact_used(0, &fact);
    only(&history.wrong, "FACT");
}
