//! Rules that are asked for: what breaks each of them, what does not, and from when to when they count.

mod world;

use hotstandby_invariants::Invariant::{OneActive, TermsGrow};
use hotstandby_invariants::{
    Author, Fact, Kind, Rule, StoredPod, StoredSeat, StoredService, StoredSlice, Term,
};
use world::{World, gone, pod_fact, seat_fact, service_fact, slice_fact, stamp};

const APP: (&str, &str) = ("app", "web");
const ACTIVE: (&str, &str) = ("role", "active");

fn pod<'a>(id: &'a str, role: &'a str) -> StoredPod<'a> {
    pod_fact(id, &["10.0.0.1"], &[APP, ("role", role)])
}

fn ready<'a>(id: &'a str, pods: &[&'a str]) -> StoredSlice<'a> {
    let endpoints: Vec<(&str, &str)> = pods.iter().map(|pod| (*pod, "10.0.0.1")).collect();
    StoredSlice { author: Author::Owner, stamp: None, ..slice_fact(id, &endpoints, 0) }
}

fn by_role() -> StoredService<'static> {
    service_fact(&[APP, ACTIVE])
}

/// `b` is labelled active after `a`; the Service selects by the label, and its slice has followed.
fn world(rules: &[Rule]) -> World {
    let mut world = World::empty();
    for rule in rules {
        world.history.ask(rule.clone());
    }
    world.tell(&Fact::Pod(pod("a", "active")));
    world.tell(&Fact::Pod(pod("b", "standby")));
    world.tell(&Fact::Service(by_role()));
    world.tell(&Fact::Slice(ready("one", &["a"])));
    world.tell(&Fact::Pod(pod("a", "standby")));
    world.tell(&Fact::Pod(pod("b", "active")));
    world.tell(&Fact::Slice(ready("one", &["b"])));
    world.assert_fine();
    world
}

fn all() -> [Rule; 4] {
    [
        Rule::one_labelled(APP, ACTIVE),
        Rule::OneSelected("web".into()),
        Rule::OneReady("web".into()),
        Rule::true_marks(ACTIVE),
    ]
}

#[test]
fn two_labelled_pods_are_told_once() {
    let mut world = world(&[Rule::one_labelled(APP, ACTIVE)]);
    world.tell(&Fact::Pod(pod("a", "active")));
    let objects = world.found[0].objects.clone();
    world.assert_only(OneActive, "a and b carry role=active");
    assert_eq!(objects, ["a", "b"]);
    world.tell(&Fact::Pod(pod("a", "active")));
    world.assert_fine();
    // Once it was right in between, it is told again.
    world.tell(&Fact::Pod(pod("a", "standby")));
    world.tell(&Fact::Pod(pod("a", "active")));
    world.assert_only(OneActive, "a and b carry role=active");
}

#[test]
fn only_pods_that_count_and_belong_to_it_are_counted() {
    let mut world = world(&all());
    world.tell(&Fact::Pod(StoredPod { counts: false, ..pod("a", "active") }));
    world.tell(&Fact::Pod(pod_fact("c", &[], &[("app", "other"), ACTIVE])));
    world.tell(&gone(Kind::Pod, "b"));
    world.tell(&Fact::Pod(pod("d", "active")));
    world.assert_fine();
}

#[test]
fn a_selector_that_selects_two_is_seen() {
    let mut world = world(&[Rule::OneSelected("web".into())]);
    // Another Service may.
    world.tell(&Fact::Service(StoredService { id: "u", name: "all", ..service_fact(&[APP]) }));
    world.assert_fine();
    world.tell(&Fact::Service(service_fact(&[APP])));
    world.assert_only(OneActive, "a and b are selected by Service web");
    // No selector selects no pod, and neither does a Service that is gone.
    world.tell(&Fact::Service(by_role()));
    world.tell(&Fact::Service(service_fact(&[])));
    world.assert_fine();
    world.tell(&Fact::Service(by_role()));
    world.tell(&gone(Kind::Service, "v"));
    world.tell(&Fact::Pod(pod("a", "active")));
    world.assert_fine();
}

#[test]
fn ready_endpoints_are_counted_over_all_slices() {
    let mut world = world(&[Rule::OneReady("web".into())]);
    let mut unready = ready("two", &["a"]);
    unready.endpoints[0].ready = false;
    world.tell(&Fact::Slice(unready));
    world.tell(&Fact::Slice(StoredSlice { service: "other", ..ready("three", &["a"]) }));
    world.assert_fine();
    world.tell(&Fact::Slice(ready("two", &["a"])));
    world.assert_only(OneActive, "b and a are ready endpoints of Service web");
}

#[test]
fn what_a_stranger_did_is_excused_until_it_is_put_right() {
    let mut world = world(&all());
    world.tell(&Fact::Pod(StoredPod { author: Author::Stranger, ..pod("a", "active") }));
    // The slice follows the label, and follows its repair a moment later.
    world.tell(&Fact::Slice(ready("one", &["a", "b"])));
    world.tell(&Fact::Pod(pod("a", "standby")));
    world.tell(&Fact::Slice(ready("one", &["a", "b"])));
    world.tell(&Fact::Slice(ready("one", &["b"])));
    world.assert_fine();
    world.tell(&Fact::Pod(pod("a", "active")));
    assert_eq!(world.found.len(), 2, "{:?}", world.found);
}

#[test]
fn the_write_that_ends_an_excuse_is_excused_with_it() {
    let mut world = world(&[Rule::one_labelled(APP, ACTIVE)]);
    world.tell(&Fact::Pod(StoredPod { author: Author::Stranger, ..pod("a", "standby") }));
    world.tell(&Fact::Pod(pod("a", "active")));
    world.assert_fine();
    world.tell(&Fact::Pod(pod("a", "standby")));
    world.tell(&Fact::Pod(pod("a", "active")));
    world.assert_only(OneActive, "a and b carry role=active");
}

#[test]
fn a_strangers_object_that_is_gone_excuses_nothing() {
    let mut world = world(&[Rule::one_labelled(APP, ACTIVE)]);
    world.tell(&Fact::Service(StoredService { author: Author::Stranger, id: "w", name: "w", ..by_role() }));
    world.tell(&gone(Kind::Service, "w"));
    world.tell(&Fact::Pod(pod("a", "active")));
    world.assert_only(OneActive, "carry role=active");
}

#[test]
fn a_rule_counts_from_when_it_is_asked_for_until_it_is_dropped() {
    let mut world = world(&[]);
    world.tell(&Fact::Pod(pod("a", "active")));
    world.assert_fine();
    assert_eq!(world.history.judge_standing(), Vec::new());
    let rule = world.history.ask(Rule::OneSelected("web".into()));
    assert_eq!(world.history.judge_standing().len(), 1, "what stands when it is asked for counts");
    world.history.drop_rule(rule);
    let dropped = world.history.ask(Rule::one_labelled(APP, ACTIVE));
    world.history.drop_rule(dropped);
    world.tell(&Fact::Pod(pod("a", "active")));
    world.assert_fine();
    // With the next fact, whatever that is.
    world.history.ask(Rule::OneSelected("web".into()));
    world.tell(&Fact::Seat(seat_fact(1, "a")));
    world.assert_only(OneActive, "are selected by Service web");
}

fn marked(term: Term) -> [Fact<'static>; 2] {
    [
        Fact::Pod(StoredPod { stamp: Some(stamp(term)), ..pod("b", "active") }),
        Fact::Service(StoredService { stamp: Some(stamp(term)), ..by_role() }),
    ]
}

#[test]
fn marks_name_a_holder() {
    let mut world = world(&[Rule::true_marks(ACTIVE)]);
    world.tell(&Fact::Seat(seat_fact(7, "b")));
    for fact in marked(7) {
        world.tell(&fact);
    }
    world.assert_fine();
    let [pod, service] = marked(8);
    world.tell(&pod);
    world.assert_only(OneActive, "Pod b leads to b, which did not hold the seat at term 8");
    world.tell(&service);
    world.assert_only(OneActive, "Service web leads to b, which did not hold the seat at term 8");
}

#[test]
fn marks_of_a_pod_that_is_not_active_or_of_a_stranger_are_not_asked_about() {
    let mut world = world(&[Rule::true_marks(ACTIVE)]);
    world.tell(&Fact::Pod(StoredPod { stamp: Some(stamp(8)), ..pod("a", "standby") }));
    world.tell(&Fact::Pod(StoredPod { stamp: Some(stamp(8)), counts: false, ..pod("a", "active") }));
    for fact in marked(8) {
        match fact {
            Fact::Pod(pod) => world.tell(&Fact::Pod(StoredPod { author: Author::Stranger, ..pod })),
            Fact::Service(service) => {
                world.tell(&Fact::Service(StoredService { author: Author::Stranger, ..service }));
            }
            _ => {}
        }
    }
    world.assert_fine();
}

#[test]
fn marks_never_go_back() {
    let mut world = world(&[Rule::true_marks(ACTIVE)]);
    world.tell(&Fact::Seat(seat_fact(7, "b")));
    world.tell(&Fact::Seat(seat_fact(8, "b")));
    for fact in marked(8) {
        world.tell(&fact);
    }
    let [pod, service] = marked(7);
    world.tell(&pod);
    world.assert_only(TermsGrow, "Pod b went back from term 8 to 7");
    world.tell(&service);
    world.assert_only(TermsGrow, "Service web went back from term 8 to 7");
    let slice = |term| StoredSlice { author: Author::Owner, ..slice_fact("one", &[], term) };
    world.tell(&Fact::Slice(slice(8)));
    world.tell(&Fact::Slice(slice(7)));
    world.assert_only(TermsGrow, "EndpointSlice one went back from term 8 to 7");
    // Another seat has terms of its own.
    world.tell(&Fact::Seat(StoredSeat { seat: "t", ..seat_fact(1, "b") }));
    let other = Some(hotstandby_invariants::Stamp { seat: "t", term: 1 });
    world.tell(&Fact::Service(StoredService { stamp: other, ..by_role() }));
    world.assert_fine();
}
