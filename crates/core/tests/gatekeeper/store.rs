//! The one Lease that all members share, with compare-and-swap, and I3 checked at every write.

use hotstandby_core::action::Precondition;
use hotstandby_core::gatekeeper::{LeaseRecord, LeaseState, LeaseView};
use hotstandby_core::observation::WriteError;
use hotstandby_invariants::Invariant::TermsGrow;

#[derive(Debug)]
pub(super) struct Store {
    pub(super) state: LeaseState,
    /// The state before, for watches that repeat themselves.
    pub(super) before: LeaseState,
    version: u64,
    uids: u64,
    /// The precondition's version is not looked at.
    pub(super) careless: bool,
    pub(super) wrong: Option<String>,
}

impl Store {
    pub(super) const fn new() -> Self {
        Self {
            state: LeaseState::Absent,
            before: LeaseState::Absent,
            version: 100,
            uids: 0,
            careless: false,
            wrong: None,
        }
    }

    pub(super) const fn view(&self) -> Option<&LeaseView> {
        match &self.state {
            LeaseState::Present(view) => Some(view),
            LeaseState::Absent => None,
        }
    }

    pub(super) fn write(
        &mut self,
        pre: &Precondition,
        record: &LeaseRecord,
    ) -> Result<LeaseView, WriteError> {
        let uid = match (pre, self.view()) {
            (Precondition::Absent, None) => {
                self.uids += 1;
                format!("lease-{}", self.uids).into()
            }
            (Precondition::Unchanged { uid, rv }, Some(view))
                if view.uid == *uid && (view.rv == *rv || self.careless) =>
            {
                self.check_terms(record);
                uid.clone()
            }
            _ => return Err(WriteError::Conflict),
        };
        self.version += 1;
        let view = LeaseView { uid, rv: self.version.to_string().into(), record: record.clone() };
        self.set(LeaseState::Present(view.clone()));
        Ok(view)
    }

    /// I3: terms never go back, and another holder is another term.
    fn check_terms(&mut self, new: &LeaseRecord) {
        let Some(old) = self.view().map(|view| &view.record) else { return };
        let instance = |record: &LeaseRecord| record.sealed().map(|marks| marks.instance.clone());
        let moved = new.holder.is_some() && (old.holder != new.holder || instance(old) != instance(new));
        // Plain client-go renews its own name's record as its own.
        let plain = new.sealed().is_none() && old.holder == new.holder;
        if new.term < old.term || moved && !plain && new.term == old.term {
            let text = format!("term {} after {} of {:?}", new.term, old.term, old.holder);
            self.wrong = Some(TermsGrow.broken(text));
        }
    }

    pub(super) fn delete(&mut self) {
        self.version += 1;
        self.set(LeaseState::Absent);
    }

    /// Another version that says the same.
    pub(super) fn annotate(&mut self) {
        if let LeaseState::Present(view) = &self.state {
            self.version += 1;
            let view = LeaseView { rv: self.version.to_string().into(), ..view.clone() };
            self.set(LeaseState::Present(view));
        }
    }

    fn set(&mut self, state: LeaseState) {
        self.before = std::mem::replace(&mut self.state, state);
    }
}
