//! The client: a new connection to the Service every 5 ms, and a note of who answered.

use anyhow::Result;
use hotstandby_testbed::client::{Client, ClientConfig};
use hotstandby_testbed::trace::{Sample, Trace};
use std::net::SocketAddr;
use std::time::Instant;

/// The client, and what it has seen before the present act.
pub(crate) struct ClientView {
    client: Client,
    past: Vec<Sample>,
}

impl ClientView {
    pub(crate) fn start(service: SocketAddr) -> Result<Self> {
        Ok(Self { client: Client::start(None, ClientConfig::new(service))?, past: Vec::new() })
    }

    /// Begins a new act.
    pub(crate) fn begin(&mut self) {
        self.past.extend(self.client.take().samples().iter().cloned());
    }

    /// What it has seen in this act.
    pub(crate) fn trace(&self) -> Trace {
        self.client.snapshot()
    }

    /// Whether the last requests were all answered by this pod.
    pub(crate) fn is_served_by(&self, pod: &str) -> bool {
        let trace = self.trace();
        let last: Vec<&Sample> = trace.samples().iter().rev().take(20).collect();
        last.len() == 20 && last.iter().all(|sample| sample.who() == Some(pod))
    }

    /// Ends it, and tells all it has seen.
    pub(crate) fn end(self) -> Result<Trace> {
        let Self { client, mut past } = self;
        past.extend(client.stop()?.samples().iter().cloned());
        Ok(Trace::new(past))
    }
}

/// Requests that the old pod answered although they were begun after another one had answered: there were two.
pub(crate) fn doubled(trace: &Trace, fault: Instant, old: &str) -> usize {
    let Some(first) = trace.first_answer_by_other(fault, old) else { return 0 };
    let late = |sample: &&Sample| sample.who() == Some(old) && sample.start > first.end;
    trace.samples().iter().filter(late).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotstandby_testbed::trace::Outcome;
    use std::time::Duration;

    #[test]
    fn an_old_pod_that_answers_again_is_counted() {
        let zero = Instant::now();
        let sample = |at: u64, lasts: u64, who: &str| Sample {
            start: zero + Duration::from_millis(at),
            end: zero + Duration::from_millis(at + lasts),
            outcome: Outcome::Answer { who: who.into(), start_id: 1 },
        };
        // The second one began before the other pod was there: an answer that was late, and no two at once.
        let seen = [sample(0, 1, "a"), sample(12, 20, "a"), sample(20, 1, "b"), sample(30, 1, "b")];
        let fault = zero + Duration::from_millis(10);
        assert_eq!(doubled(&Trace::new(seen.to_vec()), fault, "a"), 0);
        let twice = [seen.to_vec(), vec![sample(40, 1, "a")]].concat();
        assert_eq!(doubled(&Trace::new(twice), fault, "a"), 1);
    }
}
