//! Carries out the ops of a schedule.

use super::marked::ROLE;
use super::op::{GroupOp, NodeOp, Op, PodOp, ReplicaOp, SeatOp, ServiceOp, SliceOp, What};
use super::replica::{Api, Note, Replica};
use super::sim::{Event, Sim};
use super::world::{App, CONTROLLER, KINDS, Kind, STRANGER};
use hotstandby_core::ids::{Term, Uid};
use hotstandby_core::observation::Observation;
use hotstandby_core::seat::{SeatRecord, SeatState};
use hotstandby_core::spec::{Failback, GroupSpec, PortRef, ProbeKind, SpecError, Timing, WhenNoCandidate};
use hotstandby_core::view::{MemberView, NodeState, Phase, ServiceFound, SliceView};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Names that pods are given, again and again.
pub(super) const SLOTS: u8 = 4;
/// A replica that stood still for longer than this knows it.
const GAP: Duration = Duration::from_millis(350);

fn ms(ms: u16) -> Duration {
    Duration::from_millis(u64::from(ms))
}

impl Sim {
    pub(super) fn apply(&mut self, op: &Op) {
        self.run_until(self.world.now + op.after);
        if !self.wrong.is_empty() {
            return;
        }
        self.say(|| format!("-- {:?}", op.what));
        match op.what {
            What::Pod(slot, what) => self.pod(slot, what),
            What::Node(node, what) => self.node(node, what),
            What::Replica(replica, what) => {
                self.replica(usize::from(replica) % self.replicas.len(), what);
            }
            What::Seat(what) => self.seat(what),
            What::Slice(service, what) => self.slice(service, what),
            What::Service(service, what) => self.service(service, what),
            What::Group(what) => self.group(what),
            What::ToDeadline => {
                if let Some(at) = self.next_deadline() {
                    self.run_until(at.min(self.world.now + Duration::from_secs(5)));
                }
            }
        }
        self.world.settle_readiness();
        self.publish_changes();
    }

    fn pod(&mut self, slot: u8, what: PodOp) {
        let text = self.world.seat.as_ref().and_then(|seat| seat.holder.clone());
        let holder = text.map(|text| Arc::from(text.split('_').next().unwrap_or_default()));
        let creates = matches!(what, PodOp::Create | PodOp::CreateReusing(_));
        // Half of the trouble is the active's.
        let name = holder
            .filter(|_| slot >= 128 && !creates)
            .unwrap_or_else(|| format!("web-{}", slot % SLOTS).into());
        let nodes = u8::try_from(self.world.nodes.len()).expect("few nodes");
        if creates {
            if self.world.pods.contains_key(&name) {
                return;
            }
            let ip = match what {
                PodOp::CreateReusing(at) if !self.world.free_ips.is_empty() => {
                    Some(self.world.free_ips[usize::from(at) % self.world.free_ips.len()])
                }
                _ => None,
            };
            self.world.new_pod(name, format!("n{}", slot % nodes).into(), ip);
            return;
        }
        let Some(pod) = self.world.pods.get_mut(&name) else { return };
        let uid = pod.view.uid.clone();
        match what {
            PodOp::Create | PodOp::CreateReusing(_) => {}
            PodOp::Delete { grace_ms } => {
                self.world.edit_pod(&name, |view| view.terminating = true);
                self.after(ms(grace_ms), Event::PodGone(uid));
            }
            PodOp::DeleteAtOnce => self.world.remove_pod(&uid),
            PodOp::Unready => pod.app_ready = false,
            PodOp::Ready => pod.app_ready = true,
            PodOp::Serve => pod.app = App::Ok,
            PodOp::Refuse => {
                pod.app = App::Refuses;
                self.trip(&uid);
            }
            PodOp::Hang => pod.app = App::Hangs,
            PodOp::AnswerWrongly => pod.app = App::Wrong,
            PodOp::Fail => {
                (pod.app, pod.app_ready) = (App::Refuses, false);
                self.world.edit_pod(&name, |view| view.phase = Phase::Failed);
                self.trip(&uid);
            }
            PodOp::LoseAddress => self.world.edit_pod(&name, |view| view.ips.clear()),
            PodOp::Deselect => self.world.edit_pod(&name, |view| view.selected = false),
            PodOp::Select => self.world.edit_pod(&name, |view| view.selected = true),
            PodOp::Priority(priority) => {
                self.world.edit_pod(&name, |view| view.priority = i64::from(priority % 4));
            }
            PodOp::CriticalEnds => {
                let instance = format!("main/{}", self.world.snapshot_version());
                self.world.edit_pod(&name, |view| view.critical_terminated = Some(instance.into()));
            }
            PodOp::Relabel(how) => {
                self.world.edit_pod(&name, |view| relabel(view, how));
                self.world.history.pod_touched(&uid);
            }
        }
    }

    /// Connections to the process break; whoever holds one notices.
    fn trip(&mut self, uid: &Uid) {
        let now = self.world.now;
        for index in 0..self.replicas.len() {
            let replica = &self.replicas[index];
            let held = replica.probed.get(uid).filter(|probed| probed.target.tripwire);
            if held.is_some_and(|probed| replica.reaches(probed.target.node.as_ref(), now)) {
                let at = replica.mono(now);
                let observation = Box::new(Observation::TripwireClosed { uid: uid.clone(), at });
                let (who, wait) = (self.who(index), self.rng.ms(1, 5));
                self.after(wait, Event::Observe { who, observation, note: Note::Nothing });
            }
        }
    }

    fn node_name(&self, at: u8) -> Arc<str> {
        let at = usize::from(at) % self.world.nodes.len();
        self.world.nodes.keys().nth(at).cloned().expect("a node")
    }

    fn node(&mut self, at: u8, what: NodeOp) {
        let name = self.node_name(at);
        match what {
            NodeOp::Down { noticed_ms } => {
                self.world.nodes.get_mut(&name).expect("a node").alive = false;
                self.after(ms(noticed_ms), Event::NodeNoticed(name));
            }
            NodeOp::Up => {
                self.world.nodes.get_mut(&name).expect("a node").alive = true;
                let wait = self.rng.ms(100, 2_000);
                self.after(wait, Event::NodeWell(name));
            }
            NodeOp::Ill { count, for_ms } => {
                for next in 0..=(count % SLOTS) {
                    let name = self.node_name(at.wrapping_add(next));
                    self.mark(&name);
                    let wait = self.rng.ms(0, 300);
                    self.after(ms(for_ms) + wait, Event::NodeWell(name));
                }
            }
            NodeOp::Gone => self.world.turn_node(&name, NodeState::Gone),
            NodeOp::OutOfService => self.world.turn_node(&name, NodeState::OutOfService),
        }
    }

    fn mark(&mut self, name: &Arc<str>) {
        if matches!(self.world.nodes[name].state, NodeState::Ready { .. }) {
            self.world.turn_node(name, NodeState::Unknown);
            let node = self.world.nodes.get_mut(name).expect("a node");
            (node.marked, node.unrestored) = (true, false);
        }
    }

    /// The node controller has not heard of it for long.
    pub(super) fn node_noticed(&mut self, name: &Arc<str>) {
        if !self.world.nodes[name].alive {
            self.mark(name);
            self.world.settle_readiness();
        }
    }

    /// The node is heard of again; its kubelet puts its pods right a little later.
    pub(super) fn node_well(&mut self, name: &Arc<str>) {
        let node = self.world.nodes[name];
        if !node.alive || matches!(node.state, NodeState::Ready { .. }) {
            return;
        }
        let since_ms = Some(self.world.unix_seconds_ms());
        self.world.turn_node(name, NodeState::Ready { since_ms });
        let pods: Vec<Uid> = self
            .world
            .pods
            .values()
            .filter(|pod| pod.view.node.as_ref() == Some(name))
            .map(|pod| pod.view.uid.clone())
            .collect();
        self.world.history.node_is_back(&pods);
        let node = self.world.nodes.get_mut(name).expect("a node");
        (node.marked, node.unrestored) = (false, true);
        let wait = self.rng.ms(100, 4_000);
        self.after(wait, Event::NodeRestored(name.clone()));
    }

    fn replica(&mut self, index: usize, what: ReplicaOp) {
        let now = self.world.now;
        let who = self.who(index);
        let replica = &mut self.replicas[index];
        match what {
            ReplicaOp::Restart => {
                if replica.frozen_until.is_none() {
                    replica.restart(now);
                    self.begin(index);
                }
            }
            ReplicaOp::Freeze { ms: long } => self.freeze(index, ms(long)),
            ReplicaOp::Lead(lead) => {
                replica.lead = lead;
                self.tell(index, Observation::Lead(lead), Note::Nothing);
            }
            ReplicaOp::ApiSlow { ms: long } => (replica.api, replica.api_until) = (Api::Slow, now + ms(long)),
            ReplicaOp::ApiLossy { ms: long } => {
                (replica.api, replica.api_until) = (Api::Lossy, now + ms(long));
            }
            ReplicaOp::ApiDown { ms: long } => (replica.api, replica.api_until) = (Api::Down, now + ms(long)),
            ReplicaOp::ApiRefuses { ms: long } => {
                (replica.api, replica.api_until) = (Api::Refuses, now + ms(long));
            }
            ReplicaOp::WatchStalls { kind, ms: long } => {
                replica.stalled.insert(KINDS[usize::from(kind) % KINDS.len()], now + ms(long));
            }
            ReplicaOp::WatchDrops { ms: long } => replica.drops_until = now + ms(long),
            ReplicaOp::StaleViews => self.stale_views(index),
            ReplicaOp::CutFromNode { node, ms: long } => {
                let node = self.node_name(node);
                self.replicas[index].cut.insert(node, now + ms(long));
            }
            ReplicaOp::CutOff { ms: long } => replica.cut_off_until = now + ms(long),
            ReplicaOp::PeersSilent { ms: long } => replica.peers_silent_until = now + ms(long),
            ReplicaOp::FalseTripwire => {
                let held = replica.probed.values().find(|probed| probed.target.tripwire);
                if let Some(uid) = held.map(|probed| probed.target.uid.clone()) {
                    let at = replica.mono(now);
                    let observation = Box::new(Observation::TripwireClosed { uid, at });
                    self.after(Duration::ZERO, Event::Observe { who, observation, note: Note::Nothing });
                }
            }
            ReplicaOp::ClockGap => self.tell(index, Observation::ClockGap, Note::Nothing),
        }
    }

    fn freeze(&mut self, index: usize, long: Duration) {
        let replica = &mut self.replicas[index];
        if replica.frozen_until.is_none() {
            (replica.frozen_since, replica.frozen_until) = (self.world.now, Some(self.world.now + long));
            self.after(long, Event::Thaw { index });
        }
    }

    pub(super) fn thaw(&mut self, index: usize) {
        let now = self.world.now;
        let replica = &mut self.replicas[index];
        replica.frozen_until = None;
        let gap = now.saturating_sub(replica.frozen_since) > GAP;
        if gap {
            let from = replica.frozen_since;
            replica.gaps.push((from, now));
        }
        let waiting = std::mem::take(&mut replica.waiting);
        // The gap is noticed at the next tick at the latest, and that may be after all that waited.
        let late = gap && self.rng.chance(40);
        if gap && !late {
            self.observe(index, Observation::ClockGap, Note::Nothing);
        }
        let is_view = |note: &Note| matches!(note, Note::View(..));
        let (views, outcomes): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(_, note)| is_view(note));
        for (observation, note) in outcomes {
            self.observe(index, observation, note);
        }
        for kind in KINDS {
            let newest = views.iter().rev().find(|(_, note)| matches!(note, Note::View(k, _) if *k == kind));
            if let Some((observation, note)) = newest.cloned() {
                self.observe(index, observation, note);
            }
        }
        if late {
            let (who, wait) = (self.who(index), self.rng.ms(0, 50));
            let observation = Box::new(Observation::ClockGap);
            self.after(wait, Event::Observe { who, observation, note: Note::Nothing });
        }
        self.step(index);
    }

    /// Single objects come in older versions, as where two sources tell of one object.
    fn stale_views(&mut self, index: usize) {
        let Some(seen) = self.replicas[index].seen.get(&Kind::Members).copied() else { return };
        let old = self.rng.below(self.world.snaps.len() as u64);
        let old = Arc::clone(&self.world.snaps[usize::try_from(old).expect("small")]);
        let seat = old.seat.clone().map_or(SeatState::Absent, SeatState::Present);
        self.tell(index, Observation::Seat(seat), Note::Nothing);
        let snap = self.world.snap(seen);
        let now = self.world.now;
        if let Observation::Members(mut members) = snap.observation(Kind::Members, now) {
            for member in &mut members {
                if let Some(older) = old.pods.iter().find(|pod| pod.uid == member.uid)
                    && old.version <= seen
                {
                    *member = older.clone();
                }
            }
            self.tell(index, Observation::Members(members), Note::Nothing);
        }
    }

    fn seat(&mut self, what: SeatOp) {
        if self.lease(what) {
            return;
        }
        let rv = self.world.next_rv();
        let Some(mut record) = self.world.seat.clone() else { return };
        record.rv = rv;
        match what {
            SeatOp::Delete => {
                self.world.seat = None;
                self.world.dirty.insert(Kind::Seat);
                return;
            }
            SeatOp::EditHolder(slot) => {
                record.holder = (slot % 5 != 4).then(|| format!("web-{}", slot % SLOTS).into());
            }
            SeatOp::EditTerm(by) => record.term = record.term.map(|term| edited(term, by)),
            SeatOp::DropMarks => record.marks = None,
            SeatOp::Foreign => record.controller = Some(STRANGER.into()),
            SeatOp::Ours => ours(&mut record),
        }
        self.world.history.seat_touched(&record);
        self.world.store_seat(record);
    }

    fn slice(&mut self, service: u8, what: SliceOp) {
        let at = usize::from(service) % self.world.services.len();
        let name = self.world.services[at].name.clone();
        let rv = self.world.next_rv();
        let Some(usable) = self.world.service_mut(&name) else { return };
        if what == SliceOp::Delete {
            usable.own.clear();
        }
        for slice in usable.own.values_mut() {
            edit_slice(slice, what);
            slice.rv = rv.clone();
        }
        if !matches!(what, SliceOp::Edit | SliceOp::Foreign | SliceOp::Ours) {
            self.world.history.service_touched(&name);
        }
        self.world.dirty.insert(Kind::Services);
    }

    fn service(&mut self, at: u8, what: ServiceOp) {
        let at = usize::from(at) % self.world.services.len();
        let name = self.world.services[at].name.clone();
        self.world.next_rv();
        self.world.dirty.insert(Kind::Services);
        match what {
            ServiceOp::OtherPort(port) => {
                if let Some(usable) = self.world.service_mut(&name) {
                    usable.ports[0].target = PortRef::Number(8080 + u16::from(port % 3));
                }
                return;
            }
            ServiceOp::Missing => self.world.services[at].found = ServiceFound::Missing,
            ServiceOp::Selector => {
                let selector = BTreeMap::from([("app".into(), "web".into())]);
                let had = self.world.selectors.insert(name.clone(), selector);
                self.world.services[at].found = self.world.service_of(&name);
                match had {
                    Some(had) => self.world.selectors.insert(name.clone(), had),
                    None => self.world.selectors.remove(&name),
                };
            }
            ServiceOp::Reapply => {
                let (rv, written) = (self.world.next_rv(), self.world.selectors.get(&name).cloned());
                let Some(selecting) = self.world.selecting_mut(&name) else { return };
                selecting.rv = rv;
                selecting.selector = written.unwrap_or_else(|| selecting.selector.clone());
            }
            ServiceOp::Usable => {
                let by_selector = self.world.selectors.contains_key(&name);
                let is_well = match &self.world.services[at].found {
                    ServiceFound::Usable(_) => !by_selector,
                    ServiceFound::Selecting(_) => by_selector,
                    _ => false,
                };
                if is_well {
                    return;
                }
                self.world.services[at].found = self.world.service_of(&name);
            }
        }
        self.world.history.service_touched(&name);
    }

    fn group(&mut self, what: GroupOp) {
        let request = self.request(what);
        let uid = self.world.next_uid("g");
        let group = &mut self.world.group;
        let mut spec = group.spec.as_ref().map_or_else(|_| None, |spec| Some(GroupSpec::clone(spec)));
        match what {
            GroupOp::Pause => group.paused = true,
            GroupOp::Resume => group.paused = false,
            GroupOp::Switchover { .. } => group.switchover = request.or_else(|| group.switchover.clone()),
            GroupOp::Bad => {
                group.spec = Err(SpecError::new("spec.detect.timeout", "2s > 1s", "lower the timeout"));
                spec = None;
            }
            GroupOp::Good => spec = spec.or_else(|| Some(self.spec.clone())),
            GroupOp::Anew => {
                group.uid = uid;
                (group.answered, group.status_term, group.switchover) = (None, None, None);
            }
            GroupOp::Timing(_) | GroupOp::Clear(_) | GroupOp::Failback(_) | GroupOp::OtherProbe(_) => {
                if let Some(spec) = &mut spec {
                    change_spec(spec, what);
                }
            }
        }
        if let Some(spec) = spec {
            self.world.group.spec = Ok(Arc::new(spec));
        }
        self.world.group.generation += 1;
        self.world.group.rv = self.world.next_rv();
        self.world.dirty.insert(Kind::Group);
    }

    fn request(&mut self, what: GroupOp) -> Option<Arc<str>> {
        let GroupOp::Switchover { to, term_off } = what else { return None };
        let Term(term) = self.world.seat.as_ref()?.term?;
        let term = term.saturating_add(u64::from(term_off % 3));
        let id = self.world.snapshot_version();
        let to = to.map_or_else(String::new, |to| format!(",to=web-{}", to % SLOTS));
        Some(format!("term={term}{to},id={id}").into())
    }

    /// Everything that hinders ends; what is dead stays dead.
    pub(super) fn heal(&mut self) {
        self.say(|| "== trouble is over".into());
        self.healed = true;
        for index in 0..self.replicas.len() {
            self.replicas[index].heal();
            if self.replicas[index].frozen_until.is_some() {
                self.thaw(index);
            }
            self.replicas[index].lead = index == 0;
            self.tell(index, Observation::Lead(index == 0), Note::Nothing);
        }
        let names: Vec<Arc<str>> = self.world.nodes.keys().cloned().collect();
        for name in names {
            self.world.nodes.get_mut(&name).expect("a node").alive = true;
            self.node_well(&name);
        }
        self.world.group.paused = false;
        self.group(GroupOp::Good);
        for at in 0..self.world.services.len() {
            let at = u8::try_from(at).expect("few");
            self.service(at, ServiceOp::Usable);
            self.service(at, ServiceOp::Reapply);
            self.slice(at, SliceOp::Ours);
        }
        self.seat(SeatOp::Ours);
        let names: Vec<Arc<str>> = self.world.pods.keys().cloned().collect();
        for name in names {
            if self.world.pods[&name].view.mark.as_ref().is_some_and(|mark| *mark.controller != *CONTROLLER) {
                self.world.edit_pod(&name, |view| view.mark = None);
            }
        }
        let unaddressed = |pod: &super::world::Pod| pod.view.ips.is_empty();
        let without: Vec<Arc<str>> = self
            .world
            .pods
            .values()
            .filter(|pod| unaddressed(pod))
            .map(|pod| pod.view.name.clone())
            .collect();
        for name in without {
            self.world.edit_pod(&name, |view| view.terminating = true);
        }
        if !self.world.pods.values().any(Replica::could_serve) {
            let node = self.node_name(0);
            self.world.new_pod("web-fresh".into(), node, None);
        }
        self.world.settle_readiness();
        self.publish_changes();
    }
}

fn edited(term: Term, by: u8) -> Term {
    match by % 4 {
        0 => Term(term.0.saturating_add(u64::from(by))),
        1 => Term(term.0.saturating_sub(u64::from(by % 16) + 1)),
        2 => Term(1 << 31),
        _ => Term(0),
    }
}

/// What others do to a pod's labels and marks.
fn relabel(view: &mut MemberView, how: u8) {
    match how % 6 {
        0 | 1 => drop(view.labels.insert(ROLE.into(), "active".into())),
        2 => drop(view.labels.insert(ROLE.into(), "standby".into())),
        3 => view.labels.clear(),
        4 => view.mark = None,
        _ => {
            if let Some(mark) = &mut view.mark {
                mark.controller = STRANGER.into();
            }
        }
    }
}

fn ours(record: &mut SeatRecord) {
    record.controller = Some(CONTROLLER.into());
}

fn edit_slice(slice: &mut SliceView, what: SliceOp) {
    match what {
        SliceOp::Edit => slice.content = None,
        SliceOp::EditTerm(by) => {
            slice.content = None;
            if let Some((_, term)) = &mut slice.stamp {
                *term = edited(*term, by);
            }
        }
        SliceOp::EditSeat => {
            slice.content = None;
            if let Some((seat, _)) = &mut slice.stamp {
                *seat = "s-forged".into();
            }
        }
        SliceOp::Foreign => slice.controller = Some(STRANGER.into()),
        SliceOp::Ours => slice.controller = Some(CONTROLLER.into()),
        SliceOp::Delete => {}
    }
}

fn change_spec(spec: &mut GroupSpec, what: GroupOp) {
    match what {
        GroupOp::Timing(which) => {
            let millis = Duration::from_millis;
            spec.timing = match which % 3 {
                0 => Timing { period: millis(200), timeout: millis(150), failure_threshold: 3 },
                1 => Timing { period: millis(1_000), timeout: millis(500), failure_threshold: 2 },
                _ => Timing::default(),
            };
        }
        GroupOp::Clear(clear) => {
            spec.when_no_candidate = if clear { WhenNoCandidate::Clear } else { WhenNoCandidate::Keep };
        }
        GroupOp::Failback(on) => {
            let on = on && spec.followed().is_none();
            spec.failback = if on { Failback::AfterDelay(Duration::from_secs(2)) } else { Failback::Never };
        }
        GroupOp::OtherProbe(which) => {
            spec.probe = match which % 3 {
                0 => ProbeKind::DefaultTcp,
                1 => ProbeKind::Tcp(PortRef::Number(8081)),
                _ => ProbeKind::Http {
                    port: PortRef::Number(8080),
                    path: "/health".into(),
                    tls: false,
                    host: None,
                    status: None,
                },
            };
        }
        _ => {}
    }
}
