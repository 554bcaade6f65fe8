//! What a user saw: a series of requests, and what can be said about it. Pure; times come from the caller.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// No connection within the limit.
    ConnectTimeout,
    /// The connection was refused.
    Refused,
    /// No route, no network.
    Unreachable,
    /// Connected, but no whole answer within the limit.
    AnswerTimeout,
    /// The connection ended before a whole answer.
    Cut,
    /// An answer other than 200 with a name in it.
    BadAnswer,
    /// The client itself could not try: out of ports or descriptors.
    Local,
}

impl Failure {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConnectTimeout => "connect-timeout",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::AnswerTimeout => "answer-timeout",
            Self::Cut => "cut",
            Self::BadAnswer => "bad-answer",
            Self::Local => "local",
        }
    }
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Somebody answered.
    Answer {
        /// The pod's name.
        who: Arc<str>,
        /// Which life of the pod's container; 0 if the answer did not say.
        start_id: u64,
    },
    /// Nobody did.
    Failed(Failure),
}

/// One request on a connection of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Just before the connection was opened.
    pub start: Instant,
    /// When the whole answer was there, or the failure was known.
    pub end: Instant,
    /// How it ended.
    pub outcome: Outcome,
}

impl Sample {
    /// Who answered.
    pub fn who(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Answer { who, .. } => Some(who),
            Outcome::Failed(_) => None,
        }
    }

    /// Why nobody did.
    pub fn failure(&self) -> Option<Failure> {
        match &self.outcome {
            Outcome::Answer { .. } => None,
            Outcome::Failed(failure) => Some(*failure),
        }
    }
}

/// The longest time from a commit of the packet filter to when it is seen, on a busy machine.
const COMMIT_SEEN: Duration = Duration::from_millis(30);
/// A request that met a commit begins no later than this after the commit was seen: its start is noted just before the connection is
/// opened, on another thread.
const COMMIT_LATE: Duration = Duration::from_millis(2);

/// A stretch in which every request, in the order they were started, failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The start of the first request that failed.
    pub first_fail: Instant,
    /// The end of the first answered request after it; `None` if the trace ends before.
    pub recovered: Option<Instant>,
    /// From `first_fail` to `recovered`, or to the end of the last request.
    pub duration: Duration,
    /// How many requests failed in it.
    pub failed: usize,
}

/// What a failover looked like to a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failover {
    /// From the fault to the **end** of the earliest complete answer by another pod: the user-visible gap, the
    /// number that goals are set for. It includes up to one period of waiting for the next request.
    pub gap: Duration,
    /// From the fault to the **start** of that request: when the way to the new pod was open at the latest.
    pub open: Duration,
    /// Who answered.
    pub new: Arc<str>,
    /// Requests that failed, of those that ended after the fault. A request still under way when the trace
    /// was taken is not in it: see [`crate::client::Client::wait_failover`].
    pub failed: usize,
    /// From the fault to the end of the last answer by the old pod; `None` if it answered no more.
    pub last_old: Option<Duration>,
}

/// All requests, in the order of their starts.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    samples: Vec<Sample>,
}

impl Trace {
    /// Puts the samples in order.
    pub fn new(mut samples: Vec<Sample>) -> Self {
        samples.sort_by_key(|sample| (sample.start, sample.end));
        Self { samples }
    }

    /// All requests.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// How many failed.
    pub fn failed(&self) -> usize {
        self.samples.iter().filter(|sample| sample.failure().is_some()).count()
    }

    /// How many failed that a change of the packet filter does not explain. A change explains one request that began when it was
    /// committed, see [`crate::commits`]. `commits`: when each commit was seen, which is shortly after it was made.
    pub fn failed_outside(&self, commits: &[Instant]) -> usize {
        let mut commits = commits.to_vec();
        let failed = self.samples.iter().filter(|sample| sample.failure().is_some());
        let unexplained = failed.filter(|sample| {
            let met = commits.iter().position(|commit| {
                sample.start + COMMIT_SEEN >= *commit && sample.start <= *commit + COMMIT_LATE
            });
            met.map(|index| commits.remove(index)).is_none()
        });
        unexplained.count()
    }

    /// How many failed in which way.
    pub fn failures(&self) -> BTreeMap<Failure, usize> {
        let mut counts = BTreeMap::new();
        for failure in self.samples.iter().filter_map(Sample::failure) {
            *counts.entry(failure).or_default() += 1;
        }
        counts
    }

    /// How often each pod answered.
    pub fn answers(&self) -> BTreeMap<Arc<str>, usize> {
        let mut counts = BTreeMap::new();
        for sample in &self.samples {
            if let Outcome::Answer { who, .. } = &sample.outcome {
                *counts.entry(Arc::clone(who)).or_default() += 1;
            }
        }
        counts
    }

    /// How often the answering pod changed, from one answered request to the next.
    pub fn changes(&self) -> usize {
        let answered: Vec<&str> = self.samples.iter().filter_map(Sample::who).collect();
        answered.windows(2).filter(|pair| pair.first() != pair.last()).count()
    }

    /// The last pod that answered a request which ended before an instant.
    pub fn who_before(&self, instant: Instant) -> Option<&str> {
        self.samples
            .iter()
            .filter(|sample| sample.end <= instant && sample.who().is_some())
            .max_by_key(|sample| sample.end)
            .and_then(Sample::who)
    }

    /// The earliest complete answer (by its end) by another pod than `old` to a request that ended after an
    /// instant. A new life of the same pod does not count as another pod.
    pub fn first_answer_by_other(&self, after: Instant, old: &str) -> Option<&Sample> {
        self.samples
            .iter()
            .filter(|sample| sample.end > after && sample.who().is_some_and(|who| who != old))
            .min_by_key(|sample| sample.end)
    }

    /// What the failover after a fault looked like, from the pod that answered last before it to any other.
    /// `None` if nobody answered before the fault, or nobody else after it.
    pub fn failover(&self, fault: Instant) -> Option<Failover> {
        let old = self.who_before(fault)?;
        self.failover_from(fault, old)
    }

    /// Like [`Self::failover`], where the old pod is known.
    pub fn failover_from(&self, fault: Instant, old: &str) -> Option<Failover> {
        let first = self.first_answer_by_other(fault, old)?;
        let Outcome::Answer { who, .. } = &first.outcome else { return None };
        let after = || self.samples.iter().filter(|sample| sample.end > fault);
        let last_old = after().filter(|sample| sample.who() == Some(old)).map(|sample| sample.end).max();
        Some(Failover {
            gap: first.end.saturating_duration_since(fault),
            open: first.start.saturating_duration_since(fault),
            new: Arc::clone(who),
            failed: after().filter(|sample| sample.failure().is_some()).count(),
            last_old: last_old.map(|end| end.saturating_duration_since(fault)),
        })
    }

    /// All stretches of failed requests.
    pub fn gaps(&self) -> Vec<Gap> {
        let mut gaps = Vec::new();
        let mut open: Option<Gap> = None;
        for sample in &self.samples {
            if sample.who().is_some() {
                if let Some(mut gap) = open.take() {
                    gap.recovered = Some(sample.end);
                    gap.duration = sample.end.saturating_duration_since(gap.first_fail);
                    gaps.push(gap);
                }
                continue;
            }
            let gap = open.get_or_insert(Gap {
                first_fail: sample.start,
                recovered: None,
                duration: Duration::ZERO,
                failed: 0,
            });
            gap.failed += 1;
            gap.duration = gap.duration.max(sample.end.saturating_duration_since(gap.first_fail));
        }
        gaps.extend(open);
        gaps
    }

    /// The first stretch of failed requests that had not ended at an instant.
    pub fn gap_after(&self, instant: Instant) -> Option<Gap> {
        self.gaps().into_iter().find(|gap| gap.recovered.is_none_or(|end| end > instant))
    }

    /// The longest stretch of failed requests.
    pub fn longest_gap(&self) -> Option<Gap> {
        self.gaps().into_iter().max_by_key(|gap| gap.duration)
    }

    /// Whether two pods took turns: a pod answered a request that was *started* after another pod had already
    /// completed an answer, although it had been left before. Counts such requests.
    pub fn answers_by_left_pods(&self) -> usize {
        let mut left: Vec<(&str, Instant)> = Vec::new();
        let mut current: Option<&str> = None;
        let mut count = 0;
        for sample in &self.samples {
            let Some(who) = sample.who() else { continue };
            if left.iter().any(|(pod, since)| *pod == who && sample.start > *since) {
                count += 1;
                continue;
            }
            if let Some(previous) = current
                && previous != who
            {
                left.push((previous, sample.end));
            }
            current = Some(who);
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a`, `b`, … answer; `-` fails. One request every 10 ms, each lasting 2 ms.
    fn trace(zero: Instant, pattern: &str) -> Trace {
        let samples = pattern.chars().enumerate().map(|(index, letter)| {
            let start = zero + Duration::from_millis(10 * u64::try_from(index).unwrap());
            let outcome = match letter {
                '-' => Outcome::Failed(Failure::Refused),
                who => Outcome::Answer { who: who.to_string().into(), start_id: 1 },
            };
            Sample { start, end: start + Duration::from_millis(2), outcome }
        });
        Trace::new(samples.collect())
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_failover_is_measured_to_the_end_of_the_first_new_answer() {
        let zero = Instant::now();
        let trace = trace(zero, "aaa--bbb");
        let failover = trace.failover(zero + ms(25)).unwrap();
        assert_eq!(failover.gap, ms(27));
        assert_eq!(failover.open, ms(25));
        assert_eq!(&*failover.new, "b");
        assert_eq!(failover.failed, 2);
        assert_eq!(failover.last_old, None);
    }

    #[test]
    fn an_old_pod_that_still_answers_is_reported() {
        let zero = Instant::now();
        let trace = trace(zero, "aaababb");
        let failover = trace.failover(zero + ms(15)).unwrap();
        assert_eq!(failover.gap, ms(17));
        assert_eq!(failover.last_old, Some(ms(27)));
        assert_eq!(trace.answers_by_left_pods(), 1);
        assert_eq!(trace.changes(), 3);
    }

    #[test]
    fn without_another_pod_there_is_no_failover() {
        let zero = Instant::now();
        assert_eq!(trace(zero, "aa--aa").failover(zero + ms(15)), None);
        assert_eq!(trace(zero, "--bb").failover(zero + ms(5)), None);
    }

    #[test]
    fn gaps_run_from_the_first_failure_to_the_next_answer() {
        let zero = Instant::now();
        let trace = trace(zero, "a-a---b");
        let gaps = trace.gaps();
        assert_eq!(gaps.len(), 2);
        assert_eq!((gaps[0].duration, gaps[0].failed), (ms(12), 1));
        assert_eq!((gaps[1].duration, gaps[1].failed), (ms(32), 3));
        assert_eq!(trace.longest_gap(), Some(gaps[1]));
        assert_eq!(trace.gap_after(zero + ms(25)), Some(gaps[1]));
        assert_eq!(trace.gap_after(zero + ms(63)), None);
        assert_eq!(trace.failed(), 4);
        assert_eq!(trace.failures()[&Failure::Refused], 4);
    }

    #[test]
    fn one_request_may_fail_for_each_commit_it_met_and_no_other() {
        let zero = Instant::now();
        let trace = trace(zero, "aaa-aa--aa");
        assert_eq!(trace.failed_outside(&[]), 3);
        assert_eq!(trace.failed_outside(&[zero + ms(31)]), 2);
        assert_eq!(trace.failed_outside(&[zero + ms(31), zero + ms(62)]), 1, "two in a row are an outage");
        assert_eq!(trace.failed_outside(&[zero + ms(200)]), 3);
    }

    #[test]
    fn a_gap_without_end_is_open() {
        let zero = Instant::now();
        let gap = trace(zero, "a--").gap_after(zero).unwrap();
        assert_eq!(gap.recovered, None);
        assert_eq!(gap.duration, ms(12));
    }

    #[test]
    fn samples_are_put_in_order() {
        let zero = Instant::now();
        let mut samples = trace(zero, "ab").samples().to_vec();
        samples.reverse();
        assert_eq!(Trace::new(samples).who_before(zero + ms(5)), Some("a"));
    }
}
