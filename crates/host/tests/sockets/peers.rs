//! Replicas among themselves.

use crate::support::{Server, context, head, ms, soon, until};
use hotstandby_core::ids::Uid;
use hotstandby_host::admin::Admin;
use hotstandby_host::context::HostContext;
use hotstandby_host::gates::Gates;
use hotstandby_host::peers::{PeerInfo, Peers};
use hotstandby_host::sightings::Sighting;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::AsyncWriteExt;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

const GROUP: &str = "cr/shop/web";

/// A replica with its admin server; dropping it is its death.
struct Replica {
    ctx: Arc<HostContext>,
    peers: Peers,
    info: PeerInfo,
    /// The admin server's own runtime: with it all its connections go, as with a process.
    admin: Option<Runtime>,
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(runtime) = self.admin.take() {
            runtime.shutdown_background();
        }
    }
}

async fn replica(name: &str, node: Option<&str>) -> Replica {
    let ctx = context(node);
    let server = Admin::new(ctx.clone(), Gates::new(), name);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (bound, addr) = oneshot::channel();
    runtime.spawn(async move {
        let listener = Admin::bind("127.0.0.2:0".parse().unwrap()).await.unwrap();
        bound.send(listener.local_addr().unwrap()).unwrap();
        server.serve(listener, std::future::pending()).await.unwrap();
    });
    let addr = soon("the address", addr).await.unwrap();
    let info = PeerInfo { name: name.into(), node: node.map(Into::into), addr };
    Replica { peers: Peers::new(ctx.clone(), name), ctx, info, admin: Some(runtime) }
}

fn introduce(replicas: &[&Replica]) {
    let all: Vec<_> = replicas.iter().map(|one| one.info.clone()).collect();
    for one in replicas {
        one.peers.set(all.clone());
    }
}

async fn leads(replica: &Replica, wanted: bool) {
    soon("the lead", replica.peers.lead().wait_for(|lead| *lead == wanted)).await.unwrap();
}

async fn sees(replica: &Replica, others: usize) {
    until("peers answer", || replica.peers.answering().len() == others).await;
}

#[tokio::test]
async fn lone_replica_is_the_lead() {
    let one = replica("a", None).await;
    assert!(*one.peers.lead().borrow());
    one.peers.set(vec![one.info.clone()]);
    assert!(*one.peers.lead().borrow(), "itself is no peer");
}

#[tokio::test]
async fn dead_lead_is_followed_by_the_next_name() {
    let (a, b, c) = (replica("a", None).await, replica("b", None).await, replica("c", None).await);
    introduce(&[&a, &b, &c]);
    for (one, wanted) in [(&a, true), (&b, false), (&c, false)] {
        sees(one, 2).await;
        leads(one, wanted).await;
    }
    drop(a);
    leads(&b, true).await;
    sees(&c, 1).await;
    assert!(!*c.peers.lead().borrow());
}

#[tokio::test]
async fn newcomer_does_not_seize_the_lead_before_it_has_asked() {
    let (a, b) = (replica("a", None).await, replica("b", None).await);
    let lead = b.peers.lead();
    b.peers.set(vec![a.info.clone()]);
    assert!(!*lead.borrow());
    sees(&b, 1).await;
    assert!(!*b.peers.lead().borrow());
}

#[tokio::test]
async fn stranger_under_a_dead_peers_address_is_not_the_peer() {
    let (stranger, b) = (replica("x", None).await, replica("b", None).await);
    b.peers.set(vec![PeerInfo { name: "a".into(), ..stranger.info.clone() }]);
    leads(&b, true).await;
    assert!(b.peers.answering().is_empty());
}

#[tokio::test]
async fn peer_that_sees_the_member_vetoes_and_its_old_success_does_not() {
    let (a, b) = (replica("a", Some("node-a")).await, replica("b", Some("node-b")).await);
    introduce(&[&a, &b]);
    sees(&a, 1).await;
    let uid = Uid::from("p");
    let ask = async |failing_since| a.peers.ask(GROUP, &uid, Some("node-p"), failing_since).await;
    let note = |success| {
        let sent = b.ctx.clock.mono();
        b.ctx.sightings.note(&GROUP.into(), &uid, Sighting { success, sent });
    };

    let failing_since = a.ctx.clock.mono();
    assert_eq!(ask(failing_since).await, None, "silence of one who does not probe it");
    until("a millisecond passed", || a.ctx.clock.mono() > failing_since + ms(2)).await;
    note(true);
    assert_eq!(ask(failing_since).await.as_deref(), Some("b"));
    let other = a.peers.ask("cr/shop/other", &uid, Some("node-p"), failing_since).await;
    assert_eq!(other, None, "seen for another group, perhaps by another probe");
    assert_eq!(
        a.peers.ask(GROUP, &uid, Some("node-b"), failing_since).await,
        None,
        "on the member's own node nothing lies between"
    );
    assert_eq!(ask(a.ctx.clock.mono()).await, None, "sent before it began to fail");
    note(false);
    assert_eq!(ask(failing_since).await, None, "its newest probe failed as well");
    let text = a.ctx.metrics.encode(a.ctx.clock.mono()).unwrap();
    assert!(text.contains("hotstandby_peer_vetoes_total 1"), "{text}");
}

#[tokio::test]
async fn hanging_peer_delays_a_failover_by_no_more_than_its_limit() {
    let hanging = Server::start(|mut stream, _| async move {
        while let Some(head) = head(&mut stream).await {
            if !head.contains("/hello") {
                std::future::pending::<()>().await;
            }
            let body = r#"{"name":"z","node":null,"version":"0"}"#;
            let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(text.as_bytes()).await;
        }
    })
    .await;
    let a = replica("a", None).await;
    a.peers.set(vec![PeerInfo { name: "z".into(), node: None, addr: hanging.addr }]);
    sees(&a, 1).await;
    let started = Instant::now();
    assert_eq!(a.peers.ask(GROUP, &Uid::from("p"), None, a.ctx.clock.mono()).await, None);
    assert!(started.elapsed() < ms(2_000), "{:?}", started.elapsed());
}

#[tokio::test]
async fn answering_peer_on_another_node_is_a_witness() {
    let (a, b) = (replica("a", Some("node-a")).await, replica("b", Some("node-b")).await);
    let supported = || a.ctx.vantage.supports_timeout(Some("node-p"), a.ctx.clock.mono(), ms(5_000));
    assert!(!supported());
    introduce(&[&a, &b]);
    until("the peer is a witness", supported).await;
}

#[tokio::test]
async fn removed_peer_is_forgotten() {
    let (a, b) = (replica("a", None).await, replica("b", None).await);
    introduce(&[&a, &b]);
    sees(&b, 1).await;
    leads(&b, false).await;
    b.peers.set(Vec::new());
    assert!(*b.peers.lead().borrow());
    assert!(b.peers.answering().is_empty());
}
