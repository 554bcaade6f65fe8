//! The probes of one group: set as a level, reported as observations.

use crate::context::HostContext;
use crate::target::{Sink, Target};
use crate::tripwire;
use hotstandby_core::action::ProbeTarget;
use hotstandby_core::ids::Uid;
use hotstandby_core::observation::Observation;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinHandle, JoinSet};

/// Extra probes of one target waiting or under way at once; more are dropped and counted.
pub const EXTRA_PROBES: usize = 16;

/// Probes the members of one group. Dropping it stops everything.
///
/// The sink is called from the probes' tasks, one call at a time per target, and must not call back into this
/// prober: hand the observation to a queue. Needs a tokio runtime around it.
pub struct GroupProber {
    ctx: Arc<HostContext>,
    group: Arc<str>,
    sink: Sink,
    running: HashMap<Uid, Running>,
}

/// A target's tasks.
struct Running {
    target: Arc<Target>,
    _periodic: AbortOnDrop,
    tripwire: Option<AbortOnDrop>,
    extra: JoinSet<()>,
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Aborting is not at once; the gate is.
        self.target.stop();
    }
}

impl GroupProber {
    /// Probes nothing yet.
    pub fn new(ctx: Arc<HostContext>, sink: Arc<dyn Fn(Observation) + Send + Sync>) -> Self {
        Self { ctx, group: Arc::from(""), sink, running: HashMap::new() }
    }

    /// Names the group, so that peers' questions about a pod that two groups probe differently are answered
    /// from the right probe. The name must be the one given to [`crate::peers::Peers::ask`].
    #[must_use]
    pub fn for_group(mut self, group: impl Into<Arc<str>>) -> Self {
        self.group = group.into();
        self
    }

    /// From now on exactly these are probed. Unchanged targets go on undisturbed, also where only the tripwire
    /// changed; changed ones start anew; of removed ones nothing is reported any more once this returns.
    pub fn set_targets(&mut self, targets: Vec<ProbeTarget>) {
        let wanted: HashMap<Uid, ProbeTarget> =
            targets.into_iter().map(|target| (target.uid.clone(), target)).collect();
        self.running.retain(|uid, running| {
            wanted.get(uid).is_some_and(|wanted| same_but_for_tripwire(wanted, &running.target.spec))
        });
        for (uid, spec) in wanted {
            let tripwire = spec.tripwire;
            let running = self.running.entry(uid).or_insert_with(|| {
                let target =
                    Target::new(Arc::clone(&self.ctx), Arc::clone(&self.group), spec, Arc::clone(&self.sink));
                Running::start(target)
            });
            running.set_tripwire(tripwire);
        }
    }

    /// One more probe of this member at that time of the clock, or at once if it is past. It waits for no
    /// other probe.
    pub fn probe_at(&mut self, uid: &Uid, at: Duration) {
        let Some(running) = self.running.get_mut(uid) else { return };
        while running.extra.try_join_next().is_some() {}
        if running.extra.len() < EXTRA_PROBES {
            running.extra.spawn(Arc::clone(&running.target).probe_at(at));
        } else {
            self.ctx.metrics.probe_dropped();
        }
    }
}

impl Running {
    fn start(target: Arc<Target>) -> Self {
        let periodic = AbortOnDrop(tokio::spawn(Arc::clone(&target).probe_periodically()));
        Self { target, _periodic: periodic, tripwire: None, extra: JoinSet::new() }
    }

    fn set_tripwire(&mut self, wanted: bool) {
        if !wanted {
            self.tripwire = None;
        } else if self.tripwire.is_none() {
            self.tripwire = Some(AbortOnDrop(tokio::spawn(tripwire::run(Arc::clone(&self.target)))));
        }
    }
}

fn same_but_for_tripwire(one: &ProbeTarget, other: &ProbeTarget) -> bool {
    // Spelled out, so that a new field is not forgotten.
    let ProbeTarget { uid, ip, port, node, wire, period, timeout, tripwire: _ } = one;
    *uid == other.uid
        && *ip == other.ip
        && *port == other.port
        && *node == other.node
        && *wire == other.wire
        && *period == other.period
        && *timeout == other.timeout
}
