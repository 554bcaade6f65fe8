//! A group's probes.

use crate::support::{
    LIMIT, OK, Server, answer, context, context_with_slots, hang, http, ms, sink, soon, target, until,
};
use hotstandby_core::action::ProbeTarget;
use hotstandby_core::health::Outcome;
use hotstandby_core::ids::Uid;
use hotstandby_core::observation::Observation;
use hotstandby_host::clock::Clock;
use hotstandby_host::context::HostContext;
use hotstandby_host::prober::{EXTRA_PROBES, GroupProber};
use std::time::Duration;

fn uid_of(observation: &Observation) -> &str {
    match observation {
        Observation::Probe(report) => report.uid.as_str(),
        _ => "",
    }
}

#[tokio::test]
async fn late_result_of_a_removed_member_is_dropped() {
    let (hanging, healthy) = (Server::start(|stream, _| hang(stream)).await, Server::answering(OK).await);
    let (sink, mut seen) = sink();
    let mut prober = GroupProber::new(context(None), sink);
    prober.set_targets(vec![ProbeTarget { timeout: ms(200), ..target("gone", hanging.addr) }]);
    until("the first probe is under way", || hanging.accepted() == 1).await;
    prober.set_targets(vec![target("stays", healthy.addr)]);
    seen.drain();
    // Ten periods are longer than the time-out of the removed one's probe.
    for _ in 0..10 {
        assert_eq!(seen.report().await.uid.as_str(), "stays");
    }
    drop(prober);
    seen.drain();
    seen.end().await;
}

#[tokio::test]
async fn unchanged_member_is_not_disturbed_and_a_changed_one_starts_anew() {
    let server = Server::start(|stream, _| hang(stream)).await;
    let (sink, _seen) = sink();
    let mut prober = GroupProber::new(context(None), sink);
    let one = target("p", server.addr);
    prober.set_targets(vec![one.clone()]);
    until("the first probe is under way", || server.accepted() == 1).await;
    prober.set_targets(vec![one.clone()]);
    let changed = ProbeTarget { wire: http("/other"), ..one };
    prober.set_targets(vec![changed]);
    until("it started anew", || server.accepted() >= 2).await;
    assert_eq!(server.accepted(), 2, "the repeated set started nothing");
}

#[tokio::test]
async fn extra_probe_does_not_wait_for_a_hanging_one() {
    let server = Server::start(|stream, number| async move {
        if number == 0 { hang(stream).await } else { answer(stream, OK).await }
    })
    .await;
    let (sink, mut seen) = sink();
    let mut prober = GroupProber::new(context_with_slots(None, 1), sink);
    prober.set_targets(vec![target("p", server.addr)]);
    until("the periodic probe hangs", || server.accepted() == 1).await;
    prober.probe_at(&Uid::from("p"), Duration::ZERO);
    prober.probe_at(&Uid::from("nobody"), Duration::ZERO);
    assert_eq!(seen.report().await.outcome, Outcome::Success);
}

#[tokio::test]
async fn extra_probe_is_not_sent_before_its_time() {
    let server = Server::answering(OK).await;
    let ctx = context(None);
    let (sink, mut seen) = sink();
    let mut prober = GroupProber::new(ctx.clone(), sink);
    prober.set_targets(vec![ProbeTarget { period: LIMIT * 10, ..target("p", server.addr) }]);
    seen.report().await;
    let at = ctx.clock.mono() + ms(100);
    prober.probe_at(&Uid::from("p"), at);
    assert!(seen.report().await.sent >= at);
}

#[tokio::test]
async fn crowd_of_extra_probes_is_bounded_and_counted() {
    let server = Server::start(|stream, _| hang(stream)).await;
    let ctx = context(None);
    let (sink, _seen) = sink();
    let mut prober = GroupProber::new(ctx.clone(), sink);
    prober.set_targets(vec![target("p", server.addr)]);
    for _ in 0..EXTRA_PROBES + 3 {
        prober.probe_at(&Uid::from("p"), Duration::ZERO);
    }
    let text = ctx.metrics.encode(ctx.clock.mono()).unwrap();
    assert!(text.contains("hotstandby_dropped_probes_total 3"), "{text}");
}

#[tokio::test]
async fn slow_server_never_has_two_periodic_probes_of_one_member() {
    let server = Server::start(|stream, _| hang(stream)).await;
    let (sink, mut seen) = sink();
    let mut prober = GroupProber::new(context(None), sink);
    prober.set_targets(vec![ProbeTarget { timeout: ms(120), ..target("p", server.addr) }]);
    let mut before = seen.report().await;
    for _ in 0..4 {
        let next = seen.report().await;
        assert_eq!(next.outcome, Outcome::TimedOut);
        assert!(next.sent >= before.done, "{next:?} overlaps {before:?}");
        before = next;
    }
}

#[tokio::test]
async fn busy_replica_does_not_look_like_a_slow_pod() {
    let (hanging, healthy) = (Server::start(|stream, _| hang(stream)).await, Server::answering(OK).await);
    let (sink, mut seen) = sink();
    let mut prober = GroupProber::new(context_with_slots(None, 1), sink);
    let slow = ProbeTarget { timeout: ms(2_000), ..target("slow", hanging.addr) };
    prober.set_targets(vec![slow]);
    until("the only place is taken", || hanging.accepted() == 1).await;
    let slow = ProbeTarget { timeout: ms(2_000), ..target("slow", hanging.addr) };
    prober.set_targets(vec![slow, ProbeTarget { timeout: ms(1_900), ..target("p", healthy.addr) }]);
    let waited = seen
        .find("the member that waited", |one| match one {
            Observation::Probe(report) if report.uid.as_str() == "p" => Some(report.clone()),
            _ => None,
        })
        .await;
    assert_eq!(waited.outcome, Outcome::Success, "{waited:?}");
    assert!(waited.done < waited.sent + ms(1_900), "waiting was counted: {waited:?}");
}

#[tokio::test]
async fn cut_off_prober_says_that_its_time_outs_prove_nothing() {
    let server = Server::start(|stream, _| hang(stream)).await;
    let ctx = context(Some("own-node"));
    let (sink, mut seen) = sink();
    let mut prober = GroupProber::new(ctx.clone(), sink);
    prober.set_targets(vec![ProbeTarget { timeout: ms(50), ..target("p", server.addr) }]);
    let blind = seen.report().await;
    assert_eq!((blind.outcome, blind.vantage), (Outcome::TimedOut, false));
    assert_eq!(blind.detail.as_deref(), Some("no answer within 50ms"));
    // Far in the future, so that it stays within the period however slow the machine is.
    ctx.vantage.note_success(Some("third-node"), LIMIT * 100);
    seen.find("a time-out that counts", |one| match one {
        Observation::Probe(report) => report.vantage.then_some(()),
        _ => None,
    })
    .await;
}

#[tokio::test]
async fn members_on_other_nodes_are_witnesses_for_each_other() {
    let (hanging, healthy) = (Server::start(|stream, _| hang(stream)).await, Server::answering(OK).await);
    let (sink, mut seen) = sink();
    let mut prober = GroupProber::new(context(Some("own-node")), sink);
    prober.set_targets(vec![
        ProbeTarget { timeout: ms(150), period: ms(2_000), ..target("bad", hanging.addr) },
        target("good", healthy.addr),
    ]);
    let report = seen.outcome(Outcome::TimedOut).await;
    assert!(report.vantage, "{report:?}");
}

#[tokio::test]
async fn frozen_replica_marks_its_own_verdicts() {
    let server = Server::start(|stream, _| hang(stream)).await;
    // Its ticker never runs, as in a frozen replica.
    let ctx = HostContext::new(Clock::start(), None);
    let (sink, mut seen) = sink();
    let mut prober = GroupProber::new(ctx, sink);
    prober.set_targets(vec![ProbeTarget { timeout: ms(500), ..target("p", server.addr) }]);
    assert!(seen.report().await.spans_gap);
}

#[tokio::test]
async fn late_tick_is_counted_as_a_gap() {
    let clock = Clock::start();
    let mut gaps = clock.gaps();
    let ticking = clock.clone();
    tokio::spawn(async move { ticking.run_ticker().await });
    until("it ticked", || clock.tick_age() < ms(50)).await;
    let sent = clock.mono();
    // This runtime has one thread: holding it is a freeze.
    let frozen = std::time::Instant::now();
    while frozen.elapsed() < ms(500) {
        std::hint::spin_loop();
    }
    assert!(clock.spans_gap(sent, clock.mono()), "before the ticker ran again");
    soon("the gap", gaps.changed()).await.unwrap();
    assert!(clock.spans_gap(sent, clock.mono()), "after it");
}

#[tokio::test]
async fn peers_are_told_the_newest_probe_and_nothing_of_removed_members() {
    let server = Server::answering(OK).await;
    let ctx = context(None);
    let (sink, mut seen) = sink();
    let mut prober = GroupProber::new(ctx.clone(), sink).for_group("cr/shop/web");
    prober.set_targets(vec![target("p", server.addr)]);
    let report = seen.report().await;
    let sighting = ctx.sightings.newest("cr/shop/web", &report.uid).unwrap();
    assert!(sighting.success && sighting.sent >= report.sent);
    prober.set_targets(Vec::new());
    assert_eq!(ctx.sightings.newest("cr/shop/web", &report.uid), None);
}

#[tokio::test]
async fn probe_that_cannot_be_made_is_counted_and_not_reported() {
    let server = Server::answering(OK).await;
    let ctx = context(None);
    let (sink, mut seen) = sink();
    let mut prober = GroupProber::new(ctx.clone(), sink);
    prober.set_targets(vec![ProbeTarget { wire: http("/a b"), ..target("p", server.addr) }]);
    let counted = || {
        let text = ctx.metrics.encode(ctx.clock.mono()).unwrap();
        !text.contains("hotstandby_dropped_probes_total 0")
    };
    until("it is counted", counted).await;
    assert!(seen.drain().iter().all(|one| uid_of(one) != "p"));
}
