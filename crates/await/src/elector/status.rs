//! The status over HTTP: what the old gatekeeper answered, word for word, and more on other paths. Read-only.

use hotstandby_core::gatekeeper::Status;
use serde_json::json;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// Connections at once: the kubelet, a few scrapers.
const CONNECTIONS: usize = 32;
/// How long one may take.
const LIMIT: Duration = Duration::from_secs(5);
/// The longest head of a request.
const LONGEST_HEAD: usize = 8 * 1024;

/// A question to the main loop: what it answers is as old as the answer.
pub(super) type Question = oneshot::Sender<Told>;

/// What the status is made of.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// From the machine.
    pub(super) status: Status,
    /// Whether the Lease has been seen at all.
    pub(super) synced: bool,
    /// This member.
    pub(super) identity: Arc<str>,
}

/// Takes the address: every one of the machine, both families, where no host is given.
pub(super) async fn listen(host: &str, port: u16) -> io::Result<TcpListener> {
    if !host.is_empty() {
        return TcpListener::bind((host, port)).await;
    }
    match TcpListener::bind(("::", port)).await {
        Ok(listener) => Ok(listener),
        // No IPv6 here.
        Err(_) => TcpListener::bind(("0.0.0.0", port)).await,
    }
}

/// Answers for ever.
pub(super) async fn serve(listener: TcpListener, questions: mpsc::Sender<Question>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let questions = questions.clone();
                tokio::spawn(async move {
                    // How a connection ends is the asker's business.
                    let _ = timeout(LIMIT, answer(stream, &questions)).await;
                    drop(place);
                });
            }
            // Out of descriptors, or the asker is gone already.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn answer(mut stream: TcpStream, questions: &mpsc::Sender<Question>) -> io::Result<()> {
    let Some(path) = path(&mut stream).await? else { return Ok(()) };
    let (sender, receiver) = oneshot::channel();
    let told = match questions.send(sender).await {
        Ok(()) => receiver.await.ok(),
        Err(_) => None,
    };
    let Some(told) = told else { return Ok(()) };
    let (code, body) = reply(&path, &told);
    let head = format!(
        "HTTP/1.1 {code}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

/// The path of the request, once its head is whole; `None` for what is no request.
async fn path(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let length = stream.read(&mut buffer).await?;
        if length == 0 || head.len() > LONGEST_HEAD {
            return Ok(None);
        }
        head.extend_from_slice(buffer.get(..length).unwrap_or_default());
    }
    let text = String::from_utf8_lossy(&head);
    let mut words = text.lines().next().unwrap_or_default().split(' ');
    let (Some(_method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    Ok(Some(target.split('?').next().unwrap_or_default().to_owned()))
}

fn reply(path: &str, told: &Told) -> (&'static str, String) {
    let Status { role, term, holder, expired, trouble } = &told.status;
    match path {
        "/status" => {
            let body = json!({
                "role": role.as_str(), "identity": *told.identity, "holder": holder.as_deref(),
                "term": term.map(|term| term.0), "expired": expired, "trouble": trouble.as_deref(),
            });
            ("200 OK", body.to_string())
        }
        // That somebody answers is the proof.
        "/live" => ("200 OK", json!({"status": "ok"}).to_string()),
        "/ready" if told.synced && trouble.is_none() => ("200 OK", json!({"status": "ok"}).to_string()),
        "/ready" => {
            let why = trouble.as_deref().unwrap_or("the Lease has not been read yet");
            ("503 Service Unavailable", json!({"status": "not ready", "why": why}).to_string())
        }
        // As there, every other path is as good as the root.
        _ if *expired => ("500 Internal Server Error", r#"{"status": "expired"}"#.to_owned()),
        _ => ("200 OK", r#"{"status": "ok"}"#.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotstandby_core::gatekeeper::Role;
    use hotstandby_core::ids::Term;

    fn told(expired: bool) -> Told {
        let status = Status {
            role: Role::Active,
            term: Some(Term(7)),
            holder: Some("db-0".into()),
            expired,
            trouble: None,
        };
        Told { status, synced: true, identity: "db-0".into() }
    }

    #[test]
    fn probes_of_the_old_gatekeepers_users_get_the_very_same_bytes() {
        for path in ["/", "/healthz", "/anything"] {
            assert_eq!(reply(path, &told(false)), ("200 OK", r#"{"status": "ok"}"#.to_owned()));
            let expired = ("500 Internal Server Error", r#"{"status": "expired"}"#.to_owned());
            assert_eq!(reply(path, &told(true)), expired);
        }
    }

    #[test]
    fn role_term_and_holder_are_told() {
        let (code, body) = reply("/status", &told(false));
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(code, "200 OK");
        let expected = json!({
            "role": "active", "identity": "db-0", "holder": "db-0", "term": 7, "expired": false, "trouble": null,
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn member_that_cannot_read_the_lease_is_not_ready_and_says_why() {
        let blind = Told { synced: false, ..told(false) };
        assert!(reply("/ready", &blind).1.contains("not been read"));
        let mut refused = told(false);
        refused.status.trouble = Some("read Lease: forbidden".into());
        let (code, body) = reply("/ready", &refused);
        assert!(code.starts_with("503") && body.contains("forbidden"), "{body}");
        assert!(reply("/ready", &told(false)).0.starts_with("200"));
        assert!(reply("/live", &refused).0.starts_with("200"), "a restart would not help");
    }
}
