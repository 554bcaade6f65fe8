//! What is done to the active, and what comes of it.

use crate::args::Act;
use crate::client_view::doubled;
use crate::observer::{Active, Seen, Told, ago};
use crate::screen::{Screen, Style};
use crate::stage::Stage;
use anyhow::{Context as _, Result};
use hotstandby_testbed::draw::{Moment, Strip, timeline};
use hotstandby_testbed::trace::Trace;
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// For what takes a moment on any machine.
const PATIENT: Duration = Duration::from_secs(20);
/// hotstandby changes a group at most so often within so long, whatever the cause.
const MOST_CHANGES: usize = 3;
const CHANGES_WINDOW: Duration = Duration::from_millis(10_200);
/// How long after the first answer the client is watched for answers by the old pod.
const WATCHED: Duration = Duration::from_millis(1_500);
/// After so long the client has given up a request.
const GIVEN_UP: Duration = Duration::from_millis(500);
/// What the strip shows before the fault, and after the first answer.
const STRIP: Duration = Duration::from_millis(60);
/// Letters of a strip.
const LETTERS: usize = 64;
/// Between two pictures.
const FRAME: Duration = Duration::from_millis(50);

/// What came of an act.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) act: Act,
    /// Milliseconds from the fault to the proof, the seat, the slice, and the first answer by another pod.
    pub(crate) proven: f64,
    pub(crate) seat: f64,
    pub(crate) slice: f64,
    pub(crate) answer: f64,
    /// Requests in the time that was looked at.
    pub(crate) requests: usize,
    pub(crate) failed: usize,
    /// Milliseconds without an answer.
    pub(crate) gap: f64,
    /// Requests answered by the old pod after the new one had answered.
    pub(crate) doubled: usize,
}

impl Act {
    /// How long it may take: generous, for slow and busy machines.
    pub(crate) fn limit(self) -> Duration {
        match self {
            Self::Kill | Self::Drain => Duration::from_secs(2),
            Self::Hang => Duration::from_secs(5),
        }
    }

    /// In the summary.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "killed",
            Self::Hang => "hung",
            Self::Drain => "drained",
        }
    }

    fn headline(self, active: &Active, pid: u32) -> String {
        let Active { pod, node, .. } = active;
        match self {
            Self::Kill => format!("kill -KILL {pid}: the process of {pod}, the active, dies"),
            Self::Hang => {
                format!("kill -STOP {pid}: {pod}, the active, accepts connections and never answers")
            }
            Self::Drain => format!("kubectl drain {node}: {pod}, the active, is asked to end"),
        }
    }

    fn fault(self, active: &Active) -> String {
        match self {
            Self::Kill => format!("{} is killed", active.pod),
            Self::Hang => format!("{} is stopped", active.pod),
            Self::Drain => format!("{} is evicted, and serves on for 1.1 s", active.pod),
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Kill => "first sign: a connection broke",
            Self::Hang => "first sign: a probe timed out",
            Self::Drain => "first sign: the pod is terminating",
        }
    }
}

/// Waits until the group is served and everybody else in it fit.
pub(crate) async fn served(stage: &mut Stage) -> Result<Active> {
    let settled = |seen: &Seen| seen.is_settled().then(|| seen.active()).flatten();
    let search = stage.observer.until(PATIENT, "the group to be served with two standbys", settled);
    tokio::select! {
        active = search => active,
        ended = stage.replicas.ended() => Err(ended),
    }
}

/// Waits until the group rests: everybody fit, the client served, and hotstandby free to act.
async fn settle(stage: &mut Stage) -> Result<Active> {
    loop {
        let active = served(stage).await?;
        let window = ago(CHANGES_WINDOW)?;
        let client = stage.client.as_ref().context("the client has ended")?;
        let seen = stage.observer.seen();
        if seen.seats_since(window) < MOST_CHANGES && client.is_served_by(&active.pod) {
            return Ok(active);
        }
        tokio::time::sleep(FRAME).await;
    }
}

/// One act, from the fault to what the client saw a second later.
pub(crate) async fn perform(
    act: Act,
    number: usize,
    stage: &mut Stage,
    screen: &mut Screen,
) -> Result<Outcome> {
    let pause = "  waiting: hotstandby moves a group at most three times in ten seconds";
    screen.picture(&[String::new(), screen.paint(Style::Faint, pause)]);
    let active =
        tokio::time::timeout(PATIENT, settle(stage)).await.context("waiting for the group to rest")??;
    let container = Stage::container(&active.uid);
    let pid = stage.processes.pid(&container).context("the active has no process")?;
    screen.say(&screen.paint(Style::Strong, &format!("\n{number}. {}", act.headline(&active, pid))));
    begin(stage).await?;
    let hurt = match act {
        Act::Kill => stage.processes.signal(&container, Signal::SIGKILL).await,
        Act::Hang => stage.processes.signal(&container, Signal::SIGSTOP).await,
        Act::Drain => {
            let at = Instant::now();
            stage.driver.with(|world, server| world.drain(server, &active.node));
            Some(at)
        }
    };
    let hurt = hurt.context("the active's process ended by itself")?;
    let picture = Picture { act, active: &active, hurt };
    let followed = picture.follow(stage, screen).await;
    // Whatever came of it, the next act finds all as it was.
    match act {
        Act::Kill => {}
        Act::Hang => {
            // Not before the client has given up what it sent to it: that would be answered late, and is no news.
            tokio::time::sleep(GIVEN_UP).await;
            stage.processes.signal(&container, Signal::SIGCONT).await;
        }
        Act::Drain => stage.driver.with(|world, server| world.cordon(server, &active.node, false)),
    }
    followed?;
    picture.finish(stage, screen).await
}

/// A fresh trace with a few requests in it.
async fn begin(stage: &mut Stage) -> Result<()> {
    let client = stage.client.as_mut().context("the client has ended")?;
    client.begin();
    let busy = async {
        while client.trace().samples().len() < 15 {
            tokio::time::sleep(FRAME).await;
        }
    };
    tokio::time::timeout(PATIENT, busy).await.context("waiting for the client's first requests")
}

/// A failover while it happens.
struct Picture<'a> {
    act: Act,
    active: &'a Active,
    hurt: Instant,
}

impl Picture<'_> {
    /// Shows it until another pod answers.
    async fn follow(&self, stage: &mut Stage, screen: &mut Screen) -> Result<()> {
        let limit = self.act.limit() + PATIENT;
        let end = tokio::time::Instant::now() + limit;
        loop {
            stage.replicas.check()?;
            let client = stage.client.as_ref().context("the client has ended")?;
            let trace = client.trace();
            if screen.moves() {
                screen.picture(&self.draw(&stage.observer.seen(), &trace, screen));
            }
            if trace.failover_from(self.hurt, &self.active.pod).is_some() {
                return Ok(());
            }
            anyhow::ensure!(tokio::time::Instant::now() < end, "nobody took over within {limit:?}");
            tokio::time::sleep(FRAME).await;
        }
    }

    /// Waits until everything is told and known, and shows it for good.
    async fn finish(&self, stage: &mut Stage, screen: &mut Screen) -> Result<Outcome> {
        let term = self.active.term;
        let told = |seen: &Seen| seen.seat_after(term).and_then(|seat| seen.told(seat.term));
        let told = stage.observer.until(PATIENT, "the group's history to tell of the change", told).await?;
        let client = stage.client.as_ref().context("the client has ended")?;
        screen.picture(&self.draw(&stage.observer.seen(), &client.trace(), screen));
        let first =
            client.trace().failover_from(self.hurt, &self.active.pod).context("the answer is gone")?;
        let end = self.hurt + first.gap + WATCHED;
        tokio::time::sleep(end.saturating_duration_since(Instant::now())).await;
        let (seen, trace) = (stage.observer.seen(), client.trace());
        stage.replicas.check()?;
        for line in self.draw(&seen, &trace, screen) {
            screen.say(&line);
        }
        self.outcome(&seen, &trace, &told)
    }

    fn outcome(&self, seen: &Seen, trace: &Trace, told: &Told) -> Result<Outcome> {
        let (old, term) = (self.active.pod.as_str(), self.active.term);
        let failover = trace.failover_from(self.hurt, old).context("the answer is gone")?;
        let seat = self.since(seen.seat_after(term).context("the seat did not change")?.at);
        let slice = self.since(seen.slice_after(term).context("the slice did not change")?.at);
        let [_, decide, write, _] = told.stages;
        let gap = trace.longest_gap().map_or(Duration::ZERO, |gap| gap.duration);
        Ok(Outcome {
            act: self.act,
            proven: (seat - write - decide).max(0.0),
            seat,
            slice,
            answer: millis(failover.gap),
            requests: trace.samples().len(),
            failed: trace.failed(),
            gap: millis(gap),
            doubled: doubled(trace, self.hurt, old),
        })
    }

    fn since(&self, at: Instant) -> f64 {
        millis(at.saturating_duration_since(self.hurt))
    }

    /// What is known by now.
    fn draw(&self, seen: &Seen, trace: &Trace, screen: &Screen) -> Vec<String> {
        let old = self.active.pod.as_str();
        let mut moments = vec![Moment::new(0.0, self.act.fault(self.active))];
        self.draw_change(seen, &mut moments);
        let failover = trace.failover_from(self.hurt, old);
        if let Some(failover) = &failover {
            moments.push(Moment::new(millis(failover.gap), format!("{} answers", failover.new)));
        }
        let mut lines: Vec<String> = timeline(moments).into_iter().map(|line| format!("  {line}")).collect();
        let known = failover.map_or_else(|| self.hurt.elapsed(), |failover| failover.gap);
        let strip = Strip::new(trace, self.hurt, old, STRIP, known + STRIP, LETTERS);
        let each =
            if strip.each == 1 { "a request".to_owned() } else { format!("for {} requests", strip.each) };
        let key = format!("  one letter {each}, 5 ms apart: A {old}, B another, x failed, ^ the fault");
        lines.push(screen.paint(Style::Faint, &key));
        lines.push(format!("  {}", paint(&strip.letters, screen)));
        lines.push(format!("  {}", strip.mark()));
        lines
    }

    /// The change as seat, slice and history tell it.
    fn draw_change(&self, seen: &Seen, moments: &mut Vec<Moment>) {
        let Some(seat) = seen.seat_after(self.active.term) else { return };
        let new = seat.pod.as_deref().unwrap_or("nobody");
        let at = self.since(seat.at);
        moments.push(Moment::new(at, format!("seat: {new}, term {}", seat.term)));
        if let Some(slice) = seen.slice_after(self.active.term) {
            moments.push(Moment::new(self.since(slice.at), format!("slice: {new}, the Service leads to it")));
        }
        let Some(told) = seen.told(seat.term) else { return };
        let [detect, decide, write, _] = told.stages;
        let proven = (at - write - decide).max(0.0);
        if detect >= 0.1 {
            moments.push(Moment::new((proven - detect).max(0.0), self.act.sign()));
            moments.push(Moment::new(proven, format!("detected: {}", told.reason)));
        } else {
            moments.push(Moment::new(proven, format!("detected at once: {}", told.reason)));
        }
    }
}

/// Letters in colours.
fn paint(letters: &str, screen: &Screen) -> String {
    let mut painted = String::new();
    let mut rest = letters;
    while let Some(first) = rest.chars().next() {
        let length = rest.find(|letter| letter != first).unwrap_or(rest.len());
        let (same, others) = rest.split_at(length);
        painted += &match first {
            'x' => screen.paint(Style::Bad, same),
            'B' => screen.paint(Style::Good, same),
            _ => same.to_owned(),
        };
        rest = others;
    }
    painted
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
