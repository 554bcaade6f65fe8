//! A candidate: when it takes the Lease, and when not.

use crate::bench::{Bench, Fate, held_by, me, ms, sealed_by, secs, usual};
use hotstandby_core::gatekeeper::{Identity, LeaseRecord, LeaseState, Observation, Role, Traffic};
use hotstandby_core::ids::Term;

const TAKEN: [&str; 3] = ["write db-0 term=8", "arm term+10s kill+14.65s", "start term=8 not-after+10s"];

#[test]
fn a_lease_that_was_never_there_is_made_at_once() {
    let mut bench = Bench::new(usual(), None);
    let said = bench.said();
    assert_eq!(said[0], "read");
    assert!(said[1].starts_with("create db-0 term="), "{said:?}");
    let record = bench.record();
    // 2026-11-21 in seconds since 2020, so that a token of a Lease before is smaller.
    assert_eq!(record.term, Term(217_383_400));
    assert_eq!((record.holder.as_deref(), record.duration_seconds), (Some("db-0"), 15));
    assert_eq!(record.acquired_us, record.renewed_us);
    assert!(record.sealed().is_some());
}

#[test]
fn a_released_lease_is_taken_at_once_with_one_write() {
    let mut bench = Bench::new(usual(), Some(held_by("db-1", 7, 15)));
    assert_eq!(bench.said(), ["read"]);
    bench.advance(secs(5));
    bench.other_writes(&held_by("", 7, 1));
    assert_eq!(bench.said(), TAKEN);
}

#[test]
fn a_lease_nobody_holds_is_taken_at_first_sight() {
    let mut bench = Bench::new(usual(), Some(held_by("", 7, 1)));
    assert_eq!(bench.said()[1..], TAKEN);
}

#[test]
fn timestamps_are_not_believed() {
    // By its times it ran out decades ago. Only what this process saw itself counts.
    let mut bench = Bench::new(usual(), Some(held_by("db-1", 7, 15)));
    bench.advance(ms(14_999));
    assert_eq!(bench.said(), ["read"]);
    bench.advance(ms(1));
    let said = bench.said();
    assert_eq!(said[0], "read", "a live read comes before the write");
    assert_eq!(said[1..], TAKEN);
}

#[test]
fn a_holder_that_renews_is_left_alone_without_a_call() {
    let mut bench = Bench::new(usual(), Some(held_by("db-1", 7, 15)));
    assert_eq!(bench.calls(), 1);
    for _ in 0..300 {
        bench.advance(secs(2));
        bench.other_renews();
    }
    assert_eq!(bench.calls(), 0, "a waiting member neither polls nor writes");
}

#[test]
fn a_watch_that_has_died_is_no_ground_for_taking() {
    let mut bench = Bench::new(usual(), Some(held_by("db-1", 7, 15)));
    bench.said();
    bench.watch = false;
    for _ in 0..10 {
        bench.advance(secs(2));
        bench.other_renews();
    }
    // One look when it seemed to run out, and the count starts anew.
    assert_eq!(bench.said(), ["read"]);
    assert_eq!(bench.record().holder.as_deref(), Some("db-1"));
}

#[test]
fn the_longer_of_both_durations_is_waited_out() {
    let mut longer = Bench::new(usual(), Some(held_by("db-1", 7, 60)));
    longer.advance(ms(59_999));
    assert_eq!(longer.calls(), 1);
    longer.advance(ms(1));
    assert_eq!(longer.record().holder.as_deref(), Some("db-0"));

    let mut shorter = Bench::new(usual(), Some(held_by("db-1", 7, 3)));
    shorter.advance(ms(14_999));
    assert_eq!(shorter.calls(), 1);
    shorter.advance(ms(1));
    assert_eq!(shorter.record().holder.as_deref(), Some("db-0"));
}

#[test]
fn a_force_deleted_pod_of_our_name_is_waited_out() {
    let elsewhere =
        Identity { pod_uid: Some("pod-on-the-lost-node".into()), instance: "other".into(), ..me() };
    let foreign = [
        sealed_by(&elsewhere, 7, 15),
        // client-go's gatekeeper of our name leaves no marks.
        held_by("db-0", 7, 15),
        sealed_by(&Identity { container: Some("sidecar".into()), instance: "other".into(), ..me() }, 7, 15),
        sealed_by(&Identity { pod_uid: None, container: None, instance: "other".into(), ..me() }, 7, 15),
        // Our pod's marks, but somebody who does not write marks has renewed since.
        LeaseRecord { renewed_us: 5, ..sealed_by(&Identity { instance: "earlier".into(), ..me() }, 7, 15) },
    ];
    for record in foreign {
        let mut bench = Bench::new(usual(), Some(record.clone()));
        bench.advance(ms(14_999));
        assert_eq!(bench.said(), ["read"], "{record:?}");
        bench.advance(ms(1));
        assert_eq!(bench.said()[1..], TAKEN, "{record:?}");
    }
}

#[test]
fn a_restarted_container_takes_its_own_lease_at_once_and_at_a_new_term() {
    let earlier = Identity { instance: "earlier".into(), ..me() };
    let mut bench = Bench::new(usual(), Some(sealed_by(&earlier, 7, 15)));
    assert_eq!(bench.said()[1..], TAKEN);
}

#[test]
fn whoever_loses_the_race_looks_and_waits() {
    let mut bench = Bench::new(usual(), Some(held_by("db-1", 7, 15)));
    bench.said();
    bench.watch = false;
    // Released, and taken by another before our write arrives.
    bench.other_writes(&held_by("", 7, 1));
    let released = bench.store.state.clone();
    bench.other_writes(&held_by("db-2", 8, 15));
    bench.see(released);
    assert_eq!(bench.said(), ["write db-0 term=8 conflict", "read"]);
    bench.advance(secs(14));
    assert_eq!(bench.calls(), 0);
    assert_eq!(bench.machine.status(bench.now).role, Role::Waiting);
}

#[test]
fn a_taking_without_an_answer_counts_from_its_send() {
    let mut bench = Bench::before_start(usual(), Some(held_by("", 7, 1)));
    bench.watch = false;
    bench.fates.extend([Fate::Slow(ms(0)), Fate::Silent]);
    bench.settle();
    bench.said();
    bench.advance(secs(3));
    // The call may take two seconds; a read then shows that it was stored.
    let said = bench.said();
    assert_eq!(said[0], "read");
    assert_eq!(said[1], "arm term+8s kill+12.65s");
    assert_eq!(said[2], "start term=8 not-after+8s");
    assert_eq!(bench.record().term, Term(8));
}

#[test]
fn a_taking_that_was_lost_is_tried_again() {
    let mut bench = Bench::before_start(usual(), Some(held_by("", 7, 1)));
    bench.fates.extend([Fate::Slow(ms(0)), Fate::Open]);
    bench.settle();
    assert_eq!(bench.said()[..3], ["read slow", "write db-0 term=8 504", "read"]);
    assert_eq!(bench.record().holder.as_deref(), Some("db-0"));
}

#[test]
fn a_conflict_that_was_our_own_repeated_write_is_no_loss() {
    // A proxy that repeats a request gets a conflict from the write that it has made itself.
    let mut bench = Bench::new(usual(), Some(held_by("db-1", 7, 15)));
    bench.said();
    bench.watch = false;
    bench.other_writes(&held_by("", 7, 1));
    bench.fates.push_back(Fate::OpenDone);
    bench.see(bench.store.state.clone());
    assert_eq!(
        bench.said(),
        ["write db-0 term=8 504", "read", "arm term+10s kill+14.65s", "start term=8 not-after+10s"]
    );
}

#[test]
fn a_lease_that_vanished_is_waited_out_and_its_terms_go_on() {
    // Its holder may be cut off and not know. The term seen is above what a new Lease would start with.
    let mut bench = Bench::new(usual(), Some(held_by("db-1", 500_000_000, 15)));
    bench.advance(secs(10));
    bench.said();
    bench.delete();
    assert_eq!(bench.said(), ["read"], "a watch alone does not say so");
    bench.advance(ms(14_999));
    assert_eq!(bench.calls(), 0);
    bench.advance(ms(1));
    assert_eq!(bench.said()[0], "create db-0 term=500000001");
}

#[test]
fn a_create_that_comes_late_does_not_start_beside_the_holder_of_a_deleted_lease() {
    // Found by a seed: our create is slow; another member is faster, holds the Lease, and somebody deletes it. Now ours is stored.
    for (rivals_term, then) in [
        (5, "start term=217383400"),
        // Its term is below one that was seen, so it is taken anew.
        (217_390_000, "start term=217390001"),
    ] {
        let mut bench = Bench::before_start(usual().with_traffic(Traffic::BeforeStart), None);
        bench.fates.extend([Fate::Slow(ms(0)), Fate::Lost]);
        bench.settle();
        let ours = bench.sent.last().expect("the create").clone();
        bench.other_writes(&held_by("db-1", rivals_term, 15));
        bench.advance(secs(3));
        bench.store.delete();
        bench.said();
        bench.other_writes(&ours);
        bench.advance(ms(14_999));
        let said = bench.said();
        assert!(
            !said.iter().any(|line| line.starts_with("publish") || line.starts_with("start")),
            "{said:?}"
        );
        bench.advance(ms(1));
        let said = bench.said();
        assert!(said.iter().any(|line| line.starts_with(then)), "{said:?}");
    }
}

#[test]
fn a_lease_that_was_replaced_does_not_free_the_holder_of_the_old_one() {
    let mut bench = Bench::new(usual(), Some(held_by("db-1", 7, 15)));
    bench.said();
    bench.watch = false;
    bench.delete();
    bench.other_writes(&held_by("", 3, 1));
    bench.see(bench.store.state.clone());
    bench.advance(ms(14_999));
    assert_eq!(bench.said(), ["read"]);
    bench.advance(ms(1));
    assert_eq!(bench.said()[0], "write db-0 term=8");
}

#[test]
fn somebody_who_annotates_a_dead_holders_lease_does_not_keep_it_alive() {
    let mut bench = Bench::new(usual(), Some(held_by("db-1", 7, 15)));
    for _ in 0..5 {
        bench.advance(secs(3));
        bench.annotate();
    }
    assert_eq!(bench.record().holder.as_deref(), Some("db-0"));
}

#[test]
fn an_api_server_in_trouble_is_not_flooded() {
    for fate in [Fate::Refused, Fate::Open] {
        let mut bench = Bench::before_start(usual(), Some(held_by("", 7, 1)));
        bench.always = Some(fate);
        bench.settle();
        bench.advance(secs(60));
        let calls = bench.calls();
        assert!((25..=36).contains(&calls), "{fate:?}: {calls} calls in a minute");
        assert!(bench.machine.status(bench.now).trouble.is_some());
        bench.always = None;
        bench.advance(secs(2));
        assert_eq!(bench.record().holder.as_deref(), Some("db-0"), "{fate:?}");
        assert!(bench.machine.status(bench.now).trouble.is_none());
    }
}

#[test]
fn writes_that_are_never_taken_are_not_repeated_without_end() {
    // Reads work, writes do not: a right was taken away.
    let mut bench = Bench::before_start(usual(), Some(held_by("", 7, 1)));
    for _ in 0..200 {
        bench.fates.extend([Fate::Slow(ms(0)), Fate::Refused]);
    }
    bench.settle();
    bench.advance(secs(60));
    let calls = bench.calls();
    assert!(calls <= 70, "{calls} calls in a minute");
}

#[test]
fn a_term_at_the_end_of_its_number_is_told_and_not_wrapped() {
    let last = u64::from(i32::MAX.cast_unsigned());
    let mut bench = Bench::new(usual(), Some(held_by("", last, 1)));
    assert_eq!(bench.said(), ["read"]);
    bench.advance(secs(60));
    assert_eq!(bench.calls(), 0);
    let trouble = bench.machine.status(bench.now).trouble.expect("told");
    assert!(trouble.contains("delete the Lease"), "{trouble}");
    // Which somebody does.
    bench.delete();
    bench.advance(secs(15));
    assert!(bench.record().term.is_plausible());
}

#[test]
fn told_to_stop_while_waiting_it_ends_at_once() {
    let mut bench = Bench::new(usual(), Some(held_by("db-1", 7, 15)));
    bench.said();
    bench.tell(Observation::StopRequested);
    assert_eq!(bench.said(), ["exit Stopped (143)"]);
    bench.other_writes(&held_by("", 7, 1));
    bench.advance(secs(60));
    assert!(bench.said().is_empty(), "what has ended asks for nothing");
}

#[test]
fn told_to_stop_while_a_taking_is_open_it_gives_back_what_it_got() {
    let mut bench = Bench::before_start(usual(), Some(held_by("", 7, 1)));
    bench.watch = false;
    bench.fates.extend([Fate::Slow(ms(0)), Fate::Silent]);
    bench.settle();
    bench.said();
    bench.tell(Observation::StopRequested);
    assert!(bench.said().is_empty());
    bench.advance(secs(3));
    let said = bench.said();
    assert_eq!(said[0], "read");
    assert_eq!(said[said.len() - 2..], ["write nobody term=8", "exit Stopped (143)"]);
    assert!(!said.iter().any(|line| line.starts_with("start")), "{said:?}");
}

#[test]
fn told_to_stop_while_the_api_server_is_away_it_does_not_hang() {
    let mut bench = Bench::before_start(usual(), Some(held_by("", 7, 1)));
    bench.fates.push_back(Fate::Slow(ms(0)));
    bench.always = Some(Fate::Lost);
    bench.settle();
    bench.tell(Observation::StopRequested);
    bench.advance(secs(6));
    assert_eq!(bench.said().last().map(String::as_str), Some("exit Stopped (143)"));
}

#[test]
fn told_to_stop_while_only_a_read_is_open_it_ends_at_once() {
    let mut bench = Bench::before_start(usual(), Some(held_by("db-1", 7, 15)));
    bench.always = Some(Fate::Open);
    bench.settle();
    bench.advance(secs(60));
    bench.said();
    bench.tell(Observation::StopRequested);
    assert_eq!(bench.said(), ["exit Stopped (143)"]);
}

#[test]
fn who_leads_is_told() {
    let mut bench = Bench::new(usual(), Some(held_by("db-1", 7, 15)));
    for (name, term) in [("db-1", 7), ("db-2", 8), ("db-1", 9)] {
        if term > 7 {
            bench.other_writes(&held_by(name, term, 15));
        }
        let status = bench.machine.status(bench.now);
        assert_eq!((status.holder.as_deref(), status.term), (Some(name), Some(Term(term))));
        assert_eq!(status.role, Role::Waiting);
    }
}

#[test]
fn an_old_state_from_the_watch_is_not_believed() {
    let mut bench = Bench::new(usual(), Some(held_by("", 7, 1)));
    let mut other = Bench::new(usual(), Some(held_by("", 7, 1)));
    bench.said();
    // The holder's own watch tells of the time before it took the Lease.
    let before = bench.store.before.clone();
    assert!(matches!(&before, LeaseState::Present(view) if view.record.holder.is_none()));
    bench.see(before);
    assert!(bench.said().is_empty());
    // And a candidate's, of a release that is over.
    other.other_writes(&held_by("db-2", 9, 15));
    other.all_dies(137);
    assert!(other.said().contains(&"exit Lost(Taken) (1)".to_owned()));
}
