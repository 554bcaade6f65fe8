//! The command language; `cases/README.md` is its manual.

use super::objects;
use super::print;
use super::probing::Behaviour;
use super::session::{Echo, Failure, Session};
use super::words::{Words, duration};
use hotstandby_core::notice::Delivery;
use hotstandby_core::observation::Observation;
use hotstandby_core::seat::SeatState;
use hotstandby_core::view::ServiceFound;
use hotstandby_invariants::Invariant;

/// Runs one command; a group that was told something is stepped until it rests.
pub(super) fn run(session: &mut Session, line: &str) -> Result<(), String> {
    let (line, quietly) = line.strip_prefix("quietly ").map_or((line, false), |rest| (rest, true));
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    if verb == "case" {
        let out = std::mem::take(&mut session.out);
        *session = Session::new();
        session.out = out;
        return Ok(());
    }
    let words = Words::parse(rest);
    if objects::change(session, verb, rest, quietly)? {
        if !quietly {
            session.settle();
        }
        return Ok(());
    }
    if show(session, verb)? {
        return words.finish();
    }
    act(session, verb, words)
}

fn show(session: &mut Session, verb: &str) -> Result<bool, String> {
    match verb {
        "status" => {
            let report = session.group.last_report().ok_or("nothing was published")?;
            session.out.push_str(&print::report(report));
        }
        "live" => {
            let mut lines = vec![print::seat(session.world.seat.as_ref())];
            let name_of = |uid: &hotstandby_core::ids::Uid| session.name_of(uid);
            for service in &session.world.services {
                match &service.found {
                    ServiceFound::Usable(usable) => lines.extend(usable.own.values().map(print::slice)),
                    ServiceFound::Selecting(selecting) => {
                        let marked = if selecting.mark.is_some() { " marked" } else { "" };
                        let selector = print::pairs(&selecting.selector, &name_of);
                        lines.push(format!("selector {} {selector}{marked}", service.name));
                    }
                    _ => {}
                }
            }
            for pod in session.world.pods.values().filter(|pod| !pod.labels.is_empty()) {
                let marked = if pod.mark.is_some() { " marked" } else { "" };
                lines.push(format!("pod {} {}{marked}", pod.name, print::pairs(&pod.labels, &name_of)));
            }
            session.out.push_str(&(lines.join("\n") + "\n"));
        }
        "plan" => {
            for target in session.group.probe_plan() {
                let name = session.name_of(&target.uid);
                session.say(&print::target(&target, &name));
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn act(session: &mut Session, verb: &str, mut words: Words) -> Result<(), String> {
    match verb {
        "restart" => session.restart(words.flag("seat-first")),
        "lead" | "follower" => {
            session.lead = verb == "lead";
            session.observe(Observation::Lead(session.lead));
        }
        "auto" | "manual" => session.auto = verb == "auto",
        "serve" => match words.rest().first().map(String::as_str) {
            Some("one") => session.serve_one(),
            _ => session.serve(),
        },
        "capture" => session.capture(),
        "deliver" => session.deliver(),
        "step" => {}
        "watch" => watch(session, &words.next()?)?,
        "echo" => {
            session.echo = match &*words.next()? {
                "before" => Echo::Before,
                "after" => Echo::After,
                _ => Echo::Never,
            };
        }
        "fail" => fail(session, &mut words)?,
        "hear" => {
            session.hears = match &*words.next()? {
                "sent" => Ok(Delivery::Sent),
                "acknowledged" => Ok(Delivery::Acknowledged),
                other => Err(other.into()),
            };
        }
        "peers" => session.veto = words.value("veto").map(Into::into),
        "probe" => probe(session, &mut words)?,
        "probing" => {
            session.probing.on = words.next()? == "on";
            return words.finish();
        }
        "behave" => {
            let pods = words.rest();
            let (how, pods) = pods.split_last().ok_or("behave POD… HOW")?;
            for pod in pods {
                session.probing.behave(pod, Behaviour::parse(how)?);
            }
            return words.finish();
        }
        "tripwire" => {
            let pod = words.next()?;
            let uid = session.world.pods.get(&*pod).ok_or("no such pod")?.uid.clone();
            let at = session.world.mono;
            session.observe(Observation::TripwireClosed { uid, at });
        }
        "tripwire-off" => {
            let pod = words.next()?;
            let uid = session.world.pods.get(&*pod).ok_or("no such pod")?.uid.clone();
            session.observe(Observation::TripwireState { uid, off: Some("AppClosesIdle") });
        }
        "gap" => session.observe(Observation::ClockGap),
        "advance" => session.advance(duration(&words.next()?)?),
        "quiet" => {
            let span = duration(&words.next()?)?;
            (session.probing.on, session.noise) = (true, 0);
            session.advance(span);
            if session.noise == 0 {
                session.say("quiet");
            } else {
                session.say(&format!("VIOLATION: {}", Invariant::Silent.broken("it is not quiet")));
            }
        }
        other => return Err(format!("{other} is no command")),
    }
    words.finish()?;
    session.settle();
    Ok(())
}

fn watch(session: &mut Session, what: &str) -> Result<(), String> {
    match what {
        "pods" => session.see_pods(),
        "services" => session.see_services(),
        "nodes" => session.see_nodes(),
        "seat" => session.see_seat(),
        "gone-pods" => {
            let world = &session.world;
            let pods = world.pods.values().chain(&world.gone_pods).cloned().collect();
            session.observe(Observation::Members(pods));
        }
        "deleted-seat" => {
            let record = session.world.deleted_seat.clone().ok_or("no seat was deleted")?;
            session.observe(Observation::Seat(SeatState::Present(record)));
        }
        "no-seat" => session.observe(Observation::Seat(SeatState::Absent)),
        "all" => session.see_all(),
        other => return Err(format!("{other} is not watched")),
    }
    Ok(())
}

fn fail(session: &mut Session, words: &mut Words) -> Result<(), String> {
    let what = words.next()?;
    let queue = match &*what {
        "seat" => &mut session.seat_failures,
        "slice" => &mut session.slice_failures,
        "read" => &mut session.read_failures,
        "label" => &mut session.label_failures,
        "pointer" => &mut session.pointer_failures,
        "deletion" => &mut session.deletion_failures,
        other => return Err(format!("{other} cannot fail")),
    };
    let failure = match &*words.next()? {
        "conflict" => Failure::Conflict,
        "refused" => Failure::Refused,
        "unknown" => Failure::Unknown,
        "unknown-applied" => Failure::UnknownApplied,
        other => return Err(format!("{other} is no failure")),
    };
    let times = words.number("times")?.unwrap_or(1);
    queue.extend(std::iter::repeat_n(failure, times));
    Ok(())
}

/// `probe POD… HOW [sent-before=10ms] [spans-gap]`: reports that arrive now.
fn probe(session: &mut Session, words: &mut Words) -> Result<(), String> {
    let spans_gap = words.flag("spans-gap");
    let before = words.duration("sent-before")?.unwrap_or_default();
    let pods = words.rest();
    let (how, pods) = pods.split_last().ok_or("probe POD… HOW")?;
    let behaviour = Behaviour::parse(how)?;
    let done = session.world.mono;
    for pod in pods {
        let uid = session.world.pods.get(&**pod).ok_or("no such pod")?.uid.clone();
        if let Some(mut report) = behaviour.report(uid, done.saturating_sub(before), done) {
            report.spans_gap = spans_gap;
            session.observe(Observation::Probe(report));
        }
    }
    Ok(())
}
