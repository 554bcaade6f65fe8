//! The garbage collector and the namespace controller, one step at a time.

use super::delete::{DeleteOptions, place_of};
use super::{ApiServer, Place};
use crate::json::{at, items, put, take, text};
use crate::kinds::Kind;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One pass is one look at everything; more than this many and something goes round in circles.
const MOST_PASSES: usize = 100;

/// Every object, with where it is.
type World = Vec<(Place, Arc<Value>)>;

impl ApiServer {
    /// Does all that the garbage collector and the namespace controller would do by now, and tells how much that was:
    /// empties terminating namespaces, deletes dependents of owners that are gone, and lets foreground and orphan
    /// deletions end. Pods that run keep their grace period: call it again after they are gone.
    pub fn collect_garbage(&mut self) -> usize {
        let mut done = 0;
        for _ in 0..MOST_PASSES {
            let pass = self.empty_namespaces() + self.settle_owners() + self.collect_orphans();
            if pass == 0 {
                break;
            }
            done += pass;
        }
        done
    }

    fn world(&self) -> World {
        // One row a storage: two versions of a kind are the same objects.
        let kinds: BTreeMap<Arc<str>, Arc<Kind>> =
            self.kinds.all().map(|kind| (kind.storage.clone(), kind.clone())).collect();
        let mut world = World::new();
        for storage in self.store.storages() {
            let Some(kind) = kinds.get(storage) else { continue };
            world.extend(
                self.store.objects(storage).map(|(_, object)| (place_of(kind, object), object.clone())),
            );
        }
        world
    }

    fn empty_namespaces(&mut self) -> usize {
        let world = self.world();
        let mut done = 0;
        for (place, namespace) in
            world.iter().filter(|(place, object)| place.kind.is("namespaces") && is_going(object))
        {
            let inside: Vec<&(Place, Arc<Value>)> =
                world.iter().filter(|(inner, _)| inner.namespace == place.name).collect();
            for (inner, object) in &inside {
                if !is_going(object) {
                    done += usize::from(self.delete_object(inner, &DeleteOptions::default()).is_ok());
                }
            }
            if inside.is_empty() && items(namespace, &["metadata", "finalizers"]).is_empty() {
                self.remove(place);
                done += 1;
            }
        }
        done
    }

    /// Foreground and orphan deletions.
    fn settle_owners(&mut self) -> usize {
        let world = self.world();
        let mut done = 0;
        for (place, owner) in world.iter().filter(|(_, object)| is_going(object)) {
            let uid = text(owner, &["metadata", "uid"]).unwrap_or_default();
            let dependents =
                world.iter().filter(|(_, object)| owners(object).any(|one| text(one, &["uid"]) == Some(uid)));
            if has_finalizer(owner, "orphan") {
                for (inner, _) in dependents {
                    self.disown(inner, &|one| text(one, &["uid"]) != Some(uid));
                }
                self.drop_finalizer(place, "orphan");
                done += 1;
            } else if has_finalizer(owner, "foregroundDeletion") {
                let mut left = 0;
                for (inner, object) in dependents {
                    left += 1;
                    if !is_going(object) {
                        done += usize::from(self.delete_object(inner, &DeleteOptions::default()).is_ok());
                    }
                }
                if left == 0 {
                    self.drop_finalizer(place, "foregroundDeletion");
                    done += 1;
                }
            }
        }
        done
    }

    /// Objects whose owners are all gone go as well; of several owners the gone ones are struck off.
    fn collect_orphans(&mut self) -> usize {
        let world = self.world();
        let living: BTreeMap<&str, &Place> = world
            .iter()
            .filter_map(|(place, object)| Some((text(object, &["metadata", "uid"])?, place)))
            .collect();
        let mut done = 0;
        for (place, object) in
            world.iter().filter(|(_, object)| owners(object).next().is_some() && !is_going(object))
        {
            let lives = |owner: &Value| {
                // An owner of a kind nobody knows is never taken for gone.
                !self.knows_kind(owner)
                    || text(owner, &["uid"])
                        .and_then(|uid| living.get(uid))
                        .is_some_and(|owner| owner.namespace.is_empty() || owner.namespace == place.namespace)
            };
            let all = owners(object).count();
            let alive = owners(object).filter(|owner| lives(owner)).count();
            if alive == 0 {
                done += usize::from(self.delete_object(place, &DeleteOptions::default()).is_ok());
            } else if alive < all {
                let kept: Vec<Value> = owners(object).filter(|owner| lives(owner)).cloned().collect();
                self.disown(place, &|one| kept.contains(one));
                done += 1;
            }
        }
        done
    }

    fn knows_kind(&self, owner: &Value) -> bool {
        let version = text(owner, &["apiVersion"]).unwrap_or_default();
        let kind = text(owner, &["kind"]).unwrap_or_default();
        self.kinds.all().any(|known| known.kind == kind && known.api_version() == version)
    }

    fn disown(&mut self, place: &Place, keep: &dyn Fn(&Value) -> bool) {
        // Read anew: the pass may have changed it already.
        let Ok(object) = self.stored(place) else { return };
        let mut new = Value::clone(&object);
        let kept: Vec<Value> = owners(&object).filter(|owner| keep(owner)).cloned().collect();
        if kept.is_empty() {
            take(&mut new, &["metadata", "ownerReferences"]);
        } else {
            put(&mut new, &["metadata", "ownerReferences"], kept);
        }
        self.store.commit(&place.kind.storage, &place.key(), Some(new));
    }

    fn drop_finalizer(&mut self, place: &Place, name: &str) {
        let Ok(object) = self.stored(place) else { return };
        let kept: Vec<Value> =
            items(&object, &["metadata", "finalizers"]).iter().filter(|one| *one != name).cloned().collect();
        let grace = at(&object, &["metadata", "deletionGracePeriodSeconds"]).as_i64().unwrap_or(0);
        if kept.is_empty() && grace == 0 {
            self.remove(place);
            return;
        }
        let mut new = Value::clone(&object);
        if kept.is_empty() {
            take(&mut new, &["metadata", "finalizers"]);
        } else {
            put(&mut new, &["metadata", "finalizers"], kept);
        }
        self.store.commit(&place.kind.storage, &place.key(), Some(new));
    }
}

fn is_going(object: &Value) -> bool {
    !at(object, &["metadata", "deletionTimestamp"]).is_null()
}

fn owners(object: &Value) -> impl Iterator<Item = &Value> {
    items(object, &["metadata", "ownerReferences"]).iter()
}

fn has_finalizer(object: &Value, name: &str) -> bool {
    items(object, &["metadata", "finalizers"]).iter().any(|one| one == name)
}
