//! The seat: the one record of who is active, and since which term.

use crate::action::MemberRef;
use crate::follow::FollowedLease;
use crate::ids::{Rv, Term, Uid};
use crate::reason::Reason;
use std::sync::Arc;

/// Seconds between the Unix epoch and 2020-01-01T00:00:00Z.
const UNIX_SECONDS_2020: i64 = 1_577_836_800;

/// A seat as read from the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatRecord {
    /// The Lease's UID: terms compare only within one.
    pub uid: Uid,
    /// The Lease's resourceVersion.
    pub rv: Rv,
    /// `spec.holderIdentity`; empty means nobody.
    pub holder: Option<Arc<str>>,
    /// `spec.leaseTransitions`.
    pub term: Option<Term>,
    /// The marks our own writes leave; `None` where they are missing or unreadable.
    pub marks: Option<SeatMarks>,
    /// The name in the controller mark, whoever wrote it.
    pub controller: Option<Arc<str>>,
    /// What more is read of a Lease that somebody else writes; `None`: it is a seat of hotstandby's own.
    pub followed: Option<Box<FollowedLease>>,
}

/// What our own write notes beside holder and term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatMarks {
    /// UID of the group the seat belongs to.
    pub group_uid: Uid,
    /// UID of the holding pod.
    pub holder_uid: Uid,
    /// Name of the holding pod as we wrote it.
    pub holder_name: Arc<str>,
    /// The term as we wrote it.
    pub term: Term,
    /// Why the seat moved to this holder.
    pub reason: Reason,
    /// When it did, Unix milliseconds, by the writer's clock: for people.
    pub since_ms: i64,
    /// Former actives that were not seen put back yet: their role label may still be on its way, or, where the order is strict,
    /// their acknowledgement. This holder is promoted after them.
    pub previous: Vec<MemberRef>,
}

impl SeatRecord {
    /// The marks, if they say the same as the record.
    ///
    /// Somebody who edits `holderIdentity` by hand does not know the pod's UID and the term's mark;
    /// the difference shows, and the record is then no evidence of a decision of ours.
    pub fn sealed(&self) -> Option<&SeatMarks> {
        self.marks.as_ref().filter(|marks| {
            self.holder.as_deref() == Some(&*marks.holder_name) && self.term == Some(marks.term)
        })
    }
}

/// What is known of the group's seat.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum SeatState {
    /// Not read yet: nothing may be decided.
    #[default]
    Unread,
    /// Read: there is none.
    Absent,
    /// Read: this one.
    Present(SeatRecord),
    /// The API server does not let us read it, and says why.
    Refused(Arc<str>),
}

impl SeatState {
    /// The record, where there is one.
    pub fn record(&self) -> Option<&SeatRecord> {
        match self {
            Self::Present(record) => Some(record),
            Self::Unread | Self::Absent | Self::Refused(_) => None,
        }
    }
}

/// The term a new seat starts at: above every term ever seen, and above what a restored backup could hold.
///
/// A count of seconds grows faster than any group may change hands (the brake), so tokens handed out before a restore, or by
/// a group of the same name before it was made anew, stay below those after it. ADR 9.
pub fn first_term(highest_seen: Option<Term>, unix_ms: i64) -> Term {
    let seconds = unix_ms.div_euclid(1000).saturating_sub(UNIX_SECONDS_2020);
    let by_clock = Term(u64::try_from(seconds).unwrap_or(0).max(1));
    highest_seen.map_or(by_clock, |seen| by_clock.max(seen.next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restored_cluster_does_not_hand_out_an_old_term_again() {
        // 2026-11-21T00:00:00Z
        let now = 1_795_219_200_000;
        assert_eq!(first_term(None, now), Term(217_382_400));
        assert_eq!(first_term(Some(Term(9)), now), Term(217_382_400));
        assert_eq!(first_term(Some(Term(217_400_000)), now), Term(217_400_001));
    }

    #[test]
    fn a_clock_before_2020_still_starts_at_one() {
        assert_eq!(first_term(None, 0), Term(1));
        assert_eq!(first_term(Some(Term(7)), -5), Term(8));
    }

    fn record() -> SeatRecord {
        SeatRecord {
            uid: "u".into(),
            rv: "1".into(),
            holder: Some("web-0".into()),
            term: Some(Term(7)),
            marks: Some(SeatMarks {
                group_uid: "g".into(),
                holder_uid: "p0".into(),
                holder_name: "web-0".into(),
                term: Term(7),
                reason: Reason::Initial,
                since_ms: 0,
                previous: Vec::new(),
            }),
            controller: None,
            followed: None,
        }
    }

    #[test]
    fn an_edited_holder_or_term_breaks_the_seal() {
        assert!(record().sealed().is_some());
        assert!(SeatRecord { holder: Some("web-1".into()), ..record() }.sealed().is_none());
        assert!(SeatRecord { holder: None, ..record() }.sealed().is_none());
        assert!(SeatRecord { term: Some(Term(6)), ..record() }.sealed().is_none());
        assert!(SeatRecord { marks: None, ..record() }.sealed().is_none());
    }
}
