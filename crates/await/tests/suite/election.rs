//! Members share a Lease on the modelled API server.

use crate::harness::{Member, NAMESPACE, SHORT, USUAL, World, called, holds_for, until};
use hotstandby_sim::Fault;
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Writes its start, waits, and writes its end.
fn script(world: &World, name: &str) -> String {
    format!(
        "trap 'echo {name} stop >> {0}; exit 0' TERM; echo {name} start $HOTSTANDBY_TERM >> {0}; while :; do sleep 0.01; done",
        world.path("runs").display()
    )
}

fn start(world: &World, name: &str, timing: [&str; 3]) -> Member {
    world.member(name, timing, &script(world, name)).start()
}

#[tokio::test(flavor = "multi_thread")]
async fn planned_stop_hands_over_in_milliseconds_and_one_after_the_other() {
    let world = World::new().await;
    let mut first = start(&world, "db-0", USUAL);
    world.lines("runs", 1).await;
    let second = start(&world, "db-1", USUAL);
    second.says("the holder is db-0").await;
    let asked = Instant::now();
    first.signal("TERM");
    let runs = world.lines("runs", 3).await;
    let took = asked.elapsed();
    let term = world.term();
    let expected = [format!("db-0 start {}", term - 1), "db-0 stop".to_owned(), format!("db-1 start {term}")];
    assert_eq!(runs, expected);
    assert_eq!(first.ends().await.code(), Some(0));
    // A shell and a loaded machine are in it; the lease of 15 s is not, nor a retry period of 2 s.
    assert!(took < Duration::from_millis(1500), "{took:?}");
    eprintln!("from SIGTERM to the next command's first line: {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_member_asks_nothing_while_another_renews() {
    let world = World::new().await;
    let holder = start(&world, "db-0", SHORT);
    world.lines("runs", 1).await;
    let waiting = start(&world, "db-1", SHORT);
    waiting.says("the holder is db-0").await;
    let requests = || world.handle.audit().iter().filter(|entry| entry.request.user == "db-1").count();
    until("it has settled", || world.handle.open_watches() >= 2).await;
    let before = requests();
    holds_for(Duration::from_secs(4), "longer than the lease without a request", || requests() == before)
        .await;
    assert_eq!(world.holder(), "db-0");
    drop(holder);
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_of_the_old_gatekeepers_users_are_enough() {
    let world = World::new().await;
    world.grant(&[]);
    let mut first = start(&world, "db-0", SHORT);
    world.lines("runs", 1).await;
    let second = start(&world, "db-1", SHORT);
    second.says("may not be watched").await;
    first.signal("TERM");
    world.lines("runs", 3).await;
    assert_eq!(first.ends().await.code(), Some(0));
    let audit = world.handle.audit();
    let reads =
        audit.iter().filter(|entry| entry.request.user == "db-1" && entry.request.verb == "get").count();
    assert!(reads < 100, "{reads} reads: more often than the retry period");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rights_are_named_and_do_not_make_a_flood() {
    let world = World::new().await;
    world.handle.with(|server| server.set_access(|_| false, true));
    let member = start(&world, "db-0", USUAL);
    member.says("read Lease shop/db").await;
    let requests = || world.handle.audit().iter().filter(|entry| entry.request.user == "db-0").count();
    holds_for(Duration::from_secs(4), "a few tries", || requests() < 12).await;
    // Granted at last: it goes on by itself.
    world.handle.with(|server| server.set_access(|_| true, true));
    world.lines("runs", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_taken_away_cost_the_command_before_the_lease_ends() {
    let world = World::new().await;
    let mut member = start(&world, "db-0", SHORT);
    world.lines("runs", 1).await;
    world.handle.with(|server| server.set_access(|_| false, true));
    assert_eq!(world.lines("runs", 2).await[1], "db-0 stop");
    assert_eq!(member.ends().await.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_whose_answers_are_lost_do_not_lose_the_lease() {
    let world = World::new().await;
    let mut member = start(&world, "db-0", SHORT);
    world.lines("runs", 1).await;
    let count = Arc::new(AtomicU32::new(0));
    let counter = count.clone();
    world.fault(move |info| {
        let every_other = info.is_write() && counter.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        if every_other { Fault::DropAnswerAfterApplying } else { Fault::None }
    });
    until("twenty renewals under faults", || count.load(Ordering::Relaxed) >= 20).await;
    assert!(member.is_running());
    assert_eq!(world.lines("runs", 1).await.len(), 1, "the command was never stopped");
    member.signal("TERM");
    assert_eq!(member.ends().await.code(), Some(0), "and the release survives them, too");
    assert_eq!(world.holder(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn release_survives_a_server_that_refuses_for_a_while() {
    let world = World::new().await;
    let mut member = start(&world, "db-0", USUAL);
    world.lines("runs", 1).await;
    world.fault(|info| if info.is_write() { Fault::Fail(503) } else { Fault::None });
    member.signal("TERM");
    world.lines("runs", 2).await;
    holds_for(Duration::from_secs(1), "it goes on trying", || world.holder() == "db-0").await;
    world.no_fault();
    assert_eq!(member.ends().await.code(), Some(0));
    assert_eq!(world.holder(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_write_on_the_lease_is_kept_and_does_no_harm() {
    let world = World::new().await;
    let mut member = start(&world, "db-0", SHORT);
    world.lines("runs", 1).await;
    for round in 0..5 {
        world.annotate_lease("theirs", &round.to_string()).await;
        let renewed = world.lease().unwrap()["spec"]["renewTime"].clone();
        until("a renewal on top", || world.lease().unwrap()["spec"]["renewTime"] != renewed).await;
        assert_eq!(world.lease().unwrap()["metadata"]["annotations"]["theirs"], round.to_string());
    }
    assert_eq!(world.lines("runs", 1).await.len(), 1);
    member.signal("TERM");
    assert_eq!(member.ends().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn new_process_of_the_same_name_waits_the_lease_out() {
    let world = World::new().await;
    let mut first = start(&world, "db-0", SHORT);
    world.lines("runs", 1).await;
    let term = world.term();
    first.signal("KILL");
    first.ends().await;
    let asked = Instant::now();
    let second = start(&world, "db-0", SHORT);
    until("the next term", || world.term() == term + 1).await;
    assert!(asked.elapsed() > Duration::from_secs(2), "the name alone proves nothing: {:?}", asked.elapsed());
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_name_and_variables_do_all_of_it() {
    let world = World::new().await;
    let kubeconfig = world.path("db-0.kubeconfig");
    let plan = world.bare("db-0", &[]);
    drop(plan);
    let mut child = called("k8s-await-election")
        .args(["/bin/sh", "-c", &script(&world, "db-0")])
        .env("KUBECONFIG", &kubeconfig)
        .env("K8S_AWAIT_ELECTION_ENABLED", "1")
        .env("K8S_AWAIT_ELECTION_NAME", "db")
        .env("K8S_AWAIT_ELECTION_LOCK_NAME", "db")
        .env("K8S_AWAIT_ELECTION_LOCK_NAMESPACE", NAMESPACE)
        .env("K8S_AWAIT_ELECTION_IDENTITY", "db-0")
        .env("K8S_AWAIT_ELECTION_RETRY_PERIOD", "often")
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    world.lines("runs", 1).await;
    assert_eq!(world.holder(), "db-0");
    assert_eq!(world.lease().unwrap()["spec"]["leaseDurationSeconds"], 15);
    crate::harness::send(i32::try_from(child.id()).unwrap(), "TERM");
    let mut status = None;
    until("it ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    })
    .await;
    assert_eq!(status.unwrap().code(), Some(0));
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text.matches("K8S_AWAIT_ELECTION_RETRY_PERIOD").count(), 1, "warned once: {text}");
}

fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn status_answers_as_the_old_one_did_and_tells_more() {
    let world = World::new().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let plan = world.member("db-0", SHORT, "trap '' TERM; while :; do sleep 0.05; done");
    let member = plan.flag(&format!("--status-address=127.0.0.1:{port}")).start();
    until("it holds the lease", || world.holder() == "db-0").await;
    until("it serves", || get(port, "/").is_some()).await;
    assert_eq!(get(port, "/"), Some((200, r#"{"status": "ok"}"#.to_owned())));
    let mut told = serde_json::Value::Null;
    until("the command runs", || {
        told =
            get(port, "/status").and_then(|(_, body)| serde_json::from_str(&body).ok()).unwrap_or_default();
        told["role"] == "active"
    })
    .await;
    assert_eq!((&told["holder"], &told["term"]), (&json!("db-0"), &json!(world.term())));
    assert_eq!(get(port, "/ready").unwrap().0, 200);
    drop(member);
}

#[tokio::test(flavor = "multi_thread")]
async fn address_that_is_taken_is_named() {
    let world = World::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let flag = format!("--status-address={}", taken.local_addr().unwrap());
    let mut member = world.member("db-0", USUAL, "exit 0").flag(&flag).start();
    assert_eq!(member.ends().await.code(), Some(1));
    assert!(member.log().contains("--status-address"), "{}", member.log());
    assert_eq!(world.holder(), "", "nothing was started");
}
