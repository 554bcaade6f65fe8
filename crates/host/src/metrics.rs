//! The replica's metrics. Label values are fixed texts, so that no pod or group can make series without end.

use hotstandby_core::health::Outcome;
use hotstandby_core::reason::Reason;
use hotstandby_core::report::Stages;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds in seconds: fine where a failover is won or lost.
const BUCKETS: [f64; 24] = [
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5,
    1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0,
];

type Timings<L> = Family<L, Histogram, fn() -> Histogram>;

macro_rules! labels {
    ($($name:ident { $($field:ident),+ })+) => {$(
        #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
        struct $name { $($field: &'static str),+ }
    )+};
}
labels! {
    ByReason { reason }
    ByStage { stage }
    ByOutcome { outcome }
    ByState { state }
    ByWrite { kind, outcome }
    ByKind { kind }
    ByResource { resource }
    ByNotice { by, outcome }
}

/// All metrics of one replica.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    changes: Family<ByReason, Counter>,
    change_stages: Timings<ByStage>,
    change_times: Timings<ByReason>,
    probes: Family<ByOutcome, Counter>,
    probe_times: Histogram,
    groups: Family<ByState, Gauge>,
    writes: Family<ByWrite, Counter>,
    write_times: Timings<ByKind>,
    watch_ages: Family<ByResource, Gauge<f64, AtomicU64>>,
    /// When each watch last told anything: the age is worked out when asked for, as a stuck watch sets nothing.
    watch_events: Mutex<BTreeMap<&'static str, Duration>>,
    lead: Gauge,
    clock_gaps: Counter,
    dropped_probes: Counter,
    peer_vetoes: Counter,
    notices: Family<ByNotice, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            changes: Family::default(),
            change_stages: Family::new_with_constructor(timing),
            change_times: Family::new_with_constructor(timing),
            probes: Family::default(),
            probe_times: timing(),
            groups: Family::default(),
            writes: Family::default(),
            write_times: Family::new_with_constructor(timing),
            watch_ages: Family::default(),
            watch_events: Mutex::default(),
            lead: Gauge::default(),
            clock_gaps: Counter::default(),
            dropped_probes: Counter::default(),
            peer_vetoes: Counter::default(),
            notices: Family::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let mut registry = Registry::default();
        let into = registry.sub_registry_with_prefix("hotstandby");
        into.register("changes", "Seat changes made by this replica", self.changes.clone());
        into.register("change_stage_seconds", "Time of each stage of a change", self.change_stages.clone());
        into.register(
            "change_seconds",
            "First sign of a change to its last write",
            self.change_times.clone(),
        );
        into.register("probes", "Probes by how they ended", self.probes.clone());
        into.register("probe_seconds", "Time from a probe's send to its end", self.probe_times.clone());
        into.register("groups", "Groups by state", self.groups.clone());
        into.register("api_writes", "Writes to the API server by outcome", self.writes.clone());
        into.register("api_write_seconds", "Time a write took", self.write_times.clone());
        into.register("watch_age_seconds", "Time since a watch told anything", self.watch_ages.clone());
        into.register("lead", "1 while this replica is the lead", self.lead.clone());
        into.register("clock_gaps", "Times this replica stood still", self.clock_gaps.clone());
        into.register(
            "dropped_probes",
            "Probes that could not be made for want of something in this replica itself",
            self.dropped_probes.clone(),
        );
        into.register(
            "peer_vetoes",
            "Failovers held back because a peer saw the active healthy",
            self.peer_vetoes.clone(),
        );
        into.register("notices", "Tries to tell a member its role, by how they ended", self.notices.clone());
        self.registry = registry;
    }

    /// This replica completed a change of a seat.
    pub fn change_completed(&self, reason: Reason, stages: &Stages) {
        let Stages { detect, decide, seat, traffic } = *stages;
        let by_reason = ByReason { reason: reason.as_str() };
        self.changes.get_or_create(&by_reason).inc();
        let total = detect + decide + seat + traffic;
        self.change_times.get_or_create(&by_reason).observe(total.as_secs_f64());
        for (stage, took) in [("detect", detect), ("decide", decide), ("seat", seat), ("traffic", traffic)] {
            self.change_stages.get_or_create(&ByStage { stage }).observe(took.as_secs_f64());
        }
    }

    /// A probe ended.
    pub fn probe_ended(&self, outcome: Outcome, took: Duration) {
        self.probes.get_or_create(&ByOutcome { outcome: outcome_text(outcome) }).inc();
        self.probe_times.observe(took.as_secs_f64());
    }

    /// A probe could not be made, for a reason that lies in this replica.
    pub fn probe_dropped(&self) {
        self.dropped_probes.inc();
    }

    /// So many groups are in this state.
    pub fn set_groups(&self, state: &'static str, count: usize) {
        self.groups.get_or_create(&ByState { state }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A write to the API server ended.
    pub fn api_write(&self, kind: &'static str, outcome: &'static str, took: Duration) {
        self.writes.get_or_create(&ByWrite { kind, outcome }).inc();
        self.write_times.get_or_create(&ByKind { kind }).observe(took.as_secs_f64());
    }

    /// A watch told something, if only a bookmark.
    pub fn watch_told(&self, resource: &'static str, at: Duration) {
        self.watch_events.lock().unwrap_or_else(PoisonError::into_inner).insert(resource, at);
    }

    /// Whether this replica is the lead.
    pub fn set_lead(&self, lead: bool) {
        self.lead.set(i64::from(lead));
    }

    /// A peer held a failover back.
    pub fn peer_vetoed(&self) {
        self.peer_vetoes.inc();
    }

    /// A try to tell a member its role ended.
    pub fn notice_ended(&self, by: &'static str, outcome: &'static str) {
        self.notices.get_or_create(&ByNotice { by, outcome }).inc();
    }

    /// Gaps of the clock since the start.
    pub fn set_clock_gaps(&self, count: u64) {
        self.clock_gaps.inner().store(count, Ordering::Relaxed);
    }

    /// The `OpenMetrics` text as of now.
    pub fn encode(&self, now: Duration) -> Result<String, std::fmt::Error> {
        for (resource, at) in self.watch_events.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let age = now.saturating_sub(*at).as_secs_f64();
            self.watch_ages.get_or_create(&ByResource { resource }).set(age);
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn timing() -> Histogram {
    Histogram::new(BUCKETS)
}

/// The label's value.
pub(crate) const fn outcome_text(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "success",
        Outcome::Refused => "refused",
        Outcome::TimedOut => "timed_out",
        Outcome::Wrong => "wrong",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_dashboards_rely_on_do_not_drift() {
        let metrics = Metrics::new();
        let ms = Duration::from_millis;
        let stages = Stages { detect: ms(5), decide: ms(4), seat: ms(4), traffic: ms(7) };
        metrics.change_completed(Reason::ProbeRefused, &stages);
        metrics.probe_ended(Outcome::TimedOut, ms(500));
        metrics.probe_dropped();
        metrics.set_groups("ready", 3);
        metrics.api_write("slice", "stored", ms(4));
        metrics.watch_told("pods", ms(1_000));
        metrics.set_lead(true);
        metrics.peer_vetoed();
        metrics.notice_ended("udp", "acknowledged");
        metrics.set_clock_gaps(2);
        let text = metrics.encode(ms(3_500)).unwrap();
        for line in [
            "hotstandby_changes_total{reason=\"ProbeRefused\"} 1",
            "hotstandby_change_stage_seconds_bucket{le=\"0.005\",stage=\"detect\"} 1",
            "hotstandby_change_seconds_bucket{le=\"0.02\",reason=\"ProbeRefused\"} 1",
            "hotstandby_probes_total{outcome=\"timed_out\"} 1",
            "hotstandby_probe_seconds_count 1",
            "hotstandby_groups{state=\"ready\"} 3",
            "hotstandby_api_writes_total{kind=\"slice\",outcome=\"stored\"} 1",
            "hotstandby_api_write_seconds_count{kind=\"slice\"} 1",
            "hotstandby_watch_age_seconds{resource=\"pods\"} 2.5",
            "hotstandby_lead 1",
            "hotstandby_clock_gaps_total 2",
            "hotstandby_dropped_probes_total 1",
            "hotstandby_peer_vetoes_total 1",
            "hotstandby_notices_total{by=\"udp\",outcome=\"acknowledged\"} 1",
        ] {
            assert!(text.contains(line), "{line} not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
