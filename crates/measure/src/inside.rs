//! A runtime whose sockets belong to the cluster's network: what is measured must not pass the relay that
//! carries programs on the host to the API server.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use kube::Client;
use tokio::runtime::{Builder, Handle, Runtime};

use hotstandby_testbed::access::client_from;
use hotstandby_testbed::netns::in_netns;

/// The runtime. To be dropped outside any other.
pub(super) struct Inside {
    runtime: Runtime,
    client: Client,
}

/// A way to run something in it.
#[derive(Clone)]
pub(super) struct Hands {
    handle: Handle,
    /// A client that works only there.
    pub(super) client: Client,
}

impl Inside {
    /// Starts it in a network namespace, with a client made of a kubeconfig for use inside.
    pub(super) fn start(netns: &Path, kubeconfig: PathBuf) -> Result<Self> {
        // Threads take their namespace from the thread that starts them.
        in_netns(netns, move || {
            let runtime = Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .context("making a runtime in the cluster's network")?;
            let client = runtime
                .block_on(async { tokio::spawn(async move { client_from(&kubeconfig).await }).await })??;
            anyhow::Ok(Self { runtime, client })
        })?
    }

    /// A way to run something in it.
    pub(super) fn hands(&self) -> Hands {
        Hands { handle: self.runtime.handle().clone(), client: self.client.clone() }
    }
}

impl Hands {
    /// Runs something there.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.handle.spawn(work).await.context("work inside the cluster's network ended early")?
    }

    /// Starts something there that goes on by itself.
    pub(super) fn start(
        &self,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        self.handle.spawn(work)
    }
}
