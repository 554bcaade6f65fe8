//! All observations of one group go through one mailbox to one task.
//!
//! Views are levels: only the newest of each kind is kept. Outcomes of actions are as many as there are actions under
//! way. Probe reports come by themselves, so their number is bounded; what is dropped is counted.

use hotstandby_core::observation::Observation;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// Probe reports kept for a task that is behind.
const MOST_REPORTS: usize = 1024;

/// The queue of one group.
#[derive(Default)]
pub(crate) struct Mailbox {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    group: Option<Observation>,
    members: Option<Observation>,
    nodes: Option<Observation>,
    services: Option<Observation>,
    seat: Option<Observation>,
    lapse: Option<Observation>,
    lead: Option<Observation>,
    outcomes: VecDeque<Observation>,
    reports: VecDeque<Observation>,
    closed: bool,
}

impl Mailbox {
    /// Puts an observation in; `false` if an older probe report had to go for it.
    pub(crate) fn push(&self, observation: Observation) -> bool {
        let kept = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).put(observation);
        self.arrived.notify_one();
        kept
    }

    /// Nothing more will come: the task ends once it has seen this.
    pub(crate) fn close(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.arrived.notify_one();
    }

    /// Waits for observations and takes them all; `None` once closed. Outcomes come before views: what an action
    /// of ours brought is newer than what a watch tells of it.
    pub(crate) async fn take(&self) -> Option<Vec<Observation>> {
        loop {
            let arrived = self.arrived.notified();
            {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                if waiting.closed {
                    return None;
                }
                let all = waiting.drain();
                if !all.is_empty() {
                    return Some(all);
                }
            }
            arrived.await;
        }
    }
}

impl Waiting {
    fn put(&mut self, observation: Observation) -> bool {
        let latest = match &observation {
            Observation::Group(_) => &mut self.group,
            Observation::Members(_) => &mut self.members,
            Observation::Nodes(_) => &mut self.nodes,
            Observation::Services(_) => &mut self.services,
            Observation::Seat(_) => &mut self.seat,
            Observation::SeatLapsed(_) => &mut self.lapse,
            Observation::Lead(_) => &mut self.lead,
            Observation::Probe(_) => {
                self.reports.push_back(observation);
                return self.reports.len() <= MOST_REPORTS || self.reports.pop_front().is_none();
            }
            _ => {
                self.outcomes.push_back(observation);
                return true;
            }
        };
        *latest = Some(observation);
        true
    }

    fn drain(&mut self) -> Vec<Observation> {
        let views = [
            self.lead.take(),
            self.group.take(),
            self.nodes.take(),
            self.members.take(),
            self.services.take(),
            self.seat.take(),
            self.lapse.take(),
        ];
        let outcomes = std::mem::take(&mut self.outcomes);
        let reports = std::mem::take(&mut self.reports);
        outcomes.into_iter().chain(views.into_iter().flatten()).chain(reports).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotstandby_core::seat::SeatState;

    #[tokio::test]
    async fn only_the_newest_view_is_kept_and_no_outcome_is_lost() {
        let mailbox = Mailbox::default();
        mailbox.push(Observation::Seat(SeatState::Unread));
        mailbox.push(Observation::Relisted);
        mailbox.push(Observation::Seat(SeatState::Absent));
        mailbox.push(Observation::Relisted);
        let all = mailbox.take().await.unwrap();
        assert_eq!(all, [Observation::Relisted, Observation::Relisted, Observation::Seat(SeatState::Absent)]);
        mailbox.close();
        assert_eq!(mailbox.take().await, None);
    }

    #[tokio::test]
    async fn a_task_that_is_behind_loses_old_reports_only_and_says_so() {
        let mailbox = Mailbox::default();
        let report = |ms| hotstandby_core::health::ProbeReport {
            uid: "p".into(),
            outcome: hotstandby_core::health::Outcome::Success,
            sent: std::time::Duration::from_millis(ms),
            done: std::time::Duration::from_millis(ms),
            vantage: true,
            spans_gap: false,
            detail: None,
        };
        let kept = (0..=MOST_REPORTS as u64).filter(|ms| mailbox.push(Observation::Probe(report(*ms))));
        assert_eq!(kept.count(), MOST_REPORTS);
        let all = mailbox.take().await.unwrap();
        assert_eq!(all.len(), MOST_REPORTS);
        assert_eq!(all.first(), Some(&Observation::Probe(report(1))));
    }
}
