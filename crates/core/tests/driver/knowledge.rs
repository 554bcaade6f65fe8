//! What a replica was told: actions are judged by that, not by what it could not know.

use super::world::Snap;
use hotstandby_core::health::{Outcome, ProbeReport};
use hotstandby_core::ids::{Rv, Uid};
use hotstandby_core::seat::{SeatMarks, SeatRecord};
use hotstandby_core::view::MemberView;
use std::collections::BTreeMap;
use std::time::Duration;

/// A live read that was answered.
#[derive(Clone, Debug)]
pub(super) struct ReadDone {
    pub(super) sent: Duration,
    pub(super) delivered: Duration,
    pub(super) pods: Vec<(Uid, Option<MemberView>)>,
}

/// A pod as newest evidence has it, and how new that is.
type Evidence = (u64, Option<MemberView>);

#[derive(Debug, Default)]
pub(super) struct Knowledge {
    pods: BTreeMap<Uid, Evidence>,
    pub(super) reads: Vec<ReadDone>,
    /// Sent when, and whether it succeeded: the newest counted report.
    probes: BTreeMap<Uid, (Duration, bool)>,
    pub(super) ever_answered: bool,
    /// The newest intact record, and its version; or what stood beside an edited holder, if that was newer.
    pub(super) sealed: Option<SeatMarks>,
    sealed_rv: Option<Rv>,
    /// Whether the last answer was a veto, and vetoes since the pod last answered.
    pub(super) vetoes: BTreeMap<Uid, (bool, u32)>,
}

impl Knowledge {
    pub(super) fn pod(&self, uid: &Uid) -> Option<&Evidence> {
        self.pods.get(uid)
    }

    pub(super) fn note_pod(&mut self, uid: &Uid, version: u64, view: Option<MemberView>) {
        let known = self.pods.get(uid).map_or(0, |(known, _)| *known);
        if version >= known {
            self.pods.insert(uid.clone(), (version, view));
        }
    }

    pub(super) fn note_members(&mut self, snap: &Snap) {
        let gone: Vec<Uid> =
            self.pods.keys().filter(|uid| snap.pods.iter().all(|pod| pod.uid != **uid)).cloned().collect();
        for uid in gone {
            self.note_pod(&uid, snap.version, None);
        }
        for pod in &snap.pods {
            self.note_pod(&pod.uid, snap.version, Some(pod.clone()));
        }
    }

    pub(super) fn note_seat(&mut self, record: Option<&SeatRecord>) {
        let Some(record) = record else { return };
        let older = self.sealed_rv.as_ref().is_some_and(|known| record.rv.is_older_than(known));
        let term = self.sealed.as_ref().map(|marks| marks.term);
        let beside = || {
            record.marks.as_ref().filter(|marks| record.term == Some(marks.term) && Some(marks.term) > term)
        };
        if let Some(marks) = record.sealed().or_else(beside).filter(|_| !older) {
            self.sealed = Some(marks.clone());
            self.sealed_rv = Some(record.rv.clone());
        }
    }

    pub(super) fn note_probe(&mut self, report: &ProbeReport) {
        let success = report.outcome == Outcome::Success;
        let counts = !report.spans_gap && (report.outcome != Outcome::TimedOut || report.vantage);
        if counts {
            self.probes.insert(report.uid.clone(), (report.sent, success));
            self.ever_answered |= success;
            if success {
                self.vetoes.remove(&report.uid);
            }
        }
    }

    pub(super) fn note_peers(&mut self, uid: &Uid, vetoed: bool) {
        let entry = self.vetoes.entry(uid.clone()).or_default();
        *entry = (vetoed, entry.1 + u32::from(vetoed));
    }

    /// Whether the newest counted report of this pod was a success.
    pub(super) fn answers(&self, uid: &Uid) -> bool {
        self.probes.get(uid).is_some_and(|(_, success)| *success)
    }

    /// Forgets other probes' answers when the question changes.
    pub(super) fn other_question(&mut self) {
        self.probes.clear();
        self.ever_answered = false;
    }
}
