//! What this replica's probes saw last, for peers that ask.

use hotstandby_core::ids::Uid;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The newest probe of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Whether it succeeded.
    pub success: bool,
    /// When it was sent.
    pub sent: Duration,
}

/// Few: most pods are in one group.
type ByGroup = Vec<(Arc<str>, Sighting)>;

/// The newest probe of each member, by group: two groups may probe one pod in two ways.
#[derive(Debug, Default)]
pub struct Sightings {
    newest: Mutex<HashMap<Uid, ByGroup>>,
}

impl Sightings {
    /// Takes a probe's end in, unless a later one is known.
    pub fn note(&self, group: &Arc<str>, uid: &Uid, seen: Sighting) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let of_uid = newest.entry(uid.clone()).or_default();
        match of_uid.iter_mut().find(|(name, _)| name == group) {
            Some((_, known)) if known.sent <= seen.sent => *known = seen,
            Some(_) => {}
            None => of_uid.push((Arc::clone(group), seen)),
        }
    }

    /// The member is no longer probed for this group.
    pub fn forget(&self, group: &str, uid: &Uid) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_uid) = newest.get_mut(uid) {
            of_uid.retain(|(name, _)| &**name != group);
            if of_uid.is_empty() {
                newest.remove(uid);
            }
        }
    }

    /// The newest probe of this member for this group, or for a prober that was given no group's name.
    pub fn newest(&self, group: &str, uid: &Uid) -> Option<Sighting> {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let of_uid = newest.get(uid)?;
        let of = |wanted: &str| of_uid.iter().find(|(name, _)| &**name == wanted).map(|(_, seen)| *seen);
        of(group).or_else(|| of(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(success: bool, ms: u64) -> Sighting {
        Sighting { success, sent: Duration::from_millis(ms) }
    }

    #[test]
    fn a_late_answer_does_not_hide_a_newer_one() {
        let (all, uid, group) = (Sightings::default(), Uid::from("p"), Arc::from(""));
        all.note(&group, &uid, seen(false, 20));
        all.note(&group, &uid, seen(true, 10));
        assert_eq!(all.newest("", &uid), Some(seen(false, 20)));
    }

    #[test]
    fn one_groups_view_does_not_speak_for_another() {
        let (all, uid, tcp) = (Sightings::default(), Uid::from("p"), Arc::from("tcp"));
        all.note(&tcp, &uid, seen(true, 20));
        assert_eq!(all.newest("http", &uid), None);
        all.note(&Arc::from(""), &uid, seen(false, 20));
        assert_eq!(all.newest("http", &uid), Some(seen(false, 20)));
        assert_eq!(all.newest("tcp", &uid), Some(seen(true, 20)));
        all.forget("tcp", &uid);
        all.forget("", &uid);
        assert_eq!(all.newest("tcp", &uid), None);
    }
}
