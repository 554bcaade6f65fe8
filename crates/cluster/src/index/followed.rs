//! Leases that groups follow: which to watch, what they say, and which were not renewed in time.
//!
//! There may be a renewal a second for each of thousands. One that says nothing new costs a look-up and a time; no group
//! is told of it.

use super::Index;
use super::views::{Part, Parts};
use crate::followed::followed_record;
use crate::watch::Event;
use hotstandby_core::ids::{GroupKey, Rv};
use hotstandby_core::seat::{SeatRecord, SeatState};
use k8s_openapi::api::coordination::v1::Lease;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// What is added to a lease's duration before it counts as not renewed: a renewal may be on its way.
const SLACK: Duration = Duration::from_secs(1);

/// A watch of Leases that groups of one namespace follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseWatch {
    /// Names the watch: changes told by an earlier one count no more.
    pub id: u64,
    /// The namespace.
    pub namespace: Arc<str>,
    /// The one Lease that is followed there; `None`: there are several, so all of the namespace are watched.
    pub name: Option<Arc<str>>,
}

/// Followed Leases, by namespace.
#[derive(Debug, Default)]
pub(super) struct Followed {
    spaces: HashMap<Arc<str>, Space>,
    last_id: u64,
    changed: bool,
    /// When to look whether a Lease was renewed, one entry for each that may lapse.
    looks: BTreeSet<(Duration, Arc<str>, Arc<str>)>,
}

#[derive(Debug, Default)]
struct Space {
    /// Which groups follow which Lease.
    followers: BTreeMap<Arc<str>, BTreeSet<GroupKey>>,
    watch: u64,
    epoch: u32,
    listed: bool,
    refused: Option<Arc<str>>,
    leases: HashMap<Arc<str>, Kept>,
}

#[derive(Debug)]
struct Kept {
    epoch: u32,
    record: SeatRecord,
    /// When it was last seen to change.
    seen: Duration,
    lapsed: bool,
    /// A look at it is due some time.
    looked_at: bool,
}

impl Space {
    fn wish(&self) -> Option<Arc<str>> {
        self.followers.keys().next().filter(|_| self.followers.len() == 1).cloned()
    }

    fn followers_of(&self, lease: &str) -> BTreeSet<GroupKey> {
        self.followers.get(lease).cloned().unwrap_or_default()
    }
}

impl Followed {
    /// Notes which Lease a group follows; whether that is another than before.
    pub(super) fn follow(&mut self, key: &GroupKey, lease: Option<Arc<str>>) -> bool {
        let space = self.spaces.get(&key.namespace);
        let had = space.and_then(|space| {
            let found = space.followers.iter().find(|(_, groups)| groups.contains(key));
            found.map(|(lease, _)| lease.clone())
        });
        if had == lease {
            return false;
        }
        let space = self.spaces.entry(key.namespace.clone()).or_default();
        let before = space.wish();
        if let Some(had) = had
            && let Some(groups) = space.followers.get_mut(&had)
        {
            groups.remove(key);
            if groups.is_empty() {
                space.followers.remove(&had);
                space.leases.remove(&had);
            }
        }
        let is_new = lease.as_ref().is_some_and(|lease| !space.followers.contains_key(lease));
        if let Some(lease) = lease {
            space.followers.entry(lease).or_default().insert(key.clone());
        }
        // A watch of all that kept only what was followed must list again for one more.
        if space.followers.is_empty() {
            self.spaces.remove(&key.namespace);
            self.changed = true;
        } else if is_new || space.wish() != before {
            self.last_id += 1;
            (space.watch, space.listed) = (self.last_id, false);
            self.changed = true;
        }
        true
    }

    pub(super) fn is_followed_by(&self, key: &GroupKey) -> bool {
        let space = self.spaces.get(&key.namespace);
        space.is_some_and(|space| space.followers.values().any(|groups| groups.contains(key)))
    }

    pub(super) fn watches(&mut self) -> Option<Vec<LeaseWatch>> {
        let watch = |(namespace, space): (&Arc<str>, &Space)| LeaseWatch {
            id: space.watch,
            namespace: namespace.clone(),
            name: space.wish(),
        };
        std::mem::take(&mut self.changed).then(|| self.spaces.iter().map(watch).collect())
    }

    pub(super) fn state(&self, namespace: &str, lease: &str) -> SeatState {
        let Some(space) = self.spaces.get(namespace) else { return SeatState::Unread };
        match (&space.refused, space.leases.get(lease)) {
            (Some(why), _) => SeatState::Refused(why.clone()),
            (None, Some(kept)) => SeatState::Present(kept.record.clone()),
            (None, None) if space.listed => SeatState::Absent,
            (None, None) => SeatState::Unread,
        }
    }

    pub(super) fn lapsed(&self, namespace: &str, lease: &str) -> Option<Rv> {
        let kept = self.spaces.get(namespace)?.leases.get(lease)?;
        kept.lapsed.then(|| kept.record.rv.clone())
    }

    /// When the next look is due.
    pub(super) fn next_lapse(&self) -> Option<Duration> {
        self.looks.first().map(|(at, ..)| *at)
    }

    /// Looks at the Leases whose time has come; whom that concerns.
    pub(super) fn lapse(&mut self, now: Duration) -> Vec<BTreeSet<GroupKey>> {
        let mut concerned = Vec::new();
        while let Some((at, namespace, name)) = self.looks.pop_first() {
            if at > now {
                self.looks.insert((at, namespace, name));
                break;
            }
            let Some(space) = self.spaces.get_mut(&namespace) else { continue };
            let Some(kept) = space.leases.get_mut(&name) else { continue };
            kept.looked_at = false;
            match lapses_at(kept) {
                Some(due) if due > now => {
                    kept.looked_at = true;
                    self.looks.insert((due, namespace, name));
                }
                Some(_) => {
                    kept.lapsed = true;
                    concerned.push(space.followers_of(&name));
                }
                None => {}
            }
        }
        concerned
    }
}

/// When a Lease counts as not renewed; `None`: never, or it does already.
fn lapses_at(kept: &Kept) -> Option<Duration> {
    kept.record.holder.as_ref()?;
    let duration = kept.record.followed.as_ref()?.duration.filter(|_| !kept.lapsed)?;
    Some(kept.seen.saturating_add(duration).saturating_add(SLACK))
}

/// Whether a record says nothing but that it was written again.
fn is_renewal(had: &SeatRecord, new: &SeatRecord) -> bool {
    let uid = |record: &SeatRecord| record.followed.as_ref().and_then(|lease| lease.holder_uid.clone());
    (&had.uid, &had.holder, had.term) == (&new.uid, &new.holder, new.term) && uid(had) == uid(new)
}

impl Index {
    pub(super) fn leases_changed(&mut self, watch: &LeaseWatch, event: Event<Lease>, now: Duration) {
        let namespace = &watch.namespace;
        let found = self.followed.spaces.get_mut(namespace);
        let Some(space) = found.filter(|space| space.watch == watch.id) else { return };
        let concerned = match event {
            Event::Begin => {
                space.epoch = space.epoch.wrapping_add(1);
                return;
            }
            Event::Listed(lease) | Event::Applied(lease) => {
                self.put_lease(namespace, &lease, now);
                return;
            }
            Event::Deleted(lease) => {
                let name = lease.metadata.name.unwrap_or_default();
                space.leases.remove(&*name).map(|_| space.followers_of(&name)).unwrap_or_default()
            }
            Event::Done(_) => {
                let epoch = space.epoch;
                space.leases.retain(|_, kept| kept.epoch == epoch);
                space.refused = None;
                space.listed = true;
                space.followers.values().flatten().cloned().collect()
            }
            Event::Refused(why) => {
                space.refused = why.map(Into::into);
                space.followers.values().flatten().cloned().collect()
            }
        };
        self.touch_followers(concerned);
    }

    fn put_lease(&mut self, namespace: &Arc<str>, lease: &Lease, now: Duration) {
        let name = lease.metadata.name.as_deref().unwrap_or_default();
        let Some(space) = self.followed.spaces.get_mut(namespace) else { return };
        let Some((name, groups)) = space.followers.get_key_value(name) else { return };
        let (name, groups) = (name.clone(), groups.clone());
        let Some(record) = followed_record(lease) else { return };
        let epoch = space.epoch;
        let is_new = !space.leases.contains_key(&name);
        let kept = space.leases.entry(name.clone()).or_insert_with(|| Kept {
            epoch,
            record: record.clone(),
            seen: now,
            lapsed: false,
            looked_at: false,
        });
        kept.epoch = epoch;
        if kept.record.rv == record.rv && !is_new {
            return;
        }
        let had = std::mem::replace(&mut kept.record, record);
        let was_lapsed = std::mem::take(&mut kept.lapsed);
        kept.seen = now;
        if let Some(at) = lapses_at(kept).filter(|_| !kept.looked_at) {
            kept.looked_at = true;
            self.followed.looks.insert((at, namespace.clone(), name));
        }
        let says_nothing_new = !is_new && !was_lapsed && is_renewal(&had, &kept.record);
        if !says_nothing_new || !self.is_newer_than_members(namespace, &groups, &had) {
            self.touch_followers(groups);
        }
    }

    /// Whether the record as it was is newer than every pod that it could mean: then its renewal says nothing more.
    fn is_newer_than_members(&self, namespace: &str, groups: &BTreeSet<GroupKey>, had: &SeatRecord) -> bool {
        let Some(space) = self.namespaces.get(namespace) else { return true };
        let Some(written) = had.followed.as_ref().and_then(|lease| lease.written_ms) else { return false };
        let members =
            groups.iter().filter_map(|group| space.groups.get(group)).flat_map(|group| &group.members);
        members
            .filter_map(|name| space.pods.get(name))
            .all(|pod| pod.value.created_ms().is_some_and(|created| created < written))
    }

    fn touch_followers(&mut self, groups: BTreeSet<GroupKey>) {
        self.touch_each(groups, Parts::from(Part::Seat).with(Part::Lapse));
    }

    /// The group's seat is another from now on.
    pub(super) fn forget_told_seat(&mut self, key: &GroupKey) {
        let group = self.namespaces.get_mut(&key.namespace).and_then(|space| space.groups.get_mut(key));
        let Some(group) = group else { return };
        for (slot, part) in group.told.iter_mut().zip(Part::ALL) {
            if matches!(part, Part::Seat | Part::Lapse) {
                *slot = None;
            }
        }
    }
}
