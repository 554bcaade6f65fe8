//! The tripwire, against servers that like it and servers that do not.

use crate::support::{LIMIT, OK, Seen, Server, answer, context, head, ms, sink, soon, target};
use hotstandby_core::action::{ProbeTarget, WireProbe};
use hotstandby_core::health::Outcome;
use hotstandby_core::observation::Observation;
use hotstandby_core::suspicion::REFUTED_AFTER;
use hotstandby_host::context::HostContext;
use hotstandby_host::prober::GroupProber;
use hotstandby_host::tripwire::{CLOSES_IDLE_CONNECTIONS, SINGLE_CONNECTION};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

/// A period so long that whatever comes soon does not come from it.
const RARELY: Duration = Duration::from_mins(10);

fn wired(addr: SocketAddr) -> ProbeTarget {
    ProbeTarget { tripwire: true, ..target("p", addr) }
}

fn prober(targets: Vec<ProbeTarget>) -> (GroupProber, Seen, Arc<HostContext>) {
    let ctx = context(None);
    let (sink, seen) = sink();
    let mut prober = GroupProber::new(ctx.clone(), sink);
    prober.set_targets(targets);
    (prober, seen, ctx)
}

#[tokio::test]
async fn killed_process_is_told_at_once_and_refuses() {
    let server = Server::answering(OK).await;
    let (mut prober, mut seen, ctx) = prober(vec![ProbeTarget { period: RARELY, ..wired(server.addr) }]);
    assert_eq!(seen.tripwire_state().await, None, "held");
    let killed = ctx.clock.mono();
    drop(server);
    let (uid, at) = seen.tripwire_closed().await;
    assert!(at >= killed && at < killed + ms(2_000), "{at:?} is long after {killed:?}");
    prober.probe_at(&uid, at);
    let report = seen.report().await;
    assert_eq!(report.outcome, Outcome::Refused);
}

#[tokio::test]
async fn restarted_process_gets_a_tripwire_again() {
    let server = Server::answering(OK).await;
    let addr = server.addr;
    let (_prober, mut seen, _ctx) = prober(vec![wired(addr)]);
    assert_eq!(seen.tripwire_state().await, None);
    // More deaths than idle closes would be forgiven: with refusals after each they are not counted as such.
    let mut server = Some(server);
    for _ in 0..5 {
        drop(server.take());
        seen.tripwire_closed().await;
        seen.outcome(Outcome::Refused).await;
        let (accepted, mut idle) = mpsc::unbounded_channel();
        let restarted = Server::start_on(addr, move |mut stream, _| {
            let accepted = accepted.clone();
            async move {
                // What says nothing for a while is the tripwire.
                if tokio::time::timeout(ms(300), stream.peek(&mut [0; 1])).await.is_err() {
                    let _ = accepted.send(());
                }
                answer_next(&mut stream).await;
            }
        });
        server = Some(restarted.await);
        soon("it is opened again", idle.recv()).await.unwrap();
    }
}

async fn answer_next(stream: &mut tokio::net::TcpStream) {
    if head(stream).await.is_some() {
        let _ = stream.write_all(OK.as_bytes()).await;
    }
}

#[tokio::test]
async fn single_threaded_server_is_not_starved() {
    let server = Server::single_threaded(OK).await;
    let one = ProbeTarget { period: ms(600), timeout: ms(500), ..wired(server.addr) };
    let (_prober, mut seen, _ctx) = prober(vec![one]);
    let mut before = Vec::new();
    loop {
        match seen.next().await {
            Observation::TripwireState { off, .. } => {
                assert_eq!(off, Some(SINGLE_CONNECTION));
                break;
            }
            other => before.push(other),
        }
    }
    for one in before {
        assert!(matches!(&one, Observation::Probe(report) if report.outcome == Outcome::Success), "{one:?}");
    }
    assert_eq!(seen.report().await.outcome, Outcome::Success, "free again");
}

#[tokio::test]
async fn without_a_tripwire_a_killed_process_is_still_found_at_once() {
    let server = Server::single_threaded(OK).await;
    let one = ProbeTarget { period: RARELY, timeout: ms(500), ..wired(server.addr) };
    let (_prober, mut seen, ctx) = prober(vec![one]);
    assert_eq!(seen.tripwire_state().await, Some(SINGLE_CONNECTION));
    seen.drain();
    drop(server);
    let killed = ctx.clock.mono();
    let refused = seen.outcome(Outcome::Refused).await;
    assert!(refused.sent < killed + ms(5_000), "{refused:?}");
    let again = seen.outcome(Outcome::Refused).await;
    assert!(again.sent >= refused.sent + ms(5), "the second may prove the first");
}

/// Answers a probe, holds the tripwire and answers the connection beside it. When told to die it closes the tripwire first, as the
/// kernel does with a killed process: the listener takes one more probe, and is gone when that one is answered.
async fn serve_until_killed(listener: TcpListener, killed: oneshot::Receiver<()>) {
    let (probe, _) = listener.accept().await.unwrap();
    answer(probe, OK).await;
    let (idle, _) = listener.accept().await.unwrap();
    let (second, _) = listener.accept().await.unwrap();
    answer(second, OK).await;
    killed.await.unwrap();
    drop(idle);
    let (last, _) = listener.accept().await.unwrap();
    drop(listener);
    answer(last, OK).await;
}

#[tokio::test]
async fn refused_reopening_is_reported_like_a_refused_probe() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (kill, killed) = oneshot::channel();
    tokio::spawn(serve_until_killed(listener, killed));
    let (mut prober, mut seen, _ctx) = prober(vec![ProbeTarget { period: RARELY, ..wired(addr) }]);
    assert_eq!(seen.tripwire_state().await, None);
    seen.drain();
    kill.send(()).unwrap();
    let (uid, at) = seen.tripwire_closed().await;
    prober.probe_at(&uid, at + REFUTED_AFTER);
    seen.outcome(Outcome::Success).await;
    // Nobody asks for another probe: what is refused is the tripwire.
    seen.outcome(Outcome::Refused).await;
}

#[tokio::test]
async fn process_that_answers_once_more_while_it_dies_has_not_closed_an_idle_connection() {
    let mut listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (mut prober, mut seen, ctx) = prober(vec![ProbeTarget { period: RARELY, ..wired(addr) }]);
    // More deaths than idle closes are forgiven.
    for _ in 0..5 {
        let (kill, killed) = oneshot::channel();
        let serving = tokio::spawn(serve_until_killed(listener, killed));
        kill.send(()).unwrap();
        let (uid, at) = seen.tripwire_closed().await;
        prober.probe_at(&uid, at);
        seen.outcome(Outcome::Success).await;
        serving.await.unwrap();
        prober.probe_at(&uid, at + ms(5));
        seen.outcome(Outcome::Refused).await;
        listener = TcpListener::bind(addr).await.unwrap();
        prober.probe_at(&uid, ctx.clock.mono().max(at + REFUTED_AFTER));
    }
    let off = |one: &Observation| matches!(one, Observation::TripwireState { off: Some(_), .. });
    assert!(!seen.drain().iter().any(off), "it was turned off");
}

/// Closes connections that say nothing for 100 ms; answers 200 while `healthy`, else 500.
async fn impatient(healthy: Arc<AtomicBool>) -> Server {
    Server::start(move |mut stream, _| {
        let healthy = Arc::clone(&healthy);
        async move {
            if let Ok(Some(_)) = tokio::time::timeout(ms(100), head(&mut stream)).await {
                let bad = "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n";
                let text = if healthy.load(Ordering::SeqCst) { OK } else { bad };
                let _ = stream.write_all(text.as_bytes()).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn server_that_closes_idle_connections_costs_three_alarms_and_no_more() {
    let healthy = Arc::new(AtomicBool::new(true));
    let server = impatient(Arc::clone(&healthy)).await;
    let (_prober, mut seen, _ctx) = prober(vec![wired(server.addr)]);
    let mut alarms = 0;
    loop {
        match seen.next().await {
            Observation::TripwireClosed { .. } => alarms += 1,
            Observation::TripwireState { off: Some(why), .. } => {
                assert_eq!(why, CLOSES_IDLE_CONNECTIONS);
                break;
            }
            _ => {}
        }
    }
    assert_eq!(alarms, 3);
    // From here connects alone serve, and these succeed: they must not hide what the probe finds.
    healthy.store(false, Ordering::SeqCst);
    seen.outcome(Outcome::Wrong).await;
    for _ in 0..10 {
        assert_eq!(seen.report().await.outcome, Outcome::Wrong);
    }
}

#[tokio::test]
async fn server_that_greets_keeps_its_tripwire() {
    let server = Server::start(|mut stream, _| async move {
        let _ = stream.write_all(b"220 mail.example ready\r\n").await;
        let _ = stream.read(&mut [0; 1]).await;
    })
    .await;
    let (_prober, mut seen, _ctx) = prober(vec![ProbeTarget { wire: WireProbe::Tcp, ..wired(server.addr) }]);
    assert_eq!(seen.tripwire_state().await, None);
    drop(server);
    seen.tripwire_closed().await;
}

#[tokio::test]
async fn replica_that_is_no_longer_the_lead_lets_go() {
    let (gone, mut ends) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream, _| {
        let gone = gone.clone();
        async move {
            if head(&mut stream).await.is_some() {
                let _ = stream.write_all(OK.as_bytes()).await;
            } else {
                let _ = gone.send(());
            }
        }
    })
    .await;
    let one = ProbeTarget { period: RARELY, ..wired(server.addr) };
    let (mut prober, mut seen, _ctx) = prober(vec![one.clone()]);
    assert_eq!(seen.tripwire_state().await, None);
    prober.set_targets(vec![ProbeTarget { tripwire: false, ..one }]);
    soon("the idle connection ends", ends.recv()).await.unwrap();
    assert!(seen.drain().iter().all(|one| !matches!(one, Observation::TripwireClosed { .. })));
}

#[tokio::test]
async fn server_with_room_for_one_that_refuses_in_words_is_left_alone() {
    // The second connection is answered 503 while the first idles.
    let busy = Arc::new(AtomicBool::new(false));
    let server = Server::start(move |mut stream, _| {
        let busy = Arc::clone(&busy);
        async move {
            if busy.swap(true, Ordering::SeqCst) {
                answer(stream, "HTTP/1.1 503 Full\r\nContent-Length: 0\r\n\r\n").await;
                return;
            }
            answer_next(&mut stream).await;
            busy.store(false, Ordering::SeqCst);
        }
    })
    .await;
    let one = ProbeTarget { timeout: LIMIT, ..wired(server.addr) };
    let (_prober, mut seen, _ctx) = prober(vec![one]);
    assert_eq!(seen.tripwire_state().await, Some(SINGLE_CONNECTION));
}
