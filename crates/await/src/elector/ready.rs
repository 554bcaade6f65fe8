//! The command's readiness check, for those who want traffic only after it.

use crate::settings::Check;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Between two tries.
const PERIOD: Duration = Duration::from_millis(100);
/// How long one may take.
const LIMIT: Duration = Duration::from_secs(1);
/// Enough of an answer to see its status.
const STATUS_LINE: usize = 12;

/// Waits until the check passes.
pub(super) async fn passed(check: Check) {
    while !timeout(LIMIT, passes(&check)).await.is_ok_and(|outcome| outcome.unwrap_or(false)) {
        sleep(PERIOD).await;
    }
}

async fn passes(check: &Check) -> io::Result<bool> {
    let mut stream = TcpStream::connect((check.ip, check.port)).await?;
    let Some(path) = &check.path else { return Ok(true) };
    let host = std::net::SocketAddr::from((check.ip, check.port));
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: hotstandby-await\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut start = [0; STATUS_LINE];
    stream.read_exact(&mut start).await?;
    // "HTTP/1.1 200"; redirects are an answer of a living server, as for the kubelet.
    Ok(start.starts_with(b"HTTP/1.") && matches!(start.get(9..), Some([b'2' | b'3', ..])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn against(answer: &'static str, path: Option<&str>) -> bool {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = server.local_addr().unwrap();
        let serving = async {
            let (mut stream, _) = server.accept().await.unwrap();
            let mut request = [0; 256];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        };
        let check = Check { ip: at.ip(), port: at.port(), path: path.map(str::to_owned) };
        let (passed, ()) = tokio::join!(passes(&check), serving);
        passed.unwrap_or(false)
    }

    #[test]
    fn only_an_answer_that_is_good_counts() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            assert!(against("HTTP/1.1 200 OK\r\n\r\n", Some("/health")).await);
            assert!(against("HTTP/1.1 302 Found\r\n\r\n", Some("/health")).await);
            assert!(!against("HTTP/1.1 404 Not Found\r\n\r\n", Some("/health")).await);
            assert!(!against("HTTP/1.1 503 Busy\r\n\r\n", Some("/health")).await);
            assert!(!against("SSH-2.0-server\r\n", Some("/health")).await);
            assert!(against("", None).await, "a connection is enough for TCP");
        });
    }
}
