//! The server over loopback HTTP, so that a real `kubectl` talks to it.

use crate::handle::{AnswerBody, Broken, Handle};
use crate::service::read;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Connections at once.
const MOST_CONNECTIONS: usize = 1024;

/// The server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is no loopback address.
    #[error("listening on {0}: the modelled API server asks for no password; use a loopback address")]
    NotLoopback(SocketAddr),
    /// The address cannot be had.
    #[error("listening on {address}: {source}; use another port, or 0 for any")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

/// A server that is being served; dropping it ends that, and every connection with it.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Serving {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A kubeconfig for it.
    pub fn kubeconfig(&self) -> String {
        let address = self.address;
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: sim\n\
             clusters:\n- name: sim\n  cluster:\n    server: http://{address}\n\
             users:\n- name: admin\n  user:\n    token: admin\n\
             contexts:\n- name: sim\n  context:\n    cluster: sim\n    user: admin\n    namespace: default\n"
        )
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves over plain HTTP, version 1 or 2 (with prior knowledge), until the result is dropped.
pub async fn serve(handle: &Handle, address: SocketAddr) -> Result<Serving, ServeError> {
    if !address.ip().is_loopback() {
        return Err(ServeError::NotLoopback(address));
    }
    let failed = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let task = tokio::spawn(accept(listener, handle.clone()));
    Ok(Serving { address, task })
}

async fn accept(listener: TcpListener, handle: Handle) {
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= MOST_CONNECTIONS {
            connections.join_next().await;
        }
        tokio::select! {
            accepted = listener.accept() => {
                // A connection that broke before it was taken is nobody's loss.
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, handle.clone()));
                }
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, handle: Handle) {
    // Answers are small, and people wait for them.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(handle.clone(), request));
    // How a connection ends is the client's business.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(handle: Handle, request: Request<Incoming>) -> Result<Response<AnswerBody>, Broken> {
    let (parts, body) = request.into_parts();
    let most = handle.with(|server| server.limits().body_bytes);
    let request = read(&parts, body, most).await.map_err(|_| Broken("the body broke off"))?;
    handle.answer(request).await
}
