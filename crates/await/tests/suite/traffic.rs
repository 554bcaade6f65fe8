//! The Service's one endpoint.

use crate::harness::{Member, NAMESPACE, Plan, SHORT, USUAL, World, holds_for, until};
use hotstandby_sim::Fault;
use serde_json::{Value, json};
use std::time::Duration;

const SLICE: &str = "db-hotstandby-ipv4";

fn with_service(plan: Plan, ip: &str) -> Plan {
    plan.flag("--service=db")
        .flag("--service-ports=pg=5432")
        .flag(&format!("--pod-ip={ip}"))
        .flag("--node-name=n")
}

fn member(world: &World, name: &str, ip: &str) -> Member {
    let script = format!(
        "echo {name} >> {}; trap 'exit 0' TERM; while :; do sleep 0.01; done",
        world.path("runs").display()
    );
    with_service(world.member(name, USUAL, &script), ip).start()
}

fn service(world: &World) {
    let service = json!({
        "metadata": {"name": "db", "namespace": NAMESPACE},
        "spec": {"ports": [{"name": "pg", "port": 5432}]},
    });
    world.apply("v1", "services", &service);
}

fn old_endpoints(world: &World) {
    let endpoints = json!({
        "metadata": {"name": "db", "namespace": NAMESPACE, "labels": {"theirs": "1"}},
        "subsets": [{"addresses": [{"ip": "10.0.0.99"}], "ports": [{"name": "pg", "port": 5432}]}],
    });
    world.apply("v1", "endpoints", &endpoints);
}

fn slice_addresses(world: &World) -> Vec<String> {
    let slice = world.object("discovery.k8s.io", "endpointslices", SLICE).unwrap_or_default();
    texts(slice["endpoints"].as_array(), |endpoint| &endpoint["addresses"][0])
}

fn endpoints_addresses(world: &World) -> Vec<String> {
    let endpoints = world.object("", "endpoints", "db").unwrap_or_default();
    texts(endpoints["subsets"][0]["addresses"].as_array(), |address| &address["ip"])
}

fn texts(list: Option<&Vec<Value>>, text: impl Fn(&Value) -> &Value) -> Vec<String> {
    list.into_iter().flatten().map(|entry| text(entry).as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn slice_leads_here_before_the_command_starts_and_follows_without_a_gap() {
    let world = World::new().await;
    service(&world);
    let mut first = member(&world, "db-0", "10.0.0.1");
    until("something runs", || {
        let runs = world.path("runs").exists();
        assert!(!runs || slice_addresses(&world) == ["10.0.0.1"], "started before it was led to");
        runs
    })
    .await;
    let slice = world.object("discovery.k8s.io", "endpointslices", SLICE).unwrap();
    assert_eq!(slice["metadata"]["annotations"]["hotstandby.dev/term"], world.term().to_string());
    assert_eq!(slice["metadata"]["ownerReferences"][0]["name"], "db");
    assert_eq!(slice["metadata"]["labels"]["kubernetes.io/service-name"], "db");
    assert!(world.object("", "endpoints", "db").is_none(), "one of the two only");

    let second = member(&world, "db-1", "10.0.0.2");
    second.says("the holder is db-0").await;
    first.signal("TERM");
    until("it leads to the second", || {
        let addresses = slice_addresses(&world);
        assert_eq!(addresses.len(), 1, "never empty, never two");
        addresses == ["10.0.0.2"]
    })
    .await;
    assert_eq!(first.ends().await.code(), Some(0));
    world.lines("runs", 2).await;
    assert_eq!(slice_addresses(&world), ["10.0.0.2"], "the one that left does not take it away");
}

#[tokio::test(flavor = "multi_thread")]
async fn last_one_takes_its_endpoint_along() {
    let world = World::new().await;
    service(&world);
    let mut only = member(&world, "db-0", "10.0.0.1");
    world.lines("runs", 1).await;
    only.signal("TERM");
    assert_eq!(only.ends().await.code(), Some(0));
    assert_eq!(slice_addresses(&world), [""; 0]);
    assert_eq!(world.holder(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_exist_are_written_and_no_slice_stands_beside_them() {
    let world = World::new().await;
    service(&world);
    old_endpoints(&world);
    let mut first = member(&world, "db-0", "10.0.0.1");
    world.lines("runs", 1).await;
    assert_eq!(endpoints_addresses(&world), ["10.0.0.1"]);
    assert!(world.object("discovery.k8s.io", "endpointslices", SLICE).is_none());
    let endpoints = world.object("", "endpoints", "db").unwrap();
    assert_eq!(endpoints["metadata"]["labels"]["theirs"], "1");
    assert_eq!(endpoints["metadata"]["annotations"]["hotstandby.dev/term"], world.term().to_string());
    first.signal("TERM");
    assert_eq!(first.ends().await.code(), Some(0));
    assert_eq!(endpoints_addresses(&world), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn slice_from_before_the_endpoints_came_is_emptied_first() {
    let world = World::new().await;
    service(&world);
    let mut first = member(&world, "db-0", "10.0.0.1");
    world.lines("runs", 1).await;
    first.signal("KILL");
    first.ends().await;
    // An older member came in between, and its way is the Endpoints.
    let lease = json!({
        "metadata": {"name": "db", "namespace": NAMESPACE},
        "spec": {"holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": world.term() + 1},
    });
    world.apply("coordination.k8s.io/v1", "leases", &lease);
    old_endpoints(&world);
    let second = member(&world, "db-1", "10.0.0.2");
    world.lines("runs", 2).await;
    assert_eq!(endpoints_addresses(&world), ["10.0.0.2"]);
    assert_eq!(slice_addresses(&world), [""; 0]);
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn own_slice_does_not_stay_beside_the_endpoints_of_an_older_member() {
    let world = World::new().await;
    service(&world);
    let mut first = member(&world, "db-0", "10.0.0.1");
    world.lines("runs", 1).await;
    first.signal("TERM");
    // What a plain client-go program does as soon as it sees the release.
    until("the release", || world.holder().is_empty()).await;
    let taken = json!({
        "metadata": {"name": "db", "namespace": NAMESPACE},
        "spec": {"holderIdentity": "old-1", "leaseDurationSeconds": 15, "leaseTransitions": world.term() + 1},
    });
    world.apply("coordination.k8s.io/v1", "leases", &taken);
    assert_eq!(first.ends().await.code(), Some(0));
    assert_eq!(slice_addresses(&world), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_rights_on_slices_the_endpoints_are_made() {
    let world = World::new().await;
    service(&world);
    world.grant(&[]);
    let member = member(&world, "db-0", "10.0.0.1");
    world.lines("runs", 1).await;
    assert_eq!(endpoints_addresses(&world), ["10.0.0.1"]);
    drop(member);
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoint_that_may_not_be_written_is_an_end_with_a_reason_and_not_a_silent_command() {
    let world = World::new().await;
    service(&world);
    world.handle.with(|server| server.set_access(|question| question.resource == "leases", true));
    let mut member = member(&world, "db-0", "10.0.0.1");
    assert_eq!(member.ends().await.code(), Some(1));
    assert!(!world.path("runs").exists(), "the command never ran");
    assert!(member.log().contains("endpoint"), "{}", member.log());
    assert_eq!(world.holder(), "", "and others may try");
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_term_on_the_slice_is_never_overwritten() {
    let world = World::new().await;
    service(&world);
    let mut first = member(&world, "db-0", "10.0.0.1");
    world.lines("runs", 1).await;
    // Another pod of a later term has it by now; we have not heard.
    let mut slice = world.object("discovery.k8s.io", "endpointslices", SLICE).unwrap();
    slice["endpoints"][0]["addresses"] = json!(["10.0.0.2"]);
    slice["metadata"]["annotations"]["hotstandby.dev/term"] = json!((world.term() + 1).to_string());
    world.apply("discovery.k8s.io/v1", "endpointslices", &slice);
    first.signal("TERM");
    assert_eq!(first.ends().await.code(), Some(0));
    assert_eq!(slice_addresses(&world), ["10.0.0.2"]);
}

/// An address of this machine that an endpoint may have: no loopback.
fn own_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent; the kernel only chooses where from.
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback())
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_check_holds_the_endpoint_back_until_it_passes() {
    let Some(ip) = own_address() else {
        eprintln!("not run: this machine has no address but loopback");
        return;
    };
    let world = World::new().await;
    service(&world);
    let port = std::net::TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap().port();
    let plan =
        world.member("db-0", SHORT, &format!("echo up > {}; exec sleep 1000", world.path("up").display()));
    let member = with_service(plan, &ip.to_string()).flag(&format!("--ready-tcp={port}")).start();
    world.lines("up", 1).await;
    holds_for(Duration::from_millis(500), "not yet", || slice_addresses(&world).is_empty()).await;
    let server = std::net::TcpListener::bind((ip, port)).unwrap();
    until("it leads here", || slice_addresses(&world) == [ip.to_string()]).await;
    drop((member, server));
}

#[tokio::test(flavor = "multi_thread")]
async fn slice_of_a_controller_is_left_alone_and_nothing_is_put_beside_it() {
    let world = World::new().await;
    service(&world);
    let slice = json!({
        "metadata": {
            "name": SLICE, "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": "db"},
            "annotations": {"hotstandby.dev/controller": "hotstandby.dev/controller"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.50"]}],
        "ports": [{"name": "pg", "port": 5432}],
    });
    world.apply("discovery.k8s.io/v1", "endpointslices", &slice);
    let mut member = member(&world, "db-0", "10.0.0.1");
    assert_eq!(member.ends().await.code(), Some(1));
    assert!(member.log().contains("belongs to hotstandby.dev/controller"), "{}", member.log());
    assert_eq!(slice_addresses(&world), ["10.0.0.50"]);
    assert!(world.object("", "endpoints", "db").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoint_writes_that_are_lost_or_overtaken_are_tried_again() {
    let world = World::new().await;
    service(&world);
    let first = std::sync::atomic::AtomicBool::new(true);
    world.fault(move |info| {
        let slice = info.resource == "endpointslices" && info.is_write();
        if slice && first.swap(false, std::sync::atomic::Ordering::Relaxed) {
            Fault::DropAnswerAfterApplying
        } else {
            Fault::None
        }
    });
    let member = member(&world, "db-0", "10.0.0.1");
    world.lines("runs", 1).await;
    assert_eq!(slice_addresses(&world), ["10.0.0.1"]);
    drop(member);
}
