//! A way to the server over TLS and HTTP/2, as in a cluster, that can go dead without closing: what a cut network looks like
//! from inside a pod.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Passes connections on.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    cut: watch::Sender<u32>,
    accepted: Arc<AtomicU32>,
}

impl Relay {
    /// To this server.
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, cuts) = watch::channel(0);
        let accepted = Arc::new(AtomicU32::new(0));
        let counter = accepted.clone();
        let acceptor = acceptor();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(pass(acceptor.clone(), client, server, cuts.clone()));
            }
        });
        Self { address, cut, accepted }
    }

    /// Connections there are stay open, and nothing passes on them any more; new ones are as good as ever.
    pub(crate) fn cut_those_there_are(&self) {
        self.cut.send_modify(|cut| *cut += 1);
    }

    /// Connections so far.
    pub(crate) fn accepted(&self) -> u32 {
        self.accepted.load(Ordering::Relaxed)
    }
}

fn acceptor() -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn pass(tls: TlsAcceptor, client: TcpStream, server: SocketAddr, mut cuts: watch::Receiver<u32>) {
    cuts.mark_unchanged();
    let (Ok(mut client), Ok(mut server)) = (tls.accept(client).await, TcpStream::connect(server).await)
    else {
        return;
    };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        Ok(()) = cuts.changed() => {
            // Both ends believe that the other is there.
            std::future::pending::<()>().await;
        }
    }
}
