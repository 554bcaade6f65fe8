//! Following an election of others: their Lease is the seat, and is only read.
//!
//! Once a step, [`refresh`] makes of the record what a seat of our own would say ([`SeatMarks`]); traffic and status follow
//! that as ever. What the record does not make clear (nobody holds it, or nobody known) is given two seconds and a live read before
//! anything is cleared.

mod whom;

pub(super) use whom::{note_named, note_read};

use super::decide::{self, Decision};
use super::projected::{self, Claim};
use super::slices::Served;
use super::{Group, change, note, tell};
use crate::action::Change;
use crate::conditions::{Condition, ConditionType, Status};
use crate::follow::FollowedLease;
use crate::ids::{Now, Rv, Term, Uid};
use crate::reason::Reason;
use crate::seat::{SeatMarks, SeatRecord, SeatState};
use crate::spec::{Electors, FollowSpec, GroupSpec, WhenNoCandidate};
use crate::switchover::{Answer, Phase};
use crate::view::MemberView;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long traffic stays as it is while the Lease names nobody, or nobody known.
const GRACE: Duration = Duration::from_secs(2);

/// What is known of an election of others.
#[derive(Debug, Default)]
pub(super) struct Following {
    stands: Stands,
    /// The member whose name the Lease has, though perhaps another pod was meant.
    doubtful: Option<Uid>,
    /// The holder, as our own marks would name it; `None` unless somebody known holds the Lease.
    marks: Option<SeatMarks>,
    /// The holder before, so that its end is told from a holder never known.
    last: Option<Last>,
    unclear: Option<Unclear>,
    /// Whom a record that gives but a name was believed to mean, once that pod was read live: a watch that stands still may tell
    /// of one that is gone, whose name another has by now.
    confirmed: Option<whom::Believed>,
    /// When the newest live read that was answered was sent.
    read_sent: Option<Duration>,
    /// Since when each member is known, and the record's version as read live after that.
    known: BTreeMap<Uid, (Duration, Option<Rv>)>,
    /// Our own count of changes, for a Lease that has none.
    count: Option<Count>,
    /// The seat whose holder was seen to change without a higher term.
    miscounts: Option<Uid>,
    /// The version that was not seen renewed in time.
    lapsed: Option<Rv>,
}

/// What the Lease says.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) enum Stands {
    /// It was not read yet.
    #[default]
    Unread,
    /// We may not read it.
    Refused(Arc<str>),
    /// There is none.
    Absent,
    /// Nobody holds it.
    Released,
    /// Its holder is not known: why.
    Unknown(String),
    /// It gives but the name of this pod, which is just being looked at.
    Unconfirmed(Arc<str>),
    /// Its holder's pod is gone: its name.
    Gone(Arc<str>),
    /// A member holds it.
    Held,
}

#[derive(Debug)]
struct Last {
    seat: Uid,
    text: Arc<str>,
    term: Term,
    member: Uid,
    name: Arc<str>,
}

/// Since when the Lease has named nobody known, and what it said then.
#[derive(Debug)]
struct Unclear {
    of: Option<(Uid, Option<Arc<str>>)>,
    since: Duration,
}

#[derive(Debug)]
struct Count {
    seat: Uid,
    term: Term,
    text: Option<Arc<str>>,
}

impl Following {
    /// The holder as our own marks would name it.
    pub(super) const fn marks(&self) -> Option<&SeatMarks> {
        self.marks.as_ref()
    }
}

/// Whether this is what the group's election is about: a seat of another election, read before the spec changed, is none.
pub(super) fn fits(group: &Group, state: &SeatState) -> bool {
    let SeatState::Present(record) = state else { return true };
    let wanted = group.follows().map(|follow| &follow.lease);
    wanted == record.followed.as_ref().map(|lease| &lease.name)
}

/// The record at this version was not seen written for as long as it lasts. It is read live before that is believed: a watch
/// that stands still looks the same.
pub(super) fn note_lapsed(group: &mut Group, lapsed: Option<Rv>) {
    if group.following.lapsed != lapsed {
        if lapsed.is_some() {
            group.doubt_seat();
        }
        group.following.lapsed = lapsed;
    }
}

/// Makes out whom the Lease names now.
pub(super) fn refresh(group: &mut Group, spec: &GroupSpec, now: Now) {
    let Some(follow) = spec.followed() else { return };
    let members: Vec<Uid> = group.all_members().map(|member| member.uid.clone()).collect();
    group.following.known.retain(|uid, _| members.contains(uid));
    for uid in members {
        group.following.known.entry(uid).or_insert((now.mono, None));
    }
    let (stands, holder, doubtful) = whom::read_record(group, follow);
    (group.following.stands, group.following.doubtful) = (stands, doubtful);
    if let Some((record, member)) = holder {
        group.following.unclear = None;
        hold(group, now, &record, &member);
        return;
    }
    group.following.marks = None;
    if matches!(group.following.stands, Stands::Absent | Stands::Released) {
        group.following.confirmed = None;
    }
    let record = group.seat.state.record();
    let of = record.map(|record| (record.uid.clone(), record.holder.clone()));
    if record.is_some_and(|record| record.holder.is_none())
        && let Some(count) = &mut group.following.count
    {
        count.text = None;
    }
    if group.following.unclear.as_ref().is_none_or(|unclear| unclear.of != of) {
        group.following.unclear = Some(Unclear { of, since: now.mono });
        // What was read before says nothing of this.
        group.following.read_sent = None;
    }
}

/// The member holds the Lease: what our own marks would say, and whether that is news.
fn hold(group: &mut Group, now: Now, record: &SeatRecord, member: &MemberView) {
    let Some(group_uid) = group.view.as_ref().map(|view| view.uid.clone()) else { return };
    let text = record.holder.clone().unwrap_or_else(|| member.name.clone());
    let term = record.term.unwrap_or_else(|| count(group, &record.uid, &text, member));
    let before = group.following.last.as_ref().map(|last| last.name.clone());
    if group
        .following
        .last
        .as_ref()
        .is_some_and(|last| last.seat == record.uid && last.text != text && last.term >= term)
    {
        group.following.miscounts = Some(record.uid.clone());
    }
    let same = group.following.marks.take().filter(|had| {
        let seat = group.following.last.as_ref().is_some_and(|last| last.seat == record.uid);
        seat && had.holder_uid == member.uid && had.term == term
    });
    let acquired = record.followed.as_deref().and_then(|lease: &FollowedLease| lease.acquired_ms);
    let is_new = same.is_none();
    let marks = SeatMarks {
        group_uid,
        holder_uid: member.uid.clone(),
        holder_name: member.name.clone(),
        term,
        reason: Reason::LeaseChanged,
        // A program may write another time with each renewal: what was first seen stays.
        since_ms: same.map_or_else(|| acquired.unwrap_or(now.unix_ms), |had| had.since_ms),
        previous: Vec::new(),
    };
    group.following.last = Some(Last {
        seat: record.uid.clone(),
        text,
        term,
        member: member.uid.clone(),
        name: member.name.clone(),
    });
    if is_new {
        begin(group, now.mono, &record.uid, &marks, before);
    }
    group.following.marks = Some(marks);
}

/// Another member is active: it is told of once traffic has followed. What has followed already is no news.
fn begin(group: &mut Group, now: Duration, seat: &Uid, marks: &SeatMarks, before: Option<Arc<str>>) {
    let spec = group.view.as_ref().and_then(|view| view.spec.clone().ok());
    if spec.is_some_and(|spec| projected::all_follow(group, &spec, seat, marks)) {
        group.told.pending = None;
        return;
    }
    let at_once = tell::Times { first_sign: now, proven: now, sent: now, stored: now };
    group.told.pending = Some(tell::Pending {
        change: Change {
            term: marks.term,
            from: before,
            to: marks.holder_name.clone(),
            reason: marks.reason,
            since_ms: marks.since_ms,
            stages: None,
        },
        // Nobody of us made the change; the lead speaks for all.
        times: group.lead.then_some(at_once),
    });
}

/// The term of a Lease that counts no transitions: the changes seen, and never below what a projection already carries, so that all
/// replicas come to the same number.
fn count(group: &mut Group, seat: &Uid, text: &Arc<str>, member: &MemberView) -> Term {
    let had = group.following.count.take().filter(|had| had.seat == *seat);
    let mut term = match had {
        Some(had) if had.text.as_ref() == Some(text) => had.term,
        Some(had) => had.term.next(),
        None => Term(1),
    };
    for Claim { rv, seat: of, term: stamped, names } in projected::claims(group) {
        // A higher count is believed once the record was read live: then it is not ours that is newer.
        let settled = note::claim_settled(group, &rv) && !group.seat_in_doubt();
        if of != *seat || !stamped.is_plausible() || stamped > term && !settled {
            continue;
        }
        term = match names.map(|uid| uid == member.uid) {
            Some(true) => term.max(stamped),
            Some(false) if stamped >= term => stamped.next(),
            None if stamped > term => stamped.next(),
            _ => term,
        };
    }
    group.following.count = Some(Count { seat: seat.clone(), term, text: Some(text.clone()) });
    term
}

/// There is nothing to decide: only what to read.
pub(super) fn decide(group: &mut Group, follow: &FollowSpec, now: Duration) -> Decision {
    refuse_request(group, follow);
    if group.seat_in_doubt() {
        return Decision::ReadSeat;
    }
    let Some(unclear) = &group.following.unclear else { return Decision::Followed };
    let since = unclear.since;
    let over = since + GRACE;
    let unread = matches!(group.following.stands, Stands::Unknown(_)) && !was_read(group, since);
    // Who may be meant after all: what is written from now on will tell, and the newest version may do so already.
    let known = group.following.doubtful.as_ref().and_then(|uid| group.following.known.get(uid));
    let unconfirmed = matches!(group.following.stands, Stands::Unconfirmed(_));
    let unread = unread || unconfirmed || known.is_some_and(|(_, read)| read.is_none());
    if now < over {
        group.wake_at(over);
    }
    if !unread {
        return Decision::Followed;
    }
    let text = group.seat.state.record().and_then(|record| record.holder.as_deref());
    let known = group.following.doubtful.as_ref().and_then(|uid| group.member(uid));
    Decision::ReadNamed {
        since,
        known: known.map(decide::member_ref),
        name: text.and_then(|text| follow.holder.pod_name(text)).map(Into::into),
    }
}

fn was_read(group: &Group, since: Duration) -> bool {
    group.following.read_sent.is_some_and(|sent| sent >= since)
}

/// Who is active is not ours to change.
fn refuse_request(group: &mut Group, follow: &FollowSpec) {
    let Some(request) = group.view.as_ref().and_then(|view| view.switchover.clone()) else { return };
    if group.answer.as_ref().is_some_and(|answer| answer.request == request && answer.is_final()) {
        return;
    }
    let message = format!(
        "election.mode is {}: who is active is decided by those who write Lease {}; ask them",
        follow.by.as_str(),
        follow.lease
    );
    group.answer = Some(Answer { request, phase: Phase::Refused, message });
}

/// Whether the Lease has named nobody known for so short a time that there will soon be more to say.
pub(super) fn is_unsettled(group: &Group, now: Duration) -> bool {
    let Some(unclear) = &group.following.unclear else { return false };
    match group.following.stands {
        Stands::Absent | Stands::Released => now < unclear.since + GRACE,
        Stands::Unknown(_) => now < unclear.since + GRACE || !was_read(group, unclear.since),
        Stands::Unconfirmed(_) => true,
        Stands::Unread | Stands::Refused(_) | Stands::Gone(_) | Stands::Held => false,
    }
}

/// Whom users shall reach.
pub(super) fn served(group: &Group, spec: &GroupSpec, follow: &FollowSpec, now: Duration) -> Served {
    if group.seat_in_doubt() {
        return Served::Untouched;
    }
    let clears = spec.when_no_candidate == WhenNoCandidate::Clear;
    match &group.following.stands {
        // It is just being read live: a dead pod's successor may be this one.
        Stands::Unconfirmed(_) => Served::Untouched,
        Stands::Unknown(_) if is_unsettled(group, now) => Served::Untouched,
        // Somebody else holds it: whoever held it before is not active any more.
        Stands::Unknown(_) => Served::Emptied,
        Stands::Absent | Stands::Released if clears && !is_unsettled(group, now) => Served::Emptied,
        Stands::Unread | Stands::Refused(_) | Stands::Gone(_) | Stands::Absent | Stands::Released => {
            Served::Frozen
        }
        Stands::Held => {
            let dead = follow.by == Electors::Pods && has_lapsed(group);
            let holder = group.holder_uid().and_then(|uid| group.member(uid));
            match holder.filter(|holder| holder.owns_address() && !(dead && clears)) {
                Some(holder) => Served::Holder(Box::new(holder.clone())),
                None => Served::Nobody,
            }
        }
    }
}

fn has_lapsed(group: &Group) -> bool {
    let record = group.seat.state.record();
    group.following.lapsed.is_some() && group.following.lapsed.as_ref() == record.map(|record| &record.rv)
}

/// The term to be shown, also while nobody known holds the Lease; and whether it is no fencing token, because it is our own count
/// or because the Lease was seen to change hands without counting that.
pub(super) fn term(group: &Group) -> Option<(Term, bool)> {
    let record = group.seat.state.record()?;
    let counted = group.following.count.as_ref().filter(|count| count.seat == record.uid);
    let miscounts = group.following.miscounts.as_ref() == Some(&record.uid);
    record.term.map(|term| (term, miscounts)).or_else(|| counted.map(|count| (count.term, true)))
}

/// The rights that are missing.
pub(super) fn accepted(group: &Group) -> Option<Condition> {
    let follow = group.follows()?;
    let Stands::Refused(why) = &group.following.stands else { return None };
    let message = format!(
        "spec.election.lease: Lease {} cannot be read: {why}; grant it with `hotstandby manifests --with follow-leases`",
        follow.lease
    );
    Some(Condition::new(ConditionType::Accepted, Status::False, NOT_GRANTED, message))
}

/// The reason while Leases may not be read.
pub(super) const NOT_GRANTED: &str = "LeaseNotGranted";

/// Why the group is not ready, if its Lease is the cause.
pub(super) fn not_ready(group: &Group, spec: &GroupSpec) -> Option<Condition> {
    let follow = group.follows()?;
    let lease = &follow.lease;
    let stays = match spec.when_no_candidate {
        WhenNoCandidate::Keep => "traffic stays with the last active as long as its pod exists",
        WhenNoCandidate::Clear => "traffic goes nowhere",
    };
    let (reason, message) = match &group.following.stands {
        Stands::Unread => return None,
        Stands::Refused(_) => (NOT_GRANTED, format!("Lease {lease} cannot be read; see condition Accepted")),
        Stands::Absent => ("LeaseNotFound", format!("there is no Lease {lease} in this namespace; {stays}")),
        Stands::Released => ("LeaseReleased", format!("nobody holds Lease {lease}; {stays}")),
        Stands::Unconfirmed(name) => (
            "HolderUnknown",
            format!("Lease {lease} names {name}, which is just being looked at; traffic stays where it is"),
        ),
        Stands::Unknown(why) => ("HolderUnknown", format!("Lease {lease}: {why}; traffic goes nowhere")),
        Stands::Gone(name) => {
            let message = format!(
                "{name}, which holds Lease {lease}, is gone or has left the group; traffic goes nowhere"
            );
            ("HolderGone", message)
        }
        Stands::Held if has_lapsed(group) => {
            let what = match (follow.by, spec.when_no_candidate) {
                (Electors::Pods, WhenNoCandidate::Clear) => "so its command is dead; traffic goes nowhere",
                (Electors::Pods, WhenNoCandidate::Keep) => {
                    "so its command is dead; traffic stays with its pod"
                }
                (Electors::External, _) => "but it still stands in the record, which traffic follows",
            };
            ("LeaseExpired", format!("the holder of Lease {lease} has not renewed it in time, {what}"))
        }
        Stands::Held => {
            let holder = group.holder_uid().and_then(|uid| group.member(uid))?;
            let unfit = super::assess::fitness(group, holder)?.as_str();
            let name = &holder.name;
            ("HoldingUnfit", format!("{name} looks bad ({unfit}); who is active is decided by Lease {lease}"))
        }
    };
    Some(Condition::new(ConditionType::Ready, Status::False, reason, message))
}

/// Forgets the election before: the group is about another one now.
pub(super) fn reset(group: &mut Group) {
    group.following = Following::default();
    group.change = change::Pipeline::default();
    group.told.pending = None;
    group.told.seat_refused = None;
}
