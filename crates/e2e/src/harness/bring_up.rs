//! What a run needs before its first test: the images, hotstandby's own program, and a cluster that is up.

use std::path::PathBuf;

use anyhow::Result;

use crate::audit::Audit;
use hotstandby_testbed::paths::workspace_root;
use hotstandby_testbed::progress::{Progress, require_root};
use hotstandby_testbed::{Cluster, ClusterConfig, image};

/// What [`super::Env`] is made of, before anything asynchronous starts.
pub struct Prepared {
    pub(super) cluster: Cluster,
    pub(super) cli: PathBuf,
    pub(super) archive: PathBuf,
    pub(super) progress: Progress,
}

/// A name of a cluster, and whether it is somebody else's.
#[derive(Debug, Clone)]
pub enum Which {
    /// One of our own: made now, ended with us.
    Own(String),
    /// The same, but it stays up; one of that name that is up already serves as well.
    Kept(String),
    /// One that is up, and stays up.
    Existing(String),
}

/// Builds what is to be tested and brings the cluster up, or finds it. To be called before any runtime exists.
pub fn prepare(which: &Which) -> Result<Prepared> {
    require_root()?;
    let progress = Progress::stderr();
    hotstandby_testbed::tools::ensure(&progress)?;
    let archive = image::hotstandby_archive(&progress)?;
    let cli = image::build_static(&progress, "hotstandby", "hotstandby")?;
    let cluster = match which {
        Which::Existing(name) => Cluster::attach(name)?,
        Which::Own(name) => {
            let folder = workspace_root().join(".cache/e2e").join(name);
            let config = ClusterConfig {
                images: vec![archive.clone()],
                apiserver_args: Audit::prepare(&folder)?,
                ..ClusterConfig::new(name)
            };
            Cluster::start(config)?
        }
        Which::Kept(name) => match Cluster::attach(name) {
            Ok(cluster) => cluster,
            Err(_not_up) => {
                let config = ClusterConfig { images: vec![archive.clone()], ..ClusterConfig::new(name) };
                Cluster::start_detached(config)?
            }
        },
    };
    Ok(Prepared { cluster, cli, archive, progress })
}

impl Prepared {
    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }
}
