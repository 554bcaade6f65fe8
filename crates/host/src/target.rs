//! One probe target: its probes, and the gate through which nothing passes once it is stopped.

use crate::context::HostContext;
use crate::probe::{Finding, probe};
use crate::sightings::Sighting;
use hotstandby_core::action::ProbeTarget;
use hotstandby_core::health::{Outcome, ProbeReport};
use hotstandby_core::observation::Observation;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// Where observations go.
pub(crate) type Sink = Arc<dyn Fn(Observation) + Send + Sync>;

/// One target and what its tasks share.
pub(crate) struct Target {
    pub(crate) ctx: Arc<HostContext>,
    pub(crate) spec: ProbeTarget,
    group: Arc<str>,
    sink: Sink,
    /// Held while an observation is handed on, so that none follows once it is closed.
    gate: Mutex<Gate>,
    /// Made when a tripwire asks for it: most targets never have one.
    tell: OnceLock<watch::Sender<Seen>>,
}

struct Gate {
    open: bool,
    seen: Seen,
}

/// What the probes of a target saw, for its tripwire.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// When the newest success was sent.
    pub(crate) success_sent: Option<Duration>,
    /// Failures so far.
    pub(crate) failures: u64,
}

/// Which places a probe takes one of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lane {
    Periodic,
    Urgent,
}

impl Target {
    pub(crate) fn new(ctx: Arc<HostContext>, group: Arc<str>, spec: ProbeTarget, sink: Sink) -> Arc<Self> {
        let gate = Mutex::new(Gate { open: true, seen: Seen::default() });
        Arc::new(Self { ctx, spec, group, sink, gate, tell: OnceLock::new() })
    }

    pub(crate) fn seen(&self) -> watch::Receiver<Seen> {
        // Under the gate, so that nothing is seen between the reading and the making.
        let gate = self.gate();
        self.tell.get_or_init(|| watch::channel(gate.seen).0).subscribe()
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Probes every period, for ever; the first at once, the others at a phase of this target's own, so that
    /// targets which appear together are not probed together for ever.
    pub(crate) async fn probe_periodically(self: Arc<Self>) {
        let mut next = interval_at(Instant::now() + self.first_interval(), self.spec.period);
        next.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.probe_once(Lane::Periodic).await;
            next.tick().await;
        }
    }

    /// Between a quarter of the period and the whole of it, by the UID.
    fn first_interval(&self) -> Duration {
        let mut hasher = DefaultHasher::new();
        self.spec.uid.hash(&mut hasher);
        let quarter = self.spec.period / 4;
        let steps = u32::try_from(hasher.finish() % 1024).unwrap_or(0);
        quarter + quarter * 3 * steps / 1024
    }

    /// One extra probe at that time, or at once.
    pub(crate) async fn probe_at(self: Arc<Self>, at: Duration) {
        tokio::time::sleep_until(self.ctx.clock.instant(at)).await;
        self.probe_once(Lane::Urgent).await;
    }

    /// Probes and reports.
    pub(crate) async fn probe_once(&self, lane: Lane) {
        let spec = &self.spec;
        // Boxed: between probes, thousands of targets should hold little.
        let probing =
            Box::pin(self.timed(lane, async { probe(spec.ip, spec.port, &spec.wire, spec.timeout).await }));
        let (result, sent, done) = probing.await;
        match result {
            Ok(finding) => self.report(finding, sent, done),
            Err(trouble) => {
                self.ctx.metrics.probe_dropped();
                tracing::debug!(uid = %spec.uid, %trouble, "probe dropped");
            }
        }
    }

    /// Does `work` in a place of that lane; answers when it began and ended. Waiting for the place is no part
    /// of it: a busy replica must not look like a slow pod.
    pub(crate) async fn timed<T>(
        &self,
        lane: Lane,
        work: impl Future<Output = T>,
    ) -> (T, Duration, Duration) {
        let _place = self.places(lane).acquire().await;
        let sent = self.ctx.clock.mono();
        let output = work.await;
        (output, sent, self.ctx.clock.mono())
    }

    fn places(&self, lane: Lane) -> &Semaphore {
        match lane {
            Lane::Periodic => &self.ctx.slots,
            Lane::Urgent => &self.ctx.urgent,
        }
    }

    /// Tells everybody how a probe ended.
    pub(crate) fn report(&self, (outcome, detail): Finding, sent: Duration, done: Duration) {
        let Self { ctx, spec, .. } = self;
        let took = done.saturating_sub(sent);
        ctx.metrics.probe_ended(outcome, took);
        if outcome == Outcome::Success {
            ctx.vantage.note_member(&spec.uid, spec.node.as_deref(), done);
        }
        let vantage = outcome != Outcome::TimedOut
            || ctx.vantage.supports_timeout_of(&spec.uid, spec.node.as_deref(), sent, spec.period);
        // A probe that ended long after its time-out saw the gap itself, even where the ticker was lucky.
        let spans_gap = ctx.clock.spans_gap(sent, done) || took > spec.timeout + crate::clock::LATE;
        let uid = spec.uid.clone();
        let report = ProbeReport { uid, outcome, sent, done, vantage, spans_gap, detail };
        let mut gate = self.gate();
        if gate.open {
            self.note(&mut gate.seen, outcome, sent, spans_gap);
            (self.sink)(Observation::Probe(report));
        }
    }

    fn note(&self, seen: &mut Seen, outcome: Outcome, sent: Duration, spans_gap: bool) {
        let success = outcome == Outcome::Success;
        if success || !spans_gap {
            self.ctx.sightings.note(&self.group, &self.spec.uid, Sighting { success, sent });
        }
        if success {
            seen.success_sent = seen.success_sent.max(Some(sent));
        } else {
            seen.failures += 1;
        }
        if let Some(tell) = self.tell.get() {
            tell.send_replace(*seen);
        }
    }

    /// Hands an observation on, unless the target was stopped.
    pub(crate) fn emit(&self, observation: Observation) {
        let gate = self.gate();
        if gate.open {
            (self.sink)(observation);
        }
    }

    /// From now on nothing is handed on.
    pub(crate) fn stop(&self) {
        let mut gate = self.gate();
        gate.open = false;
        self.ctx.sightings.forget(&self.group, &self.spec.uid);
    }
}
