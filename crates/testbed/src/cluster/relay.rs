//! Lets programs on the host reach the API server: a port on 127.0.0.1 whose connections are carried into
//! the cluster's network. It only carries bytes; TLS goes through unbroken.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use anyhow::{Context as _, Result};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

use crate::netns::spawn_in_netns;
use crate::paths::CONTROL_PLANE_IP;

/// A listening socket on the host; its port goes into kubeconfigs before the relay runs.
pub(crate) fn listen() -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("opening a port on 127.0.0.1")
}

/// Relays until the process ends. A socket stays in the namespace it was made in, so the listener serves the
/// host although the thread lives in the cluster's.
pub(crate) fn start(listener: TcpListener, netns: &Path) -> Result<()> {
    listener.set_nonblocking(true).context("preparing the relay's port")?;
    let target: SocketAddr =
        format!("{CONTROL_PLANE_IP}:6443").parse().context("the API server's address")?;
    spawn_in_netns(netns, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(serve(listener, target)),
            Err(error) => eprintln!("relay: no runtime: {error}"),
        }
    })?;
    Ok(())
}

async fn serve(listener: TcpListener, target: SocketAddr) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return eprintln!("relay: {error}"),
    };
    loop {
        let Ok((outside, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: let some connections end.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        tokio::spawn(carry(outside, target));
    }
}

/// An API server that is away shows as a closed connection.
async fn carry(mut outside: TcpStream, target: SocketAddr) {
    let Ok(mut inside) = TcpStream::connect(target).await else { return };
    let _no_delay = (outside.set_nodelay(true), inside.set_nodelay(true));
    let _ended_either_way = copy_bidirectional(&mut outside, &mut inside).await;
}
