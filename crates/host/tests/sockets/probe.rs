//! One probe against each kind of server.

use crate::support::{LIMIT, OK, Server, answer, hang, head, http, ms, soon};
use hotstandby_core::action::WireProbe;
use hotstandby_core::health::Outcome;
use hotstandby_host::probe::{LocalTrouble, probe};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Outcome and detail.
async fn found(addr: SocketAddr, wire: &WireProbe, timeout: Duration) -> (Outcome, String) {
    let result = soon("the probe", probe(addr.ip(), addr.port(), wire, timeout)).await;
    let (outcome, detail) = result.unwrap();
    (outcome, detail.as_deref().unwrap_or("").to_owned())
}

async fn http_found(text: &'static str) -> (Outcome, String) {
    let server = Server::answering(text).await;
    found(server.addr, &http("/"), LIMIT).await
}

#[tokio::test]
async fn dead_process_is_refused_and_nothing_else() {
    let addr = Server::nobody().await;
    for wire in
        [WireProbe::Tcp, http("/"), WireProbe::Http { path: "/".into(), tls: true, host: None, status: None }]
    {
        assert_eq!(found(addr, &wire, LIMIT).await, (Outcome::Refused, "connection refused".to_owned()));
    }
}

#[tokio::test]
async fn hanging_server_ends_at_the_time_out() {
    let server = Server::start(|stream, _| hang(stream)).await;
    let started = Instant::now();
    let (outcome, detail) = found(server.addr, &http("/"), ms(200)).await;
    assert_eq!((outcome, &*detail), (Outcome::TimedOut, "no answer within 200ms"));
    assert!(started.elapsed() >= ms(200));
    let tls = WireProbe::Http { path: "/".into(), tls: true, host: None, status: None };
    assert_eq!(found(server.addr, &tls, ms(100)).await.1, "no TLS handshake within 100ms");
}

#[tokio::test]
async fn server_that_takes_no_connection_times_out() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let addr = listener.local_addr().unwrap();
    // Fill its queue until it answers nobody.
    let mut held = Vec::new();
    while let Ok(stream) = tokio::time::timeout(ms(200), TcpStream::connect(addr)).await {
        held.push(stream.unwrap());
        assert!(held.len() < 100, "the queue never fills");
    }
    let (outcome, detail) = found(addr, &WireProbe::Tcp, ms(200)).await;
    assert_eq!((outcome, &*detail), (Outcome::TimedOut, "no connection within 200ms"));
}

#[tokio::test]
async fn server_that_drips_for_ever_ends_at_the_time_out() {
    let server = Server::start(|mut stream, _| async move {
        head(&mut stream).await;
        let mut every = tokio::time::interval(ms(10));
        while stream.write_all(b"H").await.is_ok() {
            every.tick().await;
        }
    })
    .await;
    // "HHH…" is no HTTP; whichever is noticed first, it ends and it is no success.
    let (outcome, _) = found(server.addr, &http("/"), ms(300)).await;
    assert_ne!(outcome, Outcome::Success);
}

#[tokio::test]
async fn bad_status_is_wrong_and_named() {
    assert_eq!(
        http_found("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n").await,
        (Outcome::Wrong, "HTTP 500".to_owned())
    );
    assert_eq!(http_found("HTTP/1.1 404 No\r\n\r\n").await, (Outcome::Wrong, "HTTP 404".to_owned()));
    assert_eq!(http_found("HTTP/1.1 400 No\r\n\r\n").await.0, Outcome::Wrong);
    assert_eq!(http_found("HTTP/1.1 399 Hm\r\n\r\n").await.0, Outcome::Success);
    assert_eq!(http_found("HTTP/1.0 200 OK\r\n\r\nold").await.0, Outcome::Success);
}

#[tokio::test]
async fn only_the_expected_status_is_healthy_where_one_is_named() {
    let wire = WireProbe::Http { path: "/".into(), tls: false, host: None, status: Some(200) };
    for (answer, outcome) in [(OK, Outcome::Success), ("HTTP/1.1 204 No\r\n\r\n", Outcome::Wrong)] {
        let server = Server::answering(answer).await;
        assert_eq!(found(server.addr, &wire, LIMIT).await.0, outcome, "{answer}");
    }
}

#[tokio::test]
async fn redirect_to_a_healthy_stranger_is_not_followed() {
    let stranger = Server::answering(OK).await;
    let location = format!("HTTP/1.1 302 Found\r\nLocation: http://{}/\r\n\r\n", stranger.addr);
    let location: &'static str = location.leak();
    assert_eq!(http_found(location).await.0, Outcome::Success, "as the kubelet judges it");
    // A probe that followed it would have been there before it ended.
    assert_eq!(stranger.accepted(), 0);
}

#[tokio::test]
async fn reset_or_end_before_the_answer_is_wrong() {
    let resets = Server::start(|mut stream, _| async move {
        head(&mut stream).await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    let (outcome, detail) = found(resets.addr, &http("/"), LIMIT).await;
    assert_eq!((outcome, &*detail), (Outcome::Wrong, "connection reset before an answer"));
    let (outcome, detail) = http_found("").await;
    assert_eq!((outcome, &*detail), (Outcome::Wrong, "connection closed before an answer"));
    let (outcome, detail) = http_found("HTTP/1.1 200 OK\r\nX").await;
    assert_eq!((outcome, &*detail), (Outcome::Wrong, "connection closed before an answer"));
}

#[tokio::test]
async fn garbage_and_endless_heads_are_wrong() {
    let (outcome, detail) = http_found("SSH-2.0-OpenSSH\r\n\r\n").await;
    assert_eq!(outcome, Outcome::Wrong);
    assert!(detail.starts_with("the answer is not HTTP"), "{detail}");
    let endless = Server::start(|mut stream, _| async move {
        head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream.write_all(b"X-More: and more and more and more\r\n").await.is_ok() {}
    })
    .await;
    assert_eq!(found(endless.addr, &http("/"), LIMIT).await.0, Outcome::Wrong);
}

#[tokio::test]
async fn body_that_never_ends_does_not_spoil_a_good_head() {
    let server = Server::start(|mut stream, _| async move {
        head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart").await;
        hang(stream).await;
    })
    .await;
    let started = Instant::now();
    assert_eq!(found(server.addr, &http("/"), LIMIT).await.0, Outcome::Success);
    assert!(started.elapsed() < LIMIT / 2, "the head alone decides");
}

#[tokio::test]
async fn each_probe_leaves_no_port_waiting() {
    let (ended, mut ends) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream, _| {
        let ended = ended.clone();
        async move {
            let end = stream.read(&mut [0; 1]).await.map_err(|error| error.kind());
            ended.send(end).unwrap();
        }
    })
    .await;
    assert_eq!(found(server.addr, &WireProbe::Tcp, LIMIT).await.0, Outcome::Success);
    // Reset, not closed: neither side keeps the pair of ports in TIME_WAIT.
    assert_eq!(soon("its end", ends.recv()).await.unwrap(), Err(std::io::ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn request_names_itself_and_the_host_it_was_told() {
    let (said, mut heads) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream, _| {
        let said = said.clone();
        async move {
            said.send(head(&mut stream).await.unwrap()).unwrap();
            let _ = stream.write_all(OK.as_bytes()).await;
        }
    })
    .await;
    found(server.addr, &http("/health?deep=1"), LIMIT).await;
    let head = soon("the request", heads.recv()).await.unwrap();
    assert!(head.starts_with("GET /health?deep=1 HTTP/1.1\r\n"), "{head}");
    for line in [&*format!("host: {}", server.addr), "user-agent: hotstandby-probe", "connection: close"] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} not in {head}");
    }
    let hosted =
        WireProbe::Http { path: "/".into(), tls: false, host: Some("web.example".into()), status: None };
    found(server.addr, &hosted, LIMIT).await;
    let head = soon("the request", heads.recv()).await.unwrap();
    assert!(head.contains("\r\nhost: web.example\r\n"), "{head}");
}

fn self_signed() -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(vec!["nobody.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn certificate_that_names_somebody_else_is_no_failure() {
    let acceptor = self_signed();
    let server = Server::start(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(OK.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    })
    .await;
    for host in [None, Some(Arc::from("web.example:8443"))] {
        let wire = WireProbe::Http { path: "/".into(), tls: true, host, status: None };
        assert_eq!(found(server.addr, &wire, LIMIT).await, (Outcome::Success, String::new()));
    }
}

#[tokio::test]
async fn plain_server_behind_an_https_probe_is_wrong() {
    let plain = Server::start(|stream, _| answer_anything(stream)).await;
    let wire = WireProbe::Http { path: "/".into(), tls: true, host: None, status: None };
    assert_eq!(found(plain.addr, &wire, LIMIT).await.0, Outcome::Wrong);
}

async fn answer_anything(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 64]).await;
    let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
}

#[tokio::test]
async fn request_that_cannot_be_made_is_not_held_against_the_pod() {
    let server = Server::start(|stream, _| answer(stream, OK)).await;
    let result = probe(server.addr.ip(), server.addr.port(), &http("/a b"), LIMIT).await;
    assert!(matches!(result, Err(LocalTrouble::Request { .. })), "{result:?}");
    assert_eq!(server.accepted(), 0);
}
