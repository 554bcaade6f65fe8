//! How long things may take, and the inequalities that make the lease safe.

use std::time::Duration;

/// How far the clocks of two members may run apart in rate: one part in this many of the lease's duration is given away.
const CLOCK_RATE_PARTS: u32 = 100;
/// Kept free for the kill itself before the lease can be taken: timers that fire late, signals, reaping.
pub const DEFAULT_KILL_MARGIN: Duration = Duration::from_millis(200);
/// A command that ignores TERM is killed after this. Less than the 30 s that Kubernetes gives a pod, so that the lease is
/// still released by us and not waited out.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(25);
/// No call to the API server may take longer, however long the lease.
const LONGEST_CALL: Duration = Duration::from_secs(2);
/// With a renew deadline hardly above the retry period, calls still get the time that an answer takes.
const SHORTEST_CALL: Duration = Duration::from_millis(50);
/// client-go's jitter on the retry period: a renewal may begin this much later, in tenths.
const JITTER_TENTHS: u32 = 12;

/// When the endpoint is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Traffic {
    /// Never: somebody else leads the traffic.
    #[default]
    None,
    /// Before the command starts.
    BeforeStart,
    /// Once the command's readiness check passes ([`super::Observation::CommandReady`]).
    WhenReady,
}

/// The three durations as they were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// After this without a renewal, others may take the lease. Whole seconds: the Lease has no finer unit.
    pub lease_duration: Duration,
    /// After this without a stored renewal, the command gets TERM.
    pub renew_deadline: Duration,
    /// Between two renewals.
    pub retry_period: Duration,
}

impl Timing {
    /// What client-go's users have: 15, 10, 2 seconds.
    pub const DEFAULT: Self = Self {
        lease_duration: Duration::from_secs(15),
        renew_deadline: Duration::from_secs(10),
        retry_period: Duration::from_secs(2),
    };
    /// The fastest that is still safe with the default kill margin: the Lease counts in whole seconds, so that one second is
    /// the least there is; killed 790 ms after the last renewal was sent, TERM 190 ms before that, and two renewals may fail.
    pub const FASTEST: Self = Self {
        lease_duration: Duration::from_secs(1),
        renew_deadline: Duration::from_millis(600),
        retry_period: Duration::from_millis(200),
    };
}

/// Checked settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    timing: Timing,
    kill_margin: Duration,
    grace: Duration,
    traffic: Traffic,
    lease_seconds: u32,
}

/// Durations that cannot keep the promise. The inequality is in the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// The Lease stores whole seconds.
    #[error("lease duration {0:?}: a Lease stores whole seconds from 1 to 2147483647; give such a number")]
    LeaseNotWholeSeconds(Duration),
    /// Nothing is retried at no interval.
    #[error("retry period {0:?}: must be at least 10ms, or the API server is flooded")]
    RetryTooShort(Duration),
    /// No renewal would come in time.
    #[error(
        "retry period {retry_period:?} × 1.2 must be less than the renew deadline {renew_deadline:?}: shorten the first or \
         lengthen the second"
    )]
    RetryNotBelowDeadline {
        /// As given.
        retry_period: Duration,
        /// As given.
        renew_deadline: Duration,
    },
    /// The command would be killed without a TERM, or after its lease.
    #[error(
        "renew deadline {renew_deadline:?} must be less than {kill_after:?}, which is the lease duration {lease_duration:?} − 1 % \
         (clocks) − {kill_margin:?} (kill margin): shorten the first or lengthen the lease duration"
    )]
    DeadlineNotBelowKill {
        /// As given.
        renew_deadline: Duration,
        /// As given.
        lease_duration: Duration,
        /// As given.
        kill_margin: Duration,
        /// What is left of the lease.
        kill_after: Duration,
    },
}

impl Config {
    /// Checks the durations: `retry_period × 1.2 < renew_deadline < lease_duration − 1 % − kill_margin`.
    pub fn new(timing: Timing, kill_margin: Duration) -> Result<Self, TimingError> {
        let Timing { lease_duration, renew_deadline, retry_period } = timing;
        let lease_seconds = u32::try_from(lease_duration.as_secs())
            .ok()
            .filter(|seconds| (1..=i32::MAX.cast_unsigned()).contains(seconds))
            .filter(|_| lease_duration.subsec_nanos() == 0)
            .ok_or(TimingError::LeaseNotWholeSeconds(lease_duration))?;
        if retry_period < Duration::from_millis(10) {
            return Err(TimingError::RetryTooShort(retry_period));
        }
        let jittered = retry_period.saturating_mul(JITTER_TENTHS) / 10;
        if jittered >= renew_deadline {
            return Err(TimingError::RetryNotBelowDeadline { retry_period, renew_deadline });
        }
        let kill_after = kill_after(lease_duration, kill_margin);
        if renew_deadline >= kill_after {
            return Err(TimingError::DeadlineNotBelowKill {
                renew_deadline,
                lease_duration,
                kill_margin,
                kill_after,
            });
        }
        Ok(Self { timing, kill_margin, grace: DEFAULT_GRACE, traffic: Traffic::None, lease_seconds })
    }

    /// How long a command that was told to stop may take before it is killed.
    #[must_use]
    pub fn with_grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// When the endpoint is written.
    #[must_use]
    pub fn with_traffic(self, traffic: Traffic) -> Self {
        Self { traffic, ..self }
    }

    /// The three durations.
    pub const fn timing(&self) -> Timing {
        self.timing
    }

    /// The duration as the record says it.
    pub const fn lease_seconds(&self) -> u32 {
        self.lease_seconds
    }

    /// How long a command may take from TERM to its end.
    pub const fn grace(&self) -> Duration {
        self.grace
    }

    /// When the endpoint is written.
    pub const fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// From the send of the last good renewal to the moment the command is killed.
    pub fn kill_after(&self) -> Duration {
        kill_after(self.timing.lease_duration, self.kill_margin)
    }

    /// How long one call may take: a renewal that is not answered, the read after it and a second renewal must fit before
    /// the renew deadline.
    pub fn call_timeout(&self) -> Duration {
        let left = self.timing.renew_deadline.saturating_sub(self.timing.retry_period);
        (left / 3).clamp(SHORTEST_CALL, LONGEST_CALL)
    }
}

fn kill_after(lease_duration: Duration, kill_margin: Duration) -> Duration {
    lease_duration.saturating_sub(lease_duration / CLOCK_RATE_PARTS).saturating_sub(kill_margin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(lease: u64, renew: u64, retry: u64) -> Result<Config, TimingError> {
        let timing = Timing {
            lease_duration: Duration::from_millis(lease),
            renew_deadline: Duration::from_millis(renew),
            retry_period: Duration::from_millis(retry),
        };
        Config::new(timing, DEFAULT_KILL_MARGIN)
    }

    #[test]
    fn what_people_have_today_is_accepted() {
        let usual = Config::new(Timing::DEFAULT, DEFAULT_KILL_MARGIN).unwrap();
        assert_eq!(usual.kill_after(), Duration::from_millis(14_650));
        assert_eq!(usual.lease_seconds(), 15);
        assert!(config(3_000, 2_000, 1_000).is_ok());
        assert!(config(137_000, 107_000, 26_000).is_ok());
    }

    #[test]
    fn the_fastest_lease_leaves_room_for_term_and_kill() {
        let fastest = Config::new(Timing::FASTEST, DEFAULT_KILL_MARGIN).unwrap();
        assert_eq!(fastest.kill_after(), Duration::from_millis(790));
        // A renewal, its re-read and one more renewal, each at its limit, still end before TERM.
        let three_calls = Timing::FASTEST.retry_period + fastest.call_timeout() * 3;
        assert!(three_calls <= Timing::FASTEST.renew_deadline);
        assert!(config(1_000, 790, 200).is_err(), "TERM and KILL at once");
        assert!(config(1_000, 240, 200).is_err(), "no renewal would come in time");
    }

    #[test]
    fn calls_get_the_time_that_an_answer_takes_and_not_more() {
        assert_eq!(config(15_000, 10_000, 2_000).unwrap().call_timeout(), LONGEST_CALL);
        assert_eq!(config(1_000, 600, 200).unwrap().call_timeout(), Duration::from_nanos(133_333_333));
        assert_eq!(config(1_000, 250, 200).unwrap().call_timeout(), SHORTEST_CALL);
    }

    #[test]
    fn a_lease_that_the_wire_cannot_say_is_refused() {
        for lease in [0, 999, 1_500] {
            let error = config(lease, 600, 200).unwrap_err();
            assert!(error.to_string().contains("whole seconds"), "{error}");
        }
    }

    #[test]
    fn the_error_names_the_inequality_and_the_numbers() {
        let error = config(10_000, 10_000, 2_000).unwrap_err().to_string();
        for part in ["renew deadline 10s", "less than 9.7s", "lease duration 10s", "− 1 %", "200ms"] {
            assert!(error.contains(part), "{part} is missing in: {error}");
        }
        let error = config(15_000, 2_000, 2_000).unwrap_err().to_string();
        assert!(error.contains("retry period 2s × 1.2 must be less than the renew deadline 2s"), "{error}");
    }

    #[test]
    fn a_retry_period_that_floods_is_refused() {
        assert!(matches!(config(1_000, 600, 0), Err(TimingError::RetryTooShort(_))));
    }
}
