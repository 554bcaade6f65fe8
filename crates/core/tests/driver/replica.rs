//! One replica: its group, its prober, and how well it hears and is heard.

use super::knowledge::{Knowledge, ReadDone};
use super::world::{CONTROLLER, Kind};
use hotstandby_core::action::{MemberRef, ProbeTarget, Ticket};
use hotstandby_core::group::Group;
use hotstandby_core::ids::{GroupKey, Now, Uid};
use hotstandby_core::observation::{GroupView, Observation, WriteError};
use hotstandby_core::seat::SeatState;
use hotstandby_core::spec::ProbeKind;
use hotstandby_core::view::MemberView;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How the API server treats a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    Well,
    Slow,
    /// Answers get lost, writes applied or not; conflicts come from nowhere.
    Lossy,
    Down,
    Refuses,
}

/// What an observation tells the checkers.
#[derive(Clone, Debug)]
pub(super) enum Note {
    Nothing,
    View(Kind, u64),
    Read { sent: Duration, pods: Vec<(Uid, u64, Option<MemberView>)> },
    Peers { uid: Uid, vetoed: bool },
}

/// A live read under way: seat and pods are read at moments of their own.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) sent: Duration,
    pub(super) wanted: Vec<MemberRef>,
    pub(super) named: Option<Arc<str>>,
    pub(super) seat: Option<SeatState>,
    pub(super) pods: Vec<(Uid, u64, Option<MemberView>)>,
    pub(super) fails: Option<WriteError>,
}

#[derive(Clone, Debug)]
pub(super) struct Probed {
    pub(super) target: ProbeTarget,
    pub(super) next: Duration,
}

pub(super) struct Replica {
    pub(super) index: usize,
    /// Counts restarts: what was under way before one concerns nobody.
    pub(super) life: usize,
    pub(super) group: Group,
    pub(super) node: Option<Arc<str>>,
    pub(super) started: Duration,
    pub(super) skew_ms: i64,
    pub(super) lead: bool,
    pub(super) api: Api,
    pub(super) api_until: Duration,
    pub(super) stalled: BTreeMap<Kind, Duration>,
    pub(super) drops_until: Duration,
    pub(super) frozen_until: Option<Duration>,
    pub(super) frozen_since: Duration,
    /// When it stood still so long that what spans it proves nothing.
    pub(super) gaps: Vec<(Duration, Duration)>,
    pub(super) waiting: Vec<(Observation, Note)>,
    pub(super) cut: BTreeMap<Arc<str>, Duration>,
    pub(super) cut_off_until: Duration,
    pub(super) peers_silent_until: Duration,
    pub(super) seen: BTreeMap<Kind, u64>,
    pub(super) deadline: Option<Duration>,
    pub(super) probed: BTreeMap<Uid, Probed>,
    pub(super) extra: BTreeSet<(Duration, Uid)>,
    /// The newest success by pod: when it was sent, when it ended, on which node.
    pub(super) reached: BTreeMap<Uid, (Duration, Duration, Option<Arc<str>>)>,
    pub(super) reads: BTreeMap<Ticket, Reading>,
    pub(super) view: Option<GroupView>,
    /// What probes ask.
    asked: Option<ProbeKind>,
    pub(super) knows: Knowledge,
}

impl Replica {
    pub(super) fn new(index: usize, node: Option<Arc<str>>, started: Duration, skew_ms: i64) -> Self {
        Self {
            index,
            life: 0,
            group: new_group(),
            node,
            started,
            skew_ms,
            lead: false,
            api: Api::Well,
            api_until: Duration::ZERO,
            stalled: BTreeMap::new(),
            drops_until: Duration::ZERO,
            frozen_until: None,
            frozen_since: Duration::ZERO,
            gaps: Vec::new(),
            waiting: Vec::new(),
            cut: BTreeMap::new(),
            cut_off_until: Duration::ZERO,
            peers_silent_until: Duration::ZERO,
            seen: BTreeMap::new(),
            deadline: None,
            probed: BTreeMap::new(),
            extra: BTreeSet::new(),
            reached: BTreeMap::new(),
            reads: BTreeMap::new(),
            view: None,
            asked: None,
            knows: Knowledge::default(),
        }
    }

    /// A new process, which knows nothing.
    pub(super) fn restart(&mut self, now: Duration) {
        let fresh = Self::new(self.index, self.node.clone(), now, self.skew_ms);
        let old = std::mem::replace(self, fresh);
        self.life = old.life + 1;
        (self.api, self.api_until, self.stalled) = (old.api, old.api_until, old.stalled);
        (self.cut, self.cut_off_until) = (old.cut, old.cut_off_until);
    }

    /// World time as this process's own clock has it.
    pub(super) fn mono(&self, at: Duration) -> Duration {
        at.saturating_sub(self.started)
    }

    pub(super) fn now(&self, at: Duration, unix_ms: i64) -> Now {
        Now { mono: self.mono(at), unix_ms: unix_ms + self.skew_ms }
    }

    pub(super) fn api(&self, now: Duration) -> Api {
        if now < self.api_until { self.api } else { Api::Well }
    }

    pub(super) fn reaches(&self, node: Option<&Arc<str>>, now: Duration) -> bool {
        let same = node.is_some() && node == self.node.as_ref();
        same || now >= self.cut_off_until
            && node.and_then(|node| self.cut.get(node)).is_none_or(|until| now >= *until)
    }

    /// Whether a time-out of this pod proves anything (ADR 2): something else was reached within a period, on a node
    /// other than its own, or on its own where the pod is there, too.
    pub(super) fn vantage(&self, target: &ProbeTarget, done: Duration) -> bool {
        self.reached.iter().any(|(uid, (_, at, node))| {
            let other_node = self.node.is_none() || *node != self.node || target.node == self.node;
            *uid != target.uid && *at + target.period >= done && other_node
        })
    }

    /// Takes new targets up and drops old ones.
    pub(super) fn follow_plan(&mut self, now: Duration) {
        let plan = self.group.probe_plan();
        self.probed.retain(|uid, _| plan.iter().any(|target| target.uid == *uid));
        self.extra.retain(|(_, uid)| plan.iter().any(|target| target.uid == *uid));
        for target in plan {
            let next = self.probed.get(&target.uid).map_or(now, |had| had.next.min(now + target.period));
            self.probed.insert(target.uid.clone(), Probed { target, next });
        }
    }

    /// When this replica has something to do by itself.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let probes = self.probed.values().map(|probed| probed.next);
        let extra = self.extra.first().map(|(at, _)| *at);
        let due = probes.chain(extra).chain(self.deadline.map(|at| at + self.started)).min();
        due.map(|due| self.frozen_until.map_or(due, |thaw| due.max(thaw)))
    }

    /// Targets whose probe is due.
    pub(super) fn due_probes(&mut self, now: Duration) -> Vec<ProbeTarget> {
        let mut due = BTreeSet::new();
        while let Some((at, uid)) = self.extra.first().cloned() {
            if at > now {
                break;
            }
            self.extra.remove(&(at, uid.clone()));
            due.insert(uid);
        }
        for (uid, probed) in &mut self.probed {
            if probed.next <= now {
                probed.next = now + probed.target.period;
                due.insert(uid.clone());
            }
        }
        due.iter().filter_map(|uid| self.probed.get(uid)).map(|probed| probed.target.clone()).collect()
    }

    /// Everything that hinders it ends.
    pub(super) fn heal(&mut self) {
        self.api = Api::Well;
        self.stalled.clear();
        self.drops_until = Duration::ZERO;
        self.cut.clear();
        self.cut_off_until = Duration::ZERO;
        self.peers_silent_until = Duration::ZERO;
    }

    pub(super) fn stalled_until(&self, kind: Kind, now: Duration) -> Option<Duration> {
        let down = (self.api(now) == Api::Down).then_some(self.api_until);
        self.stalled.get(&kind).copied().into_iter().chain(down).max().filter(|until| now < *until)
    }

    /// Whether it stood still for long at any time between these.
    pub(super) fn was_frozen(&self, sent: Duration, done: Duration) -> bool {
        self.gaps.iter().any(|(from, until)| sent < *until && *from < done)
    }

    pub(super) fn note_group(&mut self, view: &GroupView) {
        let probe = view.spec.as_ref().ok().map(|spec| spec.probe.clone());
        if probe.is_some() && probe != self.asked {
            self.knows.other_question();
            self.asked = probe;
        }
        self.view = Some(view.clone());
    }

    pub(super) fn note_read(
        &mut self,
        now: Duration,
        sent: Duration,
        pods: &[(Uid, u64, Option<MemberView>)],
    ) {
        for (uid, version, pod) in pods {
            self.knows.note_pod(uid, *version, pod.clone());
        }
        let pods = pods.iter().map(|(uid, _, pod)| (uid.clone(), pod.clone())).collect();
        self.knows.reads.push(ReadDone { sent, delivered: now, pods });
    }
}

fn new_group() -> Group {
    Group::new(GroupKey::cr("shop", "web"), CONTROLLER.into())
}
