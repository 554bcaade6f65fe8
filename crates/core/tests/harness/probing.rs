//! Probes as time passes: each target of the plan is probed each period and behaves as it was told to.

use super::world::World;
use hotstandby_core::action::ProbeTarget;
use hotstandby_core::health::{Outcome, ProbeReport};
use hotstandby_core::ids::Uid;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How a pod answers probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Behaviour {
    #[default]
    Ok,
    Refused,
    TimeOut,
    /// A time-out that proves nothing: the prober reached nothing else either.
    Blind,
    Wrong,
    /// No report at all.
    Silent,
}

impl Behaviour {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "ok" => Self::Ok,
            "refused" => Self::Refused,
            "timeout" => Self::TimeOut,
            "blind" => Self::Blind,
            "wrong" => Self::Wrong,
            "silent" => Self::Silent,
            other => return Err(format!("{other} is no way to answer a probe")),
        })
    }

    /// The report of a probe sent and ended then.
    pub(super) fn report(self, uid: Uid, sent: Duration, done: Duration) -> Option<ProbeReport> {
        let (outcome, detail) = match self {
            Self::Ok => (Outcome::Success, None),
            Self::Refused => (Outcome::Refused, Some("connection refused")),
            Self::TimeOut | Self::Blind => (Outcome::TimedOut, Some("no answer in time")),
            Self::Wrong => (Outcome::Wrong, Some("status 500")),
            Self::Silent => return None,
        };
        let vantage = self != Self::Blind;
        Some(ProbeReport {
            uid,
            outcome,
            sent,
            done,
            vantage,
            spans_gap: false,
            detail: detail.map(Into::into),
        })
    }
}

/// The prober of the replica.
#[derive(Default)]
pub(super) struct Probing {
    /// Probes are sent as time passes.
    pub(super) on: bool,
    behaviour: BTreeMap<Arc<str>, Behaviour>,
    targets: BTreeMap<Uid, Target>,
    under_way: Vec<(Duration, Uid, Behaviour, Duration)>,
    extra: Vec<(Uid, Duration)>,
}

struct Target {
    next: Duration,
    period: Duration,
    timeout: Duration,
}

impl Probing {
    pub(super) fn clear(&mut self) {
        self.targets.clear();
        self.under_way.clear();
        self.extra.clear();
    }

    pub(super) fn behave(&mut self, pod: &str, behaviour: Behaviour) {
        self.behaviour.insert(pod.into(), behaviour);
    }

    pub(super) fn behaviour(&self, pod: &str) -> Behaviour {
        self.behaviour.get(pod).copied().unwrap_or_default()
    }

    /// The group asked for a probe out of turn.
    pub(super) fn out_of_turn(&mut self, uid: Uid, at: Duration) {
        self.extra.push((uid, at));
    }

    /// Takes new targets up and drops old ones.
    pub(super) fn follow_plan(&mut self, plan: &[ProbeTarget], now: Duration) {
        if !self.on {
            self.clear();
            return;
        }
        self.targets.retain(|uid, _| plan.iter().any(|target| target.uid == *uid));
        self.extra.retain(|(uid, _)| plan.iter().any(|target| target.uid == *uid));
        for target in plan {
            let known = self.targets.entry(target.uid.clone()).or_insert(Target {
                next: now,
                period: target.period,
                timeout: target.timeout,
            });
            (known.period, known.timeout) = (target.period, target.timeout);
        }
    }

    /// When something happens next.
    pub(super) fn next_event(&self) -> Option<Duration> {
        let ends = self.under_way.iter().map(|(at, ..)| *at);
        let starts = self.targets.values().map(|target| target.next);
        ends.chain(starts).chain(self.extra.iter().map(|(_, at)| *at)).min()
    }

    /// Sends what is due, and returns the reports that have come in.
    pub(super) fn due(&mut self, now: Duration, world: &World) -> Vec<(Uid, Option<ProbeReport>)> {
        let (ended, going): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.under_way).into_iter().partition(|(at, ..)| *at <= now);
        self.under_way = going;
        let mut sends: Vec<(Uid, Duration)> = Vec::new();
        for (uid, target) in &mut self.targets {
            if target.next <= now {
                target.next = now + target.period;
                sends.push((uid.clone(), target.timeout));
            }
        }
        let (extra, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.extra).into_iter().partition(|(_, at)| *at <= now);
        self.extra = later;
        for (uid, _) in extra {
            let timeout = self.targets.get(&uid).map(|target| target.timeout);
            if let Some(timeout) = timeout.filter(|_| !sends.iter().any(|(other, _)| *other == uid)) {
                sends.push((uid, timeout));
            }
        }
        for (uid, timeout) in sends {
            let name = world.pod_by_uid(&uid).map(|pod| pod.name.clone());
            let behaviour = name.map_or(Behaviour::TimeOut, |name| self.behaviour(&name));
            let takes = match behaviour {
                Behaviour::TimeOut | Behaviour::Blind => timeout,
                _ => Duration::from_millis(1),
            };
            self.under_way.push((now + takes, uid, behaviour, now));
        }
        ended
            .into_iter()
            .filter(|(_, _, behaviour, _)| *behaviour != Behaviour::Silent)
            .map(|(at, uid, behaviour, sent)| (uid.clone(), behaviour.report(uid, sent, at)))
            .collect()
    }
}
