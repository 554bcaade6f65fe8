//! The end: the command first, then the lease, then the endpoint.

use crate::bench::{Bench, Fate, held_by, ms, secs, usual};
use hotstandby_core::gatekeeper::{Observation, Traffic};

#[test]
fn the_lease_is_released_only_when_all_is_dead() {
    let mut bench = Bench::active(usual());
    let held = bench.record();
    bench.tell(Observation::StopRequested);
    assert_eq!(bench.said(), ["TERM kill+25s"]);
    // It takes its time, and the lease is kept meanwhile.
    bench.advance(secs(20));
    let said = bench.said();
    assert_eq!(said.iter().filter(|line| line.starts_with("write db-0")).count(), 10, "{said:?}");
    bench.tell(Observation::CommandExited { code: 3 });
    assert_eq!(bench.said(), ["KILL"], "what it left behind");
    bench.advance(secs(1));
    assert!(!bench.said().iter().any(|line| line.starts_with("write nobody")));
    bench.tell(Observation::AllDead);
    assert_eq!(bench.said(), ["write nobody term=8", "exit Command(3) (3)"]);
    let record = bench.record();
    assert_eq!((record.holder, record.duration_seconds, record.marks), (None, 1, None));
    assert_eq!(record.term, held.term);
}

#[test]
fn a_command_that_ignores_term_is_killed_when_patience_ends() {
    let mut bench = Bench::active(usual().with_grace(secs(5)));
    bench.tell(Observation::StopRequested);
    bench.advance(ms(4_999));
    assert!(!bench.said().contains(&"KILL".to_owned()));
    bench.advance(ms(1));
    assert_eq!(bench.said(), ["KILL"]);
    bench.all_dies(137);
    assert_eq!(bench.said(), ["KILL", "write nobody term=8", "exit Command(137) (137)"]);
}

#[test]
fn patience_does_not_outlast_the_lease() {
    let mut bench = Bench::active(usual());
    bench.tell(Observation::StopRequested);
    bench.always = Some(Fate::Lost);
    bench.advance(ms(14_649));
    assert!(!bench.said().contains(&"KILL".to_owned()));
    bench.advance(ms(1));
    assert!(bench.said().contains(&"KILL".to_owned()));
}

#[test]
fn a_command_that_ends_by_itself_frees_the_lease_and_gives_its_code() {
    for code in [0, 1, 137] {
        let mut bench = Bench::active(usual());
        bench.all_dies(code);
        let exit = format!("exit Command({code}) ({code})");
        assert_eq!(bench.said(), ["KILL", "write nobody term=8", &exit]);
    }
}

#[test]
fn a_second_wish_to_stop_changes_nothing() {
    let mut bench = Bench::active(usual());
    bench.tell(Observation::StopRequested);
    bench.said();
    bench.tell(Observation::StopRequested);
    assert!(bench.said().is_empty());
}

#[test]
fn a_release_survives_conflicts_and_lost_answers() {
    let fates: [&[Fate]; 5] = [
        &[Fate::Open],
        &[Fate::OpenDone],
        &[Fate::Lost],
        &[Fate::Silent],
        // Its re-read fails, too.
        &[Fate::Open, Fate::Open, Fate::Open],
    ];
    for fates in fates {
        let mut bench = Bench::active(usual());
        bench.watch = false;
        bench.annotate();
        bench.fates.push_back(Fate::Slow(ms(0)));
        bench.fates.push_back(Fate::Slow(ms(0)));
        bench.fates.extend(fates);
        bench.all_dies(0);
        bench.advance(secs(4));
        let said = bench.said();
        assert_eq!(said[1..3], ["write nobody term=8 slow", "read slow"], "{fates:?}");
        assert_eq!(said.last().map(String::as_str), Some("exit Command(0) (0)"), "{fates:?}");
        assert_eq!(bench.record().holder, None, "{fates:?}");
    }
}

#[test]
fn a_renewal_under_way_at_the_end_is_no_hindrance() {
    for fate in [Fate::Silent, Fate::Lost] {
        let mut bench = Bench::active(usual());
        bench.watch = false;
        bench.fates.push_back(fate);
        bench.advance(secs(2));
        bench.all_dies(0);
        bench.advance(secs(3));
        assert_eq!(bench.record().holder, None, "{fate:?}");
        assert_eq!(bench.said().last().map(String::as_str), Some("exit Command(0) (0)"));
    }
}

#[test]
fn a_release_that_nobody_answers_has_an_end() {
    let mut bench = Bench::active(usual());
    bench.always = Some(Fate::Lost);
    bench.all_dies(0);
    bench.advance(secs(15));
    // By then the lease has run out anyway.
    assert_eq!(bench.said().last().map(String::as_str), Some("exit Command(0) (0)"));
}

#[test]
fn another_holders_lease_is_not_released() {
    let mut bench = Bench::active(usual());
    bench.watch = false;
    bench.other_writes(&held_by("db-1", 9, 15));
    bench.all_dies(0);
    assert_eq!(bench.said(), ["KILL", "write nobody term=8 conflict", "read", "exit Command(0) (0)"]);
    assert_eq!(bench.record().holder.as_deref(), Some("db-1"));
}

#[test]
fn a_deleted_lease_is_not_made_anew_to_be_released() {
    let mut bench = Bench::active(usual());
    bench.watch = false;
    bench.delete();
    bench.all_dies(0);
    assert_eq!(bench.said().last().map(String::as_str), Some("exit Command(0) (0)"));
    assert!(bench.store.view().is_none());
}

#[test]
fn the_endpoint_stays_for_the_successor() {
    let mut bench = Bench::active_with(Traffic::BeforeStart);
    bench.all_dies(0);
    assert_eq!(bench.said(), ["KILL", "write nobody term=8"]);
    bench.advance(ms(1_500));
    bench.other_writes(&held_by("db-1", 9, 15));
    assert_eq!(bench.said(), ["exit Command(0) (0)"]);
}

#[test]
fn the_endpoint_goes_where_nobody_takes_over() {
    let mut bench = Bench::active_with(Traffic::BeforeStart);
    bench.all_dies(0);
    bench.said();
    bench.advance(ms(1_999));
    assert!(bench.said().is_empty());
    bench.advance(ms(1));
    assert_eq!(bench.said(), ["read", "remove term=8", "exit Command(0) (0)"]);
}

#[test]
fn a_successor_that_the_watch_did_not_tell_of_keeps_the_endpoint() {
    let mut bench = Bench::active_with(Traffic::BeforeStart);
    bench.watch = false;
    bench.all_dies(0);
    bench.other_writes(&held_by("db-1", 9, 15));
    bench.said();
    bench.advance(secs(2));
    assert_eq!(bench.said(), ["read", "exit Command(0) (0)"]);
}

#[test]
fn an_endpoint_is_left_alone_where_nobody_can_tell() {
    let mut bench = Bench::active_with(Traffic::BeforeStart);
    bench.all_dies(0);
    bench.said();
    bench.always = Some(Fate::Lost);
    bench.advance(secs(5));
    assert_eq!(bench.said(), ["read lost", "exit Command(0) (0)"]);
}

#[test]
fn a_loss_by_silence_still_frees_the_lease_once_the_api_server_answers() {
    let mut bench = Bench::active(usual());
    bench.watch = false;
    bench.always = Some(Fate::Lost);
    bench.advance(secs(10));
    bench.said();
    bench.always = None;
    bench.all_dies(143);
    bench.advance(secs(2));
    let said = bench.said();
    assert_eq!(said.last().map(String::as_str), Some("exit Lost(NotRenewed) (1)"), "{said:?}");
    assert_eq!(bench.record().holder, None);
}
