//! The tripwire: one idle TCP connection to the active's port, whose close tells of a dead process within
//! milliseconds. Its close is no proof; it only makes a probe due at once.
//!
//! - It is opened after a successful probe, and at once a second connection is tried beside it: the full probe,
//!   with half the time-out, so that a server that serves one connection at a time is free again before the next
//!   periodic probe. No answer: [`SINGLE_CONNECTION`], and the tripwire stays off for this target.
//! - A close with a healthy probe after it, sent at least [`REFUTED_AFTER`] later, and no failure between, was the server
//!   closing an idle connection. After three of these: [`CLOSES_IDLE_CONNECTIONS`]. A connection that lived 15 s does not count and is simply
//!   opened again: opening four a minute is far less than the probing itself, and common servers close idle
//!   connections after 20, 30 or 60 s.
//! - TCP keepalive finds connections whose other end vanished. What it ends is no close: it is opened again
//!   quietly.
//! - Where the tripwire is off, a connect-and-reset every 50 ms serves. Only refusals of these are reported, since a
//!   server that lets one connect says nothing of its health.
//!
//! Not promised: a server that counts connections without a request against the client (`MySQL`'s
//! `max_connect_errors`) dislikes this as it dislikes any TCP probe. Give it an HTTP probe or `mode: Off`.

use crate::connect::{ConnectError, connect};
use crate::probe::probe;
use crate::target::{Lane, Seen, Target};
use hotstandby_core::health::Outcome;
use hotstandby_core::observation::Observation;
use hotstandby_core::spec::SHORTEST_PERIOD;
use hotstandby_core::suspicion::REFUTED_AFTER;
use socket2::{SockRef, TcpKeepalive};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Off: the server answers no second connection while the first idles.
pub const SINGLE_CONNECTION: &str = "SingleConnection";
/// Off: the server closes idle connections soon.
pub const CLOSES_IDLE_CONNECTIONS: &str = "ClosesIdleConnections";
/// Off: the server sends without being asked, more than a greeting.
pub const NOT_IDLE: &str = "NotIdle";

/// A connection that lived this long is worth opening again.
const WORTH_REOPENING: Duration = Duration::from_secs(15);
/// Closes of idle connections, or wrong answers to the second one, until the tripwire turns itself off.
const PATIENCE: u32 = 3;
/// The longest the second connection is waited for.
const LONGEST_TEST: Duration = Duration::from_millis(250);
/// Bytes of greeting read and thrown away.
const GREETING: usize = 64 * 1024;
/// Idle time until keepalive asks, and between its questions.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(5));

/// Holds the tripwire to the target for ever.
pub(crate) async fn run(target: Arc<Target>) {
    let seen = target.seen();
    let mut tripwire = Tripwire { target: &target, seen, closes: 0, wrong_tests: 0, told: false };
    let off = tripwire.hold().await;
    tracing::info!(uid = %target.spec.uid, off, "tripwire off; connecting every 50 ms instead");
    target.emit(Observation::TripwireState { uid: target.spec.uid.clone(), off: Some(off) });
    connect_and_reset(&target).await;
}

struct Tripwire<'t> {
    target: &'t Target,
    seen: watch::Receiver<Seen>,
    /// Idle connections closed by a healthy server.
    closes: u32,
    /// Wrong answers in a row beside an open tripwire.
    wrong_tests: u32,
    /// The core knows that the tripwire is on.
    told: bool,
}

/// How one connection's life went on.
enum Life {
    /// There was none, or it ended for a reason that says nothing.
    Nothing,
    /// It was closed.
    Closed { lived: Duration },
    /// No more of this.
    Off(&'static str),
}

/// How an idle connection ended.
enum End {
    Closed,
    /// The way was lost, not the process.
    Lost,
    NotIdle,
}

impl Tripwire<'_> {
    /// Opens, waits and opens again, until it turns itself off and says why.
    async fn hold(&mut self) -> &'static str {
        let mut after = None;
        loop {
            self.success_since(after).await;
            let life = self.live().await;
            let at = self.target.ctx.clock.mono();
            after = Some(at);
            match life {
                Life::Nothing => {}
                Life::Off(why) => return why,
                Life::Closed { lived } => {
                    let failures = self.seen.borrow().failures;
                    let uid = self.target.spec.uid.clone();
                    self.target.emit(Observation::TripwireClosed { uid, at });
                    // A process that is killed may still answer for some milliseconds: that is no idle close.
                    self.success_since(Some(at + REFUTED_AFTER)).await;
                    let failed_since = self.seen.borrow().failures != failures;
                    self.closes = idle_closes(self.closes, lived, failed_since);
                    if self.closes >= PATIENCE {
                        return CLOSES_IDLE_CONNECTIONS;
                    }
                }
            }
        }
    }

    async fn success_since(&mut self, after: Option<Duration>) {
        let success = |seen: &Seen| seen.success_sent.is_some() && seen.success_sent >= after;
        if self.seen.wait_for(success).await.is_err() {
            // The target, and with it this task, is about to go.
            std::future::pending::<()>().await;
        }
    }

    /// One connection, from its opening to its end.
    async fn live(&mut self) -> Life {
        let Some(mut stream) = open(self.target).await else { return Life::Nothing };
        let opened = self.target.ctx.clock.mono();
        let mut end = pin!(end_of(&mut stream));
        let (tested, sent, done) = tokio::select! {
            biased;
            end = &mut end => return self.after(&end, opened),
            tested = test_second_connection(self.target) => tested,
        };
        if self.target.ctx.clock.spans_gap(sent, done) {
            return Life::Nothing; // this replica stood still, not the server
        }
        match tested {
            Some(Outcome::Success) => self.wrong_tests = 0,
            Some(Outcome::TimedOut) => return Life::Off(SINGLE_CONNECTION),
            Some(Outcome::Wrong) => {
                self.wrong_tests += 1;
                return if self.wrong_tests < PATIENCE {
                    Life::Nothing
                } else {
                    Life::Off(SINGLE_CONNECTION)
                };
            }
            Some(Outcome::Refused) => {
                let refused = (Outcome::Refused, Some("the second connection was refused".into()));
                self.target.report(refused, sent, done);
                return Life::Nothing;
            }
            None => return Life::Nothing,
        }
        if !std::mem::replace(&mut self.told, true) {
            let uid = self.target.spec.uid.clone();
            self.target.emit(Observation::TripwireState { uid, off: None });
        }
        let end = end.await;
        self.after(&end, opened)
    }

    fn after(&self, end: &End, opened: Duration) -> Life {
        match end {
            End::Closed => Life::Closed { lived: self.target.ctx.clock.mono().saturating_sub(opened) },
            End::Lost => Life::Nothing,
            End::NotIdle => Life::Off(NOT_IDLE),
        }
    }
}

/// The count of idle closes after one more close.
fn idle_closes(before: u32, lived: Duration, failed_since: bool) -> u32 {
    if lived >= WORTH_REOPENING {
        0
    } else if failed_since {
        // A process died: that is what the tripwire is for.
        before
    } else {
        before + 1
    }
}

fn addr(target: &Target) -> SocketAddr {
    SocketAddr::new(target.spec.ip, target.spec.port)
}

/// Opens the connection. A refusal is as good a proof as that of any probe, and is reported.
async fn open(target: &Target) -> Option<TcpStream> {
    let trial = timeout(target.spec.timeout, connect(addr(target)));
    let (tried, sent, done) = target.timed(Lane::Periodic, trial).await;
    let stream = match tried.ok()? {
        Ok(stream) => stream,
        Err(ConnectError::Remote(Outcome::Refused, text)) => {
            target.report((Outcome::Refused, Some(text.into())), sent, done);
            return None;
        }
        Err(_) => return None,
    };
    let (idle, between) = KEEPALIVE;
    let keepalive = TcpKeepalive::new().with_time(idle).with_interval(between).with_retries(3);
    // Without it the tripwire works as well, only a vanished peer is not noticed.
    let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
    Some(stream)
}

/// The outcome, or `None` where this machine could not try; and when it began and ended.
async fn test_second_connection(target: &Target) -> (Option<Outcome>, Duration, Duration) {
    let spec = &target.spec;
    let limit = (spec.timeout / 2).min(LONGEST_TEST);
    let trial = Box::pin(probe(spec.ip, spec.port, &spec.wire, limit));
    let (tested, sent, done) = target.timed(Lane::Urgent, trial).await;
    (tested.ok().map(|(outcome, _)| outcome), sent, done)
}

async fn end_of(stream: &mut TcpStream) -> End {
    let mut buffer = [0; 256];
    let mut heard = 0;
    while heard < GREETING {
        match stream.read(&mut buffer).await {
            Ok(0) => return End::Closed,
            Ok(bytes) => heard += bytes,
            Err(error) => {
                return match error.kind() {
                    ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
                        End::Lost
                    }
                    _ => End::Closed,
                };
            }
        }
    }
    End::NotIdle
}

/// What serves where no tripwire can: reports refusals, and nothing else.
async fn connect_and_reset(target: &Target) {
    let mut every = interval(SHORTEST_PERIOD);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let trial = timeout(target.spec.timeout, connect(addr(target)));
        let (tried, sent, done) = target.timed(Lane::Periodic, trial).await;
        if let Ok(Err(ConnectError::Remote(Outcome::Refused, text))) = tried {
            target.report((Outcome::Refused, Some(text.into())), sent, done);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[test]
    fn server_that_closes_idle_connections_is_given_up_after_three() {
        let mut closes = 0;
        for _ in 0..PATIENCE {
            assert!(closes < PATIENCE);
            closes = idle_closes(closes, SOON, false);
        }
        assert_eq!(closes, PATIENCE);
    }

    #[test]
    fn crashes_are_not_taken_for_idle_closes() {
        assert_eq!(idle_closes(2, SOON, true), 2);
    }

    #[test]
    fn server_that_closes_after_long_is_opened_again_for_ever() {
        assert_eq!(idle_closes(2, WORTH_REOPENING, false), 0);
        assert_eq!(idle_closes(2, Duration::from_mins(1), false), 0);
    }
}
