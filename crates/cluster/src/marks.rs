//! Small conversions that seat and slice share: names, times, and the text of marks.

use crate::names;
use hotstandby_core::ids::{GroupKey, GroupKind, Uid};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The longest name of an object (a DNS subdomain).
pub(crate) const LONGEST_NAME: usize = 253;
/// Hexadecimal digits of the hash in a shortened name.
const HASH_DIGITS: usize = 16;
/// `app.kubernetes.io/managed-by` on what we write: for people who list by label.
pub(crate) const APP_MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Its value.
pub(crate) const APP_MANAGED_BY: &str = "hotstandby";
/// The value of [`names::DELETION_POLICY`] that leaves slices behind.
pub(crate) const ORPHAN: &str = "Orphan";

/// `full`, or where it is too long for an object's name a beginning of it with a hash of the whole.
///
/// `full` is made of valid names, so only the cut can make it invalid: what the cut leaves must end in
/// a letter or digit before the `-` of the tail.
pub(crate) fn object_name(full: String) -> String {
    if full.len() <= LONGEST_NAME {
        return full;
    }
    let mut hash = String::with_capacity(HASH_DIGITS);
    for byte in Sha256::digest(full.as_bytes()).iter().take(HASH_DIGITS / 2) {
        // Writing to a String cannot fail.
        let _ = write!(hash, "{byte:02x}");
    }
    let room = LONGEST_NAME - HASH_DIGITS - 1;
    // Object names are ASCII; a cut inside a character of anything else is moved to its beginning.
    let cut = (0..=room).rev().find(|at| full.is_char_boundary(*at)).unwrap_or(0);
    let head = full.get(..cut).unwrap_or_default().trim_end_matches(['-', '.']);
    format!("{head}-{hash}")
}

/// RFC 3339 with milliseconds; `None` outside the years that can be written so.
pub(crate) fn millis_text(unix_ms: i64) -> Option<String> {
    let time = Timestamp::from_millisecond(unix_ms).ok()?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

/// The reverse of [`millis_text`].
pub(crate) fn parse_millis(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// Whose projection an object is, as noted in its annotations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMarks {
    /// The group.
    pub group: GroupKey,
    /// Its UID.
    pub group_uid: Uid,
    /// `deletionPolicy: Orphan` was in force.
    pub orphan: bool,
}

impl GroupMarks {
    /// Reads them; `None` where one is missing.
    pub(crate) fn read(annotations: &BTreeMap<String, String>) -> Option<Self> {
        Some(Self {
            group: GroupKey {
                // A kind that a later version knows is none of ours: such an object is not judged.
                kind: annotations
                    .get(names::GROUP_KIND)
                    .map_or(Some(GroupKind::Cr), |kind| GroupKind::parse(kind))?,
                namespace: annotations.get(names::GROUP_NAMESPACE)?.as_str().into(),
                name: annotations.get(names::GROUP_NAME)?.as_str().into(),
            },
            group_uid: annotations.get(names::GROUP_UID)?.as_str().into(),
            orphan: annotations.get(names::DELETION_POLICY).is_some_and(|policy| policy == ORPHAN),
        })
    }

    /// Writes them.
    pub(crate) fn write(&self, annotations: &mut BTreeMap<String, String>) {
        annotations.insert(names::GROUP_KIND.to_owned(), self.group.kind.as_str().to_owned());
        annotations.insert(names::GROUP_NAMESPACE.to_owned(), self.group.namespace.to_string());
        annotations.insert(names::GROUP_NAME.to_owned(), self.group.name.to_string());
        annotations.insert(names::GROUP_UID.to_owned(), self.group_uid.to_string());
        if self.orphan {
            annotations.insert(names::DELETION_POLICY.to_owned(), ORPHAN.to_owned());
        }
    }
}

/// Whether an annotation belongs to us: all of our group's prefix.
pub(crate) fn is_our_annotation(key: &str) -> bool {
    key.strip_prefix(names::GROUP).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_to_valid_ones_that_differ() {
        let long = |end: &str| format!("cr.shop.{}{end}", "a.-".repeat(90));
        let (one, other) = (object_name(long("1")), object_name(long("2")));
        assert!(one.len() <= LONGEST_NAME && other.len() <= LONGEST_NAME);
        assert_ne!(one, other);
        assert!(!one.contains(".-") || !one.ends_with('-'));
        let (head, hash) = one.rsplit_once('-').unwrap();
        assert_eq!(hash.len(), HASH_DIGITS);
        assert!(head.ends_with(|last: char| last.is_ascii_alphanumeric()));
        assert_eq!(object_name("cr.shop.web".to_owned()), "cr.shop.web");
    }

    #[test]
    fn marks_tell_whether_an_active_standby_or_a_service_made_the_group() {
        for group in [GroupKey::cr("shop", "web"), GroupKey::svc("shop", "web")] {
            let marks = GroupMarks { group, group_uid: "g1".into(), orphan: false };
            let mut annotations = BTreeMap::new();
            marks.write(&mut annotations);
            assert_eq!(GroupMarks::read(&annotations), Some(marks));
            annotations.insert(names::GROUP_KIND.to_owned(), "of a later version".to_owned());
            assert_eq!(GroupMarks::read(&annotations), None);
            annotations.remove(names::GROUP_KIND);
            assert_eq!(GroupMarks::read(&annotations).unwrap().group, GroupKey::cr("shop", "web"));
        }
    }

    #[test]
    fn times_keep_their_milliseconds() {
        assert_eq!(millis_text(1_795_219_200_007).as_deref(), Some("2026-11-21T00:00:00.007Z"));
        assert_eq!(parse_millis("2026-11-21T00:00:00.007Z"), Some(1_795_219_200_007));
        assert_eq!(parse_millis("yesterday"), None);
        assert_eq!(millis_text(i64::MAX), None);
    }
}
