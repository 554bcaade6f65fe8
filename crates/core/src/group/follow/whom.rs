//! Whom a followed Lease means: by its marks, by what its text and the pods' names and times say, and by what was read live.

use super::super::{Group, note};
use super::Stands;
use crate::follow::{Naming, naming};
use crate::ids::{Rv, Uid};
use crate::observation::Live;
use crate::seat::{SeatRecord, SeatState};
use crate::spec::FollowSpec;
use crate::view::MemberView;
use std::sync::Arc;
use std::time::Duration;

/// A Lease, what stands in it, and the member meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Believed {
    seat: Uid,
    text: Arc<str>,
    member: Uid,
}

/// A live read that was sent then is answered. A version newer than what it says was written after every pod known then was made.
pub(in crate::group) fn note_read(group: &mut Group, sent: Duration, live: &Live) {
    group.following.read_sent = group.following.read_sent.max(Some(sent));
    let Some(record) = live.seat.record() else { return };
    if group.following.unclear.as_ref().is_some_and(|unclear| sent >= unclear.since) {
        group.following.confirmed = meant(group, record, live);
    }
    for (since, read) in group.following.known.values_mut() {
        if *since <= sent && read.is_none() {
            *read = Some(record.rv.clone());
        }
    }
}

/// Whom what stands in the Lease means, of the pods that were read live with it.
fn meant(group: &Group, record: &SeatRecord, live: &Live) -> Option<Believed> {
    let text = record.holder.as_ref()?;
    let doubtful = group.following.doubtful.as_ref();
    let known = live.pods.iter().find(|(uid, pod)| doubtful == Some(uid) && pod.is_some());
    let named = || {
        let pod = live.named.as_ref()?;
        let name = group.follows()?.holder.pod_name(text)?;
        (*pod.name == *name).then_some(&pod.uid)
    };
    let member = known.map(|(uid, _)| uid).or_else(named)?.clone();
    Some(Believed { seat: record.uid.clone(), text: text.clone(), member })
}

/// The pod that the Lease names was read by its name, before any watch told of it.
pub(in crate::group) fn note_named(group: &mut Group, now: Duration, pod: MemberView) {
    let known = group.member(&pod.uid).is_some() || group.detection.gone.contains(&pod.uid);
    if known || !pod.selected || group.follows().is_none() {
        return;
    }
    group.detection.departed.retain(|other| *other != pod.uid);
    group.detection.unlisted = Some((pod.uid.clone(), now + note::UNLISTED_LASTS));
    if let Some(members) = &mut group.members {
        members.insert(pod.uid.clone(), pod);
    }
}

/// What the record says, and the member that holds it, or may hold it.
pub(super) fn read_record(
    group: &Group,
    follow: &FollowSpec,
) -> (Stands, Option<(SeatRecord, MemberView)>, Option<Uid>) {
    let record = match &group.seat.state {
        SeatState::Unread => return (Stands::Unread, None, None),
        SeatState::Refused(why) => return (Stands::Refused(why.clone()), None, None),
        SeatState::Absent => return (Stands::Absent, None, None),
        SeatState::Present(record) => record,
    };
    let (Some(lease), Some(text)) = (record.followed.as_deref(), &record.holder) else {
        return (Stands::Released, None, None);
    };
    let named = naming(lease, text, &follow.holder, group.all_members(), |member| {
        written_since(group, &record.rv, member)
    });
    let doubtful = match &named {
        Naming::Older(member) | Naming::Named(member) => Some(member.uid.clone()),
        Naming::Member(_) | Naming::Several | Naming::Nobody => None,
    };
    let confirmed = |member: &MemberView| {
        group.following.confirmed.as_ref().is_some_and(|believed| {
            believed.seat == record.uid && believed.text == *text && believed.member == member.uid
        })
    };
    let why = match named {
        Naming::Named(member) if !confirmed(member) => {
            return (Stands::Unconfirmed(member.name.clone()), None, doubtful);
        }
        Naming::Member(member) | Naming::Named(member) => {
            return (Stands::Held, Some((record.clone(), member.clone())), None);
        }
        Naming::Older(member) => format!(
            "its holder {text:?} was perhaps written before pod {} was made, and may mean another; the next renewal tells",
            member.name
        ),
        Naming::Several => {
            format!("its holder {text:?} names more than one member; give spec.election.lease.holder")
        }
        Naming::Nobody => format!("its holder {text:?} names no member of the group"),
    };
    let last = group.following.last.as_ref().filter(|last| last.seat == record.uid && last.text == *text);
    let gone = last.filter(|last| group.detection.departed.contains(&last.member));
    (gone.map_or(Stands::Unknown(why), |last| Stands::Gone(last.name.clone())), None, doubtful)
}

fn written_since(group: &Group, rv: &Rv, member: &MemberView) -> bool {
    let read = group.following.known.get(&member.uid).and_then(|(_, read)| read.as_ref());
    read.is_some_and(|read| read.is_older_than(rv))
}
