//! I2 at the level of processes: who dies, and who kills then. Each of keeper and elector suffices.

use crate::harness::{Member, SHORT, USUAL, World, holds_for, lives, send, until};
use crate::relay::Relay;
use hotstandby_sim::Fault;
use std::time::{Duration, Instant};

/// A renew deadline that is over before the pings of a dead connection are.
const BELOW_THE_PINGS: [&str; 3] = ["6s", "2800ms", "400ms"];

/// A command with a daemonised child, both deaf to TERM; returns their process IDs once both run.
async fn deaf_command(world: &World, timing: [&str; 3]) -> (Member, i32, i32) {
    let script = format!(
        "trap '' TERM; setsid sh -c 'echo $$ >> {0}; exec sleep 1000' & echo $$ >> {0}; while :; do sleep 0.05; done",
        world.path("pids").display()
    );
    let member = world.member("db-0", timing, &script).start();
    let pids = world.lines("pids", 2).await;
    (member, pids[0].parse().unwrap(), pids[1].parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_elector_takes_the_command_along() {
    let world = World::new().await;
    let (mut member, command, daemon) = deaf_command(&world, USUAL).await;
    send(member.elector().await, "KILL");
    assert_eq!(member.ends().await.code(), Some(1));
    assert!(!lives(command) && !lives(daemon));
    assert_eq!(world.holder(), "db-0", "nobody could release it: it runs out");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_keeper_takes_the_command_along() {
    let world = World::new().await;
    let (mut member, command, daemon) = deaf_command(&world, USUAL).await;
    let elector = member.elector().await;
    member.signal("KILL");
    member.ends().await;
    until("all of it is dead", || !lives(command) && !lives(daemon) && !lives(elector)).await;
}

/// When the last renewal that is stored was sent, at the latest: by the Lease's own time, which is this machine's clock.
fn run_out_of(world: &World) -> jiff::Timestamp {
    let lease = world.lease().unwrap();
    let renewed: jiff::Timestamp = lease["spec"]["renewTime"].as_str().unwrap().parse().unwrap();
    let seconds = lease["spec"]["leaseDurationSeconds"].as_i64().unwrap();
    renewed + jiff::SignedDuration::from_secs(seconds)
}

async fn dies_before_the_lease(world: &World, command: i32, daemon: i32) {
    until("the command is dead", || {
        let dead = !lives(command) && !lives(daemon);
        assert!(
            dead || jiff::Timestamp::now() < run_out_of(world),
            "the lease ran out beside a living command"
        );
        dead
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_elector_cannot_keep_the_command_alive() {
    let world = World::new().await;
    let (mut member, command, daemon) = deaf_command(&world, SHORT).await;
    send(member.elector().await, "STOP");
    dies_before_the_lease(&world, command, daemon).await;
    // The elector is still frozen, so nobody says good-bye.
    send(member.elector().await, "CONT");
    assert_eq!(member.ends().await.code(), Some(1), "{}", member.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_keeper_cannot_keep_the_command_alive_once_the_lease_is_lost() {
    let world = World::new().await;
    let (mut member, command, daemon) = deaf_command(&world, SHORT).await;
    member.signal("STOP");
    // As long as the lease is renewed, all is well.
    let renewed = run_out_of(&world);
    until("two renewals", || run_out_of(&world) > renewed + jiff::SignedDuration::from_millis(400)).await;
    assert!(lives(command));
    world.fault(|_| Fault::DropRequest);
    dies_before_the_lease(&world, command, daemon).await;
    member.signal("CONT");
    assert_eq!(member.ends().await.code(), Some(1), "{}", member.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn api_server_that_is_away_for_longer_than_the_lease_costs_the_command_and_then_a_start_anew() {
    let world = World::new().await;
    let (mut member, command, daemon) = deaf_command(&world, SHORT).await;
    world.fault(|_| Fault::DropRequest);
    dies_before_the_lease(&world, command, daemon).await;
    assert_eq!(member.ends().await.code(), Some(1), "{}", member.log());
    world.no_fault();
    let term = world.term();
    let second = world.member("db-1", SHORT, "exec sleep 1000").start();
    until("the next term", || world.term() > term && world.holder() == "db-1").await;
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn command_gets_term_at_the_renew_deadline_and_time_to_end() {
    let world = World::new().await;
    let script = format!(
        "trap 'echo term >> {0}; exit 0' TERM; echo up >> {0}; while :; do sleep 0.02; done",
        world.path("seen").display()
    );
    let mut member = world.member("db-0", SHORT, &script).start();
    world.lines("seen", 1).await;
    world.fault(|_| Fault::DropRequest);
    assert_eq!(world.lines("seen", 2).await[1], "term");
    assert_eq!(
        member.ends().await.code(),
        Some(1),
        "a lost lease is a failure, however well the command ended"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn api_server_that_is_away_for_less_costs_nothing() {
    let world = World::new().await;
    let (mut member, command, _) = deaf_command(&world, USUAL).await;
    world.fault(|info| if info.is_write() { Fault::Fail(503) } else { Fault::None });
    let start = Instant::now();
    holds_for(Duration::from_secs(4), "the command runs", || lives(command)).await;
    world.no_fault();
    let before = run_out_of(&world);
    until("a renewal", || run_out_of(&world) > before).await;
    assert!(lives(command) && member.is_running(), "after {:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_connection_does_not_cost_the_lease() {
    let world = World::new().await;
    let relay = Relay::to(world.server()).await;
    let script = format!("echo up > {}; exec sleep 1000", world.path("up").display());
    let plan = world.member("db-0", BELOW_THE_PINGS, &script);
    world.lead_through("db-0", relay.address);
    let mut member = plan.start();
    world.lines("up", 1).await;
    for _ in 0..3 {
        let (before, connections) = (run_out_of(&world), relay.accepted());
        relay.cut_those_there_are();
        until("a renewal by another connection", || {
            assert!(member.is_running(), "{}", member.log());
            run_out_of(&world) > before && relay.accepted() > connections
        })
        .await;
    }
    member.signal("TERM");
    assert_eq!(member.ends().await.code(), Some(143));
}

#[tokio::test(flavor = "multi_thread")]
async fn stolen_lease_kills_at_once() {
    let world = World::new().await;
    let (mut member, command, daemon) = deaf_command(&world, USUAL).await;
    let mut lease = world.lease().unwrap();
    lease["spec"]["holderIdentity"] = "db-0".into();
    lease["spec"]["renewTime"] = "2026-01-01T00:00:00.000000Z".into();
    world.apply("coordination.k8s.io/v1", "leases", &lease);
    assert_eq!(member.ends().await.code(), Some(1));
    assert!(!lives(command) && !lives(daemon), "even where the thief has our own name");
}
