//! `hotstandby manifests`: the install YAML, printed, written or compared.

use super::{CliError, object_name};
use clap::{Args, ValueEnum};
use hotstandby_cluster::manifests::rights::Grant;
use hotstandby_cluster::manifests::{self, DEFAULT_NAMESPACE, Install};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Flags of `manifests`.
#[derive(Debug, Args)]
pub(crate) struct ManifestsArgs {
    /// Work for these namespaces only, with Roles and without any cluster role. Nodes cannot be seen then.
    #[arg(long, value_name = "NS,NS", value_delimiter = ',', value_parser = object_name)]
    namespaced: Vec<String>,
    /// The namespace hotstandby lives in, and keeps its seats in.
    #[arg(long, value_name = "NS", default_value = DEFAULT_NAMESPACE, value_parser = object_name)]
    install_namespace: String,
    /// The image; the published one of this version if not given.
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Rights that only some groups need, each a role of its own. endpoints-copy is refused by this version.
    #[arg(long, value_enum, value_name = "RIGHT,RIGHT", value_delimiter = ',', conflicts_with_all = ["out", "check"])]
    with: Vec<Extra>,
    /// With `--with policies`: this user is hotstandby, too, such as a replica outside the cluster or another install.
    #[arg(long, value_name = "USER")]
    policy_user: Vec<String>,
    /// Only this part.
    #[arg(long, value_enum, value_name = "PART")]
    only: Option<Part>,
    /// Write the files of deploy/ to this directory.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["namespaced", "image", "only", "check", "install_namespace"])]
    out: Option<PathBuf>,
    /// Compare this directory with what --out would write, and exit with 1 if a file differs.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["namespaced", "image", "only", "install_namespace"])]
    check: Option<PathBuf>,
}

/// Rights beyond the default ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Extra {
    /// To read Leases, for groups with election.mode Pods or External.
    FollowLeases,
    /// To write labels to pods, for groups with roleLabel.
    RoleLabels,
    /// To write selectors to Services and labels to pods, for Services with mode `SelectorPointer` and annotated Services.
    SelectorPointer,
    /// To delete pods, for groups with oldActive Delete or criticalContainers.deletePod.
    DeletePods,
    /// To write v1 Endpoints.
    EndpointsCopy,
    /// No right, but admission policies: only hotstandby writes what it leads by. Needs Kubernetes 1.30.
    Policies,
}

impl Extra {
    /// The rights; `None`: nothing of this version uses them.
    const fn grant(self) -> Option<Grant> {
        match self {
            Self::FollowLeases => Some(Grant::FollowLeases),
            Self::RoleLabels => Some(Grant::RoleLabels),
            Self::SelectorPointer => Some(Grant::SelectorPointer),
            Self::DeletePods => Some(Grant::DeletePods),
            Self::EndpointsCopy | Self::Policies => None,
        }
    }
}

/// A part of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The CRD.
    Crd,
    /// All but the CRD.
    Install,
}

/// Runs `manifests`.
pub(super) fn run(args: &ManifestsArgs) -> Result<(), CliError> {
    let unbuilt = |extra: &&Extra| extra.grant().is_none() && **extra != Extra::Policies;
    if let Some(extra) = args.with.iter().find(unbuilt) {
        let name = extra.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        return Err(CliError::Usage(format!(
            "--with {name}: this version of hotstandby cannot do it; remove it"
        )));
    }
    match (&args.out, &args.check) {
        (Some(directory), _) => write(directory, &files()?),
        (None, Some(directory)) => check(directory, &files()?, "hotstandby manifests --out"),
        (None, None) => print(args),
    }
}

fn files() -> Result<Vec<(&'static str, String)>, CliError> {
    Ok(manifests::files()?.into_iter().map(|file| (file.name, file.content)).collect())
}

fn print(args: &ManifestsArgs) -> Result<(), CliError> {
    let mut install = Install {
        namespace: args.install_namespace.clone(),
        with: args.with.iter().filter_map(|extra| extra.grant()).collect(),
        policies: args.with.contains(&Extra::Policies),
        policy_users: args.policy_user.clone(),
        ..Install::default()
    };
    for namespace in &args.namespaced {
        if !install.watched.contains(namespace) {
            install.watched.push(namespace.clone());
        }
    }
    if let Some(image) = &args.image {
        install.image.clone_from(image);
    }
    let mut text = String::new();
    if args.only != Some(Part::Install) {
        text.push_str(&manifests::crd()?);
    }
    if args.only != Some(Part::Crd) {
        text.push_str(&manifests::install(&install)?);
    }
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

/// Writes generated files.
pub(super) fn write(directory: &Path, files: &[(&str, String)]) -> Result<(), CliError> {
    for (name, content) in files {
        let path = directory.join(name);
        std::fs::write(&path, content).map_err(|source| CliError::File { tried: "writing", path, source })?;
    }
    Ok(())
}

/// Compares generated files; `remedy` is the command that writes them.
pub(super) fn check(directory: &Path, files: &[(&str, String)], remedy: &str) -> Result<(), CliError> {
    let mut different = Vec::new();
    for (name, content) in files {
        let path = directory.join(name);
        match std::fs::read_to_string(&path) {
            Ok(found) if found == *content => {}
            Ok(_) => different.push(format!("{} differs", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                different.push(format!("{} is missing", path.display()));
            }
            Err(source) => return Err(CliError::File { tried: "reading", path, source }),
        }
    }
    if different.is_empty() {
        return Ok(());
    }
    Err(CliError::Refused(format!("{}; run: {remedy} {}", different.join(", "), directory.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_is_found_and_named() {
        let directory = std::env::temp_dir().join(format!("hotstandby-manifests-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let files = [("a.yaml", "a".to_owned()), ("b.yaml", "b".to_owned())];
        write(&directory, &files).unwrap();
        assert!(check(&directory, &files, "x").is_ok());
        std::fs::write(directory.join("b.yaml"), "c").unwrap();
        let error = check(&directory, &files, "x").unwrap_err();
        assert_eq!(error.code(), 1);
        assert!(error.to_string().contains("b.yaml differs") && !error.to_string().contains("a.yaml"));
        std::fs::remove_file(directory.join("a.yaml")).unwrap();
        assert!(check(&directory, &files, "x").unwrap_err().to_string().contains("a.yaml is missing"));
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn committed_files_are_what_is_generated() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        check(&root.join("deploy"), &files().unwrap(), "hotstandby manifests --out").unwrap();
    }
}
