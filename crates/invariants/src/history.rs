//! Everything that was told, and the judge of each further fact.

use crate::fact::{Author, Fact, Kind, Owner, Stamp, Term};
use crate::invariant::{Invariant, Violation};
use crate::marks::Routes;
use crate::pods::Pods;
pub use crate::pods::{Lag, Tolerance};
use crate::rule::{Rule, RuleId, Rules};
use crate::seats::Seats;
use crate::slices::{Context, Slices};
use std::time::Duration;

/// All that was told of one namespace or one modelled world.
///
/// Facts are told in the order in which they were stored. A moment is the time since any start that the feeder chooses; it only serves
/// to tell how long ago something ended.
#[derive(Clone, Debug)]
pub struct History {
    install: String,
    tolerance: Tolerance,
    seats: Seats,
    pods: Pods,
    slices: Slices,
    routes: Routes,
    rules: Rules,
}

impl History {
    /// A history of which nothing was told yet. `install` is the name of the installation whose writes are judged.
    pub fn new(install: &str, tolerance: Tolerance) -> Self {
        Self {
            install: install.to_owned(),
            tolerance,
            seats: Seats::default(),
            pods: Pods::default(),
            slices: Slices::default(),
            routes: Routes::default(),
            rules: Rules::default(),
        }
    }

    /// From now on another tolerance holds.
    pub fn tolerate(&mut self, tolerance: Tolerance) {
        self.tolerance = tolerance;
    }

    /// Judges a fact without keeping it: what would be wrong if it were stored now. Rules that were asked for are left out.
    pub fn judge(&self, moment: Duration, fact: &Fact<'_>) -> Vec<Violation> {
        match fact {
            Fact::Seat(stored) => self.seats.judge(stored),
            Fact::Slice(stored) => {
                let (tolerance, seats, pods) = (self.tolerance, &self.seats, &self.pods);
                self.slices.judge(&Context { moment, tolerance, seats, pods }, stored)
            }
            Fact::Route(stored) => self.routes.judge(&self.seats, &self.pods, stored),
            Fact::WriteAsked { object, owner } => self.judge_owner(object, *owner).into_iter().collect(),
            Fact::Pod(_)
            | Fact::Service(_)
            | Fact::SeatBlurred { .. }
            | Fact::Gone { .. }
            | Fact::StampForgotten { .. } => Vec::new(),
        }
    }

    /// Judges a fact, and keeps it. Answers with what is wrong: with the fact itself, and by the rules that were asked for.
    pub fn record(&mut self, moment: Duration, fact: &Fact<'_>) -> Vec<Violation> {
        let mut found = self.judge(moment, fact);
        self.keep(moment, fact);
        if !self.rules.is_empty() {
            found.extend(self.rules.judge_marks(&self.seats, &self.pods, fact));
            found.extend(self.rules.judge_counts(&self.pods, &self.slices));
        }
        found
    }

    fn keep(&mut self, moment: Duration, fact: &Fact<'_>) {
        self.rules.keep(fact);
        match fact {
            Fact::Seat(stored) => self.seats.note(stored),
            Fact::SeatBlurred { seat } => self.seats.note_blurred(seat),
            Fact::Slice(stored) => self.slices.note(&self.seats, stored),
            Fact::Pod(stored) => self.pods.note(moment, stored),
            Fact::Route(stored) => self.routes.note(&self.seats, stored),
            Fact::Gone { kind: Kind::Pod, id } => self.pods.note_gone(moment, id),
            Fact::Gone { kind: Kind::EndpointSlice, id } => self.slices.note_gone(id),
            Fact::StampForgotten { object } => {
                self.slices.forget_stamps(object);
                self.routes.forget(object);
            }
            Fact::Service(_) | Fact::Gone { kind: Kind::Service, .. } | Fact::WriteAsked { .. } => {}
        }
    }

    /// I7: what belongs to another is not written.
    fn judge_owner(&self, object: &str, owner: Owner<'_>) -> Option<Violation> {
        let text = match owner {
            Owner::Nobody => return None,
            Owner::Install(install) if install == self.install => return None,
            Owner::Install(_) => format!("{object} is another controller's"),
            Owner::Election => format!("{object} is the Lease of another election"),
        };
        Some(Invariant::OwnObjectsOnly.violation(text))
    }

    /// From now on a rule has to hold, until it is dropped. What stands now is judged together with the next fact.
    pub fn ask(&mut self, rule: Rule) -> RuleId {
        self.rules.ask(rule)
    }

    /// From now on a rule need not hold any more.
    pub fn drop_rule(&mut self, rule: RuleId) {
        self.rules.drop_rule(rule);
    }

    /// Judges what stands now by the rules that were asked for, without a further fact.
    pub fn judge_standing(&mut self) -> Vec<Violation> {
        self.rules.judge_counts(&self.pods, &self.slices)
    }

    /// Whether this pod held this seat at this term.
    pub fn was_held(&self, seat: &str, term: Term, pod: &str) -> bool {
        self.seats.was_held(Stamp { seat, term }, pod)
    }

    /// The newest term of a seat, as far as it can be known.
    pub fn newest_term(&self, seat: &str) -> Option<Term> {
        self.seats.newest_term(seat)
    }

    /// The newest term of all seats.
    pub fn newest_term_of_all(&self) -> Option<Term> {
        self.seats.newest_term_of_all()
    }

    /// Whether a stranger changed this seat so that its term cannot be known any more.
    pub fn is_blurred(&self, seat: &str) -> bool {
        self.seats.is_blurred(seat)
    }
}

/// Whether a fact is excused because a stranger or the test itself made it.
pub(crate) fn is_strangers(author: Author) -> bool {
    author == Author::Stranger
}
