//! Our marks on objects of others: pods whose labels we lead, Services whose selector we lead.
//!
//! They are merged in, never put over: of such an object only some labels or selector keys and these annotations are ours.

use crate::marks::{self, GroupMarks};
use crate::names;
use hotstandby_core::action::{MarkedSeat, MarksWrite, ProjectionMarks};
use hotstandby_core::ids::{GroupKey, Rv, Term, Uid};
use hotstandby_core::observation::WriteError;
use hotstandby_core::view::Mark;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Those that speak of the seat.
const OF_SEAT: [&str; 4] = [names::SEAT_UID, names::TERM, names::REASON, names::SINCE];
/// Every annotation that is written with a mark, and removed with it.
pub(crate) const ALL: [&str; 11] = [
    names::CONTROLLER,
    names::SEAT_UID,
    names::TERM,
    names::REASON,
    names::SINCE,
    names::GROUP_KIND,
    names::GROUP_NAMESPACE,
    names::GROUP_NAME,
    names::GROUP_UID,
    names::DELETION_POLICY,
    names::UNDO,
];

/// What undoes our changes, see [`Mark::undo`].
pub type Undo = BTreeMap<Arc<str>, Option<Arc<str>>>;

/// Keys and the values to write; `None`: the key goes.
pub(crate) type Changes = BTreeMap<String, Option<String>>;

/// The marks on an object of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    /// What the core knows of them.
    pub mark: Mark,
    /// Whose they are, if they say so.
    pub group: Option<GroupMarks>,
}

impl Marked {
    /// Reads them; `None` where no controller is named.
    pub(crate) fn read(meta: &ObjectMeta) -> Option<Self> {
        let annotations = meta.annotations.as_ref()?;
        let mark = Mark {
            controller: annotations.get(names::CONTROLLER)?.as_str().into(),
            stamp: stamp(annotations),
            undo: annotations.get(names::UNDO).map(|text| parse_undo(text)).unwrap_or_default(),
        };
        Some(Self { mark, group: GroupMarks::read(annotations) })
    }
}

/// Seat UID and term in marks, if readable.
pub(crate) fn stamp(annotations: &BTreeMap<String, String>) -> Option<(Uid, Term)> {
    let seat = annotations.get(names::SEAT_UID)?.as_str().into();
    Some((seat, Term(annotations.get(names::TERM)?.parse().ok()?)))
}

fn undo_text(undo: &Undo) -> String {
    let pairs = undo.iter().map(|(key, value)| (key.to_string(), json!(value.as_deref())));
    Value::Object(pairs.collect()).to_string()
}

/// What is no text and no null was not written by us, and undoes nothing.
fn parse_undo(text: &str) -> Undo {
    let parsed: BTreeMap<String, Option<String>> = serde_json::from_str(text).unwrap_or_default();
    parsed.into_iter().map(|(key, value)| (key.into(), value.map(Into::into))).collect()
}

/// The annotations that a write of marks changes.
pub(crate) fn annotations(
    marks: &MarksWrite,
    group: &GroupKey,
    controller: &str,
) -> Result<Changes, WriteError> {
    match marks {
        MarksWrite::Keep => Ok(Changes::new()),
        MarksWrite::Clear => Ok(cleared()),
        MarksWrite::Set(marks) => set(marks, group, controller),
    }
}

/// All our annotations go.
pub(crate) fn cleared() -> Changes {
    ALL.into_iter().map(|key| (key.to_owned(), None)).collect()
}

fn set(marks: &ProjectionMarks, group: &GroupKey, controller: &str) -> Result<Changes, WriteError> {
    // Destructured without `..`: what the core says must stand on the object, or be left out on purpose.
    let ProjectionMarks { seat, group_uid, orphan, undo } = marks;
    let mut texts = BTreeMap::new();
    GroupMarks { group: group.clone(), group_uid: group_uid.clone(), orphan: *orphan }.write(&mut texts);
    texts.insert(names::CONTROLLER.to_owned(), controller.to_owned());
    texts.insert(names::UNDO.to_owned(), undo_text(undo));
    // What an earlier write left and this one does not say goes.
    let mut changes = cleared();
    match seat {
        Some(seat) => write_seat(seat, &mut texts)?,
        // What is said of a seat stays as it is.
        None => changes.retain(|key, _| !OF_SEAT.contains(&key.as_str())),
    }
    changes.extend(texts.into_iter().map(|(key, text)| (key, Some(text))));
    Ok(changes)
}

fn write_seat(seat: &MarkedSeat, texts: &mut BTreeMap<String, String>) -> Result<(), WriteError> {
    let MarkedSeat { uid, term, reason, since_ms } = seat;
    let since = marks::millis_text(*since_ms)
        .ok_or_else(|| WriteError::Refused("write marks: the clock is out of range".into()))?;
    texts.insert(names::SEAT_UID.to_owned(), uid.to_string());
    texts.insert(names::TERM.to_owned(), term.to_string());
    texts.insert(names::REASON.to_owned(), reason.as_str().to_owned());
    texts.insert(names::SINCE.to_owned(), since);
    Ok(())
}

/// A merge patch of metadata that only the object with this UID at this version takes.
pub(crate) fn metadata_patch(uid: &Uid, rv: &Rv, annotations: &Changes) -> Value {
    json!({"metadata": {"uid": uid.as_str(), "resourceVersion": rv.to_string(), "annotations": annotations}})
}

/// The core's changes as text.
pub(crate) fn texts(changes: &BTreeMap<Arc<str>, Option<Arc<str>>>) -> Changes {
    let text =
        |(key, value): (&Arc<str>, &Option<Arc<str>>)| (key.to_string(), value.as_deref().map(str::to_owned));
    changes.iter().map(text).collect()
}

/// Whether the stored keys and values are as the changes left them.
pub(crate) fn is_as_sent(stored: Option<&BTreeMap<String, String>>, sent: &Changes) -> bool {
    sent.iter().all(|(key, value)| stored.and_then(|stored| stored.get(key)) == value.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotstandby_core::reason::Reason;

    fn group() -> GroupKey {
        GroupKey::svc("shop", "web")
    }

    fn marks(orphan: bool) -> ProjectionMarks {
        ProjectionMarks {
            seat: Some(MarkedSeat {
                uid: "seat".into(),
                term: Term(7),
                reason: Reason::ProbeRefused,
                since_ms: 1_795_219_200_007,
            }),
            group_uid: "g1".into(),
            orphan,
            undo: BTreeMap::from([
                ("role".into(), Some("standby".into())),
                ("hotstandby.dev/member".into(), None),
            ]),
        }
    }

    /// The annotations after a write, beginning with those of somebody else.
    fn after(had: &[(&str, &str)], changes: &Changes) -> ObjectMeta {
        let mut annotations: BTreeMap<_, _> =
            had.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        for (key, value) in changes {
            match value {
                Some(value) => annotations.insert(key.clone(), value.clone()),
                None => annotations.remove(key),
            };
        }
        ObjectMeta { annotations: Some(annotations), ..ObjectMeta::default() }
    }

    #[test]
    fn marks_read_back_as_they_were_written() {
        for orphan in [false, true] {
            let sent = annotations(&MarksWrite::Set(Box::new(marks(orphan))), &group(), "one/c").unwrap();
            // Orphan, left by an earlier write, does not outlive it.
            let read = Marked::read(&after(&[(names::DELETION_POLICY, "Orphan")], &sent)).unwrap();
            assert_eq!(&*read.mark.controller, "one/c");
            assert_eq!(read.mark.stamp, Some(("seat".into(), Term(7))));
            assert_eq!(read.mark.undo, marks(orphan).undo);
            let whose = read.group.unwrap();
            assert_eq!((whose.group, whose.group_uid, whose.orphan), (group(), "g1".into(), orphan));
        }
    }

    #[test]
    fn marks_without_a_seat_leave_what_an_earlier_one_said() {
        let write = ProjectionMarks { seat: None, ..marks(false) };
        let sent = annotations(&MarksWrite::Set(Box::new(write)), &group(), "one/c").unwrap();
        let read = Marked::read(&after(&[(names::SEAT_UID, "old"), (names::TERM, "6")], &sent)).unwrap();
        assert_eq!(read.mark.stamp, Some(("old".into(), Term(6))));
        assert_eq!(read.mark.undo, marks(false).undo);
    }

    #[test]
    fn removed_marks_leave_nothing_of_ours_and_all_of_others() {
        let sent = annotations(&MarksWrite::Set(Box::new(marks(true))), &group(), "one/c").unwrap();
        let mut written: Vec<_> = sent.keys().collect();
        let cleared = annotations(&MarksWrite::Clear, &group(), "one/c").unwrap();
        written.retain(|key| !cleared.contains_key(*key));
        assert!(written.is_empty(), "{written:?} would stay");
        let left = after(&[(names::PRIORITY, "10"), (names::CONTROLLER, "one/c")], &cleared);
        assert_eq!(left.annotations.unwrap(), BTreeMap::from([(names::PRIORITY.into(), "10".into())]));
        assert_eq!(annotations(&MarksWrite::Keep, &group(), "one/c").unwrap(), Changes::new());
    }

    #[test]
    fn an_undo_that_others_wrote_undoes_nothing() {
        for text in ["", "x", "[]", r#"{"a": 1}"#] {
            assert!(parse_undo(text).is_empty(), "{text}");
        }
        let undo = BTreeMap::from([("a\"b".into(), Some("c".into())), ("d".into(), None)]);
        assert_eq!(parse_undo(&undo_text(&undo)), undo);
    }

    #[test]
    fn a_change_that_was_not_stored_shows() {
        let sent = Changes::from([("a".into(), Some("1".into())), ("b".into(), None)]);
        let stored = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        assert!(is_as_sent(Some(&stored(&[("a", "1"), ("c", "3")])), &sent));
        assert!(!is_as_sent(Some(&stored(&[("a", "2")])), &sent));
        assert!(!is_as_sent(Some(&stored(&[("a", "1"), ("b", "2")])), &sent));
        assert!(!is_as_sent(None, &sent));
        assert!(is_as_sent(None, &Changes::from([("b".into(), None)])));
    }
}
