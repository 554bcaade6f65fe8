//! Gatekeepers on the cluster: pods whose command must not run twice, what the command itself noted of its lives, and what
//! the Service's addresses were meanwhile. Shared by `cargo e2e` and `cargo measure`.

pub mod addresses;
pub mod scene;
pub mod ticks;
pub mod weight;

use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::Result;

use crate::harness::{Env, blocking};
use hotstandby_testbed::image;
use hotstandby_testbed::progress::Progress;

static PLAIN: OnceLock<PathBuf> = OnceLock::new();
static CLOCKED: OnceLock<PathBuf> = OnceLock::new();

/// Builds the image. To be called before tests begin: the first time it takes minutes.
pub fn build() -> Result<()> {
    built(false).map(drop)
}

/// Builds the image below clocks that can be set, too.
pub fn build_clocked() -> Result<()> {
    built(true).map(drop)
}

fn built(clocked: bool) -> Result<PathBuf> {
    let archive = if clocked { &CLOCKED } else { &PLAIN };
    if let Some(archive) = archive.get() {
        return Ok(archive.clone());
    }
    let make = if clocked { image::clocked_archive } else { image::gatekeeper_archive };
    let made = make(&Progress::stderr())?;
    let _made_twice_at_once_is_no_harm = archive.set(made.clone());
    Ok(made)
}

/// Loads the image on all nodes, once for each cluster.
async fn load(env: &std::sync::Arc<Env>, clocked: bool) -> Result<()> {
    static LOADED: tokio::sync::Mutex<Vec<(String, bool)>> = tokio::sync::Mutex::const_new(Vec::new());
    let mut loaded = LOADED.lock().await;
    let image = (env.cluster.name().to_owned(), clocked);
    if !loaded.contains(&image) {
        let env = env.clone();
        blocking(move || env.cluster.load_image(&built(clocked)?)).await?;
        loaded.push(image);
    }
    Ok(())
}
