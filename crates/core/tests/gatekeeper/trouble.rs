//! What each piece of trouble does to the world.

use crate::member::{Member, Program};
use crate::op::{Op, What};
use crate::sim::{Event, Order, Sim};
use hotstandby_core::gatekeeper::Observation;
use std::time::Duration;

impl Sim {
    pub(super) fn apply(&mut self, index: usize) {
        let Op { member, what, .. } = self.ops[index].clone();
        let (now, killer_until) = (self.now, self.members[member].killer_until);
        let plain = self.members[member].plain;
        self.note(|| format!("{member}: {what:?}"));
        match what {
            // Either of wrapper and killer alone must suffice; nothing helps where both stand still.
            What::PauseWrapper { us } if !plain && killer_until <= now => {
                self.members[member].wrapper_until = now + us;
            }
            What::PauseKiller { us } if !plain && self.members[member].can_do_without_killer(now) => {
                self.members[member].killer_until = now + us;
            }
            What::FreezeMachine { us } => {
                self.members[member].wrapper_until = now + us;
                self.members[member].killer_until = now + us;
            }
            What::Cut { us } => self.members[member].cut_until = now + us,
            What::ApiAway { us } => self.api_until = now + us,
            What::StallWatch { us } => {
                self.members[member].watch_until = now + us;
                let (process, order) = (self.members[member].process, self.sequence);
                let state = Box::new(self.store.before.clone());
                self.after(us, Event::Watch { member, process, order, state });
            }
            What::Crash => self.container_ends(member),
            What::CrashWrapper if !plain && killer_until <= now && !self.members[member].wrapper_dead => {
                self.members[member].wrapper_dead = true;
                let process = self.members[member].process;
                let at = self.members[member].order_at.max(now + 1_000);
                self.at(at, Event::Order { member, process, order: Order::WrapperGone });
            }
            What::Stop if !plain => {
                self.members[member].stopping = true;
                let process = self.members[member].process;
                let observation = Box::new(Observation::StopRequested);
                self.after(500, Event::Told { member, process, observation });
            }
            What::CommandEnds => {
                let generation = self.members[member].command.generation;
                self.after(0, Event::Ends { member, generation, code: 0 });
            }
            What::DeleteLease => self.delete_lease(),
            What::Annotate => {
                self.store.annotate();
                self.spread();
            }
            What::PauseWrapper { .. } | What::PauseKiller { .. } | What::CrashWrapper | What::Stop => {}
        }
    }

    /// Only where all members run ours and have seen the Lease: what is promised about a deleted Lease, and no more.
    fn delete_lease(&mut self) {
        let all_know = self.members.iter().all(|it| match &it.program {
            Program::Await(machine) => machine.status(Duration::ZERO).term.is_some(),
            Program::Plain(_) => false,
            Program::Down => true,
        });
        let duration = |it: &Member| it.config.timing().lease_duration;
        let same = self.members.iter().all(|it| duration(it) == duration(&self.members[0]));
        let plain = self.members.iter().any(|it| it.plain);
        if all_know && same && !plain && self.store.view().is_some() {
            let us = u64::try_from(duration(&self.members[0]).as_micros()).expect("small");
            self.no_start_until = self.now + us * 5 / 4;
            self.store.delete();
            self.count("lease deleted");
            self.spread();
        }
    }

    /// The end of all trouble.
    pub(super) fn heal(&mut self) {
        self.calm = true;
        self.api_until = 0;
        for it in &mut self.members {
            it.cut_until = 0;
            it.watch_until = 0;
        }
    }
}
