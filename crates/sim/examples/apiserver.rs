//! Serves the modelled API server with the `ActiveStandby` kind until it is stopped, and writes a kubeconfig.
//!
//! `cargo run -p hotstandby-sim --example apiserver -- 127.0.0.1:8001 /tmp/kubeconfig`

use hotstandby_sim::{ApiServer, Handle, SystemClock, serve};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// Between two rounds of the garbage collector.
const GARBAGE_PERIOD: Duration = Duration::from_millis(500);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let path = arguments.next().unwrap_or_else(|| "kubeconfig".to_owned());
    let mut server = ApiServer::new(Arc::new(SystemClock), 1);
    let crd = serde_json::to_value(hotstandby_cluster::api::crd())?;
    server
        .apply_object("apiextensions.k8s.io", "v1", "customresourcedefinitions", &crd)
        .map_err(|failure| failure.message)?;
    let handle = Handle::new(server);
    let serving = serve(&handle, address.parse()?).await?;
    std::fs::write(&path, serving.kubeconfig())?;
    println!("serving on {}; kubectl --kubeconfig {path}", serving.address());
    loop {
        tokio::select! {
            stopped = tokio::signal::ctrl_c() => return Ok(stopped?),
            () = tokio::time::sleep(GARBAGE_PERIOD) => {
                handle.with(ApiServer::collect_garbage);
            }
        }
    }
}
