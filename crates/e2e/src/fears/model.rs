//! The modelled API server, on which the simulations and the demo rest, is held to what a real one answered.

use anyhow::{Result, ensure};
use hotstandby_conformance::Recorded;

use crate::conformance;
use crate::trial::Trial;

/// The real server still answers as was recorded; `cargo test` holds the model to the same records.
pub(super) async fn modelled_api_server_is_wrong(trial: &mut Trial) -> Result<()> {
    let comparison = conformance::compare(&trial.env.cluster, Recorded::Compare).await?;
    ensure!(comparison.is_fine(), "the real server does not answer as recorded:\n{comparison}");
    trial.note(format!("{} answers", comparison.compared));
    Ok(())
}
