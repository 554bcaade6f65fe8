//! The admin server.

use crate::support::{context, get, soon};
use hotstandby_host::admin::{Admin, AdminError};
use hotstandby_host::gates::Gates;
use hotstandby_host::sightings::Sighting;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

type Served = JoinHandle<Result<(), AdminError>>;

async fn serve(
    gates: Gates,
) -> (SocketAddr, oneshot::Sender<()>, Served, Arc<hotstandby_host::context::HostContext>) {
    let ctx = context(Some("node-1"));
    let listener = Admin::bind("127.0.0.3:0".parse().unwrap()).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async move {
        let _ = stopped.await;
    };
    let served = tokio::spawn(Admin::new(ctx.clone(), gates, "replica-1").serve(listener, shutdown));
    (addr, stop, served, ctx)
}

#[tokio::test]
async fn unready_replica_says_what_is_missing() {
    let gates = Gates::new();
    gates.close("watch-pods");
    gates.close_because("rights", "may not create leases in hotstandby-system");
    let (addr, _stop, _served, _ctx) = serve(gates.clone()).await;
    assert!(get(addr, "/live").await.0.starts_with("HTTP/1.1 200"));
    let (head, body) = get(addr, "/ready").await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert!(body.contains("watch-pods") && body.contains("may not create leases"), "{body}");
    gates.open("watch-pods");
    gates.open("rights");
    assert!(get(addr, "/ready").await.0.starts_with("HTTP/1.1 200"));
    gates.close("watch-pods");
    assert!(get(addr, "/ready").await.0.starts_with("HTTP/1.1 503"), "it may close again");
}

#[tokio::test]
async fn scraper_gets_open_metrics() {
    let (addr, _stop, _served, _ctx) = serve(Gates::new()).await;
    let (head, body) = get(addr, "/metrics").await;
    assert!(head.contains("application/openmetrics-text"), "{head}");
    assert!(body.contains("hotstandby_clock_gaps_total") && body.ends_with("# EOF\n"), "{body}");
}

#[tokio::test]
async fn peers_get_name_and_sightings() {
    let (addr, _stop, _served, ctx) = serve(Gates::new()).await;
    let (_, body) = get(addr, "/peer/v1/hello").await;
    assert!(body.contains(r#""name":"replica-1""#) && body.contains(r#""node":"node-1""#), "{body}");
    let (_, body) = get(addr, "/peer/v1/sighting?uid=p").await;
    assert!(body.contains(r#""known":false"#), "{body}");
    ctx.sightings.note(&"".into(), &"p".into(), Sighting { success: true, sent: ctx.clock.mono() });
    let (_, body) = get(addr, "/peer/v1/sighting?uid=p&group=cr%2Fa%2Fb").await;
    assert!(body.contains(r#""known":true"#) && body.contains(r#""ageMs":"#), "{body}");
    let (head, _) = get(addr, "/peer/v1/sighting").await;
    assert!(head.starts_with("HTTP/1.1 400"), "{head}");
}

#[tokio::test]
async fn nothing_can_be_changed() {
    let (addr, _stop, _served, _ctx) = serve(Gates::new()).await;
    for path in ["/live", "/ready", "/metrics", "/peer/v1/hello", "/peer/v1/sighting?uid=p"] {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let request =
            format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        soon("an answer", tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut text)).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 405"), "{path}: {text}");
    }
}

#[tokio::test]
async fn client_that_never_finishes_does_not_hold_the_shutdown_up() {
    let (addr, stop, served, _ctx) = serve(Gates::new()).await;
    let mut stuck = TcpStream::connect(addr).await.unwrap();
    stuck.write_all(b"GET /live HT").await.unwrap();
    get(addr, "/live").await;
    stop.send(()).unwrap();
    soon("the end", served).await.unwrap().unwrap();
}

#[tokio::test]
async fn taken_address_fails_at_once_and_is_named() {
    let (addr, _stop, _served, _ctx) = serve(Gates::new()).await;
    let error = Admin::bind(addr).await.unwrap_err();
    assert!(error.to_string().contains(&addr.to_string()), "{error}");
}
