//! One try of a notice against each kind of member.

use crate::support::{LIMIT, OK, Server, body, context, hang, head, ms, soon};
use hotstandby_core::action::MemberRef;
use hotstandby_core::ids::Term;
use hotstandby_core::notice::{Delivery, NoticeBy, Notification, Role};
use hotstandby_host::context::{HostContext, NOTICE_SLOTS};
use hotstandby_host::notice::{NoticeError, notify};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

fn udp(addr: SocketAddr, message: &str, acknowledge: bool, timeout: Duration) -> Notification {
    Notification {
        to: MemberRef { name: "web-0".into(), uid: "p0".into() },
        ip: addr.ip(),
        role: Role::Active,
        seat: "seat".into(),
        term: Term(7),
        by: NoticeBy::Udp { port: addr.port(), message: message.into() },
        acknowledge,
        timeout,
    }
}

fn http(addr: SocketAddr, path: &str, timeout: Duration) -> Notification {
    let by = NoticeBy::Http { port: addr.port(), path: path.into(), tls: false };
    Notification { by, ..udp(addr, "", true, timeout) }
}

async fn told(ctx: &HostContext, notice: &Notification) -> Result<Delivery, NoticeError> {
    soon("the try's end", notify(ctx, "shop/web", notice)).await
}

/// Where a member listens for datagrams.
async fn member() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

async fn heard(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut buffer = [0; 1024];
    let (length, from) = soon("a datagram", socket.recv_from(&mut buffer)).await.unwrap();
    (String::from_utf8(buffer[..length].to_vec()).unwrap(), from)
}

fn counted(ctx: &HostContext, by: &str, outcome: &str) -> bool {
    let line = format!("hotstandby_notices_total{{by=\"{by}\",outcome=\"{outcome}\"}} 1\n");
    ctx.metrics.encode(Duration::ZERO).unwrap().contains(&line)
}

#[tokio::test]
async fn datagram_arrives_to_the_letter() {
    let ctx = context(None);
    let (socket, addr) = member().await;
    let notice = udp(addr, "GoActiveDuringFailover", false, LIMIT);
    assert_eq!(told(&ctx, &notice).await.unwrap(), Delivery::Sent);
    assert_eq!(heard(&socket).await.0, "GoActiveDuringFailover");
    let notice = udp(addr, "{role}:{term}:{pod}", false, LIMIT);
    assert_eq!(told(&ctx, &notice).await.unwrap(), Delivery::Sent);
    assert_eq!(heard(&socket).await.0, "active:7:web-0");
}

#[tokio::test]
async fn any_datagram_back_acknowledges_even_an_empty_one() {
    let ctx = context(None);
    let (socket, addr) = member().await;
    let notice = udp(addr, "go", true, LIMIT);
    let (delivery, ()) = tokio::join!(told(&ctx, &notice), async {
        let (_, from) = heard(&socket).await;
        socket.send_to(b"", from).await.unwrap();
    });
    assert_eq!(delivery.unwrap(), Delivery::Acknowledged);
    assert!(counted(&ctx, "udp", "acknowledged"));
}

#[tokio::test]
async fn silent_member_ends_the_try_at_its_time_out() {
    let ctx = context(None);
    let (_socket, addr) = member().await;
    let started = Instant::now();
    let error = told(&ctx, &udp(addr, "go", true, ms(150))).await.unwrap_err();
    assert!(started.elapsed() >= ms(150));
    let text = error.to_string();
    assert!(text.starts_with(&format!("no datagram back from {addr} within 150ms; ")), "{text}");
    assert!(counted(&ctx, "udp", "timed_out"));
}

#[tokio::test]
async fn strangers_answer_is_no_acknowledgement() {
    let ctx = context(None);
    let (socket, addr) = member().await;
    let (stranger, _) = member().await;
    let notice = udp(addr, "go", true, ms(300));
    let (delivery, ()) = tokio::join!(told(&ctx, &notice), async {
        let (_, from) = heard(&socket).await;
        stranger.send_to(b"I heard it", from).await.unwrap();
    });
    assert!(matches!(delivery, Err(NoticeError::Silent { .. })), "{delivery:?}");
}

#[tokio::test]
async fn closed_udp_port_is_told_at_once_where_an_answer_is_waited_for() {
    let ctx = context(None);
    let (socket, addr) = member().await;
    drop(socket);
    let text = told(&ctx, &udp(addr, "go", true, LIMIT)).await.unwrap_err().to_string();
    assert!(
        text.starts_with(&format!("nobody listens on UDP port {} of 127.0.0.1; ", addr.port())),
        "{text}"
    );
    assert!(counted(&ctx, "udp", "refused"));
    // Where none is, nothing says whether it was heard.
    assert_eq!(told(&ctx, &udp(addr, "go", false, LIMIT)).await.unwrap(), Delivery::Sent);
}

#[tokio::test]
async fn post_carries_role_and_term_and_200_acknowledges() {
    let ctx = context(None);
    let (said, mut requests) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream, _| {
        let said = said.clone();
        async move {
            said.send(body(&mut stream).await.unwrap()).unwrap();
            let _ = stream.write_all(OK.as_bytes()).await;
        }
    })
    .await;
    let notice = http(server.addr, "/role?from=hotstandby", LIMIT);
    assert_eq!(told(&ctx, &notice).await.unwrap(), Delivery::Acknowledged);
    let (head, body) = soon("the request", requests.recv()).await.unwrap();
    assert!(head.starts_with("POST /role?from=hotstandby HTTP/1.1\r\n"), "{head}");
    for line in [
        &*format!("host: {}", server.addr),
        "hotstandby-role: active",
        "hotstandby-term: 7",
        "content-type: application/json",
        "user-agent: hotstandby-notice",
    ] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} not in {head}");
    }
    assert_eq!(body, r#"{"group":"shop/web","pod":"web-0","role":"active","term":7}"#);
    assert!(counted(&ctx, "http", "acknowledged"));
}

#[tokio::test]
async fn status_of_a_refusal_is_named() {
    let ctx = context(None);
    let server = Server::answering("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n").await;
    let text = told(&ctx, &http(server.addr, "/role", LIMIT)).await.unwrap_err().to_string();
    assert!(text.starts_with(&format!("POST http://{}/role: HTTP 500; ", server.addr)), "{text}");
    assert!(counted(&ctx, "http", "wrong"));
    let empty = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(told(&ctx, &http(empty.addr, "/role", LIMIT)).await.unwrap(), Delivery::Acknowledged);
}

#[tokio::test]
async fn redirect_to_a_stranger_is_not_followed_and_no_acknowledgement() {
    let ctx = context(None);
    let stranger = Server::answering(OK).await;
    let location =
        format!("HTTP/1.1 307 Go\r\nLocation: http://{}/\r\nContent-Length: 0\r\n\r\n", stranger.addr);
    let location: &'static str = location.leak();
    let server = Server::answering(location).await;
    let error = told(&ctx, &http(server.addr, "/role", LIMIT)).await.unwrap_err();
    assert!(matches!(&error, NoticeError::Status { status, .. } if status.as_u16() == 307), "{error}");
    assert_eq!(stranger.accepted(), 0);
}

#[tokio::test]
async fn hanging_server_ends_the_try_at_its_time_out() {
    let ctx = context(None);
    let server = Server::start(|mut stream, _| async move {
        head(&mut stream).await;
        hang(stream).await;
    })
    .await;
    let started = Instant::now();
    let text = told(&ctx, &http(server.addr, "/role", ms(150))).await.unwrap_err().to_string();
    assert!(started.elapsed() >= ms(150));
    assert!(text.contains("/role: no answer within 150ms; "), "{text}");
    assert!(counted(&ctx, "http", "timed_out"));
}

#[tokio::test]
async fn dead_process_and_a_path_that_is_none_are_told_apart() {
    let ctx = context(None);
    let addr = Server::nobody().await;
    let text = told(&ctx, &http(addr, "/role", LIMIT)).await.unwrap_err().to_string();
    assert!(text.starts_with(&format!("POST http://{addr}/role: connection refused; ")), "{text}");
    assert!(counted(&ctx, "http", "refused"));
    let error = told(&ctx, &http(addr, "/a b", LIMIT)).await.unwrap_err();
    assert!(matches!(error, NoticeError::Request { .. }), "{error}");
    assert!(counted(&ctx, "http", "dropped"));
}

#[tokio::test]
async fn crowd_of_silent_members_does_not_take_every_descriptor() {
    let ctx = context(None);
    let (socket, addr) = member().await;
    let crowd: Vec<_> = (0..NOTICE_SLOTS)
        .map(|_| {
            let (ctx, notice) = (Arc::clone(&ctx), udp(addr, "go", true, LIMIT * 2));
            tokio::spawn(async move { notify(&ctx, "shop/web", &notice).await })
        })
        .collect();
    let mut waiting = Vec::new();
    while waiting.len() < NOTICE_SLOTS {
        waiting.push(heard(&socket).await.1);
    }
    let (other, elsewhere) = member().await;
    let error = told(&ctx, &udp(elsewhere, "go", false, ms(100))).await.unwrap_err();
    assert!(matches!(error, NoticeError::Crowded { .. }), "{error}");
    // One answer makes room.
    socket.send_to(b"ok", waiting.swap_remove(0)).await.unwrap();
    assert_eq!(told(&ctx, &udp(elsewhere, "second", false, LIMIT)).await.unwrap(), Delivery::Sent);
    assert_eq!(heard(&other).await.0, "second", "the one without a place was never sent");
    for task in crowd {
        task.abort();
    }
}
