//! What others write to the Lease that the group follows.

use super::facts;
use super::session::Session;
use super::words::Words;
use hotstandby_core::follow::FollowedLease;
use hotstandby_core::ids::Term;
use hotstandby_core::observation::Observation;
use hotstandby_core::seat::SeatRecord;
use std::sync::Arc;

/// `lease HOLDER [pod=] [term=N or none] [marked] [timeless] [anew]`, or `lease renewed, released, deleted, lapsed, refused or granted`.
///
/// `pod=`: who that truly is, where the text does not say it; `marked`: marks name the pod's UID; `timeless`: the server
/// notes no times; `anew`: the Lease was deleted and made again. `renewed by=POD`: by the program of another pod of the same name;
/// `lapsed before-renewal`: it is renewed before the group hears that it was not.
pub(super) fn write(session: &mut Session, words: &mut Words) -> Result<(), String> {
    let what = words.next()?;
    let rv = session.world.next_rv();
    let now_ms = session.world.unix_ms();
    let written_ms = (!words.flag("timeless")).then_some(now_ms / 1000 * 1000);
    match &*what {
        "deleted" => session.world.deleted_seat = session.world.seat.take(),
        "refused" | "granted" => session.world.lease_refused = what == "refused",
        "lapsed" => {
            let lapsed = session.world.seat.as_ref().map(|seat| seat.rv.clone());
            if words.flag("before-renewal") {
                session.world.seat.as_mut().ok_or("no lease")?.rv = rv;
            }
            session.observe(Observation::SeatLapsed(lapsed));
        }
        "renewed" | "released" => {
            let by =
                words.value("by").and_then(|pod| session.world.pods.get(&*pod)).map(|pod| pod.uid.clone());
            let record = session.world.seat.as_ref().ok_or("no lease")?;
            if let (Some(by), Some(term)) = (by, record.term) {
                let uid = record.uid.clone();
                session.world.tell(&facts::followed_seat(&uid, Some(term), Some(&by)));
            }
            let record = session.world.seat.as_mut().ok_or("no lease")?;
            record.rv = rv;
            if what == "released" {
                record.holder = None;
            }
            if let Some(lease) = record.followed.as_mut() {
                lease.written_ms = written_ms;
            }
            session.observe(Observation::SeatLapsed(None));
        }
        holder => take(session, words, holder, written_ms)?,
    }
    Ok(())
}

fn take(
    session: &mut Session,
    words: &mut Words,
    holder: &str,
    written_ms: Option<i64>,
) -> Result<(), String> {
    let (anew, marked) = (words.flag("anew"), words.flag("marked"));
    let world = &mut session.world;
    let pod = words.value("pod").unwrap_or_else(|| holder.split('_').next().unwrap_or_default().to_owned());
    let pod = world.pods.get(&*pod).map(|pod| pod.uid.clone());
    let had = world.seat.take().filter(|_| !anew);
    let term = match words.value("term").as_deref() {
        Some("none") => None,
        Some(number) => Some(Term(number.parse().map_err(|_| "term=NUMBER")?)),
        None => had.as_ref().map_or(Some(Term(0)), |had| had.term.map(Term::next)),
    };
    let uid = had.map_or_else(|| world.next_uid("l"), |had| had.uid);
    world.tell(&facts::followed_seat(&uid, term, pod.as_ref()));
    let name: Arc<str> = world.followed().ok_or("no lease is followed")?;
    let followed = FollowedLease {
        name,
        holder_uid: pod.filter(|_| marked),
        acquired_ms: Some(world.unix_ms()),
        written_ms,
        duration: Some(std::time::Duration::from_secs(15)),
    };
    world.seat = Some(SeatRecord {
        uid,
        rv: world.next_rv(),
        holder: Some(holder.into()),
        term,
        marks: None,
        controller: None,
        followed: Some(Box::new(followed)),
    });
    Ok(())
}
