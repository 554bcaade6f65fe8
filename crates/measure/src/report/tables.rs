//! The tables of the document.

use crate::experiment::{Experiment, Migration, Procedure};
use crate::goals::{Verdict, format_mebibytes, format_ms, judge};
use crate::record::{Memory, Requests, Run};
use crate::registry::{self, EXPERIMENTS};
use crate::report::table::{Column, render_table};
use crate::stats::{Spread, Summary};
use hotstandby_e2e::gatekeeper::scene::Timing;

/// What a run has shown.
pub(crate) struct Results<'r> {
    /// The experiments of which something was recorded, in the registry's order.
    pub(crate) summaries: Vec<Summary<'r>>,
    /// The floor, which other experiments are compared with.
    floor: Summary<'r>,
}

/// An experiment and one goal of it.
struct Judged<'r> {
    summary: &'r Summary<'r>,
    verdict: Verdict,
}

/// The same fault to users of the same older system, without and with hotstandby.
struct Comparison<'r> {
    title: &'static str,
    node_off: bool,
    before: Option<&'r Summary<'r>>,
    now: Option<&'r Summary<'r>>,
}

impl<'r> Results<'r> {
    /// Summarizes a run.
    pub(crate) fn new(run: &'r Run) -> Self {
        let summarize = |experiment| Summary::new(experiment, &run.samples);
        let recorded = EXPERIMENTS.iter().map(summarize).filter(|summary| !summary.is_empty());
        Self { summaries: recorded.collect(), floor: summarize(registry::floor()) }
    }

    /// The experiments that were picked and of which something was recorded.
    pub(crate) fn pick(&self, picked: fn(&Experiment) -> bool) -> impl Iterator<Item = &Summary<'r>> {
        self.summaries.iter().filter(move |summary| picked(summary.experiment))
    }

    /// Those of them that have times.
    fn pick_timed(&self, picked: fn(&Experiment) -> bool) -> Vec<&Summary<'r>> {
        self.pick(picked).filter(|summary| !summary.times.is_empty()).collect()
    }

    fn find(&self, procedure: Procedure) -> Option<&Summary<'r>> {
        self.summaries.iter().find(|summary| summary.experiment.procedure == procedure)
    }
}

/// The gaps of failovers as a client sees them.
pub(crate) fn render_gaps(results: &Results<'_>) -> String {
    let columns: [Column<(&Summary<'_>, String)>; 9] = [
        ("What", |(summary, _)| format_title(summary)),
        ("Trials", |(summary, _)| summary.times.len().to_string()),
        ("Gap p50", |(summary, _)| format_spread(summary, |spread| spread.p50)),
        ("p99", |(summary, _)| format_spread(summary, |spread| spread.p99)),
        ("max", |(summary, _)| format_spread(summary, |spread| spread.max)),
        ("× floor", |(_, ratio)| ratio.clone()),
        ("Failed requests (most in a trial)", |(summary, _)| {
            format!("{} ({})", summary.all_failed(), summary.most_failed())
        }),
        ("Longest without an answer, p50 / max", |(summary, _)| format_outage(summary)),
        ("Doubled", |(summary, _)| summary.doubled.to_string()),
    ];
    let timed = results.pick_timed(Experiment::is_failover).into_iter();
    let lines: Vec<_> = timed.map(|summary| (summary, format_ratio(summary, &results.floor))).collect();
    render_table(&columns, &lines)
}

/// The goals of failovers.
pub(crate) fn render_goals(results: &Results<'_>) -> String {
    let columns: [Column<Judged<'_>>; 5] = [
        ("What", |line| format_title(line.summary)),
        ("Goal", |line| line.verdict.goal.describe()),
        ("Reached", |line| line.verdict.reached.clone()),
        ("", |line| line.verdict.mark().to_owned()),
        ("Largest contribution", |line| line.verdict.cost.clone().unwrap_or_default()),
    ];
    let mut lines = Vec::new();
    for summary in results.pick(Experiment::is_failover) {
        let verdicts = judge(summary, &results.floor).into_iter();
        lines.extend(verdicts.map(|verdict| Judged { summary, verdict }));
    }
    render_table(&columns, &lines)
}

/// Where the time of failovers goes.
pub(crate) fn render_stages(results: &Results<'_>) -> String {
    let columns: [Column<&Summary<'_>>; 8] = [
        ("What", |summary| format_title(summary)),
        ("Trials", |summary| count_staged(summary).to_string()),
        ("notice", |summary| format_stage(summary, 0)),
        ("detect", |summary| format_stage(summary, 1)),
        ("decide", |summary| format_stage(summary, 2)),
        ("seat", |summary| format_stage(summary, 3)),
        ("traffic", |summary| format_stage(summary, 4)),
        ("platform", |summary| format_stage(summary, 5)),
    ];
    let mut lines = results.pick_timed(Experiment::is_failover);
    lines.retain(|summary| count_staged(summary) > 0);
    render_table(&columns, &lines)
}

/// For how long the old active keeps its connections.
pub(crate) fn render_connections(results: &Results<'_>) -> String {
    let columns: [Column<&Summary<'_>>; 5] = [
        ("What ends the old active's connections", |summary| format_title(summary)),
        ("Trials", |summary| summary.times.len().to_string()),
        ("Ended, p50", |summary| format_finite(summary, |spread| spread.p50)),
        ("max", |summary| format_finite(summary, |spread| spread.max)),
        ("Still open after 10 s", |summary| summary.timed_out().to_string()),
    ];
    let lines = results.pick_timed(|experiment| matches!(experiment.procedure, Procedure::Connection(_)));
    render_table(&columns, &lines)
}

/// The outages of users of older systems, without and with hotstandby.
pub(crate) fn render_migrations(results: &Results<'_>) -> String {
    let columns: [Column<Comparison<'_>>; 6] = [
        ("System", |line| line.title.to_owned()),
        ("Fault", |line| if line.node_off { "node powered off" } else { "process killed" }.to_owned()),
        ("Outage before", |line| format_longest_outage(line.before)),
        ("Trials (moved)", |line| format_moved(line.before)),
        ("Outage now", |line| format_longest_outage(line.now)),
        ("Trials (moved)", |line| format_moved(line.now)),
    ];
    render_table(&columns, &compare_migrations(results))
}

fn compare_migrations<'r>(results: &'r Results<'_>) -> Vec<Comparison<'r>> {
    let mut lines = Vec::new();
    for experiment in &EXPERIMENTS {
        let Procedure::Migration(migration) = experiment.procedure else { continue };
        if migration.with_hotstandby {
            continue;
        }
        let before = results.find(experiment.procedure);
        let now = results.find(Procedure::Migration(Migration { with_hotstandby: true, ..migration }));
        if before.is_some() || now.is_some() {
            lines.push(Comparison { title: experiment.title, node_off: migration.node_off, before, now });
        }
    }
    lines
}

/// How fast a gatekeeper's Lease changes hands.
pub(crate) fn render_elections(results: &Results<'_>) -> String {
    let columns: [Column<&Summary<'_>>; 7] = [
        ("What", |summary| format_title(summary)),
        ("Lease", |summary| format_lease(summary.experiment.procedure).to_owned()),
        ("Trials", |summary| summary.times.len().to_string()),
        ("p50", |summary| format_spread(summary, |spread| spread.p50)),
        ("max", |summary| format_spread(summary, |spread| spread.max)),
        ("Goal", |summary| format_goals(summary)),
        ("", |summary| format_marks(summary)),
    ];
    let lines = results.pick_timed(|experiment| matches!(experiment.procedure, Procedure::Gatekeeper(_)));
    render_table(&columns, &lines)
}

/// What members of an election ask of the API server.
pub(crate) fn render_requests(results: &Results<'_>) -> String {
    let columns: [Column<(&Summary<'_>, &Requests)>; 5] = [
        ("Requests for the Lease in a minute", |(summary, _)| format_title(summary)),
        ("Holding: reads", |(_, requests)| format!("{:.1}", requests.holding_reads)),
        ("writes", |(_, requests)| format!("{:.1}", requests.holding_writes)),
        ("Waiting: reads", |(_, requests)| format!("{:.1}", requests.waiting_reads)),
        ("writes", |(_, requests)| format!("{:.1}", requests.waiting_writes)),
    ];
    let mut lines = Vec::new();
    for summary in &results.summaries {
        lines.extend(summary.requests.iter().map(|requests| (summary, *requests)));
    }
    render_table(&columns, &lines)
}

/// How much memory a waiting member needs.
pub(crate) fn render_memory(results: &Results<'_>) -> String {
    let columns: [Column<(&Summary<'_>, Memory)>; 7] = [
        ("Memory of a waiting member, at most", |(summary, _)| format_title(summary)),
        ("Trials", |(summary, _)| summary.memory.len().to_string()),
        ("Resident", |(_, most)| format_mebibytes(most.resident)),
        ("Working set", |(_, most)| format_mebibytes(most.working_set)),
        ("Program's file", |(_, most)| format_mebibytes(most.program)),
        ("Goal", |(summary, _)| format_goals(summary)),
        ("", |(summary, _)| format_marks(summary)),
    ];
    let summaries = results.summaries.iter();
    let lines: Vec<_> = summaries.filter_map(|summary| Some((summary, summary.most_memory()?))).collect();
    render_table(&columns, &lines)
}

fn format_title(summary: &Summary<'_>) -> String {
    summary.experiment.title.to_owned()
}

fn format_spread(summary: &Summary<'_>, value: fn(Spread) -> f64) -> String {
    summary.spread().map_or_else(no_value, |spread| format_ms(value(spread)))
}

fn format_finite(summary: &Summary<'_>, value: fn(Spread) -> f64) -> String {
    Spread::of(&summary.finite_times()).map_or_else(no_value, |spread| format_ms(value(spread)))
}

fn format_ratio(summary: &Summary<'_>, floor: &Summary<'_>) -> String {
    if summary.experiment.is_floor() {
        return "1".to_owned();
    }
    summary.ratio(floor).map_or_else(no_value, |ratio| format!("{ratio:.2}"))
}

fn format_outage(summary: &Summary<'_>) -> String {
    let outages: Vec<f64> = summary.failovers.iter().map(|failover| failover.outage_ms).collect();
    let Some(outage) = Spread::of(&outages) else { return no_value() };
    format!("{} / {}", format_ms(outage.p50), format_ms(outage.max))
}

fn count_staged(summary: &Summary<'_>) -> usize {
    summary.failovers.iter().filter(|failover| failover.stages.is_some()).count()
}

/// The floor has no stages but its write, which is the fifth, and the rest.
fn format_stage(summary: &Summary<'_>, place: usize) -> String {
    if summary.experiment.is_floor() && place < 4 {
        return no_value();
    }
    summary.stage(place).map_or_else(no_value, |stage| format!("{:.1} / {:.1}", stage.p50, stage.p99))
}

fn format_longest_outage(summary: Option<&Summary<'_>>) -> String {
    let Some(summary) = summary else { return no_value() };
    let Some(spread) = summary.spread() else { return no_value() };
    if summary.times.len() == 1 {
        return format_ms(spread.p50);
    }
    format!("{} / {}", format_ms(spread.p50), format_ms(spread.max))
}

fn format_moved(summary: Option<&Summary<'_>>) -> String {
    let Some(summary) = summary else { return "0".to_owned() };
    if summary.times.is_empty() {
        return "0".to_owned();
    }
    format!("{} ({})", summary.times.len(), summary.moved)
}

/// Duration, renew deadline and retry period, as one writes them.
fn format_lease(procedure: Procedure) -> &'static str {
    match procedure {
        Procedure::Gatekeeper(election) if election.timing == Timing::FASTEST => "1 s / 600 ms / 200 ms",
        _ => "15 / 10 / 2 s",
    }
}

fn format_goals(summary: &Summary<'_>) -> String {
    let goals: Vec<String> = summary.experiment.goals.iter().map(|goal| goal.describe()).collect();
    if goals.is_empty() { no_value() } else { goals.join(", ") }
}

fn format_marks(summary: &Summary<'_>) -> String {
    // None of these goals compares with the floor.
    let verdicts = judge(summary, summary);
    let marks: Vec<&str> = verdicts.iter().map(Verdict::mark).collect();
    if marks.is_empty() { no_value() } else { marks.join(", ") }
}

fn no_value() -> String {
    "-".to_owned()
}
