//! `hotstandby import`: what people have today, and what hotstandby needs of it.

use super::{CliError, KubeFlags};
use clap::{Args, ValueEnum};
use hotstandby_cluster::import::{ActiveToday, Import, Outcome, to_text};
use hotstandby_cluster::objects::Objects;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Flags of `import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// YAML to look at instead of the cluster: a file, a directory, or - for standard input. May be repeated.
    #[arg(short, long = "filename", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Look at all namespaces.
    #[arg(short = 'A', long, conflicts_with_all = ["files", "namespace"])]
    all_namespaces: bool,
    /// Say what would change and whether traffic would move, and exit with 1 where it would or where something is unclear.
    #[arg(long)]
    check: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, value_name = "FORM", default_value_t)]
    output: Output,
    #[command(flatten)]
    kube: KubeFlags,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// YAML to apply, with an explanation of each line; with --check, text for people.
    #[default]
    Yaml,
    /// JSON, see docs/cli.md.
    Json,
}

/// What `-o json` shows.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    import: &'a Import,
    with: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<&'a [Outcome]>,
}

/// Runs `import`.
pub(super) async fn run(args: ImportArgs, before: &KubeFlags) -> Result<(), CliError> {
    let ImportArgs { files, all_namespaces, check, output, kube } = args;
    let kube = kube.or(before);
    let (objects, place) = if files.is_empty() {
        let groups = kube.connect().await?;
        let place = if all_namespaces { "the cluster" } else { groups.namespace() }.to_owned();
        (groups.source(all_namespaces).objects().await?, place)
    } else {
        let namespace = kube.namespace.as_deref().unwrap_or("default");
        (from_files(&files, namespace)?, "these files".to_owned())
    };
    let import = Import::of(&objects);
    let outcomes = check.then(|| import.check(&objects));
    let text = match (output, &outcomes) {
        (Output::Json, _) => {
            let with = import.with().into_iter().collect();
            let shown = Shown { import: &import, with, check: outcomes.as_deref() };
            serde_json::to_string_pretty(&shown)? + "\n"
        }
        (Output::Yaml, _) if import.is_empty() => {
            eprintln!("None of the systems that hotstandby takes over was recognised in {place}.");
            to_text(&import)
        }
        (Output::Yaml, None) => to_text(&import),
        (Output::Yaml, Some(outcomes)) => outcome_text(&import, outcomes),
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    outcomes.map_or(Ok(()), |outcomes| verdict(&import, &outcomes))
}

/// The check's answer as an exit code.
fn verdict(import: &Import, outcomes: &[Outcome]) -> Result<(), CliError> {
    let moved = outcomes.iter().filter(|outcome| outcome.moves.is_some()).count();
    let mut why = Vec::new();
    if moved > 0 {
        why.push(format!("traffic would or might move for {moved} of {}", outcomes.len()));
    }
    if !import.questions.is_empty() {
        why.push(format!(
            "{} questions are open, see: hotstandby import without --check",
            import.questions.len()
        ));
    }
    if why.is_empty() { Ok(()) } else { Err(CliError::Refused(why.join("; "))) }
}

fn outcome_text(import: &Import, outcomes: &[Outcome]) -> String {
    let mut out = String::new();
    for (finding, outcome) in import.findings.iter().zip(outcomes) {
        let Outcome { object, active_today, changes, moves } = outcome;
        let active = match active_today {
            ActiveToday::One(pod) => format!("{pod} is active today"),
            ActiveToday::Several(pods) => format!("{} are active today, all at once", pods.join(" and ")),
            ActiveToday::Nobody => "nobody is active today".to_owned(),
            ActiveToday::Unknown => "who is active today is not known here".to_owned(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{object}: {}; {active}", finding.system.title());
        for change in changes {
            let _ = writeln!(out, "  would change: {change}");
        }
        let _ = match moves {
            Some(why) if *active_today == ActiveToday::Unknown => {
                writeln!(out, "  NOT KNOWN whether traffic moves: {why}")
            }
            Some(why) => writeln!(out, "  TRAFFIC MOVES: {why}"),
            None => writeln!(out, "  no traffic moves: hotstandby keeps who is active"),
        };
    }
    for question in &import.questions {
        let _ = writeln!(out, "unclear: {}: {}", question.object, question.question);
    }
    out
}

fn from_files(files: &[PathBuf], namespace: &str) -> Result<Objects, CliError> {
    let mut objects = Objects::default();
    for path in files {
        if path.as_os_str() == "-" {
            let mut text = String::new();
            let failed = |source| CliError::File { tried: "reading", path: "standard input".into(), source };
            io::stdin().lock().read_to_string(&mut text).map_err(failed)?;
            objects.add_yaml("standard input", &text, namespace)?;
        } else if path.is_dir() {
            for file in yaml_files(path)? {
                add_file(&mut objects, &file, namespace)?;
            }
        } else {
            add_file(&mut objects, path, namespace)?;
        }
    }
    Ok(objects)
}

fn add_file(objects: &mut Objects, path: &Path, namespace: &str) -> Result<(), CliError> {
    let failed = |source| CliError::File { tried: "reading", path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    objects.add_yaml(&path.display().to_string(), &text, namespace)?;
    Ok(())
}

/// The YAML and JSON files of a directory, not of those in it: as kubectl has it without -R.
fn yaml_files(directory: &Path) -> Result<Vec<PathBuf>, CliError> {
    let failed = |source| CliError::File { tried: "reading", path: directory.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let known = path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|one| end == *one));
        if known && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../cluster/fixtures").join(name)
    }

    #[test]
    fn a_directory_is_read_in_order_and_only_its_yaml() {
        let files = yaml_files(&fixture("")).unwrap();
        assert!(files.len() > 5 && files.is_sorted());
        let objects = from_files(&[fixture("b.yaml"), fixture("c.yaml")], "shop").unwrap();
        assert_eq!(Import::of(&objects).findings.len(), 2);
    }

    #[test]
    fn a_missing_file_is_named_and_ends_with_4() {
        let error = from_files(&[fixture("missing.yaml")], "shop").unwrap_err();
        assert!(error.to_string().contains("missing.yaml"), "{error}");
        assert_eq!(error.code(), 4);
    }

    #[test]
    fn the_check_refuses_where_traffic_would_move() {
        let objects = from_files(&[fixture("b.yaml")], "shop").unwrap();
        let import = Import::of(&objects);
        let outcomes = import.check(&objects);
        assert_eq!(verdict(&import, &outcomes).unwrap_err().code(), 1);
        let text = outcome_text(&import, &outcomes);
        assert!(
            text.contains("ActiveStandby shop/hapods")
                && text.contains("NOT KNOWN whether traffic moves: the input"),
            "{text}"
        );
        assert!(verdict(&Import::default(), &[]).is_ok());
    }
}
