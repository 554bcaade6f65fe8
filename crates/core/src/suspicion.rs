//! A suspicion that a member's process has just died, and when that member is to be probed again because of it.
//!
//! A process that is killed does not close all its sockets at once. For some milliseconds its listener may still accept connections,
//! which are answered, or reset a moment later. One probe sent in that time proves nothing. So while a suspicion stands, another probe
//! is always due soon, whatever the ones before it said, until it is proven, refuted, or over.

use std::time::Duration;

/// A suspicion ends after this time: a process that has died refuses connections long before.
pub const SUSPICION_LASTS: Duration = Duration::from_secs(1);
/// Only a success that was sent at least this long after the suspicion began refutes it. Measured on 240 killed processes, a
/// listener outlived the first closed connection by up to 6 ms.
pub const REFUTED_AFTER: Duration = Duration::from_millis(20);
/// The shortest and the longest time between two probes. It grows with the age of the suspicion.
const BETWEEN_PROBES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(50));

/// What gave rise to a suspicion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The tripwire closed.
    TripwireClosed,
    /// A connection was refused.
    Refused,
}

/// The suspicion against one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspicion {
    sign: Sign,
    since: Duration,
    /// When the newest probe of this suspicion was sent or asked for.
    newest_probe: Option<Duration>,
}

impl Suspicion {
    /// The tripwire closed at this time. A probe is due at once.
    pub fn by_tripwire(at: Duration) -> Self {
        Self { sign: Sign::TripwireClosed, since: at, newest_probe: None }
    }

    /// A probe that was sent at this time was refused.
    pub fn by_refusal(sent: Duration) -> Self {
        Self { sign: Sign::Refused, since: sent, newest_probe: Some(sent) }
    }

    /// What gave rise to it.
    pub fn sign(&self) -> Sign {
        self.sign
    }

    /// When it began.
    pub fn since(&self) -> Duration {
        self.since
    }

    /// Whether it is still worth a probe at this time.
    pub fn stands(&self, now: Duration) -> bool {
        now < self.since + SUSPICION_LASTS
    }

    /// Whether a success that was sent at this time refutes it.
    pub fn is_refuted_by(&self, sent: Duration) -> bool {
        sent >= self.since + REFUTED_AFTER
    }

    /// When the next probe is due; `None` if no further one is sent. `confirm_at`: a probe that is sent at this time could prove
    /// it, so the next one is not sent later.
    pub fn next_probe(&self, confirm_at: Option<Duration>) -> Option<Duration> {
        let Some(newest) = self.newest_probe else { return Some(self.since) };
        if let Some(at) = confirm_at.filter(|at| newest < *at) {
            return Some(at);
        }
        let (shortest, longest) = BETWEEN_PROBES;
        let age = newest.saturating_sub(self.since);
        let next = newest + age.clamp(shortest, longest);
        self.stands(next).then_some(next)
    }

    /// Notes that a probe was sent or asked for at this time.
    pub fn note_probe(&mut self, sent: Duration) {
        if sent >= self.since {
            self.newest_probe = self.newest_probe.max(Some(sent));
        }
    }

    /// The replica stood still: what was sent before proves nothing, but a connection that closed is still closed. The suspicion
    /// begins again now.
    #[must_use]
    pub fn restart(self, now: Duration) -> Self {
        Self { since: now, newest_probe: None, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// The offsets at which probes are due if each is asked for when it is.
    fn probes_of(mut suspicion: Suspicion) -> Vec<u64> {
        let begin = suspicion.since();
        let mut offsets = Vec::new();
        while let Some(due) = suspicion.next_probe(None) {
            suspicion.note_probe(due);
            offsets.push(u64::try_from(due.saturating_sub(begin).as_millis()).unwrap());
        }
        offsets
    }

    #[test]
    fn a_probe_is_always_due_until_the_suspicion_is_over() {
        let offsets = probes_of(Suspicion::by_tripwire(MS(700)));
        assert_eq!(offsets[..8], [0, 5, 10, 20, 40, 80, 130, 180]);
        assert_eq!(offsets.last(), Some(&980));
        assert!(offsets.windows(2).all(|pair| pair[1] - pair[0] <= 50), "{offsets:?}");
    }

    #[test]
    fn a_refused_probe_is_the_first_of_its_suspicion() {
        let offsets = probes_of(Suspicion::by_refusal(MS(700)));
        assert_eq!(offsets[..3], [5, 10, 20]);
    }

    #[test]
    fn probes_that_were_sent_for_another_reason_delay_the_next_one() {
        let mut suspicion = Suspicion::by_tripwire(MS(700));
        suspicion.note_probe(MS(650));
        assert_eq!(suspicion.next_probe(None), Some(MS(700)), "one sent before the suspicion says nothing");
        suspicion.note_probe(MS(712));
        assert_eq!(suspicion.next_probe(None), Some(MS(724)));
    }

    #[test]
    fn a_probe_that_could_prove_it_is_not_sent_later() {
        let mut suspicion = Suspicion::by_tripwire(MS(700));
        suspicion.note_probe(MS(740));
        assert_eq!(suspicion.next_probe(Some(MS(745))), Some(MS(745)));
        suspicion.note_probe(MS(745));
        assert_eq!(suspicion.next_probe(Some(MS(745))), Some(MS(790)), "it was sent, and perhaps lost");
    }

    #[test]
    fn only_a_success_sent_well_after_it_refutes_it() {
        let suspicion = Suspicion::by_tripwire(MS(700));
        assert!(!suspicion.is_refuted_by(MS(719)));
        assert!(suspicion.is_refuted_by(MS(720)));
        assert!(suspicion.stands(MS(1_699)) && !suspicion.stands(MS(1_700)));
    }

    #[test]
    fn a_gap_keeps_it_and_asks_again() {
        let mut suspicion = Suspicion::by_tripwire(MS(700));
        suspicion.note_probe(MS(700));
        let restarted = suspicion.restart(MS(5_000));
        assert_eq!((restarted.sign(), restarted.next_probe(None)), (Sign::TripwireClosed, Some(MS(5_000))));
    }
}
