//! `hotstandby pause` and `hotstandby resume`: one annotation.

use super::{CliError, KubeFlags, object_name};
use clap::Args;
use hotstandby_cluster::names;

/// Flags of `pause` and `resume`.
#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    /// The group.
    #[arg(value_name = "NAME", value_parser = object_name)]
    name: String,
    #[command(flatten)]
    kube: KubeFlags,
}

/// Runs `pause`.
pub(super) async fn pause(args: PauseArgs, before: &KubeFlags) -> Result<(), CliError> {
    let groups = args.kube.or(before).connect().await?;
    let group = groups.get(&args.name).await?;
    if group.is_paused_by_annotation() {
        println!("{} is paused already", args.name);
        return Ok(());
    }
    groups.annotate(&group, names::PAUSED, Some("true"), false).await?;
    let beside = if group.spec.paused { " (spec.paused pauses it, too)" } else { "" };
    println!("{} is paused{beside}: nobody fails over and nobody is moved until it is resumed", args.name);
    Ok(())
}

/// Runs `resume`.
pub(super) async fn resume(args: PauseArgs, before: &KubeFlags) -> Result<(), CliError> {
    let groups = args.kube.or(before).connect().await?;
    let group = groups.get(&args.name).await?;
    // Any value is removed, also one that does not pause: what is left shall not surprise anybody.
    let annotated = group.annotation(names::PAUSED).is_some();
    if annotated {
        groups.annotate(&group, names::PAUSED, None, false).await?;
    }
    if group.spec.paused {
        let removed = if annotated { "the annotation is removed, but " } else { "" };
        return Err(CliError::Refused(format!(
            "{} stays paused: {removed}spec.paused is true; set it to false where the group is kept (its YAML, \
             Helm values or Git), or: kubectl -n {} patch astb {} --type=merge -p '{{\"spec\":{{\"paused\":false}}}}'",
            args.name,
            groups.namespace(),
            args.name,
        )));
    }
    println!("{} {}", args.name, if annotated { "is resumed" } else { "was not paused" });
    Ok(())
}
