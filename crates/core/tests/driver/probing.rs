//! Probes, and what peers say of them.

use super::replica::Note;
use super::sim::{Event, Sim, Who};
use super::world::App;
use hotstandby_core::action::ProbeTarget;
use hotstandby_core::health::{Outcome, ProbeReport};
use hotstandby_core::ids::Uid;
use hotstandby_core::observation::Observation;
use std::sync::Arc;
use std::time::Duration;

impl Sim {
    /// Whether a replica that hears the question reached the pod after the asker began to fail, from another node.
    pub(super) fn peers_veto(
        &mut self,
        asker: usize,
        uid: &Uid,
        node: Option<&Arc<str>>,
        since: Duration,
    ) -> bool {
        let now = self.world.now;
        if now < self.replicas[asker].peers_silent_until {
            return false;
        }
        self.replicas.iter().enumerate().any(|(index, peer)| {
            let hears = index != asker && peer.frozen_until.is_none() && now >= peer.peers_silent_until;
            let elsewhere = node.is_none() || peer.node.as_ref() != node;
            let newest = peer.reached.get(uid);
            hears && elsewhere && newest.is_some_and(|(sent, ..)| *sent >= since) && peer.knows.answers(uid)
        })
    }

    pub(super) fn send_probes(&mut self, index: usize) {
        let now = self.world.now;
        if self.replicas[index].frozen_until.is_some() {
            return;
        }
        for target in self.replicas[index].due_probes(now) {
            // Whoever has the address answers, the pod itself or a later one.
            let pod = self.world.pods.values().find(|pod| pod.view.ips.contains(&target.ip));
            let answer = pod.and_then(|pod| {
                let node = pod.view.node.as_ref();
                let alive = node.and_then(|node| self.world.nodes.get(node)).is_none_or(|node| node.alive);
                let reached = alive && self.replicas[index].reaches(node, now);
                reached.then_some(pod.app)
            });
            let outcome = match answer {
                Some(App::Ok) => Outcome::Success,
                Some(App::Refuses) => Outcome::Refused,
                Some(App::Wrong) => Outcome::Wrong,
                Some(App::Hangs) | None => Outcome::TimedOut,
            };
            let takes = if outcome == Outcome::TimedOut { target.timeout } else { self.rng.ms(0, 3) };
            let who = self.who(index);
            self.after(takes, Event::ProbeEnd { who, target: Box::new(target), outcome, sent: now });
        }
    }

    pub(super) fn probe_end(&mut self, who: Who, target: &ProbeTarget, outcome: Outcome, sent: Duration) {
        if !self.lives(who) {
            return;
        }
        let now = self.world.now;
        if let Some(thaw) = self.replicas[who.0].frozen_until {
            // It will see the answer late, and call it a time-out.
            let outcome = Outcome::TimedOut;
            let again = Event::ProbeEnd { who, target: Box::new(target.clone()), outcome, sent };
            self.after(thaw.saturating_sub(now), again);
            return;
        }
        let replica = &mut self.replicas[who.0];
        let spans_gap = replica.was_frozen(sent, now);
        let vantage = replica.vantage(target, now);
        if outcome == Outcome::Success && !spans_gap {
            replica.reached.insert(target.uid.clone(), (sent, now, target.node.clone()));
        }
        let report = ProbeReport {
            uid: target.uid.clone(),
            outcome,
            sent: replica.mono(sent),
            done: replica.mono(now),
            vantage,
            spans_gap,
            detail: (outcome != Outcome::Success).then(|| format!("{outcome:?}").into()),
        };
        self.tell(who.0, Observation::Probe(report), Note::Nothing);
    }
}
