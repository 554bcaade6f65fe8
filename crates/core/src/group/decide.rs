//! Who should hold the seat now, and why. Changes nothing but notes of its own; [`super::change`] acts.

use super::{Group, assess, follow, labels, pointer};
use crate::action::MemberRef;
use crate::candidate::{self, Candidate, Confidence, Unfit};
use crate::facts::{Fact, Standing};
use crate::health::{Failing, Health, Verdict};
use crate::ids::{Now, Rv, Uid};
use crate::reason::Reason;
use crate::seat::{SeatMarks, SeatState};
use crate::spec::{Failback, GroupSpec};
use crate::switchover::{Answer, Phase, Request};
use crate::traffic::{Led, led};
use crate::view::{MemberView, ServiceFound};
use std::sync::Arc;
use std::time::Duration;

/// How long a first choice waits, once it could be made, for the member label of whoever traffic goes to already: its write may
/// be late by some tries, and until then traffic stays where it is.
const INCUMBENT_LABELLED: Duration = Duration::from_secs(5);

/// What should become of the seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is where it should be.
    Stay,
    /// What is known of it is in doubt: it must be read live.
    ReadSeat,
    /// The holder is not among the members, and whether it is gone or not seen yet must be read live.
    ReadHolder(Option<MemberRef>),
    /// Whom a followed Lease names is not known: it must be read live, and the pod of this name.
    ReadNamed {
        /// Since when that is so.
        since: Duration,
        /// The member that has this name, as far as is known.
        known: Option<MemberRef>,
        /// The name.
        name: Option<Arc<str>>,
    },
    /// Others elect, and their Lease says all there is to say.
    Followed,
    /// There is a sign against the holder, but no proof: read ahead, so that proof finds everything ready.
    Suspect {
        /// Who would follow.
        successor: MemberRef,
        /// When the sign was seen.
        since: Duration,
    },
    /// It should move.
    Move(Intent),
    /// The holder looks bad, but nobody is better.
    Hold(Reason),
    /// Nobody holds it who could, and nobody can.
    Vacant,
    /// It should move, but changed hands too often.
    Braked(Reason),
    /// It belongs to another install.
    Foreign,
    /// The group is paused, and nobody who could be served holds the seat.
    Paused,
}

/// A move of the seat that should happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Intent {
    /// From whom, as far as it is known.
    pub(super) from: Option<MemberRef>,
    /// To whom.
    pub(super) to: MemberRef,
    /// Why.
    pub(super) reason: Reason,
    /// The fact that is used up by it.
    pub(super) fact: Option<(Uid, Rv)>,
    /// When the first sign of the cause was seen.
    pub(super) first_sign: Duration,
}

/// Why the holder should be left.
struct Cause {
    reason: Reason,
    fact: Option<(Uid, Rv)>,
    first_sign: Duration,
    /// A successor must have answered after this: only then is it certain that it is not our own network that failed.
    answered_after: Option<Duration>,
    /// A successor must have answered its newest probe.
    must_answer: bool,
}

pub(super) fn member_ref(member: &MemberView) -> MemberRef {
    MemberRef { name: member.name.clone(), uid: member.uid.clone() }
}

pub(super) fn decide(group: &mut Group, spec: &GroupSpec, now: Now) -> Decision {
    if let Some(others) = spec.followed() {
        return follow::decide(group, others, now.mono);
    }
    if group.seat_in_doubt() {
        return Decision::ReadSeat;
    }
    if group.seat_is_foreign() {
        return Decision::Foreign;
    }
    let paused = group.view.as_ref().is_some_and(|view| view.paused);
    answer_request(group, spec, paused);
    let holder = group
        .valid_seat()
        .map(|(_, marks)| MemberRef { name: marks.holder_name.clone(), uid: marks.holder_uid.clone() });
    let wanted = match holder {
        None => claim(group, spec, now.mono),
        Some(holder) => keep_or_leave(group, spec, now.mono, holder),
    };
    match wanted {
        Decision::Move(_) | Decision::Suspect { .. } if paused => {
            let holder = group.holder_uid().and_then(|uid| group.member(uid));
            if holder.is_some_and(MemberView::owns_address) { Decision::Stay } else { Decision::Paused }
        }
        Decision::Move(intent) => {
            if group.brake.allows(now.mono) {
                Decision::Move(intent)
            } else {
                Decision::Braked(intent.reason)
            }
        }
        other => other,
    }
}

/// There is no valid seat: make one, or put it right.
fn claim(group: &mut Group, spec: &GroupSpec, now: Duration) -> Decision {
    let before = last_known(group).cloned();
    let served = served_uid(group, spec);
    let incumbent = before.as_ref().map(|marks| marks.holder_uid.clone()).or(served);
    let reason = match (&group.seat.state, &before) {
        (SeatState::Present(record), _) if is_of_older_group(group, record) => Reason::Initial,
        (SeatState::Present(_), _) => Reason::SeatRepaired,
        (_, Some(_)) => Reason::SeatRecreated,
        (_, None) => Reason::Initial,
    };
    // Whoever was active before somebody touched the seat stays active, unless it cannot.
    let keeper = incumbent
        .as_ref()
        .and_then(|uid| group.member(uid))
        .filter(|member| assess::fitness(group, member).is_none())
        .map(member_ref);
    let to = keeper.or_else(|| {
        assess::candidates(group, spec, None, incumbent.as_ref()).first().map(|best| member_ref(best.member))
    });
    let Some(to) = to else { return Decision::Vacant };
    if reason == Reason::Initial && names_unusable_service(group, spec) {
        return Decision::Vacant; // not accepted: nothing is begun
    }
    if reason == Reason::Initial && !ready_to_choose(group, spec, now, incumbent.as_ref()) {
        return Decision::Stay;
    }
    let from = before.map(|marks| MemberRef { name: marks.holder_name, uid: marks.holder_uid });
    Decision::Move(Intent { from, to, reason, fact: None, first_sign: now })
}

/// Who held the seat before it was touched, by the newest term.
fn last_known(group: &Group) -> Option<&SeatMarks> {
    let mine = group.view.as_ref().map(|view| &view.uid);
    let rumour = group.seat.rumour.as_ref().filter(|marks| Some(&marks.group_uid) == mine);
    let good = group.seat.last_good.as_ref().map(|(_, marks)| marks);
    good.into_iter().chain(rumour).max_by_key(|marks| marks.term)
}

/// Whether the spec names a Service that this group must not lead. One that was good when the seat was made stops no failover
/// for the others.
fn names_unusable_service(group: &Group, spec: &GroupSpec) -> bool {
    group
        .services
        .iter()
        .flatten()
        .any(|service| service.found != ServiceFound::Missing && led(spec, service) == Led::Not)
}

fn is_of_older_group(group: &Group, record: &crate::seat::SeatRecord) -> bool {
    let mine = group.view.as_ref().map(|view| &view.uid);
    record.marks.as_ref().is_some_and(|marks| Some(&marks.group_uid) != mine)
}

/// Whom our own projections name: no evidence of a seat, but where nobody holds it, no reason to move traffic.
fn served_uid(group: &Group, spec: &GroupSpec) -> Option<Uid> {
    let by_slice = group
        .own_slices()
        .filter(|slice| slice.controller.as_deref() == Some(&*group.controller))
        .find_map(|slice| Some(slice.content.as_ref()?.endpoint.as_ref()?.uid.clone()));
    by_slice.or_else(|| pointer::pointed_uid(group)).or_else(|| labelled_uid(group, spec))
}

/// The one fit member with the active's label, whoever put it there. Of two, none is more active than the other.
fn labelled_uid(group: &Group, spec: &GroupSpec) -> Option<Uid> {
    let fit =
        |member: &&MemberView| assess::fitness(group, member).is_none_or(|unfit| unfit == Unfit::NotLabelled);
    let mut carriers = labels::carriers(group, spec.role_label.as_ref()?).filter(fit);
    carriers.next().filter(|_| carriers.next().is_none()).map(|member| member.uid.clone())
}

/// A first choice waits until each fit member was heard of and its label has settled, so that the order decides and not a
/// millisecond; but not for longer than an answer may take, and somewhat longer for the label of whoever traffic goes to now.
fn ready_to_choose(group: &mut Group, spec: &GroupSpec, now: Duration, incumbent: Option<&Uid>) -> bool {
    let fit = assess::candidates(group, spec, None, None);
    let unheard = fit.iter().any(|candidate| {
        let heard = group.detection.health.get(&candidate.member.uid).is_some_and(Health::was_heard_of);
        !heard && super::probes::target(group, spec, candidate.member).is_ok()
    });
    let settling = |member: &MemberView| {
        assess::fitness(group, member) == Some(Unfit::NotLabelled) && !labels::is_refused(group, &member.uid)
    };
    let since = fit.iter().filter_map(|candidate| group.detection.fit_since.get(&candidate.member.uid)).min();
    let waits_for_label = since.is_some() && group.all_members().any(settling);
    let waits_for_incumbent = incumbent.and_then(|uid| group.member(uid)).is_some_and(settling);
    let answers = spec.timing.timeout + Duration::from_millis(100);
    let limit = if waits_for_incumbent { answers.max(INCUMBENT_LABELLED) } else { answers };
    let until = since.copied().unwrap_or(now) + limit;
    if !(unheard || waits_for_label) || now >= until {
        return true;
    }
    group.wake_at(until);
    false
}

/// The seat is valid: is there cause to move it, and somebody to move it to?
fn keep_or_leave(group: &mut Group, spec: &GroupSpec, now: Duration, holder: MemberRef) -> Decision {
    if group.holder_is_unknown() {
        let successor = assess::candidates(group, spec, Some(&holder.uid), None).into_iter().next();
        return Decision::ReadHolder(successor.map(|best| member_ref(best.member)));
    }
    let waiting_since = group.detection.waiting_since.take();
    if let Some(cause) = cause_to_leave(group, spec, now, &holder) {
        let fit = assess::candidates(group, spec, Some(&holder.uid), None);
        let best = fit.first().map(|best| member_ref(best.member));
        let to = fit.iter().find(|candidate| satisfies(group, candidate, &cause));
        let to = to.map(|candidate| member_ref(candidate.member));
        if let (None, Some(successor)) = (&to, best) {
            // It must answer first, and will within a period if it can: no time yet to call that a hold.
            let since = waiting_since.unwrap_or(now);
            let until = since + spec.timing.period + spec.timing.timeout;
            group.detection.waiting_since = Some(since);
            if now < until {
                group.wake_at(until);
                return Decision::Suspect { successor, since: cause.first_sign };
            }
        }
        let gone = group.member(&holder.uid).is_none_or(|member| !member.owns_address());
        return match to {
            Some(to) => {
                let Cause { reason, fact, first_sign, .. } = cause;
                Decision::Move(Intent { from: Some(holder), to, reason, fact, first_sign })
            }
            None if is_history(group, spec, &holder, &cause) => Decision::Stay,
            None if gone => Decision::Vacant,
            None => Decision::Hold(cause.reason),
        };
    }
    if let Some(intent) =
        requested(group, spec, now, &holder).or_else(|| fail_back(group, spec, now, &holder))
    {
        return Decision::Move(intent);
    }
    suspicion(group, now, &holder).map_or(Decision::Stay, |since| {
        assess::candidates(group, spec, Some(&holder.uid), None)
            .first()
            .map_or(Decision::Stay, |best| Decision::Suspect { successor: member_ref(best.member), since })
    })
}

/// A critical container that ended while nobody could take over, in a pod that is well again, is no cause any more:
/// what it left behind in the pod's status would otherwise speak against the pod for ever.
fn is_history(group: &mut Group, spec: &GroupSpec, holder: &MemberRef, cause: &Cause) -> bool {
    // Where such pods are replaced, this one is, whoever follows.
    if cause.reason != Reason::CriticalContainerTerminated || spec.delete_critical {
        return false;
    }
    let Some(member) = group.member(&holder.uid).cloned() else { return false };
    let well = assess::fitness(group, &member).is_none() && !assess::doubtful(group, &member.uid);
    if let Some(instance) = member.critical_terminated.filter(|_| well) {
        group.detection.known_critical.insert(member.uid, instance);
    }
    well
}

fn satisfies(group: &Group, candidate: &Candidate<'_>, cause: &Cause) -> bool {
    if cause.must_answer && candidate.confidence != Confidence::Answers {
        return false;
    }
    cause.answered_after.is_none_or(|after| {
        let health = group.detection.health.get(&candidate.member.uid);
        health.and_then(crate::health::Health::last_success).is_some_and(|success| success >= after)
    })
}

fn cause_to_leave(group: &mut Group, spec: &GroupSpec, now: Duration, holder: &MemberRef) -> Option<Cause> {
    let by_fact = |fact: Fact| Cause {
        reason: fact.reason,
        fact: Some(fact.key),
        first_sign: now,
        answered_after: None,
        must_answer: false,
    };
    let Some(member) = group.member(&holder.uid).cloned() else {
        let fact = Fact { reason: Reason::PodDeleted, key: (holder.uid.clone(), "gone".into()) };
        return unused(group, fact).map(by_fact);
    };
    match assess::standing(group, &member, now) {
        Standing::Leave(fact) => {
            unused(group, fact).map(by_fact).or_else(|| judgement(group, &member, now, false))
        }
        Standing::Doubtful(fact) if probes_can_tell(group, spec, &member, now) => {
            judgement(group, &member, now, true).map(|cause| Cause { fact: Some(fact.key), ..cause })
        }
        Standing::Doubtful(fact) => unused(group, fact).map(by_fact),
        Standing::Fine => judgement(group, &member, now, false),
    }
}

/// One fact justifies at most one change.
fn unused(group: &Group, fact: Fact) -> Option<Fact> {
    (!group.used_facts.contains(&fact.key)).then_some(fact)
}

/// Whether probes will say more about this member: it can be probed, and that works for somebody or was not tried
/// for long enough to know.
fn probes_can_tell(group: &mut Group, spec: &GroupSpec, member: &MemberView, now: Duration) -> bool {
    if super::probes::target(group, spec, member).is_err() {
        return false;
    }
    if assess::armed(group) {
        return true;
    }
    let until = group.detection.probing_since.unwrap_or(now) + super::tell::ARMING_BOUND;
    if now < until {
        group.wake_at(until);
    }
    now < until
}

/// The probes' judgement of the holder. `hurried`: facts already speak against it, so one failure is enough.
fn judgement(group: &Group, member: &MemberView, now: Duration, hurried: bool) -> Option<Cause> {
    let health = group.detection.health.get(&member.uid)?;
    let first_sign = health.failing_since()?;
    let failing = match assess::verdict(group, &member.uid) {
        Verdict::Unhealthy(failing) => failing,
        _ if hurried && assess::armed(group) => Failing::TimedOut,
        _ => return None,
    };
    let tripped = health.tripwire_closed_at(now);
    let (reason, answered_after) = match failing {
        Failing::Refused => (Reason::ProbeRefused, None),
        Failing::TimedOut => (Reason::ProbeTimedOut, Some(first_sign)),
        Failing::Wrong => (Reason::ProbeFailed, None),
    };
    Some(Cause {
        reason,
        fact: None,
        first_sign: tripped.map_or(first_sign, |at| at.min(first_sign)),
        answered_after,
        must_answer: true,
    })
}

/// A sign against the holder that is no proof yet.
fn suspicion(group: &Group, now: Duration, holder: &MemberRef) -> Option<Duration> {
    if !assess::armed(group) {
        return None; // no proof can follow
    }
    let health = group.detection.health.get(&holder.uid)?;
    let since = health.suspicion(now)?.since();
    Some(health.failing_since().map_or(since, |first| first.min(since)))
}

/// Answers a switchover request that cannot be followed; one that can stays pending until the seat has moved.
fn answer_request(group: &mut Group, spec: &GroupSpec, paused: bool) {
    let Some(text) = group.view.as_ref().and_then(|view| view.switchover.clone()) else { return };
    if group.answer.as_ref().is_some_and(|answer| answer.request == text && answer.is_final()) {
        return;
    }
    let (phase, message) = match judge_request(group, spec, paused, &text) {
        Ok(()) => (Phase::Pending, "the move is under way".to_owned()),
        Err((phase, message)) => (phase, message),
    };
    group.answer = Some(Answer { request: text, phase, message });
}

fn judge_request(group: &Group, spec: &GroupSpec, paused: bool, text: &str) -> Result<(), (Phase, String)> {
    let refuse = |message: String| Err((Phase::Refused, message));
    let request = match Request::parse(text) {
        Ok(request) => request,
        Err(error) => return refuse(error.to_string()),
    };
    let Some((_, marks)) = group.valid_seat() else {
        return refuse("nobody is active yet; wait until the group is Ready".into());
    };
    let followed = marks.reason == Reason::Switchover
        && marks.term == request.term.next()
        && request.to.as_ref().is_none_or(|to| *to == marks.holder_name);
    if followed {
        // By another replica, or by one that died before it could say so.
        return Err((Phase::Done, format!("{} is active", marks.holder_name)));
    }
    if request.term != marks.term {
        let message = format!("it names term {}, but the seat is at term {}", request.term, marks.term);
        return Err((Phase::Void, message));
    }
    if paused {
        return refuse("the group is paused; resume it first".into());
    }
    match &request.to {
        Some(to) if **to == *marks.holder_name => refuse(format!("{to} is active already")),
        Some(to) => match group.all_members().find(|member| member.name == *to) {
            None => refuse(format!("{to} is no member of the group; members: {}", member_names(group))),
            Some(member) => match assess::fitness(group, member) {
                Some(unfit) => refuse(format!("{to} cannot be active now: {}", unfit.as_str())),
                None => Ok(()),
            },
        },
        None if assess::candidates(group, spec, Some(&marks.holder_uid), None).is_empty() => {
            refuse("no other member could be active now".into())
        }
        None => Ok(()),
    }
}

fn member_names(group: &Group) -> String {
    let mut names: Vec<&str> = group.all_members().map(|member| &*member.name).collect();
    names.sort_unstable();
    names.join(", ")
}

fn requested(group: &Group, spec: &GroupSpec, now: Duration, holder: &MemberRef) -> Option<Intent> {
    let answer = group.answer.as_ref().filter(|answer| !answer.is_final())?;
    let asked = group.view.as_ref()?.switchover.as_ref();
    let request = Request::parse(&answer.request).ok().filter(|_| asked == Some(&answer.request))?;
    let candidates = assess::candidates(group, spec, Some(&holder.uid), None);
    let to = match &request.to {
        Some(name) => candidates.iter().find(|candidate| candidate.member.name == *name)?,
        None => candidates.first()?,
    };
    let to = member_ref(to.member);
    Some(Intent { from: Some(holder.clone()), to, reason: Reason::Switchover, fact: None, first_sign: now })
}

/// The seat returns to a member that outranks the holder by priority or node and has long been healthy.
fn fail_back(group: &mut Group, spec: &GroupSpec, now: Duration, holder: &MemberRef) -> Option<Intent> {
    let Failback::AfterDelay(delay) = spec.failback else { return None };
    let active = group.member(&holder.uid)?.clone();
    let active = assess::as_candidate(group, &active, None);
    let found = assess::candidates(group, spec, Some(&holder.uid), None)
        .into_iter()
        .filter(|candidate| !candidate.penalised && candidate.confidence != Confidence::Doubtful)
        .find(|candidate| candidate::outranks(candidate, &active, &spec.order))
        .map(|candidate| member_ref(candidate.member))?;
    let due = *group.detection.fit_since.get(&found.uid)? + delay;
    if now < due {
        group.wake_at(due);
        return None;
    }
    Some(Intent {
        from: Some(holder.clone()),
        to: found,
        reason: Reason::Failback,
        fact: None,
        first_sign: now,
    })
}

/// The seat moved: a request for just that is done.
pub(super) fn note_moved(answer: &mut Option<Answer>, to: &Arc<str>, reason: Reason) {
    if let Some(answer) = answer.as_mut().filter(|answer| !answer.is_final()) {
        let done = reason == Reason::Switchover;
        answer.phase = if done { Phase::Done } else { Phase::Void };
        answer.message = if done {
            format!("{to} is active")
        } else {
            format!("the seat moved to {to} before, because of {reason}")
        };
    }
}
