//! A holder: renewals, deadlines, and how the lease is lost.

use crate::bench::{Bench, Fate, held_by, ms, secs, usual};
use hotstandby_core::gatekeeper::{LeaseRecord, Observation, Role, Traffic};
use hotstandby_core::ids::Term;
use hotstandby_core::observation::WriteError;

#[test]
fn the_lease_is_renewed_each_retry_period_at_the_same_term() {
    let mut bench = Bench::active(usual());
    let first = bench.record();
    bench.advance(secs(20));
    let said = bench.said();
    assert_eq!(said.len(), 20, "{said:?}");
    assert_eq!(said[..2], ["write db-0 term=8", "arm term+10s kill+14.65s"]);
    let last = bench.record();
    assert_eq!((last.term, last.acquired_us), (first.term, first.acquired_us));
    assert!(last.renewed_us > first.renewed_us);
}

#[test]
fn no_renewal_means_term_then_kill_before_the_lease_is_over() {
    let mut bench = Bench::active(usual());
    bench.always = Some(Fate::Lost);
    bench.advance(ms(9_999));
    assert!(!bench.said().iter().any(|line| line.starts_with("TERM")));
    bench.advance(ms(1));
    assert_eq!(bench.said(), ["TERM kill+4.65s"]);
    bench.advance(ms(4_649));
    assert!(!bench.said().contains(&"KILL".to_owned()));
    bench.advance(ms(1));
    assert_eq!(bench.said(), ["KILL"]);
    bench.tell(Observation::CommandExited { code: 137 });
    bench.tell(Observation::AllDead);
    bench.advance(secs(20));
    assert_eq!(bench.said().last().map(String::as_str), Some("exit Lost(NotRenewed) (1)"));
}

#[test]
fn a_renewal_counts_from_its_send() {
    let mut bench = Bench::active(usual());
    bench.watch = false;
    bench.fates.push_back(Fate::Slow(ms(1_900)));
    bench.advance(ms(3_900));
    assert_eq!(bench.said()[..2], ["write db-0 term=8 slow", "arm term+8.1s kill+12.75s"]);
}

#[test]
fn a_renewal_stored_without_an_answer_is_found_and_counts_from_its_send() {
    let mut bench = Bench::active(usual());
    bench.watch = false;
    bench.fates.push_back(Fate::OpenDone);
    bench.advance(secs(2));
    assert_eq!(bench.said(), ["write db-0 term=8 504", "read", "arm term+10s kill+14.65s"]);
    bench.fates.push_back(Fate::Silent);
    bench.advance(ms(3_999));
    assert_eq!(bench.said(), ["write db-0 term=8 silent"]);
    bench.advance(ms(1));
    assert_eq!(bench.said()[..2], ["read", "arm term+8s kill+12.65s"]);
}

#[test]
fn a_renewal_that_the_watch_tells_of_needs_no_answer() {
    let mut bench = Bench::active(usual());
    bench.fates.push_back(Fate::Silent);
    bench.advance(secs(2));
    bench.tell_watch();
    bench.advance(secs(2));
    assert_eq!(
        bench.said(),
        [
            "write db-0 term=8 silent",
            "arm term+10s kill+14.65s",
            "write db-0 term=8",
            "arm term+10s kill+14.65s"
        ]
    );
}

#[test]
fn a_renewal_that_was_lost_is_sent_again_after_a_look() {
    let mut bench = Bench::active(usual());
    bench.fates.push_back(Fate::Open);
    bench.advance(secs(2));
    assert_eq!(
        bench.said(),
        ["write db-0 term=8 504", "read", "write db-0 term=8", "arm term+10s kill+14.65s"]
    );
}

#[test]
fn the_api_server_away_for_less_than_the_renew_deadline_harms_nobody() {
    let mut bench = Bench::active(usual());
    bench.always = Some(Fate::Open);
    bench.advance(ms(9_000));
    let calls = bench.calls();
    assert!(calls < 15, "{calls} calls in seven seconds of trouble");
    bench.always = None;
    bench.advance(ms(900));
    assert!(bench.said().contains(&"write db-0 term=8".to_owned()));
    assert_eq!(bench.machine.status(bench.now).role, Role::Active);
}

#[test]
fn another_holder_in_the_record_is_death_at_once() {
    let mut bench = Bench::active(usual());
    bench.other_writes(&held_by("db-1", 9, 15));
    assert_eq!(bench.said(), ["KILL"]);
    bench.advance(secs(3));
    assert!(bench.said().is_empty(), "nothing to renew");
    bench.all_dies(137);
    let said = bench.said();
    assert_eq!(said.last().map(String::as_str), Some("exit Lost(Taken) (1)"));
    assert!(!said.iter().any(|line| line.starts_with("write")), "another's lease is not released: {said:?}");
}

#[test]
fn our_name_in_a_record_that_we_did_not_write_is_a_loss() {
    // A client-go process of our name takes our record for its own and renews it, marks and all.
    let mut bench = Bench::active(usual());
    let renewed = LeaseRecord { renewed_us: 77, ..bench.record() };
    bench.other_writes(&renewed);
    assert_eq!(bench.said(), ["KILL"]);
}

#[test]
fn a_deleted_lease_is_lost_and_not_made_anew_under_a_running_command() {
    let mut bench = Bench::active(usual());
    bench.delete();
    assert_eq!(bench.said(), ["read", "KILL"]);
    bench.advance(secs(3));
    bench.all_dies(137);
    assert_eq!(bench.said(), ["KILL", "exit Lost(Deleted) (1)"]);
    assert!(bench.store.view().is_none());
}

#[test]
fn a_replaced_lease_is_lost() {
    let mut bench = Bench::active(usual());
    let record = bench.record();
    bench.watch = false;
    bench.delete();
    bench.other_writes(&record);
    bench.advance(secs(2));
    assert_eq!(bench.said(), ["write db-0 term=8 conflict", "read", "KILL"]);
}

#[test]
fn a_watch_that_lags_behind_our_own_writes_harms_nobody() {
    let mut bench = Bench::active(usual());
    let mut states = Vec::new();
    bench.watch = false;
    for _ in 0..4 {
        states.push(bench.store.state.clone());
        bench.advance(secs(2));
    }
    bench.said();
    for state in states {
        bench.see(state);
    }
    assert!(bench.said().is_empty());
    assert_eq!(bench.machine.status(bench.now).role, Role::Active);
}

#[test]
fn a_watch_that_says_deleted_is_asked_back() {
    let mut bench = Bench::active(usual());
    bench.see(hotstandby_core::gatekeeper::LeaseState::Absent);
    assert_eq!(bench.said(), ["read"]);
    assert_eq!(bench.machine.status(bench.now).role, Role::Active);
}

#[test]
fn somebody_who_annotates_our_lease_harms_nobody() {
    let mut bench = Bench::active(usual());
    bench.annotate();
    bench.watch = false;
    bench.advance(secs(1));
    bench.annotate();
    bench.advance(secs(1));
    // The first was seen; the second makes one conflict.
    assert_eq!(
        bench.said(),
        ["write db-0 term=8 conflict", "read", "write db-0 term=8", "arm term+10s kill+14.65s"]
    );
}

#[test]
fn after_a_sleep_the_deadlines_come_first() {
    // The machine slept for an hour while a renewal was under way. Its answer is good news from long ago.
    let mut bench = Bench::active(usual());
    bench.fates.push_back(Fate::Slow(ms(1_000)));
    bench.advance(secs(2));
    bench.said();
    bench.sleep(secs(3_600));
    bench.settle();
    assert_eq!(bench.said()[..2], ["TERM kill-3587.35s", "KILL"].map(str::to_owned));
}

#[test]
fn a_start_that_came_too_late_is_asked_for_again_after_a_renewal() {
    let mut bench = Bench::active(usual());
    bench.sleep(secs(11));
    bench.settle();
    bench.said();
    bench.tell(Observation::StartMissed);
    bench.advance(secs(1));
    let said = bench.said();
    assert!(said.contains(&"start term=8 not-after+10s".to_owned()), "{said:?}");
}

#[test]
fn a_start_that_is_missed_again_and_again_is_asked_for_once_a_renewal() {
    let mut bench = Bench::active(usual());
    for _ in 0..5 {
        bench.tell(Observation::StartMissed);
        assert!(bench.said().is_empty());
        bench.advance(secs(2));
        let said = bench.said();
        assert_eq!(said.iter().filter(|line| line.starts_with("start")).count(), 1, "{said:?}");
    }
}

#[test]
fn a_start_that_came_too_late_and_a_lease_that_is_gone_is_a_candidate_again() {
    let mut bench = Bench::active(usual());
    bench.sleep(secs(11));
    bench.other_writes(&held_by("db-1", 9, 15));
    bench.tell(Observation::StartMissed);
    bench.said();
    assert_eq!(bench.machine.status(bench.now).role, Role::Waiting);
    bench.other_writes(&held_by("", 9, 1));
    assert_eq!(bench.said()[0], "write db-0 term=10");
}

#[test]
fn the_killers_deadline_ends_the_command_whatever_the_elector_thinks() {
    let mut bench = Bench::active(usual());
    bench.tell(Observation::KillerFired);
    assert_eq!(bench.said(), ["TERM kill+14.65s"]);
    bench.all_dies(143);
    assert_eq!(bench.said().last().map(String::as_str), Some("exit Lost(NotRenewed) (1)"));
    assert_eq!(bench.record().holder, None, "and others need not wait");
}

#[test]
fn traffic_leads_here_before_the_command_starts() {
    let mut bench = Bench::new(usual().with_traffic(Traffic::BeforeStart), Some(held_by("", 7, 1)));
    let want = [
        "read",
        "write db-0 term=8",
        "arm term+10s kill+14.65s",
        "publish term=8",
        "start term=8 not-after+10s",
    ];
    assert_eq!(bench.said(), want);
}

#[test]
fn traffic_may_wait_for_the_commands_readiness() {
    let mut bench = Bench::active_with(Traffic::WhenReady);
    bench.advance(secs(1));
    assert!(bench.said().is_empty());
    bench.tell(Observation::CommandReady);
    assert_eq!(bench.said(), ["publish term=8"]);
}

#[test]
fn an_endpoint_that_may_not_be_written_makes_room_for_others() {
    let mut bench = Bench::before_start(usual().with_traffic(Traffic::BeforeStart), Some(held_by("", 7, 1)));
    bench.publish = Err(WriteError::Refused("403".into()));
    bench.settle();
    let said = bench.said();
    assert!(!said.iter().any(|line| line.starts_with("start")), "{said:?}");
    bench.advance(secs(3));
    assert_eq!(bench.said().last().map(String::as_str), Some("exit NoEndpoint (1)"));
    assert_eq!(bench.record().holder, None);
}

#[test]
fn an_endpoint_that_does_not_come_is_tried_again_while_the_lease_is_renewed() {
    let mut bench = Bench::before_start(usual().with_traffic(Traffic::BeforeStart), Some(held_by("", 7, 1)));
    bench.publish = Err(WriteError::Unknown("504".into()));
    bench.settle();
    bench.advance(secs(3));
    bench.publish = Ok(());
    bench.advance(secs(1));
    let said = bench.said();
    let count = |what: &str| said.iter().filter(|line| line.starts_with(what)).count();
    assert_eq!((count("publish"), count("start"), count("write")), (3, 1, 3), "{said:?}");

    let mut bench = Bench::before_start(usual().with_traffic(Traffic::BeforeStart), Some(held_by("", 7, 1)));
    bench.publish = Err(WriteError::Unknown("504".into()));
    bench.settle();
    bench.advance(secs(9));
    assert_eq!(bench.said().last().map(String::as_str), Some("exit NoEndpoint (1)"));
}

#[test]
fn a_command_without_its_endpoint_goes_on_and_asks_again() {
    let mut bench = Bench::active_with(Traffic::WhenReady);
    bench.publish = Err(WriteError::Unknown("504".into()));
    bench.tell(Observation::CommandReady);
    bench.advance(secs(60));
    let said = bench.said();
    let asked = said.iter().filter(|line| line.starts_with("publish")).count();
    assert!((20..=32).contains(&asked), "{asked} in a minute");
    assert_eq!(bench.machine.status(bench.now).role, Role::Active);
}

#[test]
fn the_status_page_says_expired_two_seconds_after_the_lease() {
    let mut bench = Bench::active(usual());
    bench.always = Some(Fate::Lost);
    let won_at = bench.now;
    let status = bench.machine.status(won_at);
    assert_eq!((status.role, status.term, status.expired), (Role::Active, Some(Term(8)), false));
    assert_eq!(status.holder.as_deref(), Some("db-0"));
    assert!(!bench.machine.status(won_at + secs(17)).expired);
    assert!(bench.machine.status(won_at + ms(17_001)).expired);

    let waiting = Bench::new(usual(), Some(held_by("db-1", 7, 15)));
    assert!(
        !waiting.machine.status(waiting.now + secs(600)).expired,
        "somebody else's lease is not ours to judge"
    );
}
