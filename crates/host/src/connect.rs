//! One TCP connection, and what its failing says of the other side.

use hotstandby_core::health::Outcome;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use tokio::net::{TcpSocket, TcpStream};

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// It says something of the other side.
    Remote(Outcome, String),
    /// It says something of this machine only.
    Local(io::Error),
}

/// Connects. The connection is reset when dropped: no port is kept in waiting on either side, and connection
/// trackers forget it soon.
pub(crate) async fn connect(addr: SocketAddr) -> Result<TcpStream, ConnectError> {
    let socket = new_socket(addr).map_err(ConnectError::Local)?;
    let stream = socket.connect(addr).await.map_err(classify)?;
    // A connect to an unused port of one's own address may meet itself: both ends are then this socket.
    if stream.local_addr().ok() == stream.peer_addr().ok() {
        return Err(ConnectError::Remote(Outcome::Refused, "connection refused".to_owned()));
    }
    Ok(stream)
}

fn new_socket(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_zero_linger()?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

fn classify(error: io::Error) -> ConnectError {
    let remote = |outcome, text: &str| ConnectError::Remote(outcome, text.to_owned());
    match error.kind() {
        ErrorKind::ConnectionRefused => remote(Outcome::Refused, "connection refused"),
        ErrorKind::TimedOut => remote(Outcome::TimedOut, "no connection: the system gave up"),
        ErrorKind::HostUnreachable => remote(Outcome::TimedOut, "host unreachable"),
        ErrorKind::NetworkUnreachable => remote(Outcome::TimedOut, "network unreachable"),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => {
            remote(Outcome::Wrong, "connection reset while it was opened")
        }
        // No free descriptor, port, memory or right, and whatever else: no fault of the other side's.
        _ => ConnectError::Local(error),
    }
}

/// What an error on an open connection says, and in words; `before` is what had not come yet.
pub(crate) fn broken(error: &io::Error, before: &str) -> (Outcome, String) {
    match error.kind() {
        ErrorKind::TimedOut => (Outcome::TimedOut, format!("connection lost before {before}")),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            (Outcome::TimedOut, format!("host unreachable before {before}"))
        }
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            (Outcome::Wrong, format!("connection reset before {before}"))
        }
        ErrorKind::UnexpectedEof => (Outcome::Wrong, format!("connection closed before {before}")),
        _ => (Outcome::Wrong, format!("{error} before {before}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_exhaustion_is_never_held_against_a_pod() {
        for (errno, name) in
            [(24, "EMFILE"), (23, "ENFILE"), (99, "EADDRNOTAVAIL"), (105, "ENOBUFS"), (1, "EPERM")]
        {
            let error = classify(io::Error::from_raw_os_error(errno));
            assert!(matches!(error, ConnectError::Local(_)), "{name}");
        }
    }

    #[test]
    fn each_errno_of_the_network_has_its_outcome() {
        for (errno, wanted) in [
            (111, Outcome::Refused),
            (110, Outcome::TimedOut),
            (113, Outcome::TimedOut),
            (101, Outcome::TimedOut),
            (104, Outcome::Wrong),
        ] {
            match classify(io::Error::from_raw_os_error(errno)) {
                ConnectError::Remote(outcome, _) => assert_eq!(outcome, wanted, "errno {errno}"),
                ConnectError::Local(error) => panic!("{error} taken as local"),
            }
        }
    }
}
