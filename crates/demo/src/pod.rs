//! The server in a pod: says its name and which life of it this is. When it is asked to end it serves on for a
//! second, as an app should that stands behind a Service.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

/// How long it serves on.
const LINGER: Duration = Duration::from_millis(1100);
const LONGEST_HEAD: usize = 8 * 1024;

/// Serves until it is asked to end: `pod-server NAME ADDRESS:PORT`.
pub async fn run() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), Some(address)) = (arguments.next(), arguments.next()) else {
        eprintln!("pod-server NAME ADDRESS:PORT");
        return ExitCode::from(2);
    };
    match serve(&name, &address).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pod-server {name}: {address}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(name: &str, address: &str) -> io::Result<()> {
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let listener = TcpListener::bind(address).await?;
    let mut asked = signal(SignalKind::terminate())?;
    let life = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let answer = format!("{name} {}\n", life % u128::from(u64::MAX));
    let accept = async {
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                let answer = answer.clone();
                // How a connection ends is its client's business.
                tokio::spawn(async move { converse(stream, &answer).await });
            }
        }
    };
    let end = async {
        asked.recv().await;
        tokio::time::sleep(LINGER).await;
    };
    tokio::select! {
        () = accept => {}
        () = end => {}
    }
    Ok(())
}

/// One request, one answer; an idle connection may idle for as long as it likes.
async fn converse(mut stream: TcpStream, answer: &str) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut head = Vec::with_capacity(256);
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 || head.len() > LONGEST_HEAD {
            return Ok(());
        }
    }
    let length = answer.len();
    let text = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{answer}"
    );
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}
