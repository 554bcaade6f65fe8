//! `hotstandby status`.

use super::table::{self, Columns};
use super::view::{Line, View};
use super::{CliError, KubeFlags, now_ms, object_name};
use clap::{Args, ValueEnum};
use futures::{Stream, StreamExt};
use hotstandby_cluster::api::ActiveStandby;
use hotstandby_cluster::manifests::to_yaml;
use hotstandby_cluster::user::{Change, Groups, UserError};
use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::pin::{Pin, pin};
use std::time::Duration;

/// What a watch gives.
type Seen = Result<Change, UserError>;

/// Flags of `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The group; all of the namespace if not given.
    #[arg(value_name = "NAME", value_parser = object_name)]
    name: Option<String>,
    /// The groups of all namespaces.
    #[arg(short = 'A', long, conflicts_with_all = ["name", "namespace"])]
    all_namespaces: bool,
    /// Go on and show changes as they come: redrawn on a terminal, a line per change elsewhere.
    #[arg(short, long)]
    watch: bool,
    /// Form of the output. With -w, json gives one object per line.
    #[arg(short, long, value_enum, value_name = "FORM", default_value_t)]
    output: Output,
    #[command(flatten)]
    kube: KubeFlags,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table of groups, or all that is known of the one that is named.
    #[default]
    Table,
    /// The table with reason, node, address and pause.
    Wide,
    /// JSON, see docs/cli.md.
    Json,
    /// The same as YAML.
    Yaml,
}

/// Runs `status`.
pub(super) async fn run(args: StatusArgs, before: &KubeFlags) -> Result<(), CliError> {
    let StatusArgs { name, all_namespaces, watch, output, kube } = args;
    let groups = kube.or(before).connect().await?;
    let screen = Screen { name, all_namespaces, output };
    if watch { screen.follow(&groups).await } else { screen.once(&groups).await }
}

struct Screen {
    name: Option<String>,
    all_namespaces: bool,
    output: Output,
}

impl Screen {
    async fn once(&self, groups: &Groups) -> Result<(), CliError> {
        let found = match &self.name {
            Some(name) => vec![groups.get(name).await?],
            None => groups.list(self.all_namespaces).await?,
        };
        if found.is_empty() && matches!(self.output, Output::Table | Output::Wide) {
            let place = if self.all_namespaces { "the cluster" } else { groups.namespace() };
            eprintln!("There are no groups in {place}.");
            return Ok(());
        }
        print(&self.render(&found.iter().collect::<Vec<_>>())?)
    }

    async fn follow(&self, groups: &Groups) -> Result<(), CliError> {
        if let Some(name) = &self.name {
            // For the error that lists the groups there are.
            groups.get(name).await?;
        }
        let note = |text: String| eprintln!("waiting for the API server: {text}");
        let changes = pin!(groups.watch(self.name.as_deref(), self.all_namespaces, note));
        let for_people = matches!(self.output, Output::Table | Output::Wide);
        if for_people && io::stdout().is_terminal() {
            self.redraw(changes).await
        } else {
            self.lines(changes).await
        }
    }

    /// The whole table at every change, and every second for the ages in it.
    async fn redraw(&self, mut changes: Pin<&mut impl Stream<Item = Seen>>) -> Result<(), CliError> {
        let mut known: BTreeMap<_, ActiveStandby> = BTreeMap::new();
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        let mut listed = false;
        loop {
            tokio::select! {
                change = changes.next() => match change.transpose()? {
                    None => return Ok(()),
                    Some(Change::All(all)) => {
                        known = all.into_iter().map(|group| (key(&group), group)).collect();
                        listed = true;
                    }
                    Some(Change::Changed(group)) => drop(known.insert(key(&group), *group)),
                    Some(Change::Deleted(group)) => drop(known.remove(&key(&group))),
                },
                _ = ticks.tick() => {}
            }
            if listed {
                let all: Vec<_> = known.values().collect();
                let text =
                    if all.is_empty() { "There is no group.\n".to_owned() } else { self.render(&all)? };
                print(&format!("\x1b[H\x1b[2J{text}"))?;
            }
        }
    }

    /// A line for each group, then one for each change.
    async fn lines(&self, mut changes: Pin<&mut impl Stream<Item = Seen>>) -> Result<(), CliError> {
        if matches!(self.output, Output::Table | Output::Wide) {
            print(&(table::header_line(self.columns()) + "\n"))?;
        }
        while let Some(change) = changes.next().await {
            let news = match change? {
                Change::All(all) => all.into_iter().map(|group| ("current", group)).collect(),
                Change::Changed(group) => vec![("changed", *group)],
                Change::Deleted(group) => vec![("deleted", *group)],
            };
            for (event, group) in &news {
                print(&self.line(event, group)?)?;
            }
        }
        Ok(())
    }

    fn render(&self, groups: &[&ActiveStandby]) -> Result<String, CliError> {
        let views = || groups.iter().map(|group| View::of(group)).collect::<Vec<_>>();
        let one = self.name.is_some().then(|| groups.first()).flatten();
        Ok(match (self.output, one) {
            (Output::Table, Some(group)) => table::detail(group, now_ms()),
            (Output::Table | Output::Wide, _) => table::list(groups, self.columns(), now_ms()),
            (Output::Json, Some(group)) => serde_json::to_string_pretty(&View::of(group))? + "\n",
            (Output::Json, None) => serde_json::to_string_pretty(&views())? + "\n",
            (Output::Yaml, Some(group)) => to_yaml(&View::of(group))?,
            (Output::Yaml, None) => to_yaml(&views())?,
        })
    }

    fn line(&self, event: &'static str, group: &ActiveStandby) -> Result<String, CliError> {
        let line = Line { event, group: View::of(group) };
        Ok(match self.output {
            Output::Table | Output::Wide => {
                let deleted = if event == "deleted" { "   (deleted)" } else { "" };
                table::line(group, self.columns(), now_ms()) + deleted + "\n"
            }
            Output::Json => serde_json::to_string(&line)? + "\n",
            Output::Yaml => format!("---\n{}", to_yaml(&line)?),
        })
    }

    fn columns(&self) -> Columns {
        Columns { namespace: self.all_namespaces, wide: self.output == Output::Wide }
    }
}

fn key(group: &ActiveStandby) -> (Option<String>, Option<String>) {
    (group.metadata.namespace.clone(), group.metadata.name.clone())
}

fn print(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
