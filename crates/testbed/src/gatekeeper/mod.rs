//! Gatekeepers on the cluster: pods whose command must not run twice, what the command itself noted of its lives, and what
//! the Service's addresses were meanwhile. Shared by `cargo e2e` and `cargo measure`.

pub mod addresses;
pub mod scene;
pub mod ticks;

use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::Result;

use crate::e2e::harness::{Env, blocking};
use crate::image;
use crate::progress::Progress;

static ARCHIVE: OnceLock<PathBuf> = OnceLock::new();

/// Builds the image. To be called before tests begin: the first time it takes minutes.
pub fn build() -> Result<()> {
    if ARCHIVE.get().is_none() {
        let archive = image::gatekeeper_archive(&Progress::stderr())?;
        let _built_twice_at_once_is_no_harm = ARCHIVE.set(archive);
    }
    Ok(())
}

/// Loads the image on all nodes, once for each cluster.
async fn load(env: &std::sync::Arc<Env>) -> Result<()> {
    static LOADED: tokio::sync::Mutex<Vec<String>> = tokio::sync::Mutex::const_new(Vec::new());
    let mut loaded = LOADED.lock().await;
    let name = env.cluster.name().to_owned();
    if !loaded.contains(&name) {
        let env = env.clone();
        blocking(move || {
            build()?;
            ARCHIVE.get().map_or(Ok(()), |archive| env.cluster.load_image(archive))
        })
        .await?;
        loaded.push(name);
    }
    Ok(())
}
